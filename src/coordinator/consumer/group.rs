//! A consumer group: what its records say of it, and what is asked of it from outside.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::member::{Member, tombstones};
use super::{Assignor, Partitions};
use crate::coordinator::Failure;
use crate::model::Timestamp;
use crate::wire::groups::{
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue, CurrentMemberAssignmentValue,
    GroupExpressionKey, GroupKey, GroupRecord, RegularExpressionValue, TargetAssignmentMemberValue,
    TargetAssignmentMetadataValue,
};

/// Where a consumer group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerGroupState {
    /// It has no members.
    Empty,
    /// It has changed since the last target assignment.
    Assigning,
    /// Some member has not got to the target assignment.
    Reconciling,
    /// Every member has what it shall have.
    Stable,
}

impl ConsumerGroupState {
    /// Kafka's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// The topics that match a regular expression, as they were when somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) topics: BTreeSet<String>,
    /// Version of the topics that they were looked up in.
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
}

/// A consumer group.
///
/// Events read it and tell in records what shall become of it; the records alone change it. Only
/// what it remembers of the topics that it has seen is its own.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(super) id: Arc<str>,
    /// Rises with every change of what its members subscribe to, or of those topics.
    pub(super) epoch: i32,
    /// Of the topics that it subscribes to, as they were at that epoch.
    pub(super) metadata_hash: i64,
    /// The group epoch that the target assignment was made for.
    pub(super) target_epoch: i32,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Member ids of the static members, by instance id.
    pub(super) static_ids: HashMap<String, Arc<str>>,
    /// What each member shall have.
    pub(super) targets: HashMap<Arc<str>, Partitions>,
    /// Who has each partition, or has yet to give it up.
    pub(super) owners: HashMap<(Uuid, i32), Arc<str>>,
    pub(super) expressions: BTreeMap<String, Resolved>,
    /// Whether there is a record of its topics, as Kafka before 4.1 wrote it.
    pub(super) has_topics_record: bool,
    /// Version of the topics that its hash was compared with.
    pub(super) seen_topics: Option<i64>,
    /// The same for its regular expressions, and when that was.
    pub(super) seen_by_expressions: Option<(i64, Duration)>,
}

impl ConsumerGroup {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            epoch: 0,
            metadata_hash: 0,
            target_epoch: 0,
            members: BTreeMap::new(),
            static_ids: HashMap::new(),
            targets: HashMap::new(),
            owners: HashMap::new(),
            expressions: BTreeMap::new(),
            has_topics_record: false,
            seen_topics: None,
            seen_by_expressions: None,
        }
    }

    pub(crate) fn state(&self) -> ConsumerGroupState {
        let arrived = |member: &Member| member.is_reconciled_to(self.target_epoch);
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch != self.target_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(arrived) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member by its id.
    pub(super) fn member(&self, id: &str) -> Result<&Member, Failure> {
        self.members.get(id).ok_or(Failure::UnknownMemberId)
    }

    /// What a member shall have.
    pub(super) fn target_of(&self, member: &str) -> Partitions {
        self.targets.get(member).cloned().unwrap_or_default()
    }

    /// The assignor that most members want: the first that is configured, if none does.
    pub(super) fn assignor<'a>(
        &self,
        members: impl Iterator<Item = &'a Member>,
        configured: &[Assignor],
    ) -> Assignor {
        let mut votes = vec![0_usize; configured.len()];
        for member in members {
            let wanted = member.about.server_assignor.as_deref();
            let place = configured
                .iter()
                .position(|each| Some(each.name()) == wanted);
            if let Some(count) = place.and_then(|place| votes.get_mut(place)) {
                *count += 1;
            }
        }
        let voted = configured.iter().zip(votes).rev();
        let most = voted.max_by_key(|(_, votes)| *votes);
        most.map_or(Assignor::Uniform, |(assignor, _)| *assignor)
    }

    /// The record of its epoch.
    pub(super) fn epoch_record(&self, epoch: i32, metadata_hash: i64) -> GroupRecord {
        let value = ConsumerGroupMetadataValue {
            epoch,
            metadata_hash,
        };
        GroupRecord::ConsumerGroup(self.key(), Some(value))
    }

    /// The record of the epoch of its target assignment.
    pub(super) fn target_epoch_record(&self, assignment_epoch: i32) -> GroupRecord {
        let value = TargetAssignmentMetadataValue { assignment_epoch };
        GroupRecord::TargetAssignment(self.key(), Some(value))
    }

    /// The record of what an expression matches; without it, nothing is remembered of it.
    pub(super) fn expression_record(
        &self,
        expression: &str,
        resolved: Option<&Resolved>,
    ) -> GroupRecord {
        let key = GroupExpressionKey {
            group: self.id.to_string(),
            expression: expression.to_owned(),
        };
        let value = resolved.map(|resolved| RegularExpressionValue {
            topics: resolved.topics.iter().cloned().collect(),
            version: resolved.version,
            timestamp: resolved.at.0,
        });
        GroupRecord::RegularExpression(key, value)
    }

    pub(super) fn key(&self) -> GroupKey {
        GroupKey {
            group: self.id.to_string(),
        }
    }

    /// The records that delete it.
    pub(crate) fn tombstones(&self, records: &mut Vec<GroupRecord>) {
        for member in self.members.keys() {
            records.extend(tombstones(&self.id, member));
        }
        records.push(GroupRecord::TargetAssignment(self.key(), None));
        for expression in self.expressions.keys() {
            records.push(self.expression_record(expression, None));
        }
        if self.has_topics_record {
            records.push(GroupRecord::ConsumerGroupTopics(self.key(), None));
        }
        records.push(GroupRecord::ConsumerGroup(self.key(), None));
    }
}

/// Taking in records. Those of a log may be garbage: none of them is refused.
impl ConsumerGroup {
    pub(crate) fn replay_epoch(&mut self, value: &ConsumerGroupMetadataValue) {
        self.epoch = value.epoch;
        self.metadata_hash = value.metadata_hash;
    }

    pub(crate) fn replay_topics(&mut self, is_there: bool) {
        self.has_topics_record = is_there;
    }

    pub(crate) fn replay_member(
        &mut self,
        id: &str,
        about: Option<ConsumerGroupMemberMetadataValue>,
    ) {
        if let Some(member) = self.members.get(id)
            && let Some(instance) = member.instance_id()
            && self
                .static_ids
                .get(instance)
                .is_some_and(|held| **held == *id)
        {
            self.static_ids.remove(instance);
        }
        let Some(mut about) = about else {
            if let Some(gone) = self.members.remove(id) {
                self.disown(&gone);
            }
            return;
        };
        about.subscribed_topic_names.sort_unstable();
        about.subscribed_topic_names.dedup();
        let member = self.member_or_new(id);
        let (id, instance) = (member.id.clone(), about.instance_id.clone());
        member.about = about;
        if let Some(instance) = instance {
            self.static_ids.insert(instance, id);
        }
    }

    pub(crate) fn replay_assignment(
        &mut self,
        id: &str,
        value: Option<CurrentMemberAssignmentValue>,
    ) {
        if value.is_none() && !self.members.contains_key(id) {
            return;
        }
        let member = self.member_or_new(id);
        let before = member.clone();
        member.replay_assignment(value);
        let has: Vec<(Uuid, i32)> = member
            .assigned
            .iter()
            .chain(member.revoking.iter())
            .collect();
        self.disown(&before);
        for (topic, partition) in has {
            let owner = self.owners.insert((topic, partition), before.id.clone());
            // Whatever a log may say, nothing has two owners.
            let other = owner.filter(|owner| *owner != before.id);
            if let Some(other) = other.and_then(|other| self.members.get_mut(&other)) {
                other.assigned.remove(topic, partition);
                other.revoking.remove(topic, partition);
            }
        }
    }

    pub(crate) fn replay_target(&mut self, id: &str, value: Option<TargetAssignmentMemberValue>) {
        match value {
            Some(value) => {
                let target = Partitions::from_record(&value.topic_partitions);
                self.targets.insert(id.into(), target);
            }
            None => {
                self.targets.remove(id);
            }
        }
    }

    pub(crate) fn replay_target_epoch(&mut self, value: Option<TargetAssignmentMetadataValue>) {
        match value {
            Some(value) => self.target_epoch = value.assignment_epoch,
            None => {
                self.target_epoch = 0;
                self.targets.clear();
            }
        }
    }

    pub(crate) fn replay_expression(
        &mut self,
        expression: String,
        value: Option<RegularExpressionValue>,
    ) {
        match value {
            Some(value) => {
                let resolved = Resolved {
                    topics: value.topics.into_iter().collect(),
                    version: value.version,
                    at: Timestamp(value.timestamp),
                };
                self.expressions.insert(expression, resolved);
            }
            None => {
                self.expressions.remove(&expression);
            }
        }
    }

    fn member_or_new(&mut self, id: &str) -> &mut Member {
        let id: Arc<str> = id.into();
        self.members
            .entry(Arc::clone(&id))
            .or_insert_with(|| Member::new(&id))
    }

    /// Nothing that a member had is its own any more.
    fn disown(&mut self, member: &Member) {
        for partition in member.assigned.iter().chain(member.revoking.iter()) {
            if self.owners.get(&partition) == Some(&member.id) {
                self.owners.remove(&partition);
            }
        }
    }
}
