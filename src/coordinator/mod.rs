//! Groups, and the offsets that they commit: pure state machines over `__consumer_offsets`.
//!
//! *Owns:* classic groups, consumer groups, committed offsets, their deadlines. *May use:* `wire`,
//! `model`, `config`. *Must not know:* sockets, request types, files, the time.
//!
//! *Invariants:* a shard is one partition of the internal topic. What it is told comes with the
//! time, and what follows from it is an [`Outcome`]: records, which are appended as one batch and
//! then replayed, and answers, which leave once those records are durable. Replaying alone changes
//! what a restart must find again, so loading is replaying. The rest (who is joining, who is
//! waiting, when somebody is gone) is soft: a shard that is loaded anew begins without it, and
//! members join again.

pub mod classic;
pub mod consumer;
mod group;
pub mod hash;
mod machine;
mod offsets;
mod outcome;
mod shard;
mod subscription;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
mod world;

pub use group::{GroupDescription, GroupKind, GroupListing, MemberDescription, NotClassic};
pub use machine::{LogRecord, Machine, Moment};
pub use offsets::{Commit, Committed};
pub use outcome::{Failure, Outcome, Reply, Waiter};
pub use shard::{Identity, OffsetCommit, Shard};
pub use world::{
    ConsumerSettings, ConsumerTimeouts, GroupOverrides, GroupSettings, GroupWorld, KnownTopic,
    Migration, Topics,
};
