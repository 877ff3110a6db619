//! Cleaning one log once (Kafka's `Cleaner.doClean`): the keys of its dirty part are put into a
//! map as far as they fit, then every segment up to there is written again without what newer
//! records of these keys make obsolete. A segment of which nothing goes stays as it is.
//!
//! What must be on disk before what, for all segments that become one:
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

use crate::io::{OpenMode, Persist, replace_file};
use crate::model::{Offset, Timestamp};

use super::filter::{Filter, LastBatches};
use super::group::{Bounds, Extent, Size};
use super::key_map::KeyMap;
use super::rewriting::{Old, Rewriting};
use super::throttle::Throttle;
use super::walk::Walk;
use super::{CleanError, Counts};
use crate::storage::format::{leader_epochs, names, offset_index, time_index};
use crate::storage::log::partition_log::Log;
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
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
        let view = self.log.published().load().kept();
        let plain = self.build_map(&view, &mut keys, counts)?;
        let end = keys.latest().plus(1);
        let config = self.log.context().config.load_full();
        let old = self.old(&view, end.min(self.part.end), &keys)?;
        let mut rewriting = Rewriting {
            pass: self,
            view: &view,
            walk: Walk::new(self.log, &view, self.throttle, self.buffer_bytes),
            config: &config,
            bounds: Bounds {
                bytes: config
                    .segment_bytes
                    .min(self.log.context().core.segment_bytes_max),
                index_bytes: config.segment_index_bytes,
            },
            gaps_end: old.last().map_or(end, |last| last.end),
            filter: Filter::new(&keys, self.now, config.delete_retention_ms, self.part.end),
            counts,
        };
        let loses_nothing = |segment: &Segment, end: Offset| {
            plain.contains(&segment.base)
                && keys.is_any_superseded(segment.base..end) == Some(false)
        };
        let mut rest = old.as_slice();
        while !rest.is_empty() {
            let done = rewriting.clean_first(rest, loses_nothing)?;
            rest = rest.get(done..).unwrap_or_default();
        }
        counts.bytes_read += rewriting.walk.bytes_read;
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

    /// The segments with bases below `end`.
    fn old(&self, view: &View, end: Offset, keys: &KeyMap) -> Result<Vec<Old>, CleanError> {
        let next_bases = view.segments.iter().skip(1).map(|next| next.base);
        (view.segments.iter().zip(next_bases))
            .take_while(|(segment, _)| segment.base < end)
            .map(|(segment, next)| {
                let (offsets, times) = segment.index_entries();
                let there = Extent {
                    base: segment.base.0,
                    end: next.0,
                    bytes: segment.sealed_len().ok_or(CleanError::Changed)?,
                    offset_index_bytes: (offsets * offset_index::ENTRY_LENGTH) as u64,
                    time_index_bytes: (times * time_index::ENTRY_LENGTH) as u64,
                };
                let offsets = segment.base..next;
                let loses = keys.is_any_superseded(offsets.clone()) == Some(true);
                let superseded = keys.count_superseded(offsets).unwrap_or(0);
                Ok(Old {
                    segment: segment.clone(),
                    end: next,
                    size: Size {
                        there,
                        expected: loses.then(|| there.expected(superseded)),
                    },
                })
            })
            .collect()
    }

    /// Makes durable what only the old segments could say otherwise: the leader epochs.
    pub(super) fn secure(&self, view: &View, config: &LogConfig) -> Result<(), CleanError> {
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
    pub(super) fn dispose(&self, swap: Swap) {
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
    pub(super) fn last_batches(&self, now: Timestamp) -> LastBatches {
        let expiration_ms = &self.context().core.producer_id_expiration_ms;
        let mut writer = self.stop_writer();
        writer
            .producers
            .expire(now, expiration_ms.load(Ordering::Relaxed));
        writer.producers.last_batches()
    }
}
