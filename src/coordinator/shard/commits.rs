//! Committed offsets: taking them, telling them, and letting them go (`OffsetMetadataManager`).

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Identity, Shard};
use crate::coordinator::group::Ageing;
use crate::coordinator::machine::Moment;
use crate::coordinator::offsets::{Commit, Committed, tombstone};
use crate::coordinator::outcome::{Failure, Outcome, Reply, Waiter};
use crate::coordinator::world::GroupWorld;

/// An OffsetCommit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Who commits.
    pub who: Identity,
    /// What.
    pub commits: Vec<Commit>,
    /// How long it shall be kept, in milliseconds, if the client, one of long ago, chose that.
    pub retention_ms: Option<i64>,
}

impl Shard {
    /// OffsetCommit. A group that does not exist is made, for somebody who is no member.
    pub fn commit(
        &mut self,
        group: &str,
        request: &OffsetCommit,
        waiter: Waiter,
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let who = &request.who;
        let allowed = match self.groups.contains_key(group) {
            false if who.generation >= 0 => Err(Failure::GroupIdNotFound),
            false => Ok(()),
            true => {
                let asked = self.with_group(group, moment, &mut outcome, |group, turn| {
                    group.may_commit(who, turn)
                });
                asked.unwrap_or(Ok(()))
            }
        };
        if let Err(failure) = allowed {
            outcome.reply(waiter, Reply::Committed(Err(failure)));
            return outcome;
        }
        let mut results = Vec::with_capacity(request.commits.len());
        for commit in &request.commits {
            let checked = check(commit, moment.world);
            results.push(checked.map(|topic_id| {
                let record = commit.record(group, topic_id, moment.wall, request.retention_ms);
                outcome.records.push(record);
            }));
        }
        outcome.reply(waiter, Reply::Committed(Ok(results)));
        outcome
    }

    /// What a group has committed for a partition of the topic that has this id now.
    pub fn committed(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<Uuid>,
    ) -> Option<&Committed> {
        let committed = self.offsets.get(group, topic, partition)?;
        committed.is_of(topic_id).then_some(committed)
    }

    /// Everything that a group has committed: topic by topic, partition by partition.
    pub fn all_committed(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.offsets.of_group(group)
    }

    /// Whether somebody may ask for the offsets of a group.
    pub fn may_fetch(&self, group: &str, who: &Identity) -> Result<(), Failure> {
        self.groups
            .get(group)
            .map_or(Ok(()), |group| group.may_fetch(who))
    }

    /// OffsetDelete: of topics that nobody in the group subscribes to.
    pub fn delete_offsets(
        &self,
        group: &str,
        partitions: &[(String, i32)],
        waiter: Waiter,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let found = self.groups.get(group).ok_or(Failure::GroupIdNotFound);
        let deleted = found.and_then(|group| group.may_delete_offsets().map(|()| group));
        let deleted = deleted.map(|of| {
            let delete = |(topic, partition): &(String, i32)| {
                if of.subscribes(topic) {
                    return Err(Failure::GroupSubscribedToTopic);
                }
                if self.offsets.get(group, topic, *partition).is_some() {
                    outcome.records.push(tombstone(group, topic, *partition));
                }
                Ok(())
            };
            partitions.iter().map(delete).collect()
        });
        outcome.reply(waiter, Reply::OffsetsDeleted(deleted));
        outcome
    }

    /// Deletes the offsets that no longer count, and the groups of which nothing is left.
    pub(super) fn expire_offsets(&self, moment: Moment<'_, GroupWorld>, outcome: &mut Outcome) {
        let retention_ms = moment.world.settings.offsets_retention_ms;
        for (id, group) in &self.groups {
            let ageing = group.ageing();
            let mut all_gone = true;
            // A group that uses its offsets keeps all of them.
            if ageing != Ageing::Never {
                for (topic, partition, offset) in self.offsets.of_group(id) {
                    let gone = !group.subscribes(topic)
                        && ageing.has_expired(offset, moment.wall, retention_ms);
                    if gone {
                        outcome.records.push(tombstone(id, topic, partition));
                    }
                    all_gone &= gone;
                }
            }
            if all_gone && group.is_empty() {
                group.tombstones(&mut outcome.records);
            }
        }
    }

    /// Topics were deleted: whatever was committed for them goes along.
    pub fn topics_deleted(&self, names: &BTreeSet<String>) -> Outcome {
        let mut outcome = Outcome::default();
        for (group, topic, partition, _) in self.offsets.all() {
            if names.contains(topic) {
                outcome.records.push(tombstone(group, topic, partition));
            }
        }
        outcome
    }

    /// Deletes the offsets of topics that were deleted while nobody looked, even if they were
    /// created again.
    pub(super) fn forget_lost_topics(&self, moment: Moment<'_, GroupWorld>, outcome: &mut Outcome) {
        for (group, topic, partition, committed) in self.offsets.all() {
            let id = moment.world.topics.id(topic);
            if id.is_none() || !committed.is_of(id) {
                outcome.records.push(tombstone(group, topic, partition));
            }
        }
    }
}

/// The id of the topic that a commit is about, unless it is refused.
fn check(commit: &Commit, world: &GroupWorld) -> Result<Uuid, Failure> {
    let partitions = 0..world.topics.partitions(&commit.topic);
    let topic = world.topics.id(&commit.topic);
    let topic = topic.filter(|_| partitions.contains(&commit.partition));
    let topic = topic.ok_or(Failure::UnknownTopicOrPartition)?;
    let max = world.settings.offset_metadata_max;
    // No text has more UTF-16 units than bytes.
    if commit.metadata.len() > max && commit.metadata.encode_utf16().count() > max {
        return Err(Failure::OffsetMetadataTooLarge);
    }
    Ok(topic)
}
