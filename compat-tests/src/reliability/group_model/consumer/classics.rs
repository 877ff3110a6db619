//! Members of a consumer group that speak the classic protocol: what each of their requests must
//! be answered, at once.

use klamm::coordinator::Failure;
use klamm::coordinator::classic::Joined;

use super::super::classic::{JoinFacts, Who};
use super::{ConsumerFacts, Member, Parts};

/// A member that has partitions to give up first, as records number it.
const UNREVOKED: i8 = 1;
/// A member that waits for partitions of others, as records number it.
const UNRELEASED: i8 = 2;

impl ConsumerFacts {
    /// Whether nobody new can join.
    pub(super) fn is_full_for(&self, id: &str, size_max: usize) -> bool {
        self.members.len() >= size_max && !self.has(id)
    }

    /// What a JoinGroup must be answered.
    pub(crate) fn due_join(&self, join: &JoinFacts, size_max: usize) -> Result<(), Failure> {
        if self.is_full_for(&join.id, size_max) {
            return Err(Failure::GroupMaxSizeReached);
        }
        match &join.instance {
            None if join.id.is_empty() && join.asks_for_id => Err(Failure::MemberIdRequired),
            Some(instance) if !join.id.is_empty() => self.holds(&join.id, instance).map(drop),
            _ => Ok(()),
        }
    }

    fn holds(&self, id: &str, instance: &str) -> Result<&Member, Failure> {
        match self.holder(instance) {
            None => Err(Failure::UnknownMemberId),
            Some((held, _)) if held != id => Err(Failure::FencedInstanceId),
            Some((_, member)) => Ok(member),
        }
    }

    fn named(&self, id: &str, instance: Option<&str>) -> Result<&Member, Failure> {
        match instance {
            None => self.members.get(id).ok_or(Failure::UnknownMemberId),
            Some(instance) => self.holds(id, instance),
        }
    }

    fn classic(&self, who: &Who) -> Result<&Member, Failure> {
        let member = self.named(&who.id, who.instance.as_deref())?;
        match (member.is_classic, member.epoch == who.generation) {
            (false, _) => Err(Failure::UnknownMemberId),
            (true, false) => Err(Failure::IllegalGeneration),
            (true, true) => Ok(member),
        }
    }

    /// What a Heartbeat must be answered: it has the member join when that would take it on.
    pub(crate) fn due_heartbeat(&self, who: &Who) -> Result<(), Failure> {
        let member = self.classic(who)?;
        let could_step = match member.state {
            UNREVOKED => true,
            UNRELEASED => !self.waits(&who.id),
            _ => false,
        };
        match member.epoch < self.epoch || could_step {
            true => Err(Failure::RebalanceInProgress),
            false => Ok(()),
        }
    }

    /// Whether somebody else has what a member shall have.
    fn waits(&self, id: &str) -> bool {
        let others = || self.members.iter().filter(|(other, _)| *other != id);
        let target = self.targets.get(id).into_iter().flatten();
        target.into_iter().any(|part| {
            others().any(|(_, each)| each.assigned.contains(part) || each.revoking.contains(part))
        })
    }

    /// What a SyncGroup must be answered.
    pub(crate) fn due_sync(&self, who: &Who) -> Result<(), Failure> {
        let member = self.classic(who)?;
        match member.epoch < self.epoch && member.state != UNREVOKED {
            true => Err(Failure::RebalanceInProgress),
            false => Ok(()),
        }
    }

    /// What a LeaveGroup must be answered about a member.
    pub(crate) fn due_leave(&self, id: &str, instance: Option<&str>) -> Result<(), Failure> {
        match instance {
            Some(instance) if id.is_empty() => {
                let held = self.holder(instance);
                held.map(drop).ok_or(Failure::UnknownMemberId)
            }
            _ => self.named(id, instance).map(drop),
        }
    }

    /// What an OffsetCommit must be answered.
    pub(crate) fn due_commit(&self, who: &Who, knows_epochs: bool) -> Result<(), Failure> {
        if who.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.named(&who.id, None)?;
        if !knows_epochs && !member.is_classic {
            return Err(Failure::UnsupportedVersion);
        }
        self.due_fetch(who)
    }

    /// What an OffsetFetch of a member must be answered.
    pub(crate) fn due_fetch(&self, who: &Who) -> Result<(), Failure> {
        let member = self.named(&who.id, None)?;
        match (member.epoch == who.generation, member.is_classic) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::IllegalGeneration),
            (false, false) => Err(Failure::StaleMemberEpoch),
        }
    }

    /// A JoinGroup was answered; the records that go with it are taken in.
    pub(crate) fn joined(
        &mut self,
        join: &JoinFacts,
        told: &Joined,
        now_ms: u64,
    ) -> Result<(), String> {
        let keeps_id = join.id.is_empty() || join.id == told.member_id;
        let leads = !told.leader.is_empty() || !told.members.is_empty();
        if !keeps_id || leads || !self.is_at(&told.member_id, told.generation) {
            return Err(format!("{join:?} is answered {told:?}; {self:?}"));
        }
        if let Some(member) = self.members.get_mut(&told.member_id) {
            member.heard_ms = now_ms;
            member.joins_since = None;
            member.syncs_since = Some(now_ms);
        }
        Ok(())
    }

    /// A Heartbeat was answered.
    pub(crate) fn alive(&mut self, id: &str, told: Result<(), Failure>, now_ms: u64) {
        if matches!(told, Ok(()) | Err(Failure::RebalanceInProgress)) {
            self.heard(id, now_ms);
        }
        self.told_to_join(id, told, now_ms);
    }

    /// A SyncGroup was answered; tells what the member has.
    pub(crate) fn synced(
        &mut self,
        id: &str,
        told: Result<(), Failure>,
        now_ms: u64,
    ) -> Option<&Parts> {
        self.told_to_join(id, told, now_ms);
        let member = self.members.get_mut(id).filter(|_| told.is_ok())?;
        member.heard_ms = now_ms;
        member.syncs_since = None;
        Some(&member.assigned)
    }

    fn told_to_join(&mut self, id: &str, told: Result<(), Failure>, now_ms: u64) {
        if told == Err(Failure::RebalanceInProgress)
            && let Some(member) = self.members.get_mut(id)
        {
            member.joins_since.get_or_insert(now_ms);
        }
    }
}
