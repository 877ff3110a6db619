//! Where the leader epochs of a log began, as its file says and its batches show.
//!
//! The file has no checksum, and is not synced with the batches: it may lack the newest epochs,
//! and an operator may have put another one in its place. So each epoch is held against the first
//! and the last batch of its stretch; epochs rise, so what is between them is right, too. A file
//! that does not fit gives way to what the batches say. Only where batches are gone, below the log
//! start, the file alone knows, and is believed.

use std::io;
use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset};
use crate::storage::format::{leader_epochs, names};
use crate::storage::log::epochs::Epochs;
use crate::storage::log::offsets::Mark;
use crate::storage::log::segment::Segment;

use super::{Loader, current_epoch};

impl Loader<'_> {
    /// What the file of the leader epochs says, if it makes sense.
    pub(super) fn read_epochs(&self) -> Option<Epochs> {
        let path = self.context.path.join(names::LEADER_EPOCHS);
        let content = self.context.core.io.read(&path).ok()?;
        let entries = leader_epochs::decode(std::str::from_utf8(&content).ok()?).ok()?;
        Some(Epochs::new(entries))
    }

    /// The epochs between the log start and the log end: those that are known, if they are those
    /// of the batches.
    pub(super) fn settle_epochs(
        &self,
        known: Option<Epochs>,
        segments: &[Arc<Segment>],
        log_start: Offset,
        end: Mark,
    ) -> io::Result<Epochs> {
        if let Some(mut epochs) = known {
            epochs.cut_back(end.offset);
            epochs.cut_front(log_start);
            if self.epochs_fit(&epochs, segments, log_start, end)? {
                return Ok(epochs);
            }
            let (seen, agree) = self.epochs_of_batches(Some(&epochs), segments, end)?;
            if agree {
                return Ok(epochs);
            }
            tracing::warn!(
                partition = self.context.directory,
                "the leader epochs on disk are not those of the batches: taking these"
            );
            return Ok(from(seen, log_start));
        }
        let (seen, _) = self.epochs_of_batches(None, segments, end)?;
        Ok(from(seen, log_start))
    }

    /// Whether each epoch is that of the first and of the last batch between its start and that of
    /// the next. A batch that cannot be read says nothing.
    fn epochs_fit(
        &self,
        epochs: &Epochs,
        segments: &[Arc<Segment>],
        log_start: Offset,
        end: Mark,
    ) -> io::Result<bool> {
        let entries = epochs.entries();
        let covered_from = entries.first().map_or(end.offset, |first| first.start);
        if covered_from > log_start
            && let Some(batch) = self.batch_at(log_start, segments, end)?
            && batch.header.base_offset < covered_from
            && batch.header.leader_epoch >= LeaderEpoch(0)
        {
            return Ok(false);
        }
        let nexts = entries.iter().skip(1).map(|next| next.start);
        for (entry, next) in entries.iter().zip(nexts.chain([end.offset])) {
            if let Some(batch) = self.batch_at(entry.start, segments, end)?
                && batch.header.base_offset < next
                && (batch.header.leader_epoch != entry.epoch
                    || (batch.header.base_offset < entry.start && entry.start > log_start))
            {
                return Ok(false);
            }
            if let Some(batch) = self.batch_before(next, segments, end)?
                && batch.header.last_offset() >= entry.start
                && batch.header.leader_epoch != entry.epoch
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The epochs as the batches have them, and whether those that are `known` may stand: one batch
    /// that disagrees has a flipped bit, since epochs lie outside the checksum; two in a row have
    /// not.
    fn epochs_of_batches(
        &self,
        known: Option<&Epochs>,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<(Epochs, bool)> {
        let (mut seen, mut agree, mut last_agreed) = (EpochsSeen::default(), true, true);
        self.each_batch(segments, Offset(0), end, |batch, _| {
            let (epoch, base) = (batch.header.leader_epoch, batch.header.base_offset);
            seen.note(epoch, base);
            let agrees = known.and_then(|known| known.at(base)) == Some(epoch);
            agree &= agrees || last_agreed;
            last_agreed = agrees;
            Ok(())
        })?;
        Ok((seen.finish(current_epoch(self.context)), agree))
    }
}

fn from(mut epochs: Epochs, log_start: Offset) -> Epochs {
    epochs.cut_front(log_start);
    epochs
}

/// Epochs as a walk along the batches comes by them. One that the next batch does not go on with is
/// a flipped bit.
#[derive(Debug, Default)]
pub(super) struct EpochsSeen {
    epochs: Epochs,
    begun: Option<(LeaderEpoch, Offset)>,
}

impl EpochsSeen {
    /// Takes in a batch.
    pub(super) fn note(&mut self, epoch: LeaderEpoch, base: Offset) {
        if let Some((begun, start)) = self.begun.take()
            && epoch >= begun
        {
            self.epochs.assign(begun, start);
        }
        if self.epochs.latest().is_none_or(|latest| epoch > latest) {
            self.begun = Some((epoch, base));
        }
    }

    /// The epochs of a whole log. Nobody goes on with what the last batch began: it is believed if
    /// that epoch was reached, or is the next one, or there is no other batch.
    pub(super) fn finish(self, current: LeaderEpoch) -> Epochs {
        let alone = self.epochs.latest().is_none();
        self.end(current, alone)
    }

    /// The same of a walk that began amid a log: that it saw one batch alone says nothing for it.
    pub(super) fn finish_part(self, current: LeaderEpoch) -> Epochs {
        self.end(current, false)
    }

    fn end(mut self, current: LeaderEpoch, believed: bool) -> Epochs {
        let next = self
            .epochs
            .latest()
            .map(|latest| latest.0.saturating_add(1));
        if let Some((begun, start)) = self.begun
            && (believed || begun <= current || next == Some(begun.0))
        {
            self.epochs.assign(begun, start);
        }
        self.epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(batches: &[(i32, i64)], current: i32) -> Vec<(i32, i64)> {
        let mut seen = EpochsSeen::default();
        for (epoch, base) in batches {
            seen.note(LeaderEpoch(*epoch), Offset(*base));
        }
        let epochs = seen.finish(LeaderEpoch(current));
        let entries = epochs.entries().iter();
        entries
            .map(|entry| (entry.epoch.0, entry.start.0))
            .collect()
    }

    #[test]
    fn an_epoch_that_the_next_batch_does_not_go_on_with_never_began() {
        assert_eq!(seen(&[(0, 0), (0, 1), (3, 2), (3, 3)], 3), [(0, 0), (3, 2)]);
        assert_eq!(seen(&[(0, 0), (64, 1), (0, 2), (0, 3)], 0), [(0, 0)]);
        assert_eq!(seen(&[(64, 0), (1, 1), (1, 2)], 1), [(1, 1)]);
        assert_eq!(seen(&[(0, 0), (0, 1), (64, 2)], 3), [(0, 0)]);
        assert_eq!(seen(&[(0, 0), (0, 1), (2, 2)], 3), [(0, 0), (2, 2)]);
        assert_eq!(seen(&[(7, 0), (7, 1), (8, 2)], 0), [(7, 0), (8, 2)]);
        assert_eq!(seen(&[(64, 0)], 3), [(64, 0)]);
    }

    #[test]
    fn a_batch_that_was_seen_alone_amid_a_log_begins_no_epoch_that_was_never_reached() {
        let part = |epoch| {
            let mut seen = EpochsSeen::default();
            seen.note(LeaderEpoch(epoch), Offset(464));
            seen.finish_part(LeaderEpoch(2)).entries().len()
        };
        assert_eq!((part(2), part(64)), (1, 0));
    }
}
