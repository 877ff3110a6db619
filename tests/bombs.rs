//! What small requests can make a broker's memory grow by, measured on a process of its own:
//! batches that decompress to very much, and frames that promise very much.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use klamm::batch::{Codec, Level, compress};

const KLAMM: &str = env!("CARGO_BIN_EXE_klamm");
/// The most that any of it may cost.
const GROWTH_KIB_MAX: u64 = 32 * 1024;
/// What each bomb becomes, where its codec can say so much in a request that is small itself.
const BOMB_BYTES: usize = 900 << 20;
const COMPRESSING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

const NONE: i16 = 0;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_RECORD: i16 = 87;
const CORRUPT_MESSAGE: i16 = 2;

/// `klamm serve` as a process.
struct Served {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Served {
    /// Starts it with at most `descriptors` open files.
    fn start(descriptors: u32) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                "ulimit -n \"$1\"; exec \"$2\" serve --listen 127.0.0.1:0 --data-dir \"$3\"",
                "sh",
                &descriptors.to_string(),
                KLAMM,
                data.path().to_str().unwrap(),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let address = ready.split_once("kafka=").unwrap().1;
        let address = address.split_whitespace().next().unwrap().to_owned();
        Self {
            child,
            address,
            _data: data,
        }
    }

    fn create_topic(&self, name: &str, config: &str) {
        let created = Command::new(KLAMM)
            .args(["topic", "create", name, "-b", &self.address])
            .args(["--config", config])
            .args(["--config", "max.message.bytes=104857600"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{created:?}");
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// Memory of the process in KiB by a field of its status, e.g. its peak (`VmHWM`).
    fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How much the peak lies above what the process held `before`, in KiB.
    fn grown_kib(&self, before: u64) -> u64 {
        self.memory_kib("VmHWM").saturating_sub(before)
    }

    fn assert_alive(&self) {
        let api_versions = request(18, 0, b"");
        assert_eq!(answer(&mut self.connect(), &api_versions)[..2], [0, 0]);
    }

    /// The error code for a batch.
    fn produce(&self, topic: &str, batch: &[u8]) -> i16 {
        let mut body = (-1_i16).to_be_bytes().to_vec();
        body.extend(1_i16.to_be_bytes());
        body.extend(30_000_i32.to_be_bytes());
        body.extend(partition_zero(topic));
        body.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
        body.extend(batch);
        let answer = answer(&mut self.connect(), &request(0, 7, &body));
        let at = before_error(topic);
        i16::from_be_bytes(answer[at..at + 2].try_into().unwrap())
    }

    /// Error code and offset of the first record that is as late as `timestamp`.
    fn offset_at(&self, topic: &str, timestamp: i64) -> (i16, i64) {
        let mut body = (-1_i32).to_be_bytes().to_vec();
        body.extend(partition_zero(topic));
        body.extend(timestamp.to_be_bytes());
        let answer = answer(&mut self.connect(), &request(2, 1, &body));
        let at = before_error(topic);
        (
            i16::from_be_bytes(answer[at..at + 2].try_into().unwrap()),
            i64::from_be_bytes(answer[at + 10..at + 18].try_into().unwrap()),
        )
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One topic with its partition 0, in the form of requests without compact fields.
fn partition_zero(topic: &str) -> Vec<u8> {
    let mut bytes = 1_i32.to_be_bytes().to_vec();
    bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    bytes.extend(topic.as_bytes());
    bytes.extend(1_i32.to_be_bytes());
    bytes.extend(0_i32.to_be_bytes());
    bytes
}

/// Bytes before the error code of the first partition in an answer.
fn before_error(topic: &str) -> usize {
    4 + 2 + topic.len() + 4 + 4
}

fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 18);
    frame.extend(i32::try_from(body.len() + 14).unwrap().to_be_bytes());
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend(4_i16.to_be_bytes());
    frame.extend(b"test");
    frame.extend(body);
    frame
}

/// What is answered, behind the correlation id.
fn answer(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer.split_off(4)
}

fn zigzag(out: &mut Vec<u8>, value: usize) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A batch of one record at timestamp 0 whose value is `size` zeros, about.
fn bomb(codec: Codec, size: usize) -> Vec<u8> {
    // Attributes, timestamp delta, offset delta, key "k".
    let mut fields = vec![0, 0, 0, 2, b'k'];
    zigzag(&mut fields, size);
    let mut head = Vec::new();
    zigzag(&mut head, fields.len() + size + 1);
    head.extend(fields);
    match codec {
        Codec::Gzip => {
            // Members may follow each other, which is quicker than to compress it all.
            let part = size / 20;
            let mut zeros = vec![0; part + size % 20 + 1];
            let mut payload = compress(codec, Level::Default, &head).unwrap();
            payload.extend(compress(codec, Level::Default, &zeros).unwrap());
            zeros.truncate(part);
            let member = compress(codec, Level::Default, &zeros).unwrap();
            (1..20).for_each(|_| payload.extend(&member));
            batch(codec, &payload)
        }
        Codec::None | Codec::Snappy | Codec::Lz4 | Codec::Zstd => {
            let mut zeros = vec![0; head.len() + size + 1];
            zeros[..head.len()].copy_from_slice(&head);
            batch(codec, &compress(codec, Level::Default, &zeros).unwrap())
        }
    }
}

/// One raw block of snappy, as dense as the format allows: it must be decoded as a whole.
fn dense_snappy(len: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let copies = len / 64;
    let mut rest = copies * 64 + 1;
    while rest >= 0x80 {
        payload.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    payload.push(rest as u8);
    // A literal of one byte, then 64 bytes from one byte back, again and again.
    payload.extend([0, 0]);
    payload.extend([0xfe, 1, 0].repeat(copies));
    batch(Codec::Snappy, &payload)
}

fn batch(codec: Codec, payload: &[u8]) -> Vec<u8> {
    let mut signed = codec.id().to_be_bytes().to_vec();
    signed.extend(0_i32.to_be_bytes()); // last offset delta
    signed.extend(0_i64.to_be_bytes()); // base timestamp
    signed.extend(0_i64.to_be_bytes()); // largest timestamp
    signed.extend((-1_i64).to_be_bytes()); // producer id
    signed.extend((-1_i16).to_be_bytes()); // producer epoch
    signed.extend((-1_i32).to_be_bytes()); // base sequence
    signed.extend(1_i32.to_be_bytes()); // records
    signed.extend(payload);
    let mut batch = 0_i64.to_be_bytes().to_vec();
    batch.extend(i32::try_from(signed.len() + 9).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2);
    batch.extend(crc32c::crc32c(&signed).to_be_bytes());
    batch.extend(signed);
    batch
}

/// The bombs, small enough for the request itself not to matter. Snappy cannot pack more than 21
/// times, so its bombs are what a request of 1 MiB can hold, and what is decoded as a whole.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let mut widest = bomb(Codec::Zstd, BOMB_BYTES);
    // The window descriptor: 128 MiB, the most that is decoded.
    assert_eq!(widest[61 + 4] & 0x20, 0, "a frame with a window");
    widest[61 + 5] = (27 - 10) << 3;
    let widest = batch(Codec::Zstd, &widest[61..]);
    vec![
        ("gzip", bomb(Codec::Gzip, BOMB_BYTES)),
        ("snappy", bomb(Codec::Snappy, 20 << 20)),
        ("snappy in one block", dense_snappy(7 << 20)),
        ("lz4", bomb(Codec::Lz4, BOMB_BYTES)),
        ("zstd", bomb(Codec::Zstd, BOMB_BYTES)),
        ("zstd with the widest window", widest),
    ]
}

#[test]
fn bombs_and_promises_do_not_grow_the_broker() {
    let broker = Served::start(4096);
    broker.create_topic("compacted", "cleanup.policy=compact");
    for codec in COMPRESSING {
        let config = format!("compression.type={}", codec.name());
        broker.create_topic(&format!("as-{}", codec.name()), &config);
    }
    broker.create_topic("plain", "compression.type=producer");
    broker.assert_alive();
    let before = broker.memory_kib("VmRSS");

    for (stored, (name, bomb)) in (0_i64..).zip(bombs()) {
        println!("{name}: {} bytes", bomb.len());
        let refused = [MESSAGE_TOO_LARGE, INVALID_RECORD, CORRUPT_MESSAGE];
        let mut topics = vec!["compacted", "as-gzip", "as-lz4"];
        if !name.starts_with("zstd") {
            topics.push("as-zstd");
        }
        for topic in topics {
            if topic.ends_with(name) {
                continue;
            }
            let code = broker.produce(topic, &bomb);
            println!("  {topic}: {code}, grown {} KiB", broker.grown_kib(before));
            assert!(refused.contains(&code), "{name} to {topic}: {code}");
        }
        // Here it need not be looked into, until somebody asks for a time.
        assert_eq!(broker.produce("plain", &bomb), NONE, "{name}");
        assert_eq!(broker.offset_at("plain", 1), (NONE, -1), "{name}");
        let (code, _) = broker.offset_at("plain", 0);
        assert_eq!(code, NONE, "{name}");
        println!("  plain {stored}: grown {} KiB", broker.grown_kib(before));
        broker.assert_alive();
    }

    let mut promising: Vec<_> = (0..1000).map(|_| broker.connect()).collect();
    for stream in &mut promising {
        stream.write_all(&104_857_600_i32.to_be_bytes()).unwrap();
    }
    broker.assert_alive();
    std::thread::sleep(Duration::from_millis(300));
    let grown = broker.grown_kib(before);
    println!("with 1,000 promises: grown {grown} KiB");
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
}

#[test]
fn a_broker_without_descriptors_left_accepts_again_when_it_has_some() {
    let broker = Served::start(96);
    broker.assert_alive();
    // More than it can have; the rest wait in the system's queue.
    let crowd: Vec<_> = (0..120).map(|_| broker.connect()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let mut late = broker.connect();
    late.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    late.write_all(&request(18, 0, b"")).unwrap();
    assert!(late.read(&mut [0; 1]).is_err(), "nothing is left for it");
    drop(crowd);
    late.set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut length = [0; 4];
    late.read_exact(&mut length).unwrap();
    broker.assert_alive();
}
