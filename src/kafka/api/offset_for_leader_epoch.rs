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
        let image = context.broker().catalog.image();
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
        let checked = context.broker().partition(&id, current);
        return checked.map(|_| None).map_err(|error| error.kafka());
    }
    let asked = LeaderEpoch(partition.leader_epoch);
    let end = context.broker().leader_epoch_end(&id, asked, current);
    end.map_err(|error| error.kafka())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
    use kafka_protocol::messages::{BrokerId, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::broker::testing::{batch, broker, topic};
    use crate::kafka::testing::Client;

    #[tokio::test]
    async fn every_version_tells_where_epochs_end() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        broker
            .append(&topic, PartitionId(0), batch(&["a", "b"]))
            .unwrap();
        for version in 2..=4 {
            let cases = [
                ("t", 0, 0, -1, (0, 0, 2)),
                ("t", 0, 0, 0, (0, 0, 2)),
                ("t", 0, 1, -1, (0, -1, -1)),
                ("t", 0, -1, -1, (0, -1, -1)),
                ("t", 0, -2, -1, (0, -2, 0)),
                ("t", 0, 0, 5, (75, -1, -1)),
                ("t", 0, -1, 5, (75, -1, -1)),
                ("t", 8, 0, -1, (3, -1, -1)),
                ("nowhere", 0, 0, -1, (3, -1, -1)),
            ];
            for (name, index, epoch, current, expected) in cases {
                let partition = OffsetForLeaderPartition::default()
                    .with_partition(index)
                    .with_leader_epoch(epoch)
                    .with_current_leader_epoch(current);
                let topic = OffsetForLeaderTopic::default()
                    .with_topic(TopicName(StrBytes::from_static_str(name)))
                    .with_partitions(vec![partition]);
                let request = OffsetForLeaderEpochRequest::default()
                    .with_replica_id(if version >= 3 {
                        BrokerId(-1)
                    } else {
                        BrokerId(-2)
                    })
                    .with_topics(vec![topic]);
                let client = Client::of(&broker);
                let response: OffsetForLeaderEpochResponse = client
                    .call::<OffsetForLeaderEpoch, _>(version, &request)
                    .await
                    .answer();
                let answer = &response.topics[0].partitions[0];
                let told = (answer.error_code, answer.leader_epoch, answer.end_offset);
                assert_eq!(
                    told, expected,
                    "v{version} {name}-{index} {epoch} {current}"
                );
            }
        }
    }
}
