//! Where each leader epoch of a partition began (Kafka's `LeaderEpochFileCache`).

use crate::model::{LeaderEpoch, Offset};

use crate::storage::format::leader_epochs::EpochEntry;

/// The epochs of a log, ascending in epoch and in start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::storage) struct Epochs {
    entries: Vec<EpochEntry>,
}

impl Epochs {
    pub(in crate::storage) fn new(entries: Vec<EpochEntry>) -> Self {
        Self { entries }
    }

    pub(in crate::storage) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub(in crate::storage) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that `epoch` begins at `start`, unless it or a later one is known; whether that
    /// changed anything. An epoch in which nothing was written gives way to the next.
    pub(in crate::storage) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch.0 < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        self.entries.retain(|entry| entry.start < start);
        self.entries.push(EpochEntry { epoch, start });
        true
    }

    /// Notes epochs of a stretch of the log, of which the first may have begun before it.
    pub(in crate::storage) fn assign_all(&mut self, of_stretch: &Self) {
        for entry in &of_stretch.entries {
            self.assign(entry.epoch, entry.start);
        }
    }

    /// Forgets what lies before the log start; the epoch that it falls into then begins there.
    pub(in crate::storage) fn cut_front(&mut self, log_start: Offset) -> bool {
        let Some(first) = self
            .entries
            .iter()
            .rposition(|entry| entry.start <= log_start)
        else {
            return false;
        };
        let mut kept = self.entries.split_off(first);
        let changed = first > 0;
        if let Some(entry) = kept.first_mut() {
            let moved = entry.start != log_start;
            entry.start = log_start;
            self.entries = kept;
            return changed || moved;
        }
        changed
    }

    /// Forgets what begins at or after `log_end`.
    pub(in crate::storage) fn cut_back(&mut self, log_end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start < log_end);
        self.entries.len() != before
    }

    /// The epoch that `offset` falls into.
    pub(in crate::storage) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        self.entries
            .get(after.checked_sub(1)?)
            .map(|entry| entry.epoch)
    }

    /// What OffsetForLeaderEpoch answers for `requested`:
    ///
    /// | requested | answer |
    /// | --- | --- |
    /// | the latest | it, and the log end |
    /// | later than the latest, or none is known | unknown |
    /// | earlier than the first | itself, and the start of the first |
    /// | else | the largest known up to it, and the start of the next |
    pub(in crate::storage) fn end_of(
        &self,
        requested: LeaderEpoch,
        log_end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if self.latest() == Some(requested) {
            return Some((requested, log_end));
        }
        let next = self
            .entries
            .partition_point(|entry| entry.epoch <= requested);
        let end = self.entries.get(next)?.start;
        let floor = next
            .checked_sub(1)
            .and_then(|floor| self.entries.get(floor));
        Some((floor.map_or(requested, |entry| entry.epoch), end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    #[test]
    fn ends_of_epochs_follow_kafkas_table() {
        let epochs = epochs(&[(2, 10), (4, 30), (7, 50)]);
        let end = |epoch| {
            epochs
                .end_of(LeaderEpoch(epoch), Offset(80))
                .map(|(epoch, end)| (epoch.0, end.0))
        };
        assert_eq!(end(0), Some((0, 10)), "before the first");
        assert_eq!(end(2), Some((2, 30)));
        assert_eq!(end(3), Some((2, 30)), "a gap");
        assert_eq!(end(4), Some((4, 50)));
        assert_eq!(end(6), Some((4, 50)));
        assert_eq!(end(7), Some((7, 80)), "the latest ends at the log end");
        assert_eq!(end(8), None, "later than the latest");
        assert_eq!(Epochs::default().end_of(LeaderEpoch(0), Offset(0)), None);
    }

    #[test]
    fn an_epoch_without_records_gives_way_to_the_next() {
        assert_eq!(epochs(&[(1, 0), (2, 5), (3, 5)]), epochs(&[(1, 0), (3, 5)]));
        assert_eq!(
            epochs(&[(3, 0), (2, 5)]),
            epochs(&[(3, 0)]),
            "an old epoch changes nothing"
        );
    }

    #[test]
    fn a_new_log_start_cuts_the_front() {
        let mut cut = epochs(&[(1, 0), (2, 5), (3, 9)]);
        assert!(cut.cut_front(Offset(7)));
        assert_eq!(cut, epochs(&[(2, 7), (3, 9)]));
        assert!(!cut.cut_front(Offset(7)));
        assert_eq!(cut.at(Offset(8)), Some(LeaderEpoch(2)));
        assert_eq!(cut.at(Offset(9)), Some(LeaderEpoch(3)));
        assert_eq!(cut.at(Offset(6)), None);
        assert!(cut.cut_back(Offset(9)));
        assert_eq!(cut, epochs(&[(2, 7)]));
    }
}
