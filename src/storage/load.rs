//! Taking up a log that is on disk: after a clean stop little is read, after any other everything
//! from the recovery point on is checked.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::io::{DirEntry, File, OpenMode, Persist, replace_file};
use crate::model::{LeaderEpoch, Offset, Timestamp};

use super::aborted::{marker_of, recall};
use super::core::Context;
use super::damage::Lost;
use super::epochs::Epochs;
use super::format::names::{self, SegmentFile};
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

/// Whether a valid batch ends where the file does, when the walk goes on as recovery itself would:
/// over damage, too. So a second recovery, of the file that the first one cut, judges alike.
fn leads_to_end(mut scan: Scan<'_>) -> io::Result<bool> {
    loop {
        match scan.next() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(ScanError::Damaged { .. }) if scan.step_over_damage()?.is_some() => {}
            Err(ScanError::Damaged { .. }) => return Ok(false),
            Err(ScanError::Io(error)) => return Err(error),
        }
    }
}

struct Loader<'a> {
    context: &'a Arc<Context>,
    /// Whether the last stop was not clean.
    recover: bool,
}

/// The files of a partition's directory.
#[derive(Debug, Default)]
struct Found {
    /// Lengths of the segments' files, by base offset.
    segments: BTreeMap<Offset, FoundSegment>,
    /// Offsets of the producer snapshots.
    snapshots: Vec<Offset>,
}

#[derive(Clone, Copy, Debug, Default)]
struct FoundSegment {
    log: Option<u64>,
    offset_index: Option<u64>,
    time_index: Option<u64>,
}

/// What loading one segment gave.
struct Loaded {
    segment: Segment,
    len: u64,
    next_offset: Offset,
}

impl Loader<'_> {
    fn load(&self) -> io::Result<Arc<Log>> {
        let core = &self.context.core;
        let found = self.list()?;
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
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(found.segments.len());
        let mut end = Mark {
            offset: first_base,
            segment: first_base,
            position: 0,
        };
        let mut bases = found.segments.iter().peekable();
        while let Some((&base, files)) = bases.next() {
            let next_base = bases.peek().map(|(base, _)| **base);
            let unchecked = next_base.is_none_or(|next| next > recovery_point);
            let loaded = match next_base {
                _ if self.recover && unchecked => self.check(
                    base,
                    files,
                    next_base.is_some(),
                    recovery_point,
                    &mut epochs,
                )?,
                Some(_) => self.take_sealed(base, files)?,
                None => match self.take_active(base, files)? {
                    // After a clean stop the recovery point is the log end; base offsets have
                    // no checksum.
                    Some(loaded) if point.is_none_or(|point| point == loaded.next_offset) => loaded,
                    // The end is not what a clean stop leaves behind.
                    Some(_) | None => {
                        self.check(base, files, false, recovery_point, &mut epochs)?
                    }
                },
            };
            end = Mark {
                offset: loaded.next_offset,
                segment: base,
                position: loaded.len,
            };
            segments.push(Arc::new(loaded.segment));
        }
        let log_start = checkpoint.unwrap_or(first_base).max(first_base);
        let least_end = log_start.max(recovery_point);
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

    fn open_log(&self, base: Offset) -> io::Result<Arc<dyn File>> {
        let path = self.context.path.join(SegmentFile::Log.name(base));
        self.context.core.io.open(&path, OpenMode::Write)
    }

    fn next_number(&self) -> u64 {
        self.context.core.next_segment()
    }

    fn index_interval(&self) -> u64 {
        self.context.config.load().index_interval_bytes
    }

    /// Checks every byte of a segment and builds its indexes and epochs again.
    ///
    /// | damage | what follows it | then |
    /// | --- | --- | --- |
    /// | anywhere | a valid batch that can stand there | kept, refused to readers, reported |
    /// | in the last segment, at or above the recovery point | nothing valid | a torn tail: cut |
    /// | else | nothing valid | kept, refused to readers, reported |
    fn check(
        &self,
        base: Offset,
        files: &FoundSegment,
        sealed: bool,
        recovery_point: Offset,
        epochs: &mut Epochs,
    ) -> io::Result<Loaded> {
        let len = files.log.unwrap_or(0);
        let file = self.open_log(base)?;
        let mut index = MemoryIndex::default();
        let mut good: Vec<Range<u64>> = Vec::new();
        let mut good_from = 0;
        let mut damaged: Vec<Lost> = Vec::new();
        let mut scan = Scan::new(&*file, Depth::Checksums, base, 0, len)
            .gaps_below(self.context.gaps_allowed_below());
        let (mut end, mut next_offset) = (len, base);
        loop {
            let reason = match scan.next() {
                Ok(Some(batch)) => {
                    index.note(base, &batch.header, batch.position, self.index_interval());
                    next_offset = batch.header.next_offset();
                    epochs.assign(batch.header.leader_epoch, batch.header.base_offset);
                    continue;
                }
                Ok(None) => break,
                Err(ScanError::Damaged { reason, .. }) => reason,
                Err(ScanError::Io(error)) => return Err(error),
            };
            let damage = scan.position();
            good.push(good_from..damage);
            let may_be_torn = !sealed && next_offset >= recovery_point;
            let cut_short = may_be_torn && scan.stands_at_cut_batch()?;
            let mut island = scan.step_over_damage()?;
            // Within a batch that was cut short there may be, in a record, what looks like one.
            // It does not lead to the end of the file, as batches behind a damaged length do.
            if island.is_some() && cut_short && !leads_to_end(scan.clone())? {
                island = None;
            }
            match island {
                Some(lost) => {
                    self.context.report_damage(base, &lost, &reason);
                    good_from = lost.bytes.end;
                    damaged.push(lost);
                }
                None if may_be_torn => {
                    tracing::warn!(
                        partition = self.context.directory,
                        segment = base.0,
                        from = damage,
                        cut_bytes = len - damage,
                        next_offset = next_offset.0,
                        reason,
                        "cutting a torn tail"
                    );
                    file.set_len(damage)?;
                    (end, good_from) = (damage, damage);
                    break;
                }
                None => {
                    let lost = Lost {
                        bytes: damage..len,
                        offsets: next_offset..recovery_point.max(next_offset),
                    };
                    self.context.report_damage(base, &lost, &reason);
                    good_from = len;
                    damaged.push(lost);
                    break;
                }
            }
        }
        good.push(good_from..end);
        // What is kept must be on disk before anybody is told of it.
        file.sync_data()?;
        let number = self.next_number();
        let segment = if sealed {
            index.note_largest();
            let entries = (index.offsets.len(), index.times.len());
            let in_memory = Segment::reopened(number, base, index, end);
            for file in in_memory.write_indexes(self.context.files())?.files {
                file.sync_data()?;
            }
            Segment::sealed(number, base, end, entries.0, entries.1)
        } else {
            Segment::reopened(number, base, index, end)
        };
        for lost in damaged {
            segment.add_damage(lost);
        }
        for stretch in good {
            segment.set_verified(stretch.start, stretch.end);
        }
        Ok(Loaded {
            segment,
            len: end,
            next_offset,
        })
    }

    /// A segment that was sealed and synced: its length and the lengths of its indexes say all.
    fn take_sealed(&self, base: Offset, files: &FoundSegment) -> io::Result<Loaded> {
        let len = files.log.unwrap_or(0);
        // The next segment's base is what follows; nobody asks a sealed segment for its end.
        let loaded = |segment| Loaded {
            segment,
            len,
            next_offset: base,
        };
        let entries = |len: Option<u64>, entry: usize| {
            let len = usize::try_from(len?).ok()?;
            len.is_multiple_of(entry).then_some(len / entry)
        };
        let offsets = entries(files.offset_index, offset_index::ENTRY_LENGTH);
        let times = entries(files.time_index, time_index::ENTRY_LENGTH);
        if let (Some(offsets), Some(times)) = (offsets, times) {
            // Any batch with a timestamp leaves an entry when the segment is sealed, so no entry
            // at all is not to be believed.
            if times > 0 || len == 0 {
                let number = self.next_number();
                return Ok(loaded(Segment::sealed(number, base, len, offsets, times)));
            }
        }
        let file = self.open_log(base)?;
        let mut index = MemoryIndex::default();
        match self.walk(&*file, base, 0, len, &mut index) {
            Ok(_) | Err(ScanError::Damaged { .. }) => {}
            Err(ScanError::Io(error)) => return Err(error),
        }
        index.note_largest();
        let segment = Segment::reopened(self.next_number(), base, index, len);
        segment.write_indexes(self.context.files())?;
        segment.seal(len);
        Ok(loaded(segment))
    }

    /// The active segment after a clean stop; `None` if it does not end in a whole batch.
    fn take_active(&self, base: Offset, files: &FoundSegment) -> io::Result<Option<Loaded>> {
        let len = files.log.unwrap_or(0);
        let mut index = self.read_indexes(base, files).unwrap_or_default();
        let file = self.open_log(base)?;
        let start = index
            .offsets
            .last()
            .map_or(0, |entry| u64::from(entry.position));
        let walked = match self.walk(&*file, base, start, len, &mut index) {
            // An entry that names no batch: do without the index.
            Err(ScanError::Damaged { position, .. }) if position == start && start > 0 => {
                index = MemoryIndex::default();
                self.walk(&*file, base, 0, len, &mut index)
            }
            walked => walked,
        };
        match walked {
            Ok(next_offset) => {
                let segment = Segment::reopened(self.next_number(), base, index, len);
                Ok(Some(Loaded {
                    segment,
                    len,
                    next_offset,
                }))
            }
            Err(ScanError::Damaged { .. }) => Ok(None),
            Err(ScanError::Io(error)) => Err(error),
        }
    }

    /// The indexes of the active segment, if both are there and whole.
    fn read_indexes(&self, base: Offset, files: &FoundSegment) -> Option<MemoryIndex> {
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
        let index = MemoryIndex::from_files(&offsets, &times)?;
        // A log with timestamps has at least one entry after a clean stop.
        (!index.times.is_empty()).then_some(index)
    }

    /// Hops over the headers from `start`, where a batch begins, noting them in `index`; the
    /// offset after the last batch.
    fn walk(
        &self,
        file: &dyn File,
        base: Offset,
        start: u64,
        len: u64,
        index: &mut MemoryIndex,
    ) -> Result<Offset, ScanError> {
        let interval = self.index_interval();
        let mut scan = Scan::new(file, Depth::Headers, base, start, len);
        while let Some(batch) = scan.next()? {
            index.note(base, &batch.header, batch.position, interval);
        }
        Ok(scan.next_offset())
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
            let start = segment.entry_before(files, from).ok().flatten();
            let start = start.map_or(0, |entry| u64::from(entry.position));
            let mut scan = segment.scan(&*file, Depth::Headers, start, limit);
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
            let position = entry.ok().flatten().and_then(|entry| {
                // One that names no batch might lead past the one that is sought.
                let position = u64::from(entry.position);
                let mut there = segment.scan(&*file, Depth::Headers, position, limit);
                let batch = there.next().ok()??;
                entry.names(segment.base, &batch.header).then_some(position)
            });
            let start = position.unwrap_or(0);
            let mut scan = segment.scan(&*file, Depth::Headers, start, limit);
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
                let start = entry.map_or(0, |entry| u64::from(entry.position));
                let mut headers = Vec::new();
                let mut scan = segment.scan(&*file, Depth::Headers, start, stop);
                while let Ok(Some(batch)) = scan.next() {
                    if batch.header.producer_id >= 0 && batch.header.base_offset < offset {
                        headers.push(batch.header);
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
