//! Bounding what the cleaner reads and writes in a second (`log.cleaner.io.max.bytes.per.second`,
//! Kafka's `Throttler`): all of its threads together, on the average over some hundred
//! milliseconds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::SharedClock;
use crate::io::File;

/// How often the rate is looked at, as in Kafka; and, since a quick disk moves in that time many
/// times what it may, when so many bytes have moved as the rate has for it.
const CHECK_INTERVAL: Duration = Duration::from_millis(300);

/// Counts bytes, and makes whoever moves too many of them wait.
#[derive(Debug)]
pub(super) struct Throttle {
    clock: SharedClock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    bytes_per_second: f64,
    /// When the period began of which the bytes are counted; in the future during a pause.
    period_start: Duration,
    observed: u64,
    stopped: bool,
}

impl State {
    /// Counts bytes; how long to wait.
    fn observe(&mut self, bytes: u64, now: Duration) -> Duration {
        if let Some(pause) = self
            .period_start
            .checked_sub(now)
            .filter(|left| !left.is_zero())
        {
            // Another thread had moved too many; these bytes belong to the period to come.
            self.observed += bytes;
            return pause;
        }
        self.observed += bytes;
        let elapsed = now.saturating_sub(self.period_start);
        let budget = self.bytes_per_second * CHECK_INTERVAL.as_secs_f64();
        if elapsed <= CHECK_INTERVAL && self.observed as f64 <= budget {
            return Duration::ZERO;
        }
        let due = self.observed as f64 / self.bytes_per_second.max(1.0);
        let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
        let pause = due.saturating_sub(elapsed);
        self.period_start = now.saturating_add(pause);
        self.observed = 0;
        pause
    }
}

impl Throttle {
    pub(super) fn new(clock: SharedClock, bytes_per_second: f64) -> Arc<Self> {
        let state = State {
            bytes_per_second,
            period_start: clock.monotonic(),
            observed: 0,
            stopped: false,
        };
        Arc::new(Self {
            clock,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Takes another bound, from the next look on.
    pub(super) fn set_rate(&self, bytes_per_second: f64) {
        self.state.lock().bytes_per_second = bytes_per_second;
    }

    /// Ends every pause, and lets everything pass.
    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Counts bytes that were read or written, and waits if they are too many.
    fn observe(&self, bytes: usize) {
        let mut state = self.state.lock();
        let now = self.clock.monotonic();
        let pause = state.observe(bytes as u64, now);
        let until = now.saturating_add(pause);
        while !state.stopped {
            let rest = until.saturating_sub(self.clock.monotonic());
            if rest.is_zero() {
                return;
            }
            self.changed.wait_for(&mut state, rest);
        }
    }
}

/// A file whose reads and writes are counted.
#[derive(Debug)]
pub(super) struct Throttled {
    pub(super) file: Arc<dyn File>,
    pub(super) throttle: Arc<Throttle>,
}

impl File for Throttled {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, position)?;
        self.throttle.observe(read);
        Ok(read)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.file.write_all_at(slices, position)?;
        self.throttle
            .observe(slices.iter().map(|slice| slice.len()).sum());
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(bytes_per_second: f64) -> State {
        State {
            bytes_per_second,
            period_start: Duration::ZERO,
            observed: 0,
            stopped: false,
        }
    }

    #[test]
    fn over_any_time_as_many_bytes_pass_as_the_rate_allows() {
        let (mut state, mut now, mut moved) = (state(1_000_000.0), Duration::ZERO, 0_u64);
        while now < Duration::from_secs(60) {
            // A disk that could move ten times as much.
            now += Duration::from_millis(10);
            moved += 100_000;
            now += state.observe(100_000, now);
        }
        let rate = moved as f64 / now.as_secs_f64();
        assert!((0.97..1.01).contains(&(rate / 1_000_000.0)), "{rate}");
    }

    #[test]
    fn a_slower_disk_is_not_held_up() {
        let (mut state, mut now) = (state(1_000_000.0), Duration::ZERO);
        for _ in 0..1_000 {
            now += Duration::from_millis(10);
            assert_eq!(state.observe(9_000, now), Duration::ZERO);
        }
    }

    #[test]
    fn two_threads_share_the_rate() {
        let mut state = state(1_000.0);
        let late = Duration::from_millis(400);
        assert_eq!(state.observe(1_000, late), Duration::from_millis(600));
        assert_eq!(
            state.observe(10, late),
            Duration::from_millis(600),
            "the other one waits as long"
        );
        let after = Duration::from_millis(1_400);
        assert_eq!(
            state.observe(490, after),
            Duration::from_millis(100),
            "what both moved counts"
        );
    }
}
