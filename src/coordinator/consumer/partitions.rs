//! Partitions by topic: what a member shall have, has, or must give up.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::wire::groups::AssignedTopic;

/// A set of partitions, by topic id. No topic is in it without a partition, so two sets are equal
/// if they hold the same partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions(BTreeMap<Uuid, BTreeSet<i32>>);

impl Partitions {
    /// Nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a partition; whether it was not there yet.
    pub fn insert(&mut self, topic: Uuid, partition: i32) -> bool {
        self.0.entry(topic).or_default().insert(partition)
    }

    /// Takes a partition out; whether it was there.
    pub fn remove(&mut self, topic: Uuid, partition: i32) -> bool {
        let Some(partitions) = self.0.get_mut(&topic) else {
            return false;
        };
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.0.remove(&topic);
        }
        removed
    }

    /// Whether a partition is in it.
    pub fn contains(&self, topic: Uuid, partition: i32) -> bool {
        self.0
            .get(&topic)
            .is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many partitions it holds.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Every partition, in order of topic id.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, i32)> {
        self.0
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
    }

    /// The partitions of each topic.
    pub fn by_topic(&self) -> impl Iterator<Item = (Uuid, &BTreeSet<i32>)> {
        self.0
            .iter()
            .map(|(topic, partitions)| (*topic, partitions))
    }

    /// Whether both hold some partition.
    pub fn intersects(&self, other: &Self) -> bool {
        self.iter()
            .any(|(topic, partition)| other.contains(topic, partition))
    }

    /// Whether `other` holds all of it.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter()
            .all(|(topic, partition)| other.contains(topic, partition))
    }

    /// As records and answers name them.
    pub fn to_record(&self) -> Vec<AssignedTopic> {
        self.by_topic()
            .map(|(topic_id, partitions)| AssignedTopic {
                topic_id,
                partitions: partitions.iter().copied().collect(),
            })
            .collect()
    }

    /// From what a record or a request names.
    pub fn from_record(topics: &[AssignedTopic]) -> Self {
        let each = topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|partition| (topic.topic_id, *partition))
        });
        each.collect()
    }
}

impl FromIterator<(Uuid, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (Uuid, i32)>>(partitions: I) -> Self {
        let mut set = Self::new();
        set.extend(partitions);
        set
    }
}

impl Extend<(Uuid, i32)> for Partitions {
    fn extend<I: IntoIterator<Item = (Uuid, i32)>>(&mut self, partitions: I) {
        for (topic, partition) in partitions {
            self.insert(topic, partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    #[test]
    fn a_topic_without_partitions_is_not_there() {
        let mut set: Partitions = [(A, 1), (B, 0), (A, 0)].into_iter().collect();
        assert_eq!(set.count(), 3);
        assert!(set.remove(B, 0) && !set.remove(B, 0));
        assert_eq!(set, [(A, 0), (A, 1)].into_iter().collect());
        assert!(set.remove(A, 0) && set.remove(A, 1) && set.is_empty());
    }

    #[test]
    fn a_record_keeps_every_partition_and_names_no_empty_topic() {
        let set: Partitions = [(B, 3), (A, 1), (A, 0)].into_iter().collect();
        assert_eq!(Partitions::from_record(&set.to_record()), set);
        let with_empty_topic = [AssignedTopic {
            topic_id: A,
            partitions: Vec::new(),
        }];
        assert!(Partitions::from_record(&with_empty_topic).is_empty());
    }

    #[test]
    fn sets_know_what_they_share() {
        let small: Partitions = [(A, 1)].into_iter().collect();
        let large: Partitions = [(A, 1), (B, 1)].into_iter().collect();
        let other: Partitions = [(A, 0), (B, 0)].into_iter().collect();
        assert!(small.is_subset(&large) && !large.is_subset(&small));
        assert!(small.intersects(&large) && !large.intersects(&other));
    }
}
