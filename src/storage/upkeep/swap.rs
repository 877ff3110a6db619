//! Replacing segments of a log by one new segment: the old ones or the new one, never a mixture.
//!
//! | step | on disk afterwards | a start after a power cut has |
//! | --- | --- | --- |
//! | 1. the new files are written and synced | old files, and `.cleaned` ones | the old segments |
//! | 2. its log becomes `<base>.log.<end>.swap`, synced | the decision | the new segment |
//! | 3. the old files become `.deleted`, the other `.cleaned` ones get their names, synced | no old file under its name but, maybe, the log at `base` | the new segment |
//! | 4. the `.swap` becomes `<base>.log` | the new segment | the new segment |
//!
//! The decision is one rename: its name alone says everything that is left to do, so each step
//! after it may be done again, by whoever finds it. It comes after the sync of step 1, or a log
//! might arrive without its bytes; step 4 comes after the sync of step 3, or the decision might
//! be forgotten while an old segment still has its name. Step 4 needs no sync: lost, it is done
//! again. Segments keep the producer snapshot at their base, those in between lose theirs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;

use crate::io::{File, Io};
use crate::model::Offset;

use crate::storage::format::names::{self, SegmentFile};
use crate::storage::log::offsets::Mark;
use crate::storage::log::partition_log::Log;
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::options::Durability;
use crate::storage::upkeep::removal::Doomed;

/// Which segments a new one replaces, and what is left to do on disk once that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Swap {
    /// Base of the new segment, and of the first that it replaces.
    pub(in crate::storage) base: Offset,
    /// Base of the first segment after those that it replaces.
    pub(in crate::storage) end: Offset,
}

impl Swap {
    /// Where the new segment's file is written, before [`decide`](Self::decide).
    pub(in crate::storage) fn cleaned_path(self, dir: &Path, kind: SegmentFile) -> PathBuf {
        dir.join(kind.name(self.base) + names::CLEANED_SUFFIX)
    }

    fn path(self, dir: &Path) -> PathBuf {
        dir.join(names::swap_name(self.base, self.end))
    }

    /// Step 2 but for its sync. The new segment's files, and their names, must be on disk.
    pub(in crate::storage) fn decide(self, io: &dyn Io, dir: &Path) -> io::Result<()> {
        io.rename(&self.cleaned_path(dir, SegmentFile::Log), &self.path(dir))
    }

    /// Step 3 but for its sync. The files that are out of use now.
    fn set_aside(self, io: &dyn Io, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut out_of_use = Vec::new();
        for path in io.paths(dir)? {
            let Some((_, offset)) = name_of(&path).and_then(SegmentFile::parse) else {
                continue;
            };
            if self.base < offset && offset < self.end {
                out_of_use.extend(retire(io, &path)?);
            }
        }
        for kind in SegmentFile::ALL {
            let cleaned = self.cleaned_path(dir, kind);
            // One that is not there has its name already, by an earlier attempt.
            if kind == SegmentFile::Log || !io.exists(&cleaned) {
                continue;
            }
            let path = dir.join(kind.name(self.base));
            out_of_use.extend(retire(io, &path)?);
            io.rename(&cleaned, &path)?;
        }
        Ok(out_of_use)
    }

    /// Step 4. The old log at the base, out of use now.
    fn settle(self, io: &dyn Io, dir: &Path) -> io::Result<Option<PathBuf>> {
        let swap = self.path(dir);
        if !io.exists(&swap) {
            return Ok(None);
        }
        let path = dir.join(SegmentFile::Log.name(self.base));
        let old = retire(io, &path)?;
        io.rename(&swap, &path)?;
        Ok(old)
    }
}

/// Renames a file that is out of use; its new name, if it was there.
fn retire(io: &dyn Io, path: &Path) -> io::Result<Option<PathBuf>> {
    let mut name = path.as_os_str().to_owned();
    name.push(names::DELETED_SUFFIX);
    let retired = PathBuf::from(name);
    match io.rename(path, &retired) {
        Ok(()) => Ok(Some(retired)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file's name says that [`finish_interrupted`] has something to do.
pub(in crate::storage) fn is_leftover(name: &str) -> bool {
    [
        names::SWAP_SUFFIX,
        names::CLEANED_SUFFIX,
        names::DELETED_SUFFIX,
    ]
    .iter()
    .any(|ending| name.ends_with(ending))
}

/// Undoes or finishes what a crash interrupted in the directory of a log that is not open, and
/// removes what is out of use. A decision is carried out durably; doing it again changes nothing.
pub(in crate::storage) fn finish_interrupted(io: &dyn Io, dir: &Path) -> io::Result<()> {
    let leftovers = || -> io::Result<Vec<PathBuf>> {
        let paths = io.paths(dir)?.into_iter();
        Ok(paths
            .filter(|path| name_of(path).is_some_and(is_leftover))
            .collect())
    };
    for path in leftovers()? {
        if let Some((base, end)) = name_of(&path).and_then(names::parse_swap) {
            let swap = Swap { base, end };
            swap.set_aside(io, dir)?;
            io.sync_dir(dir)?;
            swap.settle(io, dir)?;
            io.sync_dir(dir)?;
            tracing::info!(dir = %dir.display(), base = base.0, end = end.0, "finished replacing segments");
        }
    }
    for path in leftovers()? {
        if name_of(&path).is_some_and(|name| !name.ends_with(names::SWAP_SUFFIX)) {
            io.remove_file(&path)?;
        }
    }
    Ok(())
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

/// What is known to whoever removes or replaces segments of a log.
#[derive(Debug, Default)]
pub(in crate::storage) struct Reshaping {
    /// A swap that was decided and then failed: it must be finished before anything else.
    unfinished: Option<(Swap, Arc<Segment>)>,
}

/// A new segment, written but not synced.
#[derive(Debug)]
pub(in crate::storage) struct Written {
    /// The segment.
    pub(in crate::storage) segment: Segment,
    /// All of its files, under the names of [`Swap::cleaned_path`].
    pub(in crate::storage) files: Vec<Arc<dyn File>>,
}

/// Why segments were not replaced.
#[derive(Debug, thiserror::Error)]
pub(in crate::storage) enum SwapError {
    /// The partition was deleted meanwhile.
    #[error("the partition was deleted")]
    Deleted,
    /// They are not sealed, not all durable, or others removed some of them meanwhile.
    #[error("the segments changed")]
    Changed,
    /// The disk failed, or is full. If it was in a sync, the directory is offline.
    #[error(transparent)]
    Io(io::Error),
}

impl View {
    /// Where `old` begins in this view, and the base of what follows; `None` unless all of them
    /// are there, sealed, and wholly below what a crash or an abort may still change.
    fn replaceable(&self, old: &[Arc<Segment>]) -> Option<(usize, Offset)> {
        let first = old.first()?;
        let at = self
            .segments
            .iter()
            .position(|segment| Arc::ptr_eq(segment, first))?;
        let same = |(one, other): (&Arc<Segment>, &Arc<Segment>)| Arc::ptr_eq(one, other);
        let here = self.segments.get(at..at + old.len())?;
        let next = self.segments.get(at + old.len())?.base;
        let settled = next <= self.durable && next <= self.offsets().last_stable;
        (settled && here.iter().zip(old).all(same)).then_some((at, next))
    }

    /// Puts `new` in the place of `count` segments from the one at `at` on.
    fn replace(&mut self, at: usize, count: usize, new: &Arc<Segment>, end: Offset) {
        let settle = |mark: &mut Mark| {
            // A mark at the end of what was replaced.
            if (new.base..end).contains(&mark.segment) {
                mark.segment = new.base;
                mark.position = new.sealed_len().unwrap_or(0);
            }
        };
        settle(&mut self.committed);
        let before = self.segments.iter().take(at);
        let after = self.segments.iter().skip(at + count);
        self.segments = before.chain([new]).chain(after).cloned().collect();
    }
}

impl Log {
    /// Replaces adjacent sealed segments by one new segment, for readers and on disk. Offsets that
    /// the new one lacks must be allowed to be missing, durably, before this is called.
    ///
    /// Waits for the disk, and holds nothing that an append, a commit or a read waits for. After
    /// an error that is none of a sync, the old segments are there as before, or the new one is
    /// there and the next attempt to change the log's segments finishes the rest.
    pub(in crate::storage) fn replace_segments(
        &self,
        old: &[Arc<Segment>],
        new: Written,
    ) -> Result<(), SwapError> {
        let mut reshaping = self.begin_upkeep()?;
        let (context, core) = (self.context(), &self.context().core);
        let dir = &context.path;
        let end = match self.published().load().replaceable(old) {
            Some((_, end)) => end,
            None => return Err(SwapError::Changed),
        };
        let base = new.segment.base;
        let swap = Swap { base, end };
        if !self.is_memory() {
            for file in &new.files {
                file.sync_data().map_err(SwapError::Io)?;
            }
        }
        self.sync_directory()?;
        // The deletion waits for this lock, so the name is still this partition's.
        swap.decide(&*core.io, dir).map_err(SwapError::Io)?;
        self.sync_directory()?;
        let new = Arc::new(new.segment);
        {
            // Nobody is writing an index of the old ones by its name, or will.
            let _no_naming = self.stop_naming();
            let mut placed = false;
            self.published().update(|view| {
                if let Some((at, _)) = view.replaceable(old) {
                    view.replace(at, old.len(), &new, end);
                    placed = true;
                }
            });
            if !placed {
                return Err(SwapError::Changed);
            }
            for segment in old {
                segment.set_gone();
            }
        }
        reshaping.unfinished = Some((swap, new));
        for segment in old {
            core.files.forget(segment.number);
        }
        self.finish_swap(&mut reshaping)
    }

    /// Keeps others from removing or replacing segments. What is left of an earlier swap is done
    /// first: until then files may have other names than their segments believe.
    pub(in crate::storage) fn begin_upkeep(&self) -> Result<MutexGuard<'_, Reshaping>, SwapError> {
        let mut reshaping = self.stop_upkeep();
        self.finish_swap(&mut reshaping)?;
        Ok(reshaping)
    }

    /// Steps 3 and 4 of a swap that was decided and published.
    fn finish_swap(&self, reshaping: &mut Reshaping) -> Result<(), SwapError> {
        let (context, core) = (self.context(), &self.context().core);
        if context.is_deleted() {
            return Err(SwapError::Deleted);
        }
        let Some((swap, segment)) = &reshaping.unfinished else {
            return Ok(());
        };
        let (io, dir) = (&*core.io, &context.path);
        let mut out_of_use = swap.set_aside(io, dir).map_err(SwapError::Io)?;
        self.sync_directory()?;
        out_of_use.extend(swap.settle(io, dir).map_err(SwapError::Io)?);
        segment.set_arrived();
        reshaping.unfinished = None;
        let delay = context.config.load().file_delete_delay_ms;
        let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
        for path in out_of_use {
            core.removal.schedule(&core.io, Doomed::File(path), delay);
        }
        Ok(())
    }

    fn is_memory(&self) -> bool {
        self.context().config.load().durability == Durability::Memory
    }

    fn sync_directory(&self) -> Result<(), SwapError> {
        let context = self.context();
        if context.is_deleted() {
            return Err(SwapError::Deleted);
        }
        match self.is_memory() {
            true => Ok(()),
            false => context
                .core
                .io
                .sync_dir(&context.path)
                .map_err(SwapError::Io),
        }
    }
}
