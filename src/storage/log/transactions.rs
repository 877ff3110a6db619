//! Transactions as the log sees them: which of them keep the last stable offset back (Kafka's
//! `ProducerStateManager.ongoingTxns` and `unreplicatedTxns`).
//!
//! The last stable offset is the first offset of the transactions that are open, or that were
//! ended by a marker which is not below the high watermark yet; else the high watermark. So what a
//! `read_committed` reader sees is decided, and its decision is as durable as the mode promises.

use std::collections::{BTreeMap, VecDeque};

use crate::model::Offset;

use crate::storage::log::offsets::Mark;
use crate::storage::log::producers::{Ended, Step};
use crate::storage::log::view::View;

/// The transactions that are not settled: open ones, and ended ones whose markers are not
/// committed.
#[derive(Debug, Default)]
pub(in crate::storage) struct Unsettled {
    /// The open ones, by first offset and producer, and where they begin.
    open: BTreeMap<(Offset, i64), Mark>,
    /// The ended ones, as far as they can matter: the offsets of their markers ascend, and so do
    /// their beginnings. One that began after another, and was ended before it, is settled before
    /// it too, and never is the first.
    ended: VecDeque<(Mark, Offset)>,
}

impl Unsettled {
    /// Takes in what the batch at `place` did.
    pub(in crate::storage) fn apply(&mut self, step: Step, place: Mark) {
        match step {
            Step::Began(producer) => self.begin(producer, place),
            Step::Ended(ended) => self.end(&ended),
        }
    }

    /// A transaction begins at `start`.
    pub(in crate::storage) fn begin(&mut self, producer: i64, start: Mark) {
        self.open.insert((start.offset, producer), start);
    }

    fn end(&mut self, ended: &Ended) {
        let Some(start) = self.open.remove(&(ended.first, ended.producer_id)) else {
            return;
        };
        let later = |(earlier, _): &(Mark, Offset)| earlier.offset > start.offset;
        while self.ended.back().is_some_and(later) {
            self.ended.pop_back();
        }
        self.ended.push_back((start, ended.last));
    }

    /// The last stable offset of a view; what that view settles is forgotten.
    pub(in crate::storage) fn last_stable(&mut self, view: &View) -> Mark {
        let committed = view.committed;
        let settled = |(_, marker): &(Mark, Offset)| *marker < committed.offset;
        while self.ended.front().is_some_and(settled) {
            self.ended.pop_front();
        }
        let ended = self.ended.front().map(|(start, _)| *start);
        let first = self.open.values().next().copied().into_iter().chain(ended);
        match first.min_by_key(|start| start.offset) {
            Some(start) if start.offset < committed.offset => Mark {
                offset: start.offset.max(view.log_start),
                ..start
            },
            Some(_) | None => committed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::log::epochs::Epochs;
    use crate::storage::log::view::Shape;

    fn at(offset: i64) -> Mark {
        Mark {
            offset: Offset(offset),
            segment: Offset(0),
            position: offset as u64 * 100,
        }
    }

    fn stable(unsettled: &mut Unsettled, log_start: i64, committed: i64) -> i64 {
        let shape = Shape {
            segments: Arc::new([]),
            epochs: Arc::new(Epochs::default()),
            log_start: Offset(log_start),
        };
        unsettled
            .last_stable(&View::new(shape, at(committed)))
            .offset
            .0
    }

    fn ended(producer_id: i64, first: i64, last: i64) -> Step {
        Step::Ended(Ended {
            producer_id,
            first: Offset(first),
            last: Offset(last),
            aborted: false,
            last_stable: Offset(last + 1),
        })
    }

    #[test]
    fn an_ended_transaction_holds_back_until_its_marker_is_committed() {
        let mut unsettled = Unsettled::default();
        unsettled.apply(Step::Began(7), at(3));
        assert_eq!(
            stable(&mut unsettled, 0, 2),
            2,
            "it is not committed itself"
        );
        assert_eq!(stable(&mut unsettled, 0, 5), 3);
        unsettled.apply(ended(7, 3, 5), at(5));
        assert_eq!(
            stable(&mut unsettled, 0, 5),
            3,
            "the marker is not committed"
        );
        assert_eq!(stable(&mut unsettled, 0, 6), 6);
    }

    #[test]
    fn the_first_of_all_counts_whichever_ends_first() {
        let mut unsettled = Unsettled::default();
        for (producer, start) in [(1, 10), (2, 20), (3, 30)] {
            unsettled.apply(Step::Began(producer), at(start));
        }
        unsettled.apply(ended(2, 20, 40), at(40));
        unsettled.apply(ended(1, 10, 41), at(41));
        assert_eq!(stable(&mut unsettled, 0, 41), 10);
        assert_eq!(stable(&mut unsettled, 0, 42), 30, "both are settled by now");
        unsettled.apply(ended(3, 30, 42), at(42));
        assert_eq!(stable(&mut unsettled, 0, 43), 43);
    }

    #[test]
    fn deleted_records_of_an_open_transaction_hold_nothing_back() {
        let mut unsettled = Unsettled::default();
        unsettled.apply(Step::Began(1), at(10));
        assert_eq!(stable(&mut unsettled, 15, 20), 15);
    }
}
