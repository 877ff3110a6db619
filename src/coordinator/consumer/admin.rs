//! What is asked of a consumer group from outside: commits, deletions, the start of a shard.

use super::group::ConsumerGroup;
use super::member::{Member, MemberState};
use crate::coordinator::Failure;
use crate::coordinator::group::Ageing;
use crate::coordinator::shard::Identity;
use crate::coordinator::turn::{Deadline, Turn};

impl ConsumerGroup {
    /// Whether somebody may commit offsets (`ConsumerGroup.validateOffsetCommit`): anybody while
    /// nobody is in it, then members at their epoch, by requests that know of epochs.
    pub(crate) fn may_commit(&self, who: &Identity, knows_epochs: bool) -> Result<(), Failure> {
        if who.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        if !knows_epochs && !self.member(&who.member_id)?.is_classic() {
            return Err(Failure::UnsupportedVersion);
        }
        self.speaks_for(who)
    }

    /// Whether a member may ask for committed offsets: at its epoch.
    pub(crate) fn may_fetch(&self, who: &Identity) -> Result<(), Failure> {
        self.speaks_for(who)
    }

    fn speaks_for(&self, who: &Identity) -> Result<(), Failure> {
        let member = self.member(&who.member_id)?;
        match (who.generation == member.epoch, member.is_classic()) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::IllegalGeneration),
            (false, false) => Err(Failure::StaleMemberEpoch),
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn may_delete(&self) -> Result<(), Failure> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(Failure::NonEmptyGroup),
        }
    }

    /// Whether a member subscribes to a topic.
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        let by_expression = |expression: &str| {
            let resolved = self.expressions.get(expression);
            resolved.is_some_and(|resolved| resolved.topics.contains(topic))
        };
        self.members.values().any(|member| {
            let names = &member.about.subscribed_topic_names;
            names.iter().any(|name| name == topic) || member.expression().is_some_and(by_expression)
        })
    }

    /// Since when offsets grow old that nobody uses.
    pub(crate) fn ageing(&self) -> Ageing {
        Ageing::SinceCommit
    }

    /// The shard is loaded: what is known of the members begins to run out.
    pub(crate) fn begin_sessions(&self, turn: &mut Turn<'_>) {
        for member in self.members.values() {
            self.hear_of(member, turn);
            if member.state == MemberState::UnrevokedPartitions && !member.is_classic() {
                let deadline = self.revocation(&member.id);
                turn.set(deadline, member.about.rebalance_timeout_ms);
            }
        }
        if !self.is_empty() && self.members.values().all(Member::is_classic) {
            self.look_again(turn);
        }
    }

    /// Something was heard of a member: its session begins anew.
    pub(super) fn hear_of(&self, member: &Member, turn: &mut Turn<'_>) {
        let timeout_ms = match &member.about.classic_member_metadata {
            Some(classic) => classic.session_timeout_ms,
            None => turn.consumer_timeouts(&self.id).session_ms,
        };
        let deadline = Deadline::Session {
            group: self.id.to_string(),
            member: member.id.to_string(),
        };
        turn.set(deadline, timeout_ms);
    }

    /// The name of the time that a member has to give up partitions.
    pub(super) fn revocation(&self, member: &str) -> Deadline {
        Deadline::Revocation {
            group: self.id.to_string(),
            member: member.to_owned(),
        }
    }
}
