//! ConsumerGroupDescribe v0–v1
//!
//! *Behaviour:* consumer groups with their epochs, and their members with what they have and shall
//! have. Any other group is GROUP_ID_NOT_FOUND: clients ask for it with DescribeGroups then.
//!
//! *Versions:* v1 tells members apart that speak the classic protocol (KIP-1099).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId,
};
use kafka_protocol::protocol::StrBytes;

use super::authorized::GROUP_OPERATIONS;
use crate::coordinator::consumer::{
    ConsumerDescription, ConsumerMemberDescription, DescribedTopic,
};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that says which protocol a member speaks.
const MEMBER_TYPE: i16 = 1;

/// The handler.
pub(crate) struct ConsumerGroupDescribe;

impl Handler for ConsumerGroupDescribe {
    type Request = ConsumerGroupDescribeRequest;
    const KEY: i16 = 69;
    const NAME: &'static str = "ConsumerGroupDescribe";
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const SCHEMA: &'static Schema = &schema::CONSUMER_GROUP_DESCRIBE;

    fn start(context: Context, request: ConsumerGroupDescribeRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let mut groups = Vec::with_capacity(request.group_ids.len());
            for id in request.group_ids {
                let group = describe(&context, id).await;
                let with_operations =
                    request.include_authorized_operations && group.error_code == 0;
                groups.push(match with_operations {
                    true => group.with_authorized_operations(GROUP_OPERATIONS),
                    false => group,
                });
            }
            let response = ConsumerGroupDescribeResponse::default().with_groups(groups);
            Body::encode(&context, &response)
        })
    }
}

async fn describe(context: &Context, id: GroupId) -> DescribedGroup {
    let group = DescribedGroup::default().with_group_id(id.clone());
    if !context.broker().has_consumer_groups() {
        return group.with_error_code(ResponseError::UnsupportedVersion.code());
    }
    if id.is_empty() {
        return group.with_error_code(ResponseError::InvalidGroupId.code());
    }
    match context.broker().describe_consumer_group(&id).await {
        Ok(Ok(described)) => told(context.version, group, described),
        Ok(Err(refusal)) => group
            .with_error_code(refusal.failure.kafka().code())
            .with_error_message(Some(text(refusal.message))),
        Err(error) => group.with_error_code(error.kafka().code()),
    }
}

fn told(version: i16, group: DescribedGroup, described: ConsumerDescription) -> DescribedGroup {
    let members = described.members.into_iter();
    group
        .with_group_state(StrBytes::from_static_str(described.state.name()))
        .with_group_epoch(described.epoch)
        .with_assignment_epoch(described.target_epoch)
        .with_assignor_name(StrBytes::from_static_str(described.assignor.name()))
        .with_members(members.map(|each| member(version, each)).collect())
}

fn member(version: i16, member: ConsumerMemberDescription) -> Member {
    let names = member.topics.into_iter().map(|name| text(name).into());
    // Only for versions that have a place for it.
    let kind = match (version >= MEMBER_TYPE, member.is_classic) {
        (false, _) => -1,
        (true, true) => 0,
        (true, false) => 1,
    };
    Member::default()
        .with_member_id(text(member.member_id))
        .with_instance_id(member.instance_id.map(text))
        .with_rack_id(member.rack_id.map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_subscribed_topic_names(names.collect())
        .with_subscribed_topic_regex(Some(text(member.expression.unwrap_or_default())))
        .with_assignment(assignment(member.assigned))
        .with_target_assignment(assignment(member.target))
        .with_member_type(kind)
}

fn assignment(topics: Vec<DescribedTopic>) -> Assignment {
    let topics = topics.into_iter().map(|topic| {
        TopicPartitions::default()
            .with_topic_id(topic.id)
            .with_topic_name(text(topic.name).into())
            .with_partitions(topic.partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
