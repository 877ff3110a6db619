//! Requests as real clients sent them to Apache Kafka (`oracle/clients/`, one file per client, made by
//! `compat proxy`): our layouts read them and write them back byte for byte, they read Kafka's
//! answers, and Klamm answers every one.

use std::time::Duration;

use compat_tests::session::Session;
use compat_tests::{codec, hex, klamm_like_kafka, schema};
use serde_json::Value;

struct Frame {
    what: String,
    api: String,
    version: i16,
    request: Vec<u8>,
    answer: Vec<u8>,
}

fn frames() -> Vec<Frame> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/clients");
    let mut frames = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the captures") {
        let path = entry.expect("an entry").path();
        let client = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        for line in std::fs::read_to_string(&path).expect("a capture").lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |name: &str| line[name].as_str().expect("a string").to_owned();
            let (api, version) = (text("api"), line["version"].as_i64().expect("a version"));
            frames.push(Frame {
                what: format!("{client}: {api} v{version}"),
                version: version.try_into().expect("a version"),
                request: hex::decode(&text("request")),
                answer: hex::decode(&text("answer")),
                api,
            });
        }
    }
    assert!(frames.len() > 50);
    frames
}

#[test]
fn frames_of_real_clients_are_read_and_written_as_they_are() {
    for frame in frames() {
        let message = schema::request(&frame.api);
        let body = codec::decode_request(message, frame.version, &frame.request)
            .unwrap_or_else(|reason| panic!("{}: {reason}", frame.what));
        let mut again = Vec::new();
        codec::encode(message, frame.version, &body, &mut again);
        // Clients may leave out tagged fields that have their default.
        let plain = !format!("{:?}", message.fields).contains("tag: Some");
        if plain {
            assert!(frame.request.ends_with(&again), "{}", frame.what);
        }
        let version = if frame.api == "ApiVersions" && frame.answer.get(4..6) == Some(&[0, 35]) {
            0
        } else {
            frame.version
        };
        codec::decode_response(schema::response(&frame.api), version, &frame.answer)
            .unwrap_or_else(|reason| panic!("{}, Kafka's answer: {reason}", frame.what));
    }
}

#[test]
fn requests_of_real_clients_are_answered() {
    let broker = klamm_like_kafka();
    let mut session = Session::new(&broker.address(), Duration::ZERO);
    for frame in frames() {
        session.case(&frame.what);
        session.ask_raw(&frame.api, frame.version, frame.request);
    }
    for exchange in session.finish() {
        let compat_tests::recording::Answer::Reply(answer) = &exchange.answer else {
            panic!("{}: {:?}", exchange.case, exchange.answer);
        };
        codec::decode_response(schema::response(&exchange.api), exchange.version, answer)
            .unwrap_or_else(|reason| panic!("{}: {reason}", exchange.case));
    }
}
