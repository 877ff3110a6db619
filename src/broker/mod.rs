//! Use cases in native types: the one API that every adapter calls, and that a Rust program may
//! call in process.
//!
//! *Owns:* [`Broker`] and one file per group of use cases. *May use:* `catalog`, `storage` and
//! what they use. *Must not know:* encodings.
//!
//! *Invariant:* every partition of the catalog's image is attached to the store, and no other;
//! both change together, under one lock.

pub mod cluster;
pub mod configs;
pub mod fetch;
pub mod metadata;
pub mod offsets;
pub mod partitions;
pub mod produce;
#[cfg(test)]
pub(crate) mod testing;
pub mod topics;

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::{Catalog, CatalogOptions, CommitError};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::io::SharedIo;
use crate::model::{NodeId, TopicPartition};
use crate::storage::{Durability, OpenError, Partition, Store, StoreOptions};

/// What a broker needs to open, beside its configuration.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The static configuration.
    pub config: Arc<Config>,
    /// The file system: real, or memory.
    pub io: SharedIo,
    /// The data directory.
    pub dir: PathBuf,
    /// Default durability.
    pub durability: Durability,
    /// Time.
    pub clock: SharedClock,
    /// Seed of everything random.
    pub seed: u64,
    /// What the listeners are called and where they listen, for the catalog's registration.
    pub endpoints: Vec<(String, String, u16, i16)>,
}

/// Why a broker did not open.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CommitError),
}

/// A broker, without its sockets.
#[derive(Debug)]
pub struct Broker {
    /// This node.
    pub node_id: NodeId,
    /// Cluster id of `meta.properties`.
    pub cluster_id: String,
    /// The static configuration.
    pub config: Arc<Config>,
    /// Topics and configs.
    pub catalog: Catalog,
    /// The right to change topics.
    pub topics: topics::TopicWriter,
    /// The logs.
    pub store: Arc<Store>,
    /// Time.
    pub clock: SharedClock,
    /// Settings as they were last resolved.
    pub settings: configs::SettingsCache,
}
