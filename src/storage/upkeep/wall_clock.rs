//! Whether the wall clock may be believed when it says that data is old.
//!
//! A clock that is set a year ahead by mistake makes everything old at once, and retention would
//! delete it before anybody sees the mistake. So after a jump forward, by the monotonic clock's
//! measure, nothing goes by time for a while; then the wall clock is followed, since it may have
//! been right. A restart is no jump: there is nothing to measure it by. Nor is a jump back, which
//! makes data younger.

use std::time::Duration;

use crate::clock::Clock;
use crate::model::Timestamp;

/// A jump forward of more than this is waited out.
const JUMP_MS: i64 = 3_600_000;

/// For so long.
const HOLD: Duration = Duration::from_secs(600);

/// Compares the wall clock with the monotonic one, from one look to the next.
#[derive(Debug)]
pub(in crate::storage) struct WallClock {
    wall: Timestamp,
    monotonic: Duration,
    /// Until when, in monotonic time, nothing goes by time.
    held_until: Option<Duration>,
}

impl WallClock {
    pub(in crate::storage) fn new(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.wall(),
            monotonic: clock.monotonic(),
            held_until: None,
        }
    }

    /// The wall clock; `None` while it is not believed.
    pub(in crate::storage) fn look(&mut self, clock: &dyn Clock) -> Option<Timestamp> {
        let (wall, monotonic) = (clock.wall(), clock.monotonic());
        let passed = monotonic.saturating_sub(self.monotonic).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let jump = wall.0.saturating_sub(self.wall.0).saturating_sub(passed);
        (self.wall, self.monotonic) = (wall, monotonic);
        if jump > JUMP_MS {
            tracing::warn!(
                jump_ms = jump,
                hold_ms = HOLD.as_millis(),
                "the wall clock jumped forward: nothing is deleted by time for now"
            );
            self.held_until = Some(monotonic + HOLD);
        }
        match self.held_until {
            Some(until) if monotonic < until => None,
            Some(_) => {
                tracing::warn!("following the wall clock again: old records may be deleted");
                self.held_until = None;
                Some(wall)
            }
            None => Some(wall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn time_that_passes_is_no_jump_however_much() {
        let clock = ManualClock::at(Timestamp(1_000));
        let mut wall = WallClock::new(&*clock);
        clock.advance(HOUR * 24 * 365);
        assert_eq!(wall.look(&*clock), Some(clock.wall()));
    }

    #[test]
    fn a_jump_of_more_than_an_hour_is_waited_out_and_then_followed() {
        let clock = ManualClock::at(Timestamp(1_000));
        let mut wall = WallClock::new(&*clock);
        clock.jump(HOUR + Duration::from_millis(1));
        assert_eq!(wall.look(&*clock), None);
        clock.advance(MINUTE * 10 - Duration::from_millis(1));
        assert_eq!(wall.look(&*clock), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(wall.look(&*clock), Some(clock.wall()));
        assert_eq!(wall.look(&*clock), Some(clock.wall()));
    }

    #[test]
    fn a_second_jump_begins_a_second_wait() {
        let clock = ManualClock::at(Timestamp(1_000));
        let mut wall = WallClock::new(&*clock);
        clock.jump(HOUR * 2);
        assert_eq!(wall.look(&*clock), None);
        clock.advance(MINUTE * 9);
        clock.jump(HOUR * 2);
        assert_eq!(wall.look(&*clock), None);
        clock.advance(MINUTE * 9);
        assert_eq!(wall.look(&*clock), None);
        clock.advance(MINUTE);
        assert_eq!(wall.look(&*clock), Some(clock.wall()));
    }

    #[test]
    fn an_hour_more_or_less_is_believed() {
        let clock = ManualClock::at(Timestamp(100 * 3_600_000));
        let mut wall = WallClock::new(&*clock);
        clock.jump(HOUR);
        assert_eq!(wall.look(&*clock), Some(clock.wall()));
        clock.jump_back(HOUR * 50);
        assert_eq!(wall.look(&*clock), Some(clock.wall()));
    }

    #[test]
    fn a_start_has_nothing_to_measure_a_jump_by() {
        let clock = ManualClock::at(Timestamp(1_000));
        clock.jump(HOUR * 24 * 365);
        assert_eq!(WallClock::new(&*clock).look(&*clock), Some(clock.wall()));
    }
}
