//! What was appended, and what of it may be missing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::batch::ValidBatch;

use super::DELETE_RETENTION_MS;

/// Idempotent producers of a run.
pub(super) const PRODUCERS: i64 = 3;

/// A record that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp: i64,
    pub(super) fate: Fate,
    /// How many cleanings were begun before it was appended.
    pub(super) attempts_before: usize,
}

/// What became of a record's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is committed, or was never in one.
    Committed,
    Aborted,
    /// Of this producer's open transaction.
    Open(i64),
}

/// A producer as a client knows itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    pub(super) next_sequence: i32,
    pub(super) in_transaction: bool,
    /// Batches that may be sent again, with their offsets.
    pub(super) last: VecDeque<(ValidBatch, i64)>,
}

/// The account of a run.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) log: BTreeMap<i64, Record>,
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    pub(super) producers: HashMap<i64, Producer>,
    /// Offset below which everything obsolete is gone.
    pub(super) clean_to: i64,
    /// Offset below which things may be gone.
    pub(super) touched_to: i64,
    /// The same for aborted records: those go as far as segments are rewritten, whose keys may
    /// not all have fitted into the map.
    pub(super) rewritten_to: i64,
    /// When cleanings were begun.
    pub(super) attempts: Vec<i64>,
    /// When cleanings came to their end, and up to where.
    pub(super) done: Vec<(i64, i64)>,
    gone: BTreeSet<i64>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
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
        }
    }
}

impl Model {
    /// Ends a producer's transaction.
    pub(super) fn end_transaction(&mut self, id: i64, committed: bool) {
        let fate = match committed {
            true => Fate::Committed,
            false => Fate::Aborted,
        };
        for record in self.log.values_mut() {
            if record.fate == Fate::Open(id) {
                record.fate = fate;
            }
        }
    }

    /// Compares what is there with what was appended, and with what was there before; how many
    /// records are gone that were there.
    pub(super) fn compare_records(
        &mut self,
        there: &BTreeMap<i64, Record>,
    ) -> Result<usize, String> {
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
        let count = gone.difference(&self.gone).count();
        self.gone = gone;
        Ok(count)
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

    /// The last value of every key that a consumer of what is committed below `stable` knows.
    pub(super) fn latest_committed(&self, stable: i64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut latest = BTreeMap::new();
        let committed = |record: &&Record| record.fate == Fate::Committed;
        let records = self.log.range(self.log_start..stable);
        for record in records.map(|(_, record)| record).filter(committed) {
            if let Some(key) = &record.key {
                latest.insert(key.clone(), record.value.clone());
            }
        }
        let known = latest.into_iter();
        known
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}
