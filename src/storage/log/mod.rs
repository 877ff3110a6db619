//! The log of one partition: segments that are appended to, published and read.
//!
//! *Owns:* segments and their indexes, the writer, views, producer and transaction state, leader
//! epochs, open files. *May use:* `format`, the rest of `storage` for what an append or a read
//! sets going. *Must not know:* when a commit round comes, which partitions there are.
//!
//! *Invariants:* one writer at a time; what it wrote is visible through a new [`View`](view::View)
//! alone, and a view never changes. A reader that holds one needs no lock. What is beside the
//! batches is derived from them, but for what `docs/ARCHITECTURE.md` calls primary.

pub(in crate::storage) mod aborted;
mod append;
mod beside;
pub(in crate::storage) mod epochs;
pub(in crate::storage) mod file_cache;
mod index_file;
pub(in crate::storage) mod lookup;
pub(in crate::storage) mod memory_index;
pub(in crate::storage) mod offsets;
pub(in crate::storage) mod partition_log;
pub(in crate::storage) mod passing;
pub(in crate::storage) mod pins;
pub(in crate::storage) mod producers;
pub(in crate::storage) mod progress;
pub(in crate::storage) mod read;
pub(in crate::storage) mod scan;
pub(in crate::storage) mod segment;
pub(in crate::storage) mod shared_reads;
pub(in crate::storage) mod sync;
pub(in crate::storage) mod transactions;
mod unsynced;
mod verified;
pub(in crate::storage) mod view;
