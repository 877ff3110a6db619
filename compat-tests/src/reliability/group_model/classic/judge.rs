//! Who may speak in a classic group.

use klamm::coordinator::Failure;

use super::{ClassicFacts, Holder, Who};

impl ClassicFacts {
    /// Whether a member may be let speak, or be refused, as it was.
    pub(super) fn judge_identity(
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
    pub(crate) fn beat(
        &mut self,
        who: &Who,
        answer: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        self.judge_identity(who, answer, now_ms)?;
        match answer {
            Ok(()) if !self.joining.is_empty() || self.must_rebalance(now_ms) => {
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
    pub(crate) fn commit(
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
}
