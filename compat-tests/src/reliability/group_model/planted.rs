//! Bugs on purpose, around a coordinator that has none: each must be noticed.

use std::collections::HashMap;

use klamm::coordinator::classic::Sync;
use klamm::coordinator::consumer::{ConsumerHeartbeat, Partitions};
use klamm::coordinator::{GroupSettings, Identity, Outcome, Reply};
use klamm::wire::groups::{GroupRecord, OffsetCommitKey};

use super::parts;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Answers leave before their records are durable.
    AnswersTooEarly,
    /// Now and then a committed offset is not appended.
    ForgetsCommits,
    /// Now and then a committed offset is appended and not taken in.
    TakesNoCommitsIn,
    /// A power cut leaves a part of a batch.
    TearsBatches,
    /// Deletions are passed over in loading.
    LoadsNoTombstones,
    /// Members may speak for any generation.
    IgnoresGenerations,
    /// Whoever names an instance id is taken for its holder.
    IgnoresInstances,
    /// All members get the same assignment.
    AssignsAlike,
    /// A member is believed to have given everything up.
    BelievesInRevocation,
    /// Time goes by too fast.
    ExpiresTooEarly,
    /// No deadline is ever seen to.
    MissesDeadlines,
    /// Offsets of deleted topics are kept.
    KeepsOffsetsOfTopics,
    /// Offsets are kept for a shorter time than is set.
    KeepsOffsetsTooShort,
    /// Now and then an answer to somebody who waits is lost.
    LosesAnswers,
    /// Now and then a group goes back to the epoch before.
    GoesBackInEpochs,
    /// The leader is not told of one of the members.
    HidesMembers,
    /// Who comes along into a consumer group loses what it had.
    UpgradesWithNothing,
    /// Who waits in a classic group is forgotten when that becomes a consumer group.
    UpgradesAndForgets,
    /// A consumer group that becomes a classic group goes back in generations.
    DowngradesIntoThePast,
    /// A consumer group that becomes a classic group leaves one of its members behind.
    DowngradesWithoutOne,
    /// A consumer group that becomes a classic group has its members go on with what they have.
    DowngradesAsSettled,
    /// A consumer group that becomes a classic group promises what another member still has.
    DowngradesToTwo,
    /// A group that becomes one of the other kind loses an offset.
    MigratesWithoutOffsets,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::AnswersTooEarly,
        Self::ForgetsCommits,
        Self::TakesNoCommitsIn,
        Self::TearsBatches,
        Self::LoadsNoTombstones,
        Self::IgnoresGenerations,
        Self::IgnoresInstances,
        Self::AssignsAlike,
        Self::BelievesInRevocation,
        Self::ExpiresTooEarly,
        Self::MissesDeadlines,
        Self::KeepsOffsetsOfTopics,
        Self::KeepsOffsetsTooShort,
        Self::LosesAnswers,
        Self::GoesBackInEpochs,
        Self::HidesMembers,
        Self::UpgradesWithNothing,
        Self::UpgradesAndForgets,
        Self::DowngradesIntoThePast,
        Self::DowngradesWithoutOne,
        Self::DowngradesAsSettled,
        Self::DowngradesToTwo,
        Self::MigratesWithoutOffsets,
    ];
}

/// Where a planted bug has its say, if there is one.
#[derive(Debug)]
pub(super) struct Meddler {
    planted: Option<Planted>,
    chances: u32,
    /// Last member id that a request with an instance id was answered with, by group and instance.
    holders: HashMap<(String, String), String>,
    /// Last generation that somebody was told, by group.
    generations: HashMap<String, i32>,
    /// Where each group committed last.
    committed: HashMap<String, OffsetCommitKey>,
}

/// One of so many chances is taken.
const EVERY: u32 = 5;

impl Meddler {
    pub(super) fn new(planted: Option<Planted>) -> Self {
        Self {
            planted,
            chances: 0,
            holders: HashMap::new(),
            generations: HashMap::new(),
            committed: HashMap::new(),
        }
    }

    pub(super) fn is(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    fn now_and_then(&mut self, planted: Planted) -> bool {
        if !self.is(planted) {
            return false;
        }
        self.chances += 1;
        self.chances.is_multiple_of(EVERY)
    }

    pub(super) fn clock(&self, now_ms: u64) -> u64 {
        match self.is(Planted::ExpiresTooEarly) {
            true => now_ms * 2,
            false => now_ms,
        }
    }

    pub(super) fn clock_back(&self, at_ms: u64) -> u64 {
        match self.is(Planted::ExpiresTooEarly) {
            true => at_ms.div_ceil(2),
            false => at_ms,
        }
    }

    pub(super) fn settings(&self, settings: &GroupSettings) -> GroupSettings {
        let mut settings = settings.clone();
        if self.is(Planted::KeepsOffsetsTooShort) {
            settings.offsets_retention_ms /= 4;
        }
        settings
    }

    pub(super) fn appends(&mut self, record: &GroupRecord) -> bool {
        !(is_commit(record) && self.now_and_then(Planted::ForgetsCommits))
    }

    pub(super) fn replays(&mut self, record: &GroupRecord) -> bool {
        !(is_commit(record) && self.now_and_then(Planted::TakesNoCommitsIn))
    }

    pub(super) fn loads(&self, has_value: bool) -> bool {
        has_value || !self.is(Planted::LoadsNoTombstones)
    }

    /// What the shard decided, as it goes out.
    pub(super) fn outcome(&mut self, outcome: &mut Outcome) {
        for record in &mut outcome.records {
            if let GroupRecord::ConsumerGroup(_, Some(value)) = record
                && self.now_and_then(Planted::GoesBackInEpochs)
            {
                value.epoch -= 2;
            }
        }
        self.migration(outcome);
        if self.is(Planted::AssignsAlike) {
            let mut first = None;
            for (_, reply) in &mut outcome.replies {
                if let Reply::Synced(synced) = reply
                    && synced.failure.is_none()
                {
                    let first = first.get_or_insert_with(|| synced.assignment.clone());
                    synced.assignment = first.clone();
                }
            }
        }
        for (_, reply) in &mut outcome.replies {
            if let Reply::Joined(joined) = reply
                && joined.members.len() > 1
                && self.is(Planted::HidesMembers)
            {
                joined.members.pop();
            }
        }
        if self.is(Planted::LosesAnswers) {
            let replies = std::mem::take(&mut outcome.replies);
            for each in replies {
                let waited = matches!(each.1, Reply::Joined(_) | Reply::Synced(_));
                if !(waited && self.now_and_then(Planted::LosesAnswers)) {
                    outcome.replies.push(each);
                }
            }
        }
    }

    /// A group becomes one of the other kind.
    fn migration(&mut self, outcome: &mut Outcome) {
        for record in &outcome.records {
            if let GroupRecord::OffsetCommit(key, Some(_)) = record {
                self.committed.insert(key.group.clone(), key.clone());
            }
        }
        let records = &mut outcome.records;
        let begins =
            |record: &GroupRecord| matches!(record, GroupRecord::ConsumerGroup(_, Some(_)));
        let ends = |record: &GroupRecord| matches!(record, GroupRecord::ConsumerGroup(_, None));
        let classic = records.iter().find_map(|record| match record {
            GroupRecord::ClassicGroup(key, value) => Some((key.group.clone(), value.is_some())),
            _ => None,
        });
        let Some((group, is_classic)) = classic else {
            return;
        };
        let upgrades = !is_classic && records.iter().any(begins);
        let downgrades = is_classic && records.iter().any(ends);
        if (upgrades || downgrades)
            && self.is(Planted::MigratesWithoutOffsets)
            && let Some(key) = self.committed.remove(&group)
        {
            records.push(GroupRecord::OffsetCommit(key, None));
        }
        for record in records {
            match record {
                GroupRecord::CurrentAssignment(_, Some(value))
                    if upgrades && self.is(Planted::UpgradesWithNothing) =>
                {
                    value.assigned_partitions.clear();
                }
                GroupRecord::ClassicGroup(_, Some(value)) if downgrades => {
                    if self.is(Planted::DowngradesIntoThePast) {
                        value.generation -= 1;
                    }
                    if self.is(Planted::DowngradesWithoutOne) {
                        value.members.pop();
                    }
                    if self.is(Planted::DowngradesAsSettled) {
                        value.current_state_timestamp = 0;
                    }
                    if self.is(Planted::DowngradesToTwo)
                        && let [first, rest @ ..] = &mut value.members[..]
                        && !parts::read(&first.assignment).is_empty()
                    {
                        let has = &first.assignment;
                        rest.iter_mut()
                            .for_each(|each| each.assignment.clone_from(has));
                    }
                }
                _ => {}
            }
        }
        if upgrades && self.is(Planted::UpgradesAndForgets) {
            let waited = |reply: &Reply| matches!(reply, Reply::Joined(_) | Reply::Synced(_));
            outcome.replies.retain(|(_, reply)| !waited(reply));
        }
    }

    /// Somebody joined, as the answer says.
    pub(super) fn joined(
        &mut self,
        group: &str,
        instance: Option<&str>,
        id: &str,
        generation: i32,
    ) {
        self.generations.insert(group.to_owned(), generation);
        if let Some(instance) = instance {
            let key = (group.to_owned(), instance.to_owned());
            self.holders.insert(key, id.to_owned());
        }
    }

    /// A member's request, as it comes in.
    pub(super) fn who(&self, group: &str, mut who: Identity) -> Identity {
        self.speaker(group, who.instance_id.as_deref(), &mut who.member_id);
        if let Some(generation) = self.generation(group)
            && who.generation >= 0
        {
            who.generation = generation;
        }
        who
    }

    pub(super) fn sync(&self, group: &str, mut request: Sync) -> Sync {
        let instance = request.instance_id.clone();
        self.speaker(group, instance.as_deref(), &mut request.member_id);
        if let Some(generation) = self.generation(group) {
            request.generation = generation;
        }
        request
    }

    fn generation(&self, group: &str) -> Option<i32> {
        let known = self.generations.get(group).copied();
        known.filter(|_| self.is(Planted::IgnoresGenerations))
    }

    fn speaker(&self, group: &str, instance: Option<&str>, id: &mut String) {
        if !self.is(Planted::IgnoresInstances) {
            return;
        }
        let Some(instance) = instance else {
            return;
        };
        let key = (group.to_owned(), instance.to_owned());
        if let Some(holder) = self.holders.get(&key) {
            id.clone_from(holder);
        }
    }

    pub(super) fn consumer(&self, mut request: ConsumerHeartbeat) -> ConsumerHeartbeat {
        if self.is(Planted::BelievesInRevocation) && request.epoch > 0 {
            request.owned = Some(Partitions::new());
        }
        request
    }
}

fn is_commit(record: &GroupRecord) -> bool {
    matches!(record, GroupRecord::OffsetCommit(_, Some(_)))
}
