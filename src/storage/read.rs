//! Reading whole batches, from the published view alone.

use std::io;
use std::sync::Arc;

use crate::io::{File, read_full_at};
use crate::model::Offset;
use crate::model::limits::SENDFILE_BYTES_MIN;

use super::log::Log;
use super::offsets::{Mark, View};
use super::outcome::{AbortedTransaction, Isolation, ReadError, ReadOutcome, RecordBytes};
use super::scan::{Depth, ScanError, Scanned};
use super::segment::{MemoryIndex, Segment};

impl View {
    /// Where a reader must stop.
    pub(super) fn bound(&self, isolation: Isolation) -> Mark {
        match isolation {
            Isolation::ReadUncommitted => self.committed,
            Isolation::ReadCommitted => self.last_stable,
            Isolation::LogEnd => self.end,
        }
    }

    /// Bytes of a segment before the bound.
    pub(super) fn limit(&self, segment: &Segment, bound: Mark) -> u64 {
        match segment.base.cmp(&bound.segment) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Equal => bound.position,
            // Before the bound's segment there are sealed ones alone.
            std::cmp::Ordering::Less => segment.sealed_len().unwrap_or(0),
        }
    }

    /// The segments from the one that may hold `offset`.
    pub(super) fn segments_from(&self, offset: Offset) -> &[Arc<Segment>] {
        let after = self
            .segments
            .partition_point(|segment| segment.base <= offset);
        self.segments
            .get(after.saturating_sub(1)..)
            .unwrap_or_default()
    }
}

/// What the system said, as the answer to a reader.
pub(super) fn storage(error: io::Error) -> ReadError {
    ReadError::Storage(error.to_string())
}

fn failed(error: ScanError, offset: Offset) -> ReadError {
    match error {
        ScanError::Damaged { .. } => ReadError::Corrupt { offset },
        ScanError::Io(error) => storage(error),
    }
}

impl Log {
    /// What `look` finds in the newest view. It looks again where segments were replaced under its
    /// eyes: files of theirs that are not open yet cannot be opened any more.
    pub(super) fn in_newest_view<T>(
        &self,
        look: impl Fn(&View) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            let view = self.published().load();
            let found = look(&view);
            let outdated = || view.segments.iter().any(|segment| segment.is_gone());
            if found.is_ok() || !outdated() {
                return found;
            }
        }
    }

    /// Reads whole batches from the one that contains `from`, all of one segment.
    pub(super) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        self.in_newest_view(|view| self.read_in(view, from, max_bytes, at_least_one, isolation))
    }

    fn read_in(
        &self,
        view: &View,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        let offsets = view.offsets();
        if self.context().is_deleted() {
            return Err(ReadError::Deleted);
        }
        if from < view.log_start || from > view.end.offset {
            let (log_start, log_end) = (view.log_start, view.end.offset);
            return Err(ReadError::OutOfRange {
                offset: from,
                log_start,
                log_end,
            });
        }
        let bound = view.bound(isolation);
        let nothing = ReadOutcome {
            records: RecordBytes::EMPTY,
            offsets,
            aborted: Vec::new(),
            of_older_segment: false,
        };
        if from >= bound.offset {
            return Ok(nothing);
        }
        for segment in view.segments_from(from) {
            let limit = view.limit(segment, bound);
            if limit == 0 {
                continue;
            }
            let file = match self.log_file(segment) {
                // Its records were deleted since the view was loaded.
                Err(_) if self.published().load().log_start > from => {
                    let newest = self.published().load().offsets();
                    let (log_start, log_end) = (newest.log_start, newest.log_end);
                    return Err(ReadError::OutOfRange {
                        offset: from,
                        log_start,
                        log_end,
                    });
                }
                file => file?,
            };
            // Offsets that the cleaner took are passed over: the next batch may be in the next
            // segment.
            let Some(first) = self.find(segment, &*file, from, limit)? else {
                continue;
            };
            let wanted = first.position.saturating_add(max_bytes as u64);
            let end = match first.end() > wanted {
                true if at_least_one => first.end(),
                true => return Ok(nothing),
                false if wanted >= limit => limit,
                false => self.last_boundary(segment, &*file, first.end(), wanted, limit)?,
            };
            let end = self.verify(segment, &*file, first.position, end, from)?;
            let crowded = self.context().core.files.is_crowded();
            let records = take(&file, first.position, end, crowded).map_err(storage)?;
            let aborted = match isolation {
                Isolation::ReadCommitted => {
                    let upper = self.offset_at(segment, &*file, &first, end, bound)?;
                    self.aborted_between(from, upper)?
                }
                Isolation::ReadUncommitted | Isolation::LogEnd => Vec::new(),
            };
            return Ok(ReadOutcome {
                records,
                aborted: aborted.iter().map(AbortedTransaction::from).collect(),
                of_older_segment: segment.base < bound.segment,
                ..nothing
            });
        }
        Ok(nothing)
    }

    /// The `.log` file of a segment; an error if the partition was deleted meanwhile, since then
    /// its name may be that of another partition's file.
    pub(super) fn log_file(&self, segment: &Segment) -> Result<Arc<dyn File>, ReadError> {
        let file = segment.log_file(self.context().files());
        match self.context().is_deleted() {
            true => Err(ReadError::Deleted),
            false => file.map_err(storage),
        }
    }

    /// The first batch of a segment that ends at or after `offset`.
    pub(super) fn find(
        &self,
        segment: &Segment,
        file: &dyn File,
        offset: Offset,
        limit: u64,
    ) -> Result<Option<Scanned>, ReadError> {
        let files = self.context().files();
        // An index has no checksum: its entry must name a batch that is there. One that does not,
        // or that cannot be read, is built again, once.
        let mut rebuilt = false;
        loop {
            let entry = match segment.entry_before(files, offset) {
                Ok(entry) => entry,
                Err(error) if rebuilt => return Err(storage(error)),
                Err(_) => {
                    rebuilt = self.rebuild_index(segment, file)?;
                    continue;
                }
            };
            let start = entry.map_or(0, |entry| u64::from(entry.position));
            let mut scan = segment.scan(file, Depth::Headers, start, limit);
            let mut next = scan.next();
            if let Some(entry) = entry
                && !rebuilt
                && !matches!(&next, Ok(Some(batch)) if entry.names(segment.base, &batch.header))
            {
                rebuilt = self.rebuild_index(segment, file)?;
                continue;
            }
            loop {
                match next {
                    Ok(Some(batch)) if batch.header.last_offset() >= offset => {
                        return Ok(Some(batch));
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(None),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    Err(ScanError::Damaged { position, .. }) => {
                        return self.find_behind(segment, file, offset, position, limit);
                    }
                }
                next = scan.next();
            }
        }
    }

    /// The batch that holds `offset` where an entry of the index leads over damage to it.
    fn find_behind(
        &self,
        segment: &Segment,
        file: &dyn File,
        offset: Offset,
        damage: u64,
        limit: u64,
    ) -> Result<Option<Scanned>, ReadError> {
        let start = segment
            .boundary_after(self.context().files(), damage)
            .map_err(storage)?;
        if let Some(start) = start {
            let mut scan = segment.scan(file, Depth::Headers, start, limit);
            if let Ok(Some(batch)) = scan.next()
                && batch.header.base_offset <= offset
                && batch.header.last_offset() >= offset
            {
                return Ok(Some(batch));
            }
        }
        Err(ReadError::Corrupt { offset })
    }

    /// Builds the indexes of a sealed segment from its batches' headers; true, for the caller's
    /// memory. The batch behind damage gets an entry.
    pub(super) fn rebuild_index(
        &self,
        segment: &Segment,
        file: &dyn File,
    ) -> Result<bool, ReadError> {
        let Some(len) = segment.sealed_len() else {
            return Ok(true);
        };
        let partition = &self.context().directory;
        tracing::warn!(partition, segment = segment.base.0, "rebuilding an index");
        let interval = self.context().config.load().index_interval_bytes;
        let mut index = MemoryIndex::default();
        let mut scan = segment.scan(file, Depth::Headers, 0, len);
        loop {
            match scan.next() {
                Ok(Some(batch)) => {
                    index.note(segment.base, &batch.header, batch.position, interval);
                }
                Ok(None) => break,
                Err(ScanError::Damaged { .. }) => match scan.step_over_damage() {
                    Ok(Some(_)) => index.enter_next(),
                    Ok(None) => break,
                    Err(error) => return Err(storage(error)),
                },
                Err(ScanError::Io(error)) => return Err(storage(error)),
            }
        }
        index.note_largest();
        segment.replace_index(index);
        // It serves from memory as well. Where segments are being replaced its name may soon be
        // another's.
        if let Some(_name_is_its_own) = self.try_stop_upkeep()
            && !segment.is_gone()
            && !segment.is_arriving()
        {
            match segment.write_indexes(self.context().files()) {
                Ok(_) => {}
                Err(error) => tracing::warn!(partition, %error, "cannot write a rebuilt index"),
            }
        }
        Ok(true)
    }

    /// The last batch boundary at or before `wanted`, which lies between the boundary `from` and
    /// the limit.
    fn last_boundary(
        &self,
        segment: &Segment,
        file: &dyn File,
        from: u64,
        wanted: u64,
        limit: u64,
    ) -> Result<u64, ReadError> {
        let known = segment
            .boundary_before(self.context().files(), wanted)
            .unwrap_or(0);
        for start in [known, from] {
            if start < from {
                continue;
            }
            let mut scan = segment.scan(file, Depth::Headers, start, limit);
            let mut end = start;
            loop {
                match scan.next() {
                    Ok(Some(batch)) if batch.end() <= wanted => end = batch.end(),
                    Ok(_) => return Ok(end),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    // The index lied, or there is damage, which whoever reads on will meet.
                    Err(ScanError::Damaged { .. }) if end > from => return Ok(end),
                    Err(ScanError::Damaged { .. }) => break,
                }
            }
        }
        Ok(from)
    }

    /// The offset after the last batch that ends at or before `end`, which is at or behind the end
    /// of `first`. It does not depend on how dense the index is.
    fn offset_at(
        &self,
        segment: &Segment,
        file: &dyn File,
        first: &Scanned,
        end: u64,
        bound: Mark,
    ) -> Result<Offset, ReadError> {
        if end <= first.end() {
            return Ok(first.header.next_offset());
        }
        let known = segment
            .boundary_before(self.context().files(), end - 1)
            .unwrap_or(0);
        for start in [known.max(first.position), first.position] {
            let mut scan = segment.scan(file, Depth::Headers, start, end);
            loop {
                match scan.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(scan.next_offset()),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    // The index lied.
                    Err(ScanError::Damaged { .. }) => break,
                }
            }
        }
        Ok(bound.offset)
    }

    /// Checks every byte between two boundaries that this process neither wrote nor checked. The
    /// end of what may be served: the damage, if there is some behind the first batch.
    fn verify(
        &self,
        segment: &Segment,
        file: &dyn File,
        start: u64,
        end: u64,
        offset: Offset,
    ) -> Result<u64, ReadError> {
        if segment.is_verified(start, end) {
            return Ok(end);
        }
        let epochs = self.published().load().epochs.clone();
        let mut scan = segment
            .scan(file, Depth::Checksums, start, end)
            .with_epochs(&epochs);
        let valid_end = loop {
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => break end,
                Err(ScanError::Damaged { position, .. }) if position > start => break position,
                Err(error) => {
                    let partition = &self.context().directory;
                    tracing::error!(partition, offset = offset.0, %error, "refusing damaged batch");
                    return Err(failed(error, offset));
                }
            }
        };
        segment.set_verified(start, valid_end);
        Ok(valid_end)
    }
}

/// The bytes between two positions: shared memory, a region to send, or a copy, where that costs
/// less, or where too many files are held already: a slow reader holds the file of a region.
fn take(file: &Arc<dyn File>, start: u64, end: u64, crowded: bool) -> io::Result<RecordBytes> {
    let len = usize::try_from(end - start).map_err(io::Error::other)?;
    if let Some(bytes) = file.shared(start, len) {
        return Ok(RecordBytes::Memory(bytes));
    }
    if len >= SENDFILE_BYTES_MIN && !crowded && file.descriptor().is_some() {
        return Ok(RecordBytes::Region {
            file: file.clone(),
            position: start,
            len,
        });
    }
    read_exact(&**file, start, len).map(|bytes| RecordBytes::Memory(bytes.into()))
}

/// `len` bytes at `start`, which must be there.
pub(super) fn read_exact(file: &dyn File, start: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    match read_full_at(file, &mut bytes, start)? {
        filled if filled == len => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
