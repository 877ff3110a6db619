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
//!
//! What was appended and what may be missing is `model`; `operations` are done to the store and
//! noted in the model; `reading` is what consumers get.

mod model;
mod operations;
mod reading;

use std::sync::Arc;

use crate::clock::{Clock, ManualClock};
use crate::io::PowerCutIo;
use crate::model::Timestamp;

use super::{Bed, NOW, text, wait_until};
use crate::storage::{CleanerOptions, Durability, LogConfig, Partition, Store};

use model::Model;
use operations::Operation;

/// `delete.retention.ms` of a run.
const DELETE_RETENTION_MS: i64 = 60_000;

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
        let operation = Operation::random(&mut run.random);
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

/// How a store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    Dropped,
    PowerCut,
}

struct Run {
    random: fastrand::Rng,
    clock: Arc<ManualClock>,
    io: Arc<PowerCutIo>,
    config: LogConfig,
    dedupe_buffer_bytes: u64,
    /// Whether some values are much larger than others: what stays cannot be foreseen then.
    uneven: bool,
    leader_epoch: i32,
    /// None between a stop and a start.
    store: Option<Arc<Store>>,
    partition: Option<Arc<Partition>>,
    model: Model,
    checked: Checked,
}

impl Run {
    fn new(seed: u64) -> Result<Self, String> {
        let mut random = fastrand::Rng::with_seed(seed);
        let uneven = seed % 2 == 1;
        let larger = if uneven { 1_100 } else { 0 };
        let config = LogConfig {
            segment_bytes: random.u64(400..3_000) + larger,
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
            uneven,
            leader_epoch: 0,
            store: None,
            partition: None,
            model: Model::default(),
            checked: Checked::default(),
        };
        run.open()?;
        // With the first record the directory's own files reach the disk.
        run.append(None, false)?;
        Ok(run)
    }

    fn open(&mut self) -> Result<(), String> {
        let bed = Bed {
            io: self.io.clone(),
            clock: self.clock.clone(),
            config: self.config.clone(),
            partitions: 1,
            open_files_max: 8,
            leader_epoch: self.leader_epoch,
            seed: self.random.u64(..),
            cleaner: CleanerOptions {
                dedupe_buffer_bytes: self.dedupe_buffer_bytes,
                ..CleanerOptions::default()
            },
        };
        let (store, mut partitions) = bed.open()?;
        store.recover();
        (self.store, self.partition) = (Some(store), partitions.pop());
        Ok(())
    }

    fn now(&self) -> i64 {
        self.clock.wall().0
    }

    fn partition(&self) -> Result<&Arc<Partition>, String> {
        self.partition.as_ref().ok_or("no partition".to_owned())
    }

    fn store(&self) -> Result<&Arc<Store>, String> {
        self.store.as_ref().ok_or("no store".to_owned())
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
        wait_until(self.partition()?, |offsets| {
            offsets.durable == offsets.log_end && offsets.high_watermark == offsets.log_end
        })
    }

    /// Compares everything that can be read with the model.
    fn compare(&mut self) -> Result<(), String> {
        let partition = self.partition()?.clone();
        let offsets = partition.offsets().map_err(text)?;
        let found = (offsets.log_start.0, offsets.log_end.0);
        let (start, end) = (self.model.log_start, self.model.log_end);
        // The log start may be raised to a segment's base, never beyond what was asked for.
        if found != (start, end) {
            return Err(format!("offsets are {offsets:?}, not {start} to {end}"));
        }
        let there = reading::read_all(&partition, start, end)?;
        self.checked.records_gone += self.model.compare_records(&there)?;
        let stable = offsets.last_stable.0;
        let seen = reading::consume_committed(&partition, start, stable)?;
        let expected = self.model.latest_committed(stable);
        match seen == expected {
            true => Ok(()),
            false => Err(format!("a consumer knows {seen:?}, not {expected:?}")),
        }
    }
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

    #[test]
    fn where_gaps_are_allowed_is_on_disk_before_there_are_some_though_a_start_had_to_guess() {
        for _ in 0..10 {
            check_compaction(6_948, 50).unwrap();
        }
    }
}
