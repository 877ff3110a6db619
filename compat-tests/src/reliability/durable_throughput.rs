//! Durable throughput: the broker in `fsync` mode against a bare [group commit](GroupCommit) on
//! the same disk.
//!
//! Rows of 1, 16 and 256 producers, each with a partition, a connection and one batch in flight:
//! the next is sent when the last is acknowledged (`acks=all`), so what is measured is the way of
//! a batch to the disk and back, many of them at a time. A batch has 15 records of 1 KiB, what
//! fits into the 16 KiB of the Java client's `batch.size`, encoded once. Both sides get the same
//! frames from the same threads. They take turns, a pair of short runs after the other, in changing
//! order, so that what else happens on the machine happens to both; the ratio of a pair is the
//! broker's batches over the group commit's, that of a row the median.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use klamm::wire::{EncodeError, Writer};
use klamm_benches::{Files, GroupCommit};
use serde_json::json;

use super::figure::Figure;
use super::load::Topic;
use super::node::Launch;
use super::{Entry, Options};
use crate::records::{Batch, Record};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "durable-throughput",
    about: "acknowledged batches over those of a bare group commit: at least 0.8",
    run,
};

/// Producers of the rows.
const ROWS: [usize; 3] = [1, 16, 256];

/// The least ratio of a row.
const GOAL: f64 = 0.8;

/// The same of the short version, whose pairs last too little to judge more than that nothing is
/// badly wrong: single ones were seen between 0.3 and 4 on a machine with other work.
const QUICK_GOAL: f64 = 0.3;

/// Runs of both sides for a row.
const PAIRS: usize = 9;

/// Bytes of a record's value.
const RECORD_BYTES: usize = 1024;

/// Records of a batch.
const RECORDS: usize = 15;

const TOPIC: &str = "durable";

/// Length of a run.
fn run_time(options: &Options) -> Duration {
    Duration::from_millis(if options.quick { 700 } else { 2_000 })
}

fn run(options: &Options) -> Figure {
    let mut figure = Figure::new();
    figure.set("records", RECORDS);
    figure.set("record_bytes", RECORD_BYTES);
    for producers in ROWS {
        if let Err(reason) = row(options, producers, &mut figure) {
            figure.fail(format!("{producers} producers: {reason}"));
        }
    }
    figure
}

/// Measures a row, and tells the median of its ratios.
fn row(options: &Options, producers: usize, figure: &mut Figure) -> Result<(), String> {
    let directory = options.scratch.join(producers.to_string());
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let stderr = options.scratch.join("klamm.stderr");
    let node = Launch::new(&options.klamm, &directory.join("klamm"), &stderr)
        .set("klamm.durability", "fsync")
        .start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    let topic = Topic {
        name: TOPIC.to_owned(),
        partitions: i32::try_from(producers).expect("a small number"),
        configs: Vec::new(),
    };
    topic.create(&mut client)?;
    let batch = batch();
    let bare =
        group_commit(&directory.join("bare"), producers).map_err(|error| error.to_string())?;
    let sides =
        [node.address(), &bare].map(|address| Producers::connect(address, producers, &batch));
    let [mut broker, mut bare] = sides;
    // Files and directories are there, caches are warm.
    for side in [&mut broker, &mut bare] {
        side.run(Duration::from_millis(300));
    }
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let (klamm, floor) = if pair % 2 == 0 {
            let klamm = broker.run(run_time(options));
            (klamm, bare.run(run_time(options)))
        } else {
            let floor = bare.run(run_time(options));
            (broker.run(run_time(options)), floor)
        };
        eprintln!(
            "{producers:4} producers: {klamm:9.0} batches/s, bare {floor:9.0}, ratio {:.2}",
            klamm / floor
        );
        pairs.push((klamm, floor));
    }
    broker.check()?;
    figure.at_least(
        &format!("ratio_{producers}"),
        median(pairs.iter().map(|(klamm, floor)| klamm / floor)),
        if options.quick { QUICK_GOAL } else { GOAL },
    );
    let median = |side: fn(&(f64, f64)) -> f64| json!(median(pairs.iter().map(side)).round());
    figure.set(&format!("klamm_{producers}"), median(|pair| pair.0));
    figure.set(&format!("bare_{producers}"), median(|pair| pair.1));
    drop(node);
    std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A batch as a producer without idempotence sends it, so that it may be sent again and again.
fn batch() -> Vec<u8> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a time after 1970");
    let record = Record {
        value: Some(vec![b'v'; RECORD_BYTES]),
        ..Record::default()
    };
    let mut batch = Batch::of(&[]).at(i64::try_from(now.as_millis()).expect("a near time"));
    batch.records = vec![record; RECORDS];
    batch.bytes()
}

/// Listens with a file for each partition; where.
fn group_commit(directory: &Path, partitions: usize) -> io::Result<String> {
    let topic = klamm_benches::Topic {
        name: TOPIC.to_owned(),
        partitions: i32::try_from(partitions).expect("a small number"),
    };
    let floor = GroupCommit::create(directory, &topic, Files::Each)?;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let address = klamm_benches::start(Box::new(floor), &topic, listen)?;
    Ok(address.to_string())
}

/// A Produce request, version 9, with its length.
fn request(partition: usize, batch: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut out = Writer::new();
    out.i16(0);
    out.i16(9);
    // Correlation id, no client id, no tagged fields.
    out.i32(1);
    out.string_length(None, false)?;
    out.uvarint(0);
    // No transaction, all acknowledge.
    out.string_length(None, true)?;
    out.i16(-1);
    out.i32(30_000);
    out.length(Some(1), true)?;
    out.string_length(Some(TOPIC.len()), true)?;
    out.raw(TOPIC.as_bytes());
    out.length(Some(1), true)?;
    out.i32(i32::try_from(partition).expect("a small number"));
    out.length(Some(batch.len()), true)?;
    out.raw(batch);
    out.raw(&[0; 3]);
    let frame = out.into_bytes();
    let length = u32::try_from(frame.len()).expect("a small frame");
    Ok([&length.to_be_bytes()[..], &frame].concat())
}

/// Where in an answer the partition's error code stands, behind the length: correlation id, tagged
/// fields, a topic, its name, a partition, its number.
const CODE_AT: usize = 4 + 1 + 1 + 1 + TOPIC.len() + 1 + 4;

/// The producers of one side, which run when they are told to.
#[derive(Debug)]
struct Producers {
    connections: Vec<(TcpStream, Vec<u8>)>,
    refused: u64,
}

impl Producers {
    fn connect(address: &str, count: usize, batch: &[u8]) -> Self {
        let connect = |partition| {
            let stream = TcpStream::connect(address).expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            (stream, request(partition, batch).expect("a small frame"))
        };
        Self {
            connections: (0..count).map(connect).collect(),
            refused: 0,
        }
    }

    /// Has all of them produce for so long; acknowledged batches a second.
    fn run(&mut self, time: Duration) -> f64 {
        let stop = AtomicBool::new(false);
        let begin = Barrier::new(self.connections.len() + 1);
        let (stop, begin) = (&stop, &begin);
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .connections
                .iter_mut()
                .map(|(stream, request)| {
                    scope.spawn(move || {
                        begin.wait();
                        let (mut acknowledged, mut refused) = (0_u64, 0_u64);
                        while !stop.load(Ordering::Relaxed) {
                            match exchange(stream, request).expect("a connection") {
                                0 => acknowledged += 1,
                                _ => refused += 1,
                            }
                        }
                        (acknowledged, refused)
                    })
                })
                .collect();
            begin.wait();
            let start = Instant::now();
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
            let mut acknowledged = 0;
            for thread in threads {
                let (batches, refused) = thread.join().expect("a producer");
                acknowledged += batches;
                self.refused += refused;
            }
            acknowledged as f64 / start.elapsed().as_secs_f64()
        })
    }

    /// Whether all was acknowledged.
    fn check(&self) -> Result<(), String> {
        match self.refused {
            0 => Ok(()),
            refused => Err(format!("{refused} batches were refused")),
        }
    }
}

/// Sends a batch and waits for its answer: the error code.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<i16> {
    stream.write_all(request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = [0; 256];
    let frame = frame
        .get_mut(..u32::from_be_bytes(length) as usize)
        .ok_or(io::ErrorKind::InvalidData)?;
    stream.read_exact(frame)?;
    match frame.get(CODE_AT..CODE_AT + 2) {
        Some(&[high, low]) => Ok(i16::from_be_bytes([high, low])),
        Some(_) | None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_answer_what_they_are_sent() {
        let scratch = crate::server::scratch().join("durable-throughput-test");
        let _ = std::fs::remove_dir_all(&scratch);
        let batch = batch();
        let bare = group_commit(&scratch, 3).expect("it listens");
        let broker = crate::klamm_like_kafka();
        let mut session = crate::session::Session::new(&broker.address(), Duration::ZERO);
        session.topic(TOPIC, 3, &[]);
        for address in [&bare, &broker.address()] {
            let mut side = Producers::connect(address, 3, &batch);
            assert!(side.run(Duration::from_millis(100)) > 0.0);
            side.check().expect("all was acknowledged");
        }
        let written = std::fs::metadata(scratch.join("2.log")).expect("it is there");
        assert!(written.len().is_multiple_of(batch.len() as u64) && written.len() > 0);
        let _ = std::fs::remove_dir_all(&scratch);
    }
}
