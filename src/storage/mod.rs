//! The native segment store: partitions as Kafka's files.
//!
//! *Owns:* segments, indexes, producer state, checkpoints, the commit round, recovery.
//! *May use:* `batch`, `io`, `wire`, `model`, `config`, `clock`. *Must not know:* Kafka APIs,
//! topic names in requests, principals.
//!
//! *Invariants:* `log_start ≤ last_stable ≤ high_watermark ≤ log_end` and `durable ≤ log_end`;
//! one writer at a time for a partition; no lock held across an await or a sync; readers use a
//! published snapshot and never wait for the writer.
//!
//! Where to look: an append or a read is `log`, what makes bytes durable `durability`,
//! a start `store` and `recovery`, how old data leaves `upkeep`; every format on
//! disk is in [`mod@format`]; whether files at rest are whole, [`mod@verify`]; what to do if they
//! are not, [`mod@repair`]; models that all this is held against, [`mod@checks`].

pub mod checks;
mod core;
mod durability;
pub mod format;
mod log;
mod options;
mod outcome;
mod partition;
mod recovery;
pub mod repair;
mod store;
mod thread;
mod upkeep;
pub mod verify;

#[cfg(test)]
mod tests;

pub use log::file_cache::FileCacheStats;
pub use log::offsets::Offsets;
pub use options::{CleanerOptions, Durability, LogConfig, PartitionSpec, StoreOptions, Upkeep};
pub use outcome::{
    AbortedTransaction, AppendError, Appended, Isolation, LogSize, OutOfOrderSequence, ReadError,
    ReadOutcome, RecordBytes, SequenceProblem, TimestampOffset,
};
pub use partition::Partition;
pub use recovery::damage::Damage;
pub use store::{OpenError, Opened, Recovered, Remains, Store};
pub use upkeep::cleaner::{Cleaned, Counts};
pub use upkeep::trim::{Freed, Haste};
