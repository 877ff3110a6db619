//! A member of a consumer group (Kafka's `ConsumerGroupMember`).

use std::sync::Arc;

use crate::wire::groups::{
    ConsumerGroupMemberMetadataValue, CurrentMemberAssignmentValue, GroupMemberKey, GroupRecord,
    TargetAssignmentMemberValue,
};

use super::Partitions;

/// Epoch of a member that joins.
pub const JOINING: i32 = 0;
/// Epoch of a member that leaves.
pub const LEAVING: i32 = -1;
/// Epoch of a static member that leaves, and will be back.
pub const LEAVING_FOR_A_WHILE: i32 = -2;

/// Where a member stands on its way to what it shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it shall have by its epoch.
    Stable,
    /// It has to give up partitions before it may go on to the next epoch.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions,
    /// A record said something that is not known.
    Unknown,
}

impl MemberState {
    /// As records have it.
    const fn id(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    const fn by_id(id: i8) -> Self {
        match id {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// A member of a consumer group, all of it kept by records.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    /// What it said of itself. The names of its topics are sorted, each there once.
    pub(crate) about: ConsumerGroupMemberMetadataValue,
    /// The epoch that it has got to.
    pub(crate) epoch: i32,
    /// The one before: the answer with the new one may have been lost.
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    /// What it has, or may take now.
    pub(crate) assigned: Partitions,
    /// What it has, and must give up.
    pub(crate) revoking: Partitions,
}

impl Member {
    /// A member that is about to join.
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            about: ConsumerGroupMemberMetadataValue {
                classic_member_metadata: None,
                ..ConsumerGroupMemberMetadataValue::default()
            },
            epoch: JOINING,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
        }
    }

    /// The regular expression that it subscribes by.
    pub(crate) fn expression(&self) -> Option<&str> {
        let expression = self.about.subscribed_topic_regex.as_deref();
        expression.filter(|expression| !expression.is_empty())
    }

    pub(crate) fn instance_id(&self) -> Option<&str> {
        self.about.instance_id.as_deref()
    }

    /// Whether it speaks the classic protocol.
    pub(crate) fn is_classic(&self) -> bool {
        self.about.classic_member_metadata.is_some()
    }

    /// Whether it has all of the target assignment of that epoch, and nothing else.
    pub(crate) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Goes on to an epoch.
    pub(crate) fn advance(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// The record of what it said of itself.
    pub(crate) fn record(&self, group: &str) -> GroupRecord {
        GroupRecord::Member(key(group, &self.id), Some(self.about.clone()))
    }

    /// The record of what it has.
    pub(crate) fn assignment_record(&self, group: &str) -> GroupRecord {
        let value = CurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.id(),
            assigned_partitions: self.assigned.to_record(),
            partitions_pending_revocation: self.revoking.to_record(),
        };
        GroupRecord::CurrentAssignment(key(group, &self.id), Some(value))
    }

    /// Takes in the record of what it has; none says that it has nothing, and leaves.
    pub(crate) fn replay_assignment(&mut self, value: Option<CurrentMemberAssignmentValue>) {
        let value = value.unwrap_or(CurrentMemberAssignmentValue {
            member_epoch: LEAVING,
            previous_member_epoch: LEAVING,
            ..CurrentMemberAssignmentValue::default()
        });
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = MemberState::by_id(value.state);
        self.assigned = Partitions::from_record(&value.assigned_partitions);
        self.revoking = Partitions::from_record(&value.partitions_pending_revocation);
    }
}

/// The records that take a member out.
pub(super) fn tombstones(group: &str, member: &str) -> [GroupRecord; 3] {
    [
        GroupRecord::CurrentAssignment(key(group, member), None),
        GroupRecord::TargetAssignmentMember(key(group, member), None),
        GroupRecord::Member(key(group, member), None),
    ]
}

/// The record of what a member shall have.
pub(super) fn target_record(group: &str, member: &str, target: &Partitions) -> GroupRecord {
    let value = TargetAssignmentMemberValue {
        topic_partitions: target.to_record(),
    };
    GroupRecord::TargetAssignmentMember(key(group, member), Some(value))
}

fn key(group: &str, member: &str) -> GroupMemberKey {
    GroupMemberKey {
        group: group.to_owned(),
        member: member.to_owned(),
    }
}
