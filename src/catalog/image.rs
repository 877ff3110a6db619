//! What the catalog holds at one offset of the metadata log.
//!
//! The maps are persistent: a clone shares everything, and a change copies one path of a tree. So
//! readers keep the image that they have, and creating one topic among many costs the same as
//! creating the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::ConfigResource;
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, Timestamp, TopicId, TopicName,
};
use crate::wire::metadata::RegisterBrokerRecord;

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

impl Topic {
    /// A partition by its number.
    pub fn partition(&self, number: PartitionId) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(number.0).ok()?)
    }
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

impl PartitionState {
    /// A new partition that `node` alone holds and leads.
    pub fn on(node: NodeId) -> Self {
        Self {
            replicas: vec![node],
            isr: vec![node],
            leader: node,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
        }
    }
}

/// The catalog at one offset of the metadata log. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    pub(super) next_offset: Offset,
    /// Term of the leader that wrote the last record.
    pub(super) epoch: LeaderEpoch,
    /// Append time of the last batch.
    pub(super) timestamp: Timestamp,
    pub(super) topics: OrdMap<TopicId, Arc<Topic>>,
    pub(super) ids: OrdMap<TopicName, TopicId>,
    /// Names that hold a `.` or `_`, by what metrics make of them.
    pub(super) ambiguous: OrdMap<String, OrdSet<TopicName>>,
    pub(super) configs: OrdMap<ConfigResource, Arc<BTreeMap<String, String>>>,
    pub(super) features: Arc<BTreeMap<String, i16>>,
    pub(super) next_producer_id: ProducerId,
    pub(super) brokers: OrdMap<NodeId, Arc<RegisterBrokerRecord>>,
}

impl Image {
    /// First offset of the metadata log that is not in this image.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// A topic by name.
    pub fn topic_by_name(&self, name: &str) -> Option<Arc<Topic>> {
        self.topic(*self.ids.get(name)?)
    }

    /// A topic by id.
    pub fn topic(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.topics.get(&id).cloned()
    }

    /// All topics in order of name.
    pub fn topics(&self) -> impl Iterator<Item = Arc<Topic>> + '_ {
        self.ids.values().filter_map(|id| self.topic(*id))
    }

    /// Number of topics.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Name of an existing topic whose name collides with `name` (`.` against `_`). The name
    /// itself, if it exists, is no collision.
    pub fn collision(&self, name: &TopicName) -> Option<TopicName> {
        let alike = self.ambiguous.get(&ambiguous_key(name)?)?;
        if alike.contains(name) {
            None
        } else {
            alike.get_min().cloned()
        }
    }

    /// The overrides of a resource, in order of key.
    pub fn configs(&self, resource: &ConfigResource) -> Arc<BTreeMap<String, String>> {
        self.configs.get(resource).cloned().unwrap_or_default()
    }

    /// All resources that have overrides.
    pub fn config_resources(&self) -> impl Iterator<Item = ConfigResource> + '_ {
        self.configs.keys().cloned()
    }

    /// Finalized features above level 0, in order of name.
    pub fn features(&self) -> Arc<BTreeMap<String, i16>> {
        Arc::clone(&self.features)
    }

    /// First producer id that was not given out.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// Epoch of a broker's registration, which is the offset of its record.
    pub fn broker_epoch(&self, node: NodeId) -> Option<i64> {
        self.brokers.get(&node).map(|broker| broker.broker_epoch)
    }
}

/// What stands for a name among those that can collide; `None` for one that cannot, which is one
/// without `.` and `_` (`Topic.hasCollisionChars`).
pub(super) fn ambiguous_key(name: &TopicName) -> Option<String> {
    name.as_str()
        .contains(['.', '_'])
        .then(|| name.collision_key())
}
