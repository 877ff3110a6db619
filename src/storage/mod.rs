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
//! Where to look: an append is `log`, what it makes visible `offsets`, what makes it durable
//! `commit`; a read is `read` and `lookup`; a start is `store` and `load`; every format on disk
//! is in [`mod@format`]; whether files at rest are whole, [`mod@verify`]; what to do
//! if they are not, [`mod@repair`].

mod aborted;
mod cleaner;
mod commit;
pub mod compaction_check;
mod core;
mod damage;
mod delete_records;
mod epochs;
mod file_cache;
pub mod format;
mod gaps;
mod guard;
mod journal;
mod leftovers;
mod load;
mod log;
mod log_starts;
mod lookup;
mod memory_bound;
mod offline;
mod offsets;
mod options;
mod outcome;
mod parallel;
mod partition;
mod passing;
mod pins;
mod producers;
mod progress;
mod read;
pub mod recovery_check;
mod removal;
pub mod repair;
mod retention;
pub mod retention_check;
mod rewrite;
mod scan;
mod segment;
mod space;
mod store;
mod swap;
mod transactions;
mod trim;
mod upkeep;
pub mod verify;
mod wall_clock;
mod watch;

#[cfg(test)]
mod tests;

pub use cleaner::{Cleaned, Counts};
pub use damage::Damage;
pub use file_cache::FileCacheStats;
pub use offsets::Offsets;
pub use options::{CleanerOptions, Durability, LogConfig, PartitionSpec, StoreOptions, Upkeep};
pub use outcome::{
    AbortedTransaction, AppendError, Appended, Isolation, LogSize, OutOfOrderSequence, ReadError,
    ReadOutcome, RecordBytes, SequenceProblem, TimestampOffset,
};
pub use partition::Partition;
pub use store::{OpenError, Opened, Recovered, Remains, Store};
pub use trim::{Freed, Haste};
pub use watch::Subscription;
