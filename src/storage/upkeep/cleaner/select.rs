//! Which log is cleaned next, and how far (Kafka's `LogCleanerManager`).
//!
//! | the dirty part of a log ends at the first of | |
//! | --- | --- |
//! | the active segment | |
//! | the segment that holds the last stable offset | an open transaction may be aborted |
//! | the segment that holds the durable offset | a record must not go because of one that a power cut takes back |
//! | the first segment with a record of the last `min.compaction.lag.ms` | |
//!
//! It begins where the last cleaning ended, or at the log start. A log is cleaned if its dirty
//! part is more than `min.cleanable.dirty.ratio` of the whole, or has a segment that was begun more
//! than `max.compaction.lag.ms` ago; of those logs the one comes first whose ratio is the largest.

use std::sync::Arc;

use crate::model::{Offset, Timestamp};

use super::pass::Part;
use crate::storage::log::partition_log::Log;
use crate::storage::log::read::storage;
use crate::storage::log::scan::{Depth, ScanError};
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::options::LogConfig;
use crate::storage::outcome::ReadError;

/// A log with something to clean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dirty {
    pub(super) part: Part,
    /// Bytes of the dirty part, as a share of all that may be cleaned.
    pub(super) ratio: f64,
}

/// What is to be cleaned of a log, if it is due. `clean_to`: where the last cleaning ended.
pub(super) fn dirty(
    log: &Log,
    clean_to: Option<Offset>,
    now: Timestamp,
) -> Result<Option<Dirty>, ReadError> {
    let config = log.context().config.load();
    let view = log.published().load();
    let log_start = view.log_start;
    // A point beyond the log end is of a log whose end was lost.
    let sound = |point: &Offset| (log_start..=view.end.offset).contains(point);
    let first_dirty = clean_to.filter(sound).unwrap_or(log_start);
    let end = end_of_cleanable(log, &view, &config, first_dirty, now)?;
    let bytes = |segments: &[Arc<Segment>]| -> u64 {
        segments.iter().filter_map(|each| each.sealed_len()).sum()
    };
    let until = |offset: Offset| view.segments.partition_point(|each| each.base < offset);
    let part_of = |from: usize, to: usize| view.segments.get(from..to).unwrap_or_default();
    let start = view.segments_from(first_dirty).first();
    let from = start.map_or(0, |start| until(start.base));
    let to = until(end);
    let cleanable = bytes(part_of(from, to.max(from)));
    let clean = bytes(part_of(0, until(first_dirty)));
    if cleanable == 0 {
        return Ok(None);
    }
    let ratio = cleanable as f64 / (clean + cleanable) as f64;
    let due = ratio > config.min_cleanable_dirty_ratio
        || is_overdue(log, part_of(from, view.segments.len() - 1), &config, now)?;
    Ok(due.then_some(Dirty {
        part: Part { first_dirty, end },
        ratio,
    }))
}

/// Base of the first segment that must not be cleaned yet.
fn end_of_cleanable(
    log: &Log,
    view: &View,
    config: &LogConfig,
    first_dirty: Offset,
    now: Timestamp,
) -> Result<Offset, ReadError> {
    let active = view
        .segments
        .last()
        .map_or(view.end.offset, |last| last.base);
    let settled = view.offsets().last_stable.min(view.durable);
    // The whole segment that holds it: the one before ends at its base.
    let unsettled = view.segments_from(settled).first();
    let mut end = active.min(unsettled.map_or(active, |segment| segment.base));
    if config.min_compaction_lag_ms > 0 {
        let latest = now.0.saturating_sub(config.min_compaction_lag_ms);
        for segment in view.segments_from(first_dirty) {
            if segment.base >= end {
                break;
            }
            let largest = log.or_changed(segment, log.told_timestamp(segment)?);
            if largest.0 > latest {
                end = segment.base;
                break;
            }
        }
    }
    Ok(end)
}

/// Whether one of the segments was begun more than `max.compaction.lag.ms` ago. The time is that
/// of its first batch; one without says nothing.
fn is_overdue(
    log: &Log,
    segments: &[Arc<Segment>],
    config: &LogConfig,
    now: Timestamp,
) -> Result<bool, ReadError> {
    let latest = now.0.saturating_sub(config.max_compaction_lag_ms.max(0));
    if latest <= 0 {
        return Ok(false);
    }
    for segment in segments {
        let len = segment.sealed_len().unwrap_or(0);
        if len == 0 {
            continue;
        }
        let file = log.log_file(segment)?;
        let first = match segment.scan(&*file, Depth::Headers, 0, len).next() {
            Ok(first) => first,
            Err(ScanError::Io(error)) => return Err(storage(error)),
            Err(ScanError::Damaged { .. }) => None,
        };
        let begun = first.map_or(0, |batch| batch.header.max_timestamp.0);
        if begun > 0 && begun < latest {
            return Ok(true);
        }
    }
    Ok(false)
}
