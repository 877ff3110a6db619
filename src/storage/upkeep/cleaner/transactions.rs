//! Which batches belong to aborted transactions, and which markers nobody needs any more (Kafka's
//! `CleanedTransactionMetadata`).
//!
//! A walk over a log, batch by batch. The transaction index says which transactions are aborted;
//! a marker may go once a walk came by none of its transaction's batches.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::batch::{BatchHeader, ControlType, RecordsError, records};
use crate::model::Offset;

use crate::storage::format::txn_index::AbortedEntry;

/// The transactions that a walk is in the midst of.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions {
    /// Producers whose transactions are committed, and have a batch that the walk came by.
    committed: HashSet<i64>,
    /// Aborted transactions that began, by producer, and whether the walk came by a batch.
    aborted: HashMap<i64, (AbortedEntry, bool)>,
    /// Aborted transactions that begin later: first offset, producer, marker, last stable offset.
    ahead: BinaryHeap<Reverse<(Offset, i64, Offset, Offset)>>,
    /// The markers of the aborted transactions that were added, at or above the segment at hand:
    /// of two entries of one transaction, found at different times, one counts.
    added: HashSet<Offset>,
}

/// What becomes of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is needed; if it aborts a transaction of which there are batches, the new segment's
    /// transaction index needs its entry, too.
    Needed(Option<AbortedEntry>),
    /// Nothing that it ends is there any more.
    Unneeded,
}

impl Transactions {
    /// Adds the aborted transactions that overlap the segment with this base, which the walk is
    /// about to enter; those that are known from segments before it count once.
    ///
    /// One that began before the segment may be new here. Where indexes were lost, entries are
    /// found again in what cleaning left, and know nothing of a first batch that is gone: so one
    /// entry may say that all transactions are decided up to here, by which the search for a
    /// segment before this one ended, and a later entry still name that older beginning.
    pub(super) fn add_aborted(&mut self, entries: &[AbortedEntry], segment: Offset) {
        self.added.retain(|marker| *marker >= segment);
        for entry in entries {
            let AbortedEntry {
                producer_id,
                first,
                last,
                last_stable,
            } = *entry;
            if self.added.insert(last) {
                self.ahead
                    .push(Reverse((first, producer_id, last, last_stable)));
            }
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(Reverse((first, producer_id, last, last_stable))) =
            self.ahead.peek().copied()
        {
            if first > offset {
                return;
            }
            self.ahead.pop();
            let entry = AbortedEntry {
                producer_id,
                first,
                last,
                last_stable,
            };
            let known = self.aborted.entry(producer_id).or_insert((entry, false));
            if known.0.last < first {
                *known = (entry, false);
            }
        }
    }

    /// Comes by a batch of records; whether they belong to an aborted transaction.
    pub(super) fn pass_batch(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((entry, seen)) if header.base_offset <= entry.last => {
                *seen = true;
                true
            }
            Some(_) | None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Comes by a control batch, given in full.
    pub(super) fn pass_control(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
    ) -> Result<Marker, RecordsError> {
        self.begin_up_to(header.last_offset());
        let opened = records(batch)?;
        // One that was emptied says nothing any more.
        let Some(Ok(record)) = opened.iter().next() else {
            return Ok(Marker::Unneeded);
        };
        let producer = header.producer_id;
        Ok(match record.key.and_then(ControlType::from_key) {
            Some(ControlType::Abort) => match self.aborted.remove(&producer) {
                Some((entry, true)) => Marker::Needed(Some(entry)),
                Some((_, false)) | None => Marker::Unneeded,
            },
            Some(ControlType::Commit) => match self.committed.remove(&producer) {
                true => Marker::Needed(None),
                false => Marker::Unneeded,
            },
            Some(
                ControlType::LeaderChange
                | ControlType::SnapshotHeader
                | ControlType::SnapshotFooter
                | ControlType::KRaftVersion
                | ControlType::KRaftVoters,
            )
            | None => Marker::Needed(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, EndMarker, ValidBatch};
    use crate::model::{ProducerEpoch, ProducerId, Timestamp};

    fn data(offset: i64, producer: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new()
            .base_offset(Offset(offset))
            .producer(ProducerId(producer), ProducerEpoch(0), 0)
            .transactional();
        builder.push(Timestamp(0), Some(b"k"), Some(b"v"));
        builder.build().unwrap().header
    }

    fn end(offset: i64, producer: i64, committed: bool) -> ValidBatch {
        let marker = EndMarker {
            committed,
            coordinator_epoch: 0,
        };
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        let mut batch = marker.batch(id, epoch, Timestamp(0)).unwrap();
        batch.header.base_offset = Offset(offset);
        batch
    }

    fn entry(producer_id: i64, first: i64, last: i64) -> AbortedEntry {
        AbortedEntry {
            producer_id,
            first: Offset(first),
            last: Offset(last),
            last_stable: Offset(last + 1),
        }
    }

    fn control(walk: &mut Transactions, batch: &ValidBatch) -> Marker {
        walk.pass_control(&batch.header, &batch.bytes).unwrap()
    }

    #[test]
    fn markers_are_needed_while_there_are_batches_of_their_transactions() {
        let mut walk = Transactions::default();
        let entries = [entry(1, 10, 13), entry(1, 20, 21)];
        walk.add_aborted(&entries, Offset(0));
        assert!(!walk.pass_batch(&data(5, 1)), "an earlier transaction");
        assert_eq!(control(&mut walk, &end(6, 1, true)), Marker::Needed(None));
        assert!(walk.pass_batch(&data(10, 1)));
        assert!(!walk.pass_batch(&data(11, 2)), "another producer");
        assert!(walk.pass_batch(&data(12, 1)));
        let aborted = Marker::Needed(Some(entries[0]));
        assert_eq!(control(&mut walk, &end(13, 1, false)), aborted);
        assert_eq!(control(&mut walk, &end(14, 2, true)), Marker::Needed(None));
        assert_eq!(control(&mut walk, &end(15, 2, true)), Marker::Unneeded);
        assert_eq!(control(&mut walk, &end(21, 1, false)), Marker::Unneeded);
    }

    #[test]
    fn a_transaction_over_several_segments_is_begun_once() {
        let mut walk = Transactions::default();
        let across = [entry(1, 10, 30)];
        walk.add_aborted(&across, Offset(0));
        assert!(walk.pass_batch(&data(10, 1)));
        walk.add_aborted(&across, Offset(20));
        assert!(walk.pass_batch(&data(20, 1)));
        assert_ne!(control(&mut walk, &end(30, 1, false)), Marker::Unneeded);
        assert!(!walk.pass_batch(&data(31, 1)), "the next is committed");
    }

    #[test]
    fn a_transaction_that_is_told_of_late_is_aborted_still() {
        let mut walk = Transactions::default();
        // Its first batch is gone, and the search for the segments before ended at another entry.
        walk.add_aborted(&[entry(2, 12, 27)], Offset(0));
        assert!(walk.pass_batch(&data(12, 2)));
        walk.add_aborted(&[entry(2, 12, 27), entry(1, 4, 43)], Offset(16));
        assert!(walk.pass_batch(&data(26, 1)));
        assert_ne!(control(&mut walk, &end(27, 2, false)), Marker::Unneeded);
        assert_ne!(control(&mut walk, &end(43, 1, false)), Marker::Unneeded);
        assert!(!walk.pass_batch(&data(44, 1)), "the next is committed");
    }
}
