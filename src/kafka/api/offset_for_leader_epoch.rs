//! OffsetForLeaderEpoch v2–v4
//!
//! *Behaviour:* the largest epoch that is at most the one asked for, and where it ends; -1 for
//! both where nothing is known. A client compares it with what it has to find out where its log
//! and this one part. An epoch before the first is answered with itself and the offset where the
//! first begins.
//!
//! *Versions:* v2 leader epoch of the client (KIP-320); v3 replica id, which changes nothing; v4
//! flexible.
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::catalog::Topic;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::{LeaderEpoch, Offset, PartitionId, TopicPartition};

/// `RecordBatch.NO_PARTITION_LEADER_EPOCH`.
const NO_EPOCH: i32 = -1;

/// The handler.
pub(crate) struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    const KEY: i16 = 23;
    const NAME: &'static str = "OffsetForLeaderEpoch";
    const VERSIONS: RangeInclusive<i16> = 2..=4;
    const SCHEMA: &'static Schema = &schema::OFFSET_FOR_LEADER_EPOCH;

    fn start(context: Context, request: OffsetForLeaderEpochRequest) -> Result<Reply, Close> {
        let image = context.broker.catalog.image();
        let topics = request.topics.into_iter().map(|topic| {
            let found = image.topic_by_name(&topic.topic);
            let partitions = topic.partitions.iter().map(|partition| {
                let answer = EpochEndOffset::default().with_partition(partition.partition);
                match find(&context, found.as_deref(), partition) {
                    Ok(Some((epoch, end))) => {
                        answer.with_leader_epoch(epoch.0).with_end_offset(end.0)
                    }
                    Ok(None) => answer,
                    Err(error) => answer.with_error_code(error.code()),
                }
            });
            let partitions = partitions.collect();
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions)
        });
        let response = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
        Reply::ready(&context, &response)
    }
}

fn find(
    context: &Context,
    topic: Option<&Topic>,
    partition: &OffsetForLeaderPartition,
) -> Result<Option<(LeaderEpoch, Offset)>, ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let id = TopicPartition {
        topic: topic.id,
        partition: PartitionId(partition.partition),
    };
    let current = (partition.current_leader_epoch != NO_EPOCH)
        .then_some(LeaderEpoch(partition.current_leader_epoch));
    if partition.leader_epoch == NO_EPOCH {
        // Asks for nothing, and is told so if it asks the right broker.
        let checked = context.broker.partition(&id, current);
        return checked.map(|_| None).map_err(|error| error.kafka());
    }
    let asked = LeaderEpoch(partition.leader_epoch);
    let end = context.broker.leader_epoch_end(&id, asked, current);
    end.map_err(|error| error.kafka())
}
