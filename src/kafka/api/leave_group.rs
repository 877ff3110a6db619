//! LeaveGroup v0–v5
//!
//! *Behaviour:* Kafka's classic groups, see [`crate::coordinator::classic`]. A static member may
//! be named by its instance id alone.
//!
//! *Versions:* v1 throttle time; v2 throttling after the response (KIP-219); v3 many members,
//! each with a code of its own (KIP-345); v4 flexible; v5 a reason (KIP-800), which nobody reads.
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::coordinator::Failure;
use crate::coordinator::classic::{Leave, LeftMember};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version with many members.
const BATCHED: i16 = 3;

/// The handler.
pub(crate) struct LeaveGroup;

impl Handler for LeaveGroup {
    type Request = LeaveGroupRequest;
    const KEY: i16 = 13;
    const NAME: &'static str = "LeaveGroup";
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const SCHEMA: &'static Schema = &schema::LEAVE_GROUP;

    fn start(context: Context, request: LeaveGroupRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let response = match leave(&context, &request).await {
                Ok(left) => response(context.version, left),
                Err(error) => LeaveGroupResponse::default().with_error_code(error.code()),
            };
            Body::encode(&context, &response)
        })
    }
}

async fn leave(
    context: &Context,
    request: &LeaveGroupRequest,
) -> Result<Vec<LeftMember>, ResponseError> {
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let leaving = leaving(context.version, request);
    let left = context
        .broker()
        .leave_group(&request.group_id, leaving.clone())
        .await;
    match left.map_err(|error| error.kafka())? {
        Ok(left) => Ok(left),
        // Without a group each of them is unknown.
        Err(failure @ Failure::UnknownMemberId) => Ok(leaving
            .into_iter()
            .map(|each| LeftMember {
                member_id: each.member_id,
                instance_id: each.instance_id,
                failure: Some(failure),
            })
            .collect()),
        Err(failure) => Err(failure.kafka()),
    }
}

fn leaving(version: i16, request: &LeaveGroupRequest) -> Vec<Leave> {
    if version < BATCHED {
        return vec![Leave {
            member_id: request.member_id.to_string(),
            instance_id: None,
        }];
    }
    let members = request.members.iter().map(|member| Leave {
        member_id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
    });
    members.collect()
}

fn response(version: i16, left: Vec<LeftMember>) -> LeaveGroupResponse {
    let code = |member: &LeftMember| member.failure.map_or(0, |failure| failure.kafka().code());
    if version < BATCHED {
        let first = left.iter().map(code).find(|code| *code != 0);
        return LeaveGroupResponse::default().with_error_code(first.unwrap_or(0));
    }
    let member = |member: LeftMember| {
        let code = code(&member);
        MemberResponse::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_error_code(code)
    };
    LeaveGroupResponse::default().with_members(left.into_iter().map(member).collect())
}
