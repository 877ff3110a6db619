//! What the log answers: to appends, to reads, to lookups.

use std::sync::Arc;

use bytes::Bytes;

use crate::io::File;
use crate::model::{LeaderEpoch, Offset, Timestamp};

use super::format::txn_index::AbortedEntry;
use crate::storage::log::offsets::Offsets;
use crate::storage::log::read::read_exact;

/// Where an appended batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; of the original, for a retry.
    pub base_offset: Offset,
    /// First offset after it: wait for this one to be committed.
    pub next_offset: Offset,
    /// The time stamped on it, if the broker stamps (`LogAppendTime`).
    pub log_append_time: Option<Timestamp>,
    /// Log start offset at the append.
    pub log_start: Offset,
    /// Whether it was a retry that is in the log already.
    pub duplicate: bool,
}

/// What is wrong with the first sequence number of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceProblem {
    /// It does not follow the last one.
    NotNext {
        /// Last sequence seen; -1 for none.
        last: i32,
    },
    /// A new epoch must begin at 0.
    NewEpoch {
        /// Epoch of the batch.
        epoch: i16,
        /// Epoch known so far.
        current: i16,
    },
    /// A producer without state must begin at 0.
    NoState,
}

/// A sequence number that was refused; displayed in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfOrderSequence {
    /// Producer.
    pub producer_id: i64,
    /// Offset it would have had.
    pub offset: Offset,
    /// `topic-partition`.
    pub partition: String,
    /// First sequence of the batch.
    pub got: i32,
    /// What is wrong with it.
    pub problem: SequenceProblem,
}

impl std::fmt::Display for OutOfOrderSequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            producer_id,
            offset,
            partition,
            got,
            problem,
        } = self;
        match problem {
            SequenceProblem::NotNext { last } => write!(
                f,
                "Out of order sequence number for producer {producer_id} at offset {offset} in \
                 partition {partition}: {got} (incoming seq. number), {last} (current end \
                 sequence number)"
            ),
            // Kafka has no space before "at offset" here.
            SequenceProblem::NewEpoch { epoch, current } => write!(
                f,
                "Invalid sequence number for new epoch of producer {producer_id}at offset \
                 {offset} in partition {partition}: {epoch} (request epoch), {got} (seq. number), \
                 {current} (current producer epoch)"
            ),
            SequenceProblem::NoState => write!(
                f,
                "Invalid sequence number for producer {producer_id} at offset {offset} in \
                 partition {partition}: {got} (incoming seq. number). Expected sequence 0 for \
                 transactions v2 idempotent producer with no existing state."
            ),
        }
    }
}

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The sequence does not follow.
    #[error("{0}")]
    OutOfOrderSequence(Box<OutOfOrderSequence>),
    /// The producer's epoch is older than the newest seen.
    #[error(
        "Epoch of producer {producer_id} at offset {offset} in {partition} is {got}, which is smaller than the last seen epoch {last}"
    )]
    InvalidProducerEpoch {
        /// Producer.
        producer_id: i64,
        /// Offset it would have had.
        offset: i64,
        /// `topic-partition`.
        partition: String,
        /// Epoch of the batch.
        got: i16,
        /// Newest epoch.
        last: i16,
    },
    /// Records outside of a transaction, while the producer has one open.
    #[error(
        "Expected transactional write from producer {producer_id} at offset (offset={offset}, segment=[-1:-1]) in partition {partition}"
    )]
    OutsideTransaction {
        /// Producer.
        producer_id: i64,
        /// Offset it would have had.
        offset: i64,
        /// `topic-partition`.
        partition: String,
    },
    /// A transaction marker of a coordinator that has a successor.
    #[error(
        "Invalid coordinator epoch for producerId {producer_id} at offset {offset} in partition {partition}: {got} (zombie), {last} (current)"
    )]
    CoordinatorFenced {
        /// Producer.
        producer_id: i64,
        /// Offset it would have had.
        offset: i64,
        /// `topic-partition`.
        partition: String,
        /// Term of the marker's coordinator.
        got: i32,
        /// Newest term seen.
        last: i32,
    },
    /// Batch larger than `segment.bytes`.
    #[error("Append of size {size} bytes exceeds the maximum segment size {max}")]
    TooLargeForSegment {
        /// Bytes.
        size: u64,
        /// `segment.bytes`.
        max: u64,
    },
    /// The partition is gone.
    #[error("the partition was deleted")]
    Deleted,
    /// The disk failed or is full.
    #[error("storage error: {0}")]
    Storage(String),
}

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
    /// Up to the log end: for the broker's own loaders.
    LogEnd,
}

/// Bytes of whole record batches on their way to a reader.
#[derive(Clone, Debug)]
pub enum RecordBytes {
    /// In memory.
    Memory(Bytes),
    /// A region of a file, kept open by this handle.
    Region {
        /// The file.
        file: Arc<dyn File>,
        /// First byte.
        position: u64,
        /// Number of bytes.
        len: usize,
    },
}

impl RecordBytes {
    /// Nothing.
    pub const EMPTY: Self = Self::Memory(Bytes::new());

    /// Number of bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Region { len, .. } => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in memory: for whoever looks into them, rather than pass them on. Waits for
    /// the disk. An error of the kind `UnexpectedEof`, if the file has become shorter.
    pub fn to_bytes(&self) -> std::io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::Region {
                file,
                position,
                len,
            } => read_exact(&**file, *position, *len).map(Bytes::from),
        }
    }
}

/// Answer to a read.
#[derive(Clone, Debug)]
pub struct ReadOutcome {
    /// Whole batches, the first of which contains the offset asked for; possibly none.
    pub records: RecordBytes,
    /// The offsets of the snapshot that was read.
    pub offsets: Offsets,
    /// For `ReadCommitted`: aborted transactions that overlap what was read.
    pub aborted: Vec<AbortedTransaction>,
    /// Whether they are of a segment before the last one that may be read: a read gives batches
    /// of one segment, so there may be more, and waiting does not bring it.
    pub of_older_segment: bool,
}

/// An aborted transaction, as Fetch reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Producer.
    pub producer_id: i64,
    /// First offset of the transaction.
    pub first_offset: Offset,
}

impl From<&AbortedEntry> for AbortedTransaction {
    fn from(entry: &AbortedEntry) -> Self {
        Self {
            producer_id: entry.producer_id,
            first_offset: entry.first,
        }
    }
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the log end.
    #[error("offset {offset} is out of range [{log_start}, {log_end}]")]
    OutOfRange {
        /// Asked for.
        offset: Offset,
        /// First readable offset.
        log_start: Offset,
        /// First unwritten offset.
        log_end: Offset,
    },
    /// The bytes there are damaged.
    #[error("corrupt batch at offset {offset}")]
    Corrupt {
        /// Where.
        offset: Offset,
    },
    /// The partition is gone.
    #[error("the partition was deleted")]
    Deleted,
    /// The disk failed.
    #[error("storage error: {0}")]
    Storage(String),
}

/// A record found by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// Leader epoch of its batch.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Sizes of a partition for DescribeLogDirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogSize {
    /// Bytes of all segments.
    pub bytes: u64,
}
