//! Each floor as a process, driven by `klamm bench`.
//!
//! The binary of Klamm is the one at `KLAMM_BIN`, or the one beside the floor's.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of a test fail the test"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const FLOOR: &str = env!("CARGO_BIN_EXE_floor");

/// A floor with two partitions.
struct Floor {
    process: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
    data: tempfile::TempDir,
}

impl Floor {
    fn start(mode: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut process = Command::new(FLOOR)
            .args([mode, "--partitions", "2", "--data"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        Self {
            process,
            stdout,
            address: address.trim().to_owned(),
            data,
        }
    }

    /// A run that must succeed, 100 bytes a record; its result.
    fn bench(&self, arguments: &[&str]) -> Value {
        let klamm = std::env::var_os("KLAMM_BIN").map_or_else(
            || PathBuf::from(FLOOR).with_file_name("klamm"),
            PathBuf::from,
        );
        let output = Command::new(&klamm)
            .arg("bench")
            .args(arguments)
            .args(["--format", "json"])
            .env("KLAMM_BROKERS", &self.address)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; build klamm first", klamm.display()));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn produce(&self) -> Value {
        let sending = ["produce", "--producers", "2", "--record-size", "100"];
        let result = self.bench(&[&sending[..], &["--records", "20000"]].concat());
        assert!(result["produced"]["records"].as_u64() >= Some(20_000));
        assert_eq!(result["produced"]["errors"], serde_json::json!({}));
        result
    }

    /// Stops it; what it says then.
    fn stop(mut self) -> Value {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
        let mut last = String::new();
        self.stdout.read_to_string(&mut last).unwrap();
        serde_json::from_str(&last).unwrap()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_floor_takes_what_the_generator_sends_and_tells_its_processor_time() {
    for mode in [
        "ping-pong",
        "null",
        "receive",
        "sendfile",
        "commit",
        "commit-one",
    ] {
        let floor = Floor::start(mode);
        floor.produce();
        let last = floor.stop();
        assert_eq!(last["floor"], mode);
        assert!(last["cpu_seconds"].as_f64() > Some(0.0), "{last}");
    }
}

#[test]
fn the_verifier_takes_what_sendfile_serves() {
    let floor = Floor::start("sendfile");
    let sent = floor.produce();
    for bytes in ["1", "40KiB", "1MiB"] {
        let read = floor.bench(&["consume", "--partition-bytes", bytes]);
        assert_eq!(read["consumed"]["records"], sent["produced"]["records"]);
        assert_eq!(read["faults"]["total"], 0, "{read}");
    }
}

#[test]
fn what_receive_has_stored_can_be_copied() {
    let floor = Floor::start("receive");
    let sent = floor.produce();
    let copied = Command::new(FLOOR)
        .args(["copy", "--data"])
        .arg(floor.data.path())
        .output()
        .unwrap();
    let last: Value = serde_json::from_slice(&copied.stdout).unwrap();
    assert_eq!(last["bytes"], sent["produced"]["bytes"]);
    for partition in 0..2 {
        let read = |kind| std::fs::read(floor.data.path().join(format!("{partition}.{kind}")));
        assert!(read("log").unwrap() == read("copy").unwrap());
    }
}

#[test]
fn readers_wait_for_news_at_sendfile() {
    let floor = Floor::start("sendfile");
    let load = ["end-to-end", "--rate", "2000", "--record-size", "100"];
    let more = ["--batch-size", "1", "--consumers", "4", "--records", "1000"];
    let both = floor.bench(&[&load[..], &more].concat());
    assert_eq!(both["consumed"]["records"], 2000, "two of each partition");
    assert_eq!(both["faults"]["total"], 0, "{both}");
    // A wait that ends without any.
    let latest = ["consume", "--latest", "--duration", "0.3"];
    let none = floor.bench(&[&latest[..], &["--max-wait", "50"]].concat());
    let answers = none["consumed"]["requests"].as_u64();
    assert!(answers >= Some(3) && answers <= Some(8), "{none}");
}
