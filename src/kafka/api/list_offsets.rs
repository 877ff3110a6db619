//! ListOffsets v1–v10
//!
//! *Behaviour:* finds an offset per partition: by time (the first record, not batch, with that
//! timestamp or a later one), or one of the special timestamps. A record counts once it is
//! appended, and the answer waits until it is durable. Where there is no such record timestamp
//! and offset are -1. A special timestamp that the version does not know is UNSUPPORTED_VERSION.
//! A partition that is asked for twice is INVALID_REQUEST. Consumers see up to the high watermark,
//! or the last stable offset for `read_committed`; replicas and debuggers see the log end.
//!
//! | timestamp | offset | since |
//! | --- | --- | --- |
//! | -1 | latest | v1 |
//! | -2 | earliest | v1 |
//! | -3 | of the largest timestamp (KIP-734) | v7 |
//! | -4 | earliest on local disk (KIP-405) | v8 |
//! | -5 | latest in tiered storage (KIP-1005) | v9 |
//!
//! *Versions:* v2 isolation (KIP-98); v4 leader epochs (KIP-320); v6 flexible; v10 timeout for
//! tiered storage (KIP-1075), which nothing here needs.
//!
//! *Not implemented:* throttling.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::broker::offsets::{FoundOffset, OffsetQuery};
use crate::catalog::Topic;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::{LeaderEpoch, PartitionId, Timestamp, TopicPartition};
use crate::storage::Isolation;

/// First version with leader epochs.
const LEADER_EPOCH_VERSION: i16 = 4;
/// `ListOffsetsRequest.CONSUMER_REPLICA_ID`.
const CONSUMER: i32 = -1;
/// `RecordBatch.NO_PARTITION_LEADER_EPOCH`.
const NO_EPOCH: i32 = -1;

/// The handler.
pub(crate) struct ListOffsets;

impl Handler for ListOffsets {
    type Request = ListOffsetsRequest;
    const KEY: i16 = 2;
    const NAME: &'static str = "ListOffsets";
    const VERSIONS: RangeInclusive<i16> = 1..=10;
    const SCHEMA: &'static Schema = &schema::LIST_OFFSETS;

    fn start(context: Context, request: ListOffsetsRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let mut asked = times_asked(&request.topics);
            let isolation = isolation(&request);
            let mut topics = Vec::with_capacity(request.topics.len());
            for topic in &request.topics {
                let found = context.broker().catalog.image().topic_by_name(&topic.name);
                let mut partitions = Vec::with_capacity(topic.partitions.len());
                for partition in &topic.partitions {
                    let key = (topic.name.as_str(), partition.partition_index);
                    // What was asked for twice is answered once.
                    let Some(times) = asked.remove(&key) else {
                        continue;
                    };
                    let answer = match isolation {
                        _ if times > 1 => Err(ResponseError::InvalidRequest),
                        None => Err(ResponseError::UnknownServerError),
                        Some(isolation) => {
                            find(&context, found.as_deref(), partition, isolation).await
                        }
                    };
                    partitions.push(encode(context.version, partition.partition_index, answer));
                }
                if !partitions.is_empty() {
                    let answer = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
                    topics.push(answer.with_partitions(partitions));
                }
            }
            Body::encode(
                &context,
                &ListOffsetsResponse::default().with_topics(topics),
            )
        })
    }
}

/// How often each partition is asked for.
fn times_asked(topics: &[ListOffsetsTopic]) -> HashMap<(&str, i32), u32> {
    let mut asked = HashMap::new();
    for topic in topics {
        for partition in &topic.partitions {
            *asked
                .entry((topic.name.as_str(), partition.partition_index))
                .or_default() += 1;
        }
    }
    asked
}

/// What the client may see; `None` if it names no isolation level.
fn isolation(request: &ListOffsetsRequest) -> Option<Isolation> {
    match (request.replica_id.0, request.isolation_level) {
        (CONSUMER, 0) => Some(Isolation::ReadUncommitted),
        (CONSUMER, 1) => Some(Isolation::ReadCommitted),
        (_, 0 | 1) => Some(Isolation::LogEnd),
        _ => None,
    }
}

/// What a timestamp asks for; `None` if the version does not know it.
fn query(version: i16, timestamp: i64) -> Option<OffsetQuery> {
    match timestamp {
        -1 => Some(OffsetQuery::Latest),
        -2 => Some(OffsetQuery::Earliest),
        -3 if version >= 7 => Some(OffsetQuery::MaxTimestamp),
        -4 if version >= 8 => Some(OffsetQuery::EarliestLocal),
        -5 if version >= 9 => Some(OffsetQuery::LatestTiered),
        0.. => Some(OffsetQuery::AtOrAfter(Timestamp(timestamp))),
        _ => None,
    }
}

async fn find(
    context: &Context,
    topic: Option<&Topic>,
    partition: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Option<FoundOffset>, ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let query =
        query(context.version, partition.timestamp).ok_or(ResponseError::UnsupportedVersion)?;
    let id = TopicPartition {
        topic: topic.id,
        partition: PartitionId(partition.partition_index),
    };
    let epoch = (partition.current_leader_epoch != NO_EPOCH)
        .then_some(LeaderEpoch(partition.current_leader_epoch));
    let found = context
        .broker()
        .find_offset(&id, query, isolation, epoch)
        .await;
    found.map_err(|error| error.kafka())
}

fn encode(
    version: i16,
    index: i32,
    answer: Result<Option<FoundOffset>, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    let found = match answer {
        Ok(Some(found)) => found,
        Ok(None) => return response,
        Err(error) => return response.with_error_code(error.code()),
    };
    let response = response
        .with_offset(found.offset.0)
        .with_timestamp(found.timestamp.map_or(-1, Timestamp::get));
    match found.leader_epoch {
        Some(epoch) if version >= LEADER_EPOCH_VERSION => response.with_leader_epoch(epoch.0),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::broker::Broker;
    use crate::broker::testing::{NOW, batch, broker, topic};
    use crate::kafka::testing::Client;

    fn asking(topic: &'static str, partitions: Vec<ListOffsetsPartition>) -> ListOffsetsRequest {
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(topic)))
            .with_partitions(partitions);
        ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topic])
    }

    fn partition(index: i32, timestamp: i64) -> ListOffsetsPartition {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(timestamp)
    }

    /// Index, code, timestamp, offset and epoch of each partition.
    async fn list(
        broker: &Arc<Broker>,
        version: i16,
        request: &ListOffsetsRequest,
    ) -> Vec<(i32, i16, i64, i64, i32)> {
        let client = Client::of(broker);
        let response: ListOffsetsResponse = client
            .call::<ListOffsets, _>(version, request)
            .await
            .answer();
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|answer| {
                let ListOffsetsPartitionResponse {
                    partition_index,
                    error_code,
                    timestamp,
                    offset,
                    leader_epoch,
                    ..
                } = *answer;
                (partition_index, error_code, timestamp, offset, leader_epoch)
            })
            .collect()
    }

    #[tokio::test]
    async fn every_version_knows_its_special_timestamps() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        broker
            .append(&topic, PartitionId(0), batch(&["a", "b"]))
            .unwrap();
        for version in 1..=10 {
            let epoch = if version >= 4 { 0 } else { -1 };
            let unsupported = (0, 35, -1, -1, -1);
            let since = |first, answer| {
                if version >= first {
                    answer
                } else {
                    unsupported
                }
            };
            let cases = [
                (-1, (0, 0, -1, 2, epoch)),
                (-2, (0, 0, -1, 0, epoch)),
                (-3, since(7, (0, 0, NOW.0, 0, epoch))),
                (-4, since(8, (0, 0, -1, 0, epoch))),
                (-5, since(9, (0, 0, -1, -1, -1))),
                (-6, unsupported),
                (i64::MIN, unsupported),
                (0, (0, 0, NOW.0, 0, epoch)),
                (NOW.0 + 1, (0, 0, -1, -1, -1)),
            ];
            for (timestamp, expected) in cases {
                let request = asking("t", vec![partition(0, timestamp)]);
                let answer = list(&broker, version, &request).await;
                assert_eq!(answer, [expected], "v{version} {timestamp}");
            }
        }
    }

    #[tokio::test]
    async fn errors_are_those_of_kafka() {
        let broker = broker(&[]);
        topic(&broker, "t", 2, &[]).await;
        let failed = |index, code| vec![(index, code, -1, -1, -1)];
        let unknown = asking("nowhere", vec![partition(0, -1)]);
        assert_eq!(list(&broker, 10, &unknown).await, failed(0, 3));
        let beyond = asking("t", vec![partition(7, -1)]);
        assert_eq!(list(&broker, 10, &beyond).await, failed(7, 3));
        for (epoch, code) in [(5, 75), (-2, 74)] {
            let fenced = asking("t", vec![partition(0, -1).with_current_leader_epoch(epoch)]);
            assert_eq!(list(&broker, 10, &fenced).await, failed(0, code));
        }
        let level = asking("t", vec![partition(0, -1)]).with_isolation_level(3);
        assert_eq!(list(&broker, 10, &level).await, failed(0, -1));
        let twice = asking(
            "t",
            vec![partition(0, -1), partition(1, -1), partition(0, -2)],
        );
        let answers = list(&broker, 10, &twice).await;
        assert_eq!(answers, [failed(0, 42), vec![(1, 0, -1, 0, 0)]].concat());
    }
}
