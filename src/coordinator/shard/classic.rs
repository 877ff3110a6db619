//! Requests of members of classic groups.

use super::{Identity, Shard};
use crate::coordinator::classic::{Join, Joined, Leave, Sync, Synced};
use crate::coordinator::group::Group;
use crate::coordinator::machine::Moment;
use crate::coordinator::outcome::{Failure, Outcome, Reply, Waiter};
use crate::coordinator::turn::Deadline;
use crate::coordinator::world::GroupWorld;

impl Shard {
    /// JoinGroup: answered when the rebalance is over, unless refused.
    pub fn join(
        &mut self,
        group: &str,
        request: Join,
        waiter: Waiter,
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let settings = &moment.world.settings;
        let timeouts = settings.session_timeout_min_ms..=settings.session_timeout_max_ms;
        if !timeouts.contains(&request.session_timeout_ms) {
            let refused = Joined::failed(&request.member_id, Failure::InvalidSessionTimeout);
            outcome.reply(waiter, refused);
            return outcome;
        }
        // A group that nobody is in becomes one of either kind, and keeps its offsets.
        if let Some(Group::Consumer(empty)) = self.groups.get(group)
            && empty.is_empty()
        {
            empty.tombstones(&mut outcome.records);
            self.groups.remove(group);
            self.timers.cancel(&Deadline::Conversion {
                group: group.to_owned(),
            });
            self.make_group(group, moment);
        }
        // Who has an id already was a member of a group that has gone.
        match request.member_id.is_empty() {
            true => self.make_group(group, moment),
            false if !self.groups.contains_key(group) => {
                let refused = Joined::failed(&request.member_id, Failure::UnknownMemberId);
                outcome.reply(waiter, refused);
            }
            false => {}
        }
        self.with_group(group, moment, &mut outcome, |group, turn| match group {
            Group::Classic(group) => group.join(request, waiter, turn),
            Group::Consumer(group) => group.join(&request, waiter, turn),
        });
        outcome
    }

    /// SyncGroup: answered when the leader has assigned, unless refused.
    pub fn sync(
        &mut self,
        group: &str,
        request: Sync,
        waiter: Waiter,
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let found = self.with_group(group, moment, &mut outcome, |group, turn| match group {
            Group::Classic(group) => group.sync(request, waiter, turn),
            Group::Consumer(group) => group.sync(&request, waiter, turn),
        });
        if found.is_none() {
            outcome.reply(waiter, Synced::failed(Failure::UnknownMemberId));
        }
        outcome
    }

    /// Heartbeat.
    pub fn heartbeat(
        &mut self,
        group: &str,
        who: &Identity,
        waiter: Waiter,
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let alive = self.with_group(group, moment, &mut outcome, |group, turn| match group {
            Group::Classic(group) => group.heartbeat(who, turn),
            Group::Consumer(group) => group.heartbeat(who, turn),
        });
        let alive = alive.unwrap_or(Err(Failure::UnknownMemberId));
        outcome.reply(waiter, Reply::Alive(alive));
        outcome
    }

    /// LeaveGroup: members leave for themselves, or an administrator removes them.
    pub fn leave(
        &mut self,
        group: &str,
        leaving: Vec<Leave>,
        waiter: Waiter,
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let left = self.with_group(group, moment, &mut outcome, |group, turn| match group {
            Group::Classic(group) => group.leave(leaving, turn),
            Group::Consumer(group) => Ok(group.leave_group(leaving, turn)),
        });
        let left = left.unwrap_or(Err(Failure::UnknownMemberId));
        outcome.reply(waiter, Reply::Left(left));
        outcome
    }
}
