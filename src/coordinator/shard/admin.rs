//! Looking at groups, and deleting them.

use super::Shard;
use crate::coordinator::group::{Group, GroupDescription, GroupListing, NotClassic};
use crate::coordinator::offsets::tombstone;
use crate::coordinator::outcome::{Failure, Outcome, Reply, Waiter};

impl Shard {
    /// All groups.
    pub fn list(&self) -> impl Iterator<Item = GroupListing> {
        self.groups.iter().map(|(id, group)| group.listing(id))
    }

    /// A classic group.
    pub fn describe(&self, group: &str) -> Result<GroupDescription, NotClassic> {
        match self.groups.get(group) {
            Some(Group::Classic(group)) => Ok(group.describe()),
            Some(Group::Consumer(_)) => Err(NotClassic::OfConsumers(group.to_owned())),
            None => Err(NotClassic::Missing(group.to_owned())),
        }
    }

    /// One group of a DeleteGroups: an empty one goes, with its offsets.
    pub fn delete(&self, id: &str, waiter: Waiter) -> Outcome {
        let mut outcome = Outcome::default();
        let found = self.groups.get(id).ok_or(Failure::GroupIdNotFound);
        let deleted = found.and_then(|group| group.may_delete().map(|()| group));
        let deleted = deleted.map(|group| {
            for (topic, partition, _) in self.offsets.of_group(id) {
                outcome.records.push(tombstone(id, topic, partition));
            }
            group.tombstones(&mut outcome.records);
        });
        outcome.reply(waiter, Reply::Deleted(deleted));
        outcome
    }
}
