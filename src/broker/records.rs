//! Deleting records from the beginning of a partition.

use std::sync::Arc;

use super::Broker;
use super::partitions::PartitionError;
use crate::catalog::Topic;
use crate::model::{Offset, PartitionId, TopicPartition};
use crate::storage::{AppendError, Partition, ReadError};

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

/// Where the log of a partition is to begin.
#[derive(Clone, Debug)]
pub struct NewLogStart {
    /// The topic.
    pub topic: Arc<Topic>,
    /// Its partition.
    pub partition: PartitionId,
    /// The first offset that stays; `None` is the high watermark.
    pub before: Option<Offset>,
}

impl Broker {
    /// Moves log starts; gives those that there are then, which may be later already. Durable when
    /// it returns, and one write for all of them.
    ///
    /// Waits until the log ends that it finds are durable, so that a producer can delete what it
    /// was told is appended.
    pub async fn delete_records(
        &self,
        wanted: &[NewLogStart],
    ) -> Vec<Result<Offset, DeleteRecordsError>> {
        let mut judged = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            judged.push(self.may_start_at(wanted).await);
        }
        let moves: Vec<_> = judged.iter().flatten().cloned().collect();
        let store = Arc::clone(&self.store);
        // Not on a thread of the runtime: it waits for the disk.
        let moved = tokio::task::spawn_blocking(move || store.delete_records(&moves)).await;
        let mut moved = moved.unwrap_or_default().into_iter();
        let stopping = || ReadError::Storage("the broker is stopping".to_owned());
        let settle = |judged: Result<_, _>| {
            judged?;
            Ok(moved.next().unwrap_or_else(|| Err(stopping()))?)
        };
        judged.into_iter().map(settle).collect()
    }

    /// The log of a partition, and the offset that may become its start.
    async fn may_start_at(
        &self,
        wanted: &NewLogStart,
    ) -> Result<(Arc<Partition>, Offset), DeleteRecordsError> {
        let topic = &wanted.topic;
        let id = TopicPartition {
            topic: topic.id,
            partition: wanted.partition,
        };
        let log = self.partition(&id, None)?;
        if topic.name.is_internal() {
            return Err(DeleteRecordsError::InternalTopic(topic.name.to_string()));
        }
        if !self.topic_settings(topic).log.delete {
            return Err(DeleteRecordsError::Policy(topic.name.to_string()));
        }
        let end = log.offsets()?.log_end;
        log.committed(end).await?;
        let offsets = log.offsets()?;
        let before = wanted.before.unwrap_or(offsets.high_watermark);
        if before.0 < 0 || before > offsets.high_watermark {
            return Err(DeleteRecordsError::Read(ReadError::OutOfRange {
                offset: before,
                log_start: offsets.log_start,
                log_end: offsets.high_watermark,
            }));
        }
        Ok((log, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::{batch, broker, topic};

    const PARTITION: PartitionId = PartitionId(0);

    async fn delete(
        broker: &Broker,
        topic: &Arc<Topic>,
        before: Option<i64>,
    ) -> Result<Offset, DeleteRecordsError> {
        let wanted = NewLogStart {
            topic: Arc::clone(topic),
            partition: PARTITION,
            before: before.map(Offset),
        };
        broker.delete_records(&[wanted]).await.pop().unwrap()
    }

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
            let deleted = delete(&broker, &topic, before).await;
            assert_eq!(deleted.unwrap(), Offset(start), "{before:?}");
        }
        for before in [-2, 4] {
            let refused = delete(&broker, &topic, Some(before)).await;
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
            let deleted = delete(&broker, &topic, None).await;
            assert_eq!(deleted.is_ok(), allowed, "{policy}: {deleted:?}");
        }
    }
}
