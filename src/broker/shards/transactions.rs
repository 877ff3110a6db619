//! Records that transactions wrote, held back until it is known what became of them.

use std::collections::HashMap;

use crate::model::{Offset, ProducerId};

/// A record of a transaction that has not ended yet.
struct Held<R> {
    offset: Offset,
    key: Vec<u8>,
    record: R,
}

/// Transactions of a log that is read from its start to its end.
///
/// A transaction counts from its marker on, with the exception that Kafka makes for offsets
/// (`OffsetMetadataManager.completeTransactionalOffsets`): what was written for a key later than
/// what the transaction has for it, but counts already, stays.
///
/// What is held back when the log ends belongs to transactions that are open, and does not count.
pub(super) struct Transactions<R> {
    open: HashMap<ProducerId, Vec<Held<R>>>,
}

impl<R> Transactions<R> {
    pub(super) fn new() -> Self {
        Self {
            open: HashMap::new(),
        }
    }

    /// Holds back a record.
    pub(super) fn hold(&mut self, producer: ProducerId, offset: Offset, key: &[u8], record: R) {
        self.open.entry(producer).or_default().push(Held {
            offset,
            key: key.to_vec(),
            record,
        });
    }

    /// A value for `key` at `offset` counts: older ones that are held back are out of date.
    pub(super) fn replaced(&mut self, offset: Offset, key: &[u8]) {
        for held in self.open.values_mut() {
            held.retain(|held| held.offset > offset || held.key != key);
        }
    }

    /// A transaction has ended: the records that count from now on.
    pub(super) fn end(&mut self, producer: ProducerId, committed: bool) -> Vec<R> {
        let ended = self.open.remove(&producer).unwrap_or_default();
        if !committed {
            return Vec::new();
        }
        for held in &ended {
            self.replaced(held.offset, &held.key);
        }
        ended.into_iter().map(|held| held.record).collect()
    }

    /// How many records are held back.
    pub(super) fn held(&self) -> usize {
        self.open.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProducerId = ProducerId(1);
    const B: ProducerId = ProducerId(2);

    #[test]
    fn a_transaction_counts_when_it_is_committed() {
        let mut transactions = Transactions::new();
        transactions.hold(A, Offset(0), b"k", "of a");
        transactions.hold(B, Offset(1), b"l", "of b");
        transactions.hold(A, Offset(2), b"m", "more of a");
        assert_eq!(transactions.held(), 3);
        assert!(transactions.end(B, false).is_empty());
        assert_eq!(transactions.end(A, true), ["of a", "more of a"]);
        assert!(transactions.end(A, true).is_empty());
        assert_eq!(transactions.held(), 0);
    }

    #[test]
    fn what_was_written_later_and_counts_already_stays() {
        let mut transactions = Transactions::new();
        transactions.hold(A, Offset(0), b"k", "of a");
        transactions.hold(A, Offset(1), b"l", "of a");
        transactions.hold(B, Offset(2), b"l", "of b");
        transactions.replaced(Offset(3), b"k");
        assert_eq!(transactions.end(B, true), ["of b"]);
        assert!(transactions.end(A, true).is_empty());
        transactions.hold(A, Offset(5), b"k", "later");
        transactions.replaced(Offset(4), b"k");
        assert_eq!(transactions.end(A, true), ["later"]);
    }
}
