//! What is done to the store, and to the model.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::BatchBuilder;
use crate::model::{Offset, Timestamp};

use super::super::text;
use super::model::{ModelBatch, ModelLog};
use super::{PARTITIONS, Run};
use crate::storage::{AppendError, Durability, Haste, LogConfig};

const HOUR_MS: i64 = 3_600_000;

/// An operation of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
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
pub(super) struct Settings {
    pub(super) segment_bytes: u64,
    pub(super) segment_ms: i64,
    pub(super) retention_bytes: i64,
    pub(super) retention_ms: i64,
    pub(super) delete: bool,
    pub(super) compact: bool,
}

impl Settings {
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
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

    pub(super) fn log_config(self, durability: Durability) -> LogConfig {
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

impl Operation {
    /// One by chance.
    pub(super) fn random(random: &mut fastrand::Rng, durability: Durability) -> Self {
        let partition = random.usize(..PARTITIONS);
        match random.u8(..100) {
            0..=49 => Self::Append {
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
            50..=64 => Self::Advance {
                ms: match random.u8(..5) {
                    0 => random.u64(..1_000_000),
                    _ => random.u64(..10_000),
                },
            },
            65..=66 => Self::Jump {
                ms: match random.bool() {
                    true => random.i64(..3 * HOUR_MS).rem_euclid(3 * HOUR_MS),
                    false => random.i64(-HOUR_MS..HOUR_MS),
                },
            },
            67..=73 => Self::DeleteRecords {
                partition,
                share: random.i64(..101).rem_euclid(101),
            },
            74..=79 => Self::Configure(Settings::random(random)),
            80..=94 => Self::Pass(match random.u8(..5) {
                0 => Haste::AtOnce,
                _ => Haste::Usual,
            }),
            _ if durability == Durability::Memory => Self::Pass(Haste::Usual),
            _ => Self::Restart {
                clean: random.bool(),
            },
        }
    }
}

impl Run {
    pub(super) fn apply(&mut self, operation: Operation) -> Result<(), String> {
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
        let batch = batch.build().map_err(text)?;
        let len = batch.bytes.len() as u64;
        let settings = self.settings;
        let appended = self.partition(partition)?.append(batch, false);
        if len > settings.segment_bytes {
            return match appended {
                Err(AppendError::TooLargeForSegment { .. }) => Ok(()),
                other => Err(format!("too large for a segment, and: {other:?}")),
            };
        }
        let appended = appended.map_err(text)?;
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
}
