//! A conversation with a broker: connections, frames, and what was said on them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::recording::{Answer, Exchange};
use crate::{codec, schema};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection of a [`Session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection(usize);

/// How long a broker may take until it has read what was sent.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(50);

/// A request that is not answered yet.
#[derive(Debug)]
pub struct Sent {
    on: Connection,
    api: &'static str,
    version: i16,
    frame: Vec<u8>,
}

/// Sends a scenario's requests and keeps every exchange.
#[derive(Debug)]
pub struct Session {
    address: String,
    connections: Vec<Option<TcpStream>>,
    correlation: i32,
    case: String,
    exchanges: Vec<Exchange>,
    topics: Vec<String>,
    pause: Duration,
}

impl Session {
    /// Talks to the broker at `address`. `pause` is what [`Session::settle`] waits: Kafka answers
    /// before its own caches know of a change.
    #[must_use]
    pub fn new(address: &str, pause: Duration) -> Self {
        Self {
            address: address.to_owned(),
            connections: vec![None],
            correlation: 0,
            case: String::new(),
            exchanges: Vec::new(),
            topics: Vec::new(),
            pause,
        }
    }

    /// The connection that [`Session::ask`] uses; opened again when it was closed.
    pub const DEFAULT: Connection = Connection(0);

    /// Another connection.
    pub fn connect(&mut self) -> Connection {
        self.connections.push(None);
        Connection(self.connections.len() - 1)
    }

    /// Names what the following requests are about.
    pub fn case(&mut self, case: impl Into<String>) {
        self.case = case.into();
    }

    /// Sends a request on the default connection; null when the connection was closed.
    pub fn ask(&mut self, api: &str, version: i16, body: Value) -> Value {
        self.ask_on(Self::DEFAULT, api, version, body)
    }

    /// Sends a request; null when the connection was closed.
    pub fn ask_on(&mut self, on: Connection, api: &str, version: i16, body: Value) -> Value {
        let frame = self.frame(api, version, &body);
        let answer = self.exchange(on, &frame);
        let value = self.decoded(api, version, &answer);
        self.keep(api, version, frame, answer);
        value
    }

    /// Sends a request whose answer is waited for by others first: [`Session::receive`] takes it.
    pub fn send(&mut self, on: Connection, api: &'static str, version: i16, body: Value) -> Sent {
        let frame = self.frame(api, version, &body);
        self.write(on, &framed(&frame));
        // So that brokers see what is sent on several connections in the order of the scenario.
        std::thread::sleep(BETWEEN_CONNECTIONS);
        Sent {
            on,
            api,
            version,
            frame,
        }
    }

    /// Reads the answer to what was sent; null when the connection was closed.
    pub fn receive(&mut self, sent: Sent) -> Value {
        let answer = self.read(sent.on, &sent.frame);
        let value = self.decoded(sent.api, sent.version, &answer);
        self.keep(sent.api, sent.version, sent.frame, answer);
        value
    }

    /// Waits until the broker coordinates groups.
    pub fn coordinate_groups(&mut self) {
        let body = json!({"key": "warm-up", "keyType": 0});
        self.poll("FindCoordinator", 3, &body, |answer| {
            answer["errorCode"] == 0
        });
        // Of a group that does not exist nobody is a member, once it is known not to exist.
        for group in 0..200 {
            let body = json!({"groupId": format!("warm-up-{group}"), "memberId": "nobody"});
            self.poll("Heartbeat", 3, &body, |answer| answer["errorCode"] == 25);
        }
    }

    /// Sends a request that is not answered. That it was not shows at the next answer.
    pub fn tell(&mut self, api: &str, version: i16, body: Value) {
        let frame = self.frame(api, version, &body);
        let sent = self.write(Self::DEFAULT, &framed(&frame));
        let answer = if sent { Answer::Silent } else { Answer::Closed };
        self.keep(api, version, frame, answer);
    }

    /// Sends requests all at once, then reads the answers, which have to come in the same order.
    pub fn ask_together(&mut self, requests: &[(&str, i16, Value)]) {
        let frames: Vec<_> = requests
            .iter()
            .map(|(api, version, body)| self.frame(api, *version, body))
            .collect();
        let all: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        self.write(Self::DEFAULT, &all);
        for ((api, version, _), frame) in requests.iter().zip(frames) {
            let answer = self.read(Self::DEFAULT, &frame);
            self.keep(api, *version, frame, answer);
        }
    }

    /// Sends a frame as it is. The answer is recorded under `api` and `version`.
    pub fn ask_raw(&mut self, api: &str, version: i16, frame: Vec<u8>) {
        let answer = self.exchange(Self::DEFAULT, &frame);
        self.keep(api, version, frame, answer);
    }

    /// Sends bytes that are no frame, such as a length that lies, and looks what comes.
    pub fn ask_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        self.connections[0] = None;
        self.write(Self::DEFAULT, &bytes);
        let answer = self.read(Self::DEFAULT, &bytes);
        self.keep(name, -1, bytes, answer);
        self.connections[0] = None;
    }

    /// A header and then these bytes in place of a body.
    pub fn frame_with_body(&mut self, api: &str, version: i16, body: &[u8]) -> Vec<u8> {
        self.correlation += 1;
        let message = schema::request(api);
        let mut frame = codec::header(message.key, version, self.correlation);
        if message.flexible.contain(version) {
            frame.push(0);
        }
        frame.extend(body);
        frame
    }

    /// The frame of a request.
    pub fn frame(&mut self, api: &str, version: i16, body: &Value) -> Vec<u8> {
        self.correlation += 1;
        codec::request_frame(schema::request(api), version, self.correlation, body)
    }

    /// Waits until what was changed can be seen.
    pub fn settle(&self) {
        std::thread::sleep(self.pause);
    }

    /// Creates a topic that keeps its records, waits until it has leaders, and gives its id. It is
    /// deleted when the scenario is over.
    pub fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> String {
        self.topics.push(name.to_owned());
        let mut configs: Vec<Value> = configs
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        configs.push(json!({"name": "retention.ms", "value": "-1"}));
        let topic = json!({
            "name": name, "numPartitions": partitions, "replicationFactor": 1, "configs": configs
        });
        let case = std::mem::replace(&mut self.case, format!("set up {name}"));
        let made = self.ask(
            "CreateTopics",
            7,
            json!({"topics": [topic], "timeoutMs": 10_000}),
        );
        self.case = case;
        let id = made["topics"][0]["topicId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.wait_for(name, |topic| {
            let partitions = topic["partitions"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            !partitions.is_empty() && partitions.iter().all(|one| one["leaderId"] != -1)
        });
        // Kafka tells of a leader before the leader knows of its log.
        let all: Vec<Value> = (0..partitions)
            .map(|index| json!({"partitionIndex": index, "timestamp": -2}))
            .collect();
        let body = json!({"replicaId": -1, "topics": [{"name": name, "partitions": all}]});
        self.poll("ListOffsets", 5, &body, |answer| {
            let partitions = answer["topics"][0]["partitions"].as_array();
            partitions.is_some_and(|all| all.iter().all(|one| one["errorCode"] == 0))
        });
        id
    }

    /// Waits until the broker gives out producer ids.
    pub fn warm_up(&mut self) {
        let body = json!({"transactionalId": null, "transactionTimeoutMs": 60_000});
        self.poll("InitProducerId", 4, &body, |answer| {
            answer["errorCode"] == 0
        });
    }

    /// Has this topic deleted when the scenario is over.
    pub fn forget_later(&mut self, name: &str) {
        self.topics.push(name.to_owned());
    }

    /// Appends to partition 0 of a topic beside the record.
    pub fn append(&mut self, topic: &str, batch: &crate::records::Batch) {
        let partition = json!({"index": 0, "records": batch.json()});
        let body = json!({
            "acks": -1, "timeoutMs": 10_000,
            "topicData": [{"name": topic, "partitionData": [partition]}]
        });
        self.aside("Produce", 9, body);
    }

    /// Deletes the scenario's topics and gives what was said.
    #[must_use]
    pub fn finish(mut self) -> Vec<Exchange> {
        for name in std::mem::take(&mut self.topics) {
            let body = json!({"topics": [{"name": name}], "timeoutMs": 10_000});
            self.aside("DeleteTopics", 6, body);
            self.wait_for(&name, |topic| topic["errorCode"] == 3);
        }
        self.exchanges
    }

    fn wait_for(&mut self, topic: &str, ready: impl Fn(&Value) -> bool) {
        let body = json!({"topics": [{"name": topic}], "allowAutoTopicCreation": false});
        self.poll("Metadata", 12, &body, |answer| ready(&answer["topics"][0]));
    }

    fn poll(&mut self, api: &str, version: i16, body: &Value, ready: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready(&self.aside(api, version, body.clone())) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks on a connection of its own, beside the record.
    pub fn aside(&mut self, api: &str, version: i16, body: Value) -> Value {
        let on = self.connect();
        // Not counted, so that the number of polls does not show in what is recorded.
        let frame = codec::request_frame(schema::request(api), version, i32::MAX, &body);
        let answer = self.exchange(on, &frame);
        self.connections.pop();
        self.decoded(api, version, &answer)
    }

    fn decoded(&self, api: &str, version: i16, answer: &Answer) -> Value {
        match answer {
            Answer::Reply(frame) => {
                codec::decode_response(schema::response(api), version, frame).unwrap_or_default()
            }
            Answer::Closed | Answer::Silent | Answer::Stray => Value::Null,
        }
    }

    fn keep(&mut self, api: &str, version: i16, request: Vec<u8>, answer: Answer) {
        let case = self.case.clone();
        self.exchanges.push(Exchange {
            case,
            api: api.to_owned(),
            version,
            request,
            answer,
        });
    }

    fn exchange(&mut self, on: Connection, frame: &[u8]) -> Answer {
        if !self.write(on, &framed(frame)) {
            return Answer::Closed;
        }
        self.read(on, frame)
    }

    fn write(&mut self, on: Connection, bytes: &[u8]) -> bool {
        let slot = &mut self.connections[on.0];
        if slot.is_none() {
            let stream = TcpStream::connect(&self.address).expect("the broker listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            stream.set_nodelay(true).expect("no delay");
            *slot = Some(stream);
        }
        let sent = slot
            .as_mut()
            .is_some_and(|stream| stream.write_all(bytes).is_ok());
        if !sent {
            *slot = None;
        }
        sent
    }

    fn read(&mut self, on: Connection, request: &[u8]) -> Answer {
        let slot = &mut self.connections[on.0];
        let Some(stream) = slot.as_mut() else {
            return Answer::Closed;
        };
        match read_frame(stream) {
            Ok(frame) if frame.get(..4) == request.get(4..8) => Answer::Reply(frame),
            Ok(_) => {
                *slot = None;
                Answer::Stray
            }
            Err(error) => {
                *slot = None;
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                    Answer::Silent
                } else {
                    Answer::Closed
                }
            }
        }
    }
}

/// A frame behind its length.
#[must_use]
pub fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len())
        .expect("a small frame")
        .to_be_bytes()
        .to_vec();
    bytes.extend(frame);
    bytes
}

/// Reads one frame behind its length.
///
/// # Errors
/// As the stream does.
pub fn read_frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}
