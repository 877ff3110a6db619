//! Partitions of topics in the store.

use std::collections::BTreeMap;

use crate::broker::Broker;
use crate::catalog::{ConfigResource, Topic};
use crate::model::{PartitionId, TopicPartition};
use crate::storage::{PartitionSpec, Remains};

/// The partitions of a topic from the `first` one on.
fn partitions(topic: &Topic, first: usize) -> impl Iterator<Item = TopicPartition> {
    let ids = (0..)
        .map(PartitionId)
        .take(topic.partitions.len())
        .skip(first);
    let topic = topic.id;
    ids.map(move |partition| TopicPartition { topic, partition })
}

impl Broker {
    /// Attaches everything that the catalog names, when the broker opens.
    pub(in crate::broker) fn attach_catalog(&self) {
        let image = self.catalog.image();
        for topic in image.topics() {
            let overrides = image.configs(&ConfigResource::Topic(topic.name.clone()));
            self.attach(&topic, 0, &overrides);
        }
    }

    /// Attaches the partitions of a topic from `first` on, with these overrides.
    pub(super) fn attach(&self, topic: &Topic, first: usize, overrides: &BTreeMap<String, String>) {
        let config = self.log_config(overrides);
        for (id, state) in partitions(topic, first).zip(topic.partitions.iter().skip(first)) {
            self.store.attach(PartitionSpec {
                topic_name: topic.name.clone(),
                id,
                leader_epoch: state.leader_epoch,
                config: config.clone(),
                may_use_reserve: topic.name.is_internal(),
            });
        }
    }

    /// Detaches them and has their files removed, which are still there for a while.
    pub(super) fn detach(&self, topic: &Topic, first: usize) -> Vec<Remains> {
        partitions(topic, first)
            .filter_map(|id| self.store.delete(&id))
            .collect()
    }
}
