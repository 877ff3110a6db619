//! AlterConfigs v0–v2
//!
//! *Behaviour:* replaces all overrides of a resource: a key that is not named goes back to its
//! default. Otherwise as IncrementalAlterConfigs, whose order of checks it shares. A resource that
//! is named twice is INVALID_REQUEST; Kafka 4.1.2 leaves such a request without an answer.
//!
//! *Version notes:*
//! - v1: throttle time after the fact
//! - v2: flexible
//!
//! *Not implemented:* policies. Log levels are not set this way, as in Kafka.

use std::ops::RangeInclusive;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::incremental_alter_configs::told;
use crate::broker::configs::{Alteration, KeyChange, Operation, Resource};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct AlterConfigs;

impl Handler for AlterConfigs {
    type Request = AlterConfigsRequest;
    const KEY: i16 = 33;
    const NAME: &'static str = "AlterConfigs";
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const SCHEMA: &'static Schema = &schema::ALTER_CONFIGS;

    fn start(context: Context, request: AlterConfigsRequest) -> Result<Reply, Close> {
        let alterations = request.resources.iter().map(|resource| Alteration {
            resource: Resource::new(resource.resource_type, resource.resource_name.to_string()),
            changes: resource
                .configs
                .iter()
                .map(|config| KeyChange {
                    key: config.name.to_string(),
                    operation: Operation::Set,
                    value: config.value.as_ref().map(ToString::to_string),
                })
                .collect(),
            replace: true,
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
            let response = AlterConfigsResponse::default().with_responses(responses.collect());
            Body::encode(&context, &response)
        })
    }
}
