//! The second reading: segments are written anew without what goes, as few as what stays needs,
//! and put in the place of the old ones.
//!
//! A new segment takes in old ones as long as what is written and what is expected to stay of the
//! next are within the bounds ([`group`](super::group)). The latter may be wrong, for records
//! differ in size; and a swap replaces whole segments. So what is written is looked at batch by
//! batch. If it is beyond the bounds after all, the new segment goes back to where the last old
//! one ended, and ends there; what was too much is read again, as the first of the next. Hence
//!
//! - no new segment is larger than the settings allow, unless what stays of a single old one is,
//!   as in Kafka: it was written under other settings, or its batches have become larger;
//! - at most one old segment is read in vain for each new one.

use std::sync::Arc;

use crate::batch::BatchHeader;
use crate::model::Offset;

use super::filter::{Fate, Filter};
use super::group::{Bounds, Extent, Size};
use super::pass::Pass;
use super::throttle::Throttled;
use super::walk::Walk;
use super::{CleanError, Counts};
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::options::LogConfig;
use crate::storage::upkeep::rewrite::SegmentWriter;
use crate::storage::upkeep::swap::Swap;

/// A segment that is to be cleaned.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) segment: Arc<Segment>,
    /// The offset after its last.
    pub(super) end: Offset,
    pub(super) size: Size,
}

/// Writes the segments of one cleaning anew, in order.
pub(super) struct Rewriting<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) view: &'a View,
    pub(super) walk: Walk<'a>,
    pub(super) config: &'a LogConfig,
    pub(super) bounds: Bounds,
    /// Up to here offsets may be missing afterwards.
    pub(super) gaps_end: Offset,
    pub(super) filter: Filter<'a>,
    pub(super) counts: &'a mut Counts,
}

/// What was written of old segments.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// So many of them, one at least.
    count: usize,
    /// Whether it is other than what is there.
    changed: bool,
}

impl Rewriting<'_> {
    /// Cleans the first of the segments, and those after it that become one with it; how many.
    /// With `as_it_is` the first is known to lose nothing, and stays unless others join it.
    pub(super) fn clean_first(
        &mut self,
        old: &[Old],
        as_it_is: impl Fn(&Segment, Offset) -> bool,
    ) -> Result<usize, CleanError> {
        let (first, rest) = old.split_first().ok_or(CleanError::Changed)?;
        let joins = |next: &Old| self.bounds.allow(&first.size.joined(next.size));
        let is_alone = !rest.first().is_some_and(joins);
        if is_alone && as_it_is(&first.segment, first.end) {
            return Ok(1);
        }
        let pass = self.pass;
        self.filter.last_batches = pass.log.last_batches(pass.now);
        let swap = Swap {
            base: first.segment.base,
            end: first.end,
        };
        if is_alone
            && self.filter.keys.is_any_superseded(swap.base..swap.end) != Some(true)
            && self.stays_as_it_is(&first.segment)?
        {
            return Ok(1);
        }
        if !self.has_room_for(&first.segment) {
            return Err(CleanError::Io(std::io::ErrorKind::StorageFull.into()));
        }
        match self.replace(old, swap) {
            Ok(Some(count)) => {
                self.counts.segments += 1;
                Ok(count)
            }
            // What is there is what would be.
            Ok(None) => {
                pass.dispose(swap);
                Ok(1)
            }
            Err(error) => {
                pass.dispose(swap);
                Err(error)
            }
        }
    }

    fn has_room_for(&self, segment: &Segment) -> bool {
        let space = &self.pass.log.context().core.space;
        space.has_room_for(segment.sealed_len().unwrap_or(0))
    }

    /// Looks whether a segment of which nothing is known to go stays as it is: most often it does,
    /// and need not be written.
    fn stays_as_it_is(&mut self, segment: &Segment) -> Result<bool, CleanError> {
        let before = self.filter.transactions.clone();
        let mut becomes = Vec::new();
        let stays = self.judge(segment, |filter, header, batch| {
            let (fate, _) = filter
                .judge(header, batch, &mut becomes)
                .map_err(|reason| CleanError::undecodable(header, &reason))?;
            Ok(fate == Fate::Stays)
        })?;
        if !stays {
            self.filter.transactions = before;
        }
        Ok(stays)
    }

    /// Writes the first of the segments, and those that join it, as one, and puts it in their
    /// place; how many. `None` if it would be the same as the one that is there.
    fn replace(&mut self, old: &[Old], swap: Swap) -> Result<Option<usize>, CleanError> {
        let log = self.pass.log;
        let (context, core) = (log.context(), &log.context().core);
        let (io, dir) = (&*core.io, &context.path);
        let mut writer = {
            // The deletion waits for this lock, so the name is this partition's.
            let _upkeep = log.begin_upkeep()?;
            let (interval, piece) = (self.config.index_interval_bytes, self.pass.buffer_bytes);
            SegmentWriter::create(io, dir, swap, interval, piece)?
        };
        writer = writer.through(|file| {
            let throttle = self.pass.throttle.clone();
            Arc::new(Throttled { file, throttle })
        });
        let Taken { count, changed } = self.write(old, swap.base, &mut writer)?;
        if !changed && count == 1 {
            return Ok(None);
        }
        let taken = old.get(..count).unwrap_or_default();
        let end = taken.last().map_or(swap.end, |last| last.end);
        if !log.aborted_between(swap.base, end)?.is_empty() {
            let _upkeep = log.begin_upkeep()?;
            writer = writer.with_txn_index(io, dir)?;
        }
        let written = writer.finish(core.next_segment())?;
        self.counts.bytes_written += written.segment.sealed_len().unwrap_or(0);
        self.pass.secure(self.view, self.config)?;
        context.allow_gaps_below(self.gaps_end)?;
        let taken: Vec<_> = taken.iter().map(|old| old.segment.clone()).collect();
        log.replace_segments(&taken, written)?;
        Ok(Some(count))
    }

    /// Writes what stays of the first of the segments, and of those that join it.
    fn write(
        &mut self,
        old: &[Old],
        base: Offset,
        writer: &mut SegmentWriter,
    ) -> Result<Taken, CleanError> {
        let bounds = self.bounds;
        let mut taken = Taken {
            count: 0,
            changed: false,
        };
        let (mut written, mut size) = (extent(writer, base, base), None::<Size>);
        for next in old {
            let is_first = taken.count == 0;
            let joined = match size {
                None => next.size,
                Some(size) => size.of_which_stays(written).joined(next.size),
            };
            let joins = is_first || (bounds.allow(&joined) && self.has_room_for(&next.segment));
            if !joins {
                break;
            }
            let (border, transactions) = (writer.mark(), self.filter.transactions.clone());
            let mut changed = false;
            let fits = self.judge(&next.segment, |filter, header, batch| {
                let (fate, aborted) = filter
                    .judge(header, batch, writer.buffer())
                    .map_err(|reason| CleanError::undecodable(header, &reason))?;
                changed |= fate != Fate::Stays;
                match fate {
                    Fate::Stays => writer.append(header, batch)?,
                    Fate::Becomes(new) => writer.take_in(&new)?,
                    Fate::Goes => {}
                }
                if let Some(entry) = aborted {
                    writer.add_aborted(entry);
                }
                if fate != Fate::Goes {
                    written = extent(writer, base, header.next_offset());
                }
                Ok(is_first || bounds.hold(&written))
            })?;
            if !fits {
                writer.back_to(border)?;
                self.filter.transactions = transactions;
                break;
            }
            writer.reach(next.end);
            size = Some(joined);
            taken.count += 1;
            taken.changed |= changed;
        }
        Ok(taken)
    }

    /// Walks a segment with a filter that knows its transactions, as long as `each` says so;
    /// whether it did to the end.
    fn judge(
        &mut self,
        segment: &Segment,
        mut each: impl FnMut(&mut Filter<'_>, &BatchHeader, &[u8]) -> Result<bool, CleanError>,
    ) -> Result<bool, CleanError> {
        let (pass, filter) = (self.pass, &mut self.filter);
        let end = segment.end().ok_or(CleanError::Changed)?;
        let aborted = pass.log.aborted_between(segment.base, end)?;
        filter.transactions.add_aborted(&aborted, segment.base);
        self.walk.segment(segment, 0, |header, batch| {
            pass.check()?;
            each(filter, header, batch)
        })
    }
}

/// What is written of a segment, up to `end`.
fn extent(writer: &SegmentWriter, base: Offset, end: Offset) -> Extent {
    let (offset_index_bytes, time_index_bytes) = writer.index_bytes();
    Extent {
        base: base.0,
        end: end.0,
        bytes: writer.len(),
        offset_index_bytes,
        time_index_bytes,
    }
}
