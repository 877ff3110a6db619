//! What each record of the metadata log does to the image (Kafka's `…Delta.replay`).

use std::sync::Arc;

use imbl::ordmap::Entry;

use super::image::ambiguous_key;
use super::{
    ConfigResource, Image, METADATA_VERSION, METADATA_VERSION_FEATURE, PartitionState, Topic,
};
use crate::model::{LeaderEpoch, NodeId, PartitionId, ProducerId, TopicId, TopicName};
use crate::wire::metadata::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};

/// Why a record does not fit the image that it follows. None of this comes from a client: either
/// the log is damaged, or it was written by something newer, or a decision was wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A name that no topic may have.
    #[error("illegal topic name {0:?}")]
    TopicName(String),
    /// A topic of that name or id is there already.
    #[error("topic {name} ({id}) exists already")]
    TopicExists {
        /// Its name.
        name: TopicName,
        /// Its id.
        id: TopicId,
    },
    /// No topic of that id.
    #[error("unknown topic id {0}")]
    UnknownTopic(TopicId),
    /// The topic has no such partition, and it is not the next one.
    #[error("unknown partition {partition} of topic id {topic}")]
    UnknownPartition {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: PartitionId,
    },
    /// A leader epoch that does not follow the last one.
    #[error("leader epoch {to} of partition {partition} of topic id {topic} cannot follow {from}")]
    LeaderEpoch {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: PartitionId,
        /// Epoch in the image.
        from: LeaderEpoch,
        /// Epoch asked for.
        to: LeaderEpoch,
    },
    /// A resource of unknown type, or with a name that its type cannot have.
    #[error("config of unknown resource {name:?} of type {kind}")]
    ConfigResource {
        /// `ConfigResource.Type` id.
        kind: i8,
        /// Its name.
        name: String,
    },
    /// A metadata version that this broker does not understand.
    #[error("metadata.version {0} is not supported, the newest is {METADATA_VERSION}")]
    MetadataVersion(i16),
    /// A registration that changes before it was made.
    #[error("unknown broker {0}")]
    UnknownBroker(NodeId),
    /// A record that only the loader of the log can act on.
    #[error("a transaction marker within a transaction")]
    TransactionMarker,
}

impl Image {
    /// Does what `record` says. After an error the image is of no use.
    pub(super) fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Topic(record) => self.replay_topic(record),
            MetadataRecord::Partition(record) => self.replay_partition(record),
            MetadataRecord::PartitionChange(record) => self.replay_partition_change(record),
            MetadataRecord::RemoveTopic(record) => self.replay_remove(TopicId(record.topic_id)),
            MetadataRecord::Config(record) => self.replay_config(record),
            MetadataRecord::FeatureLevel(record) => self.replay_feature(record),
            MetadataRecord::ProducerIds(record) => {
                self.next_producer_id = ProducerId(record.next_producer_id);
                Ok(())
            }
            MetadataRecord::RegisterBroker(record) => {
                self.replay_broker(record);
                Ok(())
            }
            MetadataRecord::BrokerRegistrationChange(record) => self.replay_broker_change(record),
            MetadataRecord::UnregisterBroker(record) => {
                self.brokers.remove(&NodeId(record.broker_id));
                Ok(())
            }
            // The controllers of a quorum of one are this node; an idle controller says nothing.
            MetadataRecord::RegisterController(_) | MetadataRecord::NoOp(_) => Ok(()),
            MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => Err(ReplayError::TransactionMarker),
        }
    }

    fn replay_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        let name = TopicName::new(&record.name)
            .map_err(|_| ReplayError::TopicName(record.name.clone()))?;
        let id = TopicId(record.topic_id);
        if self.ids.contains_key(&name) || self.topics.contains_key(&id) {
            return Err(ReplayError::TopicExists { name, id });
        }
        if let Some(key) = ambiguous_key(&name) {
            self.ambiguous.entry(key).or_default().insert(name.clone());
        }
        self.ids.insert(name.clone(), id);
        self.topics.insert(
            id,
            Arc::new(Topic {
                name,
                id,
                partitions: Vec::new(),
            }),
        );
        Ok(())
    }

    fn replay_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let id = TopicId(record.topic_id);
        let state = PartitionState {
            replicas: nodes(&record.replicas),
            isr: nodes(&record.isr),
            leader: NodeId(record.leader),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
        };
        let partitions = &mut self.topic_mut(id)?.partitions;
        let number = usize::try_from(record.partition_id).unwrap_or(usize::MAX);
        if let Some(present) = partitions.get_mut(number) {
            *present = state;
        } else if number == partitions.len() {
            partitions.push(state);
        } else {
            let partition = PartitionId(record.partition_id);
            return Err(ReplayError::UnknownPartition {
                topic: id,
                partition,
            });
        }
        Ok(())
    }

    /// `PartitionRegistration.merge`: every change is a new partition epoch, every leader that is
    /// named a new leader epoch, even if it is the same.
    fn replay_partition_change(
        &mut self,
        record: &PartitionChangeRecord,
    ) -> Result<(), ReplayError> {
        const NO_LEADER_CHANGE: i32 = -2;
        let topic = TopicId(record.topic_id);
        let partition = PartitionId(record.partition_id);
        let state = usize::try_from(record.partition_id)
            .ok()
            .and_then(|number| self.topic_mut(topic).ok()?.partitions.get_mut(number))
            .ok_or(ReplayError::UnknownPartition { topic, partition })?;
        if let Some(isr) = &record.isr {
            state.isr = nodes(isr);
        }
        if let Some(replicas) = &record.replicas {
            state.replicas = nodes(replicas);
        }
        if record.leader != NO_LEADER_CHANGE {
            state.leader = NodeId(record.leader);
            state.leader_epoch = LeaderEpoch(state.leader_epoch.0.saturating_add(1));
        }
        state.partition_epoch = state.partition_epoch.saturating_add(1);
        Ok(())
    }

    fn replay_remove(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let topic = self
            .topics
            .remove(&id)
            .ok_or(ReplayError::UnknownTopic(id))?;
        self.ids.remove(&topic.name);
        self.configs
            .remove(&ConfigResource::Topic(topic.name.clone()));
        if let Some(key) = ambiguous_key(&topic.name)
            && let Entry::Occupied(mut alike) = self.ambiguous.entry(key)
        {
            alike.get_mut().remove(&topic.name);
            if alike.get().is_empty() {
                alike.remove();
            }
        }
        Ok(())
    }

    fn replay_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let resource = ConfigResource::from_record(record.resource_type, &record.resource_name)?;
        match (&record.value, self.configs.entry(resource)) {
            (Some(value), entry) => {
                let configs = Arc::make_mut(entry.or_default());
                configs.insert(record.name.clone(), value.clone());
            }
            (None, Entry::Occupied(mut entry)) => {
                let configs = Arc::make_mut(entry.get_mut());
                configs.remove(&record.name);
                if configs.is_empty() {
                    entry.remove();
                }
            }
            (None, Entry::Vacant(_)) => {}
        }
        Ok(())
    }

    fn replay_feature(&mut self, record: &FeatureLevelRecord) -> Result<(), ReplayError> {
        let level = record.feature_level;
        if record.name == METADATA_VERSION_FEATURE && level > METADATA_VERSION {
            return Err(ReplayError::MetadataVersion(level));
        }
        let features = Arc::make_mut(&mut self.features);
        if level == 0 {
            features.remove(&record.name);
        } else {
            features.insert(record.name.clone(), level);
        }
        Ok(())
    }

    fn replay_broker(&mut self, record: &RegisterBrokerRecord) {
        self.brokers
            .insert(NodeId(record.broker_id), Arc::new(record.clone()));
    }

    fn replay_broker_change(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        let node = NodeId(record.broker_id);
        let broker = self
            .brokers
            .get_mut(&node)
            .ok_or(ReplayError::UnknownBroker(node))?;
        let broker = Arc::make_mut(broker);
        match record.fenced {
            0 => {}
            change => broker.fenced = change > 0,
        }
        if record.in_controlled_shutdown != 0 {
            broker.in_controlled_shutdown = true;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        Ok(())
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut Topic, ReplayError> {
        self.topics
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or(ReplayError::UnknownTopic(id))
    }
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}
