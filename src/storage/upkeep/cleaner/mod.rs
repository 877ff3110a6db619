//! Log compaction (Kafka's `LogCleaner`): of each key the last record stays.
//!
//! *Owns:* which log is cleaned when and how far (`select`), the map of keys (`key_map`,
//! `superseded`), what stays of batches (`filter`, `transactions`), the two readings of a log and
//! the rewriting of its segments (`pass`, `dirty`, `rewriting`, `group`, `walk`), the bound on its
//! reads and writes (`throttle`), its checkpoint (`points`), its threads (`threads`).
//!
//! *May use:* the rest of `storage`, above all [`rewrite`](crate::storage::upkeep::rewrite) and
//! [`swap`](crate::storage::upkeep::swap). *Must not know:* topics' names and settings other than those of a log.
//!
//! *Invariants:*
//! - A record leaves only if a newer one of its key is on disk and committed, or it is a tombstone
//!   past its horizon, or belongs to an aborted transaction, or has no key. Nothing from the last
//!   stable offset on is touched, nor the active segment.
//! - Offsets never change, and the last batches of producers who are remembered stay.
//! - No byte is rewritten whose checksum was not checked before. A log that cannot be read stays
//!   as it is, and no other log waits for it.
//! - Memory is that of the key map, at most a 32nd more for a bit by offset, and of two buffers a
//!   thread, plus the largest batch; the map is there only while a log is cleaned.
//! - No append, commit or read waits for it.

mod dirty;
mod filter;
mod group;
mod key_map;
mod pass;
mod points;
mod rewriting;
mod select;
mod superseded;
mod threads;
mod throttle;
mod transactions;
mod walk;

use std::io;

use crate::batch::BatchHeader;
use crate::model::{Offset, TopicPartition};

pub(in crate::storage) use self::filter::LastBatches;
pub(in crate::storage) use self::points::CleanPoints;
pub(in crate::storage) use self::threads::Cleaner;
use crate::storage::upkeep::swap::SwapError;

/// What a cleaning did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// Of which partition.
    pub partition: TopicPartition,
    /// First offset that was dirty.
    pub from: Offset,
    /// First offset that is dirty now.
    pub to: Offset,
    /// What it took.
    pub counts: Counts,
}

/// What a cleaning took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of batches that were read: the dirty part twice, as far as some of a segment goes, and
    /// what did not fit into a new segment after all once more.
    pub bytes_read: u64,
    /// Bytes of batches that were written.
    pub bytes_written: u64,
    /// Keys that were in the map.
    pub keys: usize,
    /// New segments.
    pub segments: usize,
}

/// Why a cleaning came to no end.
#[derive(Debug, thiserror::Error)]
enum CleanError {
    /// The store stops, or is offline.
    #[error("the cleaner stops")]
    Stopped,
    /// The partition was deleted, is not compacted any more, or its segments went meanwhile.
    #[error("the log changed")]
    Changed,
    /// Bytes are damaged.
    #[error("damaged at position {position} of segment {segment}: {reason}")]
    Damaged {
        /// Base of the segment.
        segment: Offset,
        /// Where in its log.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// A batch is whole, and still cannot be read.
    #[error("cannot read the batch at offset {offset}: {reason}")]
    Undecodable {
        /// Its first offset.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed, or is full.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl CleanError {
    fn undecodable(header: &BatchHeader, reason: &filter::Undecodable) -> Self {
        Self::Undecodable {
            offset: header.base_offset,
            reason: reason.to_string(),
        }
    }
}

impl From<SwapError> for CleanError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Deleted | SwapError::Changed => Self::Changed,
            SwapError::Io(error) => Self::Io(error),
        }
    }
}
