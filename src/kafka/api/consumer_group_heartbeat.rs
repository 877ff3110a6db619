//! ConsumerGroupHeartbeat v0–v1
//!
//! *Behaviour:* members of consumer groups join, leave, and learn what they may read (KIP-848),
//! see [`crate::coordinator::consumer`]. What a request leaves out has not changed.
//!
//! *Versions:* v1 members choose their ids (KIP-1082), and subscribe by regular expressions.
//!
//! *Not implemented:* throttling; an expression matches every topic, as there is no authorizer.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;

use super::group_member::{client_host, client_id};
use crate::coordinator::consumer::{ConsumerBeat, ConsumerHeartbeat, Partitions};
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct ConsumerGroupHeartbeat;

impl Handler for ConsumerGroupHeartbeat {
    type Request = ConsumerGroupHeartbeatRequest;
    const KEY: i16 = 68;
    const NAME: &'static str = "ConsumerGroupHeartbeat";
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const SCHEMA: &'static Schema = &schema::CONSUMER_GROUP_HEARTBEAT;

    fn start(context: Context, request: ConsumerGroupHeartbeatRequest) -> Result<Reply, Close> {
        if !context.broker().has_consumer_groups() {
            let response = ConsumerGroupHeartbeatResponse::default()
                .with_error_code(ResponseError::UnsupportedVersion.code());
            return Reply::ready(&context, &response);
        }
        Reply::begin(async move {
            let group = request.group_id.to_string();
            let beat = native(&context, request);
            let version = context.version;
            let answered = context
                .broker()
                .consumer_heartbeat(&group, version, &beat)
                .await;
            let response = match answered {
                Ok(Ok(beat)) => told(beat),
                Ok(Err(refusal)) => ConsumerGroupHeartbeatResponse::default()
                    .with_error_code(refusal.failure.kafka().code())
                    .with_error_message(Some(text(refusal.message))),
                Err(error) => {
                    ConsumerGroupHeartbeatResponse::default().with_error_code(error.kafka().code())
                }
            };
            Body::encode(&context, &response)
        })
    }
}

fn native(context: &Context, request: ConsumerGroupHeartbeatRequest) -> ConsumerHeartbeat {
    let string = |text: Option<StrBytes>| text.map(|text| text.to_string());
    let names = request.subscribed_topic_names;
    ConsumerHeartbeat {
        member_id: request.member_id.to_string(),
        epoch: request.member_epoch,
        instance_id: string(request.instance_id),
        rack_id: string(request.rack_id),
        rebalance_timeout_ms: (request.rebalance_timeout_ms != -1)
            .then_some(request.rebalance_timeout_ms),
        topics: names.map(|names| names.iter().map(|name| name.to_string()).collect()),
        expression: string(request.subscribed_topic_regex),
        assignor: string(request.server_assignor),
        owned: request.topic_partitions.map(|owned| partitions(&owned)),
        client_id: client_id(context),
        client_host: client_host(context),
    }
}

fn partitions(owned: &[Owned]) -> Partitions {
    let each = owned.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (topic.topic_id, *partition))
    });
    each.collect()
}

fn told(beat: ConsumerBeat) -> ConsumerGroupHeartbeatResponse {
    let assignment = beat.assignment.map(|partitions| {
        let topics = partitions.by_topic().map(|(id, partitions)| {
            TopicPartitions::default()
                .with_topic_id(id)
                .with_partitions(partitions.iter().copied().collect())
        });
        Assignment::default().with_topic_partitions(topics.collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(text(beat.member_id)))
        .with_member_epoch(beat.epoch)
        .with_heartbeat_interval_ms(beat.heartbeat_interval_ms)
        .with_assignment(assignment)
}
