//! Who of a consumer group shall read which partitions (Kafka's `group.consumer.assignors`).
//!
//! An assignor sees the members with what they subscribe to and what they were to have before, and
//! the topics that there are. It gives each partition of a topic to exactly one member that
//! subscribes to it, if there is one.

mod balance;
mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

use super::Partitions;

/// A member, as an assignor sees it.
#[derive(Clone, Copy, Debug)]
pub struct Subscriber<'a> {
    /// Member id.
    pub id: &'a str,
    /// `group.instance.id`.
    pub instance_id: Option<&'a str>,
    /// Topics that it subscribes to.
    pub topics: &'a BTreeSet<Uuid>,
    /// What it was to have by the assignment before.
    pub current: &'a Partitions,
}

/// How many partitions each topic has. A subscription to a topic that is not here is passed over.
pub type TopicSizes = BTreeMap<Uuid, i32>;

/// A way to assign partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// As even as the subscriptions allow, and, as far as that goes, as it was before.
    Uniform,
    /// A range of each topic: partitions of the same number of topics of the same size go to the
    /// same member.
    Range,
}

impl Assignor {
    /// Every assignor.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Kafka's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }

    /// Assigns the partitions of `topics`: member by member, as they are given.
    pub fn assign(self, members: &[Subscriber<'_>], topics: &TopicSizes) -> Vec<Partitions> {
        match self {
            Self::Uniform if subscribe_alike(members) => uniform::assign(members, topics),
            Self::Uniform => balance::assign(members, topics),
            Self::Range => range::assign(members, topics),
        }
    }
}

/// Whether all members subscribe to the same topics.
fn subscribe_alike(members: &[Subscriber<'_>]) -> bool {
    match members.split_first() {
        Some((first, rest)) => rest.iter().all(|each| each.topics == first.topics),
        None => true,
    }
}

/// Partitions of the topics in `sizes`, with their owners.
struct Kept {
    /// What each member may keep, in order of topic and partition.
    of_member: Vec<Vec<(Uuid, i32)>>,
    /// All of that.
    taken: HashSet<(Uuid, i32)>,
}

/// What the members have that they still subscribe to and that is still there. A partition that
/// two have, which cannot come from an assignor, stays with the first.
fn keep(members: &[Subscriber<'_>], sizes: &TopicSizes) -> Kept {
    let mut taken = HashSet::new();
    let mut kept_by = |member: &Subscriber<'_>| {
        let current = member.current.iter();
        current
            .filter(|(topic, partition)| {
                let exists = sizes.get(topic).is_some_and(|size| partition < size);
                exists && member.topics.contains(topic) && taken.insert((*topic, *partition))
            })
            .collect()
    };
    let of_member = members.iter().map(&mut kept_by).collect();
    Kept { of_member, taken }
}
