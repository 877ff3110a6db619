//! What one batch of records makes of a consumer group.

use std::collections::BTreeMap;

use klamm::wire::groups::GroupRecord;

use super::{ConsumerFacts, Goes};

impl ConsumerFacts {
    /// Records of one batch; `goes` is whom the request lets go.
    pub(crate) fn records(
        &mut self,
        records: &[&GroupRecord],
        goes: Option<Goes<'_>>,
        now_ms: u64,
    ) -> Result<(), String> {
        let before = self.clone();
        let mut is_deleted = false;
        for record in records {
            is_deleted |= matches!(record, GroupRecord::ConsumerGroup(_, None));
            self.record(record, now_ms);
        }
        if is_deleted {
            return Ok(());
        }
        let wrong = |why: String| Err(format!("{why}; before: {before:?}; after: {self:?}"));
        if self.epoch < before.epoch || self.target_epoch < before.target_epoch {
            return wrong("an epoch goes back".to_owned());
        }
        if self.target_epoch > self.epoch {
            return wrong("the target is ahead of the group".to_owned());
        }
        for (id, member) in &self.members {
            let earlier = before.members.get(id).map_or(0, |member| member.epoch);
            let is_left_or_new = member.epoch == -2 || earlier == -2;
            if member.epoch < earlier && !is_left_or_new {
                return wrong(format!("the epoch of {id} goes back"));
            }
            if member.epoch > self.target_epoch {
                return wrong(format!("{id} is ahead of the target"));
            }
        }
        before
            .check_gone(|id| self.has(id), goes, now_ms)
            .and_then(|()| self.check_owners())
            .or_else(wrong)
    }

    /// Who is not there any more left, was replaced, or has been silent or idle for too long.
    pub(super) fn check_gone(
        &self,
        is_there: impl Fn(&str) -> bool,
        goes: Option<Goes<'_>>,
        now_ms: u64,
    ) -> Result<(), String> {
        let gone = self.members.iter().filter(|(id, _)| !is_there(id));
        for (id, member) in gone {
            let is_let_go = goes.is_some_and(|goes| goes.is(id, member.instance.as_deref()));
            if !is_let_go && !self.may_be_gone(id, now_ms) {
                return Err(format!("{id} is thrown out"));
            }
        }
        Ok(())
    }

    pub(super) fn check_owners(&self) -> Result<(), String> {
        let mut owners = BTreeMap::new();
        for (id, member) in &self.members {
            for part in member.assigned.union(&member.revoking) {
                if let Some(other) = owners.insert(*part, id) {
                    return Err(format!("{part:?} is with {other} and {id}"));
                }
            }
        }
        let mut owners = BTreeMap::new();
        for (id, target) in &self.targets {
            for part in target {
                if let Some(other) = owners.insert(*part, id) {
                    return Err(format!("{part:?} shall be with {other} and {id}"));
                }
            }
        }
        Ok(())
    }
}
