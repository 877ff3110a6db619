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
#[cfg(test)]
mod failing_disk;
pub mod fetch;
pub mod groups;
#[cfg(test)]
pub(crate) mod held_disk;
pub mod log_dirs;
pub mod metadata;
pub mod offsets;
pub mod partitions;
pub mod produce;
pub mod producer_ids;
pub mod records;
mod shards;
#[cfg(test)]
pub(crate) mod testing;
pub mod topics;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::{Catalog, CatalogOptions, CommitError, LoadError};
use crate::clock::SharedClock;
use crate::config::{Config, keys};
use crate::io::SharedIo;
use crate::model::NodeId;
use crate::storage::{AppendError, Durability, OpenError, Store, StoreOptions};

/// What a broker needs to open, beside its configuration.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The static configuration.
    pub config: Arc<Config>,
    /// The file system: real, or memory.
    pub io: SharedIo,
    /// The data directory.
    pub dir: PathBuf,
    /// Most files of logs that stay open.
    pub open_files_max: usize,
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
    Catalog(#[from] LoadError),
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
    /// Whether the leader epochs have yet to rise that an unclean stop raises: the disk took
    /// nothing at the start.
    epochs_owed: AtomicBool,
    /// Ids for idempotent producers.
    pub producer_ids: producer_ids::ProducerIds,
    /// Groups and their offsets.
    pub groups: groups::Groups,
}

impl Broker {
    /// Opens the data directory and the catalog, and takes up every partition. May read much
    /// after an unclean stop, and little otherwise.
    pub fn open(options: BrokerOptions) -> Result<Arc<Self>, BrokerError> {
        let config = options.config;
        let node_id = NodeId(config.get(keys::NODE_ID));
        let mut random = fastrand::Rng::with_seed(options.seed);
        let (store, opened) = Store::open(StoreOptions {
            io: options.io,
            dir: options.dir,
            clock: Arc::clone(&options.clock),
            node_id,
            cluster_id: None,
            open_files_max: options.open_files_max,
            durability: options.durability,
            producer_id_expiration_ms: i64::from(config.get(keys::PRODUCER_ID_EXPIRATION_MS)),
            reserve_bytes: u64::try_from(config.get(keys::KLAMM_DISK_RESERVE_BYTES)).ok(),
            seed: random.u64(..),
            upkeep: configs::upkeep(&config),
        })?;
        let catalog = Catalog::open(
            &store,
            CatalogOptions {
                node_id,
                directory_id: opened.directory_id.0,
                incarnation_id: uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes())
                    .into_uuid(),
                endpoints: options.endpoints,
                snapshot_bytes: u64::try_from(
                    config.get(keys::METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS),
                )
                .unwrap_or(u64::MAX),
                snapshot_interval_ms: config.get(keys::METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS),
                clock: Arc::clone(&options.clock),
            },
        )?;
        let mut epochs_owed = false;
        if !opened.clean {
            match catalog.bump_leader_epochs() {
                Ok(_) => {}
                Err(CommitError::Storage(error)) => {
                    tracing::error!(error, "no new leader epochs yet, reading goes on");
                    epochs_owed = true;
                }
                Err(error) => return Err(LoadError::from(error).into()),
            }
        }
        let groups = groups::Groups::new(&config, random.u64(..));
        let broker = Arc::new(Self {
            node_id,
            cluster_id: opened.cluster_id,
            config,
            catalog,
            topics: topics::TopicWriter::new(random.u64(..)),
            store,
            clock: options.clock,
            settings: configs::SettingsCache::default(),
            epochs_owed: AtomicBool::new(epochs_owed),
            producer_ids: producer_ids::ProducerIds::default(),
            groups,
        });
        broker.attach_catalog();
        if !opened.clean {
            let recovered = broker.store.recover();
            tracing::info!(?recovered, "recovered after an unclean stop");
            // What recovery kept may not be on disk, and must not be shown to anybody.
            if let Some(failure) = broker.store.failure() {
                return Err(BrokerError::Store(OpenError::Io {
                    path: broker.store.log_dir().0,
                    source: std::io::Error::other(failure),
                }));
            }
        }
        broker.store.remove_strays();
        Ok(broker)
    }

    /// Raises the leader epochs that the start could not raise; before that nothing is appended,
    /// since clients learn from the epoch that a log may have lost its end.
    fn raise_owed_epochs(&self) -> Result<(), AppendError> {
        if !self.epochs_owed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let _turn = self.topics.lock();
        if self.epochs_owed.load(Ordering::SeqCst) {
            let raised = self.catalog.bump_leader_epochs();
            raised.map_err(|error| AppendError::Storage(error.to_string()))?;
            self.attach_catalog();
            self.epochs_owed.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// A clean stop: nothing is appended any more, everything is on disk, the marker is written.
    /// An error, and no marker, if that cannot be, or if a sync failed earlier.
    pub fn close(&self) -> Result<(), BrokerError> {
        // Without it the next start replays more; the logs are closed all the same.
        if let Err(error) = self.catalog.snapshot() {
            tracing::error!(%error, "cannot write a snapshot of the metadata log");
        }
        self.store.close().map_err(|source| OpenError::Io {
            path: self.store.log_dir().0,
            source,
        })?;
        Ok(())
    }
}
