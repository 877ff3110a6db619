//! Request bodies that several scenarios share.

use serde_json::{Value, json};

use crate::records::Batch;

/// Produce with acks=-1 to one partition. Name and id are both given: a version takes its own.
pub(super) fn produce(topic: &str, id: &str, partition: i32, batch: &Batch) -> Value {
    produce_records(topic, id, partition, batch.json())
}

/// The same with any records.
pub(super) fn produce_records(topic: &str, id: &str, partition: i32, records: Value) -> Value {
    json!({
        "acks": -1, "timeoutMs": 10_000,
        "topicData": [{"name": topic, "topicId": id, "partitionData": [
            {"index": partition, "records": records}
        ]}]
    })
}

/// A full fetch without a session from one partition, which does not wait.
pub(super) fn fetch(topic: &str, id: &str, partition: i32, offset: i64) -> Value {
    fetch_of(&json!([{"topic": topic, "topicId": id, "partitions": [
        {"partition": partition, "fetchOffset": offset, "partitionMaxBytes": 1_048_576}
    ]}]))
}

/// The same from these topics.
pub(super) fn fetch_of(topics: &Value) -> Value {
    json!({
        "replicaId": -1, "maxWaitMs": 0, "minBytes": 0, "maxBytes": 52_428_800,
        "sessionId": 0, "sessionEpoch": -1, "topics": topics
    })
}

/// `body` with some of its fields replaced.
pub(super) fn with(mut body: Value, changes: Value) -> Value {
    let (Value::Object(fields), Value::Object(changes)) = (&mut body, changes) else {
        panic!("objects");
    };
    fields.extend(changes);
    body
}

/// `body` with one field, at a JSON pointer, replaced.
pub(super) fn at(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = body.pointer_mut(parent).expect("the parent is there");
    parent[name] = value;
    body
}

/// A UUID that no topic has.
pub(super) const NO_ID: &str = "0123456789abcdef0123456789abcdef";

/// The UUID that stands for none.
pub(super) const ZERO_ID: &str = "00000000000000000000000000000000";
