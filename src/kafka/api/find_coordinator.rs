//! FindCoordinator v0–v6
//!
//! *Behaviour:* the coordinator of every group is this node, at the address that the listener
//! tells its clients; the topic that it keeps groups in is made at need, and durable before the
//! answer. Nobody coordinates transactions (COORDINATOR_NOT_AVAILABLE) or share groups
//! (INVALID_REQUEST, as from a Kafka without them).
//!
//! *Versions:* v1 key types and error messages; v2 throttling after the response (KIP-219);
//! v3 flexible; v4 many keys at once (KIP-699); v5 TRANSACTION_ABORTABLE (KIP-890), which does
//! not happen; v6 share groups (KIP-932).
//!
//! *Not implemented:* transactions, share groups, throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version with many keys.
const BATCHED: i16 = 4;

/// `CoordinatorType.GROUP`.
const GROUP: i8 = 0;
/// `CoordinatorType.TRANSACTION`.
const TRANSACTION: i8 = 1;

/// The handler.
pub(crate) struct FindCoordinator;

impl Handler for FindCoordinator {
    type Request = FindCoordinatorRequest;
    const KEY: i16 = 10;
    const NAME: &'static str = "FindCoordinator";
    const VERSIONS: RangeInclusive<i16> = 0..=6;
    const SCHEMA: &'static Schema = &schema::FIND_COORDINATOR;

    fn start(context: Context, request: FindCoordinatorRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let found = match request.key_type {
                GROUP => {
                    let found = context.broker().find_group_coordinator().await;
                    found.map_err(|error| error.kafka())
                }
                TRANSACTION => Err(ResponseError::CoordinatorNotAvailable),
                _ => Err(ResponseError::InvalidRequest),
            };
            let response = match context.version {
                ..BATCHED => single(&context, found),
                BATCHED.. => batched(&context, found, request.coordinator_keys),
            };
            Body::encode(&context, &response)
        })
    }
}

fn single(context: &Context, found: Result<(), ResponseError>) -> FindCoordinatorResponse {
    let response = FindCoordinatorResponse::default();
    let response = match found {
        Ok(()) => {
            let (host, port) = &context.connection.advertised;
            response
                .with_node_id(BrokerId(context.broker().node_id.get()))
                .with_host(text(host.as_str()))
                .with_port(i32::from(*port))
        }
        Err(error) => response
            .with_error_code(error.code())
            .with_node_id(BrokerId(-1))
            .with_port(-1),
    };
    response.with_error_message((context.version >= 1).then(|| message(found)))
}

/// `Errors.message`, which is `NONE` where all is well.
fn message(found: Result<(), ResponseError>) -> StrBytes {
    match found {
        Ok(()) => StrBytes::from_static_str("NONE"),
        Err(ResponseError::InvalidRequest) => StrBytes::from_static_str(
            "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.",
        ),
        Err(ResponseError::CoordinatorNotAvailable) => {
            StrBytes::from_static_str("The coordinator is not available.")
        }
        Err(error) => text(error.to_string()),
    }
}

fn batched(
    context: &Context,
    found: Result<(), ResponseError>,
    keys: Vec<StrBytes>,
) -> FindCoordinatorResponse {
    let (host, port) = &context.connection.advertised;
    let coordinator = |key| {
        let coordinator = Coordinator::default().with_key(key);
        match found {
            Ok(()) => coordinator
                .with_node_id(BrokerId(context.broker().node_id.get()))
                .with_host(text(host.as_str()))
                .with_port(i32::from(*port)),
            Err(error) => coordinator
                .with_error_code(error.code())
                .with_error_message(Some(message(found)))
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        }
    };
    FindCoordinatorResponse::default()
        .with_coordinators(keys.into_iter().map(coordinator).collect())
}
