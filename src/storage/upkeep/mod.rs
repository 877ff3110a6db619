//! How old data leaves: deletion by time, size and request, compaction, the removal of files.
//!
//! *Owns:* the background threads, with their budgets; the exchange of segments. *Must not know:*
//! who appends: nobody who does waits for this room.
//!
//! *Invariants:* nothing at or above the last stable offset leaves; the log start is durable before
//! the first file below it goes; a replacement of segments is decided by one rename.

pub(in crate::storage) mod cleaner;
pub(in crate::storage) mod delete_records;
pub(in crate::storage) mod log_starts;
pub(in crate::storage) mod memory_bound;
pub(in crate::storage) mod removal;
pub(in crate::storage) mod retention;
pub(in crate::storage) mod rewrite;
pub(in crate::storage) mod swap;
pub(in crate::storage) mod trim;
pub(in crate::storage) mod wall_clock;
pub(in crate::storage) mod worker;
