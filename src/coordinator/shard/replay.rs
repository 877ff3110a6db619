//! Taking in records: those of a log that is loaded, and those that the shard has just written.

use super::Shard;
use crate::coordinator::classic::ClassicGroup;
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
                None => {
                    let group = ClassicGroup::load(&key.group, value);
                    self.groups.insert(key.group, Group::Classic(group));
                }
            },
            GroupRecord::ConsumerGroup(..)
            | GroupRecord::ConsumerGroupTopics(..)
            | GroupRecord::Member(..)
            | GroupRecord::TargetAssignment(..)
            | GroupRecord::TargetAssignmentMember(..)
            | GroupRecord::CurrentAssignment(..)
            | GroupRecord::RegularExpression(..) => {}
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
