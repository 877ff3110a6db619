//! What makes bytes outlive a power cut, and what happens where a disk fails or is full.
//!
//! *Owns:* the commit round, the journal of durable offsets, the end of writing after a failed
//! sync, the reserve of space. *Must not know:* what is in a batch.
//!
//! *Invariants:* no lock that an append needs is held across a sync; an offset is told to be
//! durable after the sync that made it so, never before; a failed sync is final.

pub(in crate::storage) mod commit;
pub(in crate::storage) mod guard;
pub(in crate::storage) mod journal;
pub(in crate::storage) mod offline;
pub(in crate::storage) mod parallel;
pub(in crate::storage) mod space;
