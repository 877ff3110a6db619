//! What the data directory holds and how large it is.

use std::path::PathBuf;

use super::Broker;
use crate::catalog::Topic;
use crate::model::{PartitionId, TopicPartition};

/// The data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    /// Its path.
    pub path: PathBuf,
    /// Size of its file system in bytes, where that is known.
    pub total_bytes: Option<u64>,
    /// Bytes of it that are free for this process.
    pub usable_bytes: Option<u64>,
    /// Whether a sync failed there: nothing is written to it any more.
    pub offline: bool,
}

impl Broker {
    /// The data directory.
    pub fn log_dir(&self) -> LogDir {
        let (path, total_bytes, usable_bytes) = self.store.log_dir();
        LogDir {
            path,
            total_bytes,
            usable_bytes,
            offline: self.store.failure().is_some(),
        }
    }

    /// Bytes of a partition's log; `None` if there is no such partition.
    pub fn log_size(&self, topic: &Topic, partition: PartitionId) -> Option<u64> {
        let id = TopicPartition {
            topic: topic.id,
            partition,
        };
        Some(self.store.partition(&id)?.size().bytes)
    }
}
