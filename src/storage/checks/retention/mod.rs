//! The promises of retention, checked through any sequence of operations against a model of
//! Kafka's rules: for a long run, and for the tests.
//!
//! The model knows no file and no index: it is a list of segments, each with the batches that went
//! into it, and the rules as `UnifiedLog` and `LogSegment` of Kafka 4.1.2 have them.
//!
//! The rules are `model`; `operations` are done to the store and to the model; `compare` holds one
//! against the other.

mod compare;
mod model;
mod operations;

use std::sync::Arc;

use crate::clock::{Clock, ManualClock};
use crate::io::{MemoryIo, SharedIo};
use crate::model::Timestamp;

use super::{Bed, NOW, text, wait_until};
use crate::storage::{CleanerOptions, Durability, Partition, Store};

use model::ModelLog;
use operations::{Operation, Settings};

/// Partitions of a run.
const PARTITIONS: usize = 2;

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

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.passes += other.passes;
        self.segments += other.segments;
        self.restarts += other.restarts;
    }
}

/// Runs so many random operations that follow from the seed alone; an error says what differed
/// from the model, and after which operation.
pub fn check_retention(seed: u64, operations: usize) -> Result<Checked, String> {
    let mut run = Run::new(seed)?;
    for number in 0..operations {
        let operation = Operation::random(&mut run.random, run.durability);
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
        let (store, partitions) = open(&io, &clock, durability, settings)?;
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

    fn restart(&mut self, clean: bool) -> Result<(), String> {
        if self.durability == Durability::Memory {
            return Ok(());
        }
        self.wait_committed()?;
        self.partitions.clear();
        // It holds the directory until it is dropped.
        if let Some(store) = self.store.take().filter(|_| clean) {
            store.close().map_err(text)?;
        }
        let (store, partitions) = open(&self.io, &self.clock, self.durability, self.settings)?;
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
        self.partitions.iter().try_for_each(|partition| {
            wait_until(partition, |offsets| {
                offsets.high_watermark == offsets.log_end
            })
        })
    }
}

/// Opens the store with its partitions, and their logs.
fn open(
    io: &SharedIo,
    clock: &Arc<ManualClock>,
    durability: Durability,
    settings: Settings,
) -> Result<(Arc<Store>, Vec<Arc<Partition>>), String> {
    let bed = Bed {
        io: io.clone(),
        clock: clock.clone(),
        config: settings.log_config(durability),
        partitions: PARTITIONS,
        open_files_max: 4,
        leader_epoch: 0,
        seed: 0,
        cleaner: CleanerOptions::default(),
    };
    let (store, partitions) = bed.open()?;
    store.recover();
    for partition in &partitions {
        partition.offsets().map_err(text)?;
    }
    Ok((store, partitions))
}
