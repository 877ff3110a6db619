//! The load generator and verifier behind `klamm bench`, made so cheap that the broker is what is
//! measured.
//!
//! *Owns:* batches that are encoded once and stamped for each send, the frames of Produce and Fetch
//! that carry them, open-loop pacing, a few threads that drive many connections, latencies, and the
//! verifier that holds every batch that comes back against what was sent.
//!
//! *May use:* `batch`, `wire`, `model`, `clock`.
//!
//! *Must not know:* arguments, how results are printed, anything of the broker in this crate: any
//! broker that speaks Kafka's protocol can be measured. Who leads what, and where a partition
//! begins and ends, is found out by the caller ([`Target`]).
//!
//! *Invariants:*
//! - A send costs one header (40 bytes of checksum) and one system call, whatever the size and the
//!   codec of the batch: nothing is encoded, copied or compressed twice.
//! - With a rate, the time at which a batch should have left sets its latency; a broker that stalls
//!   cannot keep the generator from counting what had to wait. What had not left or was not answered
//!   at the end has no latency, and is told.
//! - No record that comes back goes unchecked: checksum, count and offsets of every batch, and that
//!   each batch of each producer is there once. What a broker refuses is counted by its code.
//!
//! Produce and Fetch are framed here, not by the codec: the codec copies records. One leader serves
//! all partitions of a connection, and batches carry no producer id.

mod consume;
mod fetch_wire;
mod frame;
mod latency;
mod link;
mod pace;
mod pattern;
mod plan;
mod produce;
mod produce_wire;
mod readiness;
mod report;
mod run;
mod stamp;
mod verify;
mod worker;

pub(crate) use latency::Summary;
pub(crate) use plan::{BatchSpec, FetchSpec, Limit, Partition, ProduceSpec, Target};
pub(crate) use report::{BenchError, Progress, Report, Side};
pub(crate) use run::{Interrupt, Work, run};

/// Most producers of a run: no more can be told apart.
pub(crate) const PRODUCERS_MAX: i64 = stamp::PRODUCERS as i64;

/// Newest versions of Produce and Fetch that are spoken, and the oldest; both name topics.
pub(crate) use fetch_wire::VERSION as FETCH_VERSION;
pub(crate) use produce_wire::{
    VERSION_MAX as PRODUCE_VERSION_MAX, VERSION_MIN as PRODUCE_VERSION_MIN,
};
