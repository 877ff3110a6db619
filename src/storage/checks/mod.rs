//! Checks against independent models, for tests, fuzzing and long runs by a seed.
//!
//! *Owns:* the models, and the operations that are drawn by chance. *May use:* the store's public
//! side and the memory's disk. *Must not know:* how the store does what is checked.

mod bed;
pub mod compaction;
pub mod recovery;
pub mod retention;

use bed::{Bed, DIRECTORY, NOW, each_batch, text, wait_until};
