//! The groups of one partition of `__consumer_offsets`.

mod admin;
mod classic;
mod commits;
mod consumer;
mod replay;

use std::collections::HashMap;
use std::time::Duration;

use super::classic::ClassicGroup;
use super::group::Group;
use super::machine::{Machine, Moment};
use super::offsets::Offsets;
use super::outcome::{Outcome, Reply};
use super::timers::Timers;
use super::turn::{Deadline, Turn};
use super::world::GroupWorld;
use crate::model::Timestamp;
use crate::wire::groups::GroupRecord;

pub use commits::OffsetCommit;

/// A member, as a request names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Member id; empty for who is no member.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Generation, or epoch, that the member believes in; -1 for none.
    pub generation: i32,
}

/// The groups of one partition of `__consumer_offsets`.
///
/// Events answer with what follows from them; see [`Machine`].
#[derive(Debug)]
pub struct Shard {
    groups: HashMap<String, Group>,
    offsets: Offsets,
    timers: Timers<Deadline>,
    random: fastrand::Rng,
}

impl Shard {
    /// A shard that nothing was loaded into yet; `seed` makes member ids repeatable.
    pub fn new(seed: u64) -> Self {
        Self {
            groups: HashMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Runs `event` with a group, and with what groups are lent.
    fn with_group<T>(
        &mut self,
        id: &str,
        moment: Moment<'_, GroupWorld>,
        outcome: &mut Outcome,
        event: impl FnOnce(&mut Group, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(id)?;
        let mut turn = lend(&mut self.timers, &mut self.random, moment, outcome);
        Some(event(group, &mut turn))
    }

    /// The group of that name, made if there is none: one without members.
    fn make_group(&mut self, id: &str, moment: Moment<'_, GroupWorld>) {
        if !self.groups.contains_key(id) {
            let group = ClassicGroup::new(id, moment.wall);
            self.groups.insert(id.to_owned(), Group::Classic(group));
        }
    }

    /// Makes the groups of offsets that have none, as the log tells of one that was about to become
    /// a group of the other kind when the broker stopped: without one nobody could see or delete
    /// them, and they would never expire.
    fn make_groups_of_offsets(&mut self) {
        for id in self.offsets.groups() {
            if !self.groups.contains_key(id) {
                let group = ClassicGroup::new(id, Timestamp(-1));
                self.groups.insert(id.to_owned(), Group::Classic(group));
            }
        }
    }

    /// When expired offsets are looked for next: at once where there may be more of them.
    fn set_expiry(&mut self, moment: Moment<'_, GroupWorld>, more: bool) {
        let interval = u64::try_from(moment.world.settings.offsets_check_interval_ms);
        let interval = match more {
            true => Duration::ZERO,
            false => Duration::from_millis(interval.unwrap_or(1).max(1)),
        };
        self.timers.set(Deadline::Expiry, moment.now + interval);
    }
}

/// What a group is lent for one event.
fn lend<'a>(
    timers: &'a mut Timers<Deadline>,
    random: &'a mut fastrand::Rng,
    moment: Moment<'a, GroupWorld>,
    outcome: &'a mut Outcome,
) -> Turn<'a> {
    Turn {
        now: moment.now,
        wall: moment.wall,
        settings: &moment.world.settings,
        topics: moment.world.topics.as_ref(),
        overrides: moment.world.overrides.as_ref(),
        timers,
        random,
        outcome,
    }
}

impl Machine for Shard {
    type Record = GroupRecord;
    type Reply = Reply;
    type World = GroupWorld;

    fn load(&mut self, record: GroupRecord) {
        self.load_record(record);
    }

    /// Sessions of all members begin anew, and offsets of topics that are gone are deleted, as
    /// many as one batch may hold; the rest with what expires.
    fn loaded(&mut self, moment: Moment<'_, GroupWorld>) -> Outcome {
        let mut outcome = Outcome::default();
        self.make_groups_of_offsets();
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with_group(&id, moment, &mut outcome, |group, turn| {
                group.begin_sessions(turn);
            });
        }
        let lost = self.forget_lost_topics(moment.world);
        self.set_expiry(moment, !lost.records.is_empty());
        outcome.records.extend(lost.records);
        outcome
    }

    fn replay(&mut self, record: GroupRecord) {
        self.replay_record(record);
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    fn pass_time(&mut self, moment: Moment<'_, GroupWorld>) -> Option<Outcome> {
        let deadline = self.timers.pop_due(moment.now)?;
        let mut outcome = Outcome::default();
        let Some(id) = deadline.group() else {
            let mut due = self.forget_lost_topics(moment.world);
            if due.records.is_empty() {
                due = self.expire_offsets(moment);
            }
            self.set_expiry(moment, !due.records.is_empty());
            return Some(due);
        };
        self.with_group(id, moment, &mut outcome, |group, turn| match group {
            Group::Classic(group) => group.time_is_over(&deadline, turn),
            Group::Consumer(group) => group.time_is_over(&deadline, turn),
        });
        Some(outcome)
    }
}
