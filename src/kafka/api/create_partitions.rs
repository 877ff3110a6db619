//! CreatePartitions v0–v3
//!
//! *Behaviour:* adds partitions at the end of topics in one atomic batch and answers when they are
//! durable; each topic has its own code. Checked in this order: a name twice (INVALID_REQUEST),
//! the timeout (REQUEST_TIMED_OUT, where zero or less), UNKNOWN_TOPIC_OR_PARTITION, a count that
//! is no increase (INVALID_PARTITIONS), assignments (INVALID_REPLICA_ASSIGNMENT). More than 10,000
//! new partitions in one request are UNKNOWN_SERVER_ERROR for those topics that exceed it, as in
//! Kafka.
//!
//! *Version notes:*
//! - v2: flexible (KIP-482). v3: may be throttled (KIP-599)
//!
//! *Not implemented:* throttling, policies.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::nodes::node_ids;
use crate::broker::topics::{GrowTopic, GrowTopicError, TopicOutcome};
use crate::kafka::codec::{text, timeout};
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct CreatePartitions;

impl Handler for CreatePartitions {
    type Request = CreatePartitionsRequest;
    const KEY: i16 = 37;
    const NAME: &'static str = "CreatePartitions";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;
    const SCHEMA: &'static Schema = &schema::CREATE_PARTITIONS;

    fn start(context: Context, request: CreatePartitionsRequest) -> Result<Reply, Close> {
        Reply::pending(async move {
            let topics = request.topics.iter().map(grow_topic).collect();
            let timeout = timeout(request.timeout_ms);
            let outcomes = context
                .broker()
                .grow_topics(topics, request.validate_only, timeout)
                .await;
            let results = outcomes.into_iter().map(result).collect();
            Body::encode(
                &context,
                &CreatePartitionsResponse::default().with_results(results),
            )
        })
    }
}

fn grow_topic(topic: &CreatePartitionsTopic) -> GrowTopic {
    let assignments = topic.assignments.as_ref();
    GrowTopic {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: assignments
            .map(|partitions| partitions.iter().map(|p| node_ids(&p.broker_ids)).collect()),
    }
}

fn result(outcome: TopicOutcome<(), GrowTopicError>) -> CreatePartitionsTopicResult {
    let answer = CreatePartitionsTopicResult::default().with_name(text(outcome.name).into());
    match outcome.result {
        Ok(()) => answer,
        Err(error) => answer
            .with_error_code(error.kafka().code())
            .with_error_message(message(&error)),
    }
}

/// What Kafka says beside the code, where it says anything.
fn message(error: &GrowTopicError) -> Option<StrBytes> {
    let silent = matches!(
        error,
        GrowTopicError::Unknown | GrowTopicError::TimedOut | GrowTopicError::TooManyRecords
    );
    (!silent).then(|| text(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::{broker, create};
    use crate::kafka::testing::ask;

    fn topic(name: &'static str, count: i32) -> CreatePartitionsTopic {
        let name = StrBytes::from_static_str(name).into();
        CreatePartitionsTopic::default()
            .with_name(name)
            .with_count(count)
            .with_assignments(None)
    }

    #[tokio::test]
    async fn every_version_grows_and_refuses_topic_by_topic() {
        for version in CreatePartitions::VERSIONS {
            let broker = broker(&[]);
            create(&broker, &[("a", 2), ("b", 2), ("c", 2), ("d", 2)]).await;
            let topics = vec![
                topic("a", 4),
                topic("b", 2),
                topic("nope", 4),
                topic("c", 3),
                topic("c", 3),
            ];
            let request = CreatePartitionsRequest::default()
                .with_topics(topics)
                .with_timeout_ms(1_000);
            let answer: CreatePartitionsResponse =
                ask::<CreatePartitions, _, _>(&broker, version, &request).await;
            let results: Vec<_> = answer
                .results
                .iter()
                .map(|topic| (topic.error_code, topic.error_message.as_deref()))
                .collect();
            assert_eq!(
                results,
                [
                    (0, None),
                    (37, Some("Topic already has 2 partition(s).")),
                    (3, None),
                    (42, Some("Duplicate topic name.")),
                ]
            );
            let image = broker.catalog.image();
            assert_eq!(image.topic_by_name("a").unwrap().partitions.len(), 4);
            assert_eq!(image.topic_by_name("c").unwrap().partitions.len(), 2);
        }
    }

    #[tokio::test]
    async fn validation_alone_adds_nothing() {
        let broker = broker(&[]);
        create(&broker, &[("a", 2)]).await;
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic("a", 4)])
            .with_timeout_ms(1_000)
            .with_validate_only(true);
        let answer: CreatePartitionsResponse =
            ask::<CreatePartitions, _, _>(&broker, 3, &request).await;
        assert_eq!(answer.results[0].error_code, 0);
        assert_eq!(
            broker
                .catalog
                .image()
                .topic_by_name("a")
                .unwrap()
                .partitions
                .len(),
            2
        );
    }
}
