//! `klamm bench` as a process, against a broker in this process.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use std::process::{Command, Output};

use klamm::{Broker, NewRecord};
use serde_json::Value;

const KLAMM: &str = env!("CARGO_BIN_EXE_klamm");

/// A broker in memory, and the runtime that it runs on.
struct Cluster {
    runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
}

impl Cluster {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let broker = runtime
            .block_on(Broker::builder().memory().start())
            .unwrap();
        Self {
            runtime,
            broker: Some(broker),
        }
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    fn bench(&self, arguments: &[&str]) -> Output {
        Command::new(KLAMM)
            .arg("bench")
            .args(arguments)
            .env("KLAMM_BROKERS", self.broker().bootstrap())
            .output()
            .unwrap()
    }

    /// A run that must succeed; its result.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.bench(&[arguments, &["--format", "json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop()).unwrap();
        }
    }
}

#[test]
fn what_produce_sends_consume_finds_whole() {
    let cluster = Cluster::start();
    let (partitions, records) = (["--create", "--partitions", "3"], ["--records", "5000"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let sending = ["produce", "--record-size", "100", "--codec", codec];
        let produced = cluster.json(&[&sending[..], &partitions, &records].concat());
        let produced = &produced["produced"];
        assert!(produced["records"].as_u64() >= Some(5000), "{produced}");
        assert_eq!(produced["errors"], serde_json::json!({}));
        assert!(produced["latency_us"]["p99"].as_f64() > Some(0.0));
    }
    let consumed = cluster.json(&["consume", "--consumers", "2"]);
    assert!(consumed["consumed"]["records"].as_u64() >= Some(25_000));
    assert_eq!(consumed["faults"]["total"], 0, "{consumed}");
}

#[test]
fn everything_that_is_sent_arrives_once_with_its_latency() {
    let cluster = Cluster::start();
    let load = [
        "end-to-end",
        "--create",
        "--partitions",
        "4",
        "--producers",
        "2",
        "--consumers",
        "3",
        "--record-size",
        "100",
        "--duration",
        "0.5",
    ];
    let fast = cluster.json(&load);
    assert_eq!(fast["produced"]["records"], fast["consumed"]["records"]);
    assert_eq!(fast["faults"]["total"], 0, "{fast}");
    assert_eq!(
        fast["end_to_end_us"]["count"], fast["produced"]["requests"],
        "each batch has a latency"
    );
    // In the same topic, with the broker's own time between.
    let paced = cluster.json(&[&load[..], &["--rate", "1000", "--batch-size", "1"]].concat());
    assert_eq!(paced["produced"]["records"], 500, "{paced}");
    assert_eq!(paced["consumed"]["records"], 500, "{paced}");
    assert!(paced["produced"]["lateness_us"]["p50"].is_number());
}

#[test]
fn each_of_many_consumers_of_one_partition_reads_all_of_it() {
    let cluster = Cluster::start();
    let load = [
        "end-to-end",
        "--create",
        "--consumers",
        "20",
        "--rate",
        "2000",
    ];
    let report = cluster.json(&[&load[..], &["--records", "200"]].concat());
    let sent = report["produced"]["records"].as_u64().unwrap();
    assert_eq!(report["consumed"]["records"].as_u64(), Some(20 * sent));
}

#[test]
fn unacknowledged_records_are_counted_as_sent() {
    let cluster = Cluster::start();
    let report = cluster.json(&["produce", "--create", "--acks", "0", "--records", "1000"]);
    assert!(report["produced"]["records"].as_u64() >= Some(1000));
    assert_eq!(report["produced"]["latency_us"], Value::Null);
    let refused = cluster.bench(&["end-to-end", "--acks", "0"]);
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn what_the_broker_refuses_is_told_by_name() {
    let cluster = Cluster::start();
    let output = cluster.bench(&[
        "produce",
        "--create",
        "--config",
        "max.message.bytes=1000",
        "--records",
        "100",
        "--format",
        "json",
    ]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["produced"]["errors"]["MESSAGE_TOO_LARGE"], 7);
    assert_eq!(output.status.code(), Some(1), "no batch was acknowledged");
}

#[test]
fn the_result_can_be_read() {
    let cluster = Cluster::start();
    let load = [
        "end-to-end",
        "--create",
        "--duration",
        "1.5",
        "--rate",
        "2000",
    ];
    let output = cluster.bench(&load);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("produced  "), "{text}");
    assert!(text.contains("end to end, from when due: p50 "), "{text}");
    assert!(text.contains("no fault"), "{text}");
    let progress = String::from_utf8(output.stderr).unwrap();
    assert!(progress.contains(" s  produced "), "{progress}");
}

#[test]
fn a_batch_that_is_not_of_the_run_is_a_fault_only_if_it_breaks_the_order() {
    let cluster = Cluster::start();
    cluster.json(&["produce", "--create", "--records", "100"]);
    let record = NewRecord::new("from elsewhere");
    cluster
        .runtime
        .block_on(cluster.broker().produce("klamm-bench", 0, [record]))
        .unwrap();
    let report = cluster.json(&["consume"]);
    assert_eq!(report["faults"]["total"], 0, "{report}");
}

#[test]
fn a_topic_that_is_not_there_is_an_error() {
    let cluster = Cluster::start();
    let output = cluster.bench(&["consume", "--topic", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{errors}");
}
