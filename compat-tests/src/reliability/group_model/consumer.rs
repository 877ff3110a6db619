//! What must be true of consumer groups, as far as answers and records tell: epochs, who may
//! speak, and that no partition is with two members.

use std::collections::{BTreeMap, BTreeSet};

use klamm::coordinator::Failure;
use klamm::wire::groups::{AssignedTopic, GroupRecord};

use super::bed::CONSUMER_SESSION_MS;

/// A partition: topic id and number.
pub(super) type Part = (u128, i32);
/// Partitions.
pub(super) type Parts = BTreeSet<Part>;

/// A ConsumerGroupHeartbeat, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Beat {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) instance: Option<String>,
    pub(super) rebalance_ms: Option<u64>,
    pub(super) topics: Option<Vec<String>>,
    pub(super) expression: Option<String>,
    pub(super) owned: Option<Parts>,
}

/// A member, as records tell.
#[derive(Clone, Debug, Default)]
struct Member {
    instance: Option<String>,
    rebalance_ms: u64,
    epoch: i32,
    previous: i32,
    assigned: Parts,
    revoking: Parts,
    /// When something was heard of it last.
    heard_ms: u64,
    /// Since when it has to give up partitions.
    revoking_since: u64,
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub(super) struct ConsumerFacts {
    epoch: i32,
    target_epoch: i32,
    members: BTreeMap<String, Member>,
    targets: BTreeMap<String, Parts>,
}

fn parts(topics: &[AssignedTopic]) -> Parts {
    let each = topics.iter().flat_map(|topic| {
        let numbers = topic.partitions.iter();
        numbers.map(|number| (topic.topic_id.as_u128(), *number))
    });
    each.collect()
}

impl ConsumerFacts {
    fn holder(&self, instance: &str) -> Option<(&String, &Member)> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.instance.as_deref() == Some(instance))
    }

    fn may_be_gone(&self, id: &str, now_ms: u64) -> bool {
        self.members.get(id).is_none_or(|member| {
            let is_late = !member.revoking.is_empty()
                && now_ms >= member.revoking_since + member.rebalance_ms;
            is_late || now_ms >= member.heard_ms + CONSUMER_SESSION_MS
        })
    }

    /// Whether records tell of it.
    pub(super) fn exists(&self) -> bool {
        self.epoch > 0
    }

    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a member is in the group at an epoch.
    pub(super) fn is_at(&self, id: &str, epoch: i32) -> bool {
        self.members
            .get(id)
            .is_some_and(|member| member.epoch == epoch)
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// What a heartbeat must be answered, by what was known before it: `None` if it is let.
    pub(super) fn expected(&self, exists: bool, beat: &Beat) -> Option<Failure> {
        let joins = beat.epoch == 0;
        if !exists && !joins {
            return Some(Failure::GroupIdNotFound);
        }
        let named = match &beat.instance {
            Some(instance) => match self.holder(instance) {
                Some((_, held)) if joins && held.epoch != -2 => {
                    return Some(Failure::UnreleasedInstanceId);
                }
                Some(_) | None if joins => return None,
                Some((id, _)) if *id != beat.id => return Some(Failure::FencedInstanceId),
                Some((_, held)) => Some(held),
                None => return Some(Failure::UnknownMemberId),
            },
            None => self.members.get(&beat.id),
        };
        let Some(member) = named else {
            return (!joins).then_some(Failure::UnknownMemberId);
        };
        let owns_no_more = || {
            let owned = beat.owned.as_ref();
            owned.is_some_and(|owned| owned.is_subset(&member.assigned))
        };
        let missed = beat.epoch == member.previous && beat.epoch < member.epoch && owns_no_more();
        let is_right = beat.epoch < 0 || beat.epoch == member.epoch || missed;
        (!is_right).then_some(Failure::FencedMemberEpoch)
    }

    /// A heartbeat was let.
    pub(super) fn heard(&mut self, id: &str, now_ms: u64) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard_ms = now_ms;
        }
    }

    /// Records of one batch; `beat` is the heartbeat that led to them, if one did.
    pub(super) fn records(
        &mut self,
        records: &[&GroupRecord],
        beat: Option<&Beat>,
        now_ms: u64,
    ) -> Result<(), String> {
        let before = self.clone();
        let mut is_deleted = false;
        for record in records {
            is_deleted |= matches!(record, GroupRecord::ConsumerGroup(_, None));
            self.record(record, now_ms);
        }
        if is_deleted {
            return Ok(());
        }
        let wrong = |why: String| Err(format!("{why}; before: {before:?}; after: {self:?}"));
        if self.epoch < before.epoch || self.target_epoch < before.target_epoch {
            return wrong("an epoch goes back".to_owned());
        }
        if self.target_epoch > self.epoch {
            return wrong("the target is ahead of the group".to_owned());
        }
        for (id, member) in &self.members {
            let earlier = before.members.get(id).map_or(0, |member| member.epoch);
            let is_left_or_new = member.epoch == -2 || earlier == -2;
            if member.epoch < earlier && !is_left_or_new {
                return wrong(format!("the epoch of {id} goes back"));
            }
            if member.epoch > self.target_epoch {
                return wrong(format!("{id} is ahead of the target"));
            }
        }
        for id in before.members.keys().filter(|id| !self.has(id)) {
            let leaves = beat.is_some_and(|beat| beat.epoch < 0 && beat.id == *id);
            let of = before
                .members
                .get(id)
                .and_then(|member| member.instance.as_ref());
            let is_replaced = beat.is_some_and(|beat| {
                of.is_some() && beat.epoch == 0 && beat.instance.as_ref() == of
            });
            if !leaves && !is_replaced && !before.may_be_gone(id, now_ms) {
                return wrong(format!("{id} is thrown out"));
            }
        }
        self.check_owners().or_else(wrong)
    }

    fn check_owners(&self) -> Result<(), String> {
        let mut owners = BTreeMap::new();
        for (id, member) in &self.members {
            for part in member.assigned.union(&member.revoking) {
                if let Some(other) = owners.insert(*part, id) {
                    return Err(format!("{part:?} is with {other} and {id}"));
                }
            }
        }
        let mut owners = BTreeMap::new();
        for (id, target) in &self.targets {
            for part in target {
                if let Some(other) = owners.insert(*part, id) {
                    return Err(format!("{part:?} shall be with {other} and {id}"));
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &GroupRecord, now_ms: u64) {
        match record {
            GroupRecord::ConsumerGroup(_, None) => *self = Self::default(),
            GroupRecord::ConsumerGroup(_, Some(value)) => self.epoch = value.epoch,
            GroupRecord::TargetAssignment(_, value) => {
                self.target_epoch = value.as_ref().map_or(0, |value| value.assignment_epoch);
            }
            GroupRecord::TargetAssignmentMember(key, value) => {
                let target = value.as_ref().map(|value| parts(&value.topic_partitions));
                match target {
                    Some(target) => self.targets.insert(key.member.clone(), target),
                    None => self.targets.remove(&key.member),
                };
            }
            GroupRecord::Member(key, None) => {
                self.members.remove(&key.member);
            }
            GroupRecord::Member(key, Some(value)) => {
                let new = Member {
                    heard_ms: now_ms,
                    ..Member::default()
                };
                let member = self.members.entry(key.member.clone()).or_insert(new);
                member.instance.clone_from(&value.instance_id);
                member.rebalance_ms = u64::try_from(value.rebalance_timeout_ms).unwrap_or(0);
            }
            GroupRecord::CurrentAssignment(key, Some(value)) => {
                if let Some(member) = self.members.get_mut(&key.member) {
                    member.epoch = value.member_epoch;
                    member.previous = value.previous_member_epoch;
                    member.assigned = parts(&value.assigned_partitions);
                    member.revoking = parts(&value.partitions_pending_revocation);
                    member.revoking_since = now_ms;
                }
            }
            GroupRecord::CurrentAssignment(_, None)
            | GroupRecord::LegacyOffsetCommit(..)
            | GroupRecord::OffsetCommit(..)
            | GroupRecord::ClassicGroup(..)
            | GroupRecord::ConsumerGroupTopics(..)
            | GroupRecord::RegularExpression(..) => {}
        }
    }

    /// The group as the log leaves it to a broker that starts.
    pub(super) fn load(records: &[&GroupRecord], now_ms: u64) -> Self {
        let mut facts = Self::default();
        records
            .iter()
            .for_each(|record| facts.record(record, now_ms));
        facts
    }

    /// Nobody is still there who was not heard of for so long.
    pub(super) fn check_nobody_is_dead(&self, now_ms: u64) -> Result<(), String> {
        let dead = self
            .members
            .iter()
            .find(|(_, member)| now_ms > member.heard_ms + CONSUMER_SESSION_MS);
        match dead {
            Some(dead) => Err(format!("nothing was heard of {dead:?} for too long")),
            None => Ok(()),
        }
    }
}
