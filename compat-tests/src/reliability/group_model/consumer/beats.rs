//! Heartbeats: who may speak, and what keeps a member in.

use klamm::coordinator::Failure;

use super::{Beat, ConsumerFacts};

impl ConsumerFacts {
    /// What a heartbeat must be answered, by what was known before it: `None` if it is let.
    pub(crate) fn expected(&self, size_max: usize, beat: &Beat) -> Option<Failure> {
        let joins = beat.epoch == 0;
        if !self.exists() && !joins {
            return Some(Failure::GroupIdNotFound);
        }
        if beat.epoch >= 0 && self.is_full_for(&beat.id, size_max) {
            return Some(Failure::GroupMaxSizeReached);
        }
        let named = match &beat.instance {
            Some(instance) => match self.holder(instance) {
                Some((_, held)) if joins && held.epoch != -2 && !held.is_classic => {
                    return Some(Failure::UnreleasedInstanceId);
                }
                Some(_) | None if joins => return None,
                Some((id, _)) if *id != beat.id => return Some(Failure::FencedInstanceId),
                Some((_, held)) => Some(held),
                None => return Some(Failure::UnknownMemberId),
            },
            None => self.members.get(&beat.id),
        };
        let Some(member) = named else {
            return (!joins).then_some(Failure::UnknownMemberId);
        };
        let owns_no_more = || {
            let owned = beat.owned.as_ref();
            owned.is_some_and(|owned| owned.is_subset(&member.assigned))
        };
        let missed = beat.epoch == member.previous && beat.epoch < member.epoch && owns_no_more();
        let is_right = beat.epoch < 0 || beat.epoch == member.epoch || missed;
        (!is_right).then_some(Failure::FencedMemberEpoch)
    }

    /// A heartbeat was let.
    pub(crate) fn heard(&mut self, id: &str, now_ms: u64) {
        if let Some(member) = self.members.get_mut(id) {
            member.heard_ms = now_ms;
        }
    }
}
