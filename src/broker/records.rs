//! Deleting records from the beginning of a partition.

use super::Broker;
use super::partitions::PartitionError;
use crate::catalog::Topic;
use crate::model::{Offset, PartitionId, TopicPartition};
use crate::storage::{AppendError, ReadError};

/// Why records were not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteRecordsError {
    /// There is no such partition.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// Only the broker deletes from its internal topics.
    #[error("{0} is an internal topic")]
    InternalTopic(String),
    /// The topic's `cleanup.policy` does not contain `delete`.
    #[error("records of {0} are not deleted by its cleanup policy")]
    Policy(String),
    /// The offset is none of the partition, or readers do not see that far.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was to be deleted did not become durable.
    #[error(transparent)]
    Commit(#[from] AppendError),
}

impl Broker {
    /// Makes `before` the first readable offset, or the high watermark if it is `None`; gives the
    /// log start offset that there is then, which may be later already. Durable when it returns.
    ///
    /// Waits until the log end that it finds is durable, so that a producer can delete what it
    /// was told is appended.
    pub async fn delete_records(
        &self,
        topic: &Topic,
        partition: PartitionId,
        before: Option<Offset>,
    ) -> Result<Offset, DeleteRecordsError> {
        let log = self.partition(
            &TopicPartition {
                topic: topic.id,
                partition,
            },
            None,
        )?;
        if topic.name.is_internal() {
            return Err(DeleteRecordsError::InternalTopic(topic.name.to_string()));
        }
        if !self.topic_settings(topic).log.delete {
            return Err(DeleteRecordsError::Policy(topic.name.to_string()));
        }
        let end = log.offsets()?.log_end;
        log.committed(end).await?;
        let offsets = log.offsets()?;
        let before = before.unwrap_or(offsets.high_watermark);
        if before.0 < 0 || before > offsets.high_watermark {
            return Err(DeleteRecordsError::Read(ReadError::OutOfRange {
                offset: before,
                log_start: offsets.log_start,
                log_end: offsets.high_watermark,
            }));
        }
        if before <= offsets.log_start {
            return Ok(offsets.log_start);
        }
        Ok(log.delete_records(before)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::{batch, broker, topic};

    const PARTITION: PartitionId = PartitionId(0);

    #[tokio::test]
    async fn the_log_starts_where_it_is_told_and_never_goes_back() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        broker
            .append(&topic, PARTITION, batch(&["a", "b", "c"]))
            .unwrap();
        for (before, start) in [
            (Some(2), 2),
            (Some(1), 2),
            (Some(0), 2),
            (None, 3),
            (Some(3), 3),
        ] {
            let deleted = broker
                .delete_records(&topic, PARTITION, before.map(Offset))
                .await;
            assert_eq!(deleted.unwrap(), Offset(start), "{before:?}");
        }
        for before in [-2, 4] {
            let refused = broker
                .delete_records(&topic, PARTITION, Some(Offset(before)))
                .await;
            assert!(
                matches!(
                    refused,
                    Err(DeleteRecordsError::Read(ReadError::OutOfRange { .. }))
                ),
                "{refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn only_topics_that_delete_by_policy_delete_on_request() {
        let broker = broker(&[]);
        for (name, policy, allowed) in [
            ("d", "delete", true),
            ("c", "compact", false),
            ("b", "compact,delete", true),
        ] {
            let topic = topic(&broker, name, 1, &[("cleanup.policy", policy)]).await;
            let deleted = broker.delete_records(&topic, PARTITION, None).await;
            assert_eq!(deleted.is_ok(), allowed, "{policy}: {deleted:?}");
        }
    }
}
