//! Recorded exchanges: one file of JSON lines per scenario, the first line saying which broker
//! answered.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::hex;

/// The version of Apache Kafka whose answers are recorded.
pub const KAFKA: &str = "4.1.2";

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A frame, from the correlation id on.
    Reply(Vec<u8>),
    /// The connection was closed.
    Closed,
    /// Nothing, and the connection stayed open.
    Silent,
    /// A frame for another request.
    Stray,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What it is about.
    pub case: String,
    /// Name of the API, or of what was sent in place of a request.
    pub api: String,
    /// Version of the request, -1 for bytes that are no request.
    pub version: i16,
    /// The frame that was sent, from the API key on.
    pub request: Vec<u8>,
    /// What came back.
    pub answer: Answer,
}

/// Where the answers of Apache Kafka lie.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("oracle")
        .join(KAFKA)
}

/// Writes a scenario's exchanges.
///
/// # Errors
/// As the file system does.
pub fn write(directory: &Path, scenario: &str, exchanges: &[Exchange]) -> std::io::Result<()> {
    let mut text = json!({"apache_kafka": KAFKA, "scenario": scenario}).to_string() + "\n";
    for exchange in exchanges {
        let answer = match &exchange.answer {
            Answer::Reply(frame) => hex::encode(frame),
            Answer::Closed => "closed".to_owned(),
            Answer::Silent => "silent".to_owned(),
            Answer::Stray => "stray".to_owned(),
        };
        let line = json!({
            "case": exchange.case, "api": exchange.api, "version": exchange.version,
            "request": hex::encode(&exchange.request), "answer": answer,
        });
        text += &(line.to_string() + "\n");
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join(format!("{scenario}.jsonl")), text)
}

/// Reads a scenario's exchanges.
///
/// # Panics
/// If the file is missing or not what [`write()`] wrote.
#[must_use]
pub fn read(directory: &Path, scenario: &str) -> Vec<Exchange> {
    let path = directory.join(format!("{scenario}.jsonl"));
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; record it first", path.display()));
    text.lines().skip(1).map(exchange).collect()
}

fn exchange(line: &str) -> Exchange {
    let line: Value = serde_json::from_str(line).expect("a line of JSON");
    let text = |name: &str| line[name].as_str().expect("a string").to_owned();
    Exchange {
        case: text("case"),
        api: text("api"),
        version: line["version"]
            .as_i64()
            .and_then(|v| v.try_into().ok())
            .expect("a version"),
        request: hex::decode(&text("request")),
        answer: match text("answer").as_str() {
            "closed" => Answer::Closed,
            "silent" => Answer::Silent,
            "stray" => Answer::Stray,
            frame => Answer::Reply(hex::decode(frame)),
        },
    }
}
