//! What the partitions of one store share.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::SharedClock;
use crate::io::{FileSystem, Persist, SharedIo, replace_file};
use crate::model::{Offset, TopicPartition};

use super::format::journal::{Contents, DurablePoint};
use super::format::{names, offset_checkpoint};
use super::options::{Durability, LogConfig};
use crate::storage::durability::commit::Commit;
use crate::storage::durability::journal::Journal;
use crate::storage::durability::offline::Health;
use crate::storage::durability::space::{self, Space};
use crate::storage::log::file_cache::FileCache;
use crate::storage::log::offsets::Mark;
use crate::storage::log::pins::Pins;
use crate::storage::log::segment::Files;
use crate::storage::log::shared_reads::SharedReads;
use crate::storage::recovery::damage::{Damage, DamageList, Lost};
use crate::storage::upkeep::cleaner::{CleanPoints, Cleaner};
use crate::storage::upkeep::log_starts::LogStarts;
use crate::storage::upkeep::memory_bound;
use crate::storage::upkeep::removal::Removal;
use crate::storage::upkeep::wall_clock::WallClock;
use crate::storage::upkeep::worker::{Partitions, Upkeep};
use crate::wake::Waiters;

/// Which part of the open files may wait for a sync, and how many may at least.
const PINNED_SHARE: usize = 4;
const PINNED_MIN: usize = 16;

/// What the partitions of one store share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) io: SharedIo,
    pub(super) dir: PathBuf,
    pub(super) clock: SharedClock,
    pub(super) durability: Durability,
    pub(super) producer_id_expiration_ms: AtomicI64,
    pub(super) cleaner: Cleaner,
    pub(super) files: FileCache,
    /// What readers at the ends of logs read last.
    pub(super) shared_reads: SharedReads,
    /// The open files that wait for a sync.
    pub(super) pins: Pins,
    /// The file system of the directory, held since before the first write.
    pub(super) file_system: Option<Arc<dyn FileSystem>>,
    pub(super) commit: Commit,
    pub(super) removal: Removal,
    pub(super) upkeep: Upkeep,
    /// All partitions, for those who have to find room among them.
    pub(super) partitions: OnceLock<Weak<Partitions>>,
    /// Held by whoever frees memory.
    pub(super) freeing: Mutex<()>,
    /// How long a segment may get, whatever `segment.bytes` says.
    pub(super) segment_bytes_max: u64,
    /// Whether every log that was found was closed cleanly.
    pub(super) clean: bool,
    /// Whether a sync failed before the last stop: what is in memory may not be on disk.
    pub(super) sync_failed: bool,
    /// Names of the partition directories that exist.
    pub(super) directories: Mutex<HashSet<String>>,
    /// Offsets below which logs are on disk, by directory.
    pub(super) recovery_points: Mutex<offset_checkpoint::Offsets>,
    /// Directories that the checkpoint of these names.
    points_on_disk: Mutex<HashSet<String>>,
    pub(super) log_starts: LogStarts,
    /// Offsets below which logs may have gaps, by directory.
    pub(super) compacted: Mutex<offset_checkpoint::Offsets>,
    /// Whether what that says was written durably by this process.
    pub(super) compacted_is_durable: AtomicBool,
    /// What is known to be damaged.
    pub(super) damage: DamageList,
    /// Up to where each log is known to be on disk.
    pub(super) journal: Journal,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) next_segment: AtomicU64,
    /// Whether a sync failed.
    pub(super) health: Arc<Health>,
    /// Whether there is room on the disk.
    pub(super) space: Arc<Space>,
    closed: AtomicBool,
}

/// Where a store's state comes from, other than its options.
#[derive(Debug, Default)]
pub(super) struct FoundState {
    pub(super) clean: bool,
    /// Whether a sync failed before the last stop.
    pub(super) sync_failed: bool,
    pub(super) directories: HashSet<String>,
    pub(super) recovery_points: offset_checkpoint::Offsets,
    pub(super) log_starts: offset_checkpoint::Offsets,
    pub(super) compacted: offset_checkpoint::Offsets,
    pub(super) journal: Option<Contents>,
    pub(super) clean_points: CleanPoints,
}

impl Core {
    /// `options.io` is guarded by `health` and `space`.
    pub(super) fn new(
        options: &super::options::StoreOptions,
        health: Arc<Health>,
        space: Arc<Space>,
        found: FoundState,
    ) -> Self {
        let file_system = options.io.file_system(&options.dir);
        Self {
            io: options.io.clone(),
            dir: options.dir.clone(),
            clock: options.clock.clone(),
            durability: options.durability,
            producer_id_expiration_ms: AtomicI64::new(options.producer_id_expiration_ms),
            cleaner: Cleaner::new(
                options.upkeep.cleaner.clone(),
                &options.clock,
                found.clean_points,
            ),
            files: FileCache::new(options.io.clone(), options.open_files_max),
            shared_reads: SharedReads::default(),
            pins: Pins::new(match &file_system {
                Some(_) => (options.open_files_max / PINNED_SHARE).max(PINNED_MIN),
                None => usize::MAX,
            }),
            file_system,
            commit: Commit::default(),
            removal: Removal::new(options.clock.clone()),
            upkeep: Upkeep::new(WallClock::new(&*options.clock)),
            partitions: OnceLock::new(),
            freeing: Mutex::new(()),
            segment_bytes_max: memory_bound::segment_bytes_max(options.io.memory()),
            clean: found.clean,
            sync_failed: found.sync_failed,
            directories: Mutex::new(found.directories),
            points_on_disk: Mutex::new(found.recovery_points.keys().cloned().collect()),
            recovery_points: Mutex::new(found.recovery_points),
            log_starts: LogStarts::new(found.log_starts),
            compacted: Mutex::new(found.compacted),
            compacted_is_durable: AtomicBool::new(false),
            damage: DamageList::default(),
            journal: Journal::new(options.io.clone(), &options.dir, found.journal),
            random: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            next_segment: AtomicU64::new(0),
            health,
            space,
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn next_segment(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    /// A random id of version 4 from the store's own generator.
    pub(super) fn random_uuid(&self) -> uuid::Uuid {
        let bits = self.random.lock().u128(..);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// Takes the directory offline: no append is accepted or acknowledged any more. A failed sync
    /// has done so already.
    pub(super) fn fail(&self, error: &io::Error) {
        self.health.fail(&self.dir, error);
    }

    /// Syncs all that was written to the file system of the directory.
    pub(super) fn sync_file_system(&self) -> io::Result<()> {
        match &self.file_system {
            Some(file_system) => file_system.sync(),
            // Without one no file that waits for a sync is closed.
            None => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }

    /// Why nothing can be written, if so.
    pub(super) fn refusal(&self) -> Option<String> {
        if let Some(failure) = self.health.failure() {
            return Some(failure.to_owned());
        }
        self.closed
            .load(Ordering::SeqCst)
            .then(|| "the store is closed".to_owned())
    }

    /// Refuses appends from now on; whether it did so before.
    pub(super) fn set_closed(&self) -> bool {
        self.closed.swap(true, Ordering::SeqCst)
    }

    /// Moves a partition's directory out of the way, under a name that says why.
    pub(super) fn retire_directory(&self, directory: &str, suffix: &str) -> io::Result<PathBuf> {
        let retired = names::retired_directory(directory, self.random_uuid(), suffix);
        let path = self.dir.join(retired);
        self.io.rename(&self.dir.join(directory), &path)?;
        self.directories.lock().remove(directory);
        // A partition of the same name must not find the offsets of this one.
        if self.log_starts.remove(directory) {
            self.write_log_starts(Persist::Durable)?;
        }
        if self.compacted.lock().remove(directory).is_some() {
            self.write_compacted(Persist::Lazy)?;
        }
        self.cleaner.points.forget(&*self.io, &self.dir, directory);
        self.recovery_points.lock().remove(directory);
        if self.points_on_disk.lock().contains(directory) {
            self.write_recovery_points(Persist::Lazy)?;
        }
        Ok(path)
    }

    /// Frees memory, if logs are in memory and there is too little. Whether an append that found
    /// none may be tried again: somebody else may have freed some since.
    pub(super) fn free_memory(&self) -> bool {
        let partitions = self.partitions.get().and_then(Weak::upgrade);
        let (Some(memory), Some(partitions)) = (self.io.memory(), partitions) else {
            return false;
        };
        if memory_bound::is_low(memory) {
            memory_bound::free(self, &partitions);
        }
        true
    }

    /// Has memory freed in the background before there is too little.
    pub(super) fn watch_memory(&self) {
        if self.io.memory().is_some_and(memory_bound::is_low) {
            self.upkeep.note_low_memory();
        }
    }

    /// Writes the checkpoint of the log starts. Waits for the disk.
    pub(super) fn write_log_starts(&self, persist: Persist) -> io::Result<()> {
        self.log_starts.write(&*self.io, &self.dir, persist)
    }

    /// Writes the checkpoint of the recovery points.
    pub(super) fn write_recovery_points(&self, persist: Persist) -> io::Result<()> {
        let recovery_points = self.recovery_points.lock();
        let content = offset_checkpoint::encode(&recovery_points);
        let path = self.dir.join(names::RECOVERY_POINTS);
        replace_file(&*self.io, &path, content.as_bytes(), persist)?;
        *self.points_on_disk.lock() = recovery_points.keys().cloned().collect();
        Ok(())
    }
}

/// What a partition is, apart from its log.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) core: Arc<Core>,
    pub(super) id: TopicPartition,
    /// Name of its directory.
    pub(super) directory: String,
    /// That directory.
    pub(super) path: PathBuf,
    pub(super) leader_epoch: AtomicI32,
    pub(super) config: ArcSwap<LogConfig>,
    /// Whether room is kept for its records.
    pub(super) may_use_reserve: bool,
    pub(super) waiters: Waiters,
    pub(super) deleted: AtomicBool,
    /// Below it offsets may be missing between batches.
    pub(super) gaps_below: AtomicI64,
}

impl Context {
    /// The way to its files.
    pub(super) fn files(&self) -> Files<'_> {
        Files {
            cache: &self.core.files,
            dir: &self.path,
        }
    }

    /// Does what writes records: where there is no room, the broker's own are given some.
    pub(super) fn in_room<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let space = &self.core.space;
        let done = match self.may_use_reserve {
            true => space.in_reserve(work),
            false => work(),
        };
        if done.as_ref().is_err_and(space::is_full) {
            space.note_full();
        }
        done
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::SeqCst)
    }

    /// Notes, and says loudly, that a part of the log cannot be read.
    pub(super) fn report_damage(&self, segment: Offset, lost: &Lost, reason: &str) {
        self.core.damage.report(Damage {
            partition: self.id,
            directory: self.directory.clone(),
            segment,
            bytes: lost.bytes.clone(),
            offsets: lost.offsets.clone(),
            reason: reason.to_owned(),
        });
    }

    /// Up to where the log is known to have been on disk when the last process stopped, or later.
    pub(super) fn durable_point(&self) -> Option<DurablePoint> {
        self.core.journal.point(&self.id)
    }

    /// Notes that the log is on disk up to `mark`, for the journal.
    pub(super) fn note_durable(&self, mark: Mark) {
        let point = DurablePoint {
            offset: mark.offset,
            segment: mark.segment,
            position: mark.position,
        };
        let journal = &self.core.journal;
        journal.note(self.id, point, || self.is_deleted());
    }

    /// Notes below which offset the log is on disk, for the next checkpoint.
    pub(super) fn note_recovery_point(&self, offset: Offset) {
        let mut points = self.core.recovery_points.lock();
        // Under the lock: the deletion takes the entry out after it said that it deletes.
        if self.is_deleted() {
            return;
        }
        match points.get_mut(&self.directory) {
            Some(point) => *point = offset,
            None => {
                points.insert(self.directory.clone(), offset);
            }
        }
    }
}
