//! DeleteRecords v0–v2
//!
//! *Behaviour:* moves the start of a partition's log up to an offset, or to the high watermark
//! for -1, and tells where the log starts then. Beyond the high watermark is OFFSET_OUT_OF_RANGE;
//! a topic whose `cleanup.policy` lacks `delete` is POLICY_VIOLATION; an internal topic is
//! INVALID_TOPIC_EXCEPTION. A partition named twice keeps its last offset. What is deleted stays
//! deleted: the new starts are durable before the answer, all with one write.
//!
//! *Versions:* v1 throttling after the response (KIP-219); v2 flexible.
//!
//! *Not implemented:* throttling.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsTopic;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};

use crate::broker::records::{DeleteRecordsError, NewLogStart};
use crate::catalog::Topic;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::{Offset, PartitionId};

/// `DeleteRecordsRequest.HIGH_WATERMARK`.
const HIGH_WATERMARK: i64 = -1;

/// The handler.
pub(crate) struct DeleteRecords;

impl Handler for DeleteRecords {
    type Request = DeleteRecordsRequest;
    const KEY: i16 = 21;
    const NAME: &'static str = "DeleteRecords";
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const SCHEMA: &'static Schema = &schema::DELETE_RECORDS;

    fn start(context: Context, request: DeleteRecordsRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let image = context.broker().catalog.image();
            let asked: Vec<_> = merged(&request.topics)
                .into_iter()
                .map(|(name, partitions)| (name, image.topic_by_name(name), partitions))
                .collect();
            let wanted: Vec<NewLogStart> = asked
                .iter()
                .filter_map(|(_, topic, partitions)| Some((topic.as_ref()?, partitions)))
                .flat_map(|(topic, partitions)| partitions.iter().map(|one| start_of(topic, one)))
                .collect();
            // One for each that is wanted, in this order.
            let mut deleted = context.broker().delete_records(&wanted).await.into_iter();
            let mut delete = |topic: Option<&Arc<Topic>>| {
                topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
                let deleted = deleted.next().ok_or(ResponseError::UnknownServerError)?;
                deleted.map_err(|error| error.kafka())
            };
            let mut topics = Vec::with_capacity(asked.len());
            for (name, topic, partitions) in &asked {
                let answers = partitions
                    .iter()
                    .map(|(index, _)| result(*index, delete(topic.as_ref())))
                    .collect();
                let topic = DeleteRecordsTopicResult::default().with_name((*name).clone());
                topics.push(topic.with_partitions(answers));
            }
            Body::encode(
                &context,
                &DeleteRecordsResponse::default().with_topics(topics),
            )
        })
    }
}

/// Each topic with its partitions, once, in the order of the request.
fn merged(topics: &[DeleteRecordsTopic]) -> Vec<(&TopicName, Vec<(i32, i64)>)> {
    let mut merged: Vec<(&TopicName, Vec<(i32, i64)>)> = Vec::with_capacity(topics.len());
    let mut topic_places = HashMap::new();
    let mut places = HashMap::new();
    for topic in topics {
        let place = *topic_places.entry(&topic.name).or_insert(merged.len());
        if place == merged.len() {
            merged.push((&topic.name, Vec::with_capacity(topic.partitions.len())));
        }
        let Some((_, wanted)) = merged.get_mut(place) else {
            continue;
        };
        for partition in &topic.partitions {
            let key = (place, partition.partition_index);
            let place = *places.entry(key).or_insert(wanted.len());
            match wanted.get_mut(place) {
                Some((_, before)) => *before = partition.offset,
                None => wanted.push((partition.partition_index, partition.offset)),
            }
        }
    }
    merged
}

/// What is wanted of a partition.
fn start_of(topic: &Arc<Topic>, &(index, before): &(i32, i64)) -> NewLogStart {
    NewLogStart {
        topic: Arc::clone(topic),
        partition: PartitionId(index),
        before: (before != HIGH_WATERMARK).then_some(Offset(before)),
    }
}

impl KafkaCode for DeleteRecordsError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Partition(error) => error.kafka(),
            Self::InternalTopic(_) => ResponseError::InvalidTopicException,
            Self::Policy(_) => ResponseError::PolicyViolation,
            Self::Read(error) => error.kafka(),
            Self::Commit(error) => error.kafka(),
        }
    }
}

fn result(index: i32, deleted: Result<Offset, ResponseError>) -> DeleteRecordsPartitionResult {
    let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
    match deleted {
        Ok(start) => result.with_low_watermark(start.0),
        Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::broker::testing::{batch, broker, topic};
    use crate::kafka::testing::Client;

    fn asking(name: &'static str, partitions: &[(i32, i64)]) -> DeleteRecordsRequest {
        let partition = |&(index, offset): &(i32, i64)| {
            DeleteRecordsPartition::default()
                .with_partition_index(index)
                .with_offset(offset)
        };
        let topic = DeleteRecordsTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(name)))
            .with_partitions(partitions.iter().map(partition).collect());
        DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(1000)
    }

    /// Partition and offset.
    type Asked = [(i32, i64)];
    /// Partition, low watermark and code.
    type Told = [(i32, i64, i16)];

    #[tokio::test]
    async fn every_version_moves_the_log_start() {
        for version in 0..=2 {
            let broker = broker(&[]);
            let data = topic(&broker, "t", 2, &[]).await;
            topic(&broker, "compacted", 1, &[("cleanup.policy", "compact")]).await;
            broker
                .append(&data, PartitionId(0), batch(&["a", "b", "c"]))
                .unwrap();
            let cases: [(&str, &Asked, &Told); 8] = [
                ("t", &[(0, 2)], &[(0, 2, 0)]),
                ("t", &[(0, 1)], &[(0, 2, 0)]),
                ("t", &[(0, 4)], &[(0, -1, 1)]),
                ("t", &[(0, -2)], &[(0, -1, 1)]),
                ("t", &[(0, -1), (1, 0), (0, 1)], &[(0, 2, 0), (1, 0, 0)]),
                ("t", &[(0, -1), (9, 0)], &[(0, 3, 0), (9, -1, 3)]),
                ("nowhere", &[(0, 0)], &[(0, -1, 3)]),
                ("compacted", &[(0, -1)], &[(0, -1, 44)]),
            ];
            for (name, asked, expected) in cases {
                let client = Client::of(&broker);
                let response: DeleteRecordsResponse = client
                    .call::<DeleteRecords, _>(version, &asking(name, asked))
                    .await
                    .answer();
                let told: Vec<_> = response.topics[0]
                    .partitions
                    .iter()
                    .map(|answer| {
                        (
                            answer.partition_index,
                            answer.low_watermark,
                            answer.error_code,
                        )
                    })
                    .collect();
                assert_eq!(told, expected, "v{version} {name} {asked:?}");
            }
        }
    }
}
