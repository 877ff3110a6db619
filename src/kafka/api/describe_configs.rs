//! DescribeConfigs v1–v4
//!
//! *Behaviour:* every setting of a topic, of this broker, of what was set for all brokers (empty
//! name), of a client-metrics subscription or of a group, with its value in force, the places
//! that give it one, its type and what it does; only the keys that are asked for, if any are
//! named. A topic that is not there is UNKNOWN_TOPIC_OR_PARTITION; a name that does not fit its
//! type is INVALID_REQUEST or INVALID_TOPIC_EXCEPTION. One resource of an unknown type makes all
//! of them INVALID_REQUEST, as in Kafka. Secrets have no value.
//!
//! *Version notes:*
//! - v1: source and synonyms (KIP-226)
//! - v3: type and documentation (KIP-569)
//! - v4: flexible
//!
//! *Not implemented:* log levels: there are no loggers with levels of their own, and the list of
//! them is empty.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::configs::{Described, Resource};
use crate::config::Kind;
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that tells types and documentation.
const WITH_TYPES: i16 = 3;

/// What Kafka says when it cannot make sense of a request.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.";

/// The handler.
pub(crate) struct DescribeConfigs;

impl Handler for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    const KEY: i16 = 32;
    const NAME: &'static str = "DescribeConfigs";
    const VERSIONS: RangeInclusive<i16> = 1..=4;
    const SCHEMA: &'static Schema = &schema::DESCRIBE_CONFIGS;

    fn start(context: Context, request: DescribeConfigsRequest) -> Result<Reply, Close> {
        let resource = |asked: &DescribeConfigsResource| {
            Resource::new(asked.resource_type, asked.resource_name.to_string())
        };
        let unknown = request
            .resources
            .iter()
            .any(|asked| matches!(resource(asked), Resource::Unknown(..)));
        let results = request.resources.iter().map(|asked| {
            let answer = DescribeConfigsResult::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name.clone());
            if unknown {
                return answer
                    .with_error_code(ResponseError::InvalidRequest.code())
                    .with_error_message(Some(StrBytes::from_static_str(MALFORMED)));
            }
            describe(&context, &request, asked, &resource(asked), answer)
        });
        let response = DescribeConfigsResponse::default().with_results(results.collect());
        Reply::ready(&context, &response)
    }
}

fn describe(
    context: &Context,
    request: &DescribeConfigsRequest,
    asked: &DescribeConfigsResource,
    resource: &Resource,
    answer: DescribeConfigsResult,
) -> DescribeConfigsResult {
    // An empty list of keys asks for all of them, as null does.
    let keys: Option<Vec<&str>> = asked
        .configuration_keys
        .as_ref()
        .filter(|keys| !keys.is_empty())
        .map(|keys| keys.iter().map(|key| &**key).collect());
    match context.broker().describe_configs(resource, keys.as_deref()) {
        Ok(described) => answer
            .with_error_message(Some(StrBytes::default()))
            .with_configs(
                described
                    .into_iter()
                    .map(|entry| config(context.version, request, entry))
                    .collect(),
            ),
        Err(error) => answer
            .with_error_code(error.kafka().code())
            .with_error_message(Some(text(error.to_string()))),
    }
}

fn config(
    version: i16,
    request: &DescribeConfigsRequest,
    entry: Described,
) -> DescribeConfigsResourceResult {
    let synonyms = entry
        .synonyms
        .into_iter()
        .filter(|_| request.include_synonyms);
    let answer = DescribeConfigsResourceResult::default()
        .with_name(text(entry.name))
        .with_value(entry.value.map(text))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(
            synonyms
                .map(|place| {
                    DescribeConfigsSynonym::default()
                        .with_name(text(place.name))
                        .with_value(place.value.map(text))
                        .with_source(place.source as i8)
                })
                .collect(),
        );
    if version < WITH_TYPES {
        return answer;
    }
    let doc = entry.doc.filter(|_| request.include_documentation);
    answer
        .with_config_type(entry.kind.map_or(0, type_id))
        .with_documentation(doc.map(StrBytes::from_static_str))
}

/// Kafka's number of a type (`DescribeConfigsResponse.ConfigType`); 0 is unknown.
fn type_id(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String => 2,
        Kind::Int => 3,
        Kind::Short => 4,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
        Kind::Class => 8,
        Kind::Password => 9,
    }
}
