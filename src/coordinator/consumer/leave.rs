//! Members go: they leave, are not heard of, or do not give up partitions in time.

use std::sync::Arc;

use super::Partitions;
use super::group::ConsumerGroup;
use super::member::{LEAVING_FOR_A_WHILE, Member, MemberState, tombstones};
use super::request::{ConsumerBeat, ConsumerHeartbeat, Refusal};
use super::view::View;
use crate::coordinator::turn::{Deadline, Turn};

impl ConsumerGroup {
    /// A ConsumerGroupHeartbeat of a member that leaves, if only for a while.
    pub(crate) fn leave(
        &mut self,
        request: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<ConsumerBeat, Refusal> {
        let id = request.member_id.as_str();
        let member = match &request.instance_id {
            None => self.members.get(id).ok_or_else(|| self.unknown(id))?,
            Some(instance) => self.check_static(id, instance)?,
        };
        if request.instance_id.is_some() && request.epoch == LEAVING_FOR_A_WHILE {
            // Its place, with all that it has, is kept until its session ends.
            let mut away = member.clone();
            away.epoch = LEAVING_FOR_A_WHILE;
            away.revoking = Partitions::new();
            turn.outcome.records.push(away.assignment_record(&self.id));
        } else {
            let gone = Arc::clone(&member.id);
            self.remove(&[gone], turn);
        }
        Ok(ConsumerBeat {
            member_id: id.to_owned(),
            epoch: request.epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// A deadline has passed.
    pub(crate) fn time_is_over(&mut self, deadline: &Deadline, turn: &mut Turn<'_>) {
        match deadline {
            Deadline::Session { member, .. } => self.session_is_over(member, turn),
            Deadline::Revocation { member, .. } => self.revocation_is_over(member, turn),
            // A classic member that was told to join, or has joined, and went no further.
            Deadline::MemberJoin { member, .. } | Deadline::MemberSync { member, .. } => {
                self.session_is_over(member, turn);
            }
            Deadline::Conversion { .. } => {
                self.downgrade(&[], turn);
            }
            Deadline::Join { .. } | Deadline::Sync { .. } | Deadline::Expiry => {}
        }
    }

    /// Nothing was heard of a member for its session timeout.
    fn session_is_over(&mut self, id: &str, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get(id) {
            let gone = Arc::clone(&member.id);
            self.remove(&[gone], turn);
        }
    }

    /// A member has had its time to give up partitions. One that is away for a while, or has gone
    /// on, stays.
    fn revocation_is_over(&mut self, id: &str, turn: &mut Turn<'_>) {
        let late = |member: &&Member| {
            member.state == MemberState::UnrevokedPartitions && member.epoch != LEAVING_FOR_A_WHILE
        };
        if let Some(member) = self.members.get(id).filter(late) {
            let gone = Arc::clone(&member.id);
            self.remove(&[gone], turn);
        }
    }

    /// Takes members out. The others get their partitions with the next epoch, which begins here;
    /// or among themselves, if none of them speaks the consumer protocol.
    pub(super) fn remove(&mut self, gone: &[Arc<str>], turn: &mut Turn<'_>) {
        if self.downgrade(gone, turn) {
            return;
        }
        let records = &mut turn.outcome.records;
        for id in gone {
            records.extend(tombstones(&self.id, id));
        }
        let mut view = View {
            group: self,
            changed: None,
            gone,
            expressions: std::borrow::Cow::Borrowed(&self.expressions),
            topics: turn.topics,
        };
        let unused = self.unused_expressions(view.members());
        for expression in unused {
            records.push(self.expression_record(&expression, None));
            view.expressions.to_mut().remove(&expression);
        }
        let hash = view.metadata_hash();
        records.push(self.epoch_record(self.epoch + 1, hash));
        for id in gone {
            self.forget_deadlines(id, turn);
        }
    }

    /// Nothing is waited for any more from a member.
    pub(super) fn forget_deadlines(&self, id: &str, turn: &mut Turn<'_>) {
        self.forget_reconciliation(id, turn);
        turn.cancel(&Deadline::Session {
            group: self.id.to_string(),
            member: id.to_owned(),
        });
    }

    /// A member has no next step to take any more.
    pub(super) fn forget_reconciliation(&self, id: &str, turn: &mut Turn<'_>) {
        turn.cancel(&self.revocation(id));
        turn.cancel(&self.member_join(id));
        turn.cancel(&self.member_sync(id));
    }
}
