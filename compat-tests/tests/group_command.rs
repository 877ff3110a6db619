//! `klamm group` on groups that have members, in both protocols.

#[path = "support/client.rs"]
mod client;

use std::process::Command;
use std::time::{Duration, Instant};

use client::{PATIENCE, client};
use compat_tests::server::{Server, binary};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

const TOPIC: &str = "group-command";

/// Records in partition 0, of which the member reads one at least.
const RECORDS: i64 = 5;

/// What `klamm group` prints, or says when it fails.
fn group(server: &Server, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(binary())
        .arg("group")
        .args(arguments)
        .args(["-b", server.address(), "--format", "json"])
        .output()
        .expect("klamm runs");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A consumer that has read one record and committed it.
fn member(server: &Server, name: &str, protocol: &str) -> BaseConsumer {
    let settings = [
        ("group.id", name),
        ("group.protocol", protocol),
        ("client.id", "the client"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
    ];
    let consumer: BaseConsumer = client(server, &settings).create().expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("a topic");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "{name}: no record came");
        let Some(record) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let record = record.expect("a record");
        let committed = consumer.commit_message(&record, CommitMode::Sync);
        committed.expect("it is committed");
        drop(record);
        return consumer;
    }
}

#[test]
fn members_are_shown_and_protect_their_group() {
    let Some(server) = Server::start("group-command") else {
        return;
    };
    server.topic(TOPIC, 2);
    let producer: BaseProducer = client(&server, &[]).create().expect("a producer");
    for _ in 0..RECORDS {
        let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload("value");
        producer.send(record).expect("room for it");
    }
    producer.flush(PATIENCE).expect("they are acknowledged");
    for protocol in ["classic", "consumer"] {
        let name = format!("{TOPIC}-{protocol}");
        let consumer = member(&server, &name, protocol);
        let described = group(&server, &["describe", &name]).expect("it is there");
        let described = &described[0];
        assert_eq!(described["type"], protocol, "{described}");
        assert_eq!(described["state"], "Stable", "{described}");
        let member = &described["members"][0];
        assert_eq!(member["client"], "the client", "{described}");
        let first = &described["partitions"][0];
        assert_eq!(first["topic"], TOPIC, "{described}");
        assert_eq!(first["committed"], 1, "{described}");
        assert_eq!(first["lag"], RECORDS - 1, "{described}");
        // Nothing is committed there.
        let second = &described["partitions"][1];
        assert_eq!(second["end"], 0, "{described}");
        assert_eq!(second["lag"], Value::Null, "{described}");
        for partition in [first, second] {
            assert_eq!(partition["member"], member["member"], "{described}");
        }

        let reset = [
            "reset-offsets",
            &name,
            "--all-topics",
            "--to-latest",
            "--execute",
        ];
        let refused = group(&server, &reset).expect_err("it has a member");
        assert!(refused.contains("but it is Stable"), "{refused}");
        let refused = group(&server, &["delete", &name]).expect_err("it has a member");
        assert!(refused.contains("NON_EMPTY_GROUP"), "{refused}");

        drop(consumer);
        let set = group(&server, &reset).expect("nobody is in it");
        assert_eq!(set[0]["offset"], RECORDS, "{set}");
        let listed = group(&server, &["list"]).expect("a list");
        assert_eq!(listed[0]["group"], name.as_str(), "{listed}");
        assert_eq!(listed[0]["type"], protocol, "{listed}");
        assert_eq!(listed[0]["state"], "Empty", "{listed}");
        group(&server, &["delete", &name]).expect("nobody is in it");
    }
}
