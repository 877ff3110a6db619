//! Taking up logs that are on disk, and telling what of them is damaged.
//!
//! *Owns:* the loading of a log, where gaps are legal, what was found damaged, what deletions left
//! behind. *Must not know:* how a log is written.
//!
//! *Invariants:* recovering again changes nothing; nothing below the durable offset is cut off;
//! damage is counted and refused, and what lies behind it stays readable.

pub(in crate::storage) mod damage;
pub(in crate::storage) mod gaps;
pub(in crate::storage) mod leftovers;
pub(in crate::storage) mod load;
