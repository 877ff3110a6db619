//! Metadata v0–v13
//!
//! *Behaviour:* the only broker under the address of the listener that was asked, the cluster, and
//! the topics that were asked for, each once. A name that no topic has is created where the
//! request and `auto.create.topics.enable` allow it, internal topics with their own settings, and
//! is in the same answer without a window in which it has no leader; Kafka answers
//! UNKNOWN_TOPIC_OR_PARTITION first. What could not be created is UNKNOWN_TOPIC_OR_PARTITION, an
//! illegal name INVALID_TOPIC_EXCEPTION, an unknown id UNKNOWN_TOPIC_ID. If any topic is named by
//! id, those named by name are passed over. Partitions come in order. Without an authorizer every
//! operation is authorized.
//!
//! *Version notes:*
//! - v0: an empty list asks for all topics. v1: null does, and an empty list for none; controller,
//!   racks, internal topics
//! - v2: cluster id (KIP-78). v3: throttle time. v5: offline replicas (KIP-112)
//! - v4: `allow_auto_topic_creation` (KIP-204); before, it was implied
//! - v7: leader epochs (KIP-320)
//! - v8: authorized operations (KIP-430); v11: those of the cluster go to DescribeCluster (KIP-700)
//! - v10: topic ids (KIP-516). v12: topics by id; in v10 and v11 that is INVALID_REQUEST
//! - v13: an error for the whole response (KIP-1102)
//!
//! *Not implemented:* throttling.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use super::authorized::{CLUSTER_OPERATIONS, TOPIC_OPERATIONS};
use super::nodes::broker_ids;
use crate::broker::metadata::{LookupError, TopicLookup, TopicSelection};
use crate::catalog::PartitionState;
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::TopicId;

/// First version in which null asks for all topics.
const NULL_IS_ALL: i16 = 1;
/// First version that says whether topics may be created.
const AUTO_CREATION: i16 = 4;
/// Versions that carry the cluster's authorized operations.
const CLUSTER_AUTHORIZED: std::ops::RangeInclusive<i16> = 8..=10;
/// First version that carries the topics' authorized operations.
const TOPIC_AUTHORIZED: i16 = 8;
/// First version that may name topics by id.
const BY_ID: i16 = 12;

/// The handler.
pub(crate) struct Metadata;

impl Handler for Metadata {
    type Request = MetadataRequest;
    const KEY: i16 = 3;
    const NAME: &'static str = "Metadata";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=13;
    const SCHEMA: &'static Schema = &schema::METADATA;

    fn start(context: Context, request: MetadataRequest) -> Result<Reply, Close> {
        let selection = match selection(&request, context.version) {
            Ok(selection) => selection,
            Err(error) => return Reply::ready(&context, &refused(&request, error)),
        };
        Reply::pending(async move {
            let response = answer(&context, &request, &selection).await;
            Body::encode(&context, &response)
        })
    }
}

/// What the request asks for.
fn selection(request: &MetadataRequest, version: i16) -> Result<TopicSelection, ResponseError> {
    let Some(topics) = &request.topics else {
        return Ok(TopicSelection::All);
    };
    if topics.is_empty() && version < NULL_IS_ALL {
        return Ok(TopicSelection::All);
    }
    let ids: Vec<TopicId> = topics
        .iter()
        .filter(|topic| !topic.topic_id.is_nil())
        .map(|topic| TopicId(topic.topic_id))
        .collect();
    let nameless = topics.iter().any(|topic| topic.name.is_none());
    if version < BY_ID && (nameless || !ids.is_empty()) {
        return Err(ResponseError::InvalidRequest);
    }
    if !ids.is_empty() {
        return Ok(TopicSelection::Ids(ids));
    }
    if nameless {
        return Err(ResponseError::UnknownServerError);
    }
    let names = topics.iter().filter_map(|topic| topic.name.as_ref());
    Ok(TopicSelection::Names(
        names.map(|name| name.to_string()).collect(),
    ))
}

/// The answer to a request that makes no sense: no brokers, and its topics with the error.
fn refused(request: &MetadataRequest, error: ResponseError) -> MetadataResponse {
    let topic = |name: Option<TopicName>, id: Uuid| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(name.unwrap_or_default()))
            .with_topic_id(id)
    };
    let topics = request.topics.iter().flatten();
    MetadataResponse::default()
        .with_error_code(error.code())
        .with_controller_id(BrokerId(-1))
        .with_topics(
            topics
                .map(|asked| topic(asked.name.clone(), asked.topic_id))
                .collect(),
        )
}

async fn answer(
    context: &Context,
    request: &MetadataRequest,
    selection: &TopicSelection,
) -> MetadataResponse {
    let version = context.version;
    let auto_create = version < AUTO_CREATION || request.allow_auto_topic_creation;
    let topics = match context
        .broker()
        .topic_metadata(selection, auto_create)
        .await
    {
        Ok(topics) => topics,
        Err(error) => {
            return refused(request, error.kafka());
        }
    };
    let topic_operations =
        if version >= TOPIC_AUTHORIZED && request.include_topic_authorized_operations {
            TOPIC_OPERATIONS
        } else {
            i32::MIN
        };
    let cluster = context.broker().cluster();
    let (host, port) = &context.connection.advertised;
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(cluster.node.get()))
        .with_host(text(host.as_str()))
        .with_port(i32::from(*port))
        .with_rack(cluster.rack.map(text));
    let mut response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(cluster.id)))
        .with_controller_id(BrokerId(cluster.controller.get()))
        .with_topics(
            topics
                .iter()
                .map(|lookup| topic(lookup, topic_operations))
                .collect(),
        );
    if CLUSTER_AUTHORIZED.contains(&version) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn topic(lookup: &TopicLookup, operations: i32) -> MetadataResponseTopic {
    let answer = MetadataResponseTopic::default()
        .with_name(lookup.name.as_deref().map(|name| TopicName(text(name))))
        .with_topic_id(lookup.id.map_or(Uuid::nil(), |id| id.0))
        .with_is_internal(lookup.is_internal());
    match &lookup.result {
        Ok(topic) => answer
            .with_partitions((0..).zip(&topic.partitions).map(partition).collect())
            .with_topic_authorized_operations(operations),
        // What may be done to a name can be told of one that no topic has.
        Err(error @ (LookupError::UnknownName | LookupError::InvalidName)) => answer
            .with_error_code(error.kafka().code())
            .with_topic_authorized_operations(operations),
        Err(error @ LookupError::UnknownId) => answer.with_error_code(error.kafka().code()),
    }
}

fn partition((index, state): (i32, &PartitionState)) -> MetadataResponsePartition {
    MetadataResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(state.leader.get()))
        .with_leader_epoch(state.leader_epoch.get())
        .with_replica_nodes(broker_ids(&state.replicas))
        .with_isr_nodes(broker_ids(&state.isr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;
    use crate::kafka::testing::ask;
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;

    fn named(names: &[&'static str]) -> MetadataRequest {
        let topic = |name: &&'static str| {
            let name = TopicName((*name).into());
            MetadataRequestTopic::default().with_name(Some(name))
        };
        MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect()))
    }

    fn by_id(id: Uuid) -> MetadataRequest {
        let topic = MetadataRequestTopic::default()
            .with_topic_id(id)
            .with_name(None);
        MetadataRequest::default().with_topics(Some(vec![topic]))
    }

    /// `name:partitions` or `name!code` of each topic.
    fn shown(answer: &MetadataResponse) -> Vec<String> {
        let show = |topic: &MetadataResponseTopic| {
            let name = topic
                .name
                .as_ref()
                .map_or("-".to_owned(), |name| name.to_string());
            match topic.error_code {
                0 => format!("{name}:{}", topic.partitions.len()),
                code => format!("{name}!{code}"),
            }
        };
        answer.topics.iter().map(show).collect()
    }

    #[tokio::test]
    async fn a_topic_that_is_asked_for_is_there_in_the_same_answer() {
        for version in Metadata::VERSIONS {
            let broker = broker(&[("num.partitions", "3"), ("broker.rack", "r1")]);
            let request = named(&["new", "b d", "new", "__consumer_offsets"]);
            let answer: MetadataResponse = ask::<Metadata, _, _>(&broker, version, &request).await;
            assert_eq!(shown(&answer), ["new:3", "b d!17", "__consumer_offsets:50"]);
            assert_eq!(&*answer.brokers[0].host, "broker");
            assert_eq!(answer.brokers[0].port, 9092);
            let rack = answer.brokers[0].rack.as_deref();
            assert_eq!(rack, (version >= 1).then_some("r1"));
            let topic = &answer.topics[0];
            assert_eq!(topic.topic_id.is_nil(), version < 10);
            let indexes: Vec<_> = topic.partitions.iter().map(|p| p.partition_index).collect();
            assert_eq!(indexes, [0, 1, 2]);
            assert_eq!(topic.partitions[0].leader_id, BrokerId(1));
            assert_eq!(
                topic.partitions[0].leader_epoch,
                if version >= 7 { 0 } else { -1 }
            );
            assert_eq!(answer.topics[2].is_internal, version >= 1);
            if version >= 1 {
                assert_eq!(answer.controller_id, BrokerId(1));
            }
            let cluster = answer.cluster_id.as_deref();
            assert_eq!(
                cluster,
                (version >= 2).then_some(broker.cluster_id.as_str())
            );
        }
    }

    #[tokio::test]
    async fn topics_are_created_only_where_request_and_setting_allow() {
        for version in Metadata::VERSIONS {
            let broker = broker(&[("auto.create.topics.enable", "false")]);
            let answer: MetadataResponse =
                ask::<Metadata, _, _>(&broker, version, &named(&["x"])).await;
            assert_eq!(shown(&answer), ["x!3"]);
        }
        for version in AUTO_CREATION..=13 {
            let broker = broker(&[]);
            let request = named(&["x"]).with_allow_auto_topic_creation(false);
            let answer: MetadataResponse = ask::<Metadata, _, _>(&broker, version, &request).await;
            assert_eq!(shown(&answer), ["x!3"]);
        }
    }

    #[tokio::test]
    async fn a_topic_that_cannot_be_created_stays_unknown() {
        let broker = broker(&[("default.replication.factor", "3")]);
        let request = named(&["x", "__cluster_metadata", "__transaction_state"]);
        let answer: MetadataResponse = ask::<Metadata, _, _>(&broker, 12, &request).await;
        assert_eq!(
            shown(&answer),
            ["x!3", "__cluster_metadata!3", "__transaction_state:50"]
        );
    }

    #[tokio::test]
    async fn an_empty_list_is_all_topics_in_v0_and_none_later() {
        let broker = broker(&[]);
        let _: MetadataResponse = ask::<Metadata, _, _>(&broker, 5, &named(&["b", "a"])).await;
        for version in Metadata::VERSIONS {
            let empty: MetadataResponse =
                ask::<Metadata, _, _>(&broker, version, &named(&[])).await;
            assert_eq!(empty.topics.len(), if version == 0 { 2 } else { 0 });
            if version >= NULL_IS_ALL {
                let all = MetadataRequest::default().with_topics(None);
                let all: MetadataResponse = ask::<Metadata, _, _>(&broker, version, &all).await;
                assert_eq!(shown(&all), ["a:1", "b:1"]);
            }
        }
    }

    #[tokio::test]
    async fn topics_are_found_by_id_from_v12_on() {
        let broker = broker(&[]);
        let made: MetadataResponse = ask::<Metadata, _, _>(&broker, 12, &named(&["a"])).await;
        let id = made.topics[0].topic_id;
        for version in BY_ID..=13 {
            let found: MetadataResponse = ask::<Metadata, _, _>(&broker, version, &by_id(id)).await;
            assert_eq!(shown(&found), ["a:1"]);
            let unknown = Uuid::from_u128(9);
            let lost: MetadataResponse =
                ask::<Metadata, _, _>(&broker, version, &by_id(unknown)).await;
            assert_eq!(shown(&lost), ["-!100"]);
            assert_eq!(lost.topics[0].topic_id, unknown);
        }
        for version in 10..BY_ID {
            let refused: MetadataResponse =
                ask::<Metadata, _, _>(&broker, version, &by_id(id)).await;
            assert_eq!(shown(&refused), ["!42"]);
            assert_eq!(refused.controller_id, BrokerId(-1));
        }
        let neither: MetadataResponse =
            ask::<Metadata, _, _>(&broker, 12, &by_id(Uuid::nil())).await;
        assert_eq!(shown(&neither), ["!-1"]);
    }

    #[tokio::test]
    async fn everything_is_authorized_and_told_on_request() {
        let broker = broker(&[]);
        for version in TOPIC_AUTHORIZED..=13 {
            let cluster = CLUSTER_AUTHORIZED.contains(&version);
            let request = named(&["a", "b d"])
                .with_include_topic_authorized_operations(true)
                .with_include_cluster_authorized_operations(cluster);
            let answer: MetadataResponse = ask::<Metadata, _, _>(&broker, version, &request).await;
            for topic in &answer.topics {
                assert_eq!(topic.topic_authorized_operations, 3576);
            }
            let expected = if cluster { 8096 } else { i32::MIN };
            assert_eq!(answer.cluster_authorized_operations, expected);
        }
    }
}
