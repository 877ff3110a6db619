//! Topics, ids, configs and features as an image, replayed from the metadata log.
//!
//! *Owns:* the image and its replay, the log `__cluster_metadata-0`, snapshots. *May use:*
//! `storage`, `batch`, `wire`, `model`. *Must not know:* who asked.
//!
//! *Invariants:* the image changes only by replay of records; one call of [`Catalog::commit`] is
//! one atomic batch, durable as the mode promises before it is replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId, TopicName};
use crate::storage::Store;

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// A broker, or all of them.
    Broker(Option<NodeId>),
    /// A group.
    Group(String),
    /// A client-metrics subscription.
    ClientMetrics(String),
}

/// A topic as the image holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: TopicName,
    /// Id.
    pub id: TopicId,
    /// Partitions, in order from 0.
    pub partitions: Vec<PartitionState>,
}

/// A partition as the image holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Nodes that hold it.
    pub replicas: Vec<NodeId>,
    /// Those that are in sync.
    pub isr: Vec<NodeId>,
    /// The leader.
    pub leader: NodeId,
    /// Its term.
    pub leader_epoch: LeaderEpoch,
    /// Version of this state.
    pub partition_epoch: i32,
}

/// A change of the catalog, in native types; written as Kafka's metadata records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic with its partitions.
    CreateTopic(Topic),
    /// A topic goes.
    RemoveTopic(TopicId),
    /// Partitions are added at the end.
    AddPartitions {
        /// To which topic.
        topic: TopicId,
        /// The new ones, numbered on from the last.
        partitions: Vec<PartitionState>,
    },
    /// A partition's leader epoch rises (unclean start).
    BumpLeaderEpoch {
        /// Topic.
        topic: TopicId,
        /// Partition.
        partition: PartitionId,
        /// New epoch.
        leader_epoch: LeaderEpoch,
    },
    /// A config key is set (`Some`) or removed (`None`).
    SetConfig {
        /// Of what.
        resource: ConfigResource,
        /// Key.
        key: String,
        /// Value.
        value: Option<String>,
    },
    /// Producer ids below this one are given out.
    ProducerIds {
        /// First id that is free.
        next: ProducerId,
    },
    /// A finalized feature level; 0 removes it.
    Feature {
        /// Name.
        name: String,
        /// Level.
        level: i16,
    },
}

/// The catalog at one offset of the metadata log. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Image {}

impl Image {
    /// First offset of the metadata log that is not in this image.
    pub fn next_offset(&self) -> Offset {
        todo!()
    }
    /// A topic by name.
    pub fn topic_by_name(&self, _name: &str) -> Option<Arc<Topic>> {
        todo!()
    }
    /// A topic by id.
    pub fn topic(&self, _id: TopicId) -> Option<Arc<Topic>> {
        todo!()
    }
    /// All topics in order of name.
    pub fn topics(&self) -> impl Iterator<Item = Arc<Topic>> + '_ {
        std::iter::empty()
    }
    /// Number of topics.
    pub fn topic_count(&self) -> usize {
        todo!()
    }
    /// Name of an existing topic whose name collides with `name` (`.` against `_`).
    pub fn collision(&self, _name: &TopicName) -> Option<TopicName> {
        todo!()
    }
    /// The overrides of a resource, in order of key.
    pub fn configs(&self, _resource: &ConfigResource) -> Arc<BTreeMap<String, String>> {
        todo!()
    }
    /// All resources that have overrides.
    pub fn config_resources(&self) -> impl Iterator<Item = ConfigResource> + '_ {
        std::iter::empty()
    }
    /// Finalized features above level 0, in order of name.
    pub fn features(&self) -> Arc<BTreeMap<String, i16>> {
        todo!()
    }
    /// First producer id that was not given out.
    pub fn next_producer_id(&self) -> ProducerId {
        todo!()
    }
}

/// Settings of the catalog.
#[derive(Clone, Debug)]
pub struct CatalogOptions {
    /// This node: leader, voter and broker.
    pub node_id: NodeId,
    /// Cluster id, for the registration record.
    pub cluster_id: String,
    /// Endpoints to register, as (listener name, host, port, security protocol).
    pub endpoints: Vec<(String, String, u16, i16)>,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`.
    pub snapshot_interval_ms: i64,
}

/// Why a change was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk failed.
    #[error("metadata log: {0}")]
    Storage(String),
}

/// The catalog.
#[derive(Debug)]
pub struct Catalog {}

impl Catalog {
    /// Loads the newest snapshot and replays the log after it, or formats an empty one.
    pub fn open(_store: &Arc<Store>, _options: CatalogOptions) -> Result<Self, CommitError> {
        todo!()
    }

    /// The image now.
    pub fn image(&self) -> Arc<Image> {
        todo!()
    }

    /// Decides changes from the newest image and commits them as one atomic batch. `decide` runs
    /// under the catalog's writer lock and must be quick.
    pub fn commit<T, E: From<CommitError>>(
        &self,
        _decide: impl FnOnce(&Image) -> Result<(Vec<Change>, T), E>,
    ) -> Result<(Arc<Image>, T), E> {
        todo!()
    }

    /// Waits until everything committed below `offset` is durable as the mode promises.
    pub async fn durable(&self, _offset: Offset) -> Result<(), CommitError> {
        todo!()
    }

    /// Writes a snapshot (clean stop).
    pub fn snapshot(&self) -> Result<(), CommitError> {
        todo!()
    }
}
