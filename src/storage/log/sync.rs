//! Making a log durable: what a sync takes, its order, and what is told afterwards.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::io::File;

use crate::storage::format::names::{self};
use crate::storage::format::producer_snapshot;
use crate::storage::log::memory_index::MemoryIndex;
use crate::storage::log::offsets::Mark;
use crate::storage::log::partition_log::Log;
use crate::storage::log::passing::PassingSnapshot;
use crate::storage::log::pins::Pin;
use crate::storage::log::segment::{IndexEntries, Segment};
use crate::storage::options::Durability;

/// What a sync took from a log, until it is done.
#[derive(Debug)]
pub(in crate::storage) struct Syncing {
    /// The end of the log as it was: all below it is in what was taken, or was taken before.
    end: Mark,
    /// Only a sync of the file system will do.
    overflowed: bool,
    pins: Vec<Pin>,
    /// What was written beside the batches, and must be synced with them.
    files: Vec<Arc<dyn File>>,
    new_directory: bool,
    new_entries: bool,
    /// Segments that were sealed, with what is in their index files, if those were written now.
    sealed: Vec<(Arc<Segment>, Option<IndexEntries>)>,
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
pub(super) enum Chores {
    /// They are synced: the recovery point is about to pass the segment, and nobody will look
    /// at its batches again.
    Synced,
    /// They are left to the file system: the next start looks whether they are whole, and builds
    /// them again otherwise. A stop with many partitions has no time for three syncs each.
    Lazy,
}

impl Log {
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
        let view = self.published.load();
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
            end: view.end,
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
        for (segment, entries) in &syncing.sealed {
            if let Some(entries) = entries {
                segment.use_index_files(*entries);
            }
        }
        let end = syncing.end;
        self.published.update(|newest| {
            newest.durable = newest.durable.max(end.offset);
            if end.offset > newest.committed.offset {
                newest.committed = end;
            }
        });
        // Nobody waits for what follows.
        self.context.waiters.wake();
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
                active.change_index(MemoryIndex::note_largest);
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
