//! Taking up a log that is on disk: after a clean stop little is read, after any other everything
//! from the recovery point on is checked.

mod epochs;
mod producers;
mod recover;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::io::{DirEntry, File, OpenMode, Persist, replace_file};
use crate::model::{LeaderEpoch, Offset, Timestamp};

use crate::storage::core::Context;
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::offset_index::OffsetEntry;
use crate::storage::format::{offset_index, partition_metadata, time_index};
use crate::storage::log::epochs::Epochs;
use crate::storage::log::memory_index::MemoryIndex;
use crate::storage::log::offsets::Mark;
use crate::storage::log::partition_log::{Log, Writer};
use crate::storage::log::passing::PassingSnapshots;
use crate::storage::log::producers::Producers;
use crate::storage::log::scan::{Depth, Scan, ScanError, Scanned};
use crate::storage::log::segment::Segment;
use crate::storage::log::transactions::Unsettled;
use crate::storage::log::view::{Shape, View};
use crate::storage::upkeep::removal::Doomed;
use crate::storage::upkeep::swap;

/// Opens the log of a partition. One without directory is empty, and touches no file.
pub(in crate::storage) fn open(context: &Arc<Context>) -> io::Result<Arc<Log>> {
    let core = &context.core;
    if !core.directories.lock().contains(&context.directory) {
        return Ok(start_empty(context, Offset(0), false));
    }
    if belongs_to_another_topic(context) {
        let retired = core.retire_directory(&context.directory, names::DELETE_SUFFIX)?;
        tracing::warn!(
            partition = context.directory,
            "moved a deleted topic's files out of the way"
        );
        let delay = context.config.load().file_delete_delay_ms;
        let delay = std::time::Duration::from_millis(u64::try_from(delay).unwrap_or(0));
        core.removal
            .schedule(&core.io, Doomed::Directory(retired), delay);
        return Ok(start_empty(context, Offset(0), false));
    }
    Loader {
        context,
        recover: !core.clean,
    }
    .load()
}

/// A crash can come between the deletion of a topic and that of its files; a topic of the same
/// name must not find them.
fn belongs_to_another_topic(context: &Context) -> bool {
    let (io, path) = (
        &context.core.io,
        context.path.join(names::PARTITION_METADATA),
    );
    let topic = io.read(&path).ok().and_then(|content| {
        let content = std::str::from_utf8(&content).ok()?;
        partition_metadata::decode(content).ok().map(str::to_owned)
    });
    if let Some(topic) = topic {
        return topic != context.id.topic.to_base64();
    }
    // A crash came before it was written, or cut it short.
    let content = partition_metadata::encode(context.id.topic);
    if let Err(error) = replace_file(&**io, &path, content.as_bytes(), Persist::Lazy) {
        tracing::warn!(partition = context.directory, %error, "cannot write partition.metadata");
    }
    false
}

fn start_empty(context: &Arc<Context>, start: Offset, exists: bool) -> Arc<Log> {
    let core = &context.core;
    let segment = Segment::fresh(core.next_segment(), start);
    let mut epochs = Epochs::default();
    epochs.assign(current_epoch(context), start);
    let mark = Mark {
        offset: start,
        segment: start,
        position: 0,
    };
    let shape = Shape {
        segments: Arc::new([Arc::new(segment)]),
        epochs: Arc::new(epochs),
        log_start: start,
    };
    let view = View::new(shape, mark);
    let writer = Writer {
        producers: Producers::default(),
        exists,
        first_timestamp: None,
        segment_created: core.clock.wall(),
        jitter: core.random.lock().u32(..),
        needs_cut: false,
        passing: PassingSnapshots::default(),
    };
    Log::new(context.clone(), view, Unsettled::default(), writer)
}

/// Bytes of a segment below the log end.
fn limit_of(segment: &Segment, end: Mark) -> u64 {
    match segment.base == end.segment {
        true => end.position,
        false => segment.sealed_len().unwrap_or(0),
    }
}

fn current_epoch(context: &Context) -> LeaderEpoch {
    LeaderEpoch(context.leader_epoch.load(Ordering::SeqCst))
}

pub(in crate::storage) struct Loader<'a> {
    pub(in crate::storage) context: &'a Arc<Context>,
    /// Whether the last stop was not clean.
    recover: bool,
}

/// The files of a partition's directory.
#[derive(Debug, Default)]
pub(in crate::storage) struct Found {
    /// Lengths of the segments' files, by base offset.
    pub(in crate::storage) segments: BTreeMap<Offset, FoundSegment>,
    /// Offsets of the producer snapshots.
    snapshots: Vec<Offset>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::storage) struct FoundSegment {
    pub(in crate::storage) log: Option<u64>,
    pub(in crate::storage) offset_index: Option<u64>,
    pub(in crate::storage) time_index: Option<u64>,
}

/// The segments of a log, as they were taken up.
pub(in crate::storage) struct Taken {
    pub(in crate::storage) segments: Vec<Arc<Segment>>,
    pub(in crate::storage) end: Mark,
}

impl Loader<'_> {
    fn load(&self) -> io::Result<Arc<Log>> {
        let core = &self.context.core;
        let mut found = self.list()?;
        let directory = &self.context.directory;
        let checkpoint = core.log_starts.get(directory);
        let point = core.recovery_points.lock().get(directory).copied();
        let recovery_point = point.unwrap_or(Offset(0));
        let Some((&first_base, _)) = found.segments.first_key_value() else {
            return Ok(start_empty(
                self.context,
                checkpoint.unwrap_or(Offset(0)),
                true,
            ));
        };
        let known_epochs = self.read_epochs();
        let mut epochs = known_epochs.clone().unwrap_or_default();
        let taken = match self.recover {
            false => self.take_all(&found, point, &mut epochs)?,
            true => None,
        };
        let Taken { mut segments, end } = match taken {
            Some(taken) => taken,
            None => self.recover_all(&mut found, recovery_point, &mut epochs)?,
        };
        let mut end = end;
        let log_start = checkpoint.unwrap_or(first_base).max(first_base);
        let least_end = log_start.max(self.trusted(recovery_point).offset);
        if least_end > end.offset {
            // The disk did not keep what was deleted or, which it promised to keep, what was
            // acknowledged. No offset is given twice.
            if let Some(last) = segments.last() {
                last.seal(end.position);
            }
            segments.push(Arc::new(Segment::fresh(core.next_segment(), least_end)));
            end = Mark {
                offset: least_end,
                segment: least_end,
                position: 0,
            };
        }
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            segment.set_end(next.base);
        }
        let found_epochs = known_epochs.is_some().then_some(epochs);
        let mut epochs = self.settle_epochs(found_epochs, &segments, log_start, end)?;
        epochs.assign(current_epoch(self.context), end.offset);
        let producers = self.load_producers(&found.snapshots, &segments, end)?;
        let unsettled = self.unsettled(&producers, &segments, end)?;
        let shape = Shape {
            segments: segments.into(),
            epochs: Arc::new(epochs),
            log_start,
        };
        let view = View::new(shape, end);
        let writer = Writer {
            producers,
            exists: true,
            first_timestamp: self.first_timestamp(&view)?,
            segment_created: core.clock.wall(),
            jitter: core.random.lock().u32(..),
            needs_cut: false,
            passing: PassingSnapshots::default(),
        };
        self.context.expect_no_gaps_from(end.offset);
        self.context.note_recovery_point(end.offset);
        // What was recovered is on disk, and the next start must not take it for a torn tail.
        self.context.note_durable(end);
        let epochs_are_written = known_epochs.is_some_and(|known| known == *view.epochs);
        let log = Log::new(self.context.clone(), view, unsettled, writer);
        if !epochs_are_written {
            log.epochs_are_unwritten();
        }
        Ok(log)
    }

    /// Lists the directory, after finishing or undoing what was interrupted.
    fn list(&self) -> io::Result<Found> {
        let (io, dir) = (&*self.context.core.io, &self.context.path);
        let mut found = Found::default();
        let mut entries = io.read_dir(dir)?;
        let leftover = |entry: &DirEntry| {
            let name = entry.path.file_name().and_then(|name| name.to_str());
            name.is_some_and(swap::is_leftover)
        };
        if entries.iter().any(leftover) {
            swap::finish_interrupted(io, dir)?;
            entries = io.read_dir(dir)?;
        }
        for entry in entries {
            let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.ends_with(".tmp") {
                self.context.core.io.remove_file(&entry.path)?;
                continue;
            }
            let Some((kind, offset)) = SegmentFile::parse(name) else {
                continue;
            };
            if kind == SegmentFile::Snapshot {
                found.snapshots.push(offset);
                continue;
            }
            let files = found.segments.entry(offset).or_default();
            match kind {
                SegmentFile::Log => files.log = Some(entry.len),
                SegmentFile::OffsetIndex => files.offset_index = Some(entry.len),
                SegmentFile::TimeIndex => files.time_index = Some(entry.len),
                SegmentFile::Snapshot | SegmentFile::TxnIndex => {}
            }
        }
        // An index without its log is of no use.
        found.segments.retain(|_, files| files.log.is_some());
        found
            .snapshots
            .sort_unstable_by(|one, other| other.cmp(one));
        Ok(found)
    }

    pub(in crate::storage) fn open_log(&self, base: Offset) -> io::Result<Arc<dyn File>> {
        let path = self.context.path.join(SegmentFile::Log.name(base));
        self.context.core.io.open(&path, OpenMode::Write)
    }

    pub(in crate::storage) fn next_number(&self) -> u64 {
        self.context.core.next_segment()
    }

    pub(in crate::storage) fn index_interval(&self) -> u64 {
        self.context.config.load().index_interval_bytes
    }

    /// Takes up a log as a clean stop left it: nothing is read but the end of the active segment.
    /// `None` if it does not end at its recovery point, the log end of that stop: then it has to be
    /// recovered.
    fn take_all(
        &self,
        found: &Found,
        point: Option<Offset>,
        epochs: &mut Epochs,
    ) -> io::Result<Option<Taken>> {
        let Some((&base, files)) = found.segments.last_key_value() else {
            return Ok(None);
        };
        if point.is_some_and(|point| base > point) {
            return Ok(None);
        }
        let len = files.log.unwrap_or(0);
        let file = self.open_log(base)?;
        let read = self.read_indexes(base, files).unwrap_or_default();
        let Some(approach) = self.approach(base, &*file, read, |position, _| position == len)?
        else {
            return Ok(None);
        };
        // Base offsets have no checksum.
        if point.is_some_and(|point| point != approach.offset) {
            return Ok(None);
        }
        epochs.assign_all(&approach.epochs);
        let active = Segment::reopened(self.next_number(), base, approach.index, len);
        let mut segments: Vec<Arc<Segment>> = found
            .segments
            .range(..base)
            .map(|(base, files)| Arc::new(self.take_sealed(*base, files)))
            .collect();
        segments.push(Arc::new(active));
        let end = Mark {
            offset: approach.offset,
            segment: base,
            position: len,
        };
        Ok(Some(Taken { segments, end }))
    }

    /// A segment that was sealed and synced: its length and the lengths of its indexes say all.
    pub(in crate::storage) fn take_sealed(&self, base: Offset, files: &FoundSegment) -> Segment {
        let len = files.log.unwrap_or(0);
        let entries = |len: Option<u64>, entry: usize| {
            let len = usize::try_from(len?).ok()?;
            len.is_multiple_of(entry).then_some(len / entry)
        };
        let offsets = entries(files.offset_index, offset_index::ENTRY_LENGTH);
        let times = entries(files.time_index, time_index::ENTRY_LENGTH);
        // Any batch with a timestamp leaves an entry when the segment is sealed, so no entry at
        // all is not to be believed.
        let counts = offsets
            .zip(times)
            .filter(|(_, times)| *times > 0 || len == 0);
        Segment::sealed(self.next_number(), base, len, counts)
    }

    /// What the index files of an active segment say, if both are there.
    pub(in crate::storage) fn read_indexes(
        &self,
        base: Offset,
        files: &FoundSegment,
    ) -> Option<MemoryIndex> {
        files.offset_index?;
        files.time_index?;
        let read = |kind: SegmentFile| {
            self.context
                .core
                .io
                .read(&self.context.path.join(kind.name(base)))
        };
        let offsets = read(SegmentFile::OffsetIndex).ok()?;
        let times = read(SegmentFile::TimeIndex).ok()?;
        Some(MemoryIndex::from_files(&offsets, &times))
    }

    /// Calls `each` with every batch from `from` on, and its file.
    fn each_batch(
        &self,
        segments: &[Arc<Segment>],
        from: Offset,
        end: Mark,
        mut each: impl FnMut(&Scanned, &dyn File) -> io::Result<()>,
    ) -> io::Result<()> {
        let first = segments
            .partition_point(|segment| segment.base <= from)
            .saturating_sub(1);
        let files = self.context.files();
        for segment in segments.iter().skip(first) {
            let limit = limit_of(segment, end);
            if limit == 0 {
                continue;
            }
            let file = self.open_log(segment.base)?;
            let entry = segment.entry_before(files, from).ok().flatten();
            let mut scan = self.scan_from(segment, &*file, entry, limit);
            // What is stepped over is damage, or an index that lies.
            while let Some(batch) = scan.next_whole()? {
                if batch.header.base_offset >= from {
                    each(&batch, &*file)?;
                }
            }
        }
        Ok(())
    }

    /// A walk along the headers of a segment from the batch that an index entry names, if it
    /// does: one that names no batch might lead past what is sought.
    fn scan_from<'f>(
        &self,
        segment: &'f Segment,
        file: &'f dyn File,
        entry: Option<OffsetEntry>,
        limit: u64,
    ) -> Scan<'f> {
        let gaps_below = self.context.gaps_allowed_below();
        let scan = |start| {
            segment
                .scan(file, Depth::Headers, start, limit)
                .gaps_below(gaps_below)
        };
        let named = entry.and_then(|entry| {
            let walk = scan(u64::from(entry.position));
            let batch = walk.clone().next().ok()??;
            entry
                .names(segment.base, &batch.header)
                .then(|| walk.expecting(batch.header.base_offset))
        });
        named.unwrap_or_else(|| scan(0))
    }

    /// The transactions that are open at the log end, and where they begin.
    fn unsettled(
        &self,
        producers: &Producers,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Unsettled> {
        let mut unsettled = Unsettled::default();
        for (start, producer) in producers.open_transactions() {
            unsettled.begin(producer, self.locate(start, segments, end)?);
        }
        Ok(unsettled)
    }

    /// The batch that holds `offset`, or the next one that is whole, and its segment's base.
    fn batch_and_segment(
        &self,
        offset: Offset,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Option<(Offset, Scanned)>> {
        let after = segments.partition_point(|segment| segment.base <= offset);
        for segment in segments.iter().skip(after.saturating_sub(1)) {
            let limit = limit_of(segment, end);
            if limit == 0 {
                continue;
            }
            let file = self.open_log(segment.base)?;
            let entry = segment.entry_before(self.context.files(), offset);
            let mut scan = self.scan_from(segment, &*file, entry.ok().flatten(), limit);
            while let Some(batch) = scan.next_whole()? {
                if batch.header.last_offset() >= offset {
                    return Ok(Some((segment.base, batch)));
                }
            }
        }
        Ok(None)
    }

    /// The batch that holds `offset`, or the next one that is whole.
    fn batch_at(
        &self,
        offset: Offset,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Option<Scanned>> {
        let found = self.batch_and_segment(offset, segments, end)?;
        Ok(found.map(|(_, batch)| batch))
    }

    /// The last batch that is whole and ends before `offset`.
    fn batch_before(
        &self,
        offset: Offset,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Option<Scanned>> {
        let before = segments.partition_point(|segment| segment.base < offset);
        for segment in segments.iter().take(before).rev() {
            let limit = limit_of(segment, end);
            if limit == 0 {
                continue;
            }
            let file = self.open_log(segment.base)?;
            let entry = segment.entry_before(self.context.files(), offset.plus(-1));
            let mut scan = self.scan_from(segment, &*file, entry.ok().flatten(), limit);
            let mut last = None;
            while let Some(batch) = scan.next_whole()?
                && batch.header.last_offset() < offset
            {
                last = Some(batch);
            }
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// Where the batch that holds `offset` begins, or the next one that is whole.
    fn locate(&self, offset: Offset, segments: &[Arc<Segment>], end: Mark) -> io::Result<Mark> {
        let found = self.batch_and_segment(offset, segments, end)?;
        Ok(
            found.map_or(Mark { offset, ..end }, |(segment, batch)| Mark {
                offset,
                segment,
                position: batch.position,
            }),
        )
    }

    /// Where in a segment the batches below `offset` end.
    fn position_of(&self, offset: Offset, segment: &Arc<Segment>, end: Mark) -> io::Result<u64> {
        if segment.end().is_some_and(|next| next <= offset) || offset >= end.offset {
            return Ok(limit_of(segment, end));
        }
        let here = std::slice::from_ref(segment);
        let found = self.batch_at(offset, here, end)?;
        Ok(found.map_or(limit_of(segment, end), |batch| batch.position))
    }

    /// Largest timestamp of the first batch of the active segment.
    fn first_timestamp(&self, view: &View) -> io::Result<Option<Timestamp>> {
        if view.end.position == 0 {
            return Ok(None);
        }
        let file = self.open_log(view.end.segment)?;
        let base = view.end.segment;
        let mut scan = Scan::new(&*file, Depth::Headers, base, 0, view.end.position);
        match scan.next() {
            Ok(first) => Ok(first.map(|batch| batch.header.max_timestamp)),
            Err(ScanError::Io(error)) => Err(error),
            Err(ScanError::Damaged { .. }) => Ok(None),
        }
    }
}
