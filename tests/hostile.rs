//! What a broker answers to malformed input: the connection that sent it is closed without an
//! answer, an answer is given where Kafka gives one, and nobody else notices.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use klamm::Broker;
use klamm::kafka::hostile::{self, Style};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const PRODUCE: i16 = 0;

struct Running {
    runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
    address: SocketAddr,
}

fn running(settings: &[(&str, &str)]) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let builder = Broker::builder()
        .memory()
        .set("auto.create.topics.enable", "false");
    let builder = settings
        .iter()
        .fold(builder, |builder, (key, value)| builder.set(key, value));
    let broker = runtime.block_on(builder.start()).unwrap();
    let address = broker.address();
    Running {
        runtime,
        broker: Some(broker),
        address,
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop()).unwrap();
        }
    }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends raw bytes on a connection of their own and says what came back until the broker
    /// closed; `Err` if it did not.
    fn answer_until_close(&self, bytes: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let mut stream = self.connect();
        stream
            .set_read_timeout(Some(Duration::from_secs(3)))
            .unwrap();
        // The broker may have closed before everything is sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => Ok(answer),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(answer),
            Err(_) => Err(answer),
        }
    }

    fn assert_closes(&self, case: &str, bytes: &[u8]) {
        assert_eq!(self.answer_until_close(bytes), Ok(Vec::new()), "{case}");
    }

    fn assert_alive(&self) {
        let mut stream = self.connect();
        send(&mut stream, &request(API_VERSIONS, 0, 1, b""));
        assert_eq!(receive(&mut stream).0, 1);
    }
}

/// A frame with its length.
fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

/// Header v1 and a body; for flexible versions the body begins with the header's tagged fields.
fn request(key: i16, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = key.to_be_bytes().to_vec();
    frame.extend(version.to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend(4i16.to_be_bytes());
    frame.extend(b"test");
    frame.extend(body);
    frame
}

fn send(stream: &mut TcpStream, frame: &[u8]) {
    stream.write_all(&framed(frame)).unwrap();
}

/// Correlation id and what follows it.
fn receive(stream: &mut TcpStream) -> (i32, Vec<u8>) {
    let mut head = [0; 8];
    stream.read_exact(&mut head).unwrap();
    let [a, b, c, d, id @ ..] = head;
    let length = i32::from_be_bytes([a, b, c, d]);
    let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut rest).unwrap();
    (i32::from_be_bytes(id), rest)
}

/// Produce v3 to partition 0 of a topic, with these bytes as records.
fn produce(id: i32, acks: i16, topic: &str, records: &[u8]) -> Vec<u8> {
    let mut body = (-1i16).to_be_bytes().to_vec();
    body.extend(acks.to_be_bytes());
    body.extend(1000i32.to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend(i32::try_from(records.len()).unwrap().to_be_bytes());
    body.extend(records);
    request(PRODUCE, 3, id, &body)
}

#[test]
fn a_length_that_no_frame_may_have_closes_the_connection() {
    let broker = running(&[]);
    for length in [-1, i32::MIN, 104_857_601, i32::MAX] {
        broker.assert_closes(&format!("length {length}"), &length.to_be_bytes());
    }
    broker.assert_alive();
}

#[test]
fn a_frame_that_is_shorter_than_its_header_closes_the_connection() {
    let broker = running(&[]);
    let whole = request(METADATA, 12, 1, b"\0");
    for length in 0..whole.len() {
        let frame = framed(whole.get(..length).unwrap());
        broker.assert_closes(&format!("{length} bytes"), &frame);
    }
    broker.assert_alive();
}

#[test]
fn an_api_that_is_not_served_closes_the_connection() {
    let broker = running(&[]);
    let served: Vec<i16> = hostile::apis().map(|(key, _)| key).collect();
    for key in (-2..=95)
        .chain([i16::MIN, i16::MAX])
        .filter(|key| !served.contains(key))
    {
        broker.assert_closes(
            &format!("key {key}"),
            &framed(&request(key, 0, 1, &[0; 64])),
        );
    }
    broker.assert_alive();
}

#[test]
fn a_version_that_is_not_served_closes_the_connection() {
    let broker = running(&[]);
    for (key, versions) in hostile::apis().filter(|(key, _)| *key != API_VERSIONS) {
        let outside = [
            i16::MIN,
            -1,
            versions.start() - 1,
            versions.end() + 1,
            i16::MAX,
        ];
        for version in outside {
            let case = format!("key {key} version {version}");
            broker.assert_closes(&case, &framed(&request(key, version, 1, &[0; 64])));
        }
    }
    broker.assert_alive();
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = running(&[]);
    let mut stream = broker.connect();
    for (id, version) in [(1, 5), (2, -1), (3, i16::MAX), (4, i16::MIN)] {
        // Whatever the body is: nobody can know how to read it. Header v2 belongs to 3 and above.
        send(
            &mut stream,
            &request(API_VERSIONS, version, id, b"\0garbage"),
        );
        let expected = b"\0\x23\0\0\0\x01\0\x12\0\0\0\x04".to_vec();
        assert_eq!(receive(&mut stream), (id, expected), "version {version}");
    }
}

#[test]
fn a_strange_client_name_is_an_invalid_request() {
    let broker = running(&[]);
    let mut stream = broker.connect();
    for (id, version) in [(1, 3), (2, 4)] {
        send(
            &mut stream,
            &request(API_VERSIONS, version, id, b"\0\x02_\x02b\0"),
        );
        // Error 42, no keys, no throttle time, no tagged fields.
        let expected = b"\0\x2a\x01\0\0\0\0\0".to_vec();
        assert_eq!(receive(&mut stream), (id, expected), "version {version}");
    }
}

#[test]
fn a_body_that_is_cut_short_closes_the_connection() {
    let broker = running(&[]);
    for (key, versions) in hostile::apis() {
        for version in versions {
            let sample = hostile::frame(key, version, Style::Full(1), 1).unwrap();
            let whole = sample.body.len();
            // The header of these samples takes 14 or 15 bytes.
            for length in [15, whole / 2, whole - 1] {
                let Some(frame) = sample.body.get(..length.min(whole - 1)) else {
                    continue;
                };
                if length > 14 && whole > 15 {
                    let case = format!("key {key} version {version}, {length} of {whole} bytes");
                    broker.assert_closes(&case, &framed(frame));
                }
            }
        }
    }
    broker.assert_alive();
}

#[test]
fn a_lie_about_a_length_closes_the_connection() {
    let broker = running(&[]);
    let cases: [(&str, Vec<u8>); 7] = [
        ("client id", b"\0\x03\0\x01\0\0\0\x01\x7f\xffab".to_vec()),
        (
            "tagged fields of the header",
            request(METADATA, 12, 1, b"\xff\xff\xff\xff\x0f\x01\x01"),
        ),
        ("topics", request(METADATA, 1, 1, b"\x7f\xff\xff\xff\0")),
        (
            "null topics of version 0",
            request(METADATA, 0, 1, b"\xff\xff\xff\xff"),
        ),
        (
            "compact topics",
            request(METADATA, 12, 1, b"\0\xff\xff\xff\xff\x0f\x01\0\0"),
        ),
        (
            "a varint without an end",
            request(METADATA, 12, 1, b"\0\xff\xff\xff\xff\xff\x01\0\0"),
        ),
        (
            "null topic name",
            request(METADATA, 1, 1, b"\0\0\0\x01\xff\xff"),
        ),
    ];
    for (case, frame) in cases {
        broker.assert_closes(case, &framed(&frame));
    }
    broker.assert_alive();
}

#[test]
fn what_kafka_reads_kindly_is_answered() {
    let broker = running(&[]);
    let mut stream = broker.connect();
    // A count of -2 is null: all topics, of which there are none.
    send(&mut stream, &request(METADATA, 1, 1, b"\xff\xff\xff\xff"));
    let all = receive(&mut stream).1;
    send(&mut stream, &request(METADATA, 1, 2, b"\xff\xff\xff\xfe"));
    assert_eq!(receive(&mut stream), (2, all));
    // A name that is not UTF-8 is an illegal name, INVALID_TOPIC_EXCEPTION.
    send(
        &mut stream,
        &request(METADATA, 1, 3, b"\0\0\0\x01\0\x02\xff\xfe"),
    );
    let (id, body) = receive(&mut stream);
    assert_eq!(id, 3);
    assert!(body.ends_with(b"\0\x11\0\x02??\0\0\0\0\0"), "{body:x?}");
}

#[test]
fn bytes_after_a_request_are_ignored() {
    let broker = running(&[]);
    let mut stream = broker.connect();
    send(&mut stream, &request(METADATA, 1, 1, b"\0\0\0\0"));
    let plain = receive(&mut stream).1;
    send(&mut stream, &request(METADATA, 1, 2, b"\0\0\0\0and more"));
    assert_eq!(receive(&mut stream), (2, plain));
}

#[test]
fn what_came_before_a_bad_request_is_answered() {
    let broker = running(&[]);
    let mut bytes = framed(&produce(1, -1, "absent", b""));
    bytes.extend(framed(&request(METADATA, 1, 2, b"\0\0\0\0")));
    bytes.extend(framed(&request(93, 0, 3, b"")));
    bytes.extend(framed(&request(METADATA, 1, 4, b"\0\0\0\0")));
    let answer = broker.answer_until_close(&bytes).unwrap();
    let mut ids = Vec::new();
    let mut rest = &answer[..];
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, id @ ..] = *head;
        ids.push(i32::from_be_bytes(id));
        rest = &after[usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap() - 4..];
    }
    assert_eq!(ids, [1, 2]);
}

#[test]
fn answers_come_in_the_order_of_requests() {
    let broker = running(&[]);
    let mut stream = broker.connect();
    let mut bytes = Vec::new();
    for id in 0..300 {
        bytes.extend(framed(&match id % 3 {
            0 => produce(id, -1, "absent", b""),
            1 => produce(id, 1, "absent", b""),
            _ => request(API_VERSIONS, 0, id, b""),
        }));
    }
    stream.write_all(&bytes).unwrap();
    for id in 0..300 {
        assert_eq!(receive(&mut stream).0, id);
    }
}

#[test]
fn a_large_request_behind_a_waiting_one_is_received_after_its_answer() {
    let broker = running(&[]);
    let mut stream = broker.connect();
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        // Fetch v4 of nothing: 300 ms, at least 1 byte. Then a long Produce.
        let mut fetch = (-1i32).to_be_bytes().to_vec();
        fetch.extend(300i32.to_be_bytes());
        fetch.extend(1i32.to_be_bytes());
        fetch.extend(1_000_000i32.to_be_bytes());
        fetch.push(0);
        fetch.extend(0i32.to_be_bytes());
        send(&mut sender, &request(1, 4, 1, &fetch));
        send(&mut sender, &produce(2, -1, "absent", &[0; 3_000_000]));
        send(&mut sender, &request(API_VERSIONS, 0, 3, b""));
    });
    for id in 1..=3 {
        assert_eq!(receive(&mut stream).0, id);
    }
    sending.join().unwrap();
}

#[test]
fn produce_without_an_answer_closes_where_an_error_would_be_lost() {
    let broker = running(&[]);
    broker.assert_closes("acks=0 to no topic", &framed(&produce(1, 0, "absent", b"")));
    let mut stream = broker.connect();
    send(&mut stream, &produce(2, 5, "absent", b""));
    let (id, body) = receive(&mut stream);
    assert_eq!(id, 2);
    // One topic of that name with one partition, index 0; then its error.
    let error = body
        .get(4 + 2 + 6 + 4 + 4..)
        .and_then(|rest| rest.first_chunk().copied());
    assert!(
        error.is_some_and(|error| i16::from_be_bytes(error) != 0),
        "{body:?}"
    );
    broker.assert_alive();
}

#[test]
fn a_long_frame_is_for_produce_alone() {
    let broker = running(&[]);
    let announced = (9 * 1024 * 1024i32).to_be_bytes();
    for key in [METADATA, API_VERSIONS, 1, 93] {
        let mut bytes = announced.to_vec();
        bytes.extend(request(key, 1, 1, &[0; 100]));
        broker.assert_closes(&format!("9 MiB of key {key}"), &bytes);
    }
    let mut stream = broker.connect();
    stream.write_all(&announced).unwrap();
    stream
        .write_all(&request(PRODUCE, 3, 1, &[0; 100]))
        .unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "still open");
}

#[test]
fn a_half_sent_frame_times_out_and_hurts_nobody() {
    let broker = running(&[("klamm.frame.timeout.ms", "300")]);
    let start = Instant::now();
    for half in [&b"\0"[..], b"\0\0\x01\0", b"\0\0\x01\0\0\x03\0\x01"] {
        broker.assert_closes(&format!("{half:?}"), half);
    }
    assert!(start.elapsed() > Duration::from_millis(800));
    broker.assert_alive();
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_announcements_of_100_mib_cost_at_most_32_mib() {
    let broker = running(&[]);
    broker.assert_alive();
    let resident_kib = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = resident_kib();
    let mut streams: Vec<_> = (0..1000).map(|_| broker.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&104_857_600i32.to_be_bytes()).unwrap();
    }
    broker.assert_alive();
    std::thread::sleep(Duration::from_millis(300));
    let grown = resident_kib().saturating_sub(before);
    println!("1,000 connections: {grown} KiB");
    assert!(grown < 32 * 1024, "{grown} KiB");
}
