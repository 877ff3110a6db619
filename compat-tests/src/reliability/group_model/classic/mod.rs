//! What must be true of classic groups, as far as answers and records tell: who is in the current
//! generation, who has which part of it, and who may speak.

mod joins;
mod judge;
mod log;
mod syncs;

use std::collections::BTreeMap;

use super::consumer::Goes;
use super::parts;

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
    offers: Offers,
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
    /// Whether a dynamic member must be given its id before it joins.
    pub(super) asks_for_id: bool,
    /// What its protocols are for.
    pub(super) protocol_type: String,
    pub(super) offers: Offers,
}

/// Protocols with their metadata, the preferred one first.
pub(super) type Offers = Vec<(String, Vec<u8>)>;

/// Assignments by member id.
pub(super) type Plan = BTreeMap<String, Vec<u8>>;

/// A classic group.
#[derive(Clone, Debug, Default)]
pub(super) struct ClassicFacts {
    pub(super) generation: i32,
    members: BTreeMap<String, Member>,
    holders: BTreeMap<String, Holder>,
    leader: String,
    plan: Option<Plan>,
    /// When something happened that begins a rebalance.
    stirred: Option<u64>,
    /// From when on members must be told of a rebalance: they were those of a consumer group, and
    /// have not assigned since.
    owed_from_ms: Option<u64>,
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

    /// Everybody who is surely in it has synced, and nobody waits.
    pub(super) fn check_settled(&self) -> Result<(), String> {
        let waits = !self.joining.is_empty() || !self.syncing.is_empty();
        let waits = waits || self.owed_from_ms.is_some();
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

    /// How many members it may have at most, those among them who are not heard of any more.
    pub(super) fn size_at_most(&self) -> usize {
        self.members.len() + self.joining.len()
    }

    /// What its members are assigned in this generation, if that is decided.
    pub(super) fn assigned(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Who waits for an answer.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.joining.keys().chain(self.syncing.keys()).copied()
    }

    /// A member that is there for sure, and is not among those that go on.
    pub(super) fn lost(
        &self,
        goes_on: impl Fn(&str) -> bool,
        goes: Option<Goes<'_>>,
        now_ms: u64,
    ) -> Option<&String> {
        let instance = |id: &str| {
            let is_its = |holder: &Holder| *holder == Holder::Is(id.to_owned());
            let mut holders = self.holders.iter();
            let held = holders.find(|(_, holder)| is_its(holder));
            held.map(|(instance, _)| instance.as_str())
        };
        let mut members = self.members.keys();
        members.find(|id| {
            let is_let_go = goes.is_some_and(|goes| goes.is(id, instance(id)));
            !goes_on(id) && !is_let_go && !self.may_be_gone(id, now_ms)
        })
    }

    /// How many partitions the leader's plan has.
    pub(super) fn planned(&self) -> usize {
        let parts = self.plan.iter().flat_map(Plan::values);
        parts.map(|part| parts::read(part).len()).sum()
    }
}
