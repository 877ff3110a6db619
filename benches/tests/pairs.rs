//! The pair runner measures a row from servers to verdicts, whatever these are.
//!
//! The binary of Klamm is the one at `KLAMM_BIN`, or the one beside the runner's.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The runner, with its files in that directory.
fn pairs(scratch: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairs"));
    command.args(["--quick", "--pairs", "1", "--without-kafka"]);
    command.arg("--scratch").arg(scratch);
    if let Some(klamm) = std::env::var_os("KLAMM_BIN") {
        command.arg("--klamm").arg(klamm);
    }
    command
}

#[test]
fn two_rows_are_measured_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("pairs.json");
    let mut command = pairs(scratch.path());
    command
        .args(["produce-1k", "end-to-end", "--json"])
        .arg(&json);
    // A gate that is missed on a busy machine is no fault of the runner.
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("> klamm, cpu s/GB"), "{said}{errors}");
    let told: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let number = |path: &str| told.pointer(path).and_then(Value::as_f64);
    for (row, figure) in [(0, "cpu s~1GB"), (1, "end-to-end p50 us")] {
        for side in 0..2 {
            let path = format!("/rows/{row}/sides/{side}/figures/{figure}/median");
            assert!(number(&path) > Some(0.0), "{path} of {told}");
        }
        assert_eq!(
            told["rows"][row]["sides"][2]["rounds"],
            serde_json::json!([])
        );
    }
    assert_eq!(told["rows"][0]["mode"], "os");
    let left = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 1, "only the figures stay");
}

/// The command lines of processes that name this directory.
fn processes_of(scratch: &Path) -> Vec<String> {
    let name = scratch.to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap();
    // Others come and go meanwhile.
    let lines = all.filter_map(|entry| {
        let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(name)).collect()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_outlives_a_runner_that_is_killed() {
    // Not SIGINT: what a shell runs in the background ignores it, and so does all that it starts.
    for signal in [Signal::TERM, Signal::KILL] {
        let scratch = tempfile::tempdir().unwrap();
        let mut runner = pairs(scratch.path())
            .arg("in-and-out")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("a server", || {
            let lines = processes_of(scratch.path());
            lines.iter().any(|line| line.contains(" sendfile "))
        });
        kill_process(Pid::from_child(&runner), signal).unwrap();
        assert!(!runner.wait().unwrap().success());
        wait_until("the end of all of them", || {
            processes_of(scratch.path()).is_empty()
        });
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
