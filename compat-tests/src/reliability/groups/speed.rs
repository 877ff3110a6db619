//! What groups cost: a rebalance of a hundred members, the first record of one, a commit.
//!
//! A hundred raw members heartbeat every 50 ms over 200 partitions. The time of a rebalance is
//! that from the last JoinGroup that is sent to the last SyncGroup that is answered. Then members
//! come, leave and vanish: after each change the group must settle, every partition with one owner.
//! One that vanished holds the others up until its session is over, which no broker can help; those
//! rebalances are told apart.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::client::ToPartition;
use super::super::figure::Figure;
use super::super::ledger::Value;
use super::super::load::Topic;
use super::super::node::{Launch, Node};
use super::super::{Entry, Options, reading};
use super::crowd::Crowd;
use super::member::{Member, SESSION_MS};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "group-speed",
    about: "100 members rebalance within 300 ms; first record within 30 ms; a commit costs 20 us",
    run,
};

const MEMBERS: usize = 100;
const PARTITIONS: u8 = 200;
const REBALANCE_MS_MAX: f64 = 300.0;
const FIRST_RECORD_MS_MAX: f64 = 30.0;
const COMMITS: u32 = 10_000;
const COMMIT_CPU_US_MAX: f64 = 20.0;

/// Rounds of commits; the cheapest counts: whatever runs beside can only add, by cold caches and
/// a slower clock.
const COMMIT_ROUNDS: usize = 5;

/// The short run is there to find what broke, on machines of any speed.
const COMMIT_CPU_US_MAX_QUICK: f64 = 2.0 * COMMIT_CPU_US_MAX;

/// Tries of the first record, each with a broker of its own; the median counts.
const FIRST_RECORDS: usize = 5;

fn run(options: &Options) -> Figure {
    let mut figure = Figure::new();
    let measured = first_record(options, &mut figure)
        .and_then(|()| commits(options, &mut figure))
        .and_then(|()| crowds(options, &mut figure));
    if let Err(reason) = measured {
        figure.fail(reason);
    }
    figure
}

fn start(options: &Options, name: &str, durability: &str) -> Result<Node, String> {
    let log = options.scratch.join(format!("{name}.log"));
    Launch::new(&options.klamm, &options.scratch.join(name), &log)
        .set("klamm.durability", durability)
        .set("group.min.session.timeout.ms", "500")
        .start()
}

fn topic(node: &Node, name: &str, partitions: i32) -> Result<(), String> {
    let topic = Topic {
        name: name.to_owned(),
        partitions,
        configs: Vec::new(),
    };
    topic.create(&mut node.client().map_err(told)?)
}

fn told(error: std::io::Error) -> String {
    error.to_string()
}

/// How long one member needs until it has a record, where there is no topic of offsets yet.
fn first_record(options: &Options, figure: &mut Figure) -> Result<(), String> {
    let mut took = Vec::new();
    for number in 0..FIRST_RECORDS {
        let node = start(options, &format!("first-{number}"), "os")?;
        topic(&node, "t", 1)?;
        let batch = ToPartition {
            topic: "t".to_owned(),
            partition: 0,
            batch: reading::batch(Value::new(1, 0), 1, (-1, -1, -1), 0),
        };
        let produced = node
            .client()
            .and_then(|mut client| client.produce(-1, batch));
        if produced.as_ref().map(|produced| produced.code).ok() != Some(0) {
            return Err(format!("no record: {produced:?}"));
        }
        let begin = Instant::now();
        let mut member = Member::connect(node.address(), "one", 1).map_err(told)?;
        find_coordinator(&mut member)?;
        member.join().map_err(told)?;
        committed(&mut member)?;
        let fetched = member.client().fetch("t", 0, 0, 1 << 20).map_err(told)?;
        if fetched.code != 0 || fetched.records.is_empty() {
            return Err(format!("no record in {fetched:?}"));
        }
        took.push(begin.elapsed().as_secs_f64() * 1_000.0);
    }
    took.sort_by(f64::total_cmp);
    let median = took.get(FIRST_RECORDS / 2).copied().unwrap_or(f64::MAX);
    figure.at_most("first_record_ms", round(median), FIRST_RECORD_MS_MAX);
    Ok(())
}

/// As clients do, which ask again while it is not available.
fn find_coordinator(member: &mut Member) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let body = json!({"key": "one", "keyType": 0});
        let found = member.client().ask("FindCoordinator", 3, &body);
        match found.map_err(told)?["errorCode"].as_i64() {
            Some(0) => return Ok(()),
            Some(15) if begin.elapsed() < Duration::from_secs(10) => {}
            other => return Err(format!("FindCoordinator is answered {other:?}")),
        }
    }
}

fn committed(member: &mut Member) -> Result<(), String> {
    let body = json!({
        "groupId": "one", "topics": [{"name": "t", "partitionIndexes": [0]}],
        "requireStable": true
    });
    let answer = member.client().ask("OffsetFetch", 7, &body).map_err(told)?;
    let partition = &answer["topics"][0]["partitions"][0];
    match (
        partition["errorCode"].as_i64(),
        partition["committedOffset"].as_i64(),
    ) {
        (Some(0), Some(-1)) => Ok(()),
        _ => Err(format!("OffsetFetch is answered {answer}")),
    }
}

/// What a commit costs the broker.
fn commits(options: &Options, figure: &mut Figure) -> Result<(), String> {
    let node = start(options, "commits", "os")?;
    topic(&node, "t", 1)?;
    let mut member = Member::connect(node.address(), "one", 1).map_err(told)?;
    find_coordinator(&mut member)?;
    member.join().map_err(told)?;
    let mut commit = |count: u32| -> Result<(), String> {
        for offset in 0..count {
            match member.commit("t", 0, i64::from(offset)).map_err(told)? {
                0 => {}
                code => return Err(format!("a commit is answered {code}")),
            }
        }
        Ok(())
    };
    commit(COMMITS / 10)?;
    let mut least = f64::MAX;
    for _ in 0..COMMIT_ROUNDS {
        let before = node.cpu();
        commit(COMMITS)?;
        let spent = node.cpu().saturating_sub(before);
        least = least.min(spent.as_secs_f64() * 1e6 / f64::from(COMMITS));
    }
    let limit = match options.quick {
        true => COMMIT_CPU_US_MAX_QUICK,
        false => COMMIT_CPU_US_MAX,
    };
    figure.at_most("commit_cpu_us", round(least), limit);
    Ok(())
}

/// Rebalances of many members in both modes, then changes among them.
fn crowds(options: &Options, figure: &mut Figure) -> Result<(), String> {
    for durability in ["fsync", "os"] {
        let node = start(options, durability, durability)?;
        topic(&node, "t", i32::from(PARTITIONS))?;
        let mut crowd = Crowd::new(node.address(), PARTITIONS);
        for _ in 0..MEMBERS {
            crowd.add();
        }
        let took = crowd.settle(Duration::from_secs(30))?;
        let ms = round(took.as_secs_f64() * 1_000.0);
        match durability {
            "os" => {
                figure.at_most("rebalance_ms", ms, REBALANCE_MS_MAX);
                churn(options, &mut crowd, figure)?;
            }
            _ => figure.set("rebalance_ms_fsync", ms),
        }
        crowd.end();
    }
    Ok(())
}

/// Members come, leave and vanish; the group settles each time.
fn churn(options: &Options, crowd: &mut Crowd, figure: &mut Figure) -> Result<(), String> {
    let time = Duration::from_secs(if options.quick { 8 } else { 180 });
    let session = Duration::from_millis(SESSION_MS.unsigned_abs().into());
    let mut random = fastrand::Rng::with_seed(options.seed);
    let (mut slowest, mut slowest_vanished) = (Duration::ZERO, Duration::ZERO);
    let (mut changes, mut vanished) = (0, 0);
    let begin = Instant::now();
    while begin.elapsed() < time || changes < 2 {
        changes += 1;
        // One of each kind at least.
        let leaves = match changes {
            1 => true,
            2 => false,
            _ => random.u8(..4) > 0,
        };
        crowd.remove(random.usize(..), leaves);
        crowd.add();
        let took = crowd.settle(session + Duration::from_secs(10))?;
        match leaves {
            true => slowest = slowest.max(took),
            false => {
                vanished += 1;
                slowest_vanished = slowest_vanished.max(took);
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let ms = |took: Duration| round(took.as_secs_f64() * 1_000.0);
    figure.set("changes", changes);
    figure.at_most("churn_ms_max", ms(slowest), REBALANCE_MS_MAX);
    figure.set("vanished", vanished);
    figure.at_most(
        "vanished_ms_max",
        ms(slowest_vanished),
        f64::from(SESSION_MS) + 1_000.0,
    );
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
