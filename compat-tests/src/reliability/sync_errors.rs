//! Syncs that fail: nothing that was not durable is acknowledged, and no sync is tried again.
//!
//! The broker runs under strace, which fails the Nth sync of a thread, of any kind or of one file,
//! with EIO or ENOSPC; then nothing after it may count. Half of the time power is cut at once, so
//! that nothing but what was synced stays; else the broker is asked what it has to say, then
//! stopped, and then power is cut. After each, a broker without faults is held against the ledger.
//!
//! *A sync that is tried again* is one of the file (or directory, or file system) whose sync
//! failed, at any later time, or one of anything else that begins more than [`GRACE`] after the
//! failure: those that other threads had begun, or were about to begin, are none.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::audit::Auditor;
use super::check::{self, Verdict};
use super::client::{Client, ToPartition};
use super::disk::{Cut, Disk, on_disk};
use super::figure::Figure;
use super::ledger::Value;
use super::load::{Load, Plan, Topic};
use super::node::Launch;
use super::reading;
use super::{Entry, Options, workload};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "sync-errors",
    about: "records acknowledged behind a failed sync, and syncs tried again: none",
    run,
};

/// What a thread may have been about to do when another's sync failed. It is slow under strace.
const GRACE: f64 = 0.1;

/// How long a sync may be waited for that is to fail.
const PATIENCE: Duration = Duration::from_secs(8);

/// `KAFKA_STORAGE_ERROR`.
const STORAGE_ERROR: i64 = 56;

/// All calls that sync.
const SYNCS: &str = "fsync,fdatasync,syncfs,sync_file_range";

/// Files of the data directory whose syncs are failed by name: while the broker works, and when
/// it stops.
const AT_WORK: &[&str] = &[
    "klamm-durable-offsets",
    "log-start-offset-checkpoint.tmp",
    "__cluster_metadata-0/00000000000000000000.log",
    "by-size-0",
    "",
];
const AT_STOP: &[&str] = &[
    "recovery-point-offset-checkpoint.tmp",
    ".kafka_cleanshutdown.tmp",
];

/// Which sync fails.
#[derive(Clone, Debug)]
struct Fault {
    /// The call of this number, of the thread that gets there first.
    number: u32,
    error: &'static str,
    /// Only those of this path below the data directory.
    path: Option<&'static str>,
    /// Whether it is one of the stop.
    at_stop: bool,
}

/// What is counted over all faults.
#[derive(Debug, Default)]
struct Count {
    faults: u64,
    not_reached: u64,
    refused_starts: u64,
    retried: u64,
    later_syncs: u64,
    undurable_reads: Verdict,
    wrong_answers: u64,
    clean_stops: u64,
    answer_ms_max: f64,
}

fn run(options: &Options) -> Figure {
    if let Err(error) = Command::new("strace").arg("--version").output() {
        return Figure::skipped(format!("strace: {error}"));
    }
    on_disk(options, 512, |disk, figure| {
        fail_often(options, disk, figure)
    })
}

/// The faults of a run: a sample of numbers up to 50, and each file that has a name.
fn faults(options: &Options) -> Vec<Fault> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    let (sample, names) = if options.quick {
        (4, 3)
    } else {
        (15, usize::MAX)
    };
    let mut numbers: Vec<u32> = (1..=50).collect();
    random.shuffle(&mut numbers);
    numbers.truncate(sample);
    let error = |index: usize| if index % 3 == 2 { "ENOSPC" } else { "EIO" };
    let mut all: Vec<Fault> = (0..)
        .zip(numbers)
        .map(|(index, number)| Fault {
            number,
            error: error(index),
            path: None,
            at_stop: false,
        })
        .collect();
    let named = |(index, (path, at_stop)): (usize, (&'static str, bool))| Fault {
        number: 1,
        error: error(index),
        path: Some(path),
        at_stop,
    };
    let mut paths: Vec<_> = AT_WORK.iter().map(|path| (*path, false)).collect();
    paths.extend(AT_STOP.iter().map(|path| (*path, true)));
    if options.quick {
        random.shuffle(&mut paths);
    }
    all.extend(paths.into_iter().enumerate().take(names).map(named));
    all
}

fn fail_often(options: &Options, disk: &mut Disk, figure: &mut Figure) -> Result<(), String> {
    let data = disk.path().join("data");
    let launch = Launch::new(&options.klamm, &data, &options.scratch.join("broker.log"));
    let plan = Plan {
        topics: workload::topics(),
        promised: 3,
        unpromised: 1,
        records_max: 20,
        housekeeping: true,
        members: 0,
        seed: options.seed,
    };
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    workload::create_all(&plan, &mut client)?;
    drop(client);
    node.terminate(Duration::from_secs(30));
    let mut load = Load::start(&plan);
    let mut auditor = Auditor::default();
    let mut count = Count::default();
    for (index, fault) in faults(options).into_iter().enumerate() {
        let trace = options.scratch.join(format!("sync-{index}.strace"));
        let asked = fault.at_stop || index % 2 == 1;
        one(&launch, disk, &load, &fault, &trace, asked, &mut count)
            .map_err(|reason| format!("{fault:?}: {reason}"))?;
        disk.unmount()?;
        disk.mount()?;
        let node = launch.start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        auditor.look(&mut client, &load)?;
        node.kill();
        if !auditor.is_clean() {
            figure.fail(format!("after {fault:?}"));
            break;
        }
    }
    load.stop();
    auditor.finish(&launch, &load)?;
    figure.set("faults", count.faults);
    figure.set("not_reached", count.not_reached);
    figure.set("refused_starts", count.refused_starts);
    figure.none("retried", count.retried);
    figure.none("later_syncs", count.later_syncs);
    figure.none("wrong_answers", count.wrong_answers);
    figure.none("clean_stops", count.clean_stops);
    let unreadable: u64 = count.undurable_reads.faults().iter().map(|(_, n)| n).sum();
    figure.none("durable_and_unreadable", unreadable);
    figure.at_most("answer_ms_max", count.answer_ms_max, 1_000.0);
    auditor.tell(figure, &load);
    if count.faults == 0 {
        figure.fail("no fault was reached");
    }
    if figure.failed() {
        workload::keep_account(options, &load);
    }
    Ok(())
}

/// One start, one fault, and the end of power.
fn one(
    launch: &Launch,
    disk: &Disk,
    load: &Load,
    fault: &Fault,
    trace: &Path,
    asked: bool,
    count: &mut Count,
) -> Result<(), String> {
    let data = disk.path().join("data");
    let fuse = disk.fuse(Cut::Now)?;
    let node = match traced(launch, fault, &data, trace).start() {
        Ok(node) => node,
        // A sync of the start itself: it does not have to serve what it could not recover.
        Err(reason) if Trace::read(trace).failure().is_some() => {
            eprintln!("{fault:?}: no start: {reason}");
            count.refused_starts += 1;
            count.faults += 1;
            return fuse.blow();
        }
        Err(reason) => return Err(reason),
    };
    load.broker_at(node.address());
    let begin = Instant::now();
    let patience = if fault.at_stop {
        Duration::from_millis(500)
    } else {
        PATIENCE
    };
    while Trace::read(trace).failure().is_none() && begin.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    let reached = Trace::read(trace).failure().is_some();
    if !asked || !(reached || fault.at_stop) {
        fuse.blow()?;
        node.kill();
        load.broker_gone();
    } else {
        load.broker_gone();
        if reached {
            ask(
                &mut node.client().map_err(|error| error.to_string())?,
                load,
                count,
            )?;
        }
        let ended = node.terminate(Duration::from_secs(30));
        let failed = ended.is_some_and(|status| status.code().is_some_and(|code| code != 0));
        if !failed || data.join(".kafka_cleanshutdown").exists() {
            eprintln!("{fault:?}: ended as {ended:?}");
            count.clean_stops += 1;
        }
        fuse.blow()?;
    }
    let trace = Trace::read(trace);
    let Some(failure) = trace.failure() else {
        count.not_reached += 1;
        return Ok(());
    };
    count.faults += 1;
    for later in trace.begun_after(failure) {
        let retried = later.path == failure.path;
        if retried || later.at > failure.at + GRACE {
            eprintln!("{fault:?}: {failure:?} was followed by {later:?}");
            count.retried += u64::from(retried);
            count.later_syncs += u64::from(!retried);
        }
    }
    Ok(())
}

fn traced(launch: &Launch, fault: &Fault, data: &Path, trace: &Path) -> Launch {
    let inject = format!("inject={SYNCS}:error={}:when={}", fault.error, fault.number);
    let trace_calls = format!("trace={SYNCS}");
    let path = fault.path.map(|path| match path {
        "" => data.to_owned(),
        path => data.join(path),
    });
    let path = path.map(|path| path.to_string_lossy().into_owned());
    let trace = trace.to_string_lossy();
    let mut words = vec![
        "strace",
        "-D",
        "-f",
        "-qq",
        "-ttt",
        "-y",
        "-e",
        "signal=none",
    ];
    words.extend(["-e", &trace_calls, "-e", &inject, "-o", &trace]);
    if let Some(path) = &path {
        words.extend(["-P", path]);
    }
    words.push("--");
    launch.clone().under(&words)
}

/// What a broker says whose directory is offline: nothing is written, and what was durable is read.
fn ask(client: &mut Client, load: &Load, count: &mut Count) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("asking: {error}");
    let mut expect = |what: &str, code: i64| {
        if code != STORAGE_ERROR {
            eprintln!("{what} answers {code}");
            count.wrong_answers += 1;
        }
    };
    let begin = Instant::now();
    // A record without key never gets as far in a compacted topic.
    let keyless = |topic: &Topic| {
        !topic
            .configs
            .iter()
            .any(|(name, _)| *name == "cleanup.policy")
    };
    for topic in workload::topics().into_iter().filter(keyless) {
        let batch = ToPartition {
            topic: topic.name,
            partition: 0,
            batch: reading::batch(Value::new(999, 0), 1, (-1, -1, -1), 1_767_225_600_000),
        };
        let answer = client.produce(-1, batch).map_err(failed)?;
        expect("Produce", i64::from(answer.code));
    }
    let body = json!({"topics": [{"name": "late", "numPartitions": 1, "replicationFactor": 1}],
                      "timeoutMs": 5_000});
    let answer = client.ask("CreateTopics", 7, &body).map_err(failed)?;
    let code = answer["topics"][0]["errorCode"].as_i64();
    expect("CreateTopics", code.unwrap_or(-1));
    let answer = client
        .ask("DescribeLogDirs", 4, &json!({"topics": null}))
        .map_err(failed)?;
    let code = answer["results"][0]["errorCode"].as_i64();
    expect("DescribeLogDirs", code.unwrap_or(-1));
    let took = begin.elapsed().as_secs_f64() * 1_000.0;
    count.answer_ms_max = count.answer_ms_max.max(took);
    let ledger = load.ledger();
    let side_topics = load.side_topics();
    for ((topic, partition), account) in ledger.partitions() {
        if side_topics.contains_key(topic) {
            continue;
        }
        let read = reading::read(client, topic, *partition, 0).map_err(failed)?;
        let found = check::check(&format!("{topic}-{partition}"), account, &read);
        for example in &found.examples {
            eprintln!("  while offline: {example}");
        }
        count.undurable_reads.add(found);
    }
    Ok(())
}

/// A sync in a trace.
#[derive(Clone, Debug)]
struct Sync {
    /// When it began, in seconds.
    at: f64,
    path: PathBuf,
    failed: bool,
}

/// All syncs of a run, in the order in which they began.
#[derive(Debug)]
struct Trace(Vec<Sync>);

impl Trace {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut syncs: Vec<(&str, Sync)> = Vec::new();
        for line in text.lines() {
            // `THREAD TIME call(FD<PATH>…) = …`, or the second half of a call that was interrupted.
            let mut words = line.split_whitespace();
            let (Some(thread), Some(at)) = (words.next(), words.next()) else {
                continue;
            };
            let failed = line.ends_with("(INJECTED)");
            if line.contains(" resumed>") {
                let begun = syncs.iter_mut().rev().find(|(other, _)| *other == thread);
                if let Some((_, sync)) = begun {
                    sync.failed = failed;
                }
                continue;
            }
            let path = line
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'));
            if let (Some((path, _)), Ok(at)) = (path, at.parse()) {
                let path = PathBuf::from(path);
                syncs.push((thread, Sync { at, path, failed }));
            }
        }
        Self(syncs.into_iter().map(|(_, sync)| sync).collect())
    }

    /// The first that failed.
    fn failure(&self) -> Option<&Sync> {
        self.0.iter().find(|sync| sync.failed)
    }

    fn begun_after<'a>(&'a self, failure: &'a Sync) -> impl Iterator<Item = &'a Sync> {
        self.0.iter().filter(|sync| sync.at > failure.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_with_calls_that_overlap() {
        let directory = crate::server::scratch().join("trace-test");
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("trace");
        let text = "\
            7 1.5 fdatasync(3</d/a.log>) = 0\n\
            7 2.0 fdatasync(3</d/a.log> <unfinished ...>\n\
            8 2.1 fsync(4</d>) = 0\n\
            7 2.2 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n\
            8 2.9 fsync(4</d>) = 0\n";
        std::fs::write(&path, text).expect("a small file");
        let trace = Trace::read(&path);
        let failure = trace.failure().expect("one failed");
        assert_eq!(
            (failure.at, failure.path.as_path()),
            (2.0, Path::new("/d/a.log"))
        );
        assert_eq!(trace.begun_after(failure).count(), 2);
    }
}
