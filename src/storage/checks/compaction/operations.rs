//! What is done to the store, and noted in the model.

use std::time::Duration;

use crate::batch::{BatchBuilder, Codec, EndMarker, Level, ValidBatch};
use crate::clock::Clock;
use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::super::text;
use super::model::{Fate, PRODUCERS, Record};
use super::{End, Run};
use crate::storage::Haste;

/// An operation of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
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

impl Operation {
    /// One by chance.
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        let producer = random.i64(..PRODUCERS).rem_euclid(PRODUCERS);
        match random.u8(..100) {
            0..=24 => Self::Append {
                producer: None,
                transactional: false,
            },
            25..=46 => Self::Append {
                producer: Some(producer),
                transactional: random.bool(),
            },
            47..=54 => Self::End {
                producer,
                committed: random.bool(),
            },
            55..=59 => Self::Retry { producer },
            60 => Self::NewEpoch { producer },
            61..=73 => Self::Advance {
                ms: match random.u8(..4) {
                    0 => random.u64(..100_000),
                    1 => random.u64(10_000..20_000),
                    _ => random.u64(..2_000),
                },
            },
            74..=86 => Self::Clean,
            87..=88 => Self::CleanAll,
            89..=92 => Self::CutCleaning {
                calls: random.usize(..40),
            },
            93 => Self::DeleteRecords {
                share: random.i64(0..60),
            },
            94..=95 => Self::Restart(End::Dropped),
            96..=97 => Self::Restart(End::PowerCut),
            _ => Self::Restart(End::Clean),
        }
    }
}

impl Run {
    pub(super) fn apply(&mut self, operation: Operation) -> Result<(), String> {
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
                if let Some(producer) = self.model.producers.get_mut(&producer)
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
            let len = match random.usize(..60) {
                len if !self.uneven => len,
                len if len % 8 == 0 => len * 6,
                len => len / 8,
            };
            let value = (random.u8(..5) > 0).then(|| vec![random.u8(b'a'..=b'z'); len]);
            let timestamp = self.clock.wall().0 - random.i64(0..3_000);
            builder.push(Timestamp(timestamp), key.as_deref(), value.as_deref());
            appended.push(Record {
                key,
                value,
                timestamp,
                fate,
                attempts_before: self.model.attempts.len(),
            });
        }
        Ok((builder.build().map_err(text)?, appended))
    }

    pub(super) fn append(
        &mut self,
        producer: Option<i64>,
        transactional: bool,
    ) -> Result<(), String> {
        let mut builder = BatchBuilder::new();
        let mut fate = Fate::Committed;
        if let Some(id) = producer {
            let state = self.model.producers.entry(id).or_default();
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
        if done.base_offset.0 != self.model.log_end || done.duplicate {
            return Err(format!("appended as {done:?} at {}", self.model.log_end));
        }
        let count = i64::try_from(appended.len()).unwrap_or(0);
        for (offset, record) in (self.model.log_end..).zip(appended) {
            self.model.log.insert(offset, record);
        }
        if let Some(state) = producer.and_then(|id| self.model.producers.get_mut(&id)) {
            state.next_sequence += i32::try_from(count).unwrap_or(0);
            state.in_transaction |= fate != Fate::Committed;
            state.last.push_back((batch, self.model.log_end));
            if state.last.len() > 5 {
                state.last.pop_front();
            }
        }
        self.model.log_end += count;
        Ok(())
    }

    fn end_transaction(&mut self, id: i64, committed: bool) -> Result<(), String> {
        let Some(state) = self.model.producers.get_mut(&id) else {
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
        self.model.log_end += 1;
        self.model.end_transaction(id, committed);
        Ok(())
    }

    fn retry(&mut self, id: i64) -> Result<(), String> {
        let sent = self
            .model
            .producers
            .get(&id)
            .map(|state| state.last.clone());
        // Segments that are gone take with them all but a producer's last batch: that is what
        // their snapshot holds.
        let sent: Vec<_> = sent
            .unwrap_or_default()
            .into_iter()
            .filter(|(_, offset)| *offset >= self.model.log_start)
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
        self.model.attempts.push(now);
        let stable = self.partition()?.offsets().map_err(text)?.last_stable;
        self.model.rewritten_to = self.model.rewritten_to.max(stable.0);
        let store = self.store()?;
        let Some(cleaned) = store.clean_once() else {
            return Ok(false);
        };
        if cleaned.to <= cleaned.from {
            return Err(format!("no progress: {cleaned:?}"));
        }
        self.model.clean_to = self.model.clean_to.max(cleaned.to.0);
        self.model.touched_to = self.model.touched_to.max(cleaned.to.0);
        self.model.done.push((now, cleaned.to.0));
        self.checked.cleanings += 1;
        Ok(true)
    }

    fn cut_cleaning(&mut self, calls: usize) -> Result<(), String> {
        self.wait_durable()?;
        let stable = self.partition()?.offsets().map_err(text)?.last_stable;
        self.model.attempts.push(self.now());
        self.io.cut_after(calls);
        if let Some(cleaned) = self.store.as_ref().and_then(|store| store.clean_once()) {
            self.model.clean_to = self.model.clean_to.max(cleaned.to.0);
        }
        self.model.touched_to = self.model.touched_to.max(stable.0);
        self.model.rewritten_to = self.model.rewritten_to.max(stable.0);
        self.checked.cuts += 1;
        self.restart(End::PowerCut)
    }

    fn delete_records(&mut self, share: i64) -> Result<(), String> {
        self.wait_durable()?;
        let stable = self.partition()?.offsets().map_err(text)?.last_stable.0;
        let before = Offset(stable.min(self.model.log_end * share / 100));
        let store = self.store()?;
        let wanted = [(self.partition()?.clone(), before)];
        for deleted in store.delete_records(&wanted) {
            self.model.log_start = deleted.map_err(text)?.0;
        }
        let freed = self.store()?;
        freed.apply_retention(Haste::Usual);
        Ok(())
    }
}
