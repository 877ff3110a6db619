//! JoinGroups: who is in the next generation, and who must be.

use std::collections::BTreeSet;

use klamm::coordinator::Failure;
use klamm::coordinator::classic::{Joined, JoinedMember};

use super::{ClassicFacts, Holder, JoinFacts, Member, Offers};

impl ClassicFacts {
    /// A JoinGroup waits for others.
    pub(crate) fn join_waits(&mut self, waiter: u64, join: &JoinFacts, now_ms: u64) {
        if let Some(instance) = &join.instance
            && join.id.is_empty()
        {
            let held = self.holders.insert(instance.clone(), Holder::WillBeTold);
            if let Some(Holder::Is(id)) = held {
                self.take_out(&id, now_ms);
            }
        }
        self.stir(now_ms);
        self.joining.insert(waiter, join.clone());
    }

    /// JoinGroups were answered, by one event.
    pub(crate) fn joined(
        &mut self,
        all: &[(u64, JoinFacts, &Joined)],
        now_ms: u64,
    ) -> Result<(), String> {
        for (waiter, join, told) in all {
            self.joining.remove(waiter);
            if told.failure == Some(Failure::MemberIdRequired) {
                let until_ms = now_ms + join.session_ms;
                self.awaited_until_ms = self.awaited_until_ms.max(until_ms);
            }
            // Whom a full group turns away it no longer knows.
            if told.failure == Some(Failure::GroupMaxSizeReached) {
                self.take_out(&join.id, now_ms);
            }
        }
        let good: Vec<_> = all
            .iter()
            .filter(|(_, _, told)| told.failure.is_none())
            .collect();
        let Some((_, _, first)) = good.first() else {
            return all
                .iter()
                .try_for_each(|(_, join, told)| self.judge_refusal(join, told, now_ms));
        };
        if good
            .iter()
            .any(|(_, _, told)| told.generation != first.generation)
        {
            return Err(format!(
                "members of different generations at once: {good:?}"
            ));
        }
        if first.generation < self.generation || first.generation < self.recorded {
            return Err(format!(
                "generation {} after {}",
                first.generation, self.generation
            ));
        }
        if first.generation > self.generation {
            self.begin(&good, now_ms)?;
        } else {
            good.iter()
                .try_for_each(|(_, join, told)| self.join_again(join, told, now_ms))?;
        }
        let refused = all.iter().filter(|(_, _, told)| told.failure.is_some());
        refused
            .into_iter()
            .try_for_each(|(_, join, told)| self.judge_refusal(join, told, now_ms))
    }

    /// A new generation: all who joined, and static members who did not.
    pub(super) fn begin(
        &mut self,
        good: &[&(u64, JoinFacts, &Joined)],
        now_ms: u64,
    ) -> Result<(), String> {
        let Some((_, _, first)) = good.first() else {
            return Ok(());
        };
        if first.generation != self.generation + 1 {
            return Err(format!(
                "generation {} after {}",
                first.generation, self.generation
            ));
        }
        let must_stay = self.who_must_stay(good, now_ms);
        let old = std::mem::take(&mut self.members);
        for (_, join, told) in good {
            let member = Member {
                session_ms: join.session_ms,
                rebalance_ms: join.rebalance_ms,
                heard_ms: now_ms,
                perhaps_ms: now_ms,
                has_synced: false,
                offers: join.offers.clone(),
            };
            let id = told.member_id.clone();
            if let Some(instance) = &join.instance {
                self.holders
                    .insert(instance.clone(), Holder::Is(id.clone()));
            }
            if told.leader != first.leader || id.is_empty() {
                return Err(format!(
                    "there are two leaders, or there is no id: {good:?}"
                ));
            }
            if self.members.insert(id, member).is_some() {
                return Err(format!("two members have one id: {good:?}"));
            }
        }
        let leads = |told: &&&&(u64, JoinFacts, &Joined)| told.2.leader == told.2.member_id;
        let Some((_, _, leader)) = good.iter().find(|each| leads(&each)) else {
            return Err(format!("the leader is not there: {good:?}"));
        };
        let listed: BTreeSet<&str> = leader
            .members
            .iter()
            .map(|each| each.member_id.as_str())
            .collect();
        if let Some(missing) = self.members.keys().find(|id| !listed.contains(id.as_str())) {
            return Err(format!("the leader is not told of {missing}: {leader:?}"));
        }
        for each in &leader.members {
            if self.members.contains_key(&each.member_id) {
                continue;
            }
            // Only static members are waited for in vain.
            let Some(member) = old
                .get(&each.member_id)
                .filter(|_| each.instance_id.is_some())
            else {
                return Err(format!(
                    "the leader is told of {each:?}, who did not join; {old:?}"
                ));
            };
            let member = Member {
                heard_ms: now_ms,
                perhaps_ms: now_ms,
                has_synced: false,
                ..member.clone()
            };
            self.members.insert(each.member_id.clone(), member);
        }
        let members = &self.members;
        let stays = |id: &String| members.contains_key(id);
        if let Some(id) = must_stay.iter().find(|id| !stays(id)) {
            return Err(format!(
                "{id} is left out of generation {}; {old:?}",
                first.generation
            ));
        }
        self.check_protocol(first, good, &leader.members)?;
        self.generation = first.generation;
        self.leader.clone_from(&leader.member_id);
        self.plan = None;
        self.stirred = None;
        self.owed_from_ms = None;
        let slowest = self.members.values().map(|each| each.rebalance_ms).max();
        self.sync_by_ms = now_ms + slowest.unwrap_or(0);
        let members = &self.members;
        self.holders.retain(|_, holder| match holder {
            Holder::Is(id) => members.contains_key(id),
            Holder::WillBeTold => true,
        });
        Ok(())
    }

    /// Members who may not be left out of the next generation.
    pub(super) fn who_must_stay(
        &self,
        good: &[&(u64, JoinFacts, &Joined)],
        now_ms: u64,
    ) -> Vec<String> {
        if self.may_be_late(now_ms) {
            return Vec::new();
        }
        let is_replaced = |id: &String| {
            good.iter().any(|(_, join, _)| {
                let held = join
                    .instance
                    .as_ref()
                    .and_then(|each| self.holders.get(each));
                held == Some(&Holder::Is(id.clone()))
            })
        };
        let members = self.members.keys();
        let stay = members.filter(|id| !self.may_be_gone(id, now_ms) && !is_replaced(id));
        stay.cloned().collect()
    }

    /// A member is told the generation that there is: it asked again, or took over.
    pub(super) fn join_again(
        &mut self,
        join: &JoinFacts,
        told: &Joined,
        now_ms: u64,
    ) -> Result<(), String> {
        let id = &told.member_id;
        let Some(instance) = join.instance.as_ref().filter(|_| join.id.is_empty()) else {
            return match self.must_be_gone(id, now_ms) {
                true => Err(format!(
                    "{id} is not in generation {}; {self:?}",
                    told.generation
                )),
                false => {
                    // Nothing is heard of a member by its asking again.
                    Ok(())
                }
            };
        };
        let Some(Holder::Is(old)) = self
            .holders
            .insert(instance.clone(), Holder::Is(id.clone()))
        else {
            return Err(format!("{id} takes over {instance} from nobody; {self:?}"));
        };
        let Some(mut member) = self.members.remove(&old) else {
            return Err(format!(
                "{id} takes over {instance} from {old}, who is gone; {self:?}"
            ));
        };
        member.session_ms = join.session_ms;
        member.rebalance_ms = join.rebalance_ms;
        member.offers.clone_from(&join.offers);
        member.heard_ms = now_ms;
        self.members.insert(id.clone(), member);
        if self.leader == old {
            self.leader.clone_from(id);
        }
        if let Some(plan) = &mut self.plan
            && let Some(part) = plan.remove(&old)
        {
            plan.insert(id.clone(), part);
        }
        Ok(())
    }

    pub(super) fn judge_refusal(
        &self,
        join: &JoinFacts,
        told: &Joined,
        now_ms: u64,
    ) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{join:?} is answered {told:?}: {why}; {self:?}"));
        match told.failure {
            Some(Failure::UnknownMemberId)
                if !join.id.is_empty() && !self.may_be_gone(&join.id, now_ms) =>
            {
                wrong("the member is there")
            }
            Some(Failure::MemberIdRequired) if told.member_id.is_empty() => wrong("it needs an id"),
            Some(Failure::InconsistentGroupProtocol) if self.shares_protocol(join) => {
                wrong("all offer one of its protocols")
            }
            Some(Failure::FencedInstanceId) if join.instance.is_none() => wrong("it is not static"),
            Some(
                Failure::UnknownMemberId
                | Failure::MemberIdRequired
                | Failure::FencedInstanceId
                | Failure::RebalanceInProgress
                | Failure::GroupMaxSizeReached
                | Failure::InconsistentGroupProtocol,
            )
            | None => Ok(()),
            Some(_) => wrong("that is no answer to it"),
        }
    }

    /// Whether one of the protocols of a member is offered by all others. The log keeps only the one
    /// that was chosen.
    fn shares_protocol(&self, join: &JoinFacts) -> bool {
        let members = self.members.values().map(|member| &member.offers);
        let joining = self.joining.values().map(|join| &join.offers);
        let others: Vec<_> = members.chain(joining).collect();
        let has = |offers: &Offers, name: &str| offers.iter().any(|(each, _)| each == name);
        let mut names = join.offers.iter().map(|(name, _)| name);
        names.any(|name| others.iter().all(|offers| has(offers, name)))
    }

    /// The protocol is one that all offer, and most of them prefer; the leader is told what each
    /// said with it.
    fn check_protocol(
        &self,
        first: &Joined,
        good: &[&(u64, JoinFacts, &Joined)],
        listed: &[JoinedMember],
    ) -> Result<(), String> {
        let offers = || self.members.values().map(|member| &member.offers);
        let by_all =
            |name: &str| offers().all(|offers| offers.iter().any(|(each, _)| each == name));
        let votes = |name: &str| {
            let votes = offers().filter_map(|offers| {
                let mut names = offers.iter().map(|(name, _)| name.as_str());
                names.find(|name| by_all(name))
            });
            votes.filter(|vote| *vote == name).count()
        };
        let wrong = |why: &str| Err(format!("{why}: {good:?}; {self:?}"));
        let chosen = first.protocol.as_deref().unwrap_or_default();
        let all = offers().flatten().map(|(name, _)| name.as_str());
        let most = all.filter(|name| by_all(name)).map(&votes);
        if !by_all(chosen) || Some(votes(chosen)) < most.max() {
            return wrong("the protocol is not the one that most prefer");
        }
        for (_, join, told) in good {
            let types = told.protocol_type.as_deref();
            if told.protocol != first.protocol || types != Some(&join.protocol_type) {
                return wrong("not all are told the same protocol");
            }
            let said = join.offers.iter().find(|(name, _)| name == chosen);
            let listed = listed.iter().find(|each| each.member_id == told.member_id);
            if listed.map(|each| &each.metadata[..]) != said.map(|(_, said)| &said[..]) {
                return wrong("the leader is not told what a member said");
            }
        }
        Ok(())
    }
}
