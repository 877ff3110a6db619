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
use crate::broker::metadata::{TopicLookup, TopicSelection};
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
    let topics = match context.broker.topic_metadata(selection, auto_create).await {
        Ok(topics) => topics,
        Err(error) => {
            let code = error.kafka();
            return refused(request, code).with_error_code(code.code());
        }
    };
    let topic_operations =
        if version >= TOPIC_AUTHORIZED && request.include_topic_authorized_operations {
            TOPIC_OPERATIONS
        } else {
            i32::MIN
        };
    let cluster = context.broker.cluster();
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
        Err(error) => answer.with_error_code(error.kafka().code()),
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
