//! Makes the answers of two brokers comparable.
//!
//! A decoded answer becomes a tree in which everything that may differ from one broker, or one run,
//! to the next has been replaced by a word in angle brackets, and in which arrays whose elements
//! have a key are objects by that key: Kafka builds many of them from hash maps, and no client may
//! rely on their order. Everything else is compared as it is, so the rules below are all that the
//! differ does not see:
//!
//! - topic ids are named after their topic; producer ids, fetch session ids and ids of members are
//!   numbered by their first appearance, so that what is the same stays the same;
//! - ports, cluster ids, directories, sizes of disks, the epoch of the finalized features;
//! - the wording of error messages: whether there is one is compared, not what it says;
//! - times of the broker's clock;
//! - the compressed form of records (they are compared decompressed), and the length and checksum of
//!   a batch that is compressed or holds something of the above;
//! - APIs that this corpus does not describe are left out of the ApiVersions table;
//! - broker settings that name a directory, an address or a listener.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::recording::{Answer, Exchange};
use crate::records::TIME;
use crate::{codec, hex, records, schema};

/// Times of a broker's clock lie between these, in milliseconds; no request has such a time.
const CLOCK: std::ops::Range<i64> = TIME + 20_000_000_000..TIME + 2_000_000_000_000;

/// Broker settings whose values belong to the place where the broker runs.
const PLACES: [&str; 9] = [
    "advertised.listeners",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "controller.listener.names",
    "listener.security.protocol.map",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
];

/// Fields that identify an element of an array, the ones that decide first.
const KEYS: [&str; 15] = [
    "name",
    "topic",
    "topicId",
    "resourceType",
    "resourceName",
    "partition",
    "partitionIndex",
    "index",
    "apiKey",
    "nodeId",
    "brokerId",
    "logDir",
    "batchIndex",
    "groupId",
    "memberId",
];

/// What one broker's answers have shown so far in one scenario.
#[derive(Debug, Default)]
pub struct Normal {
    topics: HashMap<String, String>,
    ids_of_topic: HashMap<String, usize>,
    producers: HashMap<i64, usize>,
    sessions: HashMap<i64, usize>,
    members: HashMap<String, usize>,
}

impl Normal {
    /// The comparable form of an answer.
    pub fn answer(&mut self, exchange: &Exchange) -> Value {
        let frame = match &exchange.answer {
            Answer::Closed => return json!("closed"),
            Answer::Silent => return json!("silent"),
            Answer::Stray => return json!("an answer to another request"),
            Answer::Reply(frame) => frame,
        };
        let Some(message) = schema::all()
            .iter()
            .find(|m| !m.request && m.name == exchange.api)
        else {
            return json!({"undescribed": hex::encode(frame)});
        };
        // A version of ApiVersions that a broker does not know is answered in version 0.
        let version = match (message.key, message.versions.contain(exchange.version)) {
            (18, false) => 0,
            _ => exchange.version,
        };
        match codec::decode_response(message, version, frame) {
            Ok(mut value) => {
                self.learn(&value);
                self.walk("", &mut value);
                value
            }
            Err(reason) => json!({"undecodable": reason, "frame": hex::encode(frame)}),
        }
    }

    /// The comparable form of a request; null for bytes that are none.
    pub fn request(&mut self, exchange: &Exchange) -> Value {
        let Some(message) = schema::all()
            .iter()
            .find(|m| m.request && m.name == exchange.api)
        else {
            return Value::Null;
        };
        match codec::decode_request(message, exchange.version, &exchange.request) {
            Ok(mut value) => {
                self.walk("", &mut value);
                value
            }
            Err(_) => Value::Null,
        }
    }

    /// Remembers which topic an id belongs to.
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                let text = |name: &str| object.get(name).and_then(Value::as_str);
                if let (Some(id), Some(name)) = (text("topicId"), text("name"))
                    && id.bytes().any(|digit| digit != b'0')
                    && !self.topics.contains_key(id)
                {
                    let seen = self.ids_of_topic.entry(name.to_owned()).or_default();
                    *seen += 1;
                    self.topics
                        .insert(id.to_owned(), format!("<id {seen} of {name}>"));
                }
                object.values().for_each(|value| self.learn(value));
            }
            Value::Array(array) => array.iter().for_each(|value| self.learn(value)),
            _ => {}
        }
    }

    fn walk(&mut self, name: &str, value: &mut Value) {
        if let Some(replacement) = self.replace(name, value) {
            *value = replacement;
            return;
        }
        match value {
            Value::Object(object) => {
                if let Some(setting) = object.get("name").and_then(Value::as_str)
                    && PLACES.contains(&setting)
                    && object.contains_key("configSource")
                {
                    for field in ["value", "synonyms", "configSource"] {
                        object.remove(field);
                    }
                }
                if object.contains_key("crc") {
                    self.forget_bytes(object);
                }
                for (name, value) in object.iter_mut() {
                    self.walk(name, value);
                }
            }
            Value::Array(array) => {
                if name == "apiKeys" {
                    array.retain(|row| {
                        let key = row["apiKey"].as_i64().and_then(|key| key.try_into().ok());
                        key.is_some_and(|key| schema::by_key(key).is_some())
                    });
                }
                array.iter_mut().for_each(|element| self.walk("", element));
                if let Some(object) = by_key(array) {
                    *value = object;
                }
            }
            _ => {}
        }
    }

    /// The word for a field that differs between brokers or runs.
    fn replace(&mut self, name: &str, value: &Value) -> Option<Value> {
        let word = |word: &str| Some(json!(word));
        if let Some(text) = value.as_str() {
            return match name {
                "topicId" => self.topics.get(text).map(|word| json!(word)),
                "clusterId" => word("<cluster>"),
                "errorMessage" | "batchIndexErrorMessage" => word("<text>"),
                "logDir" => word("<directory>"),
                "memberId" | "leader" if !text.is_empty() => {
                    let next = self.members.len();
                    let number = self.members.entry(text.to_owned()).or_insert(next);
                    Some(json!(format!("<member {number}>")))
                }
                "records" if text.len() >= 122 => {
                    let mut batches = json!(records::describe(&hex::decode(text)));
                    self.walk("", &mut batches);
                    Some(batches)
                }
                _ => None,
            };
        }
        let number = value.as_i64()?;
        match name {
            "port" => word("<port>"),
            "sessionId" if number != 0 => {
                let next = self.sessions.len();
                Some(json!(format!(
                    "<session {}>",
                    self.sessions.entry(number).or_insert(next)
                )))
            }
            "producerId" if number >= 0 => {
                let next = self.producers.len();
                Some(json!(format!(
                    "<producer {}>",
                    self.producers.entry(number).or_insert(next)
                )))
            }
            "finalizedFeaturesEpoch" if number >= 0 => word("<epoch>"),
            "totalBytes" | "usableBytes" if number >= 0 => word("<bytes>"),
            "logAppendTimeMs" | "timestamp" | "maxTimestamp" if CLOCK.contains(&number) => {
                word("<now>")
            }
            _ => None,
        }
    }

    fn forget_bytes(&self, batch: &mut Map<String, Value>) {
        let number = |name: &str| batch.get(name).and_then(Value::as_i64).unwrap_or_default();
        let compressed = number("attributes") & 7 != 0;
        let varies = number("producerId") >= 0 || CLOCK.contains(&number("maxTimestamp"));
        if compressed {
            batch.remove("batchLength");
        }
        if compressed || varies {
            batch.remove("crc");
        }
    }
}

/// The elements as an object by their keys; `None` if they have none.
fn by_key(array: &[Value]) -> Option<Value> {
    let mut object = Map::new();
    for element in array {
        let fields = element.as_object()?;
        let named = fields.get("name").is_some_and(Value::is_string);
        let parts: Vec<String> = KEYS
            .iter()
            .filter(|key| !(named && **key == "topicId"))
            .filter_map(|key| fields.get(*key))
            .map(|part| {
                part.as_str()
                    .map_or_else(|| part.to_string(), str::to_owned)
            })
            .collect();
        if parts.is_empty() {
            return None;
        }
        let key = parts.join("/");
        let mut unique = key.clone();
        let mut copies = 1;
        while object.contains_key(&unique) {
            copies += 1;
            unique = format!("{key} ({copies})");
        }
        object.insert(unique, element.clone());
    }
    (!object.is_empty()).then_some(Value::Object(object))
}
