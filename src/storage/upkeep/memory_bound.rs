//! Keeping logs in memory within `klamm.memory.bytes.max`.
//!
//! | used | what happens |
//! | --- | --- |
//! | 7/8 | the upkeep thread has segments go until 3/4 is used |
//! | all of it | an append has segments go itself, which waits for no disk, and is tried again |
//! | all of it, and nothing may go | the append fails, KAFKA_STORAGE_ERROR |
//!
//! What goes: of all partitions the oldest segment, by its largest timestamp; sealed ones first,
//! and then active ones, which are rolled for it. So that there are sealed ones to choose from, a
//! segment in memory is never longer than 1/64 of the bound, whatever `segment.bytes` says; a
//! batch that is longer has one to itself. What never goes: internal topics, and topics whose
//! `cleanup.policy` lacks `delete`, because they promise to keep the latest value of each key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::io::MemoryUse;
use crate::model::Timestamp;

use crate::storage::core::Core;
use crate::storage::log::partition_log::Log;
use crate::storage::outcome::ReadError;
use crate::storage::partition::Partition;
use crate::storage::upkeep::trim::Haste;
use crate::storage::upkeep::worker::{self, Partitions};

/// A segment is at most so much of the bound.
const SEGMENTS_MIN: u64 = 64;

/// Whether so much is used that segments should go.
pub(in crate::storage) fn is_low(memory: MemoryUse) -> bool {
    memory.used > memory.max / 8 * 7
}

/// Whether enough is free again.
fn is_enough(memory: MemoryUse) -> bool {
    memory.used <= memory.max / 4 * 3
}

/// How long a segment may get in a file system with this bound.
pub(in crate::storage) fn segment_bytes_max(memory: Option<MemoryUse>) -> u64 {
    memory.map_or(u64::MAX, |memory| (memory.max / SEGMENTS_MIN).max(1))
}

/// Which segments go: those that need not be rolled, or the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Sealed,
    Active,
}

/// Has segments go until there is room again, or nothing more may go.
pub(in crate::storage) fn free(core: &Core, partitions: &Partitions) {
    // Whoever comes meanwhile finds room when it is their turn.
    let _one_at_a_time = core.freeing.lock();
    let enough = || core.io.memory().is_none_or(is_enough);
    let mine: Vec<Arc<Partition>> = worker::all(partitions)
        .into_iter()
        .filter(|partition| {
            let context = partition.context();
            !context.may_use_reserve && context.config.load().delete
        })
        .collect();
    for which in [Which::Sealed, Which::Active] {
        if enough() {
            return;
        }
        let candidate = |index: usize| {
            let log = mine.get(index)?.opened_log()?;
            Some(Reverse((oldest(log, which)?, index)))
        };
        let mut oldest_first: BinaryHeap<_> = (0..mine.len()).filter_map(candidate).collect();
        while !enough()
            && let Some(Reverse((_, index))) = oldest_first.pop()
        {
            let Some(log) = mine.get(index).and_then(|partition| partition.opened_log()) else {
                continue;
            };
            match drop_oldest(core, log, which) {
                Ok(true) => oldest_first.extend(candidate(index)),
                Ok(false) => {}
                Err(error) => {
                    let partition = &log.context().directory;
                    tracing::warn!(partition, %error, "cannot free memory");
                }
            }
        }
    }
}

/// The age of a log's oldest segment, if it may go.
fn oldest(log: &Log, which: Which) -> Option<Timestamp> {
    let view = log.published().load();
    let first = view.segments.first()?;
    match (which, first.sealed_len()) {
        (Which::Sealed, None) => return None,
        (Which::Active, None) if view.end.position == 0 => return None,
        (Which::Sealed | Which::Active, _) => {}
    }
    let told = log.told_timestamp(first).ok()?;
    Some(log.or_changed(first, told))
}

/// Has the oldest segment of a log go; false if it may not after all.
fn drop_oldest(core: &Core, log: &Log, which: Which) -> Result<bool, ReadError> {
    let mut next = log.published().load().segments.get(1).map(|next| next.base);
    if next.is_none() && which == Which::Active {
        let mut writer = log.stop_writer();
        if log.published().load().end.position > 0 {
            log.roll(&mut writer, core.clock.wall());
            next = log.published().load().segments.get(1).map(|next| next.base);
        }
    }
    let stable = log.published().load().offsets().last_stable;
    let Some(start) = next.filter(|next| *next <= stable) else {
        return Ok(false);
    };
    let freed = log
        .leave(start, Haste::AtOnce)
        .map_err(crate::storage::log::read::storage)?;
    tracing::debug!(
        partition = log.context().directory,
        start = start.0,
        bytes = freed.bytes,
        "old segments go: memory is full"
    );
    Ok(freed.segments > 0)
}
