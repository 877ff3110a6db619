//! What must be true of classic groups, as far as answers and records tell: who is in the current
//! generation, who has which part of it, and who may speak.

use std::collections::{BTreeMap, BTreeSet};

use klamm::coordinator::Failure;
use klamm::coordinator::classic::{Joined, Synced};
use klamm::wire::groups::GroupMetadataValue;

/// Who asks, as the request says.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) generation: i32,
}

/// A member of the current generation.
#[derive(Clone, Debug)]
struct Member {
    session_ms: u64,
    rebalance_ms: u64,
    /// When something was heard of it last.
    heard_ms: u64,
    /// When something may have been heard of it that the answer did not tell.
    perhaps_ms: u64,
    has_synced: bool,
}

/// Who has an instance id.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Is(String),
    /// Somebody took it over who was not told its id yet.
    WillBeTold,
}

/// A JoinGroup that came in.
#[derive(Clone, Debug)]
pub(super) struct JoinFacts {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) session_ms: u64,
    pub(super) rebalance_ms: u64,
}

/// Assignments by member id.
pub(super) type Plan = BTreeMap<String, Vec<u8>>;

/// A classic group.
#[derive(Debug, Default)]
pub(super) struct ClassicFacts {
    pub(super) generation: i32,
    members: BTreeMap<String, Member>,
    holders: BTreeMap<String, Holder>,
    leader: String,
    plan: Option<Plan>,
    /// When something happened that begins a rebalance.
    stirred: Option<u64>,
    /// By when the members of the generation must have synced.
    sync_by_ms: u64,
    /// Until when somebody may come who was given an id: a rebalance waits for them too.
    awaited_until_ms: u64,
    /// JoinGroups that are not answered.
    joining: BTreeMap<u64, JoinFacts>,
    /// SyncGroups that are not answered, by member.
    syncing: BTreeMap<u64, String>,
    /// The generation that the last record told of.
    pub(super) recorded: i32,
}

impl ClassicFacts {
    fn is_waiting(&self, id: &str) -> bool {
        self.syncing.values().any(|each| each == id)
            || self.joining.values().any(|each| each.id == id)
    }

    /// Whether a member may be gone: not heard of, or late in a rebalance.
    fn may_be_gone(&self, id: &str, now_ms: u64) -> bool {
        let Some(member) = self.members.get(id) else {
            return true;
        };
        let is_late = now_ms >= self.sync_by_ms && !member.has_synced;
        is_late
            || self.may_be_late(now_ms)
            || (now_ms >= member.heard_ms + member.session_ms && !self.is_waiting(id))
    }

    fn must_be_gone(&self, id: &str, now_ms: u64) -> bool {
        // Who joins under an id that it was given is a member already.
        let joins = self.joining.values().any(|join| join.id == id);
        !joins
            && self.members.get(id).is_none_or(|member| {
                let heard_ms = member.heard_ms.max(member.perhaps_ms);
                now_ms >= heard_ms + member.session_ms && !self.is_waiting(id)
            })
    }

    /// Whether a rebalance may be going on.
    fn may_rebalance(&self, now_ms: u64) -> bool {
        self.stirred.is_some()
            || !self.joining.is_empty()
            || self.members.keys().any(|id| self.may_be_gone(id, now_ms))
    }

    /// Whether nobody can be in it.
    pub(super) fn must_be_empty(&self, now_ms: u64) -> bool {
        let is_quiet = self.stirred.is_none() && self.joining.is_empty();
        let is_awaited = now_ms < self.awaited_until_ms;
        is_quiet && !is_awaited && self.members.keys().all(|id| self.must_be_gone(id, now_ms))
    }

    /// Whether somebody is in it for sure.
    pub(super) fn has_members(&self, now_ms: u64) -> bool {
        !self.joining.is_empty() || self.members.keys().any(|id| !self.may_be_gone(id, now_ms))
    }

    /// Something may have been heard of a member.
    pub(super) fn hear_perhaps(&mut self, id: &str, now_ms: u64) {
        if let Some(member) = self.members.get_mut(id) {
            member.perhaps_ms = now_ms;
        }
    }

    fn stir(&mut self, now_ms: u64) {
        let before = self.stirred.unwrap_or(now_ms);
        self.stirred = Some(before.min(now_ms));
    }

    /// A member is replaced, or leaves; it may have been gone for some time.
    fn take_out(&mut self, id: &str, now_ms: u64) {
        if let Some(member) = self.members.remove(id) {
            self.stir(now_ms.min(member.heard_ms + member.session_ms));
            if !member.has_synced {
                self.stir(now_ms.min(self.sync_by_ms));
            }
        }
    }

    /// Whether members may have been too late to join the rebalance that may be going on.
    fn may_be_late(&self, now_ms: u64) -> bool {
        let ends = self
            .members
            .values()
            .map(|each| each.heard_ms + each.session_ms);
        let is_unsynced = self.members.values().any(|each| !each.has_synced);
        let unsynced = is_unsynced.then_some(self.sync_by_ms);
        let since = ends.chain(self.stirred).chain(unsynced).min();
        let fastest = self.members.values().map(|each| each.rebalance_ms).min();
        since.is_some_and(|since| now_ms >= since + fastest.unwrap_or(0))
    }

    fn hear(&mut self, id: &str, now_ms: u64) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard_ms = now_ms;
        }
    }

    /// Whether a member may be let speak, or be refused, as it was.
    fn judge_identity(
        &self,
        who: &Who,
        answer: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{who:?} is answered {answer:?}: {why}; {self:?}"));
        let holder = who
            .instance
            .as_ref()
            .map(|instance| self.holders.get(instance));
        let is_fenced = match holder {
            Some(Some(Holder::Is(id))) => *id != who.id,
            Some(Some(Holder::WillBeTold)) => true,
            Some(None) | None => false,
        };
        let is_here = self.members.contains_key(&who.id);
        let is_unheard_of = holder == Some(None);
        match answer {
            Ok(()) if is_unheard_of => wrong("nobody has the instance id"),
            Err(Failure::UnknownMemberId) if is_unheard_of => Ok(()),
            Ok(()) | Err(Failure::RebalanceInProgress) if is_fenced => {
                wrong("another one has the instance id")
            }
            Err(Failure::FencedInstanceId) if !is_fenced => {
                wrong("nobody else has the instance id")
            }
            Ok(()) if self.must_be_gone(&who.id, now_ms) => wrong("the member is gone"),
            Ok(()) if who.generation != self.generation => wrong("that is not the generation"),
            Err(Failure::IllegalGeneration) if is_here && who.generation == self.generation => {
                wrong("that is the generation")
            }
            Err(Failure::UnknownMemberId) if !self.may_be_gone(&who.id, now_ms) && !is_fenced => {
                wrong("the member is there")
            }
            Err(Failure::RebalanceInProgress) if is_here && !self.may_rebalance(now_ms) => {
                // Who has to sync yet cannot commit.
                match self.plan {
                    Some(_) => wrong("nobody rebalances"),
                    None => Ok(()),
                }
            }
            Ok(())
            | Err(
                Failure::RebalanceInProgress
                | Failure::IllegalGeneration
                | Failure::UnknownMemberId
                | Failure::FencedInstanceId,
            ) => Ok(()),
            Err(_) => wrong("that is no answer to it"),
        }
    }

    /// A heartbeat was answered.
    pub(super) fn beat(
        &mut self,
        who: &Who,
        answer: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        self.judge_identity(who, answer, now_ms)?;
        match answer {
            Ok(()) if !self.joining.is_empty() => {
                return Err(format!("{who:?} is not told of the rebalance; {self:?}"));
            }
            Err(Failure::RebalanceInProgress)
                if self.plan.is_none() && !self.may_rebalance(now_ms) =>
            {
                return Err(format!("{who:?} is told of a rebalance; {self:?}"));
            }
            _ => {}
        }
        if matches!(answer, Ok(()) | Err(Failure::RebalanceInProgress)) {
            self.hear(&who.id, now_ms);
        }
        Ok(())
    }

    /// A commit was answered, for partitions that there are.
    pub(super) fn commit(
        &mut self,
        who: &Who,
        answer: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        if who.generation < 0 && (who.id.is_empty() || answer.is_ok()) {
            return match answer {
                Ok(()) if self.has_members(now_ms) => Err(format!(
                    "nobody may commit for a group with members; {self:?}"
                )),
                Err(failure) if self.must_be_empty(now_ms) => Err(format!(
                    "anybody may commit for an empty group: {failure:?}; {self:?}"
                )),
                _ => Ok(()),
            };
        }
        self.judge_identity(who, answer, now_ms)?;
        if answer.is_ok() {
            if self.plan.is_none() && self.joining.is_empty() && !self.may_rebalance(now_ms) {
                return Err(format!("{who:?} may commit before it syncs; {self:?}"));
            }
            self.hear(&who.id, now_ms);
        }
        Ok(())
    }

    /// A JoinGroup waits for others.
    pub(super) fn join_waits(&mut self, waiter: u64, join: &JoinFacts, now_ms: u64) {
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

    /// A SyncGroup waits for the leader's.
    pub(super) fn sync_waits(&mut self, waiter: u64, who: &Who, now_ms: u64) -> Result<(), String> {
        self.judge_identity(who, Ok(()), now_ms)?;
        self.syncing.insert(waiter, who.id.clone());
        if let Some(member) = self.members.get_mut(&who.id) {
            member.has_synced = true;
        }
        Ok(())
    }

    /// JoinGroups were answered, by one event.
    pub(super) fn joined(
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
    fn begin(&mut self, good: &[&(u64, JoinFacts, &Joined)], now_ms: u64) -> Result<(), String> {
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
        self.generation = first.generation;
        self.leader.clone_from(&leader.member_id);
        self.plan = None;
        self.stirred = None;
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
    fn who_must_stay(&self, good: &[&(u64, JoinFacts, &Joined)], now_ms: u64) -> Vec<String> {
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
    fn join_again(&mut self, join: &JoinFacts, told: &Joined, now_ms: u64) -> Result<(), String> {
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

    fn judge_refusal(&self, join: &JoinFacts, told: &Joined, now_ms: u64) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{join:?} is answered {told:?}: {why}; {self:?}"));
        match told.failure {
            Some(Failure::UnknownMemberId)
                if !join.id.is_empty() && !self.may_be_gone(&join.id, now_ms) =>
            {
                wrong("the member is there")
            }
            Some(Failure::MemberIdRequired) if told.member_id.is_empty() => wrong("it needs an id"),
            Some(Failure::FencedInstanceId) if join.instance.is_none() => wrong("it is not static"),
            Some(
                Failure::UnknownMemberId
                | Failure::MemberIdRequired
                | Failure::FencedInstanceId
                | Failure::RebalanceInProgress,
            )
            | None => Ok(()),
            Some(_) => wrong("that is no answer to it"),
        }
    }

    /// A SyncGroup was answered; `brought` is what it brought, as the leader's does.
    pub(super) fn synced(
        &mut self,
        waiter: u64,
        who: &Who,
        told: &Synced,
        now_ms: u64,
    ) -> Result<(), String> {
        let waited = self.syncing.contains_key(&waiter);
        let answer = told.failure.map_or(Ok(()), Err);
        if !waited || answer.is_ok() {
            self.judge_identity(who, answer, now_ms)?;
        }
        self.syncing.remove(&waiter);
        if answer.is_err() {
            if waited {
                self.stir(now_ms);
                self.hear(&who.id, now_ms);
            }
            return Ok(());
        }
        if !self.joining.is_empty() {
            return Err(format!(
                "{who:?} syncs in the middle of a rebalance; {self:?}"
            ));
        }
        self.hear(&who.id, now_ms);
        if let Some(member) = self.members.get_mut(&who.id) {
            member.has_synced = true;
        }
        let Some(plan) = &self.plan else {
            return Err(format!("{who:?} is assigned what nobody planned; {self:?}"));
        };
        let planned = plan.get(&who.id).map_or(&[][..], Vec::as_slice);
        match planned == &told.assignment[..] {
            true => Ok(()),
            false => Err(format!(
                "{who:?} is assigned {:?}, and the leader said {planned:?}",
                told.assignment
            )),
        }
    }

    /// Members left, as the answer says.
    pub(super) fn left(
        &mut self,
        id: &str,
        instance: Option<&str>,
        answer: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        let holder = instance.and_then(|instance| self.holders.get(instance).cloned());
        let who = match (id, &holder) {
            ("", Some(Holder::Is(held))) => held.clone(),
            _ => id.to_owned(),
        };
        match answer {
            Ok(()) => {
                self.stir(now_ms);
                self.take_out(&who, now_ms);
                if let Some(instance) = instance {
                    self.holders.remove(instance);
                }
                self.holders
                    .retain(|_, held| *held != Holder::Is(who.clone()));
                Ok(())
            }
            Err(Failure::UnknownMemberId) if !self.may_be_gone(&who, now_ms) => {
                Err(format!("{who} cannot leave; {self:?}"))
            }
            Err(Failure::FencedInstanceId) if holder == Some(Holder::Is(who.clone())) => {
                Err(format!("{who} cannot leave for itself; {self:?}"))
            }
            Err(_) => Ok(()),
        }
    }

    /// A record of the group was appended; `brought` is the plan of the request that led to it.
    pub(super) fn record(
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
    pub(super) fn load(value: &GroupMetadataValue, now_ms: u64) -> Self {
        let number = |ms: i32| u64::try_from(ms).unwrap_or(0);
        let mut facts = Self {
            generation: value.generation,
            recorded: value.generation,
            leader: value.leader.clone().unwrap_or_default(),
            sync_by_ms: now_ms,
            ..Self::default()
        };
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
            };
            facts.members.insert(id, member);
        }
        facts.plan = (!facts.members.is_empty()).then_some(plan);
        facts
    }

    /// Everybody who is surely in it has synced, and nobody waits.
    pub(super) fn check_settled(&self) -> Result<(), String> {
        let waits = !self.joining.is_empty() || !self.syncing.is_empty();
        match waits || self.plan.is_none() || self.members.values().any(|each| !each.has_synced) {
            true => Err(format!("the group has not settled: {self:?}")),
            false => Ok(()),
        }
    }

    /// Whether somebody is a member of the generation.
    pub(super) fn has(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// How many members it has.
    pub(super) fn size(&self) -> usize {
        self.members.len()
    }

    /// How many partitions the leader's plan has.
    pub(super) fn planned(&self) -> usize {
        let parts = self.plan.iter().flat_map(Plan::values);
        parts
            .map(|part| part.iter().filter(|byte| **byte == b';').count())
            .sum()
    }
}
