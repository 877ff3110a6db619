//! IncrementalAlterConfigs v0–v1
//!
//! *Behaviour:* SET, DELETE, APPEND and SUBTRACT of settings of topics, of this broker, of all
//! brokers (empty name), of client-metrics subscriptions and of groups. Each resource is changed
//! whole or not at all and has its own code; the answer leaves when the changes are durable and
//! in force. Checked in this order: a resource twice, a key twice, null values
//! (INVALID_REQUEST); the broker's id and its settings (INVALID_REQUEST); operations on what is
//! no list (INVALID_CONFIG); names (INVALID_TOPIC_EXCEPTION), keys, values and what must hold
//! between them (INVALID_CONFIG); UNKNOWN_TOPIC_OR_PARTITION. An operation with an unknown number
//! is UNKNOWN_SERVER_ERROR, as in Kafka. Unknown keys of brokers are kept, as in Kafka, where they
//! may belong to a plugin.
//!
//! *Version notes:*
//! - v1: flexible
//!
//! *Not implemented:* log levels (no logger exists), policies.

use std::ops::RangeInclusive;

use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::configs::{AlterError, Alteration, KeyChange, Operation, Outcome, Resource};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct IncrementalAlterConfigs;

impl Handler for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    const KEY: i16 = 44;
    const NAME: &'static str = "IncrementalAlterConfigs";
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const SCHEMA: &'static Schema = &schema::INCREMENTAL_ALTER_CONFIGS;

    fn start(context: Context, request: IncrementalAlterConfigsRequest) -> Result<Reply, Close> {
        let alterations = request.resources.iter().map(|resource| Alteration {
            resource: Resource::new(resource.resource_type, resource.resource_name.to_string()),
            changes: resource
                .configs
                .iter()
                .map(|config| KeyChange {
                    key: config.name.to_string(),
                    operation: Operation::new(config.config_operation),
                    value: config.value.as_ref().map(ToString::to_string),
                })
                .collect(),
            replace: false,
        });
        let alterations = alterations.collect();
        let validate_only = request.validate_only;
        Reply::pending(async move {
            let outcomes = context
                .broker()
                .alter_configs(alterations, validate_only)
                .await;
            let responses = outcomes.into_iter().map(|outcome| {
                let (code, message) = told(&outcome);
                let (kind, name) = outcome.resource.parts();
                AlterConfigsResourceResponse::default()
                    .with_error_code(code)
                    .with_error_message(message)
                    .with_resource_type(kind)
                    .with_resource_name(text(name.to_owned()))
            });
            let response =
                IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
            Body::encode(&context, &response)
        })
    }
}

/// Code and message of an outcome.
pub(super) fn told(outcome: &Outcome) -> (i16, Option<StrBytes>) {
    match &outcome.result {
        Ok(()) => (0, None),
        Err(error @ AlterError::UnknownOperation) => (error.kafka().code(), None),
        Err(error) => (error.kafka().code(), Some(text(error.to_string()))),
    }
}
