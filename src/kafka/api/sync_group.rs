//! SyncGroup v0–v5
//!
//! *Behaviour:* Kafka's classic groups, see [`crate::coordinator::classic`]. The answer comes
//! when the leader has sent its assignments and they are durable.
//!
//! *Versions:* v1 throttle time; v2 throttling after the response (KIP-219); v3 static members
//! (KIP-345); v4 flexible; v5 type and name of the protocol, which must be there (KIP-559).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::coordinator::classic::{Sync, Synced};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that names the protocol.
const PROTOCOL: i16 = 5;

/// The handler.
pub(crate) struct SyncGroup;

impl Handler for SyncGroup {
    type Request = SyncGroupRequest;
    const KEY: i16 = 14;
    const NAME: &'static str = "SyncGroup";
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const SCHEMA: &'static Schema = &schema::SYNC_GROUP;

    fn start(context: Context, request: SyncGroupRequest) -> Result<Reply, Close> {
        let unnamed = request.protocol_type.is_none() || request.protocol_name.is_none();
        if context.version >= PROTOCOL && unnamed {
            let refused = refused(ResponseError::InconsistentGroupProtocol);
            return Reply::ready(&context, &refused);
        }
        if request.group_id.is_empty() {
            return Reply::ready(&context, &refused(ResponseError::InvalidGroupId));
        }
        Reply::begin(async move {
            let sync = native(&request);
            let synced = context.broker().sync_group(&request.group_id, sync).await;
            let response = match synced {
                Ok(synced) => response(context.version, synced),
                Err(error) => refused(error.kafka()),
            };
            Body::encode(&context, &response)
        })
    }
}

fn native(request: &SyncGroupRequest) -> Sync {
    let owned = |text: Option<&kafka_protocol::protocol::StrBytes>| text.map(ToString::to_string);
    let assignments = request.assignments.iter();
    Sync {
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id.as_ref()),
        generation: request.generation_id,
        protocol_type: owned(request.protocol_type.as_ref()),
        protocol: owned(request.protocol_name.as_ref()),
        assignments: assignments
            .map(|each| (each.member_id.to_string(), each.assignment.clone()))
            .collect(),
    }
}

fn response(version: i16, synced: Synced) -> SyncGroupResponse {
    if let Some(failure) = synced.failure {
        return refused(failure.kafka());
    }
    let told = |name: Option<String>| name.filter(|_| version >= PROTOCOL).map(text);
    SyncGroupResponse::default()
        .with_protocol_type(told(synced.protocol_type))
        .with_protocol_name(told(synced.protocol))
        .with_assignment(synced.assignment)
}

fn refused(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}
