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
    let fetched = context.broker.committed_offsets(asked).await;
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
