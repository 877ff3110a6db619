//! Records with keys, and having them compacted.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use klamm::batch::BatchBuilder;
use klamm::model::Timestamp;
use serde_json::{Value, json};

use crate::client::Client;
use crate::generator::Aim;
use crate::server::{Server, Tools};

/// Records of a batch, and bytes of a value: 64 KiB.
const BATCH_RECORDS: u64 = 60;
const VALUE: [u8; 1024] = [b'v'; 1024];

/// Any time that is not now: nothing asks for these records by it.
const TIME: Timestamp = Timestamp(1_767_225_600_000);

/// A server that takes less processor time than that (seconds) in so long is done.
const IDLE: f64 = 0.03;
const IDLE_FOR: Duration = Duration::from_millis(600);

/// Longer than a server leaves in the page cache what it has acknowledged: Klamm a second, Kafka
/// until a segment is full.
const SYNCED_WITHIN: Duration = Duration::from_millis(1_500);

/// How long it may be until it begins; longer than it sleeps in between.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// Appends records of 1 KiB; there are half as many keys, in no order, so that what stays and what
/// goes lie side by side in every batch. They are synced when this returns: that is no part of
/// compaction, which goes no further than what is, and would begin twice.
pub(crate) fn fill(aim: &Aim, server: &Server, records: u64) -> Result<(), String> {
    append(aim, records).map_err(|error| error.to_string())?;
    let mut last = server.process.cpu()?;
    loop {
        std::thread::sleep(SYNCED_WITHIN);
        let now = server.process.cpu()?;
        if now - last < IDLE {
            return Ok(());
        }
        last = now;
    }
}

fn append(aim: &Aim, records: u64) -> io::Result<()> {
    let mut client = Client::connect(&aim.address)?;
    let keys = (records / 2).max(1);
    let mut number = 0_u32;
    while u64::from(number) < records {
        let mut batch = BatchBuilder::new();
        for _ in 0..BATCH_RECORDS.min(records - u64::from(number)) {
            let key = scattered(number) % keys;
            batch.push(TIME, Some(&key.to_be_bytes()), Some(&VALUE));
            number += 1;
        }
        let batch = batch.build().map_err(io::Error::other)?;
        client.append(&aim.topic, &batch.bytes)?;
    }
    Ok(())
}

/// Has the topic be compacted from now on.
pub(crate) fn begin(aim: &Aim) -> io::Result<()> {
    let mut client = Client::connect(&aim.address)?;
    client.set(&aim.topic, "min.cleanable.dirty.ratio", "0.01")?;
    client.set(&aim.topic, "cleanup.policy", "compact")
}

/// Numbers without order, the same in every run (the finalizer of SplitMix64).
fn scattered(number: u32) -> u64 {
    let mixed = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The same, until it is done; how many bytes were looked at.
pub(crate) fn run(aim: &Aim, server: &Server) -> Result<u64, String> {
    let size = || sealed(&server.data, &aim.topic);
    let begun = Instant::now();
    let before = size()?;
    begin(aim).map_err(|error| error.to_string())?;
    let mut last = server.process.cpu()?;
    loop {
        std::thread::sleep(IDLE_FOR);
        let now = server.process.cpu()?;
        match size()? < before {
            true if now - last < IDLE => return Ok(before),
            false if begun.elapsed() > BEGINS_WITHIN => {
                return Err("nothing was compacted".to_owned());
            }
            _ => last = now,
        }
    }
}

/// Bytes of the log of a topic's partition 0 but for its last segment, which is not compacted.
fn sealed(data: &Path, topic: &str) -> Result<u64, String> {
    let directory = data.join(format!("{topic}-0"));
    let said = |error| format!("{}: {error}", directory.display());
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if path.extension().is_some_and(|extension| extension == "log")
            // One that has just been replaced has no size.
            && let Ok(metadata) = path.metadata()
        {
            logs.push((path, metadata.len()));
        }
    }
    // The names are the offsets.
    logs.sort();
    logs.pop();
    Ok(logs.iter().map(|(_, bytes)| bytes).sum())
}

/// The floor: the logs of a directory copied, in the words of `klamm bench`.
pub(crate) fn copy(tools: &Tools, directory: &Path) -> Result<Value, String> {
    let mut command = Command::new(&tools.floor);
    command.args(["copy", "--data"]).arg(directory);
    let output = tools.output(&mut command)?;
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(json!({
        "produced": {"bytes": said.get("bytes")},
        "floor_cpu_seconds": said.get("cpu_seconds"),
    }))
}
