//! Finding offsets: the ends of a partition, by time, and by leader epoch.

use super::Broker;
use super::partitions::PartitionError;
use crate::model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use crate::storage::{AppendError, Isolation, Partition, ReadError, TimestampOffset};

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// First readable record.
    Earliest,
    /// First readable record on this machine; the same, as nothing is tiered.
    EarliestLocal,
    /// Behind the last record that the reader may see.
    Latest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// Last record in tiered storage: there is none.
    LatestTiered,
    /// First record with a timestamp of at least this.
    AtOrAfter(Timestamp),
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// Timestamp of the record there, where a record was asked for.
    pub timestamp: Option<Timestamp>,
    /// Leader epoch there, where one is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why an offset was not looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// The partition is not there, or not in that epoch.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The lookup failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was found did not become durable.
    #[error(transparent)]
    Commit(#[from] AppendError),
}

impl Broker {
    /// Looks up an offset; `None` where there is no such record.
    ///
    /// A record that a client appended counts although it is not durable yet, and the answer
    /// waits until it is: a client that was told `acks=1` reads its own writes, and nobody is
    /// told of an offset that a power cut takes back. So the log end of the beginning is waited
    /// for; what comes after it does not matter to this answer.
    pub async fn find_offset(
        &self,
        id: &TopicPartition,
        query: OffsetQuery,
        isolation: Isolation,
        epoch: Option<LeaderEpoch>,
    ) -> Result<Option<FoundOffset>, OffsetError> {
        let log = self.partition(id, epoch)?;
        let needs_the_end = match query {
            OffsetQuery::Latest | OffsetQuery::MaxTimestamp | OffsetQuery::AtOrAfter(_) => true,
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal | OffsetQuery::LatestTiered => false,
        };
        if needs_the_end && let Err(error) = log.committed(log.offsets()?.log_end).await {
            // After a failed sync the log ends, for its readers, where it is durable.
            match error {
                AppendError::Storage(_) if self.store.failure().is_some() => {}
                error => return Err(error.into()),
            }
        }
        Ok(look_up(&log, query, isolation)?)
    }

    /// The end offset of the largest epoch that is at most `asked`, with that epoch; `None` where
    /// nothing is known of it (OffsetForLeaderEpoch).
    pub fn leader_epoch_end(
        &self,
        id: &TopicPartition,
        asked: LeaderEpoch,
        current: Option<LeaderEpoch>,
    ) -> Result<Option<(LeaderEpoch, Offset)>, OffsetError> {
        let log = self.partition(id, current)?;
        Ok(epoch_end(&log, asked)?)
    }
}

fn look_up(
    log: &Partition,
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<Option<FoundOffset>, ReadError> {
    let offsets = log.offsets()?;
    let end = |offset: Offset, leader_epoch: Option<LeaderEpoch>| {
        Some(FoundOffset {
            offset,
            timestamp: None,
            leader_epoch,
        })
    };
    let record = |found: TimestampOffset| FoundOffset {
        offset: found.offset,
        timestamp: Some(found.timestamp),
        leader_epoch: found.leader_epoch,
    };
    match query {
        OffsetQuery::Earliest | OffsetQuery::EarliestLocal => {
            let epoch = log.epoch_at(offsets.log_start)?;
            // Where no record is left, the epoch is that of the next one.
            let epoch =
                epoch.or((offsets.log_start == offsets.log_end).then(|| log.leader_epoch()));
            Ok(end(offsets.log_start, epoch))
        }
        OffsetQuery::Latest => {
            let offset = match isolation {
                Isolation::ReadCommitted => offsets.last_stable,
                Isolation::ReadUncommitted => offsets.high_watermark,
                Isolation::LogEnd => offsets.log_end,
            };
            Ok(end(offset, Some(log.leader_epoch())))
        }
        // As for a search by time, the bound hides what was found.
        OffsetQuery::MaxTimestamp => {
            let visible = |found: &TimestampOffset| match isolation {
                Isolation::ReadCommitted => found.offset < offsets.last_stable,
                Isolation::ReadUncommitted | Isolation::LogEnd => true,
            };
            Ok(log.max_timestamp()?.filter(visible).map(record))
        }
        OffsetQuery::LatestTiered => Ok(None),
        OffsetQuery::AtOrAfter(at) => Ok(log.first_at_or_after(at, isolation)?.map(record)),
    }
}

/// As [`Partition::epoch_end`]; the current epoch is known before its first record.
pub(super) fn epoch_end(
    log: &Partition,
    epoch: LeaderEpoch,
) -> Result<Option<(LeaderEpoch, Offset)>, ReadError> {
    if epoch == log.leader_epoch() {
        return Ok(Some((epoch, log.offsets()?.log_end)));
    }
    log.epoch_end(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Codec, Level};
    use crate::broker::testing::{NOW, broker, topic};
    use crate::catalog::Topic;
    use crate::model::PartitionId;

    fn id(topic: &Topic) -> TopicPartition {
        TopicPartition {
            topic: topic.id,
            partition: PartitionId(0),
        }
    }

    fn append(broker: &Broker, topic: &Topic, codec: Codec, times: &[i64]) {
        let mut batch = BatchBuilder::new().compression(codec, Level::Default);
        for &time in times {
            batch.push(Timestamp(NOW.0 + time), None, Some(b"v"));
        }
        broker
            .append(topic, PartitionId(0), batch.build().unwrap().bytes)
            .unwrap();
    }

    async fn find(
        broker: &Broker,
        topic: &Topic,
        query: OffsetQuery,
    ) -> Option<(i64, Option<i64>)> {
        let found = broker
            .find_offset(&id(topic), query, Isolation::ReadUncommitted, None)
            .await;
        let place = |found: FoundOffset| {
            (
                found.offset.0,
                found.timestamp.map(|timestamp| timestamp.0 - NOW.0),
            )
        };
        found.unwrap().map(place)
    }

    #[tokio::test]
    async fn an_empty_partition_has_ends_and_nothing_between_them() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        for query in [
            OffsetQuery::Earliest,
            OffsetQuery::EarliestLocal,
            OffsetQuery::Latest,
        ] {
            assert_eq!(
                find(&broker, &topic, query).await,
                Some((0, None)),
                "{query:?}"
            );
        }
        for query in [
            OffsetQuery::MaxTimestamp,
            OffsetQuery::LatestTiered,
            OffsetQuery::AtOrAfter(Timestamp(0)),
        ] {
            assert_eq!(find(&broker, &topic, query).await, None, "{query:?}");
        }
        let found = broker
            .find_offset(&id(&topic), OffsetQuery::Earliest, Isolation::LogEnd, None)
            .await;
        assert_eq!(found.unwrap().unwrap().leader_epoch, Some(LeaderEpoch(0)));
    }

    #[tokio::test]
    async fn lookups_by_time_find_records_within_batches() {
        for codec in [Codec::None, Codec::Lz4] {
            let broker = broker(&[]);
            let topic = topic(&broker, "t", 1, &[]).await;
            append(&broker, &topic, codec, &[0, 10, 5]);
            append(&broker, &topic, codec, &[30, 20, 30]);
            let cases = [
                (-100, Some((0, Some(0)))),
                (0, Some((0, Some(0)))),
                (1, Some((1, Some(10)))),
                (10, Some((1, Some(10)))),
                (11, Some((3, Some(30)))),
                (30, Some((3, Some(30)))),
                (31, None),
            ];
            for (time, expected) in cases {
                let query = OffsetQuery::AtOrAfter(Timestamp(NOW.0 + time));
                assert_eq!(
                    find(&broker, &topic, query).await,
                    expected,
                    "{codec:?} {time}"
                );
            }
            let latest = find(&broker, &topic, OffsetQuery::MaxTimestamp).await;
            assert_eq!(latest, Some((3, Some(30))));
            assert_eq!(
                find(&broker, &topic, OffsetQuery::Latest).await,
                Some((6, None))
            );
        }
    }

    #[tokio::test]
    async fn epochs_end_where_the_next_begins() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let id = id(&topic);
        let end = |epoch| {
            broker
                .leader_epoch_end(&id, LeaderEpoch(epoch), None)
                .unwrap()
        };
        assert_eq!(end(0), Some((LeaderEpoch(0), Offset(0))));
        append(&broker, &topic, Codec::None, &[0, 1]);
        broker
            .partition(&id, None)
            .unwrap()
            .begin_epoch(LeaderEpoch(4));
        append(&broker, &topic, Codec::None, &[2]);
        assert_eq!(end(0), Some((LeaderEpoch(0), Offset(2))));
        assert_eq!(end(2), Some((LeaderEpoch(0), Offset(2))));
        assert_eq!(end(4), Some((LeaderEpoch(4), Offset(3))));
        assert_eq!(end(5), None);
        assert_eq!(end(-2), Some((LeaderEpoch(-2), Offset(0))));
        let query = OffsetQuery::AtOrAfter(Timestamp(NOW.0 + 2));
        let found = broker
            .find_offset(&id, query, Isolation::ReadUncommitted, None)
            .await;
        assert_eq!(found.unwrap().unwrap().leader_epoch, Some(LeaderEpoch(4)));
    }
}
