//! Old records leave Klamm as they leave Apache Kafka: the same logs, the same log starts.
//!
//! Runs against a Klamm of its own, or against the broker at `BROKER`, which has to look for old
//! segments often (`log.retention.check.interval.ms=200`, `log.initial.task.delay.ms=200`,
//! `log.cleaner.backoff.ms=200`): Apache Kafka 4.1.2 passes it.

#[path = "support/in_process.rs"]
mod in_process;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use compat_tests::records::Batch;
use compat_tests::reliability::client::{Client, ToPartition};
use compat_tests::session::Session;
use in_process::{InProcess, create};
use serde_json::json;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;

/// What is done to a log, and where it starts in the end.
struct Case {
    name: &'static str,
    configs: &'static [(&'static str, &'static str)],
    /// Times of the batches of two records each, in milliseconds from now; `None` for none.
    batches: &'static [Option<i64>],
    /// DeleteRecords up to here.
    delete_before: Option<i64>,
    start: i64,
    /// Batches that are left on disk.
    left: usize,
}

/// Whatever comes more than a second later goes into a segment of its own.
const ROLL: (&str, &str) = ("segment.ms", "1000");
const KEEP: (&str, &str) = ("retention.ms", "-1");
const ONE_HOUR: (&str, &str) = ("retention.ms", "3600000");

const FIVE: &[Option<i64>] = &[
    Some(-50 * SECOND),
    Some(-40 * SECOND),
    Some(-30 * SECOND),
    Some(-20 * SECOND),
    Some(-10 * SECOND),
];
const TWO_OLD: &[Option<i64>] = &[
    Some(-3 * HOUR),
    Some(-2 * HOUR),
    Some(-HOUR / 2),
    Some(-HOUR / 4),
];
const ALL_OLD: &[Option<i64>] = &[Some(-4 * HOUR), Some(-3 * HOUR), Some(-2 * HOUR)];

/// A batch of two records with keys of three bytes and values of so many.
const BATCH_BYTES: usize = 61 + 2 * (2 + 1 + 1 + 1 + 1 + 3 + 2 + VALUE_BYTES + 1);
const VALUE_BYTES: usize = 100;

const CASES: &[Case] = &[
    Case {
        name: "time",
        configs: &[ROLL, ONE_HOUR],
        batches: TWO_OLD,
        delete_before: None,
        start: 4,
        left: 2,
    },
    Case {
        name: "time.all",
        configs: &[ROLL, ONE_HOUR],
        batches: ALL_OLD,
        delete_before: None,
        start: 6,
        left: 0,
    },
    Case {
        // An older batch behind a younger one shares its segment.
        name: "time.back",
        configs: &[ROLL, ONE_HOUR],
        batches: &[Some(-HOUR / 2), Some(-2 * HOUR), Some(-HOUR / 4)],
        delete_before: None,
        start: 0,
        left: 3,
    },
    Case {
        name: "time.future",
        configs: &[
            ROLL,
            ONE_HOUR,
            ("message.timestamp.after.max.ms", "9223372036854775807"),
        ],
        batches: &[Some(24 * HOUR), Some(25 * HOUR), Some(-3 * HOUR)],
        delete_before: None,
        start: 0,
        left: 3,
    },
    Case {
        name: "time.none",
        configs: &[ROLL, ONE_HOUR],
        batches: &[None, None],
        delete_before: None,
        start: 0,
        left: 2,
    },
    Case {
        name: "time.none.old",
        configs: &[("retention.ms", "1500")],
        batches: &[None, None],
        delete_before: None,
        start: 4,
        left: 0,
    },
    Case {
        name: "time.active",
        configs: &[ONE_HOUR],
        batches: ALL_OLD,
        delete_before: None,
        start: 6,
        left: 0,
    },
    Case {
        name: "size.two",
        configs: &[ROLL, KEEP, ("retention.bytes", "570")],
        batches: FIVE,
        delete_before: None,
        start: 6,
        left: 2,
    },
    Case {
        name: "size.two.and.more",
        configs: &[ROLL, KEEP, ("retention.bytes", "571")],
        batches: FIVE,
        delete_before: None,
        start: 4,
        left: 3,
    },
    Case {
        name: "size.none",
        configs: &[ROLL, KEEP, ("retention.bytes", "0")],
        batches: FIVE,
        delete_before: None,
        start: 10,
        left: 0,
    },
    Case {
        name: "size.then.time",
        configs: &[ROLL, ONE_HOUR, ("retention.bytes", "855")],
        batches: TWO_OLD,
        delete_before: None,
        start: 4,
        left: 2,
    },
    Case {
        name: "deleted",
        configs: &[ROLL, KEEP],
        batches: FIVE,
        delete_before: Some(6),
        start: 6,
        left: 2,
    },
    Case {
        name: "deleted.within",
        configs: &[ROLL, KEEP],
        batches: FIVE,
        delete_before: Some(5),
        start: 5,
        left: 3,
    },
    Case {
        name: "deleted.all",
        configs: &[ROLL, KEEP],
        batches: FIVE,
        delete_before: Some(-1),
        start: 10,
        left: 1,
    },
    Case {
        name: "compact",
        configs: &[
            ROLL,
            ("cleanup.policy", "compact"),
            ("retention.ms", "1"),
            ("retention.bytes", "0"),
        ],
        batches: FIVE,
        delete_before: None,
        start: 0,
        left: 5,
    },
    Case {
        // The cleaner would join old segments to young ones, which keep them.
        name: "compact.and.delete",
        configs: &[
            ROLL,
            ONE_HOUR,
            ("cleanup.policy", "compact,delete"),
            ("min.compaction.lag.ms", "86400000"),
        ],
        batches: TWO_OLD,
        delete_before: None,
        start: 4,
        left: 2,
    },
];

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    i64::try_from(since.as_millis()).expect("milliseconds")
}

fn topic(case: &Case) -> String {
    format!("retention.{}", case.name)
}

#[test]
fn logs_start_where_those_of_apache_kafka_do() {
    let settings = [
        ("log.retention.check.interval.ms", "200"),
        ("log.cleaner.backoff.ms", "200"),
    ];
    let broker = InProcess::start("retention", &settings);
    let address = broker.address();
    let mut session = Session::new(address, Duration::ZERO);
    let mut client = Client::connect(address).expect("a connection");
    let value = "v".repeat(VALUE_BYTES);
    for case in CASES {
        create(&mut session, &topic(case), case.configs);
    }
    // All of them differ, so that compaction keeps the records.
    let mut keys = (0..1_000).map(|number| format!("{number:03}"));
    for case in CASES {
        for time in case.batches {
            let mut batch = Batch::of(&[&value, &value]);
            for record in &mut batch.records {
                record.key = keys.next().map(String::into_bytes);
                record.timestamp_delta = 0;
            }
            batch = batch.at(time.map_or(-1, |time| now() + time));
            let batch = ToPartition {
                topic: topic(case),
                partition: 0,
                batch: batch.bytes(),
            };
            assert_eq!(batch.batch.len(), BATCH_BYTES);
            let patience = Instant::now();
            loop {
                let produced = client.produce(-1, batch.clone()).expect("an answer");
                if produced.code == 0 {
                    break;
                }
                // Kafka's new leaders take a moment.
                assert!(patience.elapsed() < Duration::from_secs(20), "{produced:?}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        if let Some(before) = case.delete_before {
            let deleted = client.delete_records(&topic(case), 0, before);
            assert_eq!(
                deleted.expect("an answer"),
                (0, case.start),
                "{}",
                case.name
            );
        }
    }
    let mut wrong = differences(&mut session, &mut client);
    let patience = Instant::now();
    while !wrong.is_empty() && patience.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(200));
        wrong = differences(&mut session, &mut client);
    }
    // What is right now must stay so.
    std::thread::sleep(Duration::from_secs(2));
    wrong.extend(differences(&mut session, &mut client));
    let _ = session.ask(
        "DeleteTopics",
        6,
        json!({
            "topics": CASES.iter().map(|case| json!({"name": topic(case)})).collect::<Vec<_>>(),
            "timeoutMs": 10_000
        }),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where a log does not start, or is not as long, as it should be.
fn differences(session: &mut Session, client: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    let sizes = session.ask("DescribeLogDirs", 4, json!({"topics": null}));
    for case in CASES {
        let start = client.list_offset(&topic(case), 0, -2).expect("an answer");
        if start != (0, case.start) {
            found.push(format!(
                "{} starts at {start:?}, not {}",
                case.name, case.start
            ));
        }
        let size = sizes["results"][0]["topics"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["name"] == topic(case).as_str()))
            .and_then(|one| one["partitions"][0]["partitionSize"].as_i64());
        let left = i64::try_from(case.left * BATCH_BYTES).expect("few bytes");
        if size != Some(left) {
            found.push(format!("{} has {size:?} bytes, not {left}", case.name));
        }
    }
    found
}
