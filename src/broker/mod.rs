//! Use cases in native types: the one API that every adapter calls, and that a Rust program may
//! call in process.
//!
//! *Owns:* [`Broker`] and one file per group of use cases. *May use:* `catalog`, `storage` and
//! what they use. *Must not know:* encodings.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::model::NodeId;
use crate::storage::Store;

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
    /// The logs.
    pub store: Arc<Store>,
    /// Time.
    pub clock: SharedClock,
}
