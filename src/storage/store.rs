//! All partitions of one broker, and the directory that holds them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::io::{File, OpenMode, Persist, SharedIo, replace_file};
use crate::model::{Offset, TopicId, TopicPartition};

use super::core::{Context, Core, FoundState};
use super::format::meta_properties::{self, MetaProperties};
use super::format::{clean_shutdown, names, offset_checkpoint};
use super::options::{CleanerOptions, Durability, PartitionSpec, StoreOptions};
use super::outcome::ReadError;
use super::partition::Partition;
use crate::storage::durability::commit::{Commit, Formatting};
use crate::storage::durability::guard::guard;
use crate::storage::durability::journal::{self, NoteError};
use crate::storage::durability::offline::Health;
use crate::storage::durability::parallel;
use crate::storage::durability::space::Space;
use crate::storage::log::file_cache::FileCacheStats;
use crate::storage::log::partition_log::Log;
use crate::storage::log::sync::Synced;
use crate::storage::recovery::damage::Damage;
use crate::storage::recovery::gaps;
use crate::storage::recovery::leftovers;
use crate::storage::upkeep::cleaner::{CleanPoints, Cleaned, Cleaner};
use crate::storage::upkeep::delete_records;
use crate::storage::upkeep::removal::Doomed;
use crate::storage::upkeep::trim::{Freed, Haste};
use crate::storage::upkeep::worker::{self, Partitions, Upkeep};
use crate::wake::Waiters;

/// Logs that are recovered at the same time.
const PARALLEL_RECOVERIES: usize = 4;

/// Logs that are closed at the same time.
const PARALLEL_CLOSES: usize = 8;

/// All partitions of one broker. Dropping it ends its threads and frees its directory; only
/// [`close`](Self::close) makes that a clean stop.
#[derive(Debug)]
pub struct Store {
    core: Arc<Core>,
    partitions: Arc<Partitions>,
    /// Directories that deletions left, until it is known who is there.
    leftovers: Mutex<Vec<PathBuf>>,
    /// Held for as long as the store is there.
    _lock: Arc<dyn File>,
}

/// Files of a partition that is deleted.
#[derive(Debug)]
pub struct Remains(Doomed);

/// What was found in the directory.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Cluster id of `meta.properties`.
    pub cluster_id: String,
    /// Directory id of `meta.properties`.
    pub directory_id: TopicId,
    /// Whether the last stop was clean.
    pub clean: bool,
}

/// What recovery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Partitions whose logs were checked.
    pub partitions: usize,
    /// Partitions whose logs could not be opened; using them tries again.
    pub failed: usize,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another broker holds the directory.
    #[error("{0} is in use by another broker")]
    Locked(PathBuf),
    /// `meta.properties` belongs to another node or cluster, or makes no sense.
    #[error("{path}: {reason}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path, source }
}

impl Store {
    /// Opens the directory, formatting an empty one.
    ///
    /// Reads the directory once and its checkpoints; no partition's files. Nothing is synced
    /// here: what formatting wrote becomes durable with the first append.
    pub fn open(options: StoreOptions) -> Result<(Arc<Self>, Opened), OpenError> {
        let health = Health::of(&options.io, &options.dir);
        let space = Arc::new(Space::new(&options));
        let options = StoreOptions {
            io: guard(options.io, Arc::clone(&health), Arc::clone(&space)),
            ..options
        };
        let (io, dir) = (&options.io, &options.dir);
        io.create_dir_all(dir).map_err(at(dir))?;
        let lock_path = dir.join(names::LOCK);
        let lock = io.lock(&lock_path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(dir.clone()),
            _ => OpenError::Io {
                path: lock_path.clone(),
                source: error,
            },
        })?;
        let entries = io.read_dir(dir).map_err(at(dir))?;
        let mut found = FoundState::default();
        let mut leftovers = Vec::new();
        let mut formatted = false;
        for entry in &entries {
            let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            match name {
                names::CLEAN_SHUTDOWN => found.clean = true,
                names::META_PROPERTIES => formatted = true,
                names::RESERVE => space.set_held(entry.len),
                names::SYNC_FAILED => found.sync_failed = true,
                _ if entry.is_dir && name.ends_with(names::DELETE_SUFFIX) => {
                    leftovers.push(entry.path.clone());
                }
                _ if entry.is_dir && names::parse_partition_directory(name).is_some() => {
                    found.directories.insert(name.to_owned());
                }
                _ => {}
            }
        }
        // A directory without partitions has nothing to recover.
        found.clean |= found.directories.is_empty() && leftovers.is_empty();
        found.recovery_points = read_checkpoint(io, &dir.join(names::RECOVERY_POINTS));
        found.log_starts = read_checkpoint(io, &dir.join(names::LOG_STARTS));
        found.journal = journal::read(&**io, &dir.join(names::DURABLE_OFFSETS));
        // A crash between the deletion of a partition and that of its entries leaves offsets that
        // a partition of the same name must not take for its own, now or at a later start.
        let entries_found = found.recovery_points.len() + found.log_starts.len();
        found
            .recovery_points
            .retain(|name, _| found.directories.contains(name));
        found
            .log_starts
            .retain(|name, _| found.directories.contains(name));
        found.clean_points = CleanPoints::read(&**io, dir, &found.directories);
        let (compacted, must_write) = gaps::read(io, dir, &found.directories);
        found.compacted = compacted;
        let has_leftovers = found.recovery_points.len() + found.log_starts.len() < entries_found;
        let clean = found.clean;
        let core = Arc::new(Core::new(&options, health, space, found));
        if has_leftovers {
            core.write_log_starts(Persist::Durable).map_err(at(dir))?;
            core.write_recovery_points(Persist::Durable)
                .map_err(at(dir))?;
        }
        if must_write {
            core.write_compacted(Persist::Lazy).map_err(at(dir))?;
        }
        let meta_path = dir.join(names::META_PROPERTIES);
        let formatted = formatted && !was_being_formatted(io, dir);
        let meta = match formatted {
            true => read_meta(&options, &meta_path)?,
            false => format_directory(&core, &options, &meta_path).map_err(at(&meta_path))?,
        };
        match io.remove_file(&dir.join(names::CLEAN_SHUTDOWN)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(dir)(error)),
            Ok(()) | Err(_) => {}
        }
        let meta_file = io
            .open(&meta_path, OpenMode::Write)
            .map_err(at(&meta_path))?;
        Commit::start(
            &core,
            Formatting {
                files: vec![meta_file],
                // The journal's file is made by the first round, after it has synced these.
                directories: match io.exists(&dir.join(names::DURABLE_OFFSETS)) {
                    true => Vec::new(),
                    false => directories_above(dir),
                },
            },
        )
        .map_err(at(dir))?;
        Space::start(&core);
        let opened = Opened {
            cluster_id: meta.cluster_id,
            directory_id: meta
                .directory_id
                .as_deref()
                .and_then(TopicId::from_base64)
                .unwrap_or_else(|| TopicId(core.random_uuid())),
            clean,
        };
        let partitions = Arc::<Partitions>::default();
        let _ = core.partitions.set(Arc::downgrade(&partitions));
        Upkeep::start(&core, &partitions, &options.upkeep).map_err(at(dir))?;
        let store = Self {
            core,
            partitions,
            leftovers: Mutex::new(leftovers),
            _lock: lock,
        };
        Ok((Arc::new(store), opened))
    }

    /// Takes up a partition: no file is touched before the first use of its log. One that is
    /// attached already gets the settings and, if it is newer, the leader epoch.
    pub fn attach(&self, spec: PartitionSpec) -> Arc<Partition> {
        if let Some(partition) = self.partition(&spec.id) {
            partition.reconfigure(spec.config);
            partition.begin_epoch(spec.leader_epoch);
            return partition;
        }
        let directory = names::partition_directory(&spec.topic_name, spec.id.partition.0);
        let gaps_below = self.core.compacted.lock().get(&directory).copied();
        let gaps_below = gaps_below.unwrap_or_default();
        let is_compacted = spec.config.compact;
        let context = Context {
            core: self.core.clone(),
            id: spec.id,
            path: self.core.dir.join(&directory),
            gaps_below: AtomicI64::new(gaps_below.0),
            directory,
            leader_epoch: AtomicI32::new(spec.leader_epoch.0),
            config: ArcSwap::new(spec.config),
            may_use_reserve: spec.may_use_reserve,
            waiters: Waiters::default(),
            deleted: AtomicBool::new(false),
        };
        let partition = self
            .partitions
            .entry(spec.id)
            .or_insert_with(|| Arc::new(Partition::new(context)))
            .clone();
        if is_compacted {
            Cleaner::start(&self.core);
        }
        partition
    }

    /// The partition, if it is attached.
    pub fn partition(&self, id: &TopicPartition) -> Option<Arc<Partition>> {
        self.partitions.get(id).map(|partition| partition.clone())
    }

    /// Detaches a partition, and removes its files in the background after
    /// `file.delete.delay.ms`; what is left of it until then, if there were any.
    pub fn delete(&self, id: &TopicPartition) -> Option<Remains> {
        let (_, partition) = self.partitions.remove(id)?;
        let mut remains = None;
        let context = partition.context();
        self.core.damage.forget(*id);
        self.core.cleaner.forget(*id);
        partition.end(|| {
            self.core.journal.forget(id);
            if !self.core.directories.lock().contains(&context.directory) {
                return;
            }
            match self
                .core
                .retire_directory(&context.directory, names::DELETE_SUFFIX)
            {
                Ok(path) => {
                    let delay = context.config.load().file_delete_delay_ms;
                    let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
                    let doomed = Doomed::Directory(path);
                    remains = Some(Remains(doomed.clone()));
                    self.core.removal.schedule(&self.core.io, doomed, delay);
                }
                Err(error) => {
                    tracing::error!(partition = context.directory, %error, "cannot delete");
                }
            }
        });
        remains
    }

    /// Frees at once what partitions left whose deletion is durable, if there is hardly any room.
    pub fn free(&self, remains: &[Remains]) {
        if self.core.space.is_low() {
            for Remains(doomed) in remains {
                self.core.removal.hasten(doomed);
            }
        }
    }

    /// Has old segments go now, as the upkeep thread does from time to time. Waits for the disk.
    pub fn apply_retention(&self, haste: Haste) -> Freed {
        worker::pass_now(&self.core, &self.partitions, haste)
    }

    /// Moves log starts (DeleteRecords), each at most to the high watermark; durable when it
    /// returns, with one write for all. The new log starts. Waits for the disk.
    pub fn delete_records(
        &self,
        wanted: &[(Arc<Partition>, Offset)],
    ) -> Vec<Result<Offset, ReadError>> {
        let logs: Vec<_> = wanted
            .iter()
            .map(|(partition, before)| partition.log().map(|log| (&**log, *before)))
            .collect();
        delete_records::delete(&self.core, logs)
    }

    /// Directories in the data directory that belong to none of the attached partitions are
    /// moved out of the way, as Kafka does with strays. What deletions left is removed.
    pub fn remove_strays(&self) {
        leftovers::remove(&self.core, std::mem::take(&mut *self.leftovers.lock()));
        let is_attached = |id: &TopicPartition| self.partitions.contains_key(id);
        self.core.journal.retain(is_attached);
        let attached: std::collections::HashSet<String> = self
            .partitions
            .iter()
            .map(|entry| entry.context().directory.clone())
            .collect();
        let strays: Vec<String> = self
            .core
            .directories
            .lock()
            .difference(&attached)
            .cloned()
            .collect();
        for stray in strays {
            match self.core.retire_directory(&stray, names::STRAY_SUFFIX) {
                Ok(path) => {
                    tracing::warn!(path = %path.display(), "set aside a directory of no known partition");
                }
                Err(error) => tracing::error!(stray, %error, "cannot set aside a stray directory"),
            }
        }
    }

    /// After an unclean stop: undoes deletions that were not durable, and checks the logs of all attached partitions that have files, several
    /// at a time. After a clean one there is nothing to do. Waits for the disk.
    pub fn recover(&self) -> Recovered {
        if self.core.clean {
            return Recovered::default();
        }
        leftovers::give_back(&self.core, &mut self.leftovers.lock(), &self.partitions);
        let with_files: Vec<Arc<Partition>> = {
            let directories = self.core.directories.lock();
            let attached = self.partitions.iter().map(|entry| entry.value().clone());
            attached
                .filter(|each| directories.contains(&each.context().directory))
                .collect()
        };
        let failed = AtomicUsize::new(0);
        parallel::for_each(&with_files, PARALLEL_RECOVERIES, |partition| {
            if partition.log().is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        });
        let failed = failed.into_inner();
        if self.core.sync_failed && failed == 0 {
            let note = self.core.dir.join(names::SYNC_FAILED);
            if let Err(error) = self.core.io.remove_file(&note) {
                tracing::warn!(path = %note.display(), %error, "cannot remove");
            }
        }
        Recovered {
            partitions: with_files.len(),
            failed,
        }
    }

    /// The data directory, with its total and usable bytes where the file system says.
    pub fn log_dir(&self) -> (PathBuf, Option<u64>, Option<u64>) {
        let dir = self.core.dir.clone();
        match self.core.io.space(&dir) {
            Some((total, usable)) => (dir, Some(total), Some(usable)),
            None => (dir, None, None),
        }
    }

    /// Why the data directory is offline, if it is: a sync failed, and nothing is written any more.
    pub fn failure(&self) -> Option<String> {
        self.core.health.failure().map(str::to_owned)
    }

    /// The file system, for files that lie beside the log of a partition (metadata snapshots).
    pub fn io(&self) -> &SharedIo {
        &self.core.io
    }

    /// The default durability.
    pub fn durability(&self) -> Durability {
        self.core.durability
    }

    /// Changes how long producers are remembered (`producer.id.expiration.ms`).
    pub fn remember_producers_for(&self, ms: i64) {
        self.core
            .producer_id_expiration_ms
            .store(ms, Ordering::Relaxed);
    }

    /// Changes the settings of the cleaner.
    pub fn set_cleaner(&self, options: CleanerOptions) {
        Cleaner::set_options(&self.core, options);
    }

    /// Compacts the log that needs it most, if any is due, as the cleaner's threads do from time
    /// to time. Waits for the disk.
    pub fn clean_once(&self) -> Option<Cleaned> {
        self.core
            .cleaner
            .clean_dirtiest(&self.core, &self.partitions)
    }

    /// How many damaged stretches were found since the start.
    pub fn damage_count(&self) -> u64 {
        self.core.damage.count()
    }

    /// The damaged stretches that were found since the start, of partitions that are there; as
    /// many as are listed.
    pub fn damage(&self) -> Vec<Damage> {
        self.core.damage.list()
    }

    /// One turn of what keeps room on the disk, which else has a thread and a time of its own.
    #[cfg(test)]
    pub(super) fn keep_room(&self) {
        let mut next_pass = Duration::ZERO;
        crate::storage::durability::space::tend(&self.core, &mut next_pass);
    }

    /// Whether a cleaner may write so many bytes.
    #[cfg(test)]
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        self.core.space.has_room_for(bytes)
    }

    /// Counts of the open files.
    pub fn file_cache_stats(&self) -> FileCacheStats {
        self.core.files.stats()
    }

    /// Refuses appends, flushes everything, writes the checkpoints and, last, the clean-shutdown
    /// marker. Waits for the disk.
    pub fn close(&self) -> io::Result<()> {
        let core = &self.core;
        let failed = core.refusal();
        if core.set_closed() {
            return Ok(());
        }
        core.cleaner.stop();
        core.commit.stop();
        core.upkeep.stop();
        core.removal.stop();
        core.space.stop();
        if let Some(failure) = failed {
            return Err(io::Error::other(failure));
        }
        let opened: Vec<(Arc<Partition>, Arc<Log>)> = self
            .partitions
            .iter()
            .filter_map(|entry| Some((entry.value().clone(), entry.opened_log()?.clone())))
            .collect();
        let (failure, unsynced) = (OnceLock::new(), Mutex::new(Vec::new()));
        parallel::for_each(&opened, PARALLEL_CLOSES, |(partition, log)| {
            match log.close() {
                Ok(Synced::Here) => {}
                Ok(Synced::Not(syncing)) => unsynced.lock().push((log.clone(), syncing)),
                Err(error) => {
                    let _ = failure.set(error);
                }
            }
            partition.context().waiters.wake();
        });
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        let unsynced = unsynced.into_inner();
        if !unsynced.is_empty() {
            core.sync_file_system()?;
        }
        for (log, syncing) in unsynced {
            log.end_sync(syncing);
        }
        if opened.iter().any(|(_, log)| log.owes()) {
            // Not what a clean stop leaves behind.
            return Err(io::Error::other(
                "not all could be written that lies beside the batches",
            ));
        }
        let mut high_watermarks = core.recovery_points.lock().clone();
        for (partition, log) in &opened {
            let directory = &partition.context().directory;
            if let Some(high_watermark) = high_watermarks.get_mut(directory) {
                *high_watermark = log.published().load().committed.offset;
            }
        }
        let persist = match core.durability {
            Durability::Memory => return Ok(()),
            Durability::Fsync | Durability::Os => Persist::Durable,
        };
        // Before the journal's file appears: no later start does it again.
        core.commit.finish_formatting(core)?;
        if let Some(news) = core.journal.take_news() {
            match core.journal.write(news) {
                // The recovery points say it as well.
                Ok(()) | Err(NoteError::Write(_)) => {}
                Err(NoteError::Sync(error)) => return Err(error),
            }
        }
        core.write_recovery_points(persist)?;
        core.write_log_starts(persist)?;
        let content = offset_checkpoint::encode(&high_watermarks);
        let path = core.dir.join(names::HIGH_WATERMARKS);
        replace_file(&*core.io, &path, content.as_bytes(), persist)?;
        let marker = core.dir.join(names::CLEAN_SHUTDOWN);
        replace_file(
            &*core.io,
            &marker,
            clean_shutdown::CONTENT.as_bytes(),
            persist,
        )
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.core.set_closed();
        self.core.cleaner.stop();
        self.core.commit.stop();
        self.core.upkeep.stop();
        self.core.removal.stop();
        self.core.space.stop();
        // Whoever still waits for a commit must hear that none will come.
        for partition in self.partitions.iter() {
            partition.context().waiters.wake();
        }
    }
}

/// The directories above `dir`, the innermost first: this start, or one that was killed before its
/// first round, may have made any of the names on the way.
fn directories_above(dir: &Path) -> Vec<PathBuf> {
    let above = dir.ancestors().skip(1);
    above
        .map(|ancestor| match ancestor.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => ancestor.to_owned(),
        })
        .collect()
}

/// Offsets of a checkpoint; none if it is missing or makes no sense, since all of them can be
/// found again or are re-checked.
fn read_checkpoint(io: &SharedIo, path: &Path) -> offset_checkpoint::Offsets {
    let Ok(content) = io.read(path) else {
        return offset_checkpoint::Offsets::new();
    };
    let decoded = std::str::from_utf8(&content)
        .map_err(|error| error.to_string())
        .and_then(|text| offset_checkpoint::decode(text).map_err(|error| error.to_string()));
    decoded.unwrap_or_else(|error| {
        tracing::error!(path = %path.display(), error, "ignoring a checkpoint");
        offset_checkpoint::Offsets::new()
    })
}

/// Whether the power went while the directory was formatted: `meta.properties` makes no sense, and
/// there is nothing that is written after it was durable, which it is before anything is
/// acknowledged.
fn was_being_formatted(io: &SharedIo, dir: &Path) -> bool {
    let later = [
        names::DURABLE_OFFSETS,
        names::RECOVERY_POINTS,
        names::CLEAN_SHUTDOWN,
    ];
    if later.iter().any(|name| io.exists(&dir.join(name))) {
        return false;
    }
    let Ok(content) = io.read(&dir.join(names::META_PROPERTIES)) else {
        return false;
    };
    let meta = std::str::from_utf8(&content).map(meta_properties::decode);
    !matches!(meta, Ok(Ok(_)))
}

fn read_meta(options: &StoreOptions, path: &Path) -> Result<MetaProperties, OpenError> {
    let refused = |reason: String| OpenError::Metadata {
        path: path.to_owned(),
        reason,
    };
    let content = options.io.read(path).map_err(at(path))?;
    let text = std::str::from_utf8(&content).map_err(|error| refused(error.to_string()))?;
    let meta = meta_properties::decode(text).map_err(|error| refused(error.to_string()))?;
    if meta.node_id != options.node_id {
        let (found, wanted) = (meta.node_id, options.node_id);
        return Err(refused(format!(
            "belongs to node {found}, this is node {wanted}"
        )));
    }
    match &options.cluster_id {
        Some(wanted) if *wanted != meta.cluster_id => {
            let found = &meta.cluster_id;
            Err(refused(format!(
                "belongs to cluster {found}, not to {wanted}"
            )))
        }
        Some(_) | None => Ok(meta),
    }
}

fn format_directory(
    core: &Core,
    options: &StoreOptions,
    path: &Path,
) -> io::Result<MetaProperties> {
    let random_id = || {
        loop {
            let id = TopicId(core.random_uuid()).to_base64();
            // Kafka's tools would take it for an option (`Uuid.randomUuid`).
            if !id.starts_with('-') {
                return id;
            }
        }
    };
    let meta = MetaProperties {
        cluster_id: options.cluster_id.clone().unwrap_or_else(random_id),
        directory_id: Some(random_id()),
        node_id: options.node_id,
    };
    replace_file(
        &*core.io,
        path,
        meta_properties::encode(&meta).as_bytes(),
        Persist::Lazy,
    )?;
    Ok(meta)
}
