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
