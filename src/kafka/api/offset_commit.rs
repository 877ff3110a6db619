//! OffsetCommit v2–v9
//!
//! *Behaviour:* offsets are kept for groups with and without members; a group that has some takes
//! them from its members alone. Partitions that do not exist are UNKNOWN_TOPIC_OR_PARTITION, whatever
//! the group says to the others. The answer comes when they are durable. Metadata is kept byte for
//! byte.
//!
//! *Versions:* v2–v4 a time to keep the offsets; v3 throttle time; v4 throttling after the
//! response (KIP-219); v5 no such time; v6 leader epochs (KIP-320); v7 static members (KIP-345);
//! v8 flexible; v9 members of consumer groups (KIP-848), and GROUP_ID_NOT_FOUND where it was
//! ILLEGAL_GENERATION. v10 is unstable in Kafka 4.1 and not served.
//!
//! *Not implemented:* throttling.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, TopicName};

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
            let mut answer = Answer::default();
            let asked = sift(&context, &request, &mut answer);
            let commit = native(context.version, &request, &asked);
            // A group hears of nothing that is nowhere.
            if !commit.commits.is_empty() {
                let committed = context
                    .broker()
                    .commit_offsets(&request.group_id, &commit)
                    .await;
                let codes = match committed {
                    Ok(results) => results
                        .into_iter()
                        .map(|result| code(context.version, result))
                        .collect(),
                    Err(error) => vec![error.kafka().code(); commit.commits.len()],
                };
                answer.add_results(asked, codes);
            }
            let response = OffsetCommitResponse::default().with_topics(answer.topics);
            Body::encode(&context, &response)
        })
    }
}

/// A topic that is there, with those of the partitions asked for that are.
type Asked<'a> = (&'a TopicName, Vec<&'a OffsetCommitRequestPartition>);

/// What is there; the rest is answered.
fn sift<'a>(
    context: &Context,
    request: &'a OffsetCommitRequest,
    answer: &mut Answer,
) -> Vec<Asked<'a>> {
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let image = context.broker().catalog.image();
    let mut asked = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let Some(there) = image.topic_by_name(&topic.name) else {
            let all = topic.partitions.iter();
            answer.add(&topic.name, all.map(|each| partition(each, unknown)));
            continue;
        };
        let is_there = |each: &&OffsetCommitRequestPartition| {
            usize::try_from(each.partition_index).is_ok_and(|at| at < there.partitions.len())
        };
        let (known, others): (Vec<_>, Vec<_>) = topic.partitions.iter().partition(is_there);
        if !others.is_empty() {
            let others = others.into_iter().map(|each| partition(each, unknown));
            answer.add(&topic.name, others);
        }
        if !known.is_empty() {
            asked.push((&topic.name, known));
        }
    }
    asked
}

/// The answer as it grows (`OffsetCommitResponse.Builder`): first what is unknown, then what the
/// group said. A topic is in it once if anything is unknown, and else as often as it was named.
#[derive(Default)]
struct Answer {
    topics: Vec<OffsetCommitResponseTopic>,
    places: HashMap<TopicName, usize>,
}

impl Answer {
    fn add(&mut self, name: &TopicName, more: impl Iterator<Item = OffsetCommitResponsePartition>) {
        let next = self.topics.len();
        let place = *self.places.entry(name.clone()).or_insert(next);
        match self.topics.get_mut(place) {
            Some(topic) => topic.partitions.extend(more),
            None => self.append(name, more),
        }
    }

    fn append(
        &mut self,
        name: &TopicName,
        partitions: impl Iterator<Item = OffsetCommitResponsePartition>,
    ) {
        let topic = OffsetCommitResponseTopic::default()
            .with_name(name.clone())
            .with_partitions(partitions.collect());
        self.topics.push(topic);
    }

    fn add_results(&mut self, asked: Vec<Asked<'_>>, codes: Vec<i16>) {
        let merges = !self.topics.is_empty();
        let mut codes = codes.into_iter();
        for (name, partitions) in asked {
            let results = partitions.into_iter().zip(&mut codes);
            let results = results.map(|(each, code)| partition(each, code));
            if merges {
                self.add(name, results);
            } else {
                self.append(name, results);
            }
        }
    }
}

fn partition(asked: &OffsetCommitRequestPartition, code: i16) -> OffsetCommitResponsePartition {
    OffsetCommitResponsePartition::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(code)
}

fn native(
    version: i16,
    request: &OffsetCommitRequest,
    asked: &[Asked<'_>],
) -> coordinator::OffsetCommit {
    let commits = asked.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(|partition| {
            let metadata = partition.committed_metadata.as_ref();
            Commit {
                topic: topic.to_string(),
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
