//! Heartbeat v0–v4
//!
//! *Behaviour:* Kafka's classic groups, see [`crate::coordinator::classic`]:
//! REBALANCE_IN_PROGRESS asks the member to join again.
//!
//! *Versions:* v1 throttle time; v2 throttling after the response (KIP-219); v3 static members
//! (KIP-345); v4 flexible.
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::group_member::identity;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct Heartbeat;

impl Handler for Heartbeat {
    type Request = HeartbeatRequest;
    const KEY: i16 = 12;
    const NAME: &'static str = "Heartbeat";
    const VERSIONS: RangeInclusive<i16> = 0..=4;
    const SCHEMA: &'static Schema = &schema::HEARTBEAT;

    fn start(context: Context, request: HeartbeatRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let code = match alive(&context, &request).await {
                Ok(()) => 0,
                Err(error) => error.code(),
            };
            let response = HeartbeatResponse::default().with_error_code(code);
            Body::encode(&context, &response)
        })
    }
}

async fn alive(context: &Context, request: &HeartbeatRequest) -> Result<(), ResponseError> {
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let instance_id = request.group_instance_id.as_ref();
    let who = identity(&request.member_id, instance_id, request.generation_id);
    let alive = context.broker().heartbeat(&request.group_id, &who).await;
    let alive = alive.map_err(|error| error.kafka())?;
    alive.map_err(|failure| failure.kafka())
}
