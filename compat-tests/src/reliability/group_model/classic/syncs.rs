//! SyncGroups, and who leaves.

use klamm::coordinator::Failure;
use klamm::coordinator::classic::Synced;

use super::{ClassicFacts, Holder, Who};

impl ClassicFacts {
    /// A SyncGroup waits for the leader's.
    pub(crate) fn sync_waits(&mut self, waiter: u64, who: &Who, now_ms: u64) -> Result<(), String> {
        self.judge_identity(who, Ok(()), now_ms)?;
        self.syncing.insert(waiter, who.id.clone());
        if let Some(member) = self.members.get_mut(&who.id) {
            member.has_synced = true;
        }
        Ok(())
    }

    /// A SyncGroup was answered; `brought` is what it brought, as the leader's does.
    pub(crate) fn synced(
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
        if !self.joining.is_empty() || self.must_rebalance(now_ms) {
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
    pub(crate) fn left(
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
}
