//! What a store and a partition's log are told when they open.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::io::SharedIo;
use crate::model::{LeaderEpoch, NodeId, TopicName, TopicPartition};

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
    /// Bytes of the file system that client records do not get (`klamm.disk.reserve.bytes`);
    /// `None` goes by its size.
    pub reserve_bytes: Option<u64>,
    /// Seed for everything random (jitter, new ids).
    pub seed: u64,
    /// What goes on in the background.
    pub upkeep: Upkeep,
}

/// When old segments are looked for, and how logs are compacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Upkeep {
    /// `log.retention.check.interval.ms`; at `i64::MAX` nothing goes unless it is asked for.
    pub retention_check_interval_ms: i64,
    /// Before the first look after a start.
    pub initial_task_delay_ms: i64,
    /// The cleaner.
    pub cleaner: CleanerOptions,
}

/// Settings of the cleaner (`log.cleaner.*`); all but the first may change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerOptions {
    /// `log.cleaner.enable`.
    pub enable: bool,
    /// `log.cleaner.threads`.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: bytes for keys, of all threads together.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.size`: bytes for reading and writing, of all threads together.
    pub io_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full the table of keys may get, 0 to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`: read and written, of all threads together.
    pub io_max_bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`: the pause when there is nothing to clean.
    pub backoff_ms: i64,
    /// `message.max.bytes`: how far the buffers may grow for one batch.
    pub max_message_bytes: usize,
}

/// Kafka's defaults.
impl Default for Upkeep {
    fn default() -> Self {
        Self {
            retention_check_interval_ms: 300_000,
            initial_task_delay_ms: 30_000,
            cleaner: CleanerOptions::default(),
        }
    }
}

/// Kafka's defaults.
impl Default for CleanerOptions {
    fn default() -> Self {
        Self {
            enable: true,
            threads: 1,
            dedupe_buffer_bytes: 128 * 1024 * 1024,
            io_buffer_bytes: 512 * 1024,
            load_factor: 0.9,
            io_max_bytes_per_second: f64::MAX,
            backoff_ms: 15_000,
            max_message_bytes: 1_048_588,
        }
    }
}

/// The settings of one partition's log, resolved from topic and broker settings.
#[derive(Clone, Debug, PartialEq)]
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
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `retention.ms`; -1 is no bound.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 is no bound.
    pub retention_bytes: i64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `delete.retention.ms`: how long a tombstone stays.
    pub delete_retention_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: usize,
}

impl LogConfig {
    /// How long a segment is appended to (`LogConfig.maxSegmentMs`): what is to be compacted must
    /// not wait in the active segment beyond `max.compaction.lag.ms`.
    pub fn segment_ms_max(&self) -> i64 {
        match self.compact && self.max_compaction_lag_ms > 0 {
            true => self.segment_ms.min(self.max_compaction_lag_ms),
            false => self.segment_ms,
        }
    }
}

/// Kafka's defaults, and the durability that is the default with a data directory.
impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 * 1024 * 1024,
            index_interval_bytes: 4096,
            preallocate: false,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            file_delete_delay_ms: 60_000,
            durability: Durability::Fsync,
            delete: true,
            compact: false,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            delete_retention_ms: 86_400_000,
            max_message_bytes: 1_048_588,
        }
    }
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
    /// Whether its records are the broker's own (offsets, transactions, metadata), for which room
    /// is kept that client records may not take.
    pub may_use_reserve: bool,
}
