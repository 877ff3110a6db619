//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::report::BenchError;

/// Nanoseconds that are told apart at least, and the longest that are counted as what they are.
const FINEST: u64 = 100;
const LONGEST: u64 = 600_000_000_000;

/// Three digits are kept of every value.
const DIGITS: u8 = 3;

/// A histogram of durations; those above ten minutes count as ten minutes.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(super) fn new() -> Result<Self, BenchError> {
        Histogram::new_with_bounds(FINEST, LONGEST, DIGITS)
            .map(Self)
            .map_err(|error| BenchError::Histogram(error.to_string()))
    }

    /// Adds one, in nanoseconds.
    pub(super) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), BenchError> {
        self.0
            .add(&other.0)
            .map_err(|error| BenchError::Histogram(error.to_string()))
    }

    /// The percentiles; `None` if there is nothing to tell.
    pub(super) fn summary(&self) -> Option<Summary> {
        let at = |quantile| Duration::from_nanos(self.0.value_at_quantile(quantile));
        (!self.0.is_empty()).then(|| Summary {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: Duration::from_nanos(self.0.max()),
        })
    }
}

/// Percentiles of a histogram; each is at most 0.1 % above the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many were measured.
    pub(crate) count: u64,
    /// Half took at most this.
    pub(crate) p50: Duration,
    /// 90 % did.
    pub(crate) p90: Duration,
    /// 99 % did.
    pub(crate) p99: Duration,
    /// 99.9 % did.
    pub(crate) p999: Duration,
    /// The longest.
    pub(crate) max: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Duration, micros: u64) -> bool {
        let expected = Duration::from_micros(micros);
        found >= expected && found <= expected.mul_f64(1.002)
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut odd = Latencies::new().expect("a histogram");
        let mut even = Latencies::new().expect("a histogram");
        assert_eq!(odd.summary(), None);
        for micros in 1..=10_000 {
            let half = if micros % 2 == 0 { &mut even } else { &mut odd };
            half.record(micros * 1000);
        }
        odd.merge(&even).expect("the same bounds");
        let summary = odd.summary().expect("values");
        assert_eq!(summary.count, 10_000);
        assert!(near(summary.p50, 5_000), "{summary:?}");
        assert!(near(summary.p90, 9_000), "{summary:?}");
        assert!(near(summary.p99, 9_900), "{summary:?}");
        assert!(near(summary.p999, 9_990), "{summary:?}");
        assert!(near(summary.max, 10_000), "{summary:?}");
    }

    #[test]
    fn what_took_too_long_counts_as_the_longest() {
        let mut latencies = Latencies::new().expect("a histogram");
        latencies.record(u64::MAX);
        let summary = latencies.summary().expect("a value");
        assert!(summary.max >= Duration::from_secs(600));
    }
}
