//! Commits, and who may ask for what was committed.

use klamm::coordinator::{Failure, Identity, Reply};
use klamm::wire::groups::GroupRecord;

use super::super::bed::Happened;
use super::super::classic::Who;
use super::{Asked, Run};

impl Run {
    /// Commits that were accepted, and whether they should have been.
    pub(super) fn commits(
        &mut self,
        waiter: u64,
        group: &str,
        asked: &Asked,
        what: &Happened,
    ) -> Result<(), String> {
        let Asked::Commit {
            who,
            wanted,
            knows_epochs,
        } = asked
        else {
            return Ok(());
        };
        let told = what.replies.iter().find(|(to, _)| *to == waiter);
        let Some((_, Reply::Committed(results))) = told else {
            return Err(format!("a commit is answered {told:?}"));
        };
        let (now_ms, wall_ms) = (self.bed.now_ms, self.bed.wall_ms());
        // Who may commit is heard of, even if there is no such partition.
        self.of_classic(group).hear_perhaps(&who.id, now_ms);
        for (wanted, result) in wanted.iter().zip(results) {
            let topic = self.bed.known.topics.get(&wanted.topic).copied();
            let topic = topic.filter(|topic| (0..topic.partitions).contains(&wanted.partition));
            match (topic, result) {
                (None, Err(Failure::UnknownTopicOrPartition)) => continue,
                (None, _) | (Some(_), Err(Failure::UnknownTopicOrPartition)) => {
                    return Err(format!("{wanted:?} is answered {result:?}"));
                }
                (Some(_), _) => self.judge_commit(group, who, *knows_epochs, *result)?,
            }
            if let (Ok(()), Some(topic)) = (result, topic) {
                self.counts.commits += 1;
                self.offsets
                    .committed(group, wanted, topic, wall_ms, what.batch);
                let is_record = |record: &&GroupRecord| matches!(record, GroupRecord::OffsetCommit(key, Some(_)) if key.topic == wanted.topic && key.partition == wanted.partition);
                if !what.records.iter().any(|record| is_record(&record)) {
                    return Err(format!("{wanted:?} is accepted without a record"));
                }
            }
        }
        Ok(())
    }

    fn judge_commit(
        &mut self,
        group: &str,
        who: &Who,
        knows_epochs: bool,
        answer: Result<(), Failure>,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        if let Some(facts) = self.of_consumers(group) {
            let due = facts.due_commit(who, knows_epochs);
            return match answer == due {
                true => Ok(()),
                false => Err(format!(
                    "{who:?} commits, and is answered {answer:?}, not {due:?}; {facts:?}"
                )),
            };
        }
        self.of_classic(group)
            .commit(who, answer, now_ms)
            .or_else(|wrong| {
                // A group that is not there has no generations.
                match answer {
                    Err(Failure::GroupIdNotFound) if who.generation >= 0 => Ok(()),
                    _ => Err(wrong),
                }
            })
    }

    /// A member, or somebody who says so, asks for the offsets of its group.
    pub(crate) fn fetch(&mut self, group: &str, who: &Who) -> Result<(), String> {
        self.counts.requests += 1;
        let asks = Identity {
            member_id: who.id.clone(),
            instance_id: who.instance.clone(),
            generation: who.generation,
        };
        let told = self.bed.shard.may_fetch(group, &asks);
        let facts = self.of_consumers(group);
        let due = facts.map_or(Ok(()), |facts| facts.due_fetch(who));
        if told != due {
            return Err(format!(
                "{who:?} fetches from {group}, and is answered {told:?}, not {due:?}; {facts:?}"
            ));
        }
        self.offsets.check_all(&self.bed.shard, group)
    }
}
