//! How soon all members are back after a broker came.

use std::time::{Duration, Instant};

use super::super::figure::Figure;
use super::member::SESSION_MS;
use super::restless::Restless;

/// How soon after a broker came all members have to be in their groups, every partition with one
/// owner: the longest that one can wait for another that is gone, and a second.
const BACK_MAX: Duration = Duration::from_millis(SESSION_MS.unsigned_abs() as u64 + 1_000);

/// How soon members were back, broker after broker.
#[derive(Debug, Default)]
pub(in crate::reliability) struct Returns {
    times: u32,
    slowest: Duration,
}

impl Returns {
    /// Notes the return under a broker that is about to go. If it goes before all were back, that
    /// says nothing unless they were late already.
    pub(in crate::reliability) fn note(&mut self, groups: &Restless) {
        let back = groups.back_after();
        let waited = groups.since_broker_came();
        let late = waited.filter(|waited| *waited > BACK_MAX);
        if back.is_none() && late.is_some() {
            eprintln!("late: {}", groups.describe());
        }
        if let Some(took) = back.or(late) {
            self.times += 1;
            self.slowest = self.slowest.max(took);
        }
    }

    /// Waits until all are back, or are far too late, and notes it.
    pub(in crate::reliability) fn wait(&mut self, groups: &Restless) {
        let begin = Instant::now();
        while groups.back_after().is_none() && begin.elapsed() < BACK_MAX * 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.note(groups);
    }

    /// Tells it; fails if they were too slow.
    pub(in crate::reliability) fn tell(&self, figure: &mut Figure) {
        figure.set("rejoins", self.times);
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        figure.at_most("rejoin_ms_max", ms(self.slowest).round(), ms(BACK_MAX));
    }
}
