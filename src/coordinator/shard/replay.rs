//! Taking in records: those of a log that is loaded, and those that the shard has just written.

use super::Shard;
use crate::coordinator::classic::ClassicGroup;
use crate::coordinator::consumer::ConsumerGroup;
use crate::coordinator::group::Group;
use crate::model::Timestamp;
use crate::wire::groups::{GroupRecord, OffsetCommitKey, OffsetCommitValue};

impl Shard {
    /// A record of the log: it says all there is about its key.
    pub(super) fn load_record(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::ClassicGroup(key, Some(value)) => {
                let group = ClassicGroup::load(&key.group, value);
                self.groups.insert(key.group, Group::Classic(group));
            }
            other => self.replay_record(other),
        }
    }

    /// A record of the shard's own, whose group goes on with its members and their deadlines.
    pub(super) fn replay_record(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::LegacyOffsetCommit(key, value) | GroupRecord::OffsetCommit(key, value) => {
                self.replay_offset(key, value);
            }
            GroupRecord::ClassicGroup(key, None) => {
                self.groups.remove(&key.group);
            }
            GroupRecord::ClassicGroup(key, Some(value)) => match self.groups.get_mut(&key.group) {
                Some(Group::Classic(group)) => group.replay(value),
                Some(Group::Consumer(_)) | None => {
                    let group = ClassicGroup::load(&key.group, value);
                    self.groups.insert(key.group, Group::Classic(group));
                }
            },
            GroupRecord::ConsumerGroup(key, None) => {
                if let Some(Group::Consumer(_)) = self.groups.get(&key.group) {
                    self.groups.remove(&key.group);
                }
            }
            GroupRecord::ConsumerGroup(key, Some(value)) => {
                self.consumers(&key.group, true, |group| group.replay_epoch(&value));
            }
            GroupRecord::ConsumerGroupTopics(key, value) => {
                let is_there = value.is_some();
                self.consumers(&key.group, is_there, |group| group.replay_topics(is_there));
            }
            GroupRecord::Member(key, value) => {
                self.consumers(&key.group, value.is_some(), |group| {
                    group.replay_member(&key.member, value);
                });
            }
            GroupRecord::TargetAssignment(key, value) => {
                self.consumers(&key.group, value.is_some(), |group| {
                    group.replay_target_epoch(value);
                });
            }
            GroupRecord::TargetAssignmentMember(key, value) => {
                self.consumers(&key.group, value.is_some(), |group| {
                    group.replay_target(&key.member, value);
                });
            }
            GroupRecord::CurrentAssignment(key, value) => {
                self.consumers(&key.group, value.is_some(), |group| {
                    group.replay_assignment(&key.member, value);
                });
            }
            GroupRecord::RegularExpression(key, value) => {
                self.consumers(&key.group, value.is_some(), |group| {
                    group.replay_expression(key.expression, value);
                });
            }
        }
    }

    /// A record of a consumer group, which begins with the first that says something of it.
    /// Records that contradict each other come from elsewhere: those of a group that has members
    /// of its own are passed over.
    fn consumers(
        &mut self,
        id: &str,
        says_something: bool,
        take_in: impl FnOnce(&mut ConsumerGroup),
    ) {
        let begins = match self.groups.get(id) {
            Some(Group::Consumer(_)) => false,
            Some(Group::Classic(group)) => says_something && group.is_empty(),
            None => says_something,
        };
        if begins {
            let group = Group::Consumer(ConsumerGroup::new(id));
            self.groups.insert(id.to_owned(), group);
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(id) {
            take_in(group);
        }
    }

    fn replay_offset(&mut self, key: OffsetCommitKey, value: Option<OffsetCommitValue>) {
        // Offsets of a group that nobody joined make one without members.
        if value.is_some() && !self.groups.contains_key(&key.group) {
            let group = ClassicGroup::new(&key.group, Timestamp(-1));
            self.groups.insert(key.group.clone(), Group::Classic(group));
        }
        self.offsets.replay(key, value);
    }
}
