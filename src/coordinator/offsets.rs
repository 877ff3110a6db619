//! Committed offsets of the groups of a shard (Kafka's `OffsetMetadataManager`).

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::model::Timestamp;
use crate::wire::groups::{GroupRecord, OffsetCommitKey, OffsetCommitValue};

/// Where a group will go on reading a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset.
    pub offset: i64,
    /// Leader epoch of the record before it; -1 if the client did not say.
    pub leader_epoch: i32,
    /// What the client wanted kept.
    pub metadata: String,
    /// When it was committed.
    pub at: Timestamp,
    /// When it expires, by clients of long ago that chose a time of their own.
    pub expires: Option<Timestamp>,
    /// Id of the topic at the commit: one that was created again under its name inherits nothing.
    /// Nil if the record does not say.
    pub topic_id: Uuid,
}

impl Committed {
    /// Whether it is about the topic that has this id.
    pub fn is_of(&self, topic: Uuid) -> bool {
        self.topic_id.is_nil() || self.topic_id == topic
    }
}

/// Partitions of one topic.
type OfTopic = BTreeMap<i32, Committed>;

/// Committed offsets, by group, topic and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    groups: HashMap<String, BTreeMap<String, OfTopic>>,
}

/// What a group wants to commit for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Topic, by name.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The next offset to be read.
    pub offset: i64,
    /// Leader epoch of the record before it, or -1.
    pub leader_epoch: i32,
    /// Kept byte for byte.
    pub metadata: String,
}

impl Commit {
    /// The record of the commit, made at `at` and kept for `retention_ms` if the client, one of
    /// long ago, chose that.
    pub(crate) fn record(
        &self,
        group: &str,
        topic_id: Uuid,
        at: Timestamp,
        retention_ms: Option<i64>,
    ) -> GroupRecord {
        let key = key(group, &self.topic, self.partition);
        let value = OffsetCommitValue {
            offset: self.offset,
            // One version has room for a time of expiry, another for the rest.
            leader_epoch: match retention_ms {
                Some(_) => -1,
                None => self.leader_epoch,
            },
            metadata: self.metadata.clone(),
            commit_timestamp: at.0,
            expire_timestamp: retention_ms.map_or(-1, |ms| at.0.saturating_add(ms)),
            topic_id: match retention_ms {
                Some(_) => Uuid::nil(),
                None => topic_id,
            },
        };
        GroupRecord::OffsetCommit(key, Some(value))
    }
}

fn key(group: &str, topic: &str, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey {
        group: group.to_owned(),
        topic: topic.to_owned(),
        partition,
    }
}

/// The record that deletes a committed offset.
pub(crate) fn tombstone(group: &str, topic: &str, partition: i32) -> GroupRecord {
    GroupRecord::OffsetCommit(key(group, topic, partition), None)
}

impl Offsets {
    /// Takes in a record.
    pub(crate) fn replay(&mut self, key: OffsetCommitKey, value: Option<OffsetCommitValue>) {
        let Some(value) = value else {
            self.forget(&key);
            return;
        };
        let committed = Committed {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            at: Timestamp(value.commit_timestamp),
            expires: (value.expire_timestamp >= 0).then_some(Timestamp(value.expire_timestamp)),
            topic_id: value.topic_id,
        };
        let topics = self.groups.entry(key.group).or_default();
        let partitions = topics.entry(key.topic).or_default();
        partitions.insert(key.partition, committed);
    }

    fn forget(&mut self, key: &OffsetCommitKey) {
        let Some(topics) = self.groups.get_mut(&key.group) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(&key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                topics.remove(&key.topic);
            }
        }
        if topics.is_empty() {
            self.groups.remove(&key.group);
        }
    }

    /// What a group has committed for a partition.
    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    /// Everything that a group has committed, topic by topic.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.groups.get(group).into_iter().flat_map(flat)
    }

    /// The groups that have committed something.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Everything that any group has committed.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str, i32, &Committed)> {
        self.groups.iter().flat_map(|(group, topics)| {
            flat(topics).map(move |(topic, partition, committed)| {
                (group.as_str(), topic, partition, committed)
            })
        })
    }
}

/// Topic by topic, partition by partition.
fn flat(topics: &BTreeMap<String, OfTopic>) -> impl Iterator<Item = (&str, i32, &Committed)> {
    topics.iter().flat_map(|(topic, partitions)| {
        partitions
            .iter()
            .map(move |(partition, committed)| (topic.as_str(), *partition, committed))
    })
}
