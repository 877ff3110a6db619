//! Writing a segment that will replace others ([`swap`](crate::storage::upkeep::swap)).

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::batch::BatchHeader;
use crate::io::{File, Io, OpenMode};
use crate::model::Offset;

use crate::storage::format::names::SegmentFile;
use crate::storage::format::txn_index::{self, AbortedEntry};
use crate::storage::format::{offset_index, time_index};
use crate::storage::log::aborted::AbortedIndex;
use crate::storage::log::memory_index::{IndexMark, MemoryIndex};
use crate::storage::log::segment::Segment;
use crate::storage::upkeep::swap::{Swap, Written};

/// How far a segment was written, to go back to.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Mark {
    len: u64,
    index: IndexMark,
    aborted: usize,
}

/// Writes the files of a new segment, under the names that they have until it replaces others.
#[derive(Debug)]
pub(in crate::storage) struct SegmentWriter {
    swap: Swap,
    log: Arc<dyn File>,
    offset_index: Arc<dyn File>,
    time_index: Arc<dyn File>,
    /// Where an old one is to be replaced, even if this one is empty.
    txn_index: Option<Arc<dyn File>>,
    index: MemoryIndex,
    aborted: Vec<AbortedEntry>,
    index_interval_bytes: u64,
    /// Bytes that are not written yet; they go to `position`.
    buffer: Vec<u8>,
    /// What is written at once. Every piece but the last is as large, so that each begins at a
    /// multiple of that: the system then keeps it in few pages, that are large.
    piece_bytes: usize,
    position: u64,
}

impl SegmentWriter {
    /// Creates the files, empty. They go the way of everything that was not finished, should this
    /// one not be: the next to write there, or the next start, disposes of them.
    pub(in crate::storage) fn create(
        io: &dyn Io,
        dir: &Path,
        swap: Swap,
        index_interval_bytes: u64,
        piece_bytes: usize,
    ) -> io::Result<Self> {
        let create = |kind| create(io, &swap.cleaned_path(dir, kind));
        // What an earlier attempt left there would become this segment's.
        discard(io, &swap.cleaned_path(dir, SegmentFile::TxnIndex))?;
        Ok(Self {
            swap,
            log: create(SegmentFile::Log)?,
            offset_index: create(SegmentFile::OffsetIndex)?,
            time_index: create(SegmentFile::TimeIndex)?,
            txn_index: None,
            index: MemoryIndex::default(),
            aborted: Vec::new(),
            index_interval_bytes,
            buffer: Vec::new(),
            piece_bytes: piece_bytes.max(1),
            position: 0,
        })
    }

    /// Creates a transaction index, too, before the segment is finished: where one of the segments
    /// that are replaced has one.
    pub(in crate::storage) fn with_txn_index(
        mut self,
        io: &dyn Io,
        dir: &Path,
    ) -> io::Result<Self> {
        let path = self.swap.cleaned_path(dir, SegmentFile::TxnIndex);
        self.txn_index = Some(create(io, &path)?);
        Ok(self)
    }

    /// Has the log and its indexes written through something, by which they may be counted.
    pub(in crate::storage) fn through(self, wrap: impl Fn(Arc<dyn File>) -> Arc<dyn File>) -> Self {
        Self {
            log: wrap(self.log),
            offset_index: wrap(self.offset_index),
            time_index: wrap(self.time_index),
            ..self
        }
    }

    /// Has it replace everything up to `end`.
    pub(in crate::storage) fn reach(&mut self, end: Offset) {
        self.swap.end = end;
    }

    /// How far it is written.
    pub(in crate::storage) fn mark(&self) -> Mark {
        Mark {
            len: self.len(),
            index: self.index.mark(),
            aborted: self.aborted.len(),
        }
    }

    /// Takes back everything that was added after a mark. Pieces that are written from then on need
    /// not begin where the system would have them.
    pub(in crate::storage) fn back_to(&mut self, mark: Mark) -> io::Result<()> {
        match mark.len.checked_sub(self.position) {
            Some(kept) => self
                .buffer
                .truncate(usize::try_from(kept).unwrap_or(usize::MAX)),
            None => {
                self.log.set_len(mark.len)?;
                self.position = mark.len;
                self.buffer.clear();
            }
        }
        self.index.back_to(mark.index);
        self.aborted.truncate(mark.aborted);
        Ok(())
    }

    /// Removes the files of one that was not finished.
    pub(in crate::storage) fn remove(io: &dyn Io, dir: &Path, swap: Swap) -> io::Result<()> {
        (SegmentFile::ALL.into_iter())
            .try_for_each(|kind| discard(io, &swap.cleaned_path(dir, kind)))
    }

    /// Adds a whole batch, whose header is `header`. Batches come in the order of their offsets.
    pub(in crate::storage) fn append(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
    ) -> io::Result<()> {
        self.note(header, self.len());
        let mut rest = batch;
        while let Some((fits, more)) = rest.split_at_checked(self.piece_bytes - self.buffer.len()) {
            self.log
                .write_all_at(&[&self.buffer, fits], self.position)?;
            self.position += self.piece_bytes as u64;
            self.buffer.clear();
            rest = more;
        }
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    /// Where a whole batch may be put, behind what is there, for [`take_in`](Self::take_in).
    pub(in crate::storage) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Adds the batch that was put at the end of the buffer, whose header is `header`.
    pub(in crate::storage) fn take_in(&mut self, header: &BatchHeader) -> io::Result<()> {
        self.note(header, self.len().saturating_sub(header.total_len() as u64));
        let whole = self.buffer.len() - self.buffer.len() % self.piece_bytes;
        if let Some(pieces) = self.buffer.get(..whole).filter(|whole| !whole.is_empty()) {
            self.log.write_all_at(&[pieces], self.position)?;
            self.position += whole as u64;
            self.buffer.drain(..whole);
        }
        Ok(())
    }

    fn note(&mut self, header: &BatchHeader, position: u64) {
        self.index
            .note(self.swap.base, header, position, self.index_interval_bytes);
    }

    /// Adds an aborted transaction whose marker is in the segment, in the order of the markers. It
    /// has a transaction index then.
    pub(in crate::storage) fn add_aborted(&mut self, entry: AbortedEntry) {
        self.aborted.push(entry);
    }

    /// Bytes of the log so far.
    pub(in crate::storage) fn len(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    /// Bytes of its offset index and of its time index, if it were finished now; of the latter at
    /// most.
    pub(in crate::storage) fn index_bytes(&self) -> (u64, u64) {
        let (offsets, times) = (self.index.offset_count(), self.index.times.len() + 1);
        (
            (offsets * offset_index::ENTRY_LENGTH) as u64,
            (times * time_index::ENTRY_LENGTH) as u64,
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.write_all_at(&[&self.buffer], self.position)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left and the indexes; nothing is synced. The segment gets `number`.
    pub(in crate::storage) fn finish(mut self, number: u64) -> io::Result<Written> {
        self.flush()?;
        self.index.note_largest();
        let offsets = offset_index::encode(&self.index.offset_entries());
        let times = time_index::encode(&self.index.times);
        self.offset_index.write_all_at(&[&offsets], 0)?;
        self.time_index.write_all_at(&[&times], 0)?;
        match &self.txn_index {
            Some(file) => file.write_all_at(&[&txn_index::encode(&self.aborted)], 0)?,
            None if self.aborted.is_empty() => {}
            None => return Err(io::Error::other("aborted transactions without an index")),
        }
        let Swap { base, end } = self.swap;
        let entries = (self.index.offset_count(), self.index.times.len());
        let aborted = AbortedIndex::in_file(&self.aborted);
        Ok(Written {
            segment: Segment::replacement(number, base, end, self.position, entries, aborted),
            files: [self.log, self.offset_index, self.time_index]
                .into_iter()
                .chain(self.txn_index)
                .collect(),
        })
    }
}

/// Removes a file that may not be there.
fn discard(io: &dyn Io, path: &Path) -> io::Result<()> {
    match io.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn create(io: &dyn Io, path: &Path) -> io::Result<Arc<dyn File>> {
    let file = io.open(path, OpenMode::Create)?;
    file.set_len(0)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use crate::io::MemoryIo;
    use crate::model::Timestamp;

    /// The files of a segment of ten batches, of which those from the fifth on were written twice
    /// if `again`.
    fn files(again: bool, piece_bytes: usize) -> Vec<Vec<u8>> {
        let (io, dir) = (MemoryIo::shared(), Path::new("/data"));
        io.create_dir_all(dir).unwrap();
        let swap = Swap {
            base: Offset(7),
            end: Offset(8),
        };
        let writer = SegmentWriter::create(&*io, dir, swap, 150, piece_bytes).unwrap();
        let mut writer = writer.with_txn_index(&*io, dir).unwrap();
        let add = |writer: &mut SegmentWriter, offset: i64, time: i64| {
            let mut batch = BatchBuilder::new().base_offset(Offset(offset));
            batch.push(Timestamp(time), Some(b"k"), Some(&[b'v'; 60]));
            let batch = batch.build().unwrap();
            writer.append(&batch.header, &batch.bytes).unwrap();
            writer.add_aborted(AbortedEntry {
                producer_id: time,
                first: Offset(offset),
                last: Offset(offset),
                last_stable: Offset(offset),
            });
        };
        (10..14).for_each(|offset| add(&mut writer, offset, offset));
        let (mark, index_bytes) = (writer.mark(), writer.index_bytes());
        if again {
            (14..30).for_each(|offset| add(&mut writer, offset, 1_000));
            writer.back_to(mark).unwrap();
            assert_eq!(writer.index_bytes(), index_bytes);
        }
        (14..20).for_each(|offset| add(&mut writer, offset, offset));
        writer.reach(Offset(50));
        let written = writer.finish(1).unwrap();
        assert_eq!(written.segment.end(), Some(Offset(50)));
        let read = |kind| io.read(&swap.cleaned_path(dir, kind)).unwrap();
        let kinds = SegmentFile::ALL.into_iter();
        kinds
            .filter(|kind| *kind != SegmentFile::Snapshot)
            .map(read)
            .collect()
    }

    #[test]
    fn what_was_taken_back_leaves_nothing_in_any_file() {
        for piece_bytes in [1, 64, 1_000, 1_000_000] {
            let (once, again) = (files(false, piece_bytes), files(true, piece_bytes));
            assert_eq!(once, again, "{piece_bytes}");
            assert!(once.iter().all(|file| !file.is_empty()));
        }
    }
}
