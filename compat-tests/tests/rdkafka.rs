//! rdkafka: lines in and out with idempotence, administration, offsets by time.

mod support;

use std::time::Duration;

use compat_tests::lines;
use compat_tests::server::Server;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use support::{PARTITIONS, PATIENCE, client, consume, consumer};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
#[test]
fn lines_come_out_as_they_went_in_with_idempotence() {
    let Some(mut server) = Server::start("rdkafka") else {
        return;
    };
    let count = lines::count();
    for codec in CODECS {
        let topic = format!("rdkafka-{codec}");
        server.topic(&topic, PARTITIONS);
        let producer: BaseProducer = client(
            &server,
            &[
                ("enable.idempotence", "true"),
                ("compression.type", codec),
                ("sticky.partitioning.linger.ms", "0"),
                ("queue.buffering.max.messages", "100000"),
            ],
        )
        .create()
        .expect("a producer");
        for number in 0..count {
            let line = lines::line(number);
            let mut record = BaseRecord::<(), _>::to(&topic).payload(line.as_bytes());
            while let Err((error, back)) = producer.send(record) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full, "sending line {number}");
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        producer
            .flush(PATIENCE)
            .expect("everything is acknowledged");
        assert_eq!(producer.in_flight_count(), 0);
        consume(
            &server,
            &topic,
            count,
            &format!("{codec}, before the crash"),
        );
    }
    if server.crash() {
        for codec in CODECS {
            let topic = format!("rdkafka-{codec}");
            consume(&server, &topic, count, &format!("{codec}, after the crash"));
        }
    }
}

#[test]
fn keys_headers_timestamps_and_tombstones_are_kept() {
    let Some(server) = Server::start("rdkafka-records") else {
        return;
    };
    server.topic("rdkafka-records", 1);
    let producer: BaseProducer = client(&server, &[("enable.idempotence", "true")])
        .create()
        .expect("a producer");
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "h",
            value: Some("1"),
        })
        .insert(Header {
            key: "h",
            value: Some("2"),
        })
        .insert(Header::<&str> {
            key: "none",
            value: None,
        });
    let full = BaseRecord::to("rdkafka-records")
        .key("k")
        .payload("v")
        .timestamp(1_700_000_000_123)
        .headers(headers);
    producer.send(full).expect("sent");
    let tombstone = BaseRecord::<_, ()>::to("rdkafka-records")
        .key("k")
        .timestamp(1_700_000_000_456);
    producer.send(tombstone).expect("sent");
    producer.flush(PATIENCE).expect("acknowledged");

    let consumer = consumer(&server);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("rdkafka-records", 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&list).expect("an assignment");
    let first = consumer.poll(PATIENCE).expect("in time").expect("a record");
    assert_eq!(
        (first.key(), first.payload()),
        (Some(&b"k"[..]), Some(&b"v"[..]))
    );
    assert_eq!(first.timestamp().to_millis(), Some(1_700_000_000_123));
    let headers = first.headers().expect("headers");
    let headers: Vec<_> = headers
        .iter()
        .map(|header| (header.key, header.value))
        .collect();
    assert_eq!(
        headers,
        [
            ("h", Some(&b"1"[..])),
            ("h", Some(&b"2"[..])),
            ("none", None)
        ]
    );
    let second = consumer.poll(PATIENCE).expect("in time").expect("a record");
    assert_eq!((second.key(), second.payload()), (Some(&b"k"[..]), None));

    let by_time = |timestamp| {
        let mut list = TopicPartitionList::new();
        let time = Offset::Offset(timestamp);
        list.add_partition_offset("rdkafka-records", 0, time)
            .expect("an offset");
        let found = consumer.offsets_for_times(list, PATIENCE).expect("offsets");
        found.elements()[0].offset()
    };
    assert_eq!(by_time(0), Offset::Offset(0));
    assert_eq!(by_time(1_700_000_000_124), Offset::Offset(1));
    assert_eq!(by_time(1_700_000_000_457), Offset::End);
    let marks = consumer
        .fetch_watermarks("rdkafka-records", 0, PATIENCE)
        .expect("watermarks");
    assert_eq!(marks, (0, 2));
}

#[test]
fn topics_are_created_grown_configured_and_deleted() {
    let Some(server) = Server::start("rdkafka-admin") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let admin: AdminClient<DefaultClientContext> = client(&server, &[]).create().expect("an admin");
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let name = "rdkafka-admin";
    runtime.block_on(async {
        let topic =
            NewTopic::new(name, 2, TopicReplication::Fixed(1)).set("retention.ms", "5000000");
        let made = admin
            .create_topics([&topic], &options)
            .await
            .expect("an answer");
        assert_eq!(made, [Ok(name.to_owned())]);
        let again = admin
            .create_topics([&topic], &options)
            .await
            .expect("an answer");
        assert_eq!(
            again,
            [Err((name.to_owned(), RDKafkaErrorCode::TopicAlreadyExists))]
        );
        let more = NewPartitions::new(name, 5);
        let grown = admin
            .create_partitions([&more], &options)
            .await
            .expect("an answer");
        assert_eq!(grown, [Ok(name.to_owned())]);

        let described = admin
            .describe_configs([&ResourceSpecifier::Topic(name)], &options)
            .await;
        let described = described.expect("an answer").remove(0).expect("a topic");
        assert_eq!(
            described.specifier,
            OwnedResourceSpecifier::Topic(name.to_owned())
        );
        let value = |key: &str| described.get(key).and_then(|entry| entry.value.clone());
        assert_eq!(value("retention.ms").as_deref(), Some("5000000"));
        assert_eq!(value("segment.bytes").as_deref(), Some("1073741824"));
        let change =
            AlterConfig::new(ResourceSpecifier::Topic(name)).set("retention.ms", "7000000");
        admin
            .alter_configs([&change], &options)
            .await
            .expect("an answer")
            .remove(0)
            .expect("done");
    });
    let consumer = consumer(&server);
    let metadata = consumer
        .fetch_metadata(Some(name), PATIENCE)
        .expect("metadata");
    assert_eq!(metadata.topics()[0].partitions().len(), 5);
    let gone = runtime
        .block_on(admin.delete_topics(&[name], &options))
        .expect("an answer");
    assert_eq!(gone, [Ok(name.to_owned())]);
}
