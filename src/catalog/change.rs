//! Changes of the catalog in native types, and the records that they become.

use uuid::Uuid;

use super::{Image, PartitionState, ReplayError, Topic};
use crate::model::{LeaderEpoch, NodeId, PartitionId, ProducerId, TopicId, TopicName};
use crate::wire::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord,
    ProducerIdsRecord, RemoveTopicRecord, TopicRecord,
};

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

impl ConfigResource {
    /// Type id and name, as records hold them (`ConfigResource.Type`).
    pub(super) fn to_record(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.as_str().to_owned()),
            Self::Broker(None) => (4, String::new()),
            Self::Broker(Some(node)) => (4, node.to_string()),
            Self::ClientMetrics(name) => (16, name.clone()),
            Self::Group(name) => (32, name.clone()),
        }
    }

    /// The resource that a record names.
    pub(super) fn from_record(kind: i8, name: &str) -> Result<Self, ReplayError> {
        let unknown = || ReplayError::ConfigResource {
            kind,
            name: name.to_owned(),
        };
        match kind {
            2 => TopicName::new(name).map(Self::Topic).map_err(|_| unknown()),
            4 if name.is_empty() => Ok(Self::Broker(None)),
            4 => name
                .parse()
                .map(|id| Self::Broker(Some(NodeId(id))))
                .map_err(|_| unknown()),
            16 => Ok(Self::ClientMetrics(name.to_owned())),
            32 => Ok(Self::Group(name.to_owned())),
            _ => Err(unknown()),
        }
    }
}

/// A change of the catalog, in native types; written as Kafka's metadata records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic with its partitions.
    CreateTopic(Topic),
    /// A topic goes, with its partitions and its configs.
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
        /// New epoch: one more than the last, since that is all a record can say.
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

/// What records say about the node that writes them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    /// The node.
    pub(super) node: NodeId,
    /// Its data directory, where every partition lies.
    pub(super) directory: Uuid,
}

impl Change {
    /// Adds the records of this change to `records`; `image` is the one that the change, with
    /// the changes before it in the same commit, was decided on.
    pub(super) fn write(
        &self,
        image: &Image,
        writer: Writer,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ReplayError> {
        match self {
            Self::CreateTopic(topic) => {
                let name = topic.name.as_str().to_owned();
                records.push(
                    TopicRecord {
                        name,
                        topic_id: topic.id.0,
                    }
                    .into(),
                );
                for (number, partition) in (0..).zip(&topic.partitions) {
                    records.push(partition_record(topic.id, number, partition, writer));
                }
            }
            Self::RemoveTopic(id) => {
                records.push(RemoveTopicRecord { topic_id: id.0 }.into());
            }
            Self::AddPartitions { topic, partitions } => {
                let present = image
                    .topic(*topic)
                    .ok_or(ReplayError::UnknownTopic(*topic))?;
                for (number, partition) in (present.partitions.len()..).zip(partitions) {
                    records.push(partition_record(*topic, number, partition, writer));
                }
            }
            Self::BumpLeaderEpoch {
                topic,
                partition,
                leader_epoch,
            } => {
                let unknown = ReplayError::UnknownPartition {
                    topic: *topic,
                    partition: *partition,
                };
                let present = image
                    .topic(*topic)
                    .ok_or(ReplayError::UnknownTopic(*topic))?;
                let state = present.partition(*partition).ok_or(unknown)?;
                if Some(leader_epoch.0) != state.leader_epoch.0.checked_add(1) {
                    return Err(ReplayError::LeaderEpoch {
                        topic: *topic,
                        partition: *partition,
                        from: state.leader_epoch,
                        to: *leader_epoch,
                    });
                }
                records.push(
                    PartitionChangeRecord {
                        partition_id: partition.0,
                        topic_id: topic.0,
                        leader: state.leader.0,
                        ..PartitionChangeRecord::default()
                    }
                    .into(),
                );
            }
            Self::SetConfig {
                resource,
                key,
                value,
            } => {
                let (resource_type, resource_name) = resource.to_record();
                records.push(
                    ConfigRecord {
                        resource_type,
                        resource_name,
                        name: key.clone(),
                        value: value.clone(),
                    }
                    .into(),
                );
            }
            Self::ProducerIds { next } => records.push(
                ProducerIdsRecord {
                    broker_id: writer.node.0,
                    broker_epoch: image.broker_epoch(writer.node).unwrap_or(-1),
                    next_producer_id: next.0,
                }
                .into(),
            ),
            Self::Feature { name, level } => {
                let name = name.clone();
                records.push(
                    FeatureLevelRecord {
                        name,
                        feature_level: *level,
                    }
                    .into(),
                );
            }
        }
        Ok(())
    }
}

/// The record of a whole partition.
pub(super) fn partition_record(
    topic: TopicId,
    number: usize,
    state: &PartitionState,
    writer: Writer,
) -> MetadataRecord {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
    PartitionRecord {
        partition_id: i32::try_from(number).unwrap_or(i32::MAX),
        topic_id: topic.0,
        replicas: ids(&state.replicas),
        isr: ids(&state.isr),
        leader: state.leader.0,
        leader_epoch: state.leader_epoch.0,
        partition_epoch: state.partition_epoch,
        directories: vec![writer.directory; state.replicas.len()],
        ..PartitionRecord::default()
    }
    .into()
}
