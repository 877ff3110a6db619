//! DescribeGroups v0–v6
//!
//! *Behaviour:* classic groups with their members; what members want is told of stable groups
//! alone. A group that does not exist is `Dead`.
//!
//! *Versions:* v1 throttle time; v2 throttling after the response (KIP-219); v3 authorized
//! operations (KIP-430); v4 static members (KIP-345); v5 flexible; v6 GROUP_ID_NOT_FOUND with a
//! message for groups that do not exist (KIP-1043).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::authorized::GROUP_OPERATIONS;
use crate::coordinator::{GroupDescription, MemberDescription, NotClassic};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that tells static members apart.
const INSTANCE_ID: i16 = 4;
/// First version that says that there is no group.
const NOT_FOUND: i16 = 6;

/// The handler.
pub(crate) struct DescribeGroups;

impl Handler for DescribeGroups {
    type Request = DescribeGroupsRequest;
    const KEY: i16 = 15;
    const NAME: &'static str = "DescribeGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=6;
    const SCHEMA: &'static Schema = &schema::DESCRIBE_GROUPS;

    fn start(context: Context, request: DescribeGroupsRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let mut groups = Vec::with_capacity(request.groups.len());
            for id in request.groups {
                let group = describe(&context, id).await;
                let told = request.include_authorized_operations && group.error_code == 0;
                groups.push(match told {
                    true => group.with_authorized_operations(GROUP_OPERATIONS),
                    false => group,
                });
            }
            let response = DescribeGroupsResponse::default().with_groups(groups);
            Body::encode(&context, &response)
        })
    }
}

async fn describe(context: &Context, id: GroupId) -> DescribedGroup {
    match context.broker().describe_group(&id).await {
        Ok(Ok(group)) => described(context.version, id, group),
        Ok(Err(why)) => unknown(context.version, id, &why),
        Err(error) => DescribedGroup::default()
            .with_group_id(id)
            .with_error_code(error.kafka().code()),
    }
}

fn described(version: i16, id: GroupId, group: GroupDescription) -> DescribedGroup {
    let member = |member: MemberDescription| {
        let instance_id = member.instance_id.filter(|_| version >= INSTANCE_ID);
        DescribedGroupMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(instance_id.map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}

fn unknown(version: i16, id: GroupId, why: &NotClassic) -> DescribedGroup {
    let dead = DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(StrBytes::from_static_str("Dead"));
    match version {
        ..NOT_FOUND => dead,
        NOT_FOUND.. => dead
            .with_error_code(ResponseError::GroupIdNotFound.code())
            .with_error_message(Some(text(why.to_string()))),
    }
}
