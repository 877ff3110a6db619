//! What is told of a run, and how it follows from what was seen.

use serde_json::Value;

/// What was seen of one side in one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Processor seconds of the server.
    pub(crate) cpu: f64,
    /// Processor seconds of those who asked.
    pub(crate) client_cpu: f64,
    /// What part of their time the processors of the machine had nothing to do.
    pub(crate) idle: f64,
    /// Resident KiB of the server: when it had started, after the work, and at most.
    pub(crate) resident_begin: f64,
    pub(crate) resident_end: f64,
    pub(crate) resident_peak: f64,
    /// What memory is told by.
    pub(crate) units: f64,
    /// What `klamm bench` said, or the like of it.
    pub(crate) said: Value,
}

/// A number that a round gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Of the server, by what was sent and read.
    CpuPerGb,
    /// Of the server, by what was sent.
    CpuPerRecord,
    /// Of the server, by answers to readers.
    CpuPerAnswer,
    /// Of readers if there are any, of producers else.
    RecordsPerSecond,
    AckP50,
    AckP99,
    AckP999,
    AnswerP50,
    AnswerP99,
    EndToEndP50,
    EndToEndP99,
    /// After the work.
    Resident,
    /// What came to it since the start, by partition or connection.
    ResidentEach,
    /// The same, at its most.
    ResidentPeakEach,
    /// Uses of a file that found it open, of all rounds together.
    OpenHits,
}

impl Figure {
    /// Whether it is a speed, which those who ask may limit; what a server costs it costs whoever asks.
    pub(crate) fn is_speed(self) -> bool {
        self == Self::RecordsPerSecond
    }

    /// Its name, with its unit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CpuPerGb => "cpu s/GB",
            Self::CpuPerRecord => "cpu us/record",
            Self::CpuPerAnswer => "cpu us/answer",
            Self::RecordsPerSecond => "records/s",
            Self::AckP50 => "ack p50 us",
            Self::AckP99 => "ack p99 us",
            Self::AckP999 => "ack p99.9 us",
            Self::AnswerP50 => "answer p50 us",
            Self::AnswerP99 => "answer p99 us",
            Self::EndToEndP50 => "end-to-end p50 us",
            Self::EndToEndP99 => "end-to-end p99 us",
            Self::Resident => "resident MiB",
            Self::ResidentEach => "resident KiB each",
            Self::ResidentPeakEach => "peak KiB each",
            Self::OpenHits => "hit rate %",
        }
    }

    /// `None` where the run has no such thing.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        let said = |path: &str| sample.said.pointer(path).and_then(Value::as_f64);
        let both = |name: &str| {
            let produced = said(&format!("/produced/{name}"));
            let consumed = said(&format!("/consumed/{name}"));
            match (produced, consumed) {
                (None, None) => None,
                (produced, consumed) => Some(produced.unwrap_or(0.0) + consumed.unwrap_or(0.0)),
            }
        };
        let per = |value: f64, count: Option<f64>| {
            count
                .filter(|count| *count > 0.0)
                .map(|count| value / count)
        };
        match self {
            Self::CpuPerGb => per(sample.cpu * 1e9, both("bytes")),
            Self::CpuPerRecord => per(sample.cpu * 1e6, said("/produced/records")),
            Self::CpuPerAnswer => per(sample.cpu * 1e6, said("/consumed/requests")),
            Self::RecordsPerSecond => said("/consumed/records_per_second")
                .or_else(|| said("/produced/records_per_second")),
            Self::AckP50 => said("/produced/latency_us/p50"),
            Self::AckP99 => said("/produced/latency_us/p99"),
            Self::AckP999 => said("/produced/latency_us/p99.9"),
            Self::AnswerP50 => said("/consumed/latency_us/p50"),
            Self::AnswerP99 => said("/consumed/latency_us/p99"),
            Self::EndToEndP50 => said("/end_to_end_us/p50"),
            Self::EndToEndP99 => said("/end_to_end_us/p99"),
            Self::Resident => Some(sample.resident_end / 1024.0),
            Self::ResidentEach => per(
                sample.resident_end - sample.resident_begin,
                Some(sample.units),
            ),
            Self::ResidentPeakEach => per(
                sample.resident_peak - sample.resident_begin,
                Some(sample.units),
            ),
            Self::OpenHits => {
                let hits = said("/open_files/hits")?;
                let misses = said("/open_files/misses")?;
                per(hits * 100.0, Some(hits + misses))
            }
        }
    }
}

/// A machine that is idle for less than this part of its time has no more to give.
const IDLE_MIN: f64 = 0.1;

impl Sample {
    /// Whether a speed is that of those who asked: a thread of theirs never rested, or no processor
    /// did and they took more of it than who answered.
    pub(crate) fn is_client_bound(&self) -> bool {
        let sides = ["produced", "consumed"].map(|side| self.said.get(side));
        let busy = |side: &Value| side.get("client_bound") == Some(&Value::Bool(true));
        sides.into_iter().flatten().any(busy)
            || (self.idle < IDLE_MIN && self.client_cpu > self.cpu)
    }

    /// Whether batches were due and had not left at the end.
    pub(crate) fn misses_its_rate(&self) -> bool {
        let unsent = self
            .said
            .pointer("/produced/unsent")
            .and_then(Value::as_u64);
        unsent.is_some_and(|unsent| unsent > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Sample {
        Sample {
            cpu: 0.5,
            client_cpu: 0.4,
            idle: 0.5,
            resident_begin: 1024.0,
            resident_end: 3072.0,
            resident_peak: 5120.0,
            units: 4.0,
            said: json!({
                "produced": {"bytes": 500_000_000, "records": 1_000_000, "latency_us": {"p50": 7}},
                "consumed": {"bytes": 500_000_000, "requests": 1_000, "records_per_second": 3},
            }),
        }
    }

    #[test]
    fn processor_time_is_told_by_all_bytes_but_by_the_records_that_were_sent() {
        assert_eq!(Figure::CpuPerGb.of(&sample()), Some(0.5));
        assert_eq!(Figure::CpuPerRecord.of(&sample()), Some(0.5));
        assert_eq!(Figure::CpuPerAnswer.of(&sample()), Some(500.0));
    }

    #[test]
    fn memory_is_told_by_what_came_to_it() {
        assert_eq!(Figure::Resident.of(&sample()), Some(3.0));
        assert_eq!(Figure::ResidentEach.of(&sample()), Some(512.0));
        assert_eq!(Figure::ResidentPeakEach.of(&sample()), Some(1024.0));
    }

    #[test]
    fn what_a_run_has_not_is_no_number() {
        assert_eq!(Figure::AckP50.of(&sample()), Some(7.0));
        assert_eq!(Figure::AckP99.of(&sample()), None);
        assert_eq!(Figure::CpuPerGb.of(&Sample::default()), None);
    }

    #[test]
    fn a_generator_that_never_rests_or_has_most_of_a_full_machine_is_what_limits() {
        let with = |client_cpu: f64, idle: f64, bound: bool| Sample {
            client_cpu,
            idle,
            said: json!({"produced": {"client_bound": bound}}),
            ..sample()
        };
        assert!(with(0.1, 0.8, true).is_client_bound());
        assert!(with(1.5, 0.05, false).is_client_bound());
        assert!(!with(1.5, 0.6, false).is_client_bound(), "both rested");
        assert!(
            !with(0.4, 0.0, false).is_client_bound(),
            "the server has most"
        );
    }
}
