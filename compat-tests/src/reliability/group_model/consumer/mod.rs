//! What must be true of consumer groups, as far as answers and records tell: epochs, who may
//! speak, and that no partition is with two members.
//!
//! Members speak the consumer protocol ([`beats`]) or the classic one ([`classics`]); a group may
//! change its kind under them ([`migration`]).

mod batch;
mod beats;
mod classics;
mod migration;

use std::collections::{BTreeMap, BTreeSet};

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
    /// Where it stands, as records number that.
    state: i8,
    /// Names that it subscribes to.
    topics: Vec<String>,
    /// Whether it subscribes by an expression, too.
    describes: bool,
    /// Whether it speaks the classic protocol.
    is_classic: bool,
    session_ms: u64,
    /// When something was heard of it last.
    heard_ms: u64,
    /// Since when it has to give up partitions; who speaks the classic protocol has other limits,
    /// and keeps to them when it goes on in the consumer protocol.
    revoking_since: Option<u64>,
    /// Since when a classic member has been told to join again.
    joins_since: Option<u64>,
    /// Since when a classic member has to ask for what it has.
    syncs_since: Option<u64>,
}

impl Member {
    /// What it has to give up it was told now.
    fn revokes(&mut self, now_ms: u64) {
        let revokes = !self.is_classic && !self.revoking.is_empty();
        self.revoking_since = revokes.then_some(now_ms);
    }

    /// When it is gone unless something is heard of it.
    fn ends_ms(&self) -> u64 {
        let steps = [self.revoking_since, self.joins_since, self.syncs_since];
        let late = steps.iter().flatten().min();
        let silent = self.heard_ms + self.session_ms;
        late.map_or(silent, |since| silent.min(since + self.rebalance_ms))
    }
}

/// Whom a request lets go: the member of that id, or of that instance id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goes<'a> {
    pub(super) id: &'a str,
    pub(super) instance: Option<&'a str>,
}

impl Goes<'_> {
    pub(super) fn is(&self, id: &str, instance: Option<&str>) -> bool {
        self.id == id || (instance.is_some() && self.instance == instance)
    }
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
        let member = self.members.get(id);
        member.is_none_or(|member| now_ms >= member.ends_ms())
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

    /// Whether it should be a group of the other kind: all of its members, no more than that many,
    /// speak the classic protocol.
    pub(super) fn is_of_classics(&self, size_max: usize) -> bool {
        let mut members = self.members.values();
        (1..=size_max).contains(&self.members.len()) && members.all(|member| member.is_classic)
    }

    /// Whether members subscribe to a topic; `None` if only the coordinator knows.
    pub(super) fn subscribes(&self, topic: &str) -> Option<bool> {
        let names = |member: &Member| member.topics.iter().any(|name| name == topic);
        let is_named = self.members.values().any(names);
        let is_known = is_named || !self.members.values().any(|member| member.describes);
        is_known.then_some(is_named)
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
                    session_ms: CONSUMER_SESSION_MS,
                    heard_ms: now_ms,
                    ..Member::default()
                };
                let member = self.members.entry(key.member.clone()).or_insert(new);
                member.instance.clone_from(&value.instance_id);
                member.rebalance_ms = u64::try_from(value.rebalance_timeout_ms).unwrap_or(0);
                member.topics.clone_from(&value.subscribed_topic_names);
                let expression = value.subscribed_topic_regex.as_deref();
                member.describes = expression.is_some_and(|text| !text.is_empty());
                let classic = value.classic_member_metadata.as_ref();
                member.is_classic = classic.is_some();
                let session_ms = classic.map(|said| u64::try_from(said.session_timeout_ms));
                member.session_ms = session_ms.map_or(CONSUMER_SESSION_MS, |ms| ms.unwrap_or(0));
            }
            GroupRecord::CurrentAssignment(key, Some(value)) => {
                if let Some(member) = self.members.get_mut(&key.member) {
                    member.state = value.state;
                    member.epoch = value.member_epoch;
                    member.previous = value.previous_member_epoch;
                    member.assigned = parts(&value.assigned_partitions);
                    member.revoking = parts(&value.partitions_pending_revocation);
                    member.revokes(now_ms);
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
        let members = facts.members.values_mut();
        members.for_each(|member| member.revokes(now_ms));
        facts
    }

    /// Nobody is still there who was not heard of for so long.
    pub(super) fn check_nobody_is_dead(&self, now_ms: u64) -> Result<(), String> {
        let dead = self
            .members
            .iter()
            .find(|(_, member)| now_ms > member.ends_ms());
        match dead {
            Some(dead) => Err(format!("{dead:?} should be gone at {now_ms}")),
            None => Ok(()),
        }
    }
}
