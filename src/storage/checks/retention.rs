//! The promises of retention, checked through any sequence of operations against a model of
//! Kafka's rules: for a long run, and for the tests.
//!
//! The model knows no file and no index: it is a list of segments, each with the batches that went
//! into it, and the rules as `UnifiedLog` and `LogSegment` of Kafka 4.1.2 have them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{BatchBuilder, BatchHeader};
use crate::clock::{Clock, ManualClock};
use crate::io::{MemoryIo, SharedIo};
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicId, TopicName, TopicPartition,
};

use crate::storage::format::names::SegmentFile;
use crate::storage::{
    CleanerOptions, Durability, Haste, Isolation, LogConfig, Partition, PartitionSpec, Store,
    StoreOptions, Upkeep,
};

/// The wall clock at the start of a run.
const NOW: i64 = 1_700_000_000_000;

/// Partitions of a run.
const PARTITIONS: usize = 2;

const HOUR_MS: i64 = 3_600_000;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Operations.
    pub operations: usize,
    /// Passes.
    pub passes: usize,
    /// Segments that went.
    pub segments: usize,
    /// Stops and starts.
    pub restarts: usize,
}

/// Runs so many random operations that follow from the seed alone; an error says what differed
/// from the model, and after which operation.
pub fn check_retention(seed: u64, operations: usize) -> Result<Checked, String> {
    let mut run = Run::new(seed)?;
    for number in 0..operations {
        let operation = run.random_operation();
        run.apply(operation)
            .and_then(|()| run.compare())
            .map_err(|what| format!("seed {seed}, operation {number}, {operation:?}: {what}"))?;
        run.checked.operations += 1;
    }
    run.restart(true)
        .and_then(|()| run.compare())
        .map_err(|what| format!("seed {seed}, at the end: {what}"))?;
    Ok(run.checked)
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Append {
        partition: usize,
        /// Relative to the wall clock; `None` for a batch without timestamp.
        time: Option<i64>,
        bytes: usize,
        records: usize,
    },
    Advance {
        ms: u64,
    },
    /// The wall clock alone.
    Jump {
        ms: i64,
    },
    DeleteRecords {
        partition: usize,
        /// Hundredths of the log.
        share: i64,
    },
    Configure(Settings),
    Pass(Haste),
    Restart {
        clean: bool,
    },
}

/// The settings that matter here.
#[derive(Clone, Copy, Debug)]
struct Settings {
    segment_bytes: u64,
    segment_ms: i64,
    retention_bytes: i64,
    retention_ms: i64,
    delete: bool,
    compact: bool,
}

impl Settings {
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut either = |one: i64, other: std::ops::Range<i64>| match random.u8(..3) {
            0 => one,
            _ => random.i64(other),
        };
        let policy = either(0, 0..4);
        Self {
            segment_bytes: u64::try_from(either(400, 150..3_000)).unwrap_or(400),
            segment_ms: either(604_800_000, 1..20_000),
            retention_bytes: either(-1, 0..5_000),
            retention_ms: either(-1, 0..30_000),
            delete: policy != 3,
            compact: policy >= 2,
        }
    }

    fn log_config(self, durability: Durability) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes,
            segment_ms: self.segment_ms,
            retention_bytes: self.retention_bytes,
            retention_ms: self.retention_ms,
            delete: self.delete,
            compact: self.compact,
            index_interval_bytes: 300,
            file_delete_delay_ms: 0,
            durability,
            ..LogConfig::default()
        }
    }
}

/// A log as the model sees it.
#[derive(Clone, Debug)]
struct ModelLog {
    start: i64,
    end: i64,
    segments: Vec<ModelSegment>,
}

#[derive(Clone, Debug)]
struct ModelSegment {
    base: i64,
    batches: Vec<ModelBatch>,
    /// Largest timestamp of its first batch.
    first_timestamp: Option<i64>,
    /// When it was begun, or opened.
    created: i64,
    /// When a batch without timestamp was last appended, or the log opened.
    changed: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ModelBatch {
    base: i64,
    next: i64,
    bytes: u64,
    timestamp: i64,
}

impl ModelSegment {
    fn at(base: i64, now: i64) -> Self {
        Self {
            base,
            batches: Vec::new(),
            first_timestamp: None,
            created: now,
            changed: now,
        }
    }

    fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes).sum()
    }

    /// `LogSegment.largestTimestamp`
    fn largest_timestamp(&self) -> i64 {
        let largest = self.batches.iter().map(|batch| batch.timestamp).max();
        largest.filter(|at| *at >= 0).unwrap_or(self.changed)
    }
}

impl ModelLog {
    fn new(now: i64) -> Self {
        Self {
            start: 0,
            end: 0,
            segments: vec![ModelSegment::at(0, now)],
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(ModelSegment::bytes).sum()
    }

    /// `LogSegment.shouldRoll`
    fn append(&mut self, batch: ModelBatch, settings: &Settings, now: i64) {
        let due = self.segments.last().is_none_or(|active| {
            let waited = match active.first_timestamp.filter(|first| *first >= 0) {
                Some(first) => batch.timestamp - first,
                None => now - active.created,
            };
            let too_large = active.bytes() + batch.bytes > settings.segment_bytes;
            !active.batches.is_empty() && (too_large || waited > settings.segment_ms)
        });
        if due {
            self.segments.push(ModelSegment::at(self.end, now));
        }
        if let Some(active) = self.segments.last_mut() {
            if active.batches.is_empty() {
                active.first_timestamp = Some(batch.timestamp);
            }
            if batch.timestamp < 0 {
                active.changed = now;
            }
            active.batches.push(batch);
        }
        self.end = batch.next;
    }

    /// `UnifiedLog.deleteOldSegments`; how many went.
    fn delete_old_segments(
        &mut self,
        settings: &Settings,
        believed: Option<i64>,
        haste: Haste,
        now: i64,
    ) -> usize {
        let before = self.segments.len();
        let start = self.start;
        let mut gone = self.delete_while(now, |_, next, end| match (next, haste) {
            (Some(next), _) => next <= start,
            (None, Haste::AtOnce) => end <= start,
            (None, Haste::Usual) => false,
        });
        if settings.delete {
            let size = i64::try_from(self.bytes()).unwrap_or(i64::MAX);
            if settings.retention_bytes >= 0 && size >= settings.retention_bytes {
                let mut excess = size - settings.retention_bytes;
                gone += self.delete_while(now, |segment, _, _| {
                    let rest = excess - i64::try_from(segment.bytes()).unwrap_or(i64::MAX);
                    let goes = rest >= 0;
                    if goes {
                        excess = rest;
                    }
                    goes
                });
            }
            if let Some(wall) = believed
                && settings.retention_ms >= 0
            {
                gone += self.delete_while(now, |segment, _, _| {
                    wall - segment.largest_timestamp() > settings.retention_ms
                });
            }
        }
        debug_assert!(gone <= before + 1);
        gone
    }

    /// `UnifiedLog.deletableSegments` and `deleteSegments`. The rule is told the segment, the base
    /// of the next, and the log end.
    fn delete_while(
        &mut self,
        now: i64,
        mut rule: impl FnMut(&ModelSegment, Option<i64>, i64) -> bool,
    ) -> usize {
        let mut count = 0;
        while let Some(segment) = self.segments.get(count) {
            let next = self.segments.get(count + 1).map(|next| next.base);
            let last_and_empty = next.is_none() && segment.batches.is_empty();
            if !rule(segment, next, self.end) || last_and_empty {
                break;
            }
            count += 1;
        }
        if count > 0 && count == self.segments.len() {
            self.segments.push(ModelSegment::at(self.end, now));
        }
        self.segments.drain(..count);
        if count > 0
            && let Some(first) = self.segments.first()
        {
            self.start = self.start.max(first.base);
        }
        count
    }
}

struct Run {
    random: fastrand::Rng,
    clock: Arc<ManualClock>,
    io: SharedIo,
    durability: Durability,
    settings: Settings,
    /// None between a stop and a start.
    store: Option<Arc<Store>>,
    partitions: Vec<Arc<Partition>>,
    logs: Vec<ModelLog>,
    /// Wall and monotonic clock when the last pass, or the start, looked at them.
    looked: (i64, i64),
    /// Until when, monotonic, the wall clock is not believed.
    held_until: Option<i64>,
    checked: Checked,
}

impl Run {
    fn new(seed: u64) -> Result<Self, String> {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = ManualClock::at(Timestamp(NOW));
        let io = MemoryIo::shared();
        let durability = match random.u8(..4) {
            0 => Durability::Fsync,
            1 => Durability::Memory,
            _ => Durability::Os,
        };
        let settings = Settings::random(&mut random);
        let (store, partitions) = open(&io, &clock, durability, &settings)?;
        Ok(Self {
            random,
            clock,
            io,
            durability,
            settings,
            store: Some(store),
            partitions,
            logs: vec![ModelLog::new(NOW); PARTITIONS],
            looked: (NOW, 0),
            held_until: None,
            checked: Checked::default(),
        })
    }

    fn wall(&self) -> i64 {
        self.clock.wall().0
    }

    fn monotonic(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    fn random_operation(&mut self) -> Operation {
        let random = &mut self.random;
        let partition = random.usize(..PARTITIONS);
        match random.u8(..100) {
            0..=49 => Operation::Append {
                partition,
                time: match random.u8(..10) {
                    0 => None,
                    1 => Some(random.i64(-100_000..100_000)),
                    2..=5 => Some(0),
                    _ => Some(random.i64(-2_000..2_000)),
                },
                bytes: random.usize(..500),
                records: random.usize(1..4),
            },
            50..=64 => Operation::Advance {
                ms: match random.u8(..5) {
                    0 => random.u64(..1_000_000),
                    _ => random.u64(..10_000),
                },
            },
            65..=66 => Operation::Jump {
                ms: match random.bool() {
                    true => random.i64(..3 * HOUR_MS).rem_euclid(3 * HOUR_MS),
                    false => random.i64(-HOUR_MS..HOUR_MS),
                },
            },
            67..=73 => Operation::DeleteRecords {
                partition,
                share: random.i64(..101).rem_euclid(101),
            },
            74..=79 => Operation::Configure(Settings::random(random)),
            80..=94 => Operation::Pass(match random.u8(..5) {
                0 => Haste::AtOnce,
                _ => Haste::Usual,
            }),
            _ if self.durability == Durability::Memory => Operation::Pass(Haste::Usual),
            _ => Operation::Restart {
                clean: random.bool(),
            },
        }
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Append {
                partition,
                time,
                bytes,
                records,
            } => self.append(partition, time, bytes, records),
            Operation::Advance { ms } => {
                self.clock.advance(Duration::from_millis(ms));
                Ok(())
            }
            Operation::Jump { ms } => {
                let by = Duration::from_millis(ms.unsigned_abs());
                match ms >= 0 {
                    true => self.clock.jump(by),
                    false => self.clock.jump_back(by),
                }
                Ok(())
            }
            Operation::DeleteRecords { partition, share } => self.delete_records(partition, share),
            Operation::Configure(settings) => {
                self.settings = settings;
                let config = Arc::new(settings.log_config(self.durability));
                for partition in &self.partitions {
                    partition.reconfigure(Arc::clone(&config));
                }
                Ok(())
            }
            Operation::Pass(haste) => self.pass(haste),
            Operation::Restart { clean } => self.restart(clean),
        }
    }

    fn log(&mut self, partition: usize) -> Result<&mut ModelLog, String> {
        self.logs.get_mut(partition).ok_or("no such log".to_owned())
    }

    fn append(
        &mut self,
        partition: usize,
        time: Option<i64>,
        bytes: usize,
        records: usize,
    ) -> Result<(), String> {
        let now = self.wall();
        let mut batch = BatchBuilder::new();
        let timestamp = time.map_or(-1, |time| now + time);
        for _ in 0..records {
            batch.push(Timestamp(timestamp), None, Some(&vec![b'v'; bytes]));
        }
        let batch = batch.build().map_err(|error| error.to_string())?;
        let len = batch.bytes.len() as u64;
        let settings = self.settings;
        let appended = self.partition(partition)?.append(batch, false);
        if len > settings.segment_bytes {
            return match appended {
                Err(crate::storage::AppendError::TooLargeForSegment { .. }) => Ok(()),
                other => Err(format!("too large for a segment, and: {other:?}")),
            };
        }
        let appended = appended.map_err(|error| error.to_string())?;
        let log = self.log(partition)?;
        let batch = ModelBatch {
            base: log.end,
            next: log.end + i64::try_from(records).unwrap_or(0),
            bytes: len,
            timestamp,
        };
        if (appended.base_offset.0, appended.next_offset.0) != (batch.base, batch.next) {
            return Err(format!("appended at {appended:?}, not {batch:?}"));
        }
        log.append(batch, &settings, now);
        Ok(())
    }

    fn delete_records(&mut self, partition: usize, share: i64) -> Result<(), String> {
        self.wait_committed()?;
        let log = self.log(partition)?;
        let before = log.end * share / 100;
        log.start = log.start.max(before);
        let expected = log.start;
        match self.partition(partition)?.delete_records(Offset(before)) {
            Ok(start) if start.0 == expected => Ok(()),
            other => Err(format!("deleted up to {other:?}, not {expected}")),
        }
    }

    fn pass(&mut self, haste: Haste) -> Result<(), String> {
        self.wait_committed()?;
        let (now, monotonic) = (self.wall(), self.monotonic());
        let jump = (now - self.looked.0) - (monotonic - self.looked.1);
        self.looked = (now, monotonic);
        if jump > HOUR_MS {
            self.held_until = Some(monotonic + 600_000);
        }
        let held = self.held_until.is_some_and(|until| monotonic < until);
        let believed = (!held).then_some(now);
        let settings = self.settings;
        let mut expected = 0;
        for log in &mut self.logs {
            expected += log.delete_old_segments(&settings, believed, haste, now);
        }
        let store = self.store.as_ref().ok_or("no store")?;
        let freed = store.apply_retention(haste);
        self.checked.passes += 1;
        self.checked.segments += expected;
        match freed.segments == expected {
            true => Ok(()),
            false => Err(format!("{} segments went, not {expected}", freed.segments)),
        }
    }

    fn restart(&mut self, clean: bool) -> Result<(), String> {
        if self.durability == Durability::Memory {
            return Ok(());
        }
        self.wait_committed()?;
        self.partitions.clear();
        // It holds the directory until it is dropped.
        if let Some(store) = self.store.take().filter(|_| clean) {
            store.close().map_err(|error| error.to_string())?;
        }
        let (store, partitions) = open(&self.io, &self.clock, self.durability, &self.settings)?;
        (self.store, self.partitions) = (Some(store), partitions);
        let now = self.wall();
        for log in &mut self.logs {
            for segment in &mut log.segments {
                segment.changed = now;
            }
            if let Some(active) = log.segments.last_mut() {
                active.created = now;
            }
        }
        (self.looked, self.held_until) = ((now, self.monotonic()), None);
        self.checked.restarts += 1;
        Ok(())
    }

    fn partition(&self, partition: usize) -> Result<&Arc<Partition>, String> {
        let partition = self.partitions.get(partition);
        partition.ok_or("no such partition".to_owned())
    }

    /// Waits until everything is below the high watermark.
    fn wait_committed(&self) -> Result<(), String> {
        for partition in &self.partitions {
            for patience in 0.. {
                let offsets = partition.offsets().map_err(|error| error.to_string())?;
                if offsets.high_watermark == offsets.log_end {
                    break;
                }
                if patience > 200_000 {
                    return Err(format!("never committed: {offsets:?}"));
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        Ok(())
    }

    /// Compares everything that can be seen with the model.
    fn compare(&self) -> Result<(), String> {
        for (partition, log) in self.partitions.iter().zip(&self.logs) {
            let offsets = partition.offsets().map_err(|error| error.to_string())?;
            let found = (offsets.log_start.0, offsets.log_end.0);
            if found != (log.start, log.end) {
                return Err(format!("offsets are {offsets:?}, not {log:?}"));
            }
            let bytes = partition.size().bytes;
            if bytes != log.bytes() {
                return Err(format!("{bytes} bytes, not {} of {log:?}", log.bytes()));
            }
            compare_batches(partition, log)?;
            self.compare_files(partition, log)?;
        }
        Ok(())
    }

    /// The logs on disk are those of the segments; of an empty active one there may be none.
    fn compare_files(&self, partition: &Partition, log: &ModelLog) -> Result<(), String> {
        let dir = directory(partition.number());
        let entries = self.io.read_dir(&dir).unwrap_or_default();
        let on_disk: BTreeSet<i64> = entries
            .iter()
            .filter_map(|entry| SegmentFile::parse(entry.path.file_name()?.to_str()?))
            .filter(|(kind, _)| *kind == SegmentFile::Log)
            .map(|(_, base)| base.0)
            .collect();
        let all: BTreeSet<i64> = log.segments.iter().map(|segment| segment.base).collect();
        let filled: BTreeSet<i64> = log
            .segments
            .iter()
            .filter(|segment| !segment.batches.is_empty())
            .map(|segment| segment.base)
            .collect();
        match on_disk.is_superset(&filled) && on_disk.is_subset(&all) {
            true => Ok(()),
            false => Err(format!("segments on disk are {on_disk:?}, not {all:?}")),
        }
    }
}

/// Reads everything from the log start on.
fn compare_batches(partition: &Partition, log: &ModelLog) -> Result<(), String> {
    let mut expected = log
        .segments
        .iter()
        .flat_map(|segment| &segment.batches)
        .filter(|batch| batch.next > log.start);
    let mut from = log.start;
    while from < log.end {
        let read = partition.read(Offset(from), 4_096, true, Isolation::LogEnd);
        let read = read.map_err(|error| format!("reading {from}: {error}"))?;
        let bytes = read.records.to_bytes().map_err(|error| error.to_string())?;
        let mut rest = &bytes[..];
        if rest.is_empty() {
            return Err(format!("nothing at {from}"));
        }
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).map_err(|error| error.to_string())?;
            let found = ModelBatch {
                base: header.base_offset.0,
                next: header.next_offset().0,
                bytes: header.total_len() as u64,
                timestamp: header.max_timestamp.0,
            };
            match expected.next() {
                Some(batch) if *batch == found && header.crc_matches(rest) => {}
                batch => return Err(format!("read {found:?}, not {batch:?}")),
            }
            from = found.next;
            rest = rest.get(header.total_len()..).unwrap_or_default();
        }
    }
    match log.start > 0
        && partition
            .read(Offset(log.start - 1), 100, true, Isolation::LogEnd)
            .is_ok()
    {
        true => Err("what was deleted can be read".to_owned()),
        false => Ok(()),
    }
}

fn directory(partition: PartitionId) -> PathBuf {
    Path::new("/data").join(format!("t-{}", partition.0))
}

/// Opens the store with its partitions, and their logs.
fn open(
    io: &SharedIo,
    clock: &Arc<ManualClock>,
    durability: Durability,
    settings: &Settings,
) -> Result<(Arc<Store>, Vec<Arc<Partition>>), String> {
    let options = StoreOptions {
        io: io.clone(),
        dir: "/data".into(),
        clock: clock.clone(),
        node_id: NodeId(0),
        cluster_id: None,
        open_files_max: 4,
        durability,
        producer_id_expiration_ms: i64::MAX,
        seed: 0,
        reserve_bytes: Some(0),
        upkeep: Upkeep {
            retention_check_interval_ms: i64::MAX,
            // Nothing but what is asked for.
            cleaner: CleanerOptions {
                enable: false,
                ..CleanerOptions::default()
            },
            ..Upkeep::default()
        },
    };
    let (store, _) = Store::open(options).map_err(|error| error.to_string())?;
    let config = Arc::new(settings.log_config(durability));
    let mut partitions = Vec::with_capacity(PARTITIONS);
    for partition in (0..).take(PARTITIONS) {
        partitions.push(store.attach(PartitionSpec {
            topic_name: TopicName::new("t").map_err(|error| error.to_string())?,
            id: TopicPartition {
                topic: TopicId(uuid::Uuid::from_u128(77)),
                partition: PartitionId(partition),
            },
            leader_epoch: LeaderEpoch(0),
            config: Arc::clone(&config),
            may_use_reserve: false,
        }));
    }
    store.recover();
    for partition in &partitions {
        partition.offsets().map_err(|error| error.to_string())?;
    }
    Ok((store, partitions))
}
