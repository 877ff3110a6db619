//! `klamm bench` as a process, against a broker in this process.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of a test fail the test"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::Cluster;
use klamm::{Broker, NewRecord};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

impl Cluster {
    fn bench(&self, arguments: &[&str]) -> Output {
        self.with_input(&[&["bench"], arguments].concat(), b"")
    }

    /// A run that must succeed; its result.
    fn json(&self, arguments: &[&str]) -> Value {
        let all = [&["bench", "--format", "json"], arguments].concat();
        serde_json::from_str(&self.ok(&all, "")).unwrap()
    }
}

/// The result of a run that must have failed, and what it said.
fn failed(output: &Output) -> (Value, String) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), said)
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
    let refused = cluster.fails(1, &["bench", "end-to-end", "--acks", "0"]);
    assert!(refused.contains("needs acknowledgements"), "{refused}");
}

#[test]
fn what_the_broker_refuses_is_told_by_name() {
    let cluster = Cluster::start();
    // No batch is acknowledged.
    let (report, _) = failed(&cluster.bench(&[
        "produce",
        "--create",
        "--config",
        "max.message.bytes=1000",
        "--records",
        "100",
        "--format",
        "json",
    ]));
    assert_eq!(report["produced"]["errors"]["MESSAGE_TOO_LARGE"], 7);
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
    assert!(
        text.contains("settings  acks=all batch_size=16384 "),
        "{text}"
    );
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
    let errors = cluster.fails(1, &["bench", "consume", "--topic", "nowhere"]);
    assert!(errors.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{errors}");
    assert!(errors.contains("--create"), "{errors}");
}

#[test]
fn arguments_that_make_no_sense_are_a_usage_error() {
    let cluster = Cluster::start();
    for arguments in [
        &["sing"][..],
        &["produce", "--duration", "0"],
        &["produce", "--duration", "-1"],
        &["produce", "--rate", "-1"],
        &["produce", "--records", "0"],
        &["produce", "--records", "1", "--duration", "1"],
        &["produce", "--record-size", "2GiB"],
        &["produce", "--producers", "0"],
        &["produce", "--producers", "40000"],
        &["produce", "--in-flight", "0"],
        &["produce", "--acks", "2"],
        &["produce", "--codec", "lzma"],
        &["produce", "--config", "a=b"],
        &["produce", "--latest"],
        &["consume", "--rate", "1"],
        &["consume", "--consumers", "0"],
        &["consume", "--max-wait", "-1"],
    ] {
        cluster.fails(2, &[&["bench"], arguments].concat());
    }
}

#[test]
fn a_topic_with_too_few_partitions_and_a_broker_that_is_not_there_are_errors() {
    let cluster = Cluster::start();
    cluster.json(&["produce", "--create", "--records", "1"]);
    let more = ["bench", "produce", "--create", "--partitions", "3"];
    let errors = cluster.fails(1, &more);
    assert!(
        errors.contains("fewer partitions: 1, and not 3"),
        "{errors}"
    );
    let errors = cluster.fails(1, &["bench", "consume", "-b", "127.0.0.1:1"]);
    assert!(
        errors.contains("127.0.0.1:1: Connection refused"),
        "{errors}"
    );
}

#[test]
fn nothing_that_could_be_checked_is_no_success() {
    let cluster = Cluster::start();
    let output = cluster.bench(&["consume", "--create"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("checked   nothing"), "{text}");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("there was nothing to read"), "{errors}");
}

#[test]
fn a_rate_below_a_batch_a_second_is_that_of_the_whole_time() {
    let cluster = Cluster::start();
    let load = ["produce", "--create", "--rate", "1", "--duration", "0.6"];
    let report = cluster.json(&load);
    let produced = &report["produced"];
    assert_eq!(produced["requests"], 1, "{report}");
    assert!(produced["seconds"].as_f64() >= Some(0.6), "{report}");
}

/// Where the batches of a segment begin and end.
fn batches(log: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(length) = log.get(at + 8..at + 12) {
        let length = u32::from_be_bytes(length.try_into().unwrap());
        let end = at + 12 + usize::try_from(length).unwrap();
        all.push(at..end);
        at = end;
    }
    all
}

/// What `bench consume` says of a partition to whose file that has happened while nobody served it.
fn consume_after(damage: impl FnOnce(&mut [u8], &[std::ops::Range<usize>])) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let start = || Cluster::of(Broker::builder().data_dir(folder.path()));
    let cluster = start();
    cluster.json(&[
        "produce",
        "--create",
        "--records",
        "100",
        "--batch-size",
        "1",
    ]);
    drop(cluster);
    let segment = folder.path().join("klamm-bench-0/00000000000000000000.log");
    let mut log = std::fs::read(&segment).unwrap();
    let places = batches(&log);
    assert_eq!(places.len(), 100);
    damage(&mut log, &places);
    std::fs::write(&segment, &log).unwrap();
    failed(&start().bench(&["consume", "--format", "json"]))
}

#[test]
fn a_partition_that_cannot_be_read_is_given_up_and_not_taken_for_good() {
    // The broker finds this one itself.
    let begin = Instant::now();
    let (report, said) = consume_after(|log, places| log[places[50].end - 3] ^= 1);
    assert_eq!(
        report["consumed"]["errors"]["CORRUPT_MESSAGE"], 1,
        "{report}"
    );
    assert_eq!(report["consumed"]["records"], 50);
    assert_eq!(report["faults"]["counts"]["short"], 50, "{report}");
    assert!(said.contains("is not what was sent"), "{said}");
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn an_offset_that_is_missing_is_a_fault() {
    let (report, said) = consume_after(|log, places| {
        for (number, place) in places.iter().enumerate().skip(50) {
            let moved = u64::try_from(number + 1).unwrap();
            log[place.start..place.start + 8].copy_from_slice(&moved.to_be_bytes());
        }
    });
    assert_eq!(report["faults"]["counts"]["gap"], 1, "{report}");
    assert!(said.contains("is not what was sent"), "{said}");
}

#[test]
fn a_batch_that_is_served_twice_is_a_fault() {
    let (report, said) = consume_after(|log, places| {
        let (first, second) = (places[50].clone(), places[51].clone());
        assert_eq!(first.len(), second.len());
        // All of it but its offset, which the checksum does not cover.
        log.copy_within(first.start + 8..first.end, second.start + 8);
    });
    let counts = &report["faults"]["counts"];
    assert_eq!(counts["repeated"], 1, "{report}");
    assert_eq!(
        counts["missing"], 1,
        "the one in whose place it is: {report}"
    );
    assert!(said.contains("is not what was sent"), "{said}");
}

/// A broker to which clients come by a detour: what it tells them, and how many bytes the same
/// connection was told before, goes through `change`, which says whether there is more to come.
fn behind(change: impl Fn(&mut [u8], usize) -> bool + Copy + Send + 'static) -> Cluster {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let advertised = format!("PLAINTEXT://{address}");
    let builder = Broker::builder().memory();
    let cluster = Cluster::of(builder.set("advertised.listeners", &advertised));
    let broker = cluster.broker().address();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut broker = TcpStream::connect(broker).unwrap();
            let mut asking = client.try_clone().unwrap();
            let mut asked = broker.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut asking, &mut asked));
            std::thread::spawn(move || {
                let (mut told, mut some) = (0, vec![0; 65536]);
                while let Ok(count @ 1..) = broker.read(&mut some) {
                    let goes_on = change(&mut some[..count], told);
                    told += count;
                    let went = client.write_all(&some[..count]);
                    if !goes_on || went.is_err() {
                        // The other side may have gone already.
                        let _ = client.shutdown(Shutdown::Both);
                    }
                }
            });
        }
    });
    cluster
}

#[test]
fn a_broker_that_hangs_up_with_its_last_answer_is_noticed_at_once() {
    let cluster = behind(|some, told| told + some.len() < 20_000);
    let begin = Instant::now();
    let load = [
        "produce",
        "--create",
        "--rate",
        "20000",
        "--batch-size",
        "1",
    ];
    let output = cluster.bench(&[&load[..], &["--producers", "4"]].concat());
    let took = begin.elapsed();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("the broker closed it"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_byte_that_is_served_wrong_is_a_fault() {
    // Beyond what is told of the topic, nearly all is records.
    let cluster = behind(|some, told| {
        if let Some(byte) = 100_000_usize
            .checked_sub(told)
            .and_then(|at| some.get_mut(at))
        {
            *byte ^= 1;
        }
        true
    });
    let load = [
        "produce",
        "--create",
        "--record-size",
        "10KiB",
        "--records",
        "100",
    ];
    cluster.json(&load);
    let (report, said) = failed(&cluster.bench(&["consume", "--format", "json"]));
    assert_eq!(report["faults"]["counts"]["checksum"], 1, "{report}");
    assert!(said.contains("is not what was sent"), "{said}");
}

/// A run that is interrupted after a while; its result, and what it said.
fn interrupted(cluster: &Cluster, arguments: &[&str]) -> (Value, String) {
    let all = [&["bench", "--format", "json"], arguments].concat();
    let child = cluster
        .command(&all)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    failed(&child.wait_with_output().unwrap())
}

#[test]
fn what_came_until_an_interrupt_is_told() {
    let cluster = Cluster::start();
    let paced = ["--rate", "1000", "--duration", "60"];
    for command in ["produce", "end-to-end"] {
        let load = [&[command, "--create", "--batch-size", "1"], &paced[..]].concat();
        let (report, said) = interrupted(&cluster, &load);
        assert_eq!(report["interrupted"], true);
        assert_eq!(said.lines().last(), Some("klamm: interrupted"));
        let produced = &report["produced"];
        assert!(produced["records"].as_u64() > Some(100), "{report}");
        assert_eq!(produced["unanswered"], 0);
        assert_eq!(produced["unsent"], 0);
        if command == "end-to-end" {
            assert_eq!(report["consumed"]["records"], produced["records"]);
            assert_eq!(report["faults"]["total"], 0, "{report}");
        }
    }
    let waiting = ["consume", "--latest", "--duration", "60"];
    let (report, said) = interrupted(&cluster, &waiting);
    assert_eq!(report["consumed"]["records"], 0);
    assert_eq!(said.lines().last(), Some("klamm: interrupted"));
}
