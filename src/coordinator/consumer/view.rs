//! A consumer group as it will be once the records of an event are taken in, before they are.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::assignor::{Subscriber, TopicSizes};
use super::group::{ConsumerGroup, Resolved};
use super::member::{Member, target_record};
use super::{Assignor, Partitions};
use crate::coordinator::world::Topics;
use crate::wire::groups::GroupRecord;

/// A consumer group with what an event changes of it.
pub(super) struct View<'a> {
    pub(super) group: &'a ConsumerGroup,
    /// A member that is new, or not what it was.
    pub(super) changed: Option<&'a Member>,
    /// Members that are gone.
    pub(super) gone: &'a [Arc<str>],
    /// What the regular expressions match.
    pub(super) expressions: Cow<'a, BTreeMap<String, Resolved>>,
    pub(super) topics: &'a dyn Topics,
}

impl View<'_> {
    /// The members that there will be.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        let stays = |member: &&Member| {
            let changed = self.changed.is_some_and(|changed| changed.id == member.id);
            !changed && !self.gone.contains(&member.id)
        };
        let stay = self.group.members.values().filter(stays);
        stay.chain(self.changed)
    }

    /// The names that a member subscribes to, whether or not there are such topics.
    fn names<'b>(&'b self, member: &'b Member) -> impl Iterator<Item = &'b str> {
        let matching = member
            .expression()
            .and_then(|expression| self.expressions.get(expression))
            .into_iter()
            .flat_map(|resolved| &resolved.topics);
        let named = member.about.subscribed_topic_names.iter();
        named.chain(matching).map(String::as_str)
    }

    /// One member for each distinct subscription.
    fn subscriptions(&self) -> Vec<&Member> {
        let mut distinct: Vec<&Member> = Vec::new();
        for member in self.members() {
            if !distinct.iter().any(|each| subscribe_alike(each, member)) {
                distinct.push(member);
            }
        }
        distinct
    }

    /// A hash of the topics that somebody subscribes to: name, id and size. It differs if any of
    /// them was created, deleted or grown.
    ///
    /// Kafka's are made otherwise: a group that it wrote goes on with its next epoch.
    pub(super) fn metadata_hash(&self) -> i64 {
        let members = self.subscriptions();
        let names: BTreeSet<&str> = members
            .into_iter()
            .flat_map(|each| self.names(each))
            .collect();
        let mut hash = Hash::default();
        for name in names {
            if let Some(topic) = self.topics.topic(name) {
                hash.add(name.as_bytes());
                hash.add(topic.id.as_bytes());
                hash.add(&topic.partitions.to_be_bytes());
            }
        }
        hash.0.unwrap_or(0).cast_signed()
    }

    /// Makes a target assignment for `epoch`: the records of what differs from the one before, and
    /// what the changed member shall have. If it takes the place of a static member, it has that
    /// one's part up to now.
    pub(super) fn assign(
        &self,
        epoch: i32,
        replaced: Option<&str>,
        assignors: &[Assignor],
        records: &mut Vec<GroupRecord>,
    ) -> Partitions {
        let members: Vec<&Member> = self.members().collect();
        let (subscriptions, sizes) = self.topic_ids(&members);
        let nothing = Partitions::new();
        let nowhere = BTreeSet::new();
        let of_changed =
            |member: &Member| self.changed.is_some_and(|changed| changed.id == member.id);
        let subscribers: Vec<Subscriber<'_>> = members
            .iter()
            .map(|member| {
                let before = match replaced {
                    Some(replaced) if of_changed(member) => replaced,
                    _ => &member.id,
                };
                Subscriber {
                    id: &member.id,
                    instance_id: member.instance_id(),
                    topics: subscriptions.get(&key(member)).unwrap_or(&nowhere),
                    current: self.group.targets.get(before).unwrap_or(&nothing),
                }
            })
            .collect();
        let assignor = self.group.assignor(members.iter().copied(), assignors);
        let mut target_of_changed = Partitions::new();
        let assigned = assignor.assign(&subscribers, &sizes);
        for ((member, subscriber), target) in members.iter().zip(&subscribers).zip(assigned) {
            // A member that has not been told of anything has no record yet.
            if target != *subscriber.current || !self.group.targets.contains_key(&member.id) {
                records.push(target_record(&self.group.id, &member.id, &target));
            }
            if of_changed(member) {
                target_of_changed = target;
            }
        }
        records.push(self.group.target_epoch_record(epoch));
        target_of_changed
    }

    /// The topics that there are of each distinct subscription, and the sizes of all.
    fn topic_ids<'b>(
        &self,
        members: &[&'b Member],
    ) -> (HashMap<SubscriptionKey<'b>, BTreeSet<Uuid>>, TopicSizes) {
        let mut subscriptions = HashMap::new();
        let mut sizes = TopicSizes::new();
        for member in members {
            subscriptions.entry(key(member)).or_insert_with(|| {
                let mut ids = BTreeSet::new();
                for name in self.names(member) {
                    if let Some(topic) = self.topics.topic(name) {
                        sizes.insert(topic.id, topic.partitions);
                        ids.insert(topic.id);
                    }
                }
                ids
            });
        }
        (subscriptions, sizes)
    }
}

/// What a member subscribes to, by name and by regular expression.
type SubscriptionKey<'a> = (&'a [String], Option<&'a str>);

fn key(member: &Member) -> SubscriptionKey<'_> {
    (&member.about.subscribed_topic_names, member.expression())
}

fn subscribe_alike(a: &Member, b: &Member) -> bool {
    key(a) == key(b)
}

/// FNV-1a over what is added, each with its length; nothing if nothing is.
#[derive(Default)]
struct Hash(Option<u64>);

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        let length = bytes.len().to_be_bytes();
        let start = self.0.unwrap_or(0xcbf2_9ce4_8422_2325);
        let all = length.iter().chain(bytes);
        let hash = all.fold(start, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.0 = Some(hash);
    }
}
