//! What is written beside the batches: indexes, snapshots, epochs, `partition.metadata`.

use std::io;
use std::sync::Arc;

use crate::io::{File, OpenMode, Persist, replace_file};
use crate::model::Offset;

use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::{leader_epochs, partition_metadata, producer_snapshot};
use crate::storage::log::epochs::Epochs;
use crate::storage::log::partition_log::Log;
use crate::storage::log::passing::PassingSnapshot;
use crate::storage::log::segment::{Files, IndexEntries, Segment};
use crate::storage::log::sync::Chores;
use crate::storage::log::unsynced::Unsynced;
use crate::storage::log::view::View;
use crate::storage::options::Durability;

impl Log {
    /// Writes indexes, snapshots, epochs and `partition.metadata`, adding what must be synced to
    /// `files`.
    pub(super) fn do_chores(
        &self,
        view: &View,
        work: &mut Unsynced,
        synced_files: &mut Vec<Arc<dyn File>>,
        chores: Chores,
    ) -> Vec<(Arc<Segment>, Option<IndexEntries>)> {
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
                    work.new_entries |= believed;
                    let files = match believed {
                        true => &mut *synced_files,
                        false => &mut written_files,
                    };
                    let entries = written.map(|(index_files, entries)| {
                        files.extend(index_files);
                        entries
                    });
                    sealed.push((segment, entries));
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
    pub(super) fn pass_snapshot(&self, snapshot: PassingSnapshot, durable: Offset) {
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
}

/// Frees what was set aside for a segment and is not needed (`preallocate`).
fn give_back(segment: &Segment, view: &View, files: Files<'_>) -> io::Result<()> {
    let len = segment.sealed_len().unwrap_or(view.end.position);
    segment.writable_log_file(files, false)?.set_len(len)
}
