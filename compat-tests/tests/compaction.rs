//! librdkafka reads a compacted topic to exactly the latest values, while it is compacted and
//! afterwards.
//!
//! Runs against a Klamm of its own, or against the broker at `BROKER`, which has to look for dirty
//! logs often (`log.cleaner.backoff.ms=200`).

#[path = "support/in_process.rs"]
mod in_process;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use compat_tests::session::Session;
use in_process::{InProcess, create};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "compaction-latest";

/// Keys, of which every fifth is deleted in the end.
const KEYS: usize = 40;

/// How often each is written.
const ROUNDS: usize = 8;

/// Records that are left when all but the active segment is compacted: one a key, tombstones
/// among them, and the record that began the active segment.
const LEFT: usize = KEYS + 1;

/// How many records there are, and the last value of each key; none for those that were deleted.
fn read(address: &str) -> (usize, BTreeMap<String, Option<String>>) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("broker.address.family", "v4")
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Beginning)
        .expect("an offset");
    consumer.assign(&list).expect("an assignment");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (mut count, mut latest, mut last_offset) = (0, BTreeMap::new(), -1);
    loop {
        match consumer.poll(PATIENCE).expect("something within a minute") {
            Ok(message) => {
                assert!(message.offset() > last_offset, "offsets ascend");
                last_offset = message.offset();
                count += 1;
                let key = text(message.key().expect("a key"));
                latest.insert(key, message.payload().map(text));
            }
            Err(KafkaError::PartitionEOF(_)) => return (count, latest),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn librdkafka_reads_a_compacted_topic_to_the_latest_values() {
    let broker = InProcess::start("compaction", &[("log.cleaner.backoff.ms", "200")]);
    let address = broker.address();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    create(&mut Session::new(address, Duration::ZERO), TOPIC, &configs);

    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("broker.address.family", "v4")
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .create()
        .expect("a producer");
    let mut expected = BTreeMap::new();
    let mut send = |key: &str, value: Option<&str>| {
        let mut record = BaseRecord::to(TOPIC).key(key);
        if let Some(value) = value {
            record = record.payload(value);
        }
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("room");
        expected.insert(key.to_owned(), value.map(str::to_owned));
    };
    for round in 0..ROUNDS {
        for key in 0..KEYS {
            let value = format!("{key} in round {round}");
            let deleted = round + 1 == ROUNDS && key % 5 == 0;
            send(&format!("key {key}"), (!deleted).then_some(&value));
        }
        producer.flush(PATIENCE).expect("acknowledged");
        // What comes later goes into another segment.
        std::thread::sleep(Duration::from_millis(150));
    }
    send("the active segment", Some("begins here"));
    producer.flush(PATIENCE).expect("acknowledged");

    let patience = Instant::now();
    loop {
        let (count, latest) = read(address);
        assert_eq!(latest, expected, "with {count} records left");
        if count == LEFT {
            break;
        }
        assert!(
            patience.elapsed() < PATIENCE,
            "{count} records are left, not {LEFT}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
