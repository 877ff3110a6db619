//! Cleaning one log once (Kafka's `Cleaner.doClean`): the keys of its dirty part are put into a
//! map as far as they fit, then every segment up to there is written again without what newer
//! records of these keys make obsolete. A segment of which nothing goes stays as it is.
//!
//! What must be on disk before what, for each group of segments that becomes one:
//!
//! | before | what | or else |
//! | --- | --- | --- |
//! | the first swap | where gaps are allowed ([`gaps`](crate::storage::recovery::gaps)) | the new segment would be taken for damaged |
//! | the first swap | the leader epochs | an epoch whose last batch goes would be forgotten |
//! | each swap | the new segment | see [`swap`](crate::storage::upkeep::swap) |
//!
//! The point up to which the log is clean is noted last, and lazily: if it is lost, cleaning
//! begins at the log start again, and finds less to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::BatchHeader;
use crate::io::{OpenMode, Persist, replace_file};
use crate::model::{Offset, Timestamp};

use super::filter::{Fate, Filter};
use super::group::{Bounds, Extent, group};
use super::key_map::KeyMap;
use super::throttle::{Throttle, Throttled};
use super::walk::Walk;
use super::{CleanError, Counts};
use crate::storage::format::{leader_epochs, names, offset_index, time_index};
use crate::storage::log::offsets::View;
use crate::storage::log::partition_log::Log;
use crate::storage::log::segment::Segment;
use crate::storage::options::{Durability, LogConfig};
use crate::storage::outcome::ReadError;
use crate::storage::upkeep::rewrite::SegmentWriter;
use crate::storage::upkeep::swap::Swap;

/// Which part of a log is to be cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// First offset that was not cleaned before.
    pub(super) first_dirty: Offset,
    /// Base of the first segment that is not to be touched.
    pub(super) end: Offset,
}

/// One cleaning of one log.
pub(super) struct Pass<'a> {
    pub(super) log: &'a Log,
    pub(super) part: Part,
    pub(super) throttle: &'a Arc<Throttle>,
    /// Bytes read at once, and bytes written at once.
    pub(super) buffer_bytes: usize,
    pub(super) now: Timestamp,
    /// Whether to give up.
    pub(super) stopped: &'a dyn Fn() -> bool,
}

impl Pass<'_> {
    /// Cleans; the offset up to which the log is clean now.
    pub(super) fn run(&self, mut keys: KeyMap, counts: &mut Counts) -> Result<Offset, CleanError> {
        let view = arc_swap::Guard::into_inner(self.log.published().load());
        let plain = self.build_map(&view, &mut keys, counts)?;
        let end = keys.latest().plus(1);
        let config = self.log.context().config.load_full();
        let segments: Vec<Arc<Segment>> = view
            .segments
            .iter()
            .take_while(|segment| segment.base < end.min(self.part.end))
            .cloned()
            .collect();
        let extents = self.extents(&segments, &view)?;
        let bounds = Bounds {
            bytes: config
                .segment_bytes
                .min(self.log.context().core.segment_bytes_max),
            index_bytes: config.segment_index_bytes,
        };
        let gaps_end = extents.last().map_or(end, |last| Offset(last.end));
        let mut filter = Filter::new(&keys, self.now, config.delete_retention_ms, self.part.end);
        for range in group(&extents, bounds) {
            let end = extents.get(range.end - 1).map(|last| Offset(last.end));
            let (Some(old), Some(end)) = (segments.get(range), end) else {
                return Err(CleanError::Changed);
            };
            if let [segment] = old
                && plain.contains(&segment.base)
                && keys.is_any_superseded(segment.base..end) == Some(false)
            {
                continue;
            }
            filter.last_batches = self.log.last_batches(self.now);
            self.clean_group(old, end, gaps_end, &view, &mut filter, counts)?;
        }
        Ok(end)
    }

    pub(super) fn check(&self) -> Result<(), CleanError> {
        let context = self.log.context();
        if (self.stopped)() || context.core.refusal().is_some() {
            return Err(CleanError::Stopped);
        }
        // Both may come true in the midst of it.
        if context.is_deleted() || !context.config.load().compact {
            return Err(CleanError::Changed);
        }
        Ok(())
    }

    /// What the segments take, for grouping them.
    fn extents(&self, segments: &[Arc<Segment>], view: &View) -> Result<Vec<Extent>, CleanError> {
        let next_bases = view.segments.iter().skip(1).map(|next| next.base);
        segments
            .iter()
            .zip(next_bases)
            .map(|(segment, next)| {
                let (offsets, times) = segment.index_entries();
                Ok(Extent {
                    base: segment.base.0,
                    end: next.0,
                    bytes: segment.sealed_len().ok_or(CleanError::Changed)?,
                    offset_index_bytes: (offsets * offset_index::ENTRY_LENGTH) as u64,
                    time_index_bytes: (times * time_index::ENTRY_LENGTH) as u64,
                })
            })
            .collect()
    }

    /// Writes the segments `old`, which end at `end`, as one, and puts it in their place.
    fn clean_group(
        &self,
        old: &[Arc<Segment>],
        end: Offset,
        gaps_end: Offset,
        view: &View,
        filter: &mut Filter<'_>,
        counts: &mut Counts,
    ) -> Result<(), CleanError> {
        let (context, core) = (self.log.context(), &self.log.context().core);
        let base = old.first().map_or(end, |segment| segment.base);
        let swap = Swap { base, end };
        if old.len() == 1
            && filter.keys.is_any_superseded(base..end) != Some(true)
            && self.stays_as_it_is(old, view, filter, counts)?
        {
            return Ok(());
        }
        let old_bytes: u64 = old.iter().filter_map(|each| each.sealed_len()).sum();
        if !core.space.has_room_for(old_bytes) {
            return Err(CleanError::Io(std::io::ErrorKind::StorageFull.into()));
        }
        let config = context.config.load_full();
        let aborts = !self.log.aborted_between(base, end)?.is_empty();
        let created = {
            // The deletion waits for this lock, so the name is this partition's.
            let _upkeep = self.log.begin_upkeep()?;
            let (io, dir) = (&*core.io, &context.path);
            let (interval, piece) = (config.index_interval_bytes, self.buffer_bytes);
            let writer = SegmentWriter::create(io, dir, swap, interval, piece);
            match aborts {
                true => writer.and_then(|writer| writer.with_txn_index(io, dir)),
                false => writer,
            }
        };
        let written = created.map_err(CleanError::from).and_then(|writer| {
            let mut writer = writer.through(|file| {
                let throttle = self.throttle.clone();
                Arc::new(Throttled { file, throttle })
            });
            let changed = self.write_group(old, view, filter, &mut writer, counts)?;
            match changed || old.len() > 1 {
                true => Ok(Some(writer.finish(core.next_segment())?)),
                false => Ok(None),
            }
        });
        let replaced = match written {
            Ok(Some(written)) => {
                counts.bytes_written += written.segment.sealed_len().unwrap_or(0);
                self.secure(view, &config)?;
                context.allow_gaps_below(gaps_end)?;
                self.log
                    .replace_segments(old, written)
                    .map_err(CleanError::from)
            }
            // What is there is what would be.
            Ok(None) => Err(CleanError::Unchanged),
            Err(error) => Err(error),
        };
        let Err(error) = replaced else {
            counts.segments += 1;
            return Ok(());
        };
        self.dispose(swap);
        match error {
            CleanError::Unchanged => Ok(()),
            error => Err(error),
        }
    }

    /// Looks whether segments of which nothing is known to go stay as they are: most often they do,
    /// and need not be written.
    fn stays_as_it_is(
        &self,
        old: &[Arc<Segment>],
        view: &View,
        filter: &mut Filter<'_>,
        counts: &mut Counts,
    ) -> Result<bool, CleanError> {
        let before = filter.transactions.clone();
        let mut becomes = Vec::new();
        let stays = self.judge(old, view, filter, counts, |filter, header, batch| {
            let (fate, _) = filter
                .judge(header, batch, &mut becomes)
                .map_err(|reason| CleanError::undecodable(header, &reason))?;
            Ok(fate == Fate::Stays)
        })?;
        if !stays {
            filter.transactions = before;
        }
        Ok(stays)
    }

    /// Writes what stays of the segments; whether that is other than what is there.
    fn write_group(
        &self,
        old: &[Arc<Segment>],
        view: &View,
        filter: &mut Filter<'_>,
        writer: &mut SegmentWriter,
        counts: &mut Counts,
    ) -> Result<bool, CleanError> {
        let mut changed = false;
        self.judge(old, view, filter, counts, |filter, header, batch| {
            let (fate, aborted) = filter
                .judge(header, batch, writer.buffer())
                .map_err(|reason| CleanError::undecodable(header, &reason))?;
            match fate {
                Fate::Stays => writer.append(header, batch)?,
                Fate::Becomes(new) => {
                    changed = true;
                    writer.take_in(&new)?;
                }
                Fate::Goes => changed = true,
            }
            if let Some(entry) = aborted {
                writer.add_aborted(entry);
            }
            Ok(true)
        })?;
        Ok(changed)
    }

    /// Walks the segments with a filter that knows their transactions, as long as `each` says so;
    /// whether it did to the end.
    fn judge(
        &self,
        old: &[Arc<Segment>],
        view: &View,
        filter: &mut Filter<'_>,
        counts: &mut Counts,
        mut each: impl FnMut(&mut Filter<'_>, &BatchHeader, &[u8]) -> Result<bool, CleanError>,
    ) -> Result<bool, CleanError> {
        let mut walk = Walk::new(self.log, view, self.throttle, self.buffer_bytes);
        let mut whole = true;
        for segment in old {
            let end = segment.end().ok_or(CleanError::Changed)?;
            let aborted = self.log.aborted_between(segment.base, end)?;
            filter.transactions.add_aborted(&aborted, segment.base);
            whole = walk.segment(segment, 0, |header, batch| {
                self.check()?;
                each(filter, header, batch)
            })?;
            if !whole {
                break;
            }
        }
        counts.bytes_read += walk.bytes_read;
        Ok(whole)
    }

    /// Makes durable what only the old segments could say otherwise: the leader epochs.
    fn secure(&self, view: &View, config: &LogConfig) -> Result<(), CleanError> {
        if config.durability == Durability::Memory {
            return Ok(());
        }
        let (context, core) = (self.log.context(), &self.log.context().core);
        let path = context.path.join(names::LEADER_EPOCHS);
        let file = {
            let _naming = self.log.stop_naming();
            if context.is_deleted() {
                return Err(CleanError::Changed);
            }
            if !self.log.epochs_on_disk(view)? {
                let newest = self.log.published().load();
                let content = leader_epochs::encode(newest.epochs.entries());
                replace_file(&*core.io, &path, content.as_bytes(), Persist::Lazy)?;
            }
            core.io.open(&path, OpenMode::Write)?
        };
        // The directory is synced before the swap is decided.
        Ok(file.sync_data()?)
    }

    /// Removes what was written in vain.
    fn dispose(&self, swap: Swap) {
        let context = self.log.context();
        // Whatever is left of an earlier swap may need files of this name.
        let Ok(_upkeep) = self.log.begin_upkeep() else {
            return;
        };
        if let Err(error) = SegmentWriter::remove(&*context.core.io, &context.path, swap) {
            tracing::warn!(partition = context.directory, %error, "cannot remove cleaned files");
        }
    }
}

impl From<ReadError> for CleanError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Deleted | ReadError::OutOfRange { .. } => Self::Changed,
            ReadError::Corrupt { offset } => Self::Damaged {
                segment: offset,
                position: 0,
                reason: "the batch is damaged".to_owned(),
            },
            ReadError::Storage(reason) => Self::Io(std::io::Error::other(reason)),
        }
    }
}

impl Log {
    /// The batches that say what the producers wrote last who are still remembered.
    fn last_batches(&self, now: Timestamp) -> super::filter::LastBatches {
        let expiration_ms = &self.context().core.producer_id_expiration_ms;
        let mut writer = self.stop_writer();
        writer
            .producers
            .expire(now, expiration_ms.load(Ordering::Relaxed));
        writer.producers.last_batches()
    }
}
