//! OffsetDelete v0
//!
//! *Behaviour:* deletes offsets of a group, of topics that none of its members subscribes to
//! (GROUP_SUBSCRIBED_TO_TOPIC, KIP-496). Members of other protocols than that of consumers keep
//! all of them (NON_EMPTY_GROUP).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::coordinator::Failure;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct OffsetDelete;

impl Handler for OffsetDelete {
    type Request = OffsetDeleteRequest;
    const KEY: i16 = 47;
    const NAME: &'static str = "OffsetDelete";
    const VERSIONS: RangeInclusive<i16> = 0..=0;
    const SCHEMA: &'static Schema = &schema::OFFSET_DELETE;

    fn start(context: Context, request: OffsetDeleteRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let response = match delete(&context, &request).await {
                Ok(results) => response(request, results),
                Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
            };
            Body::encode(&context, &response)
        })
    }
}

async fn delete(
    context: &Context,
    request: &OffsetDeleteRequest,
) -> Result<Vec<Result<(), Failure>>, ResponseError> {
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let topics = request.topics.iter();
    let partitions: Vec<_> = topics
        .flat_map(|topic| {
            let named = |index| (topic.name.to_string(), index);
            topic
                .partitions
                .iter()
                .map(move |partition| named(partition.partition_index))
        })
        .collect();
    let deleted = context
        .broker()
        .delete_offsets(&request.group_id, &partitions)
        .await;
    let deleted = deleted.map_err(|error| error.kafka())?;
    deleted.map_err(|failure| failure.kafka())
}

fn response(
    request: OffsetDeleteRequest,
    results: Vec<Result<(), Failure>>,
) -> OffsetDeleteResponse {
    let mut results = results.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut results);
        let partitions = partitions.map(|(partition, result)| {
            let code = result.err().map_or(0, |failure| failure.kafka().code());
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
