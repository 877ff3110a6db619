//! Domain newtypes that every layer shares.
//!
//! *Owns:* the vocabulary (offsets, epochs, ids, names) and the limits in [`limits`].
//! *May use:* nothing of this crate. *Must not know:* I/O, async, wire types.
//!
//! Above the protocol adapter an absent value is `None`, never `-1`.

mod acks;
pub mod limits;
mod topic;

pub use acks::Acks;
pub use topic::{InvalidTopicName, TopicId, TopicName, TopicPartition};

use std::fmt;

/// Defines an integer newtype with the conversions that all of them share.
macro_rules! integer_newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// The bare integer, for encodings.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

integer_newtype! {
    /// Position of a record in a partition; the first record has offset 0.
    Offset(i64)
}
integer_newtype! {
    /// Number of a partition within its topic, from 0.
    PartitionId(i32)
}
integer_newtype! {
    /// Number of a leader's term for one partition; rises by one with each new leader.
    LeaderEpoch(i32)
}
integer_newtype! {
    /// Number of a broker (`node.id`).
    NodeId(i32)
}
integer_newtype! {
    /// Identity of an idempotent or transactional producer, handed out by InitProducerId.
    ProducerId(i64)
}
integer_newtype! {
    /// Incarnation of a [`ProducerId`]; a newer epoch fences the older ones.
    ProducerEpoch(i16)
}
integer_newtype! {
    /// Milliseconds since the Unix epoch, as record timestamps count them.
    Timestamp(i64)
}

impl Offset {
    /// The offset `count` records further on.
    ///
    /// Saturates, so that hostile header fields cannot overflow.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}
