//! The APIs of settings against what Apache Kafka 4.1.2 answered to the same requests, in order.
//!
//! Types and documentation apart, every field is compared; what may differ is listed below, each
//! with its reason.

use std::sync::Arc;

use kafka_protocol::messages::alter_configs_request as alter;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use serde_json::{Value, json};

use super::alter_configs::AlterConfigs;
use super::describe_configs::DescribeConfigs;
use super::incremental_alter_configs::IncrementalAlterConfigs;
use crate::broker::Broker;
use crate::broker::testing::{broker, create};
use crate::config::{Scope, table};
use crate::kafka::codec::text;
use crate::kafka::testing::ask;

const RECORDED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/compat-tests/oracle/configs-4.1.2.jsonl"
));

/// What the recorded broker was started with.
const SETTINGS: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.quorum.voters", "1@127.0.0.1:9093"),
    (
        "listeners",
        "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
    ),
    ("advertised.listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("controller.listener.names", "CONTROLLER"),
    ("log.dirs", "/kafka/data"),
    ("num.partitions", "4"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    (
        "authorizer.class.name",
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ),
];

fn word(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn option(value: &Value) -> Option<kafka_protocol::protocol::StrBytes> {
    value.as_str().map(text)
}

fn byte(value: &Value) -> i8 {
    i8::try_from(value.as_i64().unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// What Klamm answers to a recorded request, in the shape of the record.
async fn answer(broker: &Arc<Broker>, line: &Value) -> Value {
    let version = i16::from(byte(&line["version"]));
    let validate_only = line["validate_only"].as_bool().unwrap_or_default();
    let resources = list(&line["resources"]).iter();
    match line["api"].as_str().unwrap() {
        "describe" => {
            let resources = resources.map(|resource| {
                let keys = resource[2].as_array();
                let keys = keys.map(|keys| keys.iter().map(|key| text(word(key))).collect());
                DescribeConfigsResource::default()
                    .with_resource_type(byte(&resource[0]))
                    .with_resource_name(text(word(&resource[1])))
                    .with_configuration_keys(keys)
            });
            let request = DescribeConfigsRequest::default()
                .with_resources(resources.collect())
                .with_include_synonyms(line["synonyms"].as_bool().unwrap());
            described(ask::<DescribeConfigs, _, _>(broker, version, &request).await)
        }
        "alter" => {
            let resources = resources.map(|resource| {
                let configs = list(&resource[2]).iter().map(|config| {
                    alter::AlterableConfig::default()
                        .with_name(text(word(&config[1])))
                        .with_value(option(&config[2]))
                });
                alter::AlterConfigsResource::default()
                    .with_resource_type(byte(&resource[0]))
                    .with_resource_name(text(word(&resource[1])))
                    .with_configs(configs.collect())
            });
            let request = AlterConfigsRequest::default()
                .with_resources(resources.collect())
                .with_validate_only(validate_only);
            let answer: AlterConfigsResponse =
                ask::<AlterConfigs, _, _>(broker, version, &request).await;
            let told = answer.responses.iter().map(|told| {
                let message = told.error_message.as_deref();
                json!([
                    told.resource_type,
                    &*told.resource_name,
                    told.error_code,
                    message
                ])
            });
            told.collect()
        }
        _ => {
            let resources = resources.map(|resource| {
                let configs = list(&resource[2]).iter().map(|config| {
                    incremental::AlterableConfig::default()
                        .with_config_operation(byte(&config[0]))
                        .with_name(text(word(&config[1])))
                        .with_value(option(&config[2]))
                });
                incremental::AlterConfigsResource::default()
                    .with_resource_type(byte(&resource[0]))
                    .with_resource_name(text(word(&resource[1])))
                    .with_configs(configs.collect())
            });
            let request = IncrementalAlterConfigsRequest::default()
                .with_resources(resources.collect())
                .with_validate_only(validate_only);
            let answer: IncrementalAlterConfigsResponse =
                ask::<IncrementalAlterConfigs, _, _>(broker, version, &request).await;
            let told = answer.responses.iter().map(|told| {
                let message = told.error_message.as_deref();
                json!([
                    told.resource_type,
                    &*told.resource_name,
                    told.error_code,
                    message
                ])
            });
            told.collect()
        }
    }
}

fn described(answer: DescribeConfigsResponse) -> Value {
    let results = answer.results.iter().map(|result| {
        let mut configs: Vec<_> = result
            .configs
            .iter()
            .map(|config| {
                let synonyms = config
                    .synonyms
                    .iter()
                    .map(|place| json!([&*place.name, place.value.as_deref(), place.source]));
                json!([
                    &*config.name,
                    config.value.as_deref(),
                    config.config_source,
                    config.config_type,
                    config.read_only,
                    config.is_sensitive,
                    synonyms.collect::<Vec<_>>(),
                ])
            })
            .collect();
        configs.sort_by_key(|config| config[0].to_string());
        let message = result.error_message.as_deref();
        json!([
            result.resource_type,
            &*result.resource_name,
            result.error_code,
            message,
            configs
        ])
    });
    results.collect()
}

/// Requests that are answered in another way, with the reason.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "broker append unknown",
        "Kafka fails on a missing row; here the operation is refused",
    ),
    (
        "broker append ro",
        "Kafka fails on a missing default; here the key is refused",
    ),
    (
        "broker two ro 5",
        "Scala's larger sets have no order; here the names are sorted",
    ),
    ("threads", NO_POOLS),
    ("threads down", NO_POOLS),
    ("cleaner threads", NO_POOLS),
    ("listeners", FIXED_LISTENERS),
    ("per-broker on default", FIXED_LISTENERS),
    (
        "local retention",
        "without remote storage there is no local retention to compare",
    ),
    ("broker min isr del", NO_ELR),
    ("broker own min isr", NO_ELR),
    ("broker default", NO_ELR),
    ("broker default empty", NO_ELR),
    ("logger root", NO_LOGGERS),
    ("logger root bad", NO_LOGGERS),
    ("logger root back", NO_LOGGERS),
];

/// Requests that are not sent, because they would change what is answered later.
const SKIPPED: &[(&str, &str)] = &[(
    "metrics bad regex",
    "patterns are compiled by who matches with them, and nobody does yet",
)];

const NO_POOLS: &str = "there are no such threads, so any number of them is as good";
const FIXED_LISTENERS: &str = "listeners are opened at the start and stay";
const NO_ELR: &str = "eligible leader replicas are for more than one node and not finalized";
const NO_LOGGERS: &str = "no logger has a level of its own";

/// Settings that are described in another way, with the reason.
const DESCRIBED_DIFFERENTLY: &[(&str, &str)] = &[
    ("listeners", FIXED_LISTENERS),
    ("listener.security.protocol.map", FIXED_LISTENERS),
    (
        "producer.id.expiration.ms",
        "the store forgets producers as it was opened to do",
    ),
    (
        "allow.everyone.if.no.acl.found",
        "settings of plugins are warned about and not kept",
    ),
];

/// Leaves out what may differ: our own settings, defaults that are not Kafka's (the table says
/// why), and what is listed above.
fn comparable(answers: &Value) -> Value {
    let mut answers = answers.clone();
    for answer in answers.as_array_mut().unwrap() {
        let Some(configs) = answer.get_mut(4).and_then(Value::as_array_mut) else {
            continue;
        };
        configs.retain(|config| {
            let name = config[0].as_str().unwrap();
            let differs = || table::find(Scope::Broker, name)?.differs;
            !name.starts_with("klamm.")
                && !DESCRIBED_DIFFERENTLY
                    .iter()
                    .any(|(other, _)| *other == name)
                && differs().is_none()
        });
    }
    answers
}

#[tokio::test]
async fn settings_are_described_and_altered_as_by_kafka() {
    let broker = broker(SETTINGS);
    create(&broker, &[("plain", 1), ("t", 1)]).await;
    // The recorded broker had finalized eligible leader replicas, which sets this.
    let elr = json!({
        "api": "alter", "version": 2, "resources": [[4, "", [[0, "min.insync.replicas", "1"]]]],
    });
    assert_eq!(answer(&broker, &elr).await, json!([[4, "", 0, null]]));

    let mut differences = Vec::new();
    for line in RECORDED.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let what = line["what"].as_str().unwrap();
        if SKIPPED.iter().any(|(skipped, _)| *skipped == what) {
            continue;
        }
        let (ours, kafka) = (answer(&broker, &line).await, &line["answers"]);
        let (ours, kafka) = (comparable(&ours), comparable(kafka));
        let listed = DIFFERENT.iter().any(|(other, _)| *other == what);
        if (ours == kafka) == listed {
            let asked = &line["resources"];
            differences.push(format!(
                "{what}\n  {asked}\n  ours  {ours}\n  kafka {kafka}"
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
