//! The log of one partition: its writer, its published view, and what awaits a sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::batch::{BatchHeader, EndMarker, ValidBatch};
use crate::io::{File, OpenMode, Persist, replace_file};
use crate::model::{LeaderEpoch, Offset, Timestamp};

use crate::storage::core::{Context, Core};
use crate::storage::durability::commit::Urgency;
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::{leader_epochs, partition_metadata, producer_snapshot};
use crate::storage::log::epochs::Epochs;
use crate::storage::log::offsets::{Mark, Published, View};
use crate::storage::log::passing::{PassingSnapshot, PassingSnapshots};
use crate::storage::log::pins::Pin;
use crate::storage::log::producers::{Producers, Refusal, Step, Verdict};
use crate::storage::log::progress::Progress;
use crate::storage::log::segment::Segment;
use crate::storage::log::transactions::Unsettled;
use crate::storage::options::{Durability, LogConfig};
use crate::storage::outcome::{AppendError, Appended, OutOfOrderSequence};
use crate::storage::upkeep::swap::Reshaping;

/// The log of one partition.
#[derive(Debug)]
pub(in crate::storage) struct Log {
    context: Arc<Context>,
    published: Published,
    writer: Mutex<Writer>,
    unsynced: Mutex<Unsynced>,
    /// Held while files are written by their names beside the batches, never during a sync.
    naming: Mutex<()>,
    /// Where the last snapshot within the active segment is.
    passed: Mutex<Option<Offset>>,
    /// Held while aborted transactions are looked for.
    pub(in crate::storage) finding_aborted: Mutex<()>,
    /// Held by whoever takes segments out of the view or puts others there, while it exchanges
    /// their files: retention and the cleaner must not rename the same ones.
    /// Nobody who appends or commits ever takes it, so it may be held across a sync.
    upkeep: Mutex<Reshaping>,
    /// What was written of the active segment beside its batches.
    pub(in crate::storage) progress: Mutex<Progress>,
    /// When the log was taken up: the age of segments that say nothing of theirs.
    opened: Timestamp,
    /// Whether the commit thread has it on its list.
    queued: AtomicBool,
    /// Whether that is the list of what must be synced now.
    queued_urgently: AtomicBool,
}

/// What only the appending thread knows. Its lock is held for one append: never across an await
/// and never across a sync.
#[derive(Debug)]
pub(in crate::storage) struct Writer {
    pub(in crate::storage) producers: Producers,
    /// Whether the directory exists.
    pub(in crate::storage) exists: bool,
    /// Largest timestamp of the first batch of the active segment: the start of `segment.ms`.
    pub(in crate::storage) first_timestamp: Option<Timestamp>,
    /// When the active segment was begun or opened, for batches without timestamps.
    pub(in crate::storage) segment_created: Timestamp,
    /// By how much the active segment is rolled earlier, as a fraction of the largest jitter.
    pub(in crate::storage) jitter: u32,
    /// Whether bytes of a failed write may lie behind the log end.
    pub(in crate::storage) needs_cut: bool,
    /// When the producers are to be written out next.
    pub(in crate::storage) passing: PassingSnapshots,
}

/// What the next sync has to do.
#[derive(Debug, Default)]
struct Unsynced {
    /// Files with bytes that may not be on disk.
    files: Vec<Pin>,
    /// There are more of them than are listed, and only a sync of the file system will do.
    overflowed: bool,
    /// The partition's directory is new.
    new_directory: bool,
    /// There are new files in it.
    new_entries: bool,
    /// Segments that were sealed.
    sealed: Vec<Arc<Segment>>,
    /// Producer snapshots to be written, by the offset in their name.
    snapshots: Vec<(Offset, Vec<u8>)>,
    /// The leader epochs changed.
    epochs: bool,
    /// Segments in which transactions were aborted.
    aborted: Vec<Arc<Segment>>,
    /// The producers as of an offset within the active segment.
    passing: Option<PassingSnapshot>,
    /// Some of this was tried before.
    owes: bool,
}

/// What a sync took from a log, until it is done.
#[derive(Debug)]
pub(in crate::storage) struct Syncing {
    /// The log as it was: all below its end is in what was taken, or was taken before.
    view: Arc<View>,
    /// Only a sync of the file system will do.
    overflowed: bool,
    pins: Vec<Pin>,
    /// What was written beside the batches, and must be synced with them.
    files: Vec<Arc<dyn File>>,
    new_directory: bool,
    new_entries: bool,
    sealed: Vec<(Arc<Segment>, crate::storage::log::segment::IndexFiles)>,
    passing: Option<PassingSnapshot>,
    /// Whether the log is to be durable at all.
    durable: bool,
    /// Whether something could not be written beside the batches: the recovery point stays.
    owes: bool,
}

impl Syncing {
    /// Lets go of the files: a sync of the file system needs none of them, and thousands of logs
    /// may wait for one.
    fn without_files(mut self) -> Self {
        for (segment, written) in std::mem::take(&mut self.sealed) {
            segment.use_index_files(&written);
        }
        self.pins.clear();
        self.files.clear();
        self
    }
}

/// How the logs of a round are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Means {
    /// Each of their files.
    Files,
    /// All at once, with the file system.
    FileSystem,
}

/// What became of a sync.
#[derive(Debug)]
#[must_use]
pub(in crate::storage) enum Synced {
    /// It is done.
    Here,
    /// It is done once the file system is synced: then it goes to [`Log::end_sync`].
    Not(Syncing),
}

/// What becomes of indexes and snapshots that a sync writes beside the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chores {
    /// They are synced: the recovery point is about to pass the segment, and nobody will look
    /// at its batches again.
    Synced,
    /// They are left to the file system: the next start looks whether they are whole, and builds
    /// them again otherwise. A stop with many partitions has no time for three syncs each.
    Lazy,
}

impl Unsynced {
    fn add_file(&mut self, file: &Arc<dyn File>, core: &Core) {
        let is_last = |last: &Pin| Arc::ptr_eq(&last.file, file);
        if self.files.last().is_some_and(is_last) {
            return;
        }
        match core.pins.pin(file) {
            Some(pin) => self.files.push(pin),
            None => self.overflowed = true,
        }
    }

    fn add_aborted(&mut self, segment: &Arc<Segment>) {
        if !self
            .aborted
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, segment))
        {
            self.aborted.push(segment.clone());
        }
    }

    /// Takes back what could not be written, for lack of room: the next sync tries again.
    fn owe(&mut self, put_back: impl FnOnce(&mut Self)) {
        self.owes = true;
        put_back(self);
    }

    /// Whether there is more to do than syncing bytes.
    fn has_chores(&self) -> bool {
        self.new_directory
            || self.epochs
            || !self.sealed.is_empty()
            || !self.snapshots.is_empty()
            || !self.aborted.is_empty()
    }
}

impl Log {
    pub(in crate::storage) fn new(
        context: Arc<Context>,
        view: View,
        unsettled: Unsettled,
        writer: Writer,
    ) -> Arc<Self> {
        let opened = context.core.clock.wall();
        Arc::new(Self {
            context,
            opened,
            published: Published::new(view, unsettled),
            passed: Mutex::new(None),
            finding_aborted: Mutex::new(()),
            writer: Mutex::new(writer),
            unsynced: Mutex::default(),
            naming: Mutex::new(()),
            progress: Mutex::default(),
            upkeep: Mutex::default(),
            queued: AtomicBool::new(false),
            queued_urgently: AtomicBool::new(false),
        })
    }

    pub(in crate::storage) fn context(&self) -> &Context {
        &self.context
    }

    pub(in crate::storage) fn published(&self) -> &Published {
        &self.published
    }

    /// Waits for the append that is going on, if any, and keeps others from beginning.
    pub(in crate::storage) fn stop_writer(&self) -> parking_lot::MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Waits until no file is being written by its name, and keeps that from beginning: the
    /// directory's name may soon be that of another topic's.
    pub(in crate::storage) fn stop_naming(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.naming.lock()
    }

    /// Keeps others from exchanging segments. Taken before [`stop_naming`](Self::stop_naming).
    pub(in crate::storage) fn stop_upkeep(&self) -> parking_lot::MutexGuard<'_, Reshaping> {
        self.upkeep.lock()
    }

    /// As [`stop_upkeep`](Self::stop_upkeep); `None` instead of waiting.
    pub(in crate::storage) fn try_stop_upkeep(
        &self,
    ) -> Option<parking_lot::MutexGuard<'_, Reshaping>> {
        self.upkeep.try_lock()
    }

    /// When the log was taken up.
    pub(in crate::storage) fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Appends a batch: judges its sequence, assigns its offsets, writes, publishes.
    pub(in crate::storage) fn append(
        self: &Arc<Self>,
        batch: &ValidBatch,
        strict_sequence: bool,
    ) -> Result<Appended, AppendError> {
        let config = self.context.config.load();
        let size = batch.bytes.len() as u64;
        if size > config.segment_bytes {
            return Err(AppendError::TooLargeForSegment {
                size,
                max: config.segment_bytes,
            });
        }
        let mut writer = self.writer.lock();
        if self.context.is_deleted() {
            return Err(AppendError::Deleted);
        }
        if let Some(refusal) = self.context.core.refusal() {
            return Err(AppendError::Storage(refusal));
        }
        let now = self.context.core.clock.wall();
        let log_end = self.published.load().end.offset;
        let marker = match batch.header.is_control() {
            true => EndMarker::of(&batch.bytes),
            false => None,
        };
        let judged = self.judge(&mut writer, batch, marker, strict_sequence, log_end, now)?;
        if let Some(duplicate) = judged {
            return Ok(duplicate);
        }
        let header = BatchHeader {
            base_offset: log_end,
            leader_epoch: LeaderEpoch(self.context.leader_epoch.load(Ordering::SeqCst)),
            ..batch.header
        };
        if !self.context.may_use_reserve && !self.context.core.space.admit(size) {
            return Err(AppendError::Storage(self.context.core.space.refusal()));
        }
        self.roll_if_due(&mut writer, &header, &config, now);
        self.context
            .in_room(|| self.write(&mut writer, batch, &header, &config))
            .map_err(|error| AppendError::Storage(error.to_string()))?;
        let step = writer.producers.replay(&header, marker);
        let committed = self.publish(&header, step, &config);
        let Writer {
            passing, producers, ..
        } = &mut *writer;
        if let Some(snapshot) = passing.appended(size, header.next_offset(), producers) {
            self.unsynced.lock().passing = Some(snapshot);
        }
        let log_start = self.published.load().log_start;
        drop(writer);
        if committed {
            self.context.watch.wake();
        }
        if config.durability == Durability::Memory {
            self.context.core.watch_memory();
        }
        Ok(Appended {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            log_append_time: header.is_log_append_time().then_some(header.max_timestamp),
            log_start,
            duplicate: false,
        })
    }

    /// The answer to a retry; `None` if the batch is to be appended.
    fn judge(
        &self,
        writer: &mut Writer,
        batch: &ValidBatch,
        marker: Option<EndMarker>,
        strict_sequence: bool,
        log_end: Offset,
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        let Some(stamp) = batch.header.producer() else {
            return Ok(None);
        };
        writer.producers.expire(
            now,
            self.context
                .core
                .producer_id_expiration_ms
                .load(Ordering::Relaxed),
        );
        let transactional = batch.header.is_transactional();
        let verdict = match batch.header.is_control() {
            true => writer.producers.judge_marker(&stamp, marker),
            false => (writer.producers).judge(&stamp, strict_sequence, transactional),
        };
        let partition = || self.context.directory.clone();
        match verdict {
            Ok(Verdict::Append) => Ok(None),
            Ok(Verdict::Duplicate(original)) => Ok(Some(Appended {
                base_offset: original.base_offset(),
                next_offset: original.next_offset(),
                // Kafka answers the batch's timestamp here, whoever set it.
                log_append_time: Some(original.timestamp()),
                log_start: self.published.load().log_start,
                duplicate: true,
            })),
            Err(Refusal::Epoch { last }) => Err(AppendError::InvalidProducerEpoch {
                producer_id: stamp.id.0,
                offset: log_end.0,
                partition: partition(),
                got: stamp.epoch.0,
                last,
            }),
            Err(Refusal::OutsideTransaction) => Err(AppendError::OutsideTransaction {
                producer_id: stamp.id.0,
                offset: log_end.0,
                partition: partition(),
            }),
            Err(Refusal::Coordinator { last }) => Err(AppendError::CoordinatorFenced {
                producer_id: stamp.id.0,
                offset: log_end.0,
                partition: partition(),
                got: marker.map_or(-1, |marker| marker.coordinator_epoch),
                last,
            }),
            Err(Refusal::Sequence(problem)) => Err(AppendError::OutOfOrderSequence(Box::new(
                OutOfOrderSequence {
                    producer_id: stamp.id.0,
                    offset: log_end,
                    partition: partition(),
                    got: stamp.first_sequence,
                    problem,
                },
            ))),
        }
    }

    /// Begins a new segment if the batch should not go into the active one
    /// (`LogSegment.shouldRoll`).
    fn roll_if_due(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
        config: &LogConfig,
        now: Timestamp,
    ) {
        let view = self.published.load();
        let Some(active) = view.segments.last().filter(|_| view.end.position > 0) else {
            return;
        };
        let waited = match writer.first_timestamp.filter(|first| first.0 >= 0) {
            Some(first) => header.max_timestamp.0.saturating_sub(first.0),
            None => now.0.saturating_sub(writer.segment_created.0),
        };
        let segment_ms = config.segment_ms_max();
        let jitter_max = config.segment_jitter_ms.min(config.segment_ms).max(0);
        let jitter = if jitter_max == 0 {
            0
        } else {
            i64::from(writer.jitter) % jitter_max
        };
        let segment_bytes = config
            .segment_bytes
            .min(self.context.core.segment_bytes_max);
        let too_large = view.end.position + header.total_len() as u64 > segment_bytes;
        let too_old = waited > segment_ms.saturating_sub(jitter);
        let index_full = active
            .change_index(|index| index.is_full(config.segment_index_bytes))
            .unwrap_or(false);
        let out_of_reach = header.last_offset().0 - active.base.0 > i64::from(i32::MAX);
        if too_large || too_old || index_full || out_of_reach || active.aborted.is_full() {
            self.roll(writer, now);
        }
    }

    /// Begins a new segment. What the producer snapshot at its base says.
    pub(in crate::storage) fn roll(&self, writer: &mut Writer, now: Timestamp) -> Vec<u8> {
        let core = &self.context.core;
        let snapshot = producer_snapshot::encode(&writer.producers.snapshot());
        let told = snapshot.clone();
        writer.passing.restart(snapshot.len());
        writer.first_timestamp = None;
        writer.segment_created = now;
        writer.jitter = core.random.lock().u32(..);
        self.published.update(|view| {
            let fresh = Arc::new(Segment::fresh(core.next_segment(), view.end.offset));
            let mut unsynced = self.unsynced.lock();
            if let Some(active) = view.segments.last() {
                active.seal(view.end.position);
                active.set_end(fresh.base);
                unsynced.sealed.push(active.clone());
            }
            unsynced.snapshots.push((fresh.base, snapshot));
            view.end = Mark {
                offset: fresh.base,
                segment: fresh.base,
                position: 0,
            };
            view.segments = view.segments.iter().cloned().chain([fresh]).collect();
        });
        told
    }

    /// Writes the batch at the log end; nothing is visible yet. A write that failed leaves
    /// nothing behind, or is cut before the next one.
    fn write(
        &self,
        writer: &mut Writer,
        batch: &ValidBatch,
        header: &BatchHeader,
        config: &LogConfig,
    ) -> io::Result<()> {
        let (context, core) = (&self.context, &self.context.core);
        let view = self.published.load();
        let Some(active) = view.segments.last() else {
            return Err(io::Error::other("a log without segments"));
        };
        let position = view.end.position;
        if !writer.exists {
            core.io.create_dir_all(&context.path)?;
            core.directories.lock().insert(context.directory.clone());
            writer.exists = true;
            let mut unsynced = self.unsynced.lock();
            (unsynced.new_directory, unsynced.epochs) = (true, true);
        }
        let file = active.writable_log_file(context.files(), position == 0)?;
        if position == 0 && config.preallocate {
            file.reserve(config.segment_bytes)?;
        }
        if writer.needs_cut {
            file.set_len(position)?;
            writer.needs_cut = false;
        }
        let prefix = batch.patched_prefix(header.base_offset, header.leader_epoch);
        let rest = batch.bytes.get(prefix.len()..).unwrap_or_default();
        if let Err(error) = file.write_all_at(&[&prefix, rest], position) {
            writer.needs_cut = file.set_len(position).is_err();
            tracing::warn!(partition = context.directory, %error, "cannot append");
            return Err(error);
        }
        active.change_index(|index| {
            index.note(active.base, header, position, config.index_interval_bytes)
        });
        if position == 0 {
            writer.first_timestamp = Some(header.max_timestamp);
        }
        if header.max_timestamp.0 < 0 {
            active.touch(core.clock.wall());
        }
        let mut unsynced = self.unsynced.lock();
        unsynced.new_entries |= position == 0;
        unsynced.add_file(&file, core);
        Ok(())
    }

    /// Makes an appended batch visible to those who may see it, and has it synced. Whether the
    /// high watermark moved.
    fn publish(
        self: &Arc<Self>,
        header: &BatchHeader,
        step: Option<Step>,
        config: &LogConfig,
    ) -> bool {
        let (mut urgency, mut committed) = (None, false);
        self.published.update_transactions(|view, unsettled| {
            if let Some(step) = step {
                unsettled.apply(step, view.end);
                // Before the marker settles anything: whoever may read the records must find that
                // they are aborted.
                if let (Some(entry), Some(active)) = (step.aborted(), view.segments.last()) {
                    active.aborted.add(entry);
                    self.unsynced.lock().add_aborted(active);
                }
            }
            let position = view.end.position + header.total_len() as u64;
            let next = header.next_offset();
            view.end = Mark {
                offset: next,
                segment: view.end.segment,
                position,
            };
            if view.epochs.latest() != Some(header.leader_epoch) {
                let mut epochs = Epochs::clone(&view.epochs);
                if epochs.assign(header.leader_epoch, header.base_offset) {
                    view.epochs = Arc::new(epochs);
                    self.unsynced.lock().epochs = true;
                }
            }
            let unflushed = next.0 - view.durable.0;
            (urgency, committed) = match config.durability {
                Durability::Fsync => (Some(Urgency::Now), false),
                // Where Kafka's `UnifiedLog.append` flushes, and its caller waits, the round syncs,
                // and those wait who wait for a commit.
                Durability::Os if unflushed >= config.flush_messages => (Some(Urgency::Now), false),
                Durability::Os => {
                    let flush_ms = u64::try_from(config.flush_ms).unwrap_or(0);
                    (Some(Urgency::Within(Duration::from_millis(flush_ms))), true)
                }
                Durability::Memory => {
                    view.durable = next;
                    (
                        self.unsynced.lock().has_chores().then_some(Urgency::Now),
                        true,
                    )
                }
            };
            if committed {
                view.committed = view.end;
            }
        });
        if let Some(urgency) = urgency {
            self.queue(urgency);
        }
        committed
    }

    /// Puts the log on the commit thread's list, unless it is there.
    pub(in crate::storage) fn queue(self: &Arc<Self>, urgency: Urgency) {
        let listed = match urgency {
            Urgency::Now => &self.queued_urgently,
            Urgency::Within(_) => &self.queued,
        };
        if !listed.swap(true, Ordering::SeqCst) {
            let core = &self.context.core;
            core.commit
                .queue(self.clone(), urgency, core.clock.monotonic());
        }
    }

    /// Writes what is kept beside the batches, syncs, and makes known what is durable. An error
    /// is that of a failed sync, and final; other failures leave things that can be rebuilt.
    pub(in crate::storage) fn sync(&self, by: Means) -> io::Result<Synced> {
        let Some(syncing) = self.begin_sync(Chores::Synced) else {
            return Ok(Synced::Here);
        };
        if syncing.overflowed || (by == Means::FileSystem && syncing.durable) {
            return Ok(Synced::Not(syncing.without_files()));
        }
        self.sync_files(&syncing)?;
        self.end_sync(syncing);
        Ok(Synced::Here)
    }

    /// Takes what there is to sync, and writes what is kept beside the batches; `None` if the
    /// partition is deleted. Nobody else may be syncing the log: two would take each other's work,
    /// and the one that finds nothing left would call durable what the other is still syncing.
    fn begin_sync(&self, chores: Chores) -> Option<Syncing> {
        self.queued.store(false, Ordering::SeqCst);
        self.queued_urgently.store(false, Ordering::SeqCst);
        // The end is read before the files are taken: an append lists its file after it wrote and
        // before it publishes, so the bytes below this end are in files taken now, or earlier.
        let view = arc_swap::Guard::into_inner(self.published.load());
        let mut work = std::mem::take(&mut *self.unsynced.lock());
        let naming = self.naming.lock();
        if self.context.is_deleted() {
            return None;
        }
        let durable = self.context.config.load().durability != Durability::Memory;
        let mut files: Vec<Arc<dyn File>> = Vec::new();
        let sealed = self.do_chores(&view, &mut work, &mut files, chores);
        drop(naming);
        Some(Syncing {
            view,
            overflowed: durable && work.overflowed,
            pins: work.files,
            files,
            new_directory: work.new_directory,
            new_entries: work.new_entries,
            sealed,
            passing: work.passing,
            durable,
            owes: self.unsynced.lock().owes,
        })
    }

    /// Whether something could not be written beside the batches and is to be tried again.
    pub(in crate::storage) fn owes(&self) -> bool {
        self.unsynced.lock().owes
    }

    /// Syncs the files of a log, then the names of those that are new, then that of its directory.
    fn sync_files(&self, syncing: &Syncing) -> io::Result<()> {
        if !syncing.durable {
            return Ok(());
        }
        let core = &self.context.core;
        let sync = || {
            let pinned = syncing.pins.iter().map(|pin| &pin.file);
            for file in pinned.chain(&syncing.files) {
                file.sync_data()?;
            }
            if syncing.new_entries || syncing.new_directory {
                core.io.sync_dir(&self.context.path)?;
            }
            if syncing.new_directory {
                core.io.sync_dir(&core.dir)?;
            }
            Ok(())
        };
        match sync() {
            // Somebody deleted the partition under our hands.
            Err(_) if self.context.is_deleted() => Ok(()),
            synced => synced,
        }
    }

    /// Makes known what is durable, once what [`begin_sync`](Self::begin_sync) took is synced.
    pub(in crate::storage) fn end_sync(&self, syncing: Syncing) {
        if self.context.is_deleted() {
            return;
        }
        for (segment, written) in &syncing.sealed {
            segment.use_index_files(written);
        }
        let end = syncing.view.end;
        self.published.update(|newest| {
            newest.durable = newest.durable.max(end.offset);
            if end.offset > newest.committed.offset {
                newest.committed = end;
            }
        });
        // Nobody waits for what follows.
        self.context.watch.wake();
        if !syncing.owes {
            self.context.note_recovery_point(end.offset);
        }
        if syncing.durable {
            self.context.note_durable(end);
        }
        if !syncing.sealed.is_empty() || syncing.passing.is_some() {
            // After the sync: it must not tell of what a power cut takes back.
            if let Err(error) = self.tell_aborted() {
                let partition = &self.context.directory;
                tracing::warn!(partition, %error, "cannot write {}", names::TXN_INDEXES);
            }
        }
        if let Some(passing) = syncing.passing.filter(|_| syncing.durable) {
            self.pass_snapshot(passing, end.offset);
        }
    }

    /// Writes indexes, snapshots, epochs and `partition.metadata`, adding what must be synced to
    /// `files`.
    fn do_chores(
        &self,
        view: &View,
        work: &mut Unsynced,
        synced_files: &mut Vec<Arc<dyn File>>,
        chores: Chores,
    ) -> Vec<(Arc<Segment>, crate::storage::log::segment::IndexFiles)> {
        let (context, core) = (&self.context, &self.context.core);
        let again = work.owes;
        let warn = |what: &str, error: io::Error| match again {
            // Tried again every second.
            true => tracing::debug!(partition = context.directory, %error, "cannot write {what}"),
            false => tracing::warn!(partition = context.directory, %error, "cannot write {what}"),
        };
        let owe = |put_back: &dyn Fn(&mut Unsynced)| self.unsynced.lock().owe(put_back);
        if work.new_directory {
            let content = partition_metadata::encode(context.id.topic);
            let path = context.path.join(names::PARTITION_METADATA);
            let written = replace_file(&*core.io, &path, content.as_bytes(), Persist::Lazy);
            match written.and_then(|()| core.io.open(&path, OpenMode::Write)) {
                // Synced with the first batches: a directory that outlives the deletion of its
                // topic must not be taken for that of the next topic of its name.
                Ok(file) => synced_files.push(file),
                Err(error) => warn(names::PARTITION_METADATA, error),
            }
        }
        if work.epochs {
            match self.write_epochs(view) {
                Ok(Some(file)) => {
                    synced_files.push(file);
                    work.new_entries = true;
                }
                Ok(None) => {}
                Err(error) => {
                    owe(&|unsynced| unsynced.epochs = true);
                    warn(names::LEADER_EPOCHS, error);
                }
            }
        }
        let mut written_files = Vec::new();
        for (offset, content) in std::mem::take(&mut work.snapshots) {
            if self.keeps_snapshot(offset) {
                continue;
            }
            match self.write_snapshot(offset, &content) {
                Ok(file) => written_files.push(file),
                Err(error) => {
                    owe(&|unsynced| unsynced.snapshots.push((offset, content.clone())));
                    warn("a producer snapshot", error);
                }
            }
        }
        for segment in std::mem::take(&mut work.aborted) {
            // Not synced: the next start knows what must be in it, or looks into the batches.
            if let Err(error) = segment.write_aborted(context.files()) {
                warn("a transaction index", error);
            }
        }
        let mut sealed = Vec::new();
        let preallocated = context.config.load().preallocate;
        for segment in std::mem::take(&mut work.sealed) {
            if segment.is_gone() {
                continue;
            }
            if preallocated && let Err(error) = give_back(&segment, view, context.files()) {
                warn("what was set aside", error);
            }
            match segment.write_aborted(context.files()) {
                Ok(file) => written_files.extend(file),
                Err(error) => warn("a transaction index", error),
            }
            match segment.write_indexes(context.files()) {
                Ok(written) => {
                    // Those of a sealed segment are believed without a look at its batches.
                    let believed = segment.sealed_len().is_some();
                    let files = if believed {
                        &mut *synced_files
                    } else {
                        &mut written_files
                    };
                    files.extend(written.files.iter().cloned());
                    work.new_entries |= believed;
                    sealed.push((segment, written));
                }
                Err(error) => {
                    // Half an index would be believed at the next start, none is built again.
                    let _ = core
                        .io
                        .remove_file(&segment.path(&context.path, SegmentFile::OffsetIndex));
                    owe(&|unsynced| unsynced.sealed.push(segment.clone()));
                    warn("an index", error);
                }
            }
        }
        if chores == Chores::Synced && !written_files.is_empty() {
            synced_files.append(&mut written_files);
            work.new_entries = true;
        }
        sealed
    }

    /// Writes where the epochs begin, unless it is known; the file is to be synced with the first
    /// batches of a new epoch. Below the durable offset a start reads no headers, as long as this
    /// file has their epochs.
    fn write_epochs(&self, view: &View) -> io::Result<Option<Arc<dyn File>>> {
        let (context, core) = (&self.context, &self.context.core);
        if self.epochs_on_disk(view)? {
            return Ok(None);
        }
        // Epochs whose batches are gone are known from this file alone.
        let persist = match context.config.load().durability {
            Durability::Memory => Persist::Lazy,
            Durability::Fsync | Durability::Os if view.log_start == Offset(0) => Persist::Lazy,
            Durability::Fsync | Durability::Os => Persist::Whole,
        };
        let content = leader_epochs::encode(view.epochs.entries());
        let path = context.path.join(names::LEADER_EPOCHS);
        replace_file(&*core.io, &path, content.as_bytes(), persist)?;
        core.io.open(&path, OpenMode::Write).map(Some)
    }

    /// Has the epochs written with the next append: what the file says is not what the log does.
    pub(in crate::storage) fn epochs_are_unwritten(&self) {
        self.unsynced.lock().epochs = true;
    }

    /// Whether the file of the epochs says what the view does. It need not be cut at the log start:
    /// whoever reads it does that.
    pub(in crate::storage) fn epochs_on_disk(&self, view: &View) -> io::Result<bool> {
        let path = self.context.path.join(names::LEADER_EPOCHS);
        let content = match self.context.core.io.read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let entries = std::str::from_utf8(&content).ok();
        let entries = entries.and_then(|content| leader_epochs::decode(content).ok());
        let mut known = Epochs::new(entries.unwrap_or_default());
        known.cut_front(view.log_start);
        Ok(known == *view.epochs)
    }

    /// Whether a snapshot need not be written: its segment is gone, or it is the one that holds
    /// what the segments before it said, which is never touched again.
    fn keeps_snapshot(&self, offset: Offset) -> bool {
        let first = self
            .published
            .load()
            .segments
            .first()
            .map(|first| first.base);
        match first {
            Some(first) if offset < first => true,
            Some(first) if offset == first && first > Offset(0) => self.has_snapshot(offset),
            Some(_) | None => false,
        }
    }

    /// The snapshot at `offset`, if the next sync is to write it.
    pub(in crate::storage) fn pending_snapshot(&self, offset: Offset) -> Option<Vec<u8>> {
        let unsynced = self.unsynced.lock();
        let mut pending = unsynced.snapshots.iter();
        let found = pending.find(|(at, _)| *at == offset)?;
        Some(found.1.clone())
    }

    /// Whether there is a snapshot at `offset` that makes sense.
    pub(in crate::storage) fn has_snapshot(&self, offset: Offset) -> bool {
        let path = self.context.path.join(SegmentFile::Snapshot.name(offset));
        let content = self.context.core.io.read(&path);
        content.is_ok_and(|content| producer_snapshot::decode(&content).is_ok())
    }

    /// Writes the producers as of an offset that is durable, in the place of those of an earlier
    /// one; they wait, if it is not. Not synced: it saves a start some reading, if it is there.
    fn pass_snapshot(&self, snapshot: PassingSnapshot, durable: Offset) {
        let PassingSnapshot { offset, .. } = snapshot;
        if offset > durable {
            self.unsynced.lock().passing.get_or_insert(snapshot);
            return;
        }
        let _no_others = self.naming.lock();
        if self.context.is_deleted() {
            return;
        }
        let view = self.published.load();
        let is_base = |at: Offset| view.segments.iter().any(|segment| segment.base == at);
        if is_base(offset) {
            return;
        }
        if let Err(error) = self.write_snapshot(offset, &snapshot.content) {
            let partition = &self.context.directory;
            tracing::warn!(partition, %error, "cannot write a producer snapshot");
        }
        let old = self.passed.lock().replace(offset);
        if let Some(old) = old.filter(|old| *old != offset && !is_base(*old)) {
            let path = self.context.path.join(SegmentFile::Snapshot.name(old));
            // One too many harms nobody: the next start removes it.
            let _ = self.context.core.io.remove_file(&path);
        }
    }

    fn write_snapshot(&self, offset: Offset, content: &[u8]) -> io::Result<Arc<dyn File>> {
        let path = self.context.path.join(SegmentFile::Snapshot.name(offset));
        let file = self.context.core.io.open(&path, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_all_at(&[content], 0)?;
        Ok(file)
    }

    /// Publishes a new log start, which is durable.
    pub(in crate::storage) fn move_log_start(&self, log_start: Offset) {
        self.published.update(|view| {
            view.log_start = view.log_start.max(log_start);
            // Their file need not say so: whoever reads it knows the log start.
            let mut epochs = Epochs::clone(&view.epochs);
            if epochs.cut_front(view.log_start) {
                view.epochs = Arc::new(epochs);
            }
        });
    }

    /// Stamps `epoch`, which is newer than the last, on what comes.
    pub(in crate::storage) fn begin_epoch(&self, epoch: LeaderEpoch) {
        let _writer = self.writer.lock();
        self.published.update(|view| {
            let mut epochs = Epochs::clone(&view.epochs);
            if epochs.assign(epoch, view.end.offset) {
                view.epochs = Arc::new(epochs);
                self.unsynced.lock().epochs = true;
            }
        });
    }

    /// Writes everything that lets the next start read little: the active segment's indexes, a
    /// snapshot at the log end. After it, the log is as on disk. Appends must have ended.
    pub(in crate::storage) fn close(&self) -> io::Result<Synced> {
        let writer = self.writer.lock();
        if self.context.is_deleted() || !writer.exists {
            return Ok(Synced::Here);
        }
        let snapshot = producer_snapshot::encode(&writer.producers.snapshot());
        {
            let view = self.published.load();
            let mut unsynced = self.unsynced.lock();
            unsynced.snapshots.push((view.end.offset, snapshot));
            unsynced.epochs = true;
            if let Some(active) = view.segments.last() {
                active.change_index(crate::storage::log::segment::MemoryIndex::note_largest);
                unsynced.sealed.push(active.clone());
            }
        }
        drop(writer);
        if let Err(error) = self.complete_aborted() {
            let partition = &self.context.directory;
            tracing::warn!(partition, %error, "cannot write the transaction indexes");
        }
        match self.begin_sync(Chores::Lazy) {
            None => Ok(Synced::Here),
            Some(syncing) if syncing.overflowed => Ok(Synced::Not(syncing.without_files())),
            Some(syncing) => {
                self.sync_files(&syncing)?;
                self.end_sync(syncing);
                Ok(Synced::Here)
            }
        }
    }

    /// Has the next sync be one of the whole file system: what was written without a promise is
    /// to be kept from now on, and nobody held on to its files.
    pub(in crate::storage) fn distrust_handles(&self) {
        if self.context.core.file_system.is_some() {
            self.unsynced.lock().overflowed = true;
        }
    }
}

/// Frees what was set aside for a segment and is not needed (`preallocate`).
fn give_back(
    segment: &Segment,
    view: &View,
    files: crate::storage::log::segment::Files<'_>,
) -> io::Result<()> {
    let len = segment.sealed_len().unwrap_or(view.end.position);
    segment.writable_log_file(files, false)?.set_len(len)
}
