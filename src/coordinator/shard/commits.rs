//! Committed offsets: taking them, telling them, and letting them go (`OffsetMetadataManager`).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Identity, Shard};
use crate::coordinator::machine::Moment;
use crate::coordinator::offsets::{Commit, Committed, tombstone};
use crate::coordinator::outcome::{Failure, Outcome, Reply, Waiter};
use crate::coordinator::world::GroupWorld;

/// How many records of a deletion go into one batch.
const TOMBSTONES_MAX: usize = 1000;

/// An OffsetCommit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Who commits.
    pub who: Identity,
    /// What.
    pub commits: Vec<Commit>,
    /// Whether the request knows of member epochs: one of version 9, or later.
    pub knows_epochs: bool,
    /// How long it shall be kept, in milliseconds, if the client, one of long ago, chose that.
    pub retention_ms: Option<i64>,
}

impl Shard {
    /// OffsetCommit. Offsets of somebody who is no member make a group that does not exist.
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
                    group.may_commit(who, request.knows_epochs, turn)
                });
                asked.unwrap_or(Ok(()))
            }
        };
        let mut results = Vec::with_capacity(request.commits.len());
        for commit in &request.commits {
            let topic_id = check(commit, allowed, moment.world);
            results.push(topic_id.map(|topic_id| {
                let record = commit.record(group, topic_id, moment.wall, request.retention_ms);
                outcome.records.push(record);
            }));
        }
        outcome.reply(waiter, Reply::Committed(results));
        outcome
    }

    /// What a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.offsets.get(group, topic, partition)
    }

    /// Everything that a group has committed: topic by topic, partition by partition.
    pub fn all_committed(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.offsets.of_group(group)
    }

    /// Whether a member may ask for the offsets of its group. Who is no member always may.
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
        moment: Moment<'_, GroupWorld>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let found = self.groups.get(group).ok_or(Failure::GroupIdNotFound);
        let deleted = found.and_then(|group| group.may_delete_offsets().map(|()| group));
        let deleted = deleted.map(|of| {
            let delete = |(topic, partition): &(String, i32)| {
                let there = moment.world.topics.topic(topic);
                if !there.is_some_and(|there| (0..there.partitions).contains(partition)) {
                    return Err(Failure::UnknownTopicOrPartition);
                }
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

    /// Deletes offsets that no longer count, and groups of which nothing is left: all of them, or
    /// as many as one batch may hold.
    pub(super) fn expire_offsets(&self, moment: Moment<'_, GroupWorld>) -> Outcome {
        let retention_ms = moment.world.settings.offsets_retention_ms;
        let mut outcome = Outcome::default();
        let records = &mut outcome.records;
        for (id, group) in &self.groups {
            let ageing = group.ageing();
            let mut all_gone = true;
            for (topic, partition, offset) in self.offsets.of_group(id) {
                let gone = ageing.has_expired(offset, moment.wall, retention_ms)
                    && !group.subscribes(topic)
                    && records.len() < TOMBSTONES_MAX;
                if gone {
                    records.push(tombstone(id, topic, partition));
                }
                all_gone &= gone;
            }
            if all_gone && group.is_empty() && records.len() < TOMBSTONES_MAX {
                group.tombstones(records);
            }
        }
        outcome
    }

    /// Topics were deleted, given with the ids that they had: what was committed for them goes
    /// along. To be called until nothing follows.
    pub fn topics_deleted(&self, gone: &BTreeMap<String, Uuid>) -> Outcome {
        self.forget(|topic, committed| gone.get(topic).is_some_and(|id| committed.is_of(*id)))
    }

    /// Deletes the offsets of topics that were deleted while nobody looked, even if they were
    /// created again.
    pub(super) fn forget_lost_topics(&self, world: &GroupWorld) -> Outcome {
        self.forget(|topic, committed| {
            let there = world.topics.topic(topic);
            !there.is_some_and(|there| committed.is_of(there.id))
        })
    }

    fn forget(&self, lost: impl Fn(&str, &Committed) -> bool) -> Outcome {
        let all = self.offsets.all();
        let lost = all.filter(|(_, topic, _, committed)| lost(topic, committed));
        let records = lost.map(|(group, topic, partition, _)| tombstone(group, topic, partition));
        Outcome {
            records: records.take(TOMBSTONES_MAX).collect(),
            replies: Vec::new(),
        }
    }
}

/// The id of the topic that a commit is about, unless it is refused: first for the topic, then for
/// the group.
fn check(
    commit: &Commit,
    allowed: Result<(), Failure>,
    world: &GroupWorld,
) -> Result<Uuid, Failure> {
    let topic = world.topics.topic(&commit.topic);
    let topic = topic.filter(|topic| (0..topic.partitions).contains(&commit.partition));
    let topic = topic.ok_or(Failure::UnknownTopicOrPartition)?;
    allowed?;
    let max = world.settings.offset_metadata_max;
    // No text has more UTF-16 units than bytes.
    if commit.metadata.len() > max && commit.metadata.encode_utf16().count() > max {
        return Err(Failure::OffsetMetadataTooLarge);
    }
    Ok(topic.id)
}
