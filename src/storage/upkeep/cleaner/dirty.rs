//! The first reading of the dirty part, which puts its keys into the map.

use std::collections::HashSet;

use crate::batch::{BatchHeader, records};
use crate::model::Offset;

use super::filter::Undecodable;
use super::key_map::KeyMap;
use super::pass::{Part, Pass};
use super::transactions::Transactions;
use super::walk::Walk;
use super::{CleanError, Counts};
use crate::storage::log::view::View;

/// How far a batch went into the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    /// Some of its keys did not fit.
    InPart,
    /// All of it, and it has something that may have to go, or change, for other reasons than that
    /// a newer record has its key.
    Whole,
    /// All of it, and all of its records have keys and values, and belong to no transaction.
    Plain,
}

impl Pass<'_> {
    /// Puts the keys of the dirty part into the map, until it is full. Bases of the segments that
    /// are in it as a whole, and of which nothing may go but what newer records supersede.
    pub(super) fn build_map(
        &self,
        view: &View,
        keys: &mut KeyMap,
        counts: &mut Counts,
    ) -> Result<HashSet<Offset>, CleanError> {
        let Part { first_dirty, end } = self.part;
        let mut transactions = Transactions::default();
        let aborted = self.log.aborted_between(first_dirty, end)?;
        transactions.add_aborted(&aborted, first_dirty);
        let mut walk = Walk::new(self.log, view, self.throttle, self.buffer_bytes);
        let dirty = view.segments_from(first_dirty);
        let mut plain = HashSet::new();
        for (segment, next) in dirty.iter().zip(dirty.iter().skip(1)) {
            if segment.base >= end {
                break;
            }
            let len = segment.sealed_len().ok_or(CleanError::Changed)?;
            let mut start = 0;
            if segment.base < first_dirty {
                let file = segment.log_file(self.log.context().files())?;
                let found = self.log.find(segment, &*file, first_dirty, len)?;
                start = found.map_or(len, |batch| batch.position);
            }
            let mut is_plain = start == 0;
            let whole = walk.segment(segment, start, |header, batch| {
                self.check()?;
                let entered = self.enter(header, batch, &mut transactions, keys)?;
                is_plain &= entered == Entered::Plain;
                Ok(entered != Entered::InPart)
            })?;
            // What is found out at the end of a segment is worth no read of the next.
            if !whole || !keys.settle() {
                break;
            }
            keys.reach(next.base.plus(-1));
            if is_plain {
                plain.insert(segment.base);
            }
        }
        counts.bytes_read += walk.bytes_read;
        counts.keys = keys.usage().0;
        Ok(plain)
    }

    /// Puts the keys of a batch into the map.
    fn enter(
        &self,
        header: &BatchHeader,
        batch: &[u8],
        transactions: &mut Transactions,
        keys: &mut KeyMap,
    ) -> Result<Entered, CleanError> {
        let undecodable = |reason: Undecodable| CleanError::undecodable(header, &reason);
        // One without records may have to go.
        let mut is_plain = !header.is_transactional() && header.record_count > 0;
        if header.is_control() {
            is_plain = false;
            transactions
                .pass_control(header, batch)
                .map_err(|error| undecodable(error.into()))?;
        } else if !transactions.pass_batch(header) {
            let opened = records(batch).map_err(|error| undecodable(error.into()))?;
            for record in &opened {
                let record = record.map_err(|error| undecodable(error.into()))?;
                is_plain &= record.key.is_some() && record.value.is_some();
                if let Some(key) = record.key
                    && record.offset >= self.part.first_dirty
                    && !keys.insert(key, record.offset)
                {
                    return Ok(Entered::InPart);
                }
            }
        }
        keys.reach(header.last_offset());
        Ok(match is_plain {
            true => Entered::Plain,
            false => Entered::Whole,
        })
    }
}
