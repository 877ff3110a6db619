//! When batches leave: at times that are fixed beforehand, or as soon as they may.

use std::time::Duration;

use super::plan::{Limit, ProduceSpec};

/// Producers begin so much later than the run, so that consumers wait already.
const LEAD: Duration = Duration::from_millis(100);

/// How long after the end what was due before it may still leave, in nanoseconds.
const GRACE: u64 = 1_000_000_000;

/// When batches should leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Nanoseconds of the run at which the first one is due, and between two.
    first: u64,
    interval: Option<f64>,
    /// No batch is due from this time on.
    end: u64,
    /// How many there are in all.
    batches: u64,
}

impl Schedule {
    /// Of the producer of that index.
    pub(super) fn new(spec: &ProduceSpec, records_per_batch: u32, index: usize) -> Self {
        let lead = u64::try_from(LEAD.as_nanos()).unwrap_or(0);
        let (per_batch, producers) = (f64::from(records_per_batch), spec.producers as f64);
        let interval = spec.rate.map(|rate| per_batch * producers / rate * 1e9);
        // Producers do not send all at once.
        let phase = interval.map_or(0.0, |interval| interval * index as f64 / producers);
        let (end, batches) = match spec.limit {
            Limit::Duration(duration) => {
                let end = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                (lead.saturating_add(end), u64::MAX)
            }
            Limit::Records(records) => {
                let all = records.div_ceil(u64::from(records_per_batch.max(1)));
                let (index, producers) = (index as u64, spec.producers.max(1) as u64);
                let more = u64::from(index < all % producers);
                (u64::MAX, all / producers + more)
            }
            // Producers know no end: nothing is sent.
            Limit::Ends => (0, 0),
        };
        Self {
            first: lead + phase as u64,
            interval,
            end,
            batches,
        }
    }

    /// No batch is due behind the first `sent` any more.
    pub(super) fn stop(&mut self, sent: u64) {
        self.batches = self.batches.min(sent);
    }

    /// Whether batches have a time of their own.
    pub(super) fn is_paced(&self) -> bool {
        self.interval.is_some()
    }

    /// When batch `number` is due; `None` if there is none any more. What was due before the end
    /// may leave a little after it, or the last ones would be missing at every hiccup.
    pub(super) fn due(&self, number: u64, now: u64) -> Option<u64> {
        let (due, last) = match self.interval {
            Some(interval) => (
                self.first.saturating_add((interval * number as f64) as u64),
                self.end.saturating_add(GRACE),
            ),
            None => (now.max(self.first), self.end),
        };
        (number < self.batches && due < self.end && now < last).then_some(due)
    }

    /// How many batches are due from `number` on and were not sent, at the end of the run.
    pub(super) fn left(&self, number: u64, now: u64) -> u64 {
        if self.batches < u64::MAX {
            return self.batches.saturating_sub(number);
        }
        let time = self.end.min(now).saturating_sub(self.first);
        self.interval.map_or(0, |interval| {
            let due = (time as f64 / interval).ceil() as u64;
            due.saturating_sub(number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::BatchSpec;
    use super::*;
    use crate::batch::Codec;
    use crate::model::Acks;

    fn spec(rate: Option<f64>, limit: Limit) -> ProduceSpec {
        ProduceSpec {
            producers: 4,
            threads: 1,
            batch: BatchSpec {
                codec: Codec::None,
                record_bytes: 100,
                batch_bytes: 0,
            },
            rate,
            limit,
            acks: Acks::All,
            in_flight: 5,
            first_producer: 0,
        }
    }

    #[test]
    fn a_batch_is_due_when_the_rate_says_however_late_the_last_one_was() {
        let limit = Limit::Duration(Duration::from_secs(1));
        // 100 batches of 10 records a second, of 4 producers.
        let schedule = Schedule::new(&spec(Some(1000.0), limit), 10, 1);
        let first = 110_000_000;
        assert_eq!(schedule.due(0, 0), Some(first));
        assert_eq!(schedule.due(1, 900_000_000), Some(first + 40_000_000));
        assert_eq!(schedule.due(24, 0), Some(first + 960_000_000));
        assert_eq!(schedule.due(25, 0), None, "behind the end");
        assert!(schedule.due(3, 1_100_000_000).is_some(), "late");
        assert_eq!(schedule.due(3, 2_100_000_000), None, "too late");
        let fast = Schedule::new(&spec(None, limit), 10, 1);
        assert_eq!(fast.due(3, 1_099_999_999), Some(1_099_999_999));
        assert_eq!(fast.due(3, 1_100_000_000), None, "after the end");
        assert_eq!(schedule.left(25, u64::MAX), 0);
        assert_eq!(schedule.left(20, u64::MAX), 5);
        let mut stopped = schedule;
        stopped.stop(20);
        assert_eq!(stopped.due(20, 0), None);
        assert_eq!(stopped.left(20, u64::MAX), 0, "nobody wanted more");
    }

    #[test]
    fn all_producers_together_send_the_records_that_were_asked_for() {
        let limit = Limit::Records(1001);
        let batches: u64 = (0..4)
            .map(|index| Schedule::new(&spec(None, limit), 10, index).batches)
            .sum();
        assert_eq!(batches, 101);
    }
}
