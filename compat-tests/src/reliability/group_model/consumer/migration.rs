//! Groups change their kind, and their members go on: nobody is lost, nothing is with two of them,
//! and no generation or epoch goes back.

use klamm::wire::groups::GroupMetadataValue;

use super::super::classic::ClassicFacts;
use super::super::parts;
use super::{ConsumerFacts, Goes, Parts};

/// The partitions of an assignment, but for those of topics that are gone.
fn by_id(assignment: &[u8], id_of: impl Fn(&str) -> Option<u128>) -> Parts {
    let named = parts::read(assignment).into_iter();
    named
        .filter_map(|(topic, partition)| Some((id_of(&topic)?, partition)))
        .collect()
}

impl ConsumerFacts {
    /// It was a classic group until now: its members have what they had.
    pub(crate) fn check_upgrade(
        &self,
        before: &ClassicFacts,
        id_of: impl Fn(&str) -> Option<u128>,
        goes: Option<Goes<'_>>,
        now_ms: u64,
    ) -> Result<(), String> {
        let wrong = |why: String| Err(format!("{why}; before: {before:?}; after: {self:?}"));
        // A group that nobody was in begins anew.
        let goes_on = self.members.values().any(|member| member.is_classic);
        if goes_on && self.epoch < before.generation {
            return wrong("the epoch is behind the generation".to_owned());
        }
        if let Some(lost) = before.lost(|id| self.has(id), goes, now_ms) {
            return wrong(format!("{lost} is lost in the migration"));
        }
        for (id, part) in before.assigned().into_iter().flatten() {
            let Some(member) = self.members.get(id).filter(|member| member.is_classic) else {
                continue;
            };
            let had = by_id(part, &id_of);
            if member.assigned != had {
                return wrong(format!("{id} had {had:?}"));
            }
        }
        Ok(())
    }

    /// It becomes the classic group that a record tells of.
    pub(crate) fn downgrade(
        &self,
        value: &GroupMetadataValue,
        id_of: impl Fn(&str) -> Option<u128>,
        is_known: impl Fn(u128) -> bool,
        goes: Option<Goes<'_>>,
        now_ms: u64,
    ) -> Result<ClassicFacts, String> {
        let wrong = |why: String| Err(format!("{why}: {value:?}; before: {self:?}"));
        if value.generation < self.epoch {
            return wrong("the generation is behind the epoch".to_owned());
        }
        let staying = value.members.iter();
        let staying: Vec<&str> = staying.map(|each| each.member_id.as_str()).collect();
        if let Err(why) = self.check_gone(|id| staying.contains(&id), goes, now_ms) {
            return wrong(why);
        }
        for each in &value.members {
            let id = &each.member_id;
            let Some(member) = self.members.get(id).filter(|member| member.is_classic) else {
                return wrong(format!("{id} is not a classic member"));
            };
            // What it shall have beyond that may still be another's.
            let has = member.assigned.union(&member.revoking);
            let has: Parts = has.filter(|(topic, _)| is_known(*topic)).copied().collect();
            if by_id(&each.assignment, &id_of) != has {
                return wrong(format!("{id} has {has:?}"));
            }
        }
        let heard = |id: &String| self.members.get(id).map(|member| member.heard_ms);
        Ok(ClassicFacts::from_consumers(value, heard, now_ms))
    }
}
