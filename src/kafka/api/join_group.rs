//! JoinGroup v0–v9
//!
//! *Behaviour:* Kafka's classic groups, see [`crate::coordinator::classic`]. The answer comes
//! when the rebalance is over; the leader's holds all members.
//!
//! *Versions:* v1 a rebalance timeout of its own (KIP-62), before that the session timeout;
//! v2 throttle time; v3 throttling after the response (KIP-219); v4 MEMBER_ID_REQUIRED (KIP-394);
//! v5 static members (KIP-345); v6 flexible; v7 the protocol's type, and null for no protocol
//! (KIP-559); v8 a reason (KIP-800), which nobody reads; v9 a leader may be told to keep its
//! assignment (KIP-814).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;

use super::group_member::{client_host, client_id};
use crate::coordinator::classic::{Join, Joined, JoinedMember, Protocol};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version whose dynamic members come back with the id that they were given.
const KNOWN_MEMBER_ID: i16 = 4;
/// First version that tells static members apart.
const INSTANCE_ID: i16 = 5;
/// First version that may tell no protocol.
const NULLABLE_PROTOCOL: i16 = 7;
/// First version whose leader can be told to keep its assignment.
const SKIP_ASSIGNMENT: i16 = 9;

/// The handler.
pub(crate) struct JoinGroup;

impl Handler for JoinGroup {
    type Request = JoinGroupRequest;
    const KEY: i16 = 11;
    const NAME: &'static str = "JoinGroup";
    const VERSIONS: RangeInclusive<i16> = 0..=9;
    const SCHEMA: &'static Schema = &schema::JOIN_GROUP;

    fn start(context: Context, request: JoinGroupRequest) -> Result<Reply, Close> {
        if request.group_id.is_empty() {
            let refused = refused(&context, request.member_id, ResponseError::InvalidGroupId);
            return Reply::ready(&context, &refused);
        }
        Reply::begin(async move {
            let join = native(&context, &request);
            let joined = context.broker().join_group(&request.group_id, join).await;
            let response = match joined {
                Ok(joined) => response(&context, joined),
                Err(error) => refused(&context, request.member_id, error.kafka()),
            };
            Body::encode(&context, &response)
        })
    }
}

fn native(context: &Context, request: &JoinGroupRequest) -> Join {
    let instance_id = request.group_instance_id.as_ref();
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.to_string(),
        metadata: protocol.metadata.clone(),
    });
    Join {
        member_id: request.member_id.to_string(),
        instance_id: instance_id.map(ToString::to_string),
        client_id: client_id(context),
        client_host: client_host(context),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match context.version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        requires_known_member_id: context.version >= KNOWN_MEMBER_ID,
        supports_skipping_assignment: context.version >= SKIP_ASSIGNMENT,
    }
}

fn response(context: &Context, joined: Joined) -> JoinGroupResponse {
    let version = context.version;
    let member = |member: JoinedMember| {
        let instance_id = member.instance_id.filter(|_| version >= INSTANCE_ID);
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(instance_id.map(text))
            .with_metadata(member.metadata)
    };
    let error_code = joined.failure.map_or(0, |failure| failure.kafka().code());
    JoinGroupResponse::default()
        .with_error_code(error_code)
        .with_generation_id(joined.generation)
        .with_protocol_type(
            joined
                .protocol_type
                .filter(|_| version >= NULLABLE_PROTOCOL)
                .map(text),
        )
        .with_protocol_name(protocol_name(version, joined.protocol))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}

fn refused(context: &Context, member_id: StrBytes, error: ResponseError) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_name(protocol_name(context.version, None))
        .with_member_id(member_id)
}

fn protocol_name(version: i16, protocol: Option<String>) -> Option<StrBytes> {
    match protocol {
        Some(name) => Some(text(name)),
        None => (version < NULLABLE_PROTOCOL).then(StrBytes::default),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    use kafka_protocol::messages::leave_group_request::MemberIdentity;
    use kafka_protocol::messages::{
        GroupId, HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse,
        SyncGroupRequest, SyncGroupResponse,
    };

    use super::*;
    use crate::broker::testing::broker;
    use crate::kafka::api::heartbeat::Heartbeat;
    use crate::kafka::api::leave_group::LeaveGroup;
    use crate::kafka::api::sync_group::SyncGroup;
    use crate::kafka::testing::Client;

    fn name(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn request(member: StrBytes) -> JoinGroupRequest {
        let range = JoinGroupRequestProtocol::default()
            .with_name(name("range"))
            .with_metadata(Bytes::from_static(b"m"));
        JoinGroupRequest::default()
            .with_group_id(GroupId(name("g")))
            .with_session_timeout_ms(10_000)
            .with_member_id(member)
            .with_protocol_type(name("consumer"))
            .with_protocols(vec![range])
    }

    #[tokio::test]
    async fn a_member_comes_and_goes_in_every_version() {
        for version in JoinGroup::VERSIONS {
            let client = Client::of(&broker(&[]));
            let join = |member| {
                let request = request(member);
                match version {
                    ..1 => request,
                    1.. => request.with_rebalance_timeout_ms(10_000),
                }
            };
            let mut joined: JoinGroupResponse = client
                .call::<JoinGroup, _>(version, &join(StrBytes::default()))
                .await
                .answer();
            if version >= KNOWN_MEMBER_ID {
                assert_eq!(joined.error_code, ResponseError::MemberIdRequired.code());
                let again = join(joined.member_id);
                joined = client.call::<JoinGroup, _>(version, &again).await.answer();
            }
            assert_eq!((joined.error_code, joined.generation_id), (0, 1));
            assert_eq!(joined.leader, joined.member_id);
            assert!(joined.member_id.starts_with("tests-"));
            assert_eq!(joined.protocol_name.as_deref(), Some("range"));

            let sync = SyncGroupRequest::default()
                .with_group_id(GroupId(name("g")))
                .with_generation_id(1)
                .with_member_id(joined.member_id.clone());
            let sync = match version {
                ..5 => sync,
                5.. => sync
                    .with_protocol_type(Some(name("consumer")))
                    .with_protocol_name(Some(name("range"))),
            };
            let synced: SyncGroupResponse = client
                .call::<SyncGroup, _>(version.min(5), &sync)
                .await
                .answer();
            assert_eq!(synced.error_code, 0);

            let beat = HeartbeatRequest::default()
                .with_group_id(GroupId(name("g")))
                .with_generation_id(1)
                .with_member_id(joined.member_id.clone());
            let alive: HeartbeatResponse = client
                .call::<Heartbeat, _>(version.min(4), &beat)
                .await
                .answer();
            assert_eq!(alive.error_code, 0);

            let leave = LeaveGroupRequest::default().with_group_id(GroupId(name("g")));
            let member = joined.member_id;
            let leave = match version {
                ..3 => leave.with_member_id(member),
                3.. => leave.with_members(vec![MemberIdentity::default().with_member_id(member)]),
            };
            let left: LeaveGroupResponse = client
                .call::<LeaveGroup, _>(version.min(5), &leave)
                .await
                .answer();
            assert_eq!(left.error_code, 0);
            assert!(left.members.iter().all(|member| member.error_code == 0));
        }
    }
}
