//! Requests of members of consumer groups.

use super::{Shard, lend};
use crate::coordinator::consumer::{
    self, ConsumerBeat, ConsumerDescription, ConsumerGroup, ConsumerHeartbeat, JOINING, LEAVING,
    LEAVING_FOR_A_WHILE, Refusal,
};
use crate::coordinator::group::Group;
use crate::coordinator::machine::Moment;
use crate::coordinator::outcome::{Failure, Outcome, Reply, Waiter};
use crate::coordinator::world::GroupWorld;

impl Shard {
    /// ConsumerGroupHeartbeat; what can be said without knowing the group has been
    /// [checked](ConsumerHeartbeat::check).
    pub fn consumer_heartbeat(
        &mut self,
        group: &str,
        request: &ConsumerHeartbeat,
        waiter: Waiter,
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let beat = match request.epoch {
            LEAVING | LEAVING_FOR_A_WHILE => {
                self.leave_consumers(group, request, moment, &mut outcome)
            }
            _ => self.beat_of_consumer(group, request, moment, &mut outcome),
        };
        outcome.reply(waiter, Reply::ConsumerBeat(beat.map(Box::new)));
        outcome
    }

    fn leave_consumers(
        &mut self,
        id: &str,
        request: &ConsumerHeartbeat,
        moment: Moment<'_, GroupWorld>,
        outcome: &mut Outcome,
    ) -> Result<ConsumerBeat, Refusal> {
        let left = self.with_group(id, moment, outcome, |group, turn| match group {
            Group::Consumer(group) => group.leave(request, turn),
            Group::Classic(_) => Err(no_consumer_group(id)),
        });
        left.unwrap_or_else(|| Err(no_group("Group", id)))
    }

    fn beat_of_consumer(
        &mut self,
        id: &str,
        request: &ConsumerHeartbeat,
        moment: Moment<'_, GroupWorld>,
        outcome: &mut Outcome,
    ) -> Result<ConsumerBeat, Refusal> {
        let joins = request.epoch == JOINING;
        match self.groups.get(id) {
            Some(Group::Consumer(_)) => {
                let beat = self.with_group(id, moment, outcome, |group, turn| match group {
                    Group::Consumer(group) => group.beat(request, turn),
                    Group::Classic(_) => Err(no_consumer_group(id)),
                });
                beat.unwrap_or_else(|| Err(no_group("Consumer group", id)))
            }
            // A group that nobody is in becomes one of either kind, and keeps its offsets.
            Some(Group::Classic(group)) if joins && group.is_empty() => {
                let tombstone = group.tombstone();
                let mut beginning = Outcome::default();
                let beat = self.begin_consumers(id, request, moment, &mut beginning)?;
                outcome.records.push(tombstone);
                outcome.records.append(&mut beginning.records);
                Ok(beat)
            }
            Some(Group::Classic(_)) if joins => self.upgrade(id, request, moment, outcome),
            Some(Group::Classic(_)) => Err(no_consumer_group(id)),
            None if joins => self.begin_consumers(id, request, moment, outcome),
            None => Err(no_group("Consumer group", id)),
        }
    }

    /// The first member that speaks the consumer protocol joins a group of others.
    fn upgrade(
        &mut self,
        id: &str,
        request: &ConsumerHeartbeat,
        moment: Moment<'_, GroupWorld>,
        outcome: &mut Outcome,
    ) -> Result<ConsumerBeat, Refusal> {
        let Some(Group::Classic(classic)) = self.groups.get_mut(id) else {
            return Err(no_group("Consumer group", id));
        };
        let mut beginning = Outcome::default();
        let mut turn = lend(&mut self.timers, &mut self.random, moment, &mut beginning);
        let (mut group, records) = consumer::upgrade(id, classic, &turn)?;
        let beat = group.beat(request, &mut turn)?;
        classic.give_up_rebalance(&mut turn);
        group.begin_after_conversion(&mut turn);
        outcome.records.extend(records);
        outcome.records.append(&mut beginning.records);
        outcome.replies.append(&mut beginning.replies);
        Ok(beat)
    }

    /// The first member of a group joins. The group is there once its records are.
    fn begin_consumers(
        &mut self,
        id: &str,
        request: &ConsumerHeartbeat,
        moment: Moment<'_, GroupWorld>,
        outcome: &mut Outcome,
    ) -> Result<ConsumerBeat, Refusal> {
        let mut group = ConsumerGroup::new(id);
        let mut turn = lend(&mut self.timers, &mut self.random, moment, outcome);
        group.beat(request, &mut turn)
    }

    /// A consumer group, as ConsumerGroupDescribe tells of it.
    pub fn describe_consumers(
        &self,
        group: &str,
        world: &GroupWorld,
    ) -> Result<ConsumerDescription, Refusal> {
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group.describe(world)),
            Some(Group::Classic(_)) => Err(no_consumer_group(group)),
            None => Err(no_group("Group", group)),
        }
    }
}

/// Kafka does not call it the same everywhere.
fn no_group(what: &str, id: &str) -> Refusal {
    let message = format!("{what} {id} not found.");
    Refusal::new(Failure::GroupIdNotFound, message)
}

fn no_consumer_group(id: &str) -> Refusal {
    Refusal::new(
        Failure::GroupIdNotFound,
        format!("Group {id} is not a consumer group."),
    )
}
