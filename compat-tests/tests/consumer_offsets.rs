//! Others read `__consumer_offsets`: a plain consumer, and Kafka's own formatters and decoder, for
//! which no record may be strange.

#[path = "support/client.rs"]
mod client;
#[path = "support/java.rs"]
mod java;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::{PATIENCE, client};
use compat_tests::server::Server;
use compat_tests::session::Session;
use java::tool;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

const INTERNAL: &str = "__consumer_offsets";
const TOPIC: &str = "read-by-groups";

/// Types of records, in their keys.
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;
/// Of groups of the newer protocol; what 4 was for is kept in other records today.
const CONSUMER_GROUP: [i16; 5] = [3, 5, 6, 7, 8];
const REGULAR_EXPRESSION: i16 = 16;

/// The partition of `__consumer_offsets` that has a group: Java's hash of its name.
fn partition(group: &str) -> i32 {
    let hash = group.bytes().fold(0_i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(byte))
    });
    hash.checked_abs().unwrap_or(0) % 50
}

/// A name for a group that is in the same partition as every other name that this makes.
fn group(kind: &str) -> String {
    (0..)
        .map(|number| format!("{kind}-{number}"))
        .find(|name| partition(name) == 7)
        .expect("there are enough numbers")
}

/// Reads one record as a member of a group, commits it and leaves.
fn consume(server: &Server, group: &str, protocol: &str, subscription: &str) {
    let settings = [
        ("group.id", group),
        ("group.protocol", protocol),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
    ];
    let consumer: BaseConsumer = client(server, &settings).create().expect("a consumer");
    consumer.subscribe(&[subscription]).expect("a topic");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => {
                let committed = consumer.commit_message(&record, CommitMode::Sync);
                return committed.expect("it is committed");
            }
            Some(Err(error)) => panic!("{group}: {error}"),
            None => assert!(Instant::now() < deadline, "{group}: no record came"),
        }
    }
}

/// A group of every kind, of which one is deleted.
fn use_groups(server: &Server) {
    server.topic(TOPIC, 1);
    let producer: BaseProducer = client(server, &[]).create().expect("a producer");
    let record = BaseRecord::<(), _>::to(TOPIC).payload("value");
    producer.send(record).expect("room for it");
    producer.flush(PATIENCE).expect("it is acknowledged");
    consume(server, &group("classic"), "classic", TOPIC);
    consume(server, &group("deleted"), "classic", TOPIC);
    consume(server, &group("consumer"), "consumer", TOPIC);
    consume(server, &group("expression"), "consumer", "^read-by.*");
    let mut session = Session::new(server.address(), Duration::ZERO);
    let body = json!({"groupsNames": [group("deleted")]});
    let deleted = session.aside("DeleteGroups", 2, body);
    assert_eq!(deleted["results"][0]["errorCode"], 0, "{deleted}");
}

/// Every record of the partition: the type in its key, and whether it has a value.
fn read(server: &Server) -> Vec<(i16, bool)> {
    let settings = [
        ("group.id", "none"),
        ("enable.partition.eof", "true"),
        ("enable.auto.commit", "false"),
    ];
    let consumer: BaseConsumer = client(server, &settings).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(INTERNAL, 7, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&list).expect("an assignment");
    let mut records = Vec::new();
    loop {
        match consumer.poll(PATIENCE).expect("something within a minute") {
            Ok(record) => {
                let key = record.key().expect("a key");
                let kind = key.first_chunk().map(|bytes| i16::from_be_bytes(*bytes));
                records.push((kind.expect("a type"), record.payload().is_some()));
            }
            Err(KafkaError::PartitionEOF(_)) => return records,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a formatter of Kafka's makes of the partition, a value a record.
fn format(jars: &str, server: &Server, formatter: &str) -> Vec<Value> {
    let formatter = format!("org.apache.kafka.tools.consumer.{formatter}");
    let arguments = [
        "--bootstrap-server",
        server.address(),
        "--topic",
        INTERNAL,
        "--partition",
        "7",
        "--offset",
        "earliest",
        "--timeout-ms",
        "3000",
        "--formatter",
        &formatter,
    ];
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let said = tool(jars, class, &arguments, "");
    // One after another, without line feeds.
    let values = serde_json::Deserializer::from_str(&said).into_iter();
    values
        .map(|value| value.unwrap_or_else(|error| panic!("{error}: {said}")))
        .collect()
}

#[test]
fn a_plain_consumer_and_kafkas_own_tools_read_the_records_of_groups() {
    let Some(server) = Server::start("consumer-offsets") else {
        return;
    };
    use_groups(&server);
    let records = read(&server);
    let mut kinds: BTreeMap<i16, [usize; 2]> = BTreeMap::new();
    for (kind, has_value) in &records {
        kinds.entry(*kind).or_default()[usize::from(*has_value)] += 1;
    }
    let all = CONSUMER_GROUP
        .into_iter()
        .chain([OFFSET_COMMIT, GROUP_METADATA, REGULAR_EXPRESSION]);
    for kind in all {
        let there = kinds.get(&kind).is_some_and(|[_, values]| *values > 0);
        assert!(there, "no record of type {kind}: {kinds:?}");
    }

    let Some(jars) = java::jars("Kafka's tools on __consumer_offsets") else {
        return;
    };
    let formatters = [
        ("OffsetsMessageFormatter", OFFSET_COMMIT),
        ("GroupMetadataMessageFormatter", GROUP_METADATA),
    ];
    for (formatter, kind) in formatters {
        let lines = format(&jars, &server, formatter);
        let [tombstones, values] = kinds[&kind];
        assert_eq!(lines.len(), tombstones + values, "{formatter}: {lines:?}");
        let with_data = lines
            .iter()
            .filter(|line| line["value"]["data"].is_object());
        assert_eq!(with_data.count(), values, "{formatter}: {lines:?}");
        let keys = lines
            .iter()
            .all(|line| line["key"]["data"]["group"].is_string());
        assert!(keys, "{formatter}: {lines:?}");
    }

    if let Some(data) = server.data() {
        let log = data.join(format!("{INTERNAL}-7/00000000000000000000.log"));
        let log = log.to_str().expect("a path");
        let arguments = ["--offsets-decoder", "--print-data-log", "--files", log];
        let dumped = tool(&jars, "kafka.tools.DumpLogSegments", &arguments, "");
        let dumped: Vec<_> = dumped
            .lines()
            .filter(|line| line.starts_with("| "))
            .collect();
        assert_eq!(dumped.len(), records.len());
        for (line, (kind, has_value)) in dumped.iter().zip(&records) {
            assert!(
                line.contains(&format!(" key: {{\"type\":\"{kind}\"")),
                "{line}"
            );
            let payload = match has_value {
                true => " payload: {\"version\":",
                false => " payload: <DELETE>",
            };
            assert!(line.contains(payload), "{line}");
        }
    }
}
