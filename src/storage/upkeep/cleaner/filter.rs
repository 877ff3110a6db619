//! What stays of a batch (Kafka's `Cleaner.cleanInto`, `Cleaner.shouldRetainRecord`).
//!
//! | record | stays |
//! | --- | --- |
//! | of an aborted transaction | no |
//! | behind the part of the log that is in the key map | yes |
//! | without key | no |
//! | older than the last of its key | no |
//! | last of its key, with a value | yes |
//! | last of its key, a tombstone | until the delete horizon of its batch |
//! | transaction marker | while there are batches of its transaction, and then until the delete horizon of its batch |
//!
//! A batch gets its horizon when a pass first finds in it a tombstone that stays, or a marker
//! whose transaction is gone: `delete.retention.ms` from then.
//!
//! | batch that has lost all records | stays, empty |
//! | --- | --- |
//! | of the last that a producer wrote who is still remembered | yes: retries are told by them |
//! | that ends where the cleaning does | yes: the end of the log must be known |
//! | else | no |
//!
//! Kafka keeps one batch for each producer, the last. It keeps five here, as many as a start reads
//! back: a retry of any of them is a duplicate before and after a restart.

use std::collections::HashMap;

use crate::batch::{
    BatchHeader, BuildError, RecordFormatError, Records, RecordsError, UnknownCodec, emptied,
    records, retain,
};
use crate::model::{Offset, Timestamp};

use super::key_map::{GROUP, KeyMap};
use super::transactions::{Marker, Transactions};
use crate::storage::format::txn_index::AbortedEntry;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, byte for byte.
    Stays,
    /// A batch with this header takes its place.
    Becomes(BatchHeader),
    /// Nothing of it stays.
    Goes,
}

/// A batch whose checksum holds, and that still cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecodable {
    /// Its payload.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// One of its records.
    #[error(transparent)]
    Record(#[from] RecordFormatError),
    /// Its codec.
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    /// What stays of it cannot be encoded.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Batches that say what the producers wrote last who are still remembered.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct LastBatches {
    /// Last offsets of the last batches with records of each; ascending.
    pub(in crate::storage) last_offsets: Vec<Offset>,
    /// Epochs of those of whom only markers are known, by producer.
    pub(in crate::storage) marked: HashMap<i64, i16>,
}

impl LastBatches {
    fn contains(&self, header: &BatchHeader) -> bool {
        let of_marked = || {
            let epoch = self.marked.get(&header.producer_id);
            header.is_control() && epoch == Some(&header.producer_epoch)
        };
        header.producer_id >= 0
            && (self
                .last_offsets
                .binary_search(&header.last_offset())
                .is_ok()
                || of_marked())
    }
}

/// Judges the batches of a log, in order.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) keys: &'a KeyMap,
    /// The time of this cleaning.
    pub(super) now: Timestamp,
    /// `delete.retention.ms`.
    pub(super) delete_retention_ms: i64,
    pub(super) last_batches: LastBatches,
    /// Where the cleaning ends.
    pub(super) end: Offset,
    pub(super) transactions: Transactions,
    /// Which records of the batch at hand stay; its memory is used again.
    stays: Vec<bool>,
    /// Those of them of which only the map of keys can tell; likewise.
    asked: Vec<Asked>,
}

impl<'a> Filter<'a> {
    pub(super) fn new(
        keys: &'a KeyMap,
        now: Timestamp,
        delete_retention_ms: i64,
        end: Offset,
    ) -> Self {
        Self {
            keys,
            now,
            delete_retention_ms,
            last_batches: LastBatches::default(),
            end,
            transactions: Transactions::default(),
            stays: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// What becomes of a batch; with the entry that the new transaction index gets for it. What
    /// takes its place is appended to `out`, and nothing else.
    pub(super) fn judge(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Fate, Option<AbortedEntry>), Undecodable> {
        let horizon = header.has_delete_horizon().then_some(header.base_timestamp);
        let horizon_passed = horizon.is_some_and(|horizon| horizon <= self.now);
        let (mut entry, mut unneeded_marker) = (None, false);
        let discarded = match header.is_control() {
            true => match self.transactions.pass_control(header, batch)? {
                Marker::Needed(needed) => {
                    entry = needed;
                    false
                }
                Marker::Unneeded => {
                    unneeded_marker = true;
                    horizon_passed
                }
            },
            false => self.transactions.pass_batch(header),
        };
        let kept_empty = self.last_batches.contains(header) || header.next_offset() == self.end;
        if discarded {
            let fate = match kept_empty {
                true => empty(header, out)?,
                false => Fate::Goes,
            };
            return Ok((fate, entry));
        }
        let opened = records(batch)?;
        let kept = self.look(header, &opened, horizon_passed)?;
        if kept.records == 0 {
            let fate = match kept_empty {
                true => empty(header, out)?,
                false => Fate::Goes,
            };
            return Ok((fate, entry));
        }
        let new_horizon = (horizon.is_none() && (kept.has_tombstones || unneeded_marker))
            .then(|| Timestamp(self.now.0.saturating_add(self.delete_retention_ms)))
            // As in Kafka, a time before 1970 is none.
            .filter(|horizon| horizon.0 >= 0);
        if kept.records == self.stays.len() && new_horizon.is_none() {
            return Ok((Fate::Stays, entry));
        }
        let (codec, stays) = (header.codec()?, self.stays.iter().copied());
        let rebuilt = retain(&opened, codec, stays, new_horizon, out)?;
        Ok((Fate::Becomes(rebuilt), entry))
    }

    /// Finds out which records stay; how many, and whether there is a tombstone among them.
    fn look(
        &mut self,
        header: &BatchHeader,
        opened: &Records<'_>,
        horizon_passed: bool,
    ) -> Result<Kept, RecordFormatError> {
        self.stays.clear();
        self.asked.clear();
        let mut kept = Kept::default();
        for record in opened {
            let record = record?;
            let is_tombstone = record.value.is_none();
            let stays = match record.key {
                _ if header.is_control() || record.offset > self.keys.latest() => true,
                None => false,
                Some(_) if is_tombstone && horizon_passed => false,
                Some(key) => match self.keys.is_superseded(record.offset) {
                    Some(superseded) => !superseded,
                    None => {
                        self.asked.push(Asked {
                            index: self.stays.len(),
                            hash: self.keys.hash(key),
                            offset: record.offset,
                            is_tombstone,
                        });
                        false
                    }
                },
            };
            self.stays.push(stays);
            if stays {
                kept.add(is_tombstone);
            }
            if self.asked.len() == GROUP {
                self.ask(&mut kept);
            }
        }
        self.ask(&mut kept);
        Ok(kept)
    }

    /// Asks the map for the keys of the records of which only it can tell.
    fn ask(&mut self, kept: &mut Kept) {
        self.keys.fetch(self.asked.iter().map(|asked| asked.hash));
        for asked in self.asked.drain(..) {
            let newest = self.keys.get(asked.hash);
            if newest.is_none_or(|newest| asked.offset >= newest)
                && let Some(stays) = self.stays.get_mut(asked.index)
            {
                *stays = true;
                kept.add(asked.is_tombstone);
            }
        }
    }
}

/// What stays of a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    records: usize,
    has_tombstones: bool,
}

impl Kept {
    fn add(&mut self, is_tombstone: bool) {
        self.records += 1;
        self.has_tombstones |= is_tombstone;
    }
}

/// A record of which the map must tell whether it is the last of its key.
#[derive(Debug)]
struct Asked {
    /// Its place in the batch.
    index: usize,
    hash: u128,
    offset: Offset,
    is_tombstone: bool,
}

fn empty(header: &BatchHeader, out: &mut Vec<u8>) -> Result<Fate, BuildError> {
    let before = out.len();
    let emptied = emptied(header, out)?;
    if emptied == *header {
        out.truncate(before);
        return Ok(Fate::Stays);
    }
    Ok(Fate::Becomes(emptied))
}
