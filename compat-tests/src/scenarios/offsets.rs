//! ListOffsets, OffsetForLeaderEpoch and DeleteRecords.

use serde_json::{Value, json};

use super::bodies::fetch;
use crate::records::{Batch, CODECS, TIME};
use crate::session::Session;

fn list(topic: &str, partition: i32, timestamp: i64) -> Value {
    let one = json!({"partitionIndex": partition, "timestamp": timestamp});
    json!({
        "replicaId": -1, "isolationLevel": 0, "timeoutMs": 10_000,
        "topics": [{"name": topic, "partitions": [one]}]
    })
}

pub(super) fn list_versions(s: &mut Session) {
    s.topic("list-offsets", 2, &[]);
    s.append("list-offsets", &Batch::of(&["a", "b", "c"]));
    s.append("list-offsets", &Batch::of(&["d"]).at(TIME - 100));
    for version in 1..=10 {
        for timestamp in [
            -7,
            -6,
            -5,
            -4,
            -3,
            -2,
            -1,
            0,
            TIME,
            TIME + 1,
            i64::MAX,
            i64::MIN,
        ] {
            for partition in [0, 1] {
                s.case(format!("timestamp {timestamp} in partition {partition}"));
                s.ask(
                    "ListOffsets",
                    version,
                    list("list-offsets", partition, timestamp),
                );
            }
            if version >= 2 {
                s.case(format!("timestamp {timestamp}, read committed"));
                let mut body = list("list-offsets", 0, timestamp);
                body["isolationLevel"] = json!(1);
                s.ask("ListOffsets", version, body);
            }
        }
        s.case("no topics");
        s.ask(
            "ListOffsets",
            version,
            json!({"replicaId": -1, "timeoutMs": 10_000}),
        );
    }
}

pub(super) fn by_time(s: &mut Session) {
    let partitions = i32::try_from(CODECS.len()).expect("five");
    s.topic("list-offsets-by-time", partitions, &[]);
    s.topic(
        "list-offsets-by-time-now",
        1,
        &[("message.timestamp.type", "LogAppendTime")],
    );
    for (codec, name) in (0i16..).zip(CODECS) {
        // Times within a batch and between batches go up and down.
        for (start, deltas) in [(0, [0, 50, 20]), (10, [0, 5, 90]), (40, [0, -30, 1])] {
            s.case(format!("append, {name}"));
            let mut batch = Batch::of(&["a", "b", "c"])
                .at(TIME + start)
                .compressed(codec);
            for (record, delta) in batch.records.iter_mut().zip(deltas) {
                record.timestamp_delta = delta;
            }
            let partition = json!({"index": codec, "records": batch.json()});
            let topic = json!({"name": "list-offsets-by-time", "partitionData": [partition]});
            let body = json!({"acks": -1, "timeoutMs": 10_000, "topicData": [topic]});
            s.ask("Produce", 9, body);
        }
        for time in [
            -1000, 0, 1, 10, 15, 16, 20, 21, 40, 41, 50, 51, 99, 100, 101, 5000,
        ] {
            s.case(format!("{time} ms after the first, {name}"));
            let body = list("list-offsets-by-time", codec.into(), TIME + time);
            s.ask("ListOffsets", 7, body);
        }
        s.case(format!("the largest, {name}"));
        s.ask(
            "ListOffsets",
            7,
            list("list-offsets-by-time", codec.into(), -3),
        );
    }
    s.append("list-offsets-by-time-now", &Batch::of(&["a", "b"]));
    for timestamp in [TIME, -3, 0, 9_000_000_000_000] {
        s.case(format!("log append time, timestamp {timestamp}"));
        s.ask(
            "ListOffsets",
            7,
            list("list-offsets-by-time-now", 0, timestamp),
        );
    }
}

pub(super) fn list_refused(s: &mut Session) {
    s.topic("list-offsets-refused", 1, &[]);
    s.append("list-offsets-refused", &Batch::of(&["a"]));
    for version in 1..=10 {
        s.case("unknown topic");
        s.ask("ListOffsets", version, list("list-offsets-nothing", 0, -1));
        s.case("unknown partition");
        s.ask("ListOffsets", version, list("list-offsets-refused", 5, -1));
        s.case("empty name");
        s.ask("ListOffsets", version, list("", 0, -1));
        s.case("the same partition twice");
        let one = json!({"partitionIndex": 0, "timestamp": -1});
        let two = json!({"partitionIndex": 0, "timestamp": -2});
        let topics = json!([{"name": "list-offsets-refused", "partitions": [one, two]}]);
        let body = json!({"replicaId": -1, "timeoutMs": 10_000, "topics": topics});
        s.ask("ListOffsets", version, body);
        for replica in [0, 1, 7, -2, -3] {
            s.case(format!("as replica {replica}"));
            let mut body = list("list-offsets-refused", 0, -1);
            body["replicaId"] = json!(replica);
            s.ask("ListOffsets", version, body);
        }
        for epoch in [-2, 0, 1, 99] {
            s.case(format!("current leader epoch {epoch}"));
            let mut body = list("list-offsets-refused", 0, -1);
            body["topics"][0]["partitions"][0]["currentLeaderEpoch"] = json!(epoch);
            s.ask("ListOffsets", version, body);
        }
        s.case("an isolation level that does not exist");
        let mut body = list("list-offsets-refused", 0, -1);
        body["isolationLevel"] = json!(9);
        s.ask("ListOffsets", version, body);
    }
}

pub(super) fn leader_epochs(s: &mut Session) {
    s.topic("leader-epochs", 2, &[]);
    s.append("leader-epochs", &Batch::of(&["a", "b"]));
    for version in 2..=4 {
        for current in [-1, 0, 1] {
            for epoch in [-2, -1, 0, 1, 99] {
                for partition in [0, 1] {
                    s.case(format!(
                        "epoch {epoch} of partition {partition}, current {current}"
                    ));
                    let one = json!({
                        "partition": partition, "currentLeaderEpoch": current,
                        "leaderEpoch": epoch
                    });
                    let topics = json!([{"topic": "leader-epochs", "partitions": [one]}]);
                    s.ask("OffsetForLeaderEpoch", version, json!({"topics": topics}));
                }
            }
        }
        let one = json!({"partition": 0, "leaderEpoch": 0});
        let nine = json!({"partition": 9, "leaderEpoch": 0});
        s.case("unknown partition");
        let topics = json!([{"topic": "leader-epochs", "partitions": [one, nine]}]);
        s.ask("OffsetForLeaderEpoch", version, json!({"topics": topics}));
        s.case("unknown topic");
        let topics = json!([{"topic": "leader-epochs-nothing", "partitions": [one]}]);
        s.ask("OffsetForLeaderEpoch", version, json!({"topics": topics}));
        s.case("no topics");
        s.ask("OffsetForLeaderEpoch", version, json!({}));
        for replica in [-1, 0, 1, 5] {
            s.case(format!("as replica {replica}"));
            let topics = json!([{"topic": "leader-epochs", "partitions": [one]}]);
            let body = json!({"topics": topics, "replicaId": replica});
            s.ask("OffsetForLeaderEpoch", version, body);
        }
    }
}

pub(super) fn delete_records(s: &mut Session) {
    let delete = |topic: &str, partition: i32, offset: i64| {
        let one = json!({"partitionIndex": partition, "offset": offset});
        json!({"timeoutMs": 10_000, "topics": [{"name": topic, "partitions": [one]}]})
    };
    for version in 0..=2 {
        let name = format!("delete-records-{version}");
        let id = s.topic(&name, 2, &[]);
        s.append(&name, &Batch::of(&["a", "b", "c"]));
        s.append(&name, &Batch::of(&["d", "e"]));
        for offset in [0, 1, 1, 0, 4, 6, -2, i64::MAX, -1, -1] {
            s.case(format!("up to {offset}"));
            s.ask("DeleteRecords", version, delete(&name, 0, offset));
            s.case("what is left");
            s.ask("ListOffsets", 5, list(&name, 0, -2));
        }
        s.case("an empty partition");
        s.ask("DeleteRecords", version, delete(&name, 1, -1));
        s.ask("DeleteRecords", version, delete(&name, 1, 0));
        s.ask("DeleteRecords", version, delete(&name, 1, 1));
        s.case("unknown partition");
        s.ask("DeleteRecords", version, delete(&name, 5, 0));
        s.case("unknown topic");
        s.ask(
            "DeleteRecords",
            version,
            delete("delete-records-nothing", 0, 0),
        );
        s.case("no topics");
        s.ask("DeleteRecords", version, json!({"timeoutMs": 10_000}));
        s.case("a fetch below the start");
        s.ask("Fetch", 12, fetch(&name, &id, 0, 0));
        s.case("the next append goes on");
        let batch = Batch::of(&["f"]);
        s.ask("Produce", 9, super::bodies::produce(&name, &id, 0, &batch));
        s.ask("Fetch", 12, fetch(&name, &id, 0, 5));
        s.case("by time after the start moved");
        s.ask("ListOffsets", 5, list(&name, 0, 0));
    }
    s.topic(
        "delete-records-compacted",
        1,
        &[("cleanup.policy", "compact")],
    );
    s.append("delete-records-compacted", &Batch::keyed(&[("k", "v")]));
    s.case("a compacted topic");
    s.ask("DeleteRecords", 2, delete("delete-records-compacted", 0, 1));
}
