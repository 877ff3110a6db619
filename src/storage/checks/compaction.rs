//! The promises of compaction, checked through any sequence of operations against a list of what
//! was appended: for a long run, and for the tests.
//!
//! The model knows no segment and no batch of the store's, only Kafka's rules:
//!
//! 1. What is read was appended, at that offset, with that key, value and timestamp; offsets
//!    ascend; every batch has its checksum.
//! 2. Above the cleaned part every record is there. Below, one may be missing if it has no key, if
//!    a newer one of its key is below, too, and was not aborted, if it was aborted itself, or if it
//!    is a tombstone whose horizon passed.
//! 3. Below the end of a cleaning that came to its end, what must be missing is: all of these, and
//!    tombstones whose horizon had passed by then.
//! 4. A consumer that reads from the start, `read_committed`, knows of every key the last value
//!    that was committed, or that there is none.
//! 5. The last five batches of an idempotent producer, as far as they are not deleted, are
//!    duplicates when they are sent again.
//!
//! All of that after every operation, be it a cleaning, a restart, or a power cut in the midst of a
//! cleaning.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{
    BatchBuilder, BatchHeader, Codec, ControlType, EndMarker, Level, ValidBatch, records,
};
use crate::clock::{Clock, ManualClock};
use crate::io::PowerCutIo;
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicName, TopicPartition,
};

use crate::storage::{
    AbortedTransaction, CleanerOptions, Durability, Haste, Isolation, LogConfig, Partition,
    PartitionSpec, Store, StoreOptions, Upkeep,
};

/// The wall clock at the start of a run.
const NOW: i64 = 1_700_000_000_000;

/// `delete.retention.ms` of a run.
const DELETE_RETENTION_MS: i64 = 60_000;

/// Idempotent producers of a run.
const PRODUCERS: i64 = 3;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Operations.
    pub operations: usize,
    /// Cleanings that came to their end.
    pub cleanings: usize,
    /// Records that were cleaned away.
    pub records_gone: usize,
    /// Stops and starts.
    pub restarts: usize,
    /// Power cuts in the midst of a cleaning.
    pub cuts: usize,
    /// Batches that were sent again.
    pub retries: usize,
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.cleanings += other.cleanings;
        self.records_gone += other.records_gone;
        self.restarts += other.restarts;
        self.cuts += other.cuts;
        self.retries += other.retries;
    }
}

/// Runs so many random operations that follow from the seed alone; an error says what differed
/// from the model, and after which operation.
pub fn check_compaction(seed: u64, operations: usize) -> Result<Checked, String> {
    let mut run = Run::new(seed)?;
    for number in 0..operations {
        let operation = run.random_operation();
        run.apply(operation)
            .and_then(|()| run.compare())
            .map_err(|what| format!("seed {seed}, operation {number}, {operation:?}: {what}"))?;
        run.checked.operations += 1;
    }
    run.apply(Operation::CleanAll)
        .and_then(|()| run.restart(End::Clean))
        .and_then(|()| run.compare())
        .map_err(|what| format!("seed {seed}, at the end: {what}"))?;
    Ok(run.checked)
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// A batch of no producer, or of one of the idempotent ones.
    Append {
        producer: Option<i64>,
        transactional: bool,
    },
    /// Ends a producer's transaction.
    End {
        producer: i64,
        committed: bool,
    },
    /// Sends one of a producer's last batches again.
    Retry {
        producer: i64,
    },
    /// A newer incarnation of a producer.
    NewEpoch {
        producer: i64,
    },
    Advance {
        ms: u64,
    },
    Clean,
    CleanAll,
    /// Cuts the power after so many more system calls, of a cleaning.
    CutCleaning {
        calls: usize,
    },
    DeleteRecords {
        share: i64,
    },
    Restart(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    Dropped,
    PowerCut,
}

/// A record that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: i64,
    fate: Fate,
    /// How many cleanings were begun before it was appended.
    attempts_before: usize,
}

/// What became of a record's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is committed, or was never in one.
    Committed,
    Aborted,
    /// Of this producer's open transaction.
    Open(i64),
}

/// A producer as a client knows itself.
#[derive(Clone, Debug, Default)]
struct Producer {
    epoch: i16,
    next_sequence: i32,
    in_transaction: bool,
    /// Batches that may be sent again, with their offsets.
    last: VecDeque<(ValidBatch, i64)>,
}

struct Run {
    random: fastrand::Rng,
    clock: Arc<ManualClock>,
    io: Arc<PowerCutIo>,
    config: LogConfig,
    dedupe_buffer_bytes: u64,
    leader_epoch: i32,
    /// None between a stop and a start.
    store: Option<Arc<Store>>,
    partition: Option<Arc<Partition>>,
    log: BTreeMap<i64, Record>,
    log_start: i64,
    log_end: i64,
    producers: HashMap<i64, Producer>,
    /// Offset below which everything obsolete is gone.
    clean_to: i64,
    /// Offset below which things may be gone.
    touched_to: i64,
    /// The same for aborted records: those go as far as segments are rewritten, whose keys may
    /// not all have fitted into the map.
    rewritten_to: i64,
    /// When cleanings were begun.
    attempts: Vec<i64>,
    /// When cleanings came to their end, and up to where.
    done: Vec<(i64, i64)>,
    gone: BTreeSet<i64>,
    checked: Checked,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Run {
    fn new(seed: u64) -> Result<Self, String> {
        let mut random = fastrand::Rng::with_seed(seed);
        let config = LogConfig {
            segment_bytes: random.u64(400..3_000),
            segment_ms: 10_000,
            index_interval_bytes: 200,
            file_delete_delay_ms: 0,
            durability: match random.u8(..3) {
                0 => Durability::Os,
                _ => Durability::Fsync,
            },
            delete: false,
            compact: true,
            flush_messages: 1,
            min_cleanable_dirty_ratio: 0.0,
            delete_retention_ms: DELETE_RETENTION_MS,
            ..LogConfig::default()
        };
        let dedupe_buffer_bytes = match random.bool() {
            true => 24 * random.u64(2..12),
            false => 24 * 100,
        };
        let mut run = Self {
            random,
            clock: ManualClock::at(Timestamp(NOW)),
            io: PowerCutIo::new(),
            config,
            dedupe_buffer_bytes,
            leader_epoch: 0,
            store: None,
            partition: None,
            log: BTreeMap::new(),
            log_start: 0,
            log_end: 0,
            producers: (0..PRODUCERS).map(|id| (id, Producer::default())).collect(),
            clean_to: 0,
            touched_to: 0,
            rewritten_to: 0,
            attempts: Vec::new(),
            done: Vec::new(),
            gone: BTreeSet::new(),
            checked: Checked::default(),
        };
        run.open()?;
        // With the first record the directory's own files reach the disk.
        run.append(None, false)?;
        Ok(run)
    }

    fn open(&mut self) -> Result<(), String> {
        let options = StoreOptions {
            io: self.io.clone(),
            dir: "/data".into(),
            clock: self.clock.clone(),
            node_id: NodeId(0),
            cluster_id: None,
            open_files_max: 8,
            durability: self.config.durability,
            producer_id_expiration_ms: i64::MAX,
            seed: self.random.u64(..),
            reserve_bytes: Some(0),
            upkeep: Upkeep {
                retention_check_interval_ms: i64::MAX,
                cleaner: CleanerOptions {
                    enable: false,
                    dedupe_buffer_bytes: self.dedupe_buffer_bytes,
                    ..CleanerOptions::default()
                },
                ..Upkeep::default()
            },
        };
        let (store, _) = Store::open(options).map_err(text)?;
        let partition = store.attach(PartitionSpec {
            topic_name: TopicName::new("t").map_err(text)?,
            id: TopicPartition {
                topic: TopicId(uuid::Uuid::from_u128(7)),
                partition: PartitionId(0),
            },
            leader_epoch: LeaderEpoch(self.leader_epoch),
            config: Arc::new(self.config.clone()),
            may_use_reserve: false,
        });
        store.recover();
        (self.store, self.partition) = (Some(store), Some(partition));
        Ok(())
    }

    fn now(&self) -> i64 {
        self.clock.wall().0
    }

    fn partition(&self) -> Result<&Arc<Partition>, String> {
        self.partition.as_ref().ok_or("no partition".to_owned())
    }

    fn random_operation(&mut self) -> Operation {
        let random = &mut self.random;
        let producer = random.i64(..PRODUCERS).rem_euclid(PRODUCERS);
        match random.u8(..100) {
            0..=24 => Operation::Append {
                producer: None,
                transactional: false,
            },
            25..=46 => Operation::Append {
                producer: Some(producer),
                transactional: random.bool(),
            },
            47..=54 => Operation::End {
                producer,
                committed: random.bool(),
            },
            55..=59 => Operation::Retry { producer },
            60 => Operation::NewEpoch { producer },
            61..=73 => Operation::Advance {
                ms: match random.u8(..4) {
                    0 => random.u64(..100_000),
                    1 => random.u64(10_000..20_000),
                    _ => random.u64(..2_000),
                },
            },
            74..=86 => Operation::Clean,
            87..=88 => Operation::CleanAll,
            89..=92 => Operation::CutCleaning {
                calls: random.usize(..40),
            },
            93 => Operation::DeleteRecords {
                share: random.i64(0..60),
            },
            94..=95 => Operation::Restart(End::Dropped),
            96..=97 => Operation::Restart(End::PowerCut),
            _ => Operation::Restart(End::Clean),
        }
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Append {
                producer,
                transactional,
            } => self.append(producer, transactional),
            Operation::End {
                producer,
                committed,
            } => self.end_transaction(producer, committed),
            Operation::Retry { producer } => self.retry(producer),
            Operation::NewEpoch { producer } => {
                if let Some(producer) = self.producers.get_mut(&producer)
                    && !producer.in_transaction
                {
                    producer.epoch += 1;
                    producer.next_sequence = 0;
                    producer.last.clear();
                }
                Ok(())
            }
            Operation::Advance { ms } => {
                self.clock.advance(Duration::from_millis(ms));
                Ok(())
            }
            Operation::Clean => self.clean().map(drop),
            Operation::CleanAll => {
                while self.clean()? {}
                Ok(())
            }
            Operation::CutCleaning { calls } => self.cut_cleaning(calls),
            Operation::DeleteRecords { share } => self.delete_records(share),
            Operation::Restart(end) => self.restart(end),
        }
    }

    /// A batch with random records, and what the model keeps of them.
    fn random_batch(
        &mut self,
        mut builder: BatchBuilder,
        fate: Fate,
    ) -> Result<(ValidBatch, Vec<Record>), String> {
        let codec = match self.random.bool() {
            true => Codec::None,
            false => self.random.choice(Codec::ALL).unwrap_or(Codec::None),
        };
        builder = builder.compression(codec, Level::Default);
        let mut appended = Vec::new();
        for _ in 0..self.random.usize(1..5) {
            let random = &mut self.random;
            let key = (random.u8(..20) > 0).then(|| vec![b'k', random.u8(..9)]);
            let len = random.usize(..60);
            let value = (random.u8(..5) > 0).then(|| vec![random.u8(b'a'..=b'z'); len]);
            let timestamp = self.clock.wall().0 - random.i64(0..3_000);
            builder.push(Timestamp(timestamp), key.as_deref(), value.as_deref());
            appended.push(Record {
                key,
                value,
                timestamp,
                fate,
                attempts_before: self.attempts.len(),
            });
        }
        Ok((builder.build().map_err(text)?, appended))
    }

    fn append(&mut self, producer: Option<i64>, transactional: bool) -> Result<(), String> {
        let mut builder = BatchBuilder::new();
        let mut fate = Fate::Committed;
        if let Some(id) = producer {
            let state = self.producers.entry(id).or_default();
            let (epoch, sequence) = (ProducerEpoch(state.epoch), state.next_sequence);
            builder = builder.producer(ProducerId(id), epoch, sequence);
            // A producer that is in a transaction sends nothing else.
            if transactional || state.in_transaction {
                builder = builder.transactional();
                fate = Fate::Open(id);
            }
        }
        let (batch, appended) = self.random_batch(builder, fate)?;
        let done = self.partition()?.append(batch.clone(), false);
        let done = done.map_err(text)?;
        if done.base_offset.0 != self.log_end || done.duplicate {
            return Err(format!("appended as {done:?} at {}", self.log_end));
        }
        let count = i64::try_from(appended.len()).unwrap_or(0);
        for (offset, record) in (self.log_end..).zip(appended) {
            self.log.insert(offset, record);
        }
        if let Some(state) = producer.and_then(|id| self.producers.get_mut(&id)) {
            state.next_sequence += i32::try_from(count).unwrap_or(0);
            state.in_transaction |= fate != Fate::Committed;
            state.last.push_back((batch, self.log_end));
            if state.last.len() > 5 {
                state.last.pop_front();
            }
        }
        self.log_end += count;
        Ok(())
    }

    fn end_transaction(&mut self, id: i64, committed: bool) -> Result<(), String> {
        let Some(state) = self.producers.get_mut(&id) else {
            return Ok(());
        };
        if !state.in_transaction {
            return Ok(());
        }
        state.in_transaction = false;
        let marker = EndMarker {
            committed,
            coordinator_epoch: 0,
        };
        let epoch = ProducerEpoch(state.epoch);
        let now = self.clock.wall();
        let batch = marker.batch(ProducerId(id), epoch, now).map_err(text)?;
        self.partition()?.append(batch, false).map_err(text)?;
        self.log_end += 1;
        let fate = match committed {
            true => Fate::Committed,
            false => Fate::Aborted,
        };
        for record in self.log.values_mut() {
            if record.fate == Fate::Open(id) {
                record.fate = fate;
            }
        }
        Ok(())
    }

    fn retry(&mut self, id: i64) -> Result<(), String> {
        let sent = self.producers.get(&id).map(|state| state.last.clone());
        // Segments that are gone take with them all but a producer's last batch: that is what
        // their snapshot holds.
        let sent: Vec<_> = sent
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, offset)| *offset >= self.log_start)
            .collect();
        let Some((batch, offset)) = self.random.choice(&sent) else {
            return Ok(());
        };
        let again = self.partition()?.append(batch.clone(), false);
        self.checked.retries += 1;
        match again {
            Ok(again) if again.duplicate && again.base_offset.0 == *offset => Ok(()),
            other => Err(format!("sent again what is at {offset}: {other:?}")),
        }
    }

    /// One cleaning; whether there was something to do.
    fn clean(&mut self) -> Result<bool, String> {
        self.wait_durable()?;
        let now = self.now();
        self.attempts.push(now);
        let stable = self.partition()?.offsets().map_err(text)?.last_stable;
        self.rewritten_to = self.rewritten_to.max(stable.0);
        let store = self.store.as_ref().ok_or("no store")?;
        let Some(cleaned) = store.clean_once() else {
            return Ok(false);
        };
        if cleaned.to <= cleaned.from {
            return Err(format!("no progress: {cleaned:?}"));
        }
        self.clean_to = self.clean_to.max(cleaned.to.0);
        self.touched_to = self.touched_to.max(cleaned.to.0);
        self.done.push((now, cleaned.to.0));
        self.checked.cleanings += 1;
        Ok(true)
    }

    fn cut_cleaning(&mut self, calls: usize) -> Result<(), String> {
        self.wait_durable()?;
        let stable = self.partition()?.offsets().map_err(text)?.last_stable;
        self.attempts.push(self.now());
        self.io.cut_after(calls);
        if let Some(cleaned) = self.store.as_ref().and_then(|store| store.clean_once()) {
            self.clean_to = self.clean_to.max(cleaned.to.0);
        }
        self.touched_to = self.touched_to.max(stable.0);
        self.rewritten_to = self.rewritten_to.max(stable.0);
        self.checked.cuts += 1;
        self.restart(End::PowerCut)
    }

    fn delete_records(&mut self, share: i64) -> Result<(), String> {
        self.wait_durable()?;
        let stable = self.partition()?.offsets().map_err(text)?.last_stable.0;
        let before = Offset(stable.min(self.log_end * share / 100));
        let store = self.store.as_ref().ok_or("no store")?;
        let wanted = [(self.partition()?.clone(), before)];
        for deleted in store.delete_records(&wanted) {
            self.log_start = deleted.map_err(text)?.0;
        }
        let freed = self.store.as_ref().ok_or("no store")?;
        freed.apply_retention(Haste::Usual);
        Ok(())
    }

    fn restart(&mut self, end: End) -> Result<(), String> {
        if !self.io.is_off() {
            self.wait_durable()?;
        }
        self.partition = None;
        // It holds the directory until it is dropped.
        if let Some(store) = self.store.take().filter(|_| end == End::Clean) {
            store.close().map_err(text)?;
        }
        if end != End::Clean {
            self.leader_epoch += 1;
        }
        if end == End::PowerCut {
            self.io = self.io.after_cut(&mut self.random);
        }
        self.checked.restarts += 1;
        self.open()
    }

    /// Waits until everything is on disk, and below the high watermark.
    fn wait_durable(&self) -> Result<(), String> {
        let partition = self.partition()?;
        for patience in 0.. {
            let offsets = partition.offsets().map_err(text)?;
            if offsets.durable == offsets.log_end && offsets.high_watermark == offsets.log_end {
                break;
            }
            if patience > 100_000 {
                return Err(format!("never on disk: {offsets:?}"));
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }

    /// Compares everything that can be read with the model.
    fn compare(&mut self) -> Result<(), String> {
        let offsets = self.partition()?.offsets().map_err(text)?;
        let found = (offsets.log_start.0, offsets.log_end.0);
        // The log start may be raised to a segment's base, never beyond what was asked for.
        if found != (self.log_start, self.log_end) {
            let (start, end) = (self.log_start, self.log_end);
            return Err(format!("offsets are {offsets:?}, not {start} to {end}"));
        }
        let there = self.read_all()?;
        self.compare_records(&there)?;
        self.compare_consumer()
    }

    /// Every record from the log start to the log end.
    fn read_all(&self) -> Result<BTreeMap<i64, Record>, String> {
        let mut there = BTreeMap::new();
        let (mut next, partition) = (self.log_start, self.partition()?);
        while next < self.log_end {
            let read = partition.read(Offset(next), 700, true, Isolation::LogEnd);
            let read = read.map_err(|error| format!("at {next}: {error}"))?;
            let bytes = read.records.to_bytes().map_err(text)?;
            if bytes.is_empty() {
                break;
            }
            each_batch(&bytes, |header, batch| {
                if header.last_offset().0 < next || header.next_offset().0 > self.log_end {
                    return Err(format!("offset {} after {next}", header.last_offset()));
                }
                next = header.next_offset().0;
                if header.is_control() {
                    return Ok(());
                }
                for record in &records(batch).map_err(text)? {
                    let record = record.map_err(text)?;
                    let read = Record {
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                        timestamp: record.timestamp.0,
                        fate: Fate::Committed,
                        attempts_before: 0,
                    };
                    if record.offset.0 >= self.log_start
                        && there.insert(record.offset.0, read).is_some()
                    {
                        return Err(format!("offset {} twice", record.offset));
                    }
                }
                Ok(())
            })?;
        }
        Ok(there)
    }

    fn compare_records(&mut self, there: &BTreeMap<i64, Record>) -> Result<(), String> {
        for (offset, read) in there {
            let same = |record: &Record| {
                (&record.key, &record.value, record.timestamp)
                    == (&read.key, &read.value, read.timestamp)
            };
            if !self.log.get(offset).is_some_and(same) {
                let appended = self.log.get(offset);
                return Err(format!("read {read:?} at {offset}, not {appended:?}"));
            }
        }
        let mut gone = BTreeSet::new();
        // The offsets of newer records of each key, of those that count.
        let mut newer: HashMap<&[u8], i64> = HashMap::new();
        for (offset, record) in self.log.range(self.log_start..).rev() {
            let key = record.key.as_deref();
            let newest = key.and_then(|key| newer.get(key).copied());
            let counts = record.fate == Fate::Committed;
            if let Some(key) = key.filter(|_| counts) {
                // The newest that a cleaning up to some offset may have seen is the next one.
                newer.insert(key, *offset);
            }
            let obsolete_below = |end: i64| {
                *offset < end
                    && (record.fate == Fate::Aborted
                        || record.key.is_none()
                        || newest.is_some_and(|newest| newest < end))
            };
            let (may_go, must_go) = self.expired(*offset, record);
            match there.contains_key(offset) {
                true if obsolete_below(self.clean_to) => {
                    return Err(format!(
                        "{record:?} at {offset} is obsolete, and still there"
                    ));
                }
                true if must_go => {
                    return Err(format!("the tombstone at {offset} outlived its horizon"));
                }
                true if self.gone.contains(offset) => {
                    return Err(format!("{record:?} at {offset} was gone, and is back"));
                }
                true => {}
                false => {
                    let aborted = record.fate == Fate::Aborted && *offset < self.rewritten_to;
                    let allowed = aborted
                        || obsolete_below(self.touched_to)
                        || (may_go && *offset < self.touched_to);
                    if !allowed {
                        return Err(format!("{record:?} at {offset} is missing"));
                    }
                    gone.insert(*offset);
                }
            }
        }
        // What a power cut in the midst of a cleaning brings back is not gone; a start tells.
        self.checked.records_gone += gone.difference(&self.gone).count();
        self.gone = gone;
        Ok(())
    }

    /// Whether a record may be, and must be, missing as a tombstone whose horizon passed.
    fn expired(&self, offset: i64, record: &Record) -> (bool, bool) {
        if record.value.is_some() || record.fate != Fate::Committed {
            return (false, false);
        }
        let attempts = self.attempts.get(record.attempts_before..);
        let attempts = attempts.unwrap_or_default();
        let may = match (attempts.first(), attempts.last()) {
            (Some(first), Some(last)) => *last >= first + DELETE_RETENTION_MS,
            _ => false,
        };
        let mut cleanings = self.done.iter().filter(|(_, to)| *to > offset);
        let first = cleanings.next().map_or(i64::MAX, |(at, _)| *at);
        let must = cleanings.any(|(at, _)| *at >= first.saturating_add(DELETE_RETENTION_MS));
        (may, must)
    }

    /// Reads as a consumer does that wants committed records only, and compares what it knows of
    /// every key.
    fn compare_consumer(&self) -> Result<(), String> {
        let partition = self.partition()?;
        let stable = partition.offsets().map_err(text)?.last_stable.0;
        let mut seen: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let mut next = self.log_start;
        let mut aborting: BTreeSet<i64> = BTreeSet::new();
        while next < stable {
            let read = partition.read(Offset(next), 900, true, Isolation::ReadCommitted);
            let read = read.map_err(|error| format!("committed at {next}: {error}"))?;
            let bytes = read.records.to_bytes().map_err(text)?;
            if bytes.is_empty() {
                break;
            }
            let mut ahead: VecDeque<AbortedTransaction> = {
                let mut list = read.aborted.clone();
                list.sort_by_key(|transaction| transaction.first_offset);
                list.into()
            };
            aborting.clear();
            each_batch(&bytes, |header, batch| {
                next = header.next_offset().0;
                while let Some(first) = ahead.front().copied()
                    && first.first_offset <= header.last_offset()
                {
                    aborting.insert(first.producer_id);
                    ahead.pop_front();
                }
                let opened = records(batch).map_err(text)?;
                if header.is_control() {
                    let record = opened.iter().next().and_then(Result::ok);
                    let kind = record.and_then(|record| ControlType::from_key(record.key?));
                    if kind == Some(ControlType::Abort) {
                        aborting.remove(&header.producer_id);
                    }
                    return Ok(());
                }
                if header.is_transactional() && aborting.contains(&header.producer_id) {
                    return Ok(());
                }
                for record in &opened {
                    let record = record.map_err(text)?;
                    // The last stable offset may have risen since.
                    if let Some(key) = record.key
                        && (self.log_start..stable).contains(&record.offset.0)
                    {
                        seen.insert(key.to_vec(), record.value.map(<[u8]>::to_vec));
                    }
                }
                Ok(())
            })?;
        }
        let mut expected: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for record in self
            .log
            .range(self.log_start..stable)
            .map(|(_, record)| record)
        {
            if let Some(key) = record
                .key
                .clone()
                .filter(|_| record.fate == Fate::Committed)
            {
                expected.insert(key, record.value.clone());
            }
        }
        seen.retain(|_, value| value.is_some());
        expected.retain(|_, value| value.is_some());
        match seen == expected {
            true => Ok(()),
            false => Err(format!("a consumer knows {seen:?}, not {expected:?}")),
        }
    }
}

/// Calls `each` with every batch, which must be whole and have its checksum.
fn each_batch(
    bytes: &[u8],
    mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).map_err(text)?;
        let batch = rest.get(..header.total_len()).ok_or("a cut batch")?;
        if !header.crc_matches(batch) {
            return Err(format!("a wrong checksum at {}", header.base_offset));
        }
        each(&header, batch)?;
        rest = rest.get(header.total_len()..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_keeps_its_promises_through_any_operations() {
        let mut all = Checked::default();
        for seed in 0..200 {
            all += check_compaction(seed, 40).unwrap();
        }
        assert!(all.cleanings > 200 && all.records_gone > 1_000, "{all:?}");
        assert!(all.cuts > 100 && all.retries > 100, "{all:?}");
    }

    #[test]
    fn aborted_records_go_though_indexes_of_different_times_tell_of_them() {
        for _ in 0..10 {
            check_compaction(5_001_120, 50).unwrap();
        }
    }
}
