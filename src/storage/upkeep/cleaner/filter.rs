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
    BatchHeader, BuildError, Codec, RecordFormatError, Records, RecordsError, UnknownCodec,
    ValidBatch, emptied, records, retain,
};
use crate::model::{Offset, Timestamp};

use super::key_map::KeyMap;
use super::transactions::{Marker, Transactions};
use crate::storage::format::txn_index::AbortedEntry;

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, byte for byte.
    Stays,
    /// This takes its place.
    Becomes(ValidBatch),
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
        }
    }

    /// What becomes of a batch; with the entry that the new transaction index gets for it.
    pub(super) fn judge(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
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
                true => empty(header)?,
                false => Fate::Goes,
            };
            return Ok((fate, entry));
        }
        let opened = records(batch)?;
        let (kept, has_tombstones) = self.look(header, &opened, horizon_passed)?;
        if kept == 0 {
            let fate = match kept_empty {
                true => empty(header)?,
                false => Fate::Goes,
            };
            return Ok((fate, entry));
        }
        let new_horizon = (horizon.is_none() && (has_tombstones || unneeded_marker))
            .then(|| Timestamp(self.now.0.saturating_add(self.delete_retention_ms)))
            // As in Kafka, a time before 1970 is none.
            .filter(|horizon| horizon.0 >= 0);
        if kept == self.stays.len() && new_horizon.is_none() {
            return Ok((Fate::Stays, entry));
        }
        let stay = opened
            .iter()
            .filter_map(Result::ok)
            .zip(&self.stays)
            .filter(|(_, stays)| **stays)
            .map(|(record, _)| record);
        let codec: Codec = header.codec()?;
        let rebuilt = retain(header, codec, stay, new_horizon)?;
        Ok((Fate::Becomes(rebuilt), entry))
    }

    /// Finds out which records stay; how many, and whether there is a tombstone among them.
    fn look(
        &mut self,
        header: &BatchHeader,
        opened: &Records<'_>,
        horizon_passed: bool,
    ) -> Result<(usize, bool), RecordFormatError> {
        self.stays.clear();
        let (mut kept, mut has_tombstones) = (0, false);
        for record in opened {
            let record = record?;
            let stays = match record.key {
                _ if header.is_control() || record.offset > self.keys.latest() => true,
                None => false,
                Some(key) => {
                    let newest = self.keys.get(key).is_none_or(|last| record.offset >= last);
                    newest && (record.value.is_some() || !horizon_passed)
                }
            };
            self.stays.push(stays);
            if stays {
                kept += 1;
                has_tombstones |= record.value.is_none();
            }
        }
        Ok((kept, has_tombstones))
    }
}

fn empty(header: &BatchHeader) -> Result<Fate, BuildError> {
    let emptied = emptied(header)?;
    Ok(match emptied.header == *header {
        true => Fate::Stays,
        false => Fate::Becomes(emptied),
    })
}
