//! From a partition's id to its log, for the use cases that read and write records.

use std::sync::Arc;

use super::Broker;
use crate::model::{LeaderEpoch, TopicPartition};
use crate::storage::Partition;

/// Why this broker does not serve a partition to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// There is no such partition.
    #[error("there is no such partition")]
    Unknown,
    /// The client's leader epoch is over.
    #[error("the leader epoch {asked} is over, {current} is the current one")]
    FencedLeaderEpoch {
        /// Named by the client.
        asked: LeaderEpoch,
        /// Of the partition.
        current: LeaderEpoch,
    },
    /// The client's leader epoch has not begun.
    #[error("the leader epoch {asked} is unknown, {current} is the current one")]
    UnknownLeaderEpoch {
        /// Named by the client.
        asked: LeaderEpoch,
        /// Of the partition.
        current: LeaderEpoch,
    },
}

impl Broker {
    /// The log of a partition, for a client that believes its leader epoch to be `epoch`
    /// (KIP-320); `None` asks for no check.
    pub fn partition(
        &self,
        id: &TopicPartition,
        epoch: Option<LeaderEpoch>,
    ) -> Result<Arc<Partition>, PartitionError> {
        let partition = self.store.partition(id).ok_or(PartitionError::Unknown)?;
        check_leader_epoch(&partition, epoch)?;
        Ok(partition)
    }
}

/// Compares the leader epoch that a client names with that of the partition.
pub(super) fn check_leader_epoch(
    partition: &Partition,
    epoch: Option<LeaderEpoch>,
) -> Result<(), PartitionError> {
    let current = partition.leader_epoch();
    match epoch {
        Some(asked) if asked < current => Err(PartitionError::FencedLeaderEpoch { asked, current }),
        Some(asked) if asked > current => {
            Err(PartitionError::UnknownLeaderEpoch { asked, current })
        }
        _ => Ok(()),
    }
}
