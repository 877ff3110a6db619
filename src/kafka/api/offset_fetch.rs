//! OffsetFetch v1–v9
//!
//! *Behaviour:* what groups have committed; -1 where they have not. What is told is durable, so
//! no offset that was told goes back. A group that does not exist has committed nothing.
//!
//! *Versions:* v2 all partitions at once, and a code for the group; v3 throttle time;
//! v4 throttling after the response (KIP-219); v5 leader epochs (KIP-320); v6 flexible; v7 stable
//! offsets on demand (KIP-447): all of them are, without transactions; v8 many groups (KIP-709);
//! v9 members of consumer groups (KIP-848). v10 is unstable in Kafka 4.1 and not served.
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::group_member::identity;
use crate::broker::groups::{self, FetchedOffset, OffsetsOfGroup};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version with a code for the group.
const GROUP_CODE: i16 = 2;
/// First version with leader epochs.
const LEADER_EPOCH: i16 = 5;
/// First version with many groups.
const BATCHED: i16 = 8;
/// `OffsetFetchResponse.INVALID_OFFSET`, and no leader epoch.
const NOTHING: (i64, i32) = (-1, -1);

/// The handler.
pub(crate) struct OffsetFetch;

impl Handler for OffsetFetch {
    type Request = OffsetFetchRequest;
    const KEY: i16 = 9;
    const NAME: &'static str = "OffsetFetch";
    const VERSIONS: RangeInclusive<i16> = 1..=9;
    const SCHEMA: &'static Schema = &schema::OFFSET_FETCH;

    fn start(context: Context, request: OffsetFetchRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let response = match context.version {
                ..BATCHED => single(&context, request).await,
                BATCHED.. => batched(&context, request).await,
            };
            Body::encode(&context, &response)
        })
    }
}

async fn fetch(
    context: &Context,
    asked: &groups::OffsetFetch,
) -> Result<OffsetsOfGroup, ResponseError> {
    let fetched = context.broker().committed_offsets(asked).await;
    let fetched = fetched.map_err(|error| error.kafka())?;
    fetched.map_err(|failure| failure.kafka())
}

async fn single(context: &Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter();
        topics
            .map(|topic| (topic.name.to_string(), topic.partition_indexes))
            .collect()
    });
    let asked = groups::OffsetFetch {
        group: request.group_id.to_string(),
        who: None,
        partitions: topics,
    };
    let (code, fetched) = match fetch(context, &asked).await {
        Ok(fetched) => (0, fetched),
        // The oldest version has no other place for a code.
        Err(error) if context.version < GROUP_CODE => (error.code(), nothing(&asked)),
        Err(error) => (error.code(), Vec::new()),
    };
    let partition = |(index, committed): FetchedOffset| {
        let ((offset, epoch), metadata) = told(committed);
        let epoch = if context.version < LEADER_EPOCH {
            -1
        } else {
            epoch
        };
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(text(metadata)))
            .with_error_code(if context.version < GROUP_CODE {
                code
            } else {
                0
            })
    };
    let topics = fetched.into_iter().map(|(name, partitions)| {
        OffsetFetchResponseTopic::default()
            .with_name(text(name).into())
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    let response = OffsetFetchResponse::default().with_topics(topics.collect());
    match context.version {
        ..GROUP_CODE => response,
        GROUP_CODE.. => response.with_error_code(code),
    }
}

/// Nothing for each partition that is asked for.
fn nothing(asked: &groups::OffsetFetch) -> OffsetsOfGroup {
    let topics = asked.partitions.iter().flatten();
    let nothing = |partitions: &[i32]| partitions.iter().map(|index| (*index, None)).collect();
    topics
        .map(|(name, partitions)| (name.clone(), nothing(partitions)))
        .collect()
}

async fn batched(context: &Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(one_of_many(context, group).await);
    }
    OffsetFetchResponse::default().with_groups(groups)
}

async fn one_of_many(
    context: &Context,
    group: OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let topics = group.topics.map(|topics| {
        let topics = topics.into_iter();
        topics
            .map(|topic| (topic.name.to_string(), topic.partition_indexes))
            .collect()
    });
    let who = match group.member_id {
        None if group.member_epoch < 0 => None,
        member_id => {
            let member_id = member_id.unwrap_or_default();
            Some(identity(&member_id, None, group.member_epoch))
        }
    };
    let asked = groups::OffsetFetch {
        group: group.group_id.to_string(),
        who,
        partitions: topics,
    };
    let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id);
    let fetched = match fetch(context, &asked).await {
        Ok(fetched) => fetched,
        Err(error) => return answer.with_error_code(error.code()),
    };
    let partition = |(index, committed): FetchedOffset| {
        let ((offset, epoch), metadata) = told(committed);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(text(metadata)))
    };
    let topics = fetched.into_iter().map(|(name, partitions)| {
        OffsetFetchResponseTopics::default()
            .with_name(text(name).into())
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    answer.with_topics(topics.collect())
}

fn told(committed: Option<crate::coordinator::Committed>) -> ((i64, i32), String) {
    committed.map_or((NOTHING, String::new()), |committed| {
        let position = (committed.offset, committed.leader_epoch);
        (position, committed.metadata)
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use kafka_protocol::messages::offset_fetch_request::{
        OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };
    use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::broker::testing::{broker, create};
    use crate::kafka::api::offset_commit::OffsetCommit;
    use crate::kafka::testing::Client;

    fn group() -> GroupId {
        GroupId(StrBytes::from_static_str("g"))
    }

    fn topic() -> TopicName {
        TopicName(StrBytes::from_static_str("t"))
    }

    fn asked(version: i16) -> OffsetFetchRequest {
        if version < BATCHED {
            let topic = OffsetFetchRequestTopic::default()
                .with_name(topic())
                .with_partition_indexes(vec![0, 1]);
            return OffsetFetchRequest::default()
                .with_group_id(group())
                .with_topics(Some(vec![topic]));
        }
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic())
            .with_partition_indexes(vec![0, 1]);
        let one = OffsetFetchRequestGroup::default()
            .with_group_id(group())
            .with_topics(Some(vec![topic]));
        OffsetFetchRequest::default().with_groups(vec![one])
    }

    /// Offsets and metadata of the only topic, in any version.
    fn told(answer: &OffsetFetchResponse) -> Vec<(i64, String)> {
        let single = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let single = single.map(|one| (one.committed_offset, one.metadata.clone()));
        let topics = answer.groups.iter().flat_map(|group| &group.topics);
        let batched = topics.flat_map(|topic| &topic.partitions);
        let batched = batched.map(|one| (one.committed_offset, one.metadata.clone()));
        let text = |metadata: Option<StrBytes>| metadata.unwrap_or_default().to_string();
        let all = single.chain(batched);
        all.map(|(offset, metadata)| (offset, text(metadata)))
            .collect()
    }

    #[tokio::test]
    async fn every_version_tells_what_every_version_committed() {
        let broker = broker(&[]);
        create(&broker, &[("t", 2)]).await;
        let client = Client::of(&broker);
        for version in OffsetCommit::VERSIONS {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(1)
                .with_committed_offset(i64::from(version))
                .with_committed_metadata(Some(StrBytes::from_static_str("kept")));
            let topic = OffsetCommitRequestTopic::default()
                .with_name(topic())
                .with_partitions(vec![partition]);
            let request = OffsetCommitRequest::default()
                .with_group_id(group())
                .with_topics(vec![topic]);
            let committed: OffsetCommitResponse = client
                .call::<OffsetCommit, _>(version, &request)
                .await
                .answer();
            assert_eq!(committed.topics[0].partitions[0].error_code, 0);
            for fetch in OffsetFetch::VERSIONS {
                let answer: OffsetFetchResponse = client
                    .call::<OffsetFetch, _>(fetch, &asked(fetch))
                    .await
                    .answer();
                let expected = [(-1, String::new()), (i64::from(version), "kept".to_owned())];
                assert_eq!(told(&answer), expected, "v{version}, v{fetch}");
            }
        }
    }
}
