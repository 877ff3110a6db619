//! What idempotent producers have written to a partition (Kafka's `ProducerStateManager` and
//! `ProducerAppendInfo`).
//!
//! The state follows from the batches: appending and replaying the same headers gives the same.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::batch::{BatchHeader, EndMarker, ProducerStamp};
use crate::model::limits::PRODUCER_BATCHES_RETAINED;
use crate::model::{Offset, Timestamp};

use crate::storage::format::producer_snapshot::SnapshotEntry;
use crate::storage::outcome::SequenceProblem;
use crate::storage::upkeep::cleaner::LastBatches;

/// How often expired producers are looked for, in milliseconds
/// (`producer.id.expiration.check.interval.ms`).
const EXPIRY_INTERVAL_MS: i64 = 600_000;

/// The producers of one partition.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// Where open transactions began, and whose they are.
    open: BTreeSet<(Offset, i64)>,
    last_expiry_check: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    /// Newest epoch seen.
    epoch: i16,
    /// Its last batches in that epoch, oldest first.
    batches: VecDeque<BatchSpan>,
    last_timestamp: Timestamp,
    /// Newest term seen of the coordinator that ends its transactions, or -1.
    coordinator_epoch: i32,
    /// First offset of its open transaction.
    transaction_start: Option<Offset>,
}

/// Where a batch of a producer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct BatchSpan {
    last_sequence: i32,
    last_offset: Offset,
    offset_delta: i32,
    timestamp: Timestamp,
}

impl BatchSpan {
    /// Offset of its first record.
    pub(in crate::storage) fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    /// First offset after it.
    pub(in crate::storage) fn next_offset(&self) -> Offset {
        self.last_offset.plus(1)
    }

    /// Its largest timestamp.
    pub(in crate::storage) fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn first_sequence(&self) -> i32 {
        // The inverse of counting on from the first, which wraps from `i32::MAX` to 0.
        match self.last_sequence.checked_sub(self.offset_delta) {
            Some(first) if first >= 0 => first,
            _ => {
                (i64::from(self.last_sequence) - i64::from(self.offset_delta)
                    + i64::from(i32::MAX)
                    + 1) as i32
            }
        }
    }
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Verdict {
    /// Append it.
    Append,
    /// It is in the log already, here.
    Duplicate(BatchSpan),
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Refusal {
    /// A newer incarnation of the producer has written.
    Epoch {
        /// The newest epoch.
        last: i16,
    },
    /// The sequence does not fit.
    Sequence(SequenceProblem),
    /// Its transaction is open, and the batch is not part of it.
    OutsideTransaction,
    /// A newer coordinator has ended a transaction of the producer.
    Coordinator {
        /// Its term.
        last: i32,
    },
}

/// What a batch did to the transactions of its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Step {
    /// A transaction of this producer began with it.
    Began(i64),
    /// It ended one.
    Ended(Ended),
}

/// A transaction that was ended (Kafka's `CompletedTxn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Ended {
    pub(in crate::storage) producer_id: i64,
    /// Offset of its first record.
    pub(in crate::storage) first: Offset,
    /// Offset of the marker.
    pub(in crate::storage) last: Offset,
    pub(in crate::storage) aborted: bool,
    /// The first offset of another transaction that was open at the marker, or the one after it.
    pub(in crate::storage) last_stable: Offset,
}

impl Producers {
    /// Judges a batch of `stamp`. `strict`: a producer without state must begin at 0.
    ///
    /// | known | epoch | first sequence | verdict |
    /// | --- | --- | --- | --- |
    /// | any | same | first and last are those of one of its last five | duplicate |
    /// | any | older | any | refused: epoch |
    /// | any | newer | 0 | append |
    /// | any | newer | else | refused: sequence |
    /// | no | | 0, or any unless strict | append |
    /// | no | | else | refused: sequence |
    /// | yes | same | one after the last (0 after `i32::MAX`) | append |
    /// | yes | same | else | refused: sequence |
    ///
    /// A producer that is known for its transaction markers alone has no last sequence: -1, after
    /// which 0 follows. What would be appended outside of the producer's open transaction is
    /// refused.
    pub(in crate::storage) fn judge(
        &self,
        stamp: &ProducerStamp,
        strict: bool,
        transactional: bool,
    ) -> Result<Verdict, Refusal> {
        let verdict = self.judge_sequence(stamp, strict)?;
        let known = self.by_id.get(&stamp.id.0);
        let open = known.is_some_and(|known| known.transaction_start.is_some());
        if open && !transactional && verdict == Verdict::Append {
            return Err(Refusal::OutsideTransaction);
        }
        Ok(verdict)
    }

    fn judge_sequence(&self, stamp: &ProducerStamp, strict: bool) -> Result<Verdict, Refusal> {
        let refused = |problem| Err(Refusal::Sequence(problem));
        let (epoch, first) = (stamp.epoch.0, stamp.first_sequence);
        let Some(known) = self.by_id.get(&stamp.id.0) else {
            return match strict && first != 0 {
                true => refused(SequenceProblem::NoState),
                false => Ok(Verdict::Append),
            };
        };
        let same = |batch: &&BatchSpan| {
            batch.first_sequence() == first && batch.last_sequence == stamp.last_sequence
        };
        if epoch == known.epoch
            && let Some(original) = known.batches.iter().find(same)
        {
            return Ok(Verdict::Duplicate(*original));
        }
        if epoch < known.epoch {
            return Err(Refusal::Epoch { last: known.epoch });
        }
        if epoch > known.epoch {
            return match first {
                0 => Ok(Verdict::Append),
                _ => refused(SequenceProblem::NewEpoch {
                    epoch,
                    current: known.epoch,
                }),
            };
        }
        let last = known.batches.back().map_or(-1, |batch| batch.last_sequence);
        let follows = i64::from(first) == i64::from(last) + 1 || (first == 0 && last == i32::MAX);
        if follows {
            Ok(Verdict::Append)
        } else {
            refused(SequenceProblem::NotNext { last })
        }
    }

    /// Judges a transaction marker: it has no sequence, and only older terms, of the producer or
    /// of its coordinator, are refused. It need not end anything.
    pub(in crate::storage) fn judge_marker(
        &self,
        stamp: &ProducerStamp,
        marker: Option<EndMarker>,
    ) -> Result<Verdict, Refusal> {
        let Some(known) = self.by_id.get(&stamp.id.0) else {
            return Ok(Verdict::Append);
        };
        if stamp.epoch.0 < known.epoch {
            return Err(Refusal::Epoch { last: known.epoch });
        }
        let last = known.coordinator_epoch;
        match marker {
            Some(marker) if marker.coordinator_epoch < last => Err(Refusal::Coordinator { last }),
            Some(_) | None => Ok(Verdict::Append),
        }
    }

    /// Takes in a batch of the log, whose offsets are final, and, if it is a control batch, the
    /// marker that it carries; what that does to transactions. Batches without producer are
    /// nothing, and so are control batches that the cleaner emptied.
    pub(in crate::storage) fn replay(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndMarker>,
    ) -> Option<Step> {
        let stamp = header.producer()?;
        if header.is_control() && marker.is_none() {
            return None;
        }
        let (id, epoch) = (stamp.id.0, stamp.epoch.0);
        let producer = self.by_id.entry(id).or_insert_with(|| Producer::new(epoch));
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer.last_timestamp = header.max_timestamp;
        if let Some(marker) = marker {
            producer.coordinator_epoch = marker.coordinator_epoch;
            let first = producer.transaction_start.take()?;
            self.open.remove(&(first, id));
            let last = header.base_offset;
            return Some(Step::Ended(Ended {
                producer_id: id,
                first,
                last,
                aborted: !marker.committed,
                last_stable: self.first_open().unwrap_or(last.plus(1)),
            }));
        }
        if producer.batches.len() >= PRODUCER_BATCHES_RETAINED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(BatchSpan::of(header, &stamp));
        if header.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(header.base_offset);
            self.open.insert((header.base_offset, id));
            return Some(Step::Began(id));
        }
        None
    }

    /// The first offset of the transactions that are open.
    fn first_open(&self) -> Option<Offset> {
        self.open.first().map(|(start, _)| *start)
    }

    /// The transactions that are open: where they began, and whose they are; ascending.
    pub(in crate::storage) fn open_transactions(&self) -> impl Iterator<Item = (Offset, i64)> {
        self.open.iter().copied()
    }

    /// Puts an older batch of a producer before those that are known, if there is room: a snapshot
    /// holds one batch a producer, and retries need five. Batches must come newest first.
    pub(in crate::storage) fn replay_older(&mut self, header: &BatchHeader) {
        let Some(stamp) = header.producer().filter(|_| !header.is_control()) else {
            return;
        };
        let Some(producer) = self.by_id.get_mut(&stamp.id.0) else {
            return;
        };
        let older = |first: &BatchSpan| header.last_offset() < first.base_offset();
        if producer.epoch == stamp.epoch.0
            && producer.batches.len() < PRODUCER_BATCHES_RETAINED
            && producer.batches.front().is_some_and(older)
        {
            producer.batches.push_front(BatchSpan::of(header, &stamp));
        }
    }

    /// Whether a producer may have had batches that are not known here.
    pub(in crate::storage) fn wants_older(&self) -> bool {
        self.by_id.values().any(|producer| {
            producer.batches.len() < PRODUCER_BATCHES_RETAINED
                && producer
                    .batches
                    .front()
                    .is_some_and(|first| first.first_sequence() != 0)
        })
    }

    /// Forgets producers that have not written for `expiration_ms` and have no open transaction.
    /// Does nothing if it did so less than ten minutes ago.
    pub(in crate::storage) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        let recent = |check: Timestamp| now.0.saturating_sub(check.0) < EXPIRY_INTERVAL_MS;
        if self.last_expiry_check.is_some_and(recent) {
            return;
        }
        self.last_expiry_check = Some(now);
        self.by_id.retain(|_, producer| {
            producer.transaction_start.is_some()
                || now.0.saturating_sub(producer.last_timestamp.0) < expiration_ms
        });
    }

    /// The batches that tell retries, and newer incarnations from older ones: the cleaner keeps
    /// them, if empty.
    pub(in crate::storage) fn last_batches(&self) -> LastBatches {
        let mut last = LastBatches::default();
        for (id, producer) in &self.by_id {
            last.last_offsets
                .extend(producer.batches.iter().map(|batch| batch.last_offset));
            if producer.batches.is_empty() {
                last.marked.insert(*id, producer.epoch);
            }
        }
        last.last_offsets.sort_unstable();
        last
    }

    /// What the snapshot file keeps.
    pub(in crate::storage) fn snapshot(&self) -> Vec<SnapshotEntry> {
        let mut entries: Vec<SnapshotEntry> = self
            .by_id
            .iter()
            .map(|(id, producer)| {
                let last = producer.batches.back();
                SnapshotEntry {
                    producer_id: *id,
                    epoch: producer.epoch,
                    last_sequence: last.map_or(-1, |batch| batch.last_sequence),
                    last_offset: last.map_or(-1, |batch| batch.last_offset.0),
                    offset_delta: last.map_or(0, |batch| batch.offset_delta),
                    timestamp: producer.last_timestamp,
                    coordinator_epoch: producer.coordinator_epoch,
                    transaction_start: producer.transaction_start.map(Offset::get),
                }
            })
            .collect();
        // The same state gives the same bytes.
        entries.sort_unstable_by_key(|entry| entry.producer_id);
        entries
    }

    /// The state that a snapshot keeps.
    pub(in crate::storage) fn from_snapshot(entries: &[SnapshotEntry]) -> Self {
        let producer = |entry: &SnapshotEntry| Producer {
            epoch: entry.epoch,
            batches: (entry.last_offset >= 0)
                .then_some(BatchSpan {
                    last_sequence: entry.last_sequence,
                    last_offset: Offset(entry.last_offset),
                    offset_delta: entry.offset_delta,
                    timestamp: entry.timestamp,
                })
                .into_iter()
                .collect(),
            last_timestamp: entry.timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            transaction_start: entry.transaction_start.map(Offset),
        };
        let by_id: HashMap<i64, Producer> = entries
            .iter()
            .map(|entry| (entry.producer_id, producer(entry)))
            .collect();
        let open = |(id, producer): (&i64, &Producer)| Some((producer.transaction_start?, *id));
        Self {
            open: by_id.iter().filter_map(open).collect(),
            by_id,
            last_expiry_check: None,
        }
    }
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            batches: VecDeque::new(),
            last_timestamp: Timestamp(-1),
            coordinator_epoch: -1,
            transaction_start: None,
        }
    }
}

impl BatchSpan {
    fn of(header: &BatchHeader, stamp: &ProducerStamp) -> Self {
        Self {
            last_sequence: stamp.last_sequence,
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }
}
