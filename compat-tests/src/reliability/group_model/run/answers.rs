//! What was decided about requests.

use std::collections::BTreeMap;

use klamm::coordinator::classic::Joined;
use klamm::coordinator::{Failure, Reply};

use super::super::bed::Happened;
use super::{Asked, Run};

impl Run {
    /// Who has left is not in what the records tell.
    pub(super) fn leaves(
        &mut self,
        asked: &Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        let Some((group, Asked::Leave { id, instance, due })) = asked else {
            return Ok(());
        };
        let now_ms = self.bed.now_ms;
        for (_, reply) in &what.replies {
            let Reply::Left(Ok(left)) = reply else {
                continue;
            };
            for each in left {
                let answer = each.failure.map_or(Ok(()), Err);
                if let Some(due) = due {
                    if answer != *due {
                        return Err(format!(
                            "{id} leaves, and is answered {answer:?}, not {due:?}"
                        ));
                    }
                    continue;
                }
                let facts = self.of_classic(group);
                facts.left(id, instance.as_deref(), answer, now_ms)?;
            }
        }
        Ok(())
    }

    /// Answers that were decided.
    pub(super) fn replies(&mut self, what: &Happened) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let mut joined = BTreeMap::<String, Vec<_>>::new();
        for (waiter, reply) in &what.replies {
            let Some((group, asked)) = self.asked.get(waiter).cloned() else {
                return Err(format!("nobody asked for {reply:?}"));
            };
            match (&asked, reply) {
                (
                    Asked::Join {
                        join,
                        due: Some(due),
                        ..
                    },
                    Reply::Joined(told),
                ) => self.mixed_joined(&group, join, told, *due)?,
                (
                    Asked::Sync {
                        who,
                        due: Some(due),
                        ..
                    },
                    Reply::Synced(told),
                ) => self.mixed_synced(&group, *waiter, who, told, *due)?,
                (
                    Asked::Beat {
                        who,
                        due: Some(due),
                        ..
                    },
                    Reply::Alive(told),
                ) => self.mixed_alive(&group, who, *told, *due)?,
                (Asked::Intrude, Reply::Joined(told)) => {
                    self.judge_intruder(&group, told.failure)?
                }
                (Asked::Join { join, .. }, Reply::Joined(told)) => {
                    joined
                        .entry(group)
                        .or_default()
                        .push((*waiter, join.clone(), &**told));
                }
                (Asked::Sync { who, .. }, Reply::Synced(told)) => {
                    self.of_classic(&group).synced(*waiter, who, told, now_ms)?;
                    self.is_busy(&group, told.failure.is_none());
                }
                (Asked::Beat { who, .. }, Reply::Alive(told)) => {
                    self.of_classic(&group).beat(who, *told, now_ms)?;
                    self.is_busy(&group, told.is_ok());
                }
                (Asked::Leave { .. }, Reply::Left(Ok(_))) => {}
                (Asked::Leave { .. }, Reply::Left(Err(Failure::UnknownMemberId))) => {
                    if self.of_classic(&group).has_members(now_ms) {
                        return Err(format!("{asked:?} is answered that there is no group"));
                    }
                }
                (Asked::Consumer { beat, expected, .. }, Reply::ConsumerBeat(told)) => {
                    let answer = told.as_ref().err().map(|refusal| refusal.failure);
                    if answer != *expected && !self.may_refuse_upgrade(&group, answer) {
                        let facts = self.consumer_facts.get(&group);
                        return Err(format!(
                            "{beat:?} is answered {told:?}, not {expected:?}; {facts:?}"
                        ));
                    }
                    if let Ok(told) = told {
                        let facts = self.consumer_facts.entry(group.clone()).or_default();
                        if beat.epoch >= 0 {
                            facts.heard(&told.member_id, now_ms);
                        }
                        if beat.epoch >= 0 && !facts.is_at(&told.member_id, told.epoch) {
                            return Err(format!("{beat:?} is answered {told:?}; {facts:?}"));
                        }
                        self.is_busy(&group, true);
                    }
                }
                (Asked::DeleteOffsets { asked }, Reply::OffsetsDeleted(Ok(told))) => {
                    self.judge_deleted_offsets(&group, asked, told)?;
                    for ((topic, partition), told) in asked.iter().zip(told) {
                        if told.is_ok() && self.offsets.has(&group, topic, *partition) {
                            return Err(format!("{topic} {partition} is deleted, and still there"));
                        }
                    }
                }
                (Asked::DeleteGroup, Reply::Deleted(told)) => {
                    self.judge_delete(&group, *told, now_ms)?;
                }
                (Asked::DeleteOffsets { .. }, Reply::OffsetsDeleted(Err(failure))) => {
                    self.judge_kept_offsets(&group, *failure)?;
                }
                (Asked::Commit { .. }, Reply::Committed(_)) => {}
                (asked, reply) => return Err(format!("{asked:?} is answered {reply:?}")),
            }
        }
        for (group, all) in joined {
            let size_max = self.bed.size_max;
            let good = all.iter().filter(|(_, _, told)| told.failure.is_none());
            let count = self.of_classic(&group).size_at_most();
            let is_full = |told: &Joined| told.failure == Some(Failure::GroupMaxSizeReached);
            if good.clone().count() > size_max
                || (count < size_max && all.iter().any(|(_, _, told)| is_full(told)))
            {
                return Err(format!("{size_max} members may join {group}: {all:?}"));
            }
            for (_, join, told) in good {
                let (instance, id) = (join.instance.as_deref(), told.member_id.as_str());
                self.bed
                    .meddler
                    .joined(&group, instance, id, told.generation);
                self.is_busy(&group, true);
            }
            self.of_classic(&group).joined(&all, now_ms)?;
        }
        Ok(())
    }

    pub(super) fn judge_delete(
        &mut self,
        group: &str,
        told: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        if let Some(facts) = self.of_consumers(group) {
            let due = match facts.is_empty() {
                true => Ok(()),
                false => Err(Failure::NonEmptyGroup),
            };
            // An empty one is gone by now.
            return match told == due {
                true => Ok(()),
                false => Err(format!("{group} is deleted: {told:?}; {facts:?}")),
            };
        }
        let has_members = self.of_classic(group).has_members(now_ms);
        match told {
            Ok(()) if has_members => Err(format!("{group} is deleted with members")),
            _ => Ok(()),
        }
    }

    /// A request that was not answered waits.
    pub(super) fn waits(
        &mut self,
        waiter: Option<u64>,
        asked: Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        let (Some(waiter), Some((group, asked))) = (waiter, asked) else {
            return Ok(());
        };
        if what.replies.iter().any(|(to, _)| *to == waiter) {
            return Ok(());
        }
        let now_ms = self.bed.now_ms;
        match &asked {
            Asked::Join { join, .. } => {
                self.of_classic(&group).join_waits(waiter, join, now_ms);
                Ok(())
            }
            Asked::Sync { who, .. } => self.of_classic(&group).sync_waits(waiter, who, now_ms),
            other => Err(format!("{other:?} is not answered")),
        }
    }

    /// A group with members takes in nobody who does not share a protocol.
    fn judge_intruder(&mut self, group: &str, told: Option<Failure>) -> Result<(), String> {
        let is_limited = self.bed.size_max < 100;
        match told {
            Some(Failure::InconsistentGroupProtocol) => Ok(()),
            Some(Failure::GroupMaxSizeReached) if is_limited => Ok(()),
            told => Err(format!("an intruder is let into {group}: {told:?}")),
        }
    }

    /// A classic group that is too large for the other kind stays what it is.
    fn may_refuse_upgrade(&mut self, group: &str, told: Option<Failure>) -> bool {
        let size_max = self.bed.size_max;
        let is_full = self.of_classic(group).size_at_most() >= size_max;
        let is_refusal = matches!(
            told,
            Some(Failure::GroupMaxSizeReached | Failure::GroupIdNotFound)
        );
        is_full && is_refusal && self.of_consumers(group).is_none()
    }

    /// Offsets of topics go that nobody in the group subscribes to.
    fn judge_deleted_offsets(
        &mut self,
        group: &str,
        asked: &[(String, i32)],
        told: &[Result<(), Failure>],
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let is_connect = group.starts_with("connect");
        for ((topic, partition), told) in asked.iter().zip(told) {
            let there = self.bed.known.topics.get(topic);
            let is_there = there.is_some_and(|there| (0..there.partitions).contains(partition));
            let subscribes = match self.of_consumers(group) {
                Some(facts) => facts.subscribes(topic),
                // All of them subscribe to all topics.
                None => self
                    .of_classic(group)
                    .has_members(now_ms)
                    .then_some(!is_connect),
            };
            let due = match (is_there, subscribes) {
                (false, _) => Err(Failure::UnknownTopicOrPartition),
                (true, Some(true)) => Err(Failure::GroupSubscribedToTopic),
                (true, Some(false)) => Ok(()),
                (true, None) if *told == Err(Failure::UnknownTopicOrPartition) => Ok(()),
                (true, None) => *told,
            };
            if *told != due {
                return Err(format!(
                    "{topic} {partition} of {group} is deleted: {told:?}, not {due:?}"
                ));
            }
        }
        match is_connect && self.of_classic(group).has_members(now_ms) {
            true => Err(format!("offsets of {group} are deleted, which has members")),
            false => Ok(()),
        }
    }

    /// No offset of a group can be deleted.
    fn judge_kept_offsets(&mut self, group: &str, told: Failure) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let is_connect = group.starts_with("connect");
        let is_right = match told {
            Failure::GroupIdNotFound => {
                self.of_consumers(group).is_none()
                    && !self.of_classic(group).has_members(now_ms)
                    && !self.offsets.has_any(group)
            }
            Failure::NonEmptyGroup => is_connect && !self.of_classic(group).must_be_empty(now_ms),
            _ => false,
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("offsets of {group} cannot be deleted: {told:?}")),
        }
    }
}
