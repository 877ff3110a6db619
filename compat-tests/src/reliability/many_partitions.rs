//! Five thousand partitions in a process that may have 4,096 files open.
//!
//! Produce to all, fetch from all, and a restart, in `fsync` and in `os` mode, while connections
//! hold descriptors and slow readers hold files. No request may fail.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::client::{Client, ToPartition};
use super::disk::Disk;
use super::figure::Figure;
use super::ledger::Value;
use super::node::{Launch, Node};
use super::reading;
use super::{Entry, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "five-thousand-partitions",
    about: "5,000 partitions with nofile 4,096: failures, none; restart within 5 s",
    run,
};

const PARTITIONS: i32 = 5_000;
const OPEN_FILES: &str = "--nofile=4096:4096";

const DISK_MIB: u64 = 2048;

/// Connections that say nothing.
const IDLE: usize = 500;

/// Connections that ask for much and do not read it.
const STALLED: usize = 64;

/// Partitions whose records are so large that they are sent from the file.
const LARGE: i32 = 256;

/// Partitions in a Produce request.
const TOGETHER: usize = 500;

const RESTART_S_MAX: f64 = 5.0;

#[derive(Debug, Default)]
struct Count {
    requests: u64,
    failures: u64,
    restart_s_max: f64,
    open_files_max: usize,
    threads_max: usize,
    resident_kib_max: u64,
}

fn run(options: &Options) -> Figure {
    let mut figure = Figure::new();
    let mut count = Count::default();
    // The short version has no time for both.
    let modes: &[&str] = if options.quick {
        &["fsync"]
    } else {
        &["fsync", "os"]
    };
    for mode in modes {
        if let Err(reason) = measure(options, mode, &mut count, &mut figure) {
            figure.fail(format!("{mode}: {reason}"));
            break;
        }
    }
    figure.set("partitions", PARTITIONS);
    figure.set("requests", count.requests);
    figure.none("failures", count.failures);
    figure.at_most("restart_s_max", count.restart_s_max, RESTART_S_MAX);
    figure.set("open_files_max", count.open_files_max);
    figure.set("threads_max", count.threads_max);
    figure.set("resident_kib_max", count.resident_kib_max);
    figure
}

fn measure(
    options: &Options,
    mode: &str,
    count: &mut Count,
    figure: &mut Figure,
) -> Result<(), String> {
    // On a file system of its own where there can be one: thousands of directories are quickly
    // gone with it.
    let disk = Disk::new(&options.scratch, mode, DISK_MIB, "").ok();
    let root = disk.as_ref().map_or(&*options.scratch, Disk::path);
    let data = root.join("data");
    let launch = Launch::new(&options.klamm, &data, &options.scratch.join("broker.log"))
        .arguments(&["--durability", mode])
        .under(&["prlimit", OPEN_FILES]);
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    client
        .set_patience(Duration::from_secs(120))
        .map_err(|error| error.to_string())?;
    let topic = json!({"name": "t", "numPartitions": PARTITIONS, "replicationFactor": 1});
    let body = json!({"topics": [topic], "timeoutMs": 60_000});
    let begin = Instant::now();
    let answer = client.ask("CreateTopics", 7, &body);
    let answer = answer.map_err(|error| format!("CreateTopics: {error}"))?;
    if answer["topics"][0]["errorCode"] != 0 {
        return Err(format!("CreateTopics: {answer}"));
    }
    figure.set(&format!("created_s_{mode}"), seconds(begin));
    let begin = Instant::now();
    everything(&node, client, 0, count)?;
    figure.set(&format!("first_round_s_{mode}"), seconds(begin));
    let begin = Instant::now();
    let ended = node.terminate(Duration::from_secs(60));
    figure.set(&format!("stop_s_{mode}"), seconds(begin));
    if !ended.is_some_and(|status| status.success()) {
        return Err(format!("the stop ended as {ended:?}"));
    }

    let node = started(&launch, count)?;
    let client = node.client().map_err(|error| error.to_string())?;
    let begin = Instant::now();
    everything(&node, client, 1, count)?;
    figure.set(&format!("second_round_s_{mode}"), seconds(begin));
    node.kill();

    let node = started(&launch, count)?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    fetch_all(&mut client, 2, count)?;
    node.kill();
    Ok(())
}

fn seconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 100.0).round() / 100.0
}

/// Starts it, and fetches once.
fn started(launch: &Launch, count: &mut Count) -> Result<Node, String> {
    let begin = Instant::now();
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    let fetched = client.fetch("t", PARTITIONS - 1, 0, 1 << 16);
    let fetched = fetched.map_err(|error| format!("the first fetch: {error}"))?;
    count.failures += u64::from(fetched.code != 0);
    count.restart_s_max = count.restart_s_max.max(begin.elapsed().as_secs_f64());
    Ok(node)
}

/// Produces to all and fetches from all, with everybody in the way.
fn everything(
    node: &Node,
    mut client: Client,
    round: u64,
    count: &mut Count,
) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    client
        .set_patience(Duration::from_secs(120))
        .map_err(failed)?;
    let mut others = Vec::new();
    for _ in 0..IDLE {
        others.push(node.client().map_err(failed)?);
    }
    produce_all(&mut client, round, count)?;
    look(node, count);
    let mut stalled = Vec::new();
    for number in 0..STALLED {
        let mut reader = node.client().map_err(failed)?;
        reader
            .send(1, 5, &large_fetch(number))
            .map_err(|error| format!("a fetch that nobody reads: {error}"))?;
        stalled.push(reader);
    }
    produce_all(&mut client, round + 100, count)?;
    look(node, count);
    fetch_all(&mut client, 2 * (round + 1), count)?;
    look(node, count);
    Ok(())
}

/// Many partitions at once, from different ones on.
fn large_fetch(number: usize) -> Vec<u8> {
    let int = |value: i32| value.to_be_bytes();
    let mut body = int(-1).to_vec();
    body.extend([0; 8]);
    body.extend(int(1 << 24));
    body.push(0);
    body.extend(int(1));
    body.extend(1i16.to_be_bytes());
    body.extend(b"t");
    body.extend(int(LARGE));
    for index in 0..LARGE {
        body.extend(int((index + 4 * number as i32) % LARGE));
        body.extend([0; 8]);
        body.extend((-1i64).to_be_bytes());
        body.extend(int(1 << 20));
    }
    body
}

fn produce_all(client: &mut Client, round: u64, count: &mut Count) -> Result<(), String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(0);
    let batch = |partition: i32| {
        let records = if partition < LARGE { 500 } else { 2 };
        ToPartition {
            topic: "t".to_owned(),
            partition,
            batch: reading::batch(
                Value::new(partition as u16, round * 1_000),
                records,
                (-1, -1, -1),
                now,
            ),
        }
    };
    let all: Vec<i32> = (0..PARTITIONS).collect();
    for together in all.chunks(TOGETHER) {
        let batches: Vec<_> = together.iter().map(|partition| batch(*partition)).collect();
        let answers = client
            .send_produce(-1, &batches)
            .and_then(|()| client.receive_produce())
            .map_err(|error| format!("Produce: {error}"))?;
        for answer in answers {
            count.requests += 1;
            if answer.code != 0 {
                count.failures += 1;
                if count.failures < 10 {
                    eprintln!("Produce to {} answers {}", answer.partition, answer.code);
                }
            }
        }
    }
    Ok(())
}

/// Reads all, each of which holds so many batches.
fn fetch_all(client: &mut Client, batches: u64, count: &mut Count) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        count.requests += 1;
        let fetched = client
            .fetch("t", partition, 0, 1 << 20)
            .map_err(|error| format!("Fetch of {partition}: {error}"))?;
        let mut read = reading::Reading::default();
        let end = read.take(&fetched.records, 0);
        let records = if partition < LARGE { 500 } else { 2 };
        let expected = i64::try_from(batches * records).unwrap_or(-1);
        if fetched.code != 0 || end < expected || !read.faults.is_empty() {
            count.failures += 1;
            if count.failures < 10 {
                eprintln!(
                    "Fetch of {partition} answers {} and ends at {end} of {expected}: {:?}",
                    fetched.code, read.faults
                );
            }
        }
    }
    Ok(())
}

/// What the process has open, and how large it is.
fn look(node: &Node, count: &mut Count) {
    let entries = |what: &str| {
        let path = PathBuf::from(format!("/proc/{}/{what}", node.pid()));
        std::fs::read_dir(path).map_or(0, Iterator::count)
    };
    count.open_files_max = count.open_files_max.max(entries("fd"));
    count.threads_max = count.threads_max.max(entries("task"));
    let resident = node.resident_kib().unwrap_or(0);
    count.resident_kib_max = count.resident_kib_max.max(resident);
}
