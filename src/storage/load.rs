//! Taking up a log that is on disk: after a clean stop little is read, after any other everything
//! from the recovery point on is checked.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::io::{DirEntry, File, OpenMode, Persist, replace_file};
use crate::model::{LeaderEpoch, Offset, Timestamp};

use super::aborted::{marker_of, recall};
use super::core::Context;
use super::epochs::Epochs;
use super::format::names::{self, SegmentFile};
use super::format::offset_index::OffsetEntry;
use super::format::{
    leader_epochs, offset_index, partition_metadata, producer_snapshot, time_index,
};
use super::log::{Log, Writer};
use super::offsets::{Mark, View};
use super::producers::Producers;
use super::removal::Doomed;
use super::scan::{Depth, Scan, ScanError, Scanned};
use super::segment::{MemoryIndex, Segment};
use super::swap;
use super::transactions::Unsettled;

/// How far back the batches of producers are read that a snapshot does not hold.
const READ_BACK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much of that is read at a time.
const READ_BACK_STEP_BYTES: u64 = 1024 * 1024;

/// Opens the log of a partition. One without directory is empty, and touches no file.
pub(super) fn open(context: &Arc<Context>) -> io::Result<Arc<Log>> {
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
    let view = View {
        segments: Arc::new([Arc::new(segment)]),
        epochs: Arc::new(epochs),
        log_start: start,
        end: mark,
        committed: mark,
        last_stable: mark,
        durable: start,
    };
    let writer = Writer {
        producers: Producers::default(),
        exists,
        first_timestamp: None,
        segment_created: core.clock.wall(),
        jitter: core.random.lock().u32(..),
        needs_cut: false,
    };
    Log::new(context.clone(), view, Unsettled::default(), writer)
}

fn current_epoch(context: &Context) -> LeaderEpoch {
    LeaderEpoch(context.leader_epoch.load(Ordering::SeqCst))
}

pub(super) struct Loader<'a> {
    pub(super) context: &'a Arc<Context>,
    /// Whether the last stop was not clean.
    recover: bool,
}

/// The files of a partition's directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Lengths of the segments' files, by base offset.
    pub(super) segments: BTreeMap<Offset, FoundSegment>,
    /// Offsets of the producer snapshots.
    snapshots: Vec<Offset>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FoundSegment {
    pub(super) log: Option<u64>,
    pub(super) offset_index: Option<u64>,
    pub(super) time_index: Option<u64>,
}

/// The segments of a log, as they were taken up.
pub(super) struct Taken {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) end: Mark,
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
            false => self.take_all(&found, point)?,
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
        if known_epochs.is_none() {
            epochs = self.rebuild_epochs(&segments, end)?;
        }
        epochs.cut_back(end.offset);
        epochs.cut_front(log_start);
        epochs.assign(current_epoch(self.context), end.offset);
        let producers = self.load_producers(&found.snapshots, &segments, end)?;
        let unsettled = self.unsettled(&producers, &segments, end)?;
        let view = View {
            segments: segments.into(),
            epochs: Arc::new(epochs),
            log_start,
            end,
            committed: end,
            last_stable: end,
            durable: end.offset,
        };
        let writer = Writer {
            producers,
            exists: true,
            first_timestamp: self.first_timestamp(&view)?,
            segment_created: core.clock.wall(),
            jitter: core.random.lock().u32(..),
            needs_cut: false,
        };
        self.context.expect_no_gaps_from(end.offset);
        self.context.note_recovery_point(end.offset);
        Ok(Log::new(self.context.clone(), view, unsettled, writer))
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

    pub(super) fn open_log(&self, base: Offset) -> io::Result<Arc<dyn File>> {
        let path = self.context.path.join(SegmentFile::Log.name(base));
        self.context.core.io.open(&path, OpenMode::Write)
    }

    pub(super) fn next_number(&self) -> u64 {
        self.context.core.next_segment()
    }

    pub(super) fn index_interval(&self) -> u64 {
        self.context.config.load().index_interval_bytes
    }

    /// Takes up a log as a clean stop left it: nothing is read but the end of the active segment.
    /// `None` if it does not end at its recovery point, the log end of that stop: then it has to be
    /// recovered.
    fn take_all(&self, found: &Found, point: Option<Offset>) -> io::Result<Option<Taken>> {
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
    pub(super) fn take_sealed(&self, base: Offset, files: &FoundSegment) -> Segment {
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
    pub(super) fn read_indexes(&self, base: Offset, files: &FoundSegment) -> Option<MemoryIndex> {
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

    fn read_epochs(&self) -> Option<Epochs> {
        let content = self
            .context
            .core
            .io
            .read(&self.context.path.join(names::LEADER_EPOCHS))
            .ok()?;
        let entries = leader_epochs::decode(std::str::from_utf8(&content).ok()?).ok()?;
        Some(Epochs::new(entries))
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
            let limit = match segment.base == end.segment {
                true => end.position,
                false => segment.sealed_len().unwrap_or(0),
            };
            if limit == 0 {
                continue;
            }
            let file = self.open_log(segment.base)?;
            let entry = segment.entry_before(files, from).ok().flatten();
            let mut scan = self.scan_from(segment, &*file, entry, limit);
            loop {
                match scan.next() {
                    Ok(Some(batch)) if batch.header.base_offset >= from => each(&batch, &*file)?,
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(ScanError::Io(error)) => return Err(error),
                    // Damage, or an index that lies.
                    Err(ScanError::Damaged { .. }) if scan.step_over_damage()?.is_none() => break,
                    Err(ScanError::Damaged { .. }) => {}
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

    fn rebuild_epochs(&self, segments: &[Arc<Segment>], end: Mark) -> io::Result<Epochs> {
        let mut epochs = Epochs::default();
        self.each_batch(segments, Offset(0), end, |batch, _| {
            epochs.assign(batch.header.leader_epoch, batch.header.base_offset);
            Ok(())
        })?;
        Ok(epochs)
    }

    /// The producers at the log end: the newest snapshot that can be used, what was written after
    /// it, and before it as far as retries may need it.
    fn load_producers(
        &self,
        snapshots: &[Offset],
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Producers> {
        let usable = |offset: &&Offset| **offset <= end.offset;
        let read = |offset: Offset| {
            let path = self.context.path.join(SegmentFile::Snapshot.name(offset));
            let content = self.context.core.io.read(&path).ok()?;
            match producer_snapshot::decode(&content) {
                Ok(entries) => Some((offset, Producers::from_snapshot(&entries))),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "ignoring a producer snapshot");
                    None
                }
            }
        };
        let newest = snapshots
            .iter()
            .filter(usable)
            .find_map(|offset| read(*offset));
        // One a segment is kept, as in Kafka; those of earlier stops would pile up.
        let newest_at = newest.as_ref().map(|(offset, _)| *offset);
        for offset in snapshots
            .iter()
            .filter(|offset| Some(**offset) != newest_at)
        {
            if !segments.iter().any(|segment| segment.base == *offset) {
                let path = self.context.path.join(SegmentFile::Snapshot.name(*offset));
                self.context.core.io.remove_file(&path)?;
            }
        }
        let (from, mut producers) = newest.unwrap_or((Offset(0), Producers::default()));
        self.read_back(&mut producers, from, segments, end)?;
        let mut aborted = Vec::new();
        self.each_batch(segments, from, end, |batch, file| {
            let step = producers.replay(&batch.header, marker_of(file, batch)?);
            aborted.extend(step.and_then(|step| step.aborted()));
            Ok(())
        })?;
        recall(self.context, segments, end.offset, from, &aborted);
        Ok(producers)
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

    /// Where the batch that holds `offset` begins, or the next one that is whole.
    fn locate(&self, offset: Offset, segments: &[Arc<Segment>], end: Mark) -> io::Result<Mark> {
        let after = segments.partition_point(|segment| segment.base <= offset);
        for segment in segments.iter().skip(after.saturating_sub(1)) {
            let limit = match segment.base == end.segment {
                true => end.position,
                false => segment.sealed_len().unwrap_or(0),
            };
            let file = self.open_log(segment.base)?;
            let entry = segment.entry_before(self.context.files(), offset);
            let mut scan = self.scan_from(segment, &*file, entry.ok().flatten(), limit);
            loop {
                match scan.next() {
                    Ok(Some(batch)) if batch.header.last_offset() >= offset => {
                        return Ok(Mark {
                            offset,
                            segment: segment.base,
                            position: batch.position,
                        });
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(ScanError::Io(error)) => return Err(error),
                    Err(ScanError::Damaged { .. }) if scan.step_over_damage()?.is_none() => break,
                    Err(ScanError::Damaged { .. }) => {}
                }
            }
        }
        Ok(Mark { offset, ..end })
    }

    /// Reads the headers below `offset`, newest first, until every producer has the batches that
    /// a retry may ask for.
    fn read_back(
        &self,
        producers: &mut Producers,
        offset: Offset,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<()> {
        let files = self.context.files();
        let mut budget = READ_BACK_BYTES_MAX;
        for segment in segments
            .iter()
            .rev()
            .filter(|segment| segment.base < offset)
        {
            let mut stop = match segment.base == end.segment {
                true => end.position,
                false => segment.sealed_len().unwrap_or(0),
            };
            let file = self.open_log(segment.base)?;
            while stop > 0 {
                if !producers.wants_older() || budget == 0 {
                    return Ok(());
                }
                let back = stop.saturating_sub(READ_BACK_STEP_BYTES);
                let entry = segment.entry_at_or_before(files, back).ok().flatten();
                let mut headers = Vec::new();
                let mut scan = self.scan_from(segment, &*file, entry, stop);
                let start = scan.position();
                loop {
                    match scan.next() {
                        Ok(Some(batch)) => {
                            if batch.header.producer_id >= 0 && batch.header.base_offset < offset {
                                headers.push(batch.header);
                            }
                        }
                        Ok(None) => break,
                        Err(ScanError::Io(error)) => return Err(error),
                        Err(ScanError::Damaged { .. }) if scan.step_over_damage()?.is_none() => {
                            break;
                        }
                        Err(ScanError::Damaged { .. }) => {}
                    }
                }
                headers
                    .iter()
                    .rev()
                    .for_each(|header| producers.replay_older(header));
                budget = budget.saturating_sub(stop - start);
                stop = start;
            }
        }
        Ok(())
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
