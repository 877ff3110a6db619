//! Every version of Produce against a broker in memory: what is appended, refused, and answered when.

use std::sync::Arc;

use kafka_protocol::messages::{ProduceResponse, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::batch::{BatchBuilder, Codec, Level};
use crate::broker::Broker;
use crate::broker::held_disk::held_disk;
use crate::broker::testing::{NOW, batch, broker, broker_on, topic};
use crate::kafka::testing::{Client, Outcome};
use crate::model::{ProducerEpoch, ProducerId};
use crate::storage::Durability;

fn partition(index: i32, records: Option<Bytes>) -> PartitionProduceData {
    PartitionProduceData::default()
        .with_index(index)
        .with_records(records)
}

fn request(
    version: i16,
    acks: i16,
    topic: &Topic,
    partitions: Vec<PartitionProduceData>,
) -> ProduceRequest {
    let data = TopicProduceData::default().with_partition_data(partitions);
    let data = match version {
        TOPIC_ID_VERSION.. => data.with_topic_id(topic.id.0),
        _ => data.with_name(TopicName(StrBytes::from_string(topic.name.to_string()))),
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1000)
        .with_topic_data(vec![data])
}

async fn send(
    broker: &Arc<Broker>,
    version: i16,
    request: &ProduceRequest,
) -> Outcome<ProduceResponse> {
    Client::of(broker)
        .call::<Produce, _>(version, request)
        .await
}

/// Code, base offset and log start of the only partition.
async fn produce(
    broker: &Arc<Broker>,
    version: i16,
    topic: &Topic,
    records: Option<Bytes>,
) -> (i16, i64, i64) {
    let request = request(version, -1, topic, vec![partition(0, records)]);
    let response = send(broker, version, &request).await.answer();
    let answer = &response.responses[0].partition_responses[0];
    (
        answer.error_code,
        answer.base_offset,
        answer.log_start_offset,
    )
}

#[tokio::test]
async fn every_version_appends() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    for (offset, version) in (0..).zip(3..=13) {
        let log_start = if version >= 5 { 0 } else { -1 };
        for acks in [-1] {
            let request = request(
                version,
                acks,
                &topic,
                vec![partition(0, Some(batch(&["v"])))],
            );
            let response = send(&broker, version, &request).await.answer();
            let answer = &response.responses[0];
            match version {
                13.. => assert_eq!(answer.topic_id, topic.id.0),
                _ => assert_eq!(answer.name.as_str(), "t"),
            }
            let partition = &answer.partition_responses[0];
            assert_eq!(partition.error_code, 0, "v{version}");
            assert_eq!(partition.base_offset, offset, "v{version}");
            assert_eq!(partition.log_start_offset, log_start);
            assert_eq!(partition.log_append_time_ms, -1);
        }
    }
}

#[tokio::test]
async fn the_name_of_an_administrator_opens_internal_topics() {
    let broker = broker(&[]);
    let topic = topic(&broker, "__consumer_offsets", 1, &[]).await;
    let request = request(9, -1, &topic, vec![partition(0, Some(batch(&["v"])))]);
    for (client, code) in [
        ("tests", 17),
        ("__admin_client", 0),
        ("__admin_client2", 17),
    ] {
        let client = Client::of(&broker).named(client);
        let response: ProduceResponse = client.call::<Produce, _>(9, &request).await.answer();
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, code);
    }
}

#[tokio::test]
async fn acks_decide_whether_there_is_an_answer() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let good = || vec![partition(0, Some(batch(&["v"])))];
    let answered = send(&broker, 9, &request(9, 1, &topic, good()))
        .await
        .answer();
    assert_eq!(answered.responses[0].partition_responses[0].base_offset, 0);
    let silent = send(&broker, 9, &request(9, 0, &topic, good())).await;
    assert!(matches!(silent, Outcome::Silence));
    let bad = vec![
        partition(0, Some(batch(&["v"]))),
        partition(8, Some(batch(&["v"]))),
    ];
    let closed = send(&broker, 9, &request(9, 0, &topic, bad)).await;
    assert!(matches!(closed, Outcome::Closed(_)));
    let unknown = send(&broker, 9, &request(9, 2, &topic, good()))
        .await
        .answer();
    assert_eq!(unknown.responses[0].partition_responses[0].error_code, 21);
    // Two appends went through before and beside the errors, and none by the last.
    assert_eq!(
        produce(&broker, 9, &topic, Some(batch(&["v"]))).await,
        (0, 3, 0)
    );
}

#[tokio::test]
async fn while_the_disk_is_busy_acks_1_is_answered_and_acks_all_times_out() {
    let (io, gate) = held_disk();
    let broker = broker_on(io, Durability::Fsync, &[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    gate.close();
    for (acks, code, offset) in [(1, 0, 0), (-1, 7, -1), (1, 0, 2)] {
        let records = vec![partition(0, Some(batch(&["v"])))];
        let request = request(9, acks, &topic, records).with_timeout_ms(100);
        let response = send(&broker, 9, &request).await.answer();
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (code, offset));
    }
    gate.open();
    assert_eq!(
        produce(&broker, 9, &topic, Some(batch(&["v"]))).await,
        (0, 3, 0)
    );
}

#[tokio::test]
async fn codes_and_log_start_are_those_of_kafka() {
    let broker = broker(&[]);
    let small = topic(&broker, "small", 1, &[("max.message.bytes", "200")]).await;
    let corrupt = {
        let mut bytes = batch(&["v"]).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Bytes::from(bytes)
    };
    let two = Bytes::from([batch(&["v"]), batch(&["v"])].concat());
    let mut old = batch(&["v"]).to_vec();
    old[16] = 1;
    let mut transactional = BatchBuilder::new()
        .producer(ProducerId(5), ProducerEpoch(0), 0)
        .transactional();
    transactional.push(NOW, None, Some(b"v"));
    let transactional = transactional.build().unwrap().bytes;
    let mut out_of_order = BatchBuilder::new().producer(ProducerId(6), ProducerEpoch(0), 0);
    out_of_order.push(NOW, None, Some(b"v"));
    let first = out_of_order.clone().build().unwrap().bytes;
    let third = {
        let mut batch = BatchBuilder::new().producer(ProducerId(6), ProducerEpoch(0), 2);
        batch.push(NOW, None, Some(b"v"));
        batch.build().unwrap().bytes
    };
    assert_eq!(produce(&broker, 9, &small, Some(first)).await, (0, 0, 0));
    for (what, records, expected) in [
        ("null", None, (87, -1, -1)),
        ("empty", Some(Bytes::new()), (87, -1, -1)),
        ("two batches", Some(two), (87, -1, -1)),
        ("magic 1", Some(old.into()), (87, -1, -1)),
        ("checksum", Some(corrupt), (2, -1, -1)),
        ("size", Some(batch(&[&"x".repeat(200)])), (10, -1, -1)),
        ("sequence", Some(third), (45, -1, 0)),
        ("no transactional id", Some(transactional), (53, -1, -1)),
    ] {
        assert_eq!(
            produce(&broker, 9, &small, records).await,
            expected,
            "{what}"
        );
    }
}

#[tokio::test]
async fn an_unknown_transactional_id_is_told_so() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 2, &[]).await;
    let mut transactional = BatchBuilder::new()
        .producer(ProducerId(5), ProducerEpoch(0), 0)
        .transactional();
    transactional.push(NOW, None, Some(b"v"));
    let records = transactional.build().unwrap().bytes;
    for version in 3..=13 {
        let parts = vec![
            partition(0, Some(records.clone())),
            partition(1, Some(batch(&["v"]))),
        ];
        let request = request(version, -1, &topic, parts)
            .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("id"))));
        let response = send(&broker, version, &request).await.answer();
        let codes: Vec<_> = response.responses[0]
            .partition_responses
            .iter()
            .map(|answer| answer.error_code)
            .collect();
        assert_eq!(codes, [49, 0], "v{version}");
    }
}

#[tokio::test]
async fn partitions_and_topics_that_are_not_there_are_told_apart() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let parts = || vec![partition(1, Some(batch(&["v"]))), partition(-1, None)];
    for version in [3, 12, 13] {
        let response = send(&broker, version, &request(version, -1, &topic, parts()))
            .await
            .answer();
        for answer in &response.responses[0].partition_responses {
            assert_eq!((answer.error_code, answer.base_offset), (3, -1));
        }
    }
    let mut nowhere = (*topic).clone();
    nowhere.id = TopicId(uuid::Uuid::from_u128(99));
    nowhere.name = crate::model::TopicName::new("nowhere").unwrap();
    for (version, code) in [(3, 3), (12, 3), (13, 100)] {
        assert_eq!(
            produce(&broker, version, &nowhere, None).await.0,
            code,
            "v{version}"
        );
    }
}

#[tokio::test]
async fn zstd_needs_version_7() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let mut builder = BatchBuilder::new().compression(Codec::Zstd, Level::Default);
    builder.push(NOW, None, Some(b"v"));
    let records = builder.build().unwrap().bytes;
    for version in 3..=13 {
        let expected = if version < 7 { 76 } else { 0 };
        let (code, ..) = produce(&broker, version, &topic, Some(records.clone())).await;
        assert_eq!(code, expected, "v{version}");
    }
}

#[tokio::test]
async fn rejected_records_are_named() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[("cleanup.policy", "compact")]).await;
    for version in 3..=13 {
        let request = request(
            version,
            -1,
            &topic,
            vec![partition(0, Some(batch(&["a", "b"])))],
        );
        let response = send(&broker, version, &request).await.answer();
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, 87);
        if version < 8 {
            continue;
        }
        let indexes: Vec<_> = answer
            .record_errors
            .iter()
            .map(|error| error.batch_index)
            .collect();
        assert_eq!(indexes, [0, 1]);
        let message = answer.error_message.as_ref().unwrap();
        assert!(message.contains("2 record errors in total"), "{message}");
    }
}

#[tokio::test]
async fn log_append_time_is_answered() {
    let broker = broker(&[]);
    let overrides = [("message.timestamp.type", "LogAppendTime")];
    let topic = topic(&broker, "t", 1, &overrides).await;
    let request = request(9, -1, &topic, vec![partition(0, Some(batch(&["a"])))]);
    let response = send(&broker, 9, &request).await.answer();
    assert_eq!(
        response.responses[0].partition_responses[0].log_append_time_ms,
        NOW.0
    );
}

#[tokio::test]
async fn a_partition_named_twice_keeps_its_last_batch() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 2, &[]).await;
    let parts = vec![
        partition(0, Some(batch(&["a", "b", "c"]))),
        partition(1, Some(batch(&["d"]))),
        partition(0, Some(batch(&["e"]))),
    ];
    let mut twice = request(9, -1, &topic, parts);
    twice.topic_data.push(twice.topic_data[0].clone());
    let response = send(&broker, 9, &twice).await.answer();
    assert_eq!(response.responses.len(), 1);
    assert_eq!(response.responses[0].partition_responses.len(), 2);
    assert_eq!(
        produce(&broker, 9, &topic, Some(batch(&["v"]))).await,
        (0, 1, 0)
    );
}
