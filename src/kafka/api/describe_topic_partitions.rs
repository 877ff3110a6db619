//! DescribeTopicPartitions v0
//!
//! *Behaviour:* topics in order of name, page by page: at most as many partitions as the request
//! and `max.request.partition.size.limit` allow, at least one, and a cursor where the next page
//! begins. No names ask for all topics. A name that no topic has is UNKNOWN_TOPIC_OR_PARTITION, an
//! illegal one INVALID_TOPIC_EXCEPTION; a cursor at a topic that is not asked for or at a negative
//! partition is INVALID_REQUEST for all topics. Without an authorizer every operation is
//! authorized.
//!
//! *Version notes:*
//! - v0: KIP-966. Replicas that may be elected and those last known are empty, never null, which
//!   Java's admin client of 4.1 does not survive
//!
//! *Not implemented:* throttling.

use std::ops::Range;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition as Partition,
    DescribeTopicPartitionsResponseTopic as Topic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use uuid::Uuid;

use super::authorized::TOPIC_OPERATIONS;
use super::nodes::broker_ids;
use crate::broker::metadata::{TopicCursor, TopicLookup, TopicPage};
use crate::catalog::PartitionState;
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct DescribeTopicPartitions;

impl Handler for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    const KEY: i16 = 75;
    const NAME: &'static str = "DescribeTopicPartitions";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const SCHEMA: &'static Schema = &schema::DESCRIBE_TOPIC_PARTITIONS;

    fn start(context: Context, request: DescribeTopicPartitionsRequest) -> Result<Reply, Close> {
        Reply::pending(async move {
            let names: Vec<String> = request
                .topics
                .iter()
                .map(|topic| topic.name.to_string())
                .collect();
            let cursor = request.cursor.as_ref().map(|cursor| TopicCursor {
                topic: cursor.topic_name.to_string(),
                partition: cursor.partition_index,
            });
            let limit = request.response_partition_limit;
            let response = match context
                .broker()
                .topic_page(&names, cursor.as_ref(), limit)
                .await
            {
                Ok(page) => answer(page),
                Err(error) => refused(&names, error.kafka()),
            };
            Body::encode(&context, &response)
        })
    }
}

fn answer(page: TopicPage) -> DescribeTopicPartitionsResponse {
    let cursor = |next: TopicCursor| {
        Cursor::default()
            .with_topic_name(text(next.topic).into())
            .with_partition_index(next.partition)
    };
    DescribeTopicPartitionsResponse::default()
        .with_topics(page.topics.into_iter().map(topic).collect())
        .with_next_cursor(page.next.map(cursor))
}

fn refused(names: &[String], error: ResponseError) -> DescribeTopicPartitionsResponse {
    let topic = |name: &String| {
        Topic::default()
            .with_error_code(error.code())
            .with_name(Some(text(name.as_str()).into()))
    };
    DescribeTopicPartitionsResponse::default().with_topics(names.iter().map(topic).collect())
}

fn topic((lookup, range): (TopicLookup, Range<usize>)) -> Topic {
    let answer = Topic::default()
        .with_is_internal(lookup.is_internal())
        .with_name(lookup.name.map(|name| text(name).into()))
        .with_topic_id(lookup.id.map_or(Uuid::nil(), |id| id.0))
        .with_topic_authorized_operations(TOPIC_OPERATIONS);
    match &lookup.result {
        Ok(topic) => {
            let partitions = (0..)
                .zip(&topic.partitions)
                .skip(range.start)
                .take(range.len());
            answer.with_partitions(partitions.map(partition).collect())
        }
        Err(error) => answer.with_error_code(error.kafka().code()),
    }
}

fn partition((index, state): (i32, &PartitionState)) -> Partition {
    Partition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(state.leader.get()))
        .with_leader_epoch(state.leader_epoch.get())
        .with_replica_nodes(broker_ids(&state.replicas))
        .with_isr_nodes(broker_ids(&state.isr))
        .with_eligible_leader_replicas(Some(vec![]))
        .with_last_known_elr(Some(vec![]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::{broker, create};
    use crate::kafka::testing::ask;
    use kafka_protocol::messages::describe_topic_partitions_request::{
        Cursor as RequestCursor, TopicRequest,
    };
    use kafka_protocol::protocol::StrBytes;

    fn request(names: &[&'static str], limit: i32) -> DescribeTopicPartitionsRequest {
        let topic = |name: &&'static str| {
            TopicRequest::default().with_name(StrBytes::from_static_str(name).into())
        };
        DescribeTopicPartitionsRequest::default()
            .with_topics(names.iter().map(topic).collect())
            .with_response_partition_limit(limit)
    }

    #[tokio::test]
    async fn pages_go_on_at_their_cursor() {
        let broker = broker(&[("max.request.partition.size.limit", "3")]);
        create(&broker, &[("b", 2), ("a", 4)]).await;
        let mut request = request(&["b", "a", "nope"], 100);
        let mut seen = Vec::new();
        loop {
            let page: DescribeTopicPartitionsResponse =
                ask::<DescribeTopicPartitions, _, _>(&broker, 0, &request).await;
            for topic in &page.topics {
                let name = topic.name.as_ref().unwrap().to_string();
                assert_eq!(topic.topic_authorized_operations, 3576);
                seen.push(format!("{name} {}", topic.error_code));
                for partition in &topic.partitions {
                    assert_eq!(partition.eligible_leader_replicas, Some(vec![]));
                    assert_eq!(partition.last_known_elr, Some(vec![]));
                    seen.push(format!("{name}-{}", partition.partition_index));
                }
            }
            let Some(next) = page.next_cursor else { break };
            let cursor = RequestCursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index);
            request.cursor = Some(cursor);
        }
        assert_eq!(
            seen,
            [
                "a 0", "a-0", "a-1", "a-2", "a 0", "a-3", "b 0", "b-0", "b-1", "nope 3"
            ]
        );
    }

    #[tokio::test]
    async fn a_foreign_cursor_is_refused_for_every_topic() {
        let broker = broker(&[]);
        create(&broker, &[("a", 1), ("b", 1)]).await;
        let cursor = RequestCursor::default().with_topic_name(StrBytes::from("ab").into());
        let request = request(&["b", "a"], 5).with_cursor(Some(cursor));
        let answer: DescribeTopicPartitionsResponse =
            ask::<DescribeTopicPartitions, _, _>(&broker, 0, &request).await;
        let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [42, 42]);
        assert_eq!(answer.topics[0].topic_authorized_operations, i32::MIN);
    }
}
