//! The native segment store: partitions as Kafka's files.
//!
//! *Owns:* segments, indexes, producer state, checkpoints, the commit round, recovery.
//! *May use:* `batch`, `io`, `wire`, `model`, `config`, `clock`. *Must not know:* Kafka APIs,
//! topic names in requests, principals.
//!
//! *Invariants:* `log_start ≤ last_stable ≤ high_watermark ≤ log_end` and `durable ≤ log_end`;
//! one writer at a time for a partition; no lock held across an await or a sync; readers use a
//! published snapshot and never wait for the writer.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::batch::ValidBatch;
use crate::clock::SharedClock;
use crate::io::{File, SharedIo};
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicId, TopicName, TopicPartition,
};

/// When an acknowledged byte is on disk (`klamm.durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged after it is on disk.
    Fsync,
    /// Acknowledged from the page cache; flushed in the background at least once a second.
    Os,
    /// Nothing to make durable.
    Memory,
}

/// What a store needs to open.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The file system: real, or memory.
    pub io: SharedIo,
    /// The data directory (`log.dirs`; one for now).
    pub dir: PathBuf,
    /// Clock for rolls, timestamps of checkpoints and expiry.
    pub clock: SharedClock,
    /// This broker, as `meta.properties` names it.
    pub node_id: NodeId,
    /// Cluster id to format an empty directory with; a formatted one must agree, if given.
    pub cluster_id: Option<String>,
    /// Most open files and maps in the LRU (`klamm.open.files.max`).
    pub open_files_max: usize,
    /// The default durability.
    pub durability: Durability,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// Seed for everything random (jitter, new ids).
    pub seed: u64,
}

/// The settings of one partition's log, resolved from topic and broker settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// `preallocate`.
    pub preallocate: bool,
    /// `flush.messages`: sync after so many records.
    pub flush_messages: i64,
    /// `flush.ms`: sync when the oldest unsynced record is so old.
    pub flush_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `klamm.durability` of the topic.
    pub durability: Durability,
}

/// Which partition a log is, and with what settings.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    /// Name for the directory.
    pub topic_name: TopicName,
    /// Id for `partition.metadata`.
    pub id: TopicPartition,
    /// Current leader epoch, stamped on what is appended.
    pub leader_epoch: LeaderEpoch,
    /// Settings.
    pub config: Arc<LogConfig>,
}

/// The offsets of a partition at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offsets {
    /// First readable record.
    pub log_start: Offset,
    /// Bound of `read_committed`.
    pub last_stable: Offset,
    /// Bound of what consumers see.
    pub high_watermark: Offset,
    /// First unwritten offset.
    pub log_end: Offset,
    /// First offset that is not on disk yet.
    pub durable: Offset,
}

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

/// Why a batch was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The sequence does not follow the last one.
    #[error("Out of order sequence number for producer {producer_id} at offset {offset} in partition {partition}: {got} (incoming seq. number), {last} (current end sequence number)")]
    OutOfOrderSequence {
        /// Producer.
        producer_id: i64,
        /// Offset it would have had.
        offset: i64,
        /// `topic-partition`.
        partition: String,
        /// First sequence of the batch.
        got: i32,
        /// Last sequence seen.
        last: i32,
    },
    /// The producer's epoch is older than the newest seen.
    #[error("Epoch of producer {producer_id} at offset {offset} in {partition} is {got}, which is smaller than the last seen epoch {last}")]
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
}

/// An aborted transaction, as Fetch reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Producer.
    pub producer_id: i64,
    /// First offset of the transaction.
    pub first_offset: Offset,
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

/// All partitions of one broker.
#[derive(Debug)]
pub struct Store {}

/// What was found in the directory.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Cluster id of `meta.properties`.
    pub cluster_id: String,
    /// Directory id of `meta.properties`.
    pub directory_id: TopicId,
    /// Whether the last stop was clean.
    pub clean: bool,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another broker holds the directory.
    #[error("{0} is in use by another broker")]
    Locked(PathBuf),
    /// `meta.properties` belongs to another node or cluster, or makes no sense.
    #[error("{path}: {reason}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Store {
    /// Opens the directory, formatting an empty one.
    pub fn open(_options: StoreOptions) -> Result<(Arc<Self>, Opened), OpenError> {
        todo!()
    }

    /// Takes up a partition: no file is touched before the first use of its log.
    pub fn attach(&self, _spec: PartitionSpec) -> Arc<Partition> {
        todo!()
    }

    /// The partition, if it is attached.
    pub fn partition(&self, _id: &TopicPartition) -> Option<Arc<Partition>> {
        todo!()
    }

    /// Detaches a partition and removes its files in the background.
    pub fn delete(&self, _id: &TopicPartition) {
        todo!()
    }

    /// Directories in the data directory that belong to none of the attached partitions are
    /// moved out of the way, as Kafka does with strays.
    pub fn remove_strays(&self) {
        todo!()
    }

    /// The data directory, with its total and usable bytes where the file system says.
    pub fn log_dir(&self) -> (PathBuf, Option<u64>, Option<u64>) {
        todo!()
    }

    /// The file system, for files that lie beside the log of a partition (metadata snapshots).
    pub fn io(&self) -> &SharedIo {
        todo!()
    }

    /// The default durability.
    pub fn durability(&self) -> Durability {
        todo!()
    }

    /// Flushes everything, writes the checkpoints and, last, the clean-shutdown marker.
    pub fn close(&self) -> std::io::Result<()> {
        todo!()
    }
}

/// One partition's log. All methods are quick and may be called on a runtime thread.
#[derive(Debug)]
pub struct Partition {}

impl Partition {
    /// Which partition.
    pub fn id(&self) -> TopicPartition {
        todo!()
    }

    /// Its topic's id.
    pub fn topic(&self) -> TopicId {
        self.id().topic
    }

    /// Its number.
    pub fn number(&self) -> PartitionId {
        self.id().partition
    }

    /// Current leader epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        todo!()
    }

    /// Stamps a newer leader epoch on what is appended from now on; an older one is ignored. The
    /// metadata log learns its epoch only from what it holds, after it was attached.
    pub fn begin_epoch(&self, _epoch: LeaderEpoch) {
        todo!()
    }

    /// Takes new settings.
    pub fn reconfigure(&self, _config: Arc<LogConfig>) {
        todo!()
    }

    /// The offsets now.
    pub fn offsets(&self) -> Result<Offsets, ReadError> {
        todo!()
    }

    /// Checks the producer's sequence, assigns offsets, writes. `strict_sequence`: a producer
    /// without state must begin at sequence 0 (Produce 12 and later).
    pub fn append(&self, _batch: ValidBatch, _strict_sequence: bool) -> Result<Appended, AppendError> {
        todo!()
    }

    /// Waits until everything below `offset` is committed: durable as the mode promises, and
    /// below the high watermark. `Err` when the disk failed or the partition went away.
    pub async fn committed(&self, _offset: Offset) -> Result<(), AppendError> {
        todo!()
    }

    /// Reads whole batches from the one that contains `from`, at most `max_bytes`; the first
    /// batch in full even if it is larger, where `at_least_one` is set.
    pub fn read(
        &self,
        _from: Offset,
        _max_bytes: usize,
        _at_least_one: bool,
        _isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        todo!()
    }

    /// The first record with a timestamp of at least `at`, below the isolation's bound.
    pub fn first_at_or_after(
        &self,
        _at: Timestamp,
        _isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// The first record that carries the largest timestamp of the partition.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }

    /// End offset of the largest epoch ≤ `epoch`, as OffsetForLeaderEpoch answers:
    /// that epoch and its end, or `None` where it is unknown.
    pub fn epoch_end(&self, _epoch: LeaderEpoch) -> Result<Option<(LeaderEpoch, Offset)>, ReadError> {
        todo!()
    }

    /// Leader epoch of the record before `offset`, or of the one at it.
    pub fn epoch_at(&self, _offset: Offset) -> Result<Option<LeaderEpoch>, ReadError> {
        todo!()
    }

    /// Moves the log start (DeleteRecords); durable when it returns.
    pub fn delete_records(&self, _before: Offset) -> Result<Offset, ReadError> {
        todo!()
    }

    /// Bytes on disk.
    pub fn size(&self) -> LogSize {
        todo!()
    }

    /// Has `waiter` notified at every change of what a reader may see, and at deletion, until
    /// the subscription is dropped.
    pub fn subscribe(&self, _waiter: &Arc<Notify>) -> Subscription {
        todo!()
    }
}

/// Ends a [`Partition::subscribe`] when it is dropped.
#[derive(Debug)]
pub struct Subscription {}
