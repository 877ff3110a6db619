//! One session: the epoch that must come next, and what was sent last of each partition.

use super::SessionError;
use super::order::{Cached, Ordered};
use super::partition::{Answered, PartitionKey, Wanted};

/// A request of this epoch begins a session.
pub(super) const INITIAL_EPOCH: i32 = 0;

/// A request of this epoch has no session.
pub(super) const FINAL_EPOCH: i32 = -1;

/// Epochs run from 1 to the largest integer and start over at 1.
const fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        ..0 => FINAL_EPOCH,
        i32::MAX => 1,
        _ => epoch + 1,
    }
}

/// What is remembered for one client between its fetches.
#[derive(Debug)]
pub(super) struct Session {
    uses_ids: bool,
    /// The epoch that the next request must carry.
    epoch: i32,
    partitions: Ordered,
}

impl Session {
    /// A session whose partitions were all answered, and which goes on with the epoch after the
    /// initial one.
    pub(super) fn new(
        uses_ids: bool,
        partitions: &[(PartitionKey, Wanted)],
        answers: &[Answered],
    ) -> Self {
        let mut ordered = Ordered::with_capacity(partitions.len());
        for ((key, wanted), answer) in partitions.iter().zip(answers) {
            let Answered {
                high_watermark,
                log_start,
                ..
            } = *answer;
            ordered.push(
                key.clone(),
                Cached {
                    wanted: *wanted,
                    high_watermark,
                    log_start,
                },
            );
        }
        Self {
            uses_ids,
            epoch: next_epoch(INITIAL_EPOCH),
            partitions: ordered,
        }
    }

    /// The epoch that the next request must carry.
    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// How many partitions it remembers.
    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Whether a request of that epoch may go on with it.
    pub(super) fn accepts(&self, epoch: i32, uses_ids: bool) -> Result<(), SessionError> {
        if self.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if self.uses_ids != uses_ids {
            return Err(SessionError::TopicIdMismatch);
        }
        Ok(())
    }

    /// Adds and changes partitions as they are wanted, then drops those that are forgotten.
    pub(super) fn update(
        &mut self,
        wanted: Vec<(PartitionKey, Wanted)>,
        forgotten: impl IntoIterator<Item = PartitionKey>,
    ) {
        for (key, wanted) in wanted {
            match self.partitions.get_mut(&key) {
                Some(cached) => cached.wanted = wanted,
                None => {
                    self.partitions.push(
                        key,
                        Cached {
                            wanted,
                            high_watermark: -1,
                            log_start: -1,
                        },
                    );
                }
            }
        }
        for key in forgotten {
            self.partitions.remove(&key);
        }
    }

    /// Moves on to the next epoch, which an answer must still find: what to fetch until then.
    pub(super) fn advance(&mut self) -> Vec<(PartitionKey, Wanted)> {
        self.epoch = next_epoch(self.epoch);
        let wanted = self.partitions.wanted();
        wanted.map(|(key, wanted)| (key.clone(), wanted)).collect()
    }

    /// Whether an answer has to be sent, and takes note of it.
    pub(super) fn changed(&mut self, key: &PartitionKey, answer: &Answered) -> bool {
        let Some(cached) = self.partitions.get_mut(key) else {
            return true;
        };
        let changed = answer.has_records
            || answer.failed
            || answer.diverging
            || cached.high_watermark != answer.high_watermark
            || cached.log_start != answer.log_start;
        cached.high_watermark = if answer.failed {
            -1
        } else {
            answer.high_watermark
        };
        cached.log_start = answer.log_start;
        if answer.has_records {
            self.partitions.move_to_back(key);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_start_over_at_one() {
        assert_eq!(next_epoch(0), 1);
        assert_eq!(next_epoch(41), 42);
        assert_eq!(next_epoch(i32::MAX), 1);
        assert_eq!(next_epoch(-1), -1);
    }
}
