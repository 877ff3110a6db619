//! What the log tells of a classic group.

use klamm::wire::groups::GroupMetadataValue;

use super::{ClassicFacts, Holder, Member, Plan};

impl ClassicFacts {
    /// A record of the group was appended; `brought` is the plan of the request that led to it.
    pub(crate) fn record(
        &mut self,
        value: Option<&GroupMetadataValue>,
        brought: Option<&Plan>,
        now_ms: u64,
    ) -> Result<(), String> {
        let Some(value) = value else {
            *self = Self::default();
            return Ok(());
        };
        if value.generation < self.recorded {
            return Err(format!(
                "a record of generation {} after {}",
                value.generation, self.recorded
            ));
        }
        self.recorded = value.generation;
        if value.members.is_empty() {
            if self.has_members(now_ms) && !self.may_be_late(now_ms) {
                return Err(format!("the group is emptied: {value:?}; {self:?}"));
            }
            self.generation = value.generation;
            self.members.clear();
            self.holders.clear();
            self.plan = None;
            self.stirred = None;
            self.owed_from_ms = None;
            return Ok(());
        }
        if value.generation != self.generation {
            return Err(format!(
                "a record of generation {}; {self:?}",
                value.generation
            ));
        }
        if self.plan.is_none() {
            let Some(brought) = brought else {
                return Err(format!(
                    "a record of assignments that nobody brought: {value:?}"
                ));
            };
            let members = self.members.keys();
            let part = |id: &String| brought.get(id).cloned().unwrap_or_default();
            self.plan = Some(members.map(|id| (id.clone(), part(id))).collect());
        }
        let plan = self.plan.as_ref();
        for member in &value.members {
            let planned = plan.and_then(|plan| plan.get(&member.member_id));
            // A static member that has just taken over is told its new id by the answer.
            if planned.is_some_and(|planned| planned[..] != member.assignment[..]) {
                return Err(format!(
                    "a record has {member:?}, and the plan was {planned:?}"
                ));
            }
        }
        Ok(())
    }

    /// The group as the log leaves it to a broker that starts.
    pub(crate) fn load(value: &GroupMetadataValue, now_ms: u64) -> Self {
        let number = |ms: i32| u64::try_from(ms).unwrap_or(0);
        let mut facts = Self {
            generation: value.generation,
            recorded: value.generation,
            leader: value.leader.clone().unwrap_or_default(),
            sync_by_ms: now_ms,
            ..Self::default()
        };
        let protocol = value.protocol.clone().unwrap_or_default();
        let mut plan = Plan::new();
        for each in &value.members {
            let id = each.member_id.clone();
            if let Some(instance) = &each.group_instance_id {
                facts
                    .holders
                    .insert(instance.clone(), Holder::Is(id.clone()));
            }
            plan.insert(id.clone(), each.assignment.to_vec());
            let member = Member {
                session_ms: number(each.session_timeout),
                rebalance_ms: number(each.rebalance_timeout),
                heard_ms: now_ms,
                perhaps_ms: now_ms,
                has_synced: true,
                offers: vec![(protocol.clone(), each.subscription.to_vec())],
            };
            facts.members.insert(id, member);
        }
        facts.plan = (!facts.members.is_empty()).then_some(plan);
        facts
    }

    /// The group as a consumer group leaves it, whose members were heard of then: they are to
    /// assign among themselves.
    pub(crate) fn from_consumers(
        value: &GroupMetadataValue,
        heard_ms: impl Fn(&String) -> Option<u64>,
        now_ms: u64,
    ) -> Self {
        let mut facts = Self::load(value, now_ms);
        for (id, member) in &mut facts.members {
            member.heard_ms = heard_ms(id).unwrap_or(now_ms);
        }
        facts.owes_rebalance(now_ms);
        // It begins with the next look at the clock.
        facts.owed_from_ms = Some(now_ms + 1);
        facts
    }

    /// Its members, who came from a consumer group, have to assign, whatever becomes of the broker.
    pub(crate) fn owes_rebalance(&mut self, now_ms: u64) {
        self.stirred = Some(now_ms);
        self.owed_from_ms = Some(now_ms);
    }

    /// Whether a record leaves what it owes undone, as one of a member that took over does.
    pub(crate) fn owes_still(&self, value: &GroupMetadataValue) -> bool {
        self.owed_from_ms.is_some() && self.generation == value.generation
    }

    /// Whether members must be told of a rebalance that a change of kind left to be done.
    pub(super) fn must_rebalance(&self, now_ms: u64) -> bool {
        self.owed_from_ms.is_some_and(|from_ms| now_ms >= from_ms)
    }
}
