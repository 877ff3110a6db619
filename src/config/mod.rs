//! Every setting in one table, its sources and their order.
//!
//! *Owns:* the [`table`] of settings, parsing and validation, the sources, the effective
//! configuration with the [`Origin`] of each value, and the reference page made from the table.
//! *May use:* `model`. *Must not know:* who reads it, files (it is handed their bytes).
//!
//! *Invariants:* a [`Key`] names a row of the table and has that row's type, proven when the crate
//! is compiled; a built [`Config`] holds only values that passed their checks; nothing reads the
//! process's environment by itself; values of type `PASSWORD` are never printed.

mod builder;
mod check;
mod effective;
mod key;
mod listener;
mod origin;
mod reference;
mod setting;
mod sources;
pub mod table;
mod value;

#[cfg(test)]
mod tests;

pub use builder::{Builder, ConfigError, Problem, Warning};
pub use check::Check;
pub use effective::{Config, Overlay};
pub use key::{Key, Typed};
pub use listener::{Listener, SecurityProtocol};
pub use origin::Origin;
pub use reference::reference_page;
pub use setting::{Class, Differs, Inert, Kind, Scope, Setting, Update};
pub use value::{Refusal, Secret, Value};

/// One constant per setting, named like it: `num.partitions` is [`keys::NUM_PARTITIONS`].
pub mod keys {
    pub use super::table::broker_keys::*;

    /// Settings of a topic.
    pub mod topic {
        pub use crate::config::table::topic::*;
    }

    /// Settings of a group.
    pub mod group {
        pub use crate::config::table::group_scope::*;
    }

    /// Settings of a client-metrics subscription.
    pub mod client_metrics {
        pub use crate::config::table::client_metrics::*;
    }
}
