//! What came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::latency::{Latencies, Summary};
use super::verify::Faults;

/// Why nothing, or not all, could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A connection could not be opened.
    #[error("{address}: {source}")]
    Connect {
        /// The broker.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The partitions of one client have several leaders.
    #[error("{0} partitions of one client have different leaders; use more clients")]
    Leaders(usize),
    /// More producers than can be told apart.
    #[error("at most {0} producers can be told apart")]
    Producers(u16),
    /// The batch cannot be made.
    #[error("the batch: {0}")]
    Batch(#[from] crate::batch::BuildError),
    /// A request cannot be made.
    #[error("a request: {0}")]
    Request(#[from] crate::wire::EncodeError),
    /// The histogram refused.
    #[error("the histogram: {0}")]
    Histogram(String),
    /// Threads or sockets cannot be used as is necessary.
    #[error("the system: {0}")]
    System(#[from] std::io::Error),
    /// A thread ended without an answer.
    #[error("a thread of the generator failed")]
    Thread,
}

/// How it goes, once a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Since the start.
    pub(crate) elapsed: Duration,
    /// Acknowledged, and read, so far; `None` for a side that is not there.
    pub(crate) produced: Option<Count>,
    /// See `produced`.
    pub(crate) consumed: Option<Count>,
}

/// How much of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Records.
    pub(crate) records: u64,
    /// Bytes of their batches, as they are sent.
    pub(crate) bytes: u64,
    /// Answers with an error.
    pub(crate) errors: u64,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The producers.
    pub(crate) produced: Option<Side>,
    /// The consumers.
    pub(crate) consumed: Option<Side>,
    /// From when a batch should have left until it had come in, checked or not.
    pub(crate) arrival: Option<Summary>,
    /// What the verifier found.
    pub(crate) faults: Faults,
    /// Whether it ended before its time, because the user wanted it.
    pub(crate) interrupted: bool,
}

/// One side of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    /// From the first request to the last answer that counts.
    pub(crate) elapsed: Duration,
    /// Answers without an error.
    pub(crate) requests: u64,
    /// What was acknowledged, or read.
    pub(crate) count: Count,
    /// From when a batch should have left to its acknowledgement; from a fetch that found something
    /// to all of its answer.
    pub(crate) latency: Option<Summary>,
    /// How much later than they should have sent the generator's own threads were.
    pub(crate) lateness: Option<Summary>,
    /// Errors of the broker by Kafka's code.
    pub(crate) errors: BTreeMap<i16, u64>,
    /// Connections that were lost, and why; at most as many as there are.
    pub(crate) lost: Vec<String>,
    /// Partitions that the broker refused for good, where, and the last code.
    pub(crate) given_up: Vec<String>,
    /// Batches of which nothing was heard.
    pub(crate) unanswered: u64,
    /// Batches that should have left, and had not when the time was over.
    pub(crate) unsent: u64,
    /// Processor time of the threads.
    pub(crate) cpu: Duration,
    /// The part of the time that the busiest thread was running: near 1, the figures are those of
    /// the generator.
    pub(crate) busiest: f64,
}

/// What one thread counts for its side.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) side: Side,
    pub(super) latencies: Latencies,
    pub(super) lateness: Latencies,
    pub(super) arrivals: Latencies,
    pub(super) faults: Faults,
    /// Nanoseconds from the start of the run to the first request and the last answer.
    pub(super) first: Option<u64>,
    pub(super) last: u64,
}

impl Tally {
    pub(super) fn new() -> Result<Self, BenchError> {
        Ok(Self {
            side: Side::default(),
            latencies: Latencies::new()?,
            lateness: Latencies::new()?,
            arrivals: Latencies::new()?,
            faults: Faults::default(),
            first: None,
            last: 0,
        })
    }

    /// Counts an error of the broker.
    pub(super) fn error(&mut self, code: i16) {
        self.side.count.errors += 1;
        *self.side.errors.entry(code).or_default() += 1;
    }

    /// Adds what another thread of the side has counted.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), BenchError> {
        let (side, more) = (&mut self.side, other.side);
        side.requests += more.requests;
        side.count.records += more.count.records;
        side.count.bytes += more.count.bytes;
        side.count.errors += more.count.errors;
        for (code, count) in more.errors {
            *side.errors.entry(code).or_default() += count;
        }
        side.lost.extend(more.lost);
        side.given_up.extend(more.given_up);
        side.unanswered += more.unanswered;
        side.unsent += more.unsent;
        side.cpu += more.cpu;
        side.busiest = side.busiest.max(more.busiest);
        self.latencies.merge(&other.latencies)?;
        self.lateness.merge(&other.lateness)?;
        self.arrivals.merge(&other.arrivals)?;
        self.faults.merge(other.faults);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        Ok(())
    }

    /// The side, with its percentiles.
    pub(super) fn finish(self) -> (Side, Latencies, Faults) {
        let elapsed = self.last.saturating_sub(self.first.unwrap_or(self.last));
        let side = Side {
            elapsed: Duration::from_nanos(elapsed),
            latency: self.latencies.summary(),
            lateness: self.lateness.summary(),
            ..self.side
        };
        (side, self.arrivals, self.faults)
    }
}
