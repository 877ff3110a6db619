//! DeleteTopics v1–v6
//!
//! *Behaviour:* deletes what exists in one atomic batch and answers when it is durable; the files
//! go in the background. Unknown names are UNKNOWN_TOPIC_OR_PARTITION, unknown ids
//! UNKNOWN_TOPIC_ID; a topic named twice, by both or by neither is INVALID_REQUEST. Internal
//! topics may be deleted. With `delete.topic.enable=false` all are TOPIC_DELETION_DISABLED. A
//! timeout of zero or less is REQUEST_TIMED_OUT and deletes nothing.
//!
//! *Version notes:*
//! - v3: TOPIC_DELETION_DISABLED; before, that was INVALID_REQUEST
//! - v4: flexible (KIP-482). v5: messages (KIP-599)
//! - v6: topics by id, ids in the answer (KIP-516)
//!
//! *Not implemented:* throttling.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::broker::topics::{DeleteTopicError, DeletedTopic, TopicReference};
use crate::kafka::codec::{text, timeout};
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::TopicId;

/// First version whose clients know TOPIC_DELETION_DISABLED.
const DELETION_DISABLED: i16 = 3;
/// First version that names topics by id, in another field.
const BY_ID: i16 = 6;

/// The handler.
pub(crate) struct DeleteTopics;

impl Handler for DeleteTopics {
    type Request = DeleteTopicsRequest;
    const KEY: i16 = 20;
    const NAME: &'static str = "DeleteTopics";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=6;
    const SCHEMA: &'static Schema = &schema::DELETE_TOPICS;

    fn start(context: Context, request: DeleteTopicsRequest) -> Result<Reply, Close> {
        Reply::pending(async move {
            let topics = references(&request, context.version);
            let timeout = timeout(request.timeout_ms);
            let deleted = context.broker().delete_topics(topics, timeout).await;
            let results = deleted
                .into_iter()
                .map(|topic| result(context.version, topic));
            let response = DeleteTopicsResponse::default().with_responses(results.collect());
            Body::encode(&context, &response)
        })
    }
}

fn references(request: &DeleteTopicsRequest, version: i16) -> Vec<TopicReference> {
    if version < BY_ID {
        let names = request.topic_names.iter();
        return names
            .map(|name| TopicReference::Name(name.to_string()))
            .collect();
    }
    let reference = |name: Option<String>, id: Uuid| match (name, id.is_nil()) {
        (Some(name), true) => TopicReference::Name(name),
        (None, false) => TopicReference::Id(TopicId(id)),
        (Some(name), false) => TopicReference::Both(name, TopicId(id)),
        (None, true) => TopicReference::Neither,
    };
    let topics = request.topics.iter();
    topics
        .map(|topic| {
            reference(
                topic.name.as_ref().map(|name| name.to_string()),
                topic.topic_id,
            )
        })
        .collect()
}

fn result(version: i16, topic: DeletedTopic) -> DeletableTopicResult {
    let answer = DeletableTopicResult::default()
        .with_name(topic.name.map(|name| text(name).into()))
        .with_topic_id(topic.id.map_or(Uuid::nil(), |id| id.0));
    match topic.result {
        Ok(()) => answer,
        Err(DeleteTopicError::Disabled) if version < DELETION_DISABLED => {
            answer.with_error_code(ResponseError::InvalidRequest.code())
        }
        Err(error) => answer
            .with_error_code(error.kafka().code())
            .with_error_message(message(&error)),
    }
}

/// What Kafka says beside the code; of what concerns the whole request it says nothing.
fn message(error: &DeleteTopicError) -> Option<StrBytes> {
    let silent = matches!(
        error,
        DeleteTopicError::TimedOut | DeleteTopicError::Disabled
    );
    (!silent).then(|| text(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::{broker, create};
    use crate::kafka::testing::ask;
    use kafka_protocol::messages::delete_topics_request::DeleteTopicState;

    fn request(version: i16, names: &[&'static str]) -> DeleteTopicsRequest {
        let names = names
            .iter()
            .map(|name| StrBytes::from_static_str(name).into());
        let request = DeleteTopicsRequest::default().with_timeout_ms(1_000);
        if version < BY_ID {
            request.with_topic_names(names.collect())
        } else {
            let topic = |name| DeleteTopicState::default().with_name(Some(name));
            request.with_topics(names.map(topic).collect())
        }
    }

    #[tokio::test]
    async fn every_version_deletes_and_refuses_topic_by_topic() {
        for version in DeleteTopics::VERSIONS {
            let broker = broker(&[]);
            create(&broker, &[("a", 2), ("b", 1)]).await;
            let id = broker.catalog.image().topic_by_name("a").unwrap().id.0;
            let request = request(version, &["a", "nope", "b", "b"]);
            let answer: DeleteTopicsResponse =
                ask::<DeleteTopics, _, _>(&broker, version, &request).await;
            let codes: Vec<_> = answer
                .responses
                .iter()
                .map(|topic| topic.error_code)
                .collect();
            assert_eq!(codes, [0, 3, 42]);
            let message = answer.responses[2].error_message.as_deref();
            assert_eq!(message, (version >= 5).then_some("Duplicate topic name."));
            let told = answer.responses[0].topic_id;
            assert_eq!(told, if version >= BY_ID { id } else { Uuid::nil() });
            let image = broker.catalog.image();
            assert!(image.topic_by_name("a").is_none() && image.topic_by_name("b").is_some());
        }
    }

    #[tokio::test]
    async fn a_topic_goes_by_id_and_its_name_is_told() {
        let broker = broker(&[]);
        create(&broker, &[("a", 1)]).await;
        let id = broker.catalog.image().topic_by_name("a").unwrap().id.0;
        let by_id = |id| {
            DeleteTopicState::default()
                .with_name(None)
                .with_topic_id(id)
        };
        let request = DeleteTopicsRequest::default()
            .with_timeout_ms(1_000)
            .with_topics(vec![
                by_id(id),
                by_id(Uuid::from_u128(9)),
                by_id(Uuid::nil()),
            ]);
        let answer: DeleteTopicsResponse = ask::<DeleteTopics, _, _>(&broker, 6, &request).await;
        let codes: Vec<_> = answer
            .responses
            .iter()
            .map(|topic| topic.error_code)
            .collect();
        assert_eq!(codes, [0, 100, 42]);
        assert_eq!(answer.responses[0].name.as_ref().unwrap().to_string(), "a");
    }

    #[tokio::test]
    async fn deletion_can_be_switched_off() {
        for version in DeleteTopics::VERSIONS {
            let broker = broker(&[("delete.topic.enable", "false")]);
            create(&broker, &[("a", 1)]).await;
            let request = request(version, &["a", "nope", "nope"]);
            let answer: DeleteTopicsResponse =
                ask::<DeleteTopics, _, _>(&broker, version, &request).await;
            let code = if version < DELETION_DISABLED { 42 } else { 73 };
            let codes: Vec<_> = answer
                .responses
                .iter()
                .map(|topic| topic.error_code)
                .collect();
            assert_eq!(codes, [code; 3]);
            assert!(
                answer
                    .responses
                    .iter()
                    .all(|topic| topic.error_message.is_none())
            );
            assert_eq!(broker.catalog.image().topic_count(), 1);
        }
    }
}
