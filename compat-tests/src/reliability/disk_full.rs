//! A disk that fills up and is freed, three times: producers are refused within a second, everybody
//! else goes on, and writing resumes by itself.
//!
//! The file system has 64 MB. Producers fill it; after a while in that state it is freed, by
//! DeleteRecords, by the deletion of a topic, and, where another program took the very last block,
//! by the end of that program. All the while a reader fetches, and changes of settings are
//! committed to the metadata log, which stands for offset commits: both are the broker's own
//! records.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::check::{self, Verdict};
use super::client::{Client, ToPartition};
use super::disk::{Disk, on_disk};
use super::figure::Figure;
use super::ledger::{Ledger, Partition, Sent, Value};
use super::node::{Launch, Node};
use super::reading;
use super::{Entry, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "disk-full",
    about: "a full disk: refusals within 1 s, nobody else harmed, writing resumes within 5 s",
    run,
};

const DISK_MIB: u64 = 64;
const PARTITIONS: i32 = 2;

/// Records in a batch: about 50 KB.
const RECORDS: u32 = 1_000;

/// How long after there is room producers may be refused.
const RESUMED_MAX: Duration = Duration::from_secs(5);

/// How long a full disk stays so.
const FULL_FOR: Duration = Duration::from_secs(3);

/// How long a producer waits after a refusal, as Kafka's (`retry.backoff.ms`).
const BACKOFF: Duration = Duration::from_millis(100);

/// `KAFKA_STORAGE_ERROR`, `OFFSET_OUT_OF_RANGE`, `UNKNOWN_TOPIC_OR_PARTITION`.
const STORAGE_ERROR: i16 = 56;
const OUT_OF_RANGE: i16 = 1;
const UNKNOWN: i16 = 3;

/// What all threads share.
#[derive(Debug)]
struct Shared {
    address: String,
    over: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The topic that producers write to: chosen and noted in the ledger in one step, or a batch
    /// would be noted of a topic that is gone.
    topic: String,
    ledger: Ledger,
    refused: u64,
    answer_ms_max: f64,
    /// When a producer was refused or acknowledged last.
    last_refusal: Option<Instant>,
    last_success: Option<Instant>,
    commits: u64,
    commits_failed: u64,
    commit_ms_max: f64,
    fetches: u64,
    fetches_failed: u64,
    other_codes: Vec<i16>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970: older records would go by retention.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn client(&self) -> Client {
        Client::connect(&self.address).expect("the broker listens")
    }

    /// An idempotent producer with one request in flight, which sends again what is refused.
    fn produce(&self, number: u16) {
        let mut client = self.client();
        let (id, epoch) = client.producer_id().expect("a producer id");
        let mut sequences = std::collections::HashMap::<Partition, i32>::new();
        let mut next = Value::new(number, 0);
        while !self.is_over() {
            let mut state = lock(&self.state);
            let to: Partition = (state.topic.clone(), i32::from(number) % PARTITIONS);
            let sequence = sequences.entry(to.clone()).or_default();
            let producer = (id, epoch, *sequence);
            let sent = Sent {
                first: next,
                count: RECORDS,
                producer,
                promised: true,
                answered: None,
            };
            let ticket = state.ledger.send(&to, sent);
            drop(state);
            let batch = ToPartition {
                topic: to.0.clone(),
                partition: to.1,
                batch: reading::batch(next, RECORDS, producer, now()),
            };
            loop {
                let begin = Instant::now();
                let answer = client.produce(-1, batch.clone()).expect("an answer");
                let mut state = lock(&self.state);
                if answer.code == 0 {
                    state.last_success = Some(Instant::now());
                    // Of a topic that was deleted meanwhile nothing is known any more.
                    if state.ledger.of(&to).is_some() {
                        let noted = state.ledger.answer(&ticket, answer.base_offset);
                        noted.expect("one offset");
                    }
                    *sequence += RECORDS as i32;
                    break;
                }
                if answer.code == UNKNOWN {
                    break;
                }
                state.refused += 1;
                state.answer_ms_max = state.answer_ms_max.max(milliseconds(begin));
                state.last_refusal = Some(Instant::now());
                if answer.code != STORAGE_ERROR {
                    state.other_codes.push(answer.code);
                }
                drop(state);
                std::thread::sleep(BACKOFF);
                if self.is_over() || lock(&self.state).topic != to.0 {
                    break;
                }
            }
            next = next.plus(u64::from(RECORDS));
        }
    }

    /// Commits to the metadata log.
    fn commit(&self) {
        let mut client = self.client();
        let mut number = 0;
        while !self.is_over() {
            number += 1;
            let begin = Instant::now();
            let change = json!({"resources": [{
                "resourceType": 2, "resourceName": "a",
                "configs": [{"name": "max.message.bytes", "configOperation": 0,
                             "value": (2_000_000 + number).to_string()}]
            }], "validateOnly": false});
            let answer = client
                .ask("IncrementalAlterConfigs", 1, &change)
                .expect("an answer");
            let code = answer["responses"][0]["errorCode"].as_i64();
            let mut state = lock(&self.state);
            state.commits += 1;
            state.commit_ms_max = state.commit_ms_max.max(milliseconds(begin));
            if code != Some(0) {
                eprintln!("a commit is answered {answer}");
                state.commits_failed += 1;
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fetches from the beginning to the end, again and again.
    fn fetch(&self) {
        let mut client = self.client();
        let mut offset = 0;
        while !self.is_over() {
            let fetched = client.fetch("a", 0, offset, 1 << 20).expect("an answer");
            let mut state = lock(&self.state);
            state.fetches += 1;
            // Records that are deleted meanwhile are answered so.
            if fetched.code != 0 && fetched.code != OUT_OF_RANGE {
                eprintln!("a fetch is answered {}", fetched.code);
                state.fetches_failed += 1;
            }
            drop(state);
            let mut reading = reading::Reading::default();
            let next = reading.take(&fetched.records, offset);
            offset = match next == offset {
                false => next,
                true => {
                    std::thread::sleep(Duration::from_millis(10));
                    let (code, start) = client.list_offset("a", 0, -2).expect("an answer");
                    assert_eq!(code, 0, "the log start is told");
                    start
                }
            };
        }
    }

    /// Waits until producers are refused.
    fn wait_until_full(&self) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            let refused = lock(&self.state).last_refusal;
            if refused.is_some_and(|at| at > begin) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("the disk did not fill up".to_owned())
    }

    /// Waits until a producer is acknowledged that was refused until now; how long that took.
    fn wait_until_writing(&self) -> Result<Duration, String> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(30) {
            let success = lock(&self.state).last_success;
            if let Some(at) = success.filter(|at| *at > begin) {
                return Ok(at - begin);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("writing did not resume".to_owned())
    }
}

fn run(options: &Options) -> Figure {
    on_disk(options, DISK_MIB, |disk, figure| {
        fill_and_free(options, disk, figure)
    })
}

fn fill_and_free(options: &Options, disk: &Disk, figure: &mut Figure) -> Result<(), String> {
    let data = disk.path().join("data");
    // Settings as they come: segments larger than the disk, files that stay a minute.
    let launch = Launch::new(&options.klamm, &data, &options.scratch.join("broker.log"));
    let mut node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    for topic in ["a", "b"] {
        create(&mut client, topic)?;
    }
    let shared = Shared {
        address: node.address().to_owned(),
        over: AtomicBool::new(false),
        state: Mutex::new(State {
            topic: "a".to_owned(),
            ..State::default()
        }),
    };
    let resumed = std::thread::scope(|scope| {
        scope.spawn(|| shared.produce(1));
        scope.spawn(|| shared.produce(2));
        scope.spawn(|| shared.commit());
        scope.spawn(|| shared.fetch());
        let resumed = rounds(&shared, &mut client, disk.path());
        shared.over.store(true, Ordering::SeqCst);
        resumed
    })?;
    if let Some(status) = node.ended() {
        return Err(format!("the broker ended: {status:?}"));
    }
    let memory_kib = node.resident_kib().unwrap_or(0);
    let state = lock(&shared.state);
    let mut verdict = look(&mut client, &state.ledger)?;
    verdict.add(after_restart(&launch, node, &state.ledger)?);
    figure.set("acknowledged_records", state.ledger.acknowledged());
    figure.set("refusals", state.refused);
    figure.at_most("refusal_ms_max", state.answer_ms_max, 1_000.0);
    figure.set("commits", state.commits);
    figure.none("commits_failed", state.commits_failed);
    figure.set("commit_ms_max", state.commit_ms_max.round());
    figure.set("fetches", state.fetches);
    figure.none("fetches_failed", state.fetches_failed);
    figure.none("other_codes", state.other_codes.len() as u64);
    figure.set("resident_kib", memory_kib);
    for (how, took) in resumed {
        figure.set(&format!("resumed_ms_{how}"), took.as_millis() as u64);
        if took > RESUMED_MAX {
            figure.fail(format!("after {how} writing resumed in {took:?}"));
        }
    }
    verdict.tell(figure);
    if verdict.refused > 0 {
        figure.fail("records are refused as damaged, and no power was cut");
    }
    Ok(())
}

fn create(client: &mut Client, name: &str) -> Result<(), String> {
    let topic = json!({"name": name, "numPartitions": PARTITIONS, "replicationFactor": 1});
    let body = json!({"topics": [topic], "timeoutMs": 10_000});
    let answer = client.ask("CreateTopics", 7, &body);
    match answer {
        Ok(answer) if answer["topics"][0]["errorCode"] == 0 => Ok(()),
        other => Err(format!("CreateTopics of {name}: {other:?}")),
    }
}

/// Fills and frees three times; how long it took until something was acknowledged again.
fn rounds(
    shared: &Shared,
    client: &mut Client,
    disk: &Path,
) -> Result<Vec<(&'static str, Duration)>, String> {
    let mut resumed = Vec::new();

    shared.wait_until_full()?;
    std::thread::sleep(FULL_FOR);
    create(client, "made-on-a-full-disk")?;
    delete_records(shared, client, "a")?;
    resumed.push(("delete_records", shared.wait_until_writing()?));

    "b".clone_into(&mut lock(&shared.state).topic);
    shared.wait_until_full()?;
    std::thread::sleep(FULL_FOR);
    let body = json!({"topics": [{"name": "b"}], "timeoutMs": 10_000});
    let answer = client.ask("DeleteTopics", 6, &body);
    let code = answer.map(|answer| answer["responses"][0]["errorCode"].as_i64());
    if !matches!(code, Ok(Some(0))) {
        return Err(format!("DeleteTopics: {code:?}"));
    }
    {
        let mut state = lock(&shared.state);
        "a".clone_into(&mut state.topic);
        for partition in 0..PARTITIONS {
            state.ledger.forget(&("b".to_owned(), partition));
        }
    }
    resumed.push(("delete_topic", shared.wait_until_writing()?));

    let hog = Hog::fill(&disk.join("hog"))?;
    shared.wait_until_full()?;
    std::thread::sleep(FULL_FOR);
    // Somebody else's disk again.
    drop(hog);
    resumed.push(("other_program", shared.wait_until_writing()?));
    std::thread::sleep(Duration::from_secs(1));
    Ok(resumed)
}

/// Deletes all records that there are.
fn delete_records(shared: &Shared, client: &mut Client, topic: &str) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let failed = |error: std::io::Error| format!("DeleteRecords: {error}");
        let to = (topic.to_owned(), partition);
        let (_, end) = client.list_offset(topic, partition, -1).map_err(failed)?;
        lock(&shared.state).ledger.ask_to_delete(&to, end);
        let (code, start) = client
            .delete_records(topic, partition, end)
            .map_err(failed)?;
        if (code, start) != (0, end) {
            return Err(format!("DeleteRecords to {end}: {code}, {start}"));
        }
        lock(&shared.state).ledger.deleted(&to, end);
    }
    Ok(())
}

/// Another program's file, which takes whatever there is; dropping it gives that back.
#[derive(Debug)]
struct Hog {
    path: PathBuf,
}

impl Hog {
    /// Takes every block, and those that come free in the next second.
    fn fill(path: &Path) -> Result<Self, String> {
        let mut file = std::fs::File::create(path).map_err(|error| error.to_string())?;
        let hog = Self {
            path: path.to_owned(),
        };
        let block = vec![0x5a; 64 * 1024];
        let begin = Instant::now();
        let mut len = block.len();
        while begin.elapsed() < Duration::from_secs(1) {
            if file.write_all(&block[..len]).is_err() {
                len = (len / 2).max(4096);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(hog)
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Holds what there is against the ledger.
fn look(client: &mut Client, ledger: &Ledger) -> Result<Verdict, String> {
    let mut verdict = Verdict::default();
    for ((topic, partition), account) in ledger.partitions() {
        let read = reading::read(client, topic, *partition, 0);
        let read = read.map_err(|error| format!("reading everything: {error}"))?;
        let name = format!("{topic}-{partition}");
        verdict.add(check::check(&name, account, &read));
    }
    Ok(verdict)
}

/// The same after a clean stop and a start.
fn after_restart(launch: &Launch, node: Node, ledger: &Ledger) -> Result<Verdict, String> {
    let ended = node.terminate(Duration::from_secs(30));
    if !ended.is_some_and(|status| status.success()) {
        return Err(format!("the stop ended as {ended:?}"));
    }
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    let mut verdict = look(&mut client, ledger)?;
    verdict.acknowledged = 0;
    let ended = node.terminate(Duration::from_secs(30));
    if !ended.is_some_and(|status| status.success()) {
        return Err(format!("the second stop ended as {ended:?}"));
    }
    Ok(verdict)
}
