//! CreateTopics v2–v7
//!
//! *Behaviour:* creates what can be created in one atomic batch and answers when it is durable;
//! each topic has its own code. Checked in this order: a name twice or `__cluster_metadata`
//! (INVALID_REQUEST), the name (INVALID_TOPIC_EXCEPTION), TOPIC_ALREADY_EXISTS, a name that
//! collides (INVALID_TOPIC_EXCEPTION), configs (INVALID_CONFIG), assignments
//! (INVALID_REPLICA_ASSIGNMENT), INVALID_REPLICATION_FACTOR, INVALID_PARTITIONS. More than 10,000
//! partitions or records in one request are POLICY_VIOLATION for all topics. A timeout of zero
//! or less is REQUEST_TIMED_OUT and creates nothing. Two names of one request may collide, as in
//! Kafka.
//!
//! *Version notes:*
//! - v2: flags, throttle time
//! - v4: -1 stands for the default number of partitions and replicas (KIP-464); lower versions get
//!   the same
//! - v5: the new topic's numbers and settings in the answer (KIP-525), flexible
//! - v7: topic id (KIP-516)
//!
//! *Not implemented:* throttling (v6 announces it, KIP-599), policies.

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;

use super::nodes::node_ids;
use crate::broker::configs::Described;
use crate::broker::topics::{CreateTopicError, CreatedTopic, NewTopic, TopicOutcome};
use crate::kafka::codec::{text, timeout};
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::PartitionId;

/// First version that tells the settings of the new topic.
const WITH_CONFIGS: i16 = 5;

/// The handler.
pub(crate) struct CreateTopics;

impl Handler for CreateTopics {
    type Request = CreateTopicsRequest;
    const KEY: i16 = 19;
    const NAME: &'static str = "CreateTopics";
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=7;
    const SCHEMA: &'static Schema = &schema::CREATE_TOPICS;

    fn start(context: Context, request: CreateTopicsRequest) -> Result<Reply, Close> {
        Reply::pending(async move {
            let topics = request.topics.iter().map(new_topic).collect();
            let timeout = timeout(request.timeout_ms);
            let outcomes = context
                .broker()
                .create_topics(topics, request.validate_only, timeout)
                .await;
            let results = outcomes
                .into_iter()
                .map(|outcome| result(&context, outcome));
            let response = CreateTopicsResponse::default().with_topics(results.collect());
            Body::encode(&context, &response)
        })
    }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter();
    let configs = topic.configs.iter();
    NewTopic {
        name: topic.name.to_string(),
        partitions: Some(topic.num_partitions).filter(|count| *count != -1),
        replication_factor: Some(topic.replication_factor).filter(|factor| *factor != -1),
        assignments: assignments
            .map(|partition| {
                (
                    PartitionId(partition.partition_index),
                    node_ids(&partition.broker_ids),
                )
            })
            .collect(),
        configs: configs
            .map(|config| {
                (
                    config.name.to_string(),
                    config.value.as_ref().map(|v| v.to_string()),
                )
            })
            .collect(),
    }
}

fn result(
    context: &Context,
    outcome: TopicOutcome<CreatedTopic, CreateTopicError>,
) -> CreatableTopicResult {
    let answer = CreatableTopicResult::default()
        .with_name(text(outcome.name).into())
        .with_error_message(None)
        .with_configs(Some(vec![]));
    match outcome.result {
        Ok(created) => {
            let topic = &created.topic;
            let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            let replicas = topic
                .partitions
                .first()
                .map_or(0, |first| first.replicas.len());
            let answer = answer
                .with_topic_id(topic.id.0)
                .with_num_partitions(partitions)
                .with_replication_factor(i16::try_from(replicas).unwrap_or(i16::MAX));
            if context.version < WITH_CONFIGS {
                return answer;
            }
            answer.with_configs(Some(configs(context, &created)))
        }
        Err(error) => answer
            .with_error_code(error.kafka().code())
            .with_error_message(message(&error))
            .with_num_partitions(-1)
            .with_replication_factor(-1),
    }
}

/// What Kafka says beside the code; of a timeout it says nothing.
fn message(error: &CreateTopicError) -> Option<StrBytes> {
    let silent = matches!(error, CreateTopicError::TimedOut);
    (!silent).then(|| text(error.to_string()))
}

/// The settings that are in force for the new topic.
fn configs(context: &Context, created: &CreatedTopic) -> Vec<CreatableTopicConfigs> {
    let described = context.broker().describe_overrides(&created.configs);
    let config = |entry: Described| {
        let given = created.configs.get(&entry.name).cloned();
        CreatableTopicConfigs::default()
            .with_name(text(entry.name))
            .with_value(given.or(entry.value).map(text))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source as i8)
            .with_is_sensitive(entry.sensitive)
    };
    described.into_iter().map(config).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;
    use crate::kafka::testing::ask;
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::create_topics_request::{
        CreatableReplicaAssignment, CreatableTopicConfig,
    };

    fn topic(name: &'static str, partitions: i32, factor: i16) -> CreatableTopic {
        CreatableTopic::default()
            .with_name(StrBytes::from_static_str(name).into())
            .with_num_partitions(partitions)
            .with_replication_factor(factor)
    }

    fn request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
        CreateTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(1_000)
    }

    #[tokio::test]
    async fn every_version_creates_and_refuses_topic_by_topic() {
        for version in CreateTopics::VERSIONS {
            let broker = broker(&[]);
            let by_hand = topic("hand", -1, -1).with_assignments(vec![
                CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]),
            ]);
            let request = request(vec![topic("a", 2, 1), topic("b", 1, 3), by_hand]);
            let answer: CreateTopicsResponse =
                ask::<CreateTopics, _, _>(&broker, version, &request).await;
            let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [0, 38, 0]);
            assert_eq!(answer.topics[0].error_message, None);
            let message = answer.topics[1].error_message.as_deref().unwrap();
            assert!(message.starts_with("Unable to replicate the partition 3 time(s)"));
            if version >= WITH_CONFIGS {
                let made = &answer.topics[0];
                assert_eq!((made.num_partitions, made.replication_factor), (2, 1));
                let refused = &answer.topics[1];
                assert_eq!(
                    (refused.num_partitions, refused.replication_factor),
                    (-1, -1)
                );
                assert_eq!(refused.configs, Some(vec![]));
            }
            let image = broker.catalog.image();
            let id = image.topic_by_name("a").unwrap().id.0;
            assert_eq!(
                answer.topics[0].topic_id,
                if version >= 7 { id } else { Default::default() }
            );
            assert_eq!(image.topic_count(), 2);
        }
    }

    #[tokio::test]
    async fn settings_are_checked_and_told_with_their_source() {
        let broker = broker(&[]);
        let config = |name, value| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        };
        let good = topic("good", 1, 1).with_configs(vec![config("retention.ms", " 1000 ")]);
        let bad = topic("bad", 1, 1).with_configs(vec![config("retention.ms", "abc")]);
        let odd = topic("odd", 1, 1).with_configs(vec![config("nope", "1")]);
        let null =
            topic("null", 1, 1).with_configs(vec![config("retention.ms", "1").with_value(None)]);
        let request = request(vec![good, bad, odd, null]);
        let answer: CreateTopicsResponse = ask::<CreateTopics, _, _>(&broker, 7, &request).await;
        let messages: Vec<_> = answer
            .topics
            .iter()
            .map(|topic| {
                (
                    topic.error_code,
                    topic.error_message.as_deref().unwrap_or(""),
                )
            })
            .collect();
        assert_eq!(
            messages,
            [
                (0, ""),
                (
                    40,
                    "Invalid value abc for configuration retention.ms: Not a number of type LONG"
                ),
                (40, "Unknown topic config name: nope"),
                (
                    40,
                    "Null value not supported for topic configs: retention.ms"
                ),
            ]
        );
        let configs = answer.topics[0].configs.as_ref().unwrap();
        assert!(configs.is_sorted_by_key(|config| config.name.to_string()));
        let find = |name| configs.iter().find(|config| &*config.name == name).unwrap();
        let retention = find("retention.ms");
        assert_eq!(
            (retention.value.as_deref(), retention.config_source),
            (Some(" 1000 "), 1)
        );
        let segment = find("segment.bytes");
        assert_eq!(
            (segment.value.as_deref(), segment.config_source),
            (Some("1073741824"), 5)
        );
    }

    #[tokio::test]
    async fn validation_alone_answers_as_if_and_creates_nothing() {
        for version in CreateTopics::VERSIONS {
            let broker = broker(&[("num.partitions", "4")]);
            let request = request(vec![topic("a", -1, -1)]).with_validate_only(true);
            let answer: CreateTopicsResponse =
                ask::<CreateTopics, _, _>(&broker, version, &request).await;
            assert_eq!(answer.topics[0].error_code, 0);
            if version >= WITH_CONFIGS {
                assert_eq!(answer.topics[0].num_partitions, 4);
            }
            assert_eq!(broker.catalog.image().topic_count(), 0);
        }
    }

    #[tokio::test]
    async fn without_time_the_answer_is_a_timeout_without_words() {
        let broker = broker(&[]);
        for ms in [0, -1, i32::MIN] {
            let request = request(vec![topic("a", 1, 1)]).with_timeout_ms(ms);
            let answer: CreateTopicsResponse =
                ask::<CreateTopics, _, _>(&broker, 7, &request).await;
            assert_eq!(answer.topics[0].error_code, 7);
            assert_eq!(answer.topics[0].error_message, None);
        }
    }
}
