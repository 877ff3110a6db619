//! OffsetCommit v2–v9
//!
//! *Behaviour:* offsets are kept for groups with and without members; a group that has some takes
//! them from its members alone. The answer comes when they are durable. Metadata is kept byte for
//! byte.
//!
//! *Versions:* v2–v4 a time to keep the offsets; v3 throttle time; v4 throttling after the
//! response (KIP-219); v5 no such time; v6 leader epochs (KIP-320); v7 static members (KIP-345);
//! v8 flexible; v9 members of consumer groups (KIP-848), and GROUP_ID_NOT_FOUND where it was
//! ILLEGAL_GENERATION. v10 is unstable in Kafka 4.1 and not served.
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::group_member::identity;
use crate::coordinator::{self, Commit, Failure};
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that knows of member epochs, and says so if there is no group.
const EPOCHS: i16 = 9;

/// The handler.
pub(crate) struct OffsetCommit;

impl Handler for OffsetCommit {
    type Request = OffsetCommitRequest;
    const KEY: i16 = 8;
    const NAME: &'static str = "OffsetCommit";
    const VERSIONS: RangeInclusive<i16> = 2..=9;
    const SCHEMA: &'static Schema = &schema::OFFSET_COMMIT;

    fn start(context: Context, request: OffsetCommitRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let commit = native(context.version, &request);
            let committed = context
                .broker
                .commit_offsets(&request.group_id, &commit)
                .await;
            let mut codes = match committed {
                Ok(results) => results
                    .into_iter()
                    .map(|result| code(context.version, result))
                    .collect(),
                Err(error) => vec![error.kafka().code(); commit.commits.len()],
            }
            .into_iter();
            let topics = request.topics.into_iter().map(|topic| {
                let partitions = topic.partitions.iter().zip(&mut codes);
                let partitions = partitions.map(|(partition, code)| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
                let partitions = partitions.collect();
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions)
            });
            let response = OffsetCommitResponse::default().with_topics(topics.collect());
            Body::encode(&context, &response)
        })
    }
}

fn native(version: i16, request: &OffsetCommitRequest) -> coordinator::OffsetCommit {
    let commits = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let metadata = partition.committed_metadata.as_ref();
            Commit {
                topic: topic.name.to_string(),
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: metadata.map(ToString::to_string).unwrap_or_default(),
            }
        })
    });
    coordinator::OffsetCommit {
        who: identity(
            &request.member_id,
            request.group_instance_id.as_ref(),
            request.generation_id_or_member_epoch,
        ),
        commits: commits.collect(),
        knows_epochs: version >= EPOCHS,
        // `OffsetCommitRequest.DEFAULT_RETENTION_TIME` leaves it to the broker.
        retention_ms: (request.retention_time_ms != -1).then_some(request.retention_time_ms),
    }
}

fn code(version: i16, result: Result<(), Failure>) -> i16 {
    match result {
        Ok(()) => 0,
        Err(Failure::GroupIdNotFound) if version < EPOCHS => {
            ResponseError::IllegalGeneration.code()
        }
        Err(failure) => failure.kafka().code(),
    }
}
