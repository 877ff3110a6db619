//! One sequence: what is asked, and what is made of what follows.

use std::collections::{BTreeMap, HashMap};

use klamm::coordinator::{Failure, Reply};
use klamm::wire::groups::GroupRecord;

use super::bed::{Bed, Happened};
use super::classic::{ClassicFacts, JoinFacts, Plan, Who};
use super::clients::{Classic, Consumer, Phase};
use super::consumer::{Beat, ConsumerFacts};
use super::offsets::{Cause, Offsets, Wanted};
use super::planted::Planted;
use super::{Counts, cast};

/// A request that was made.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Join {
        client: usize,
        join: JoinFacts,
    },
    Sync {
        client: Option<usize>,
        who: Who,
        plan: Plan,
    },
    Beat {
        client: Option<usize>,
        who: Who,
    },
    Leave {
        id: String,
        instance: Option<String>,
    },
    Commit {
        who: Who,
        wanted: Vec<Wanted>,
    },
    DeleteOffsets {
        asked: Vec<(String, i32)>,
    },
    DeleteGroup,
    Consumer {
        client: Option<usize>,
        beat: Beat,
        expected: Option<Failure>,
    },
}

/// A sequence under way.
pub(super) struct Run {
    pub(super) random: fastrand::Rng,
    pub(super) bed: Bed,
    pub(super) asked: HashMap<u64, (String, Asked)>,
    pub(super) classics: Vec<Classic>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) classic_facts: BTreeMap<String, ClassicFacts>,
    pub(super) consumer_facts: BTreeMap<String, ConsumerFacts>,
    pub(super) offsets: Offsets,
    /// When somebody in a group was heard of last.
    busy_ms: BTreeMap<String, i64>,
    /// The highest generation that was told to somebody who synced.
    acknowledged: BTreeMap<String, i32>,
    /// How many batches an answer needs that was decided with records of its own.
    needs: HashMap<u64, usize>,
    /// How many batches the answers need that have left.
    promised: usize,
    /// Who somebody was once.
    pub(super) past: Vec<(String, Who)>,
    pub(super) counts: Counts,
    /// What happened, if that is to be told.
    pub(super) story: Option<Vec<String>>,
}

impl Run {
    pub(super) fn new(seed: u64, planted: Option<Planted>, tells: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let gather_ms = if random.u8(..4) == 0 { 300 } else { 0 };
        let mut bed = Bed::new(random.u64(..), planted, gather_ms);
        bed.create("a", 3);
        bed.create("b", 4);
        let (classics, consumers) = cast::all(&mut random);
        Self {
            random,
            bed,
            asked: HashMap::new(),
            classics,
            consumers,
            classic_facts: BTreeMap::new(),
            consumer_facts: BTreeMap::new(),
            offsets: Offsets::default(),
            busy_ms: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            needs: HashMap::new(),
            promised: 0,
            past: Vec::new(),
            counts: Counts::default(),
            story: tells.then(Vec::new),
        }
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        let now_ms = self.bed.now_ms;
        if let Some(story) = &mut self.story {
            story.push(format!("{now_ms}: {}", what()));
        }
    }

    pub(super) fn of_classic(&mut self, group: &str) -> &mut ClassicFacts {
        self.classic_facts.entry(group.to_owned()).or_default()
    }

    /// Takes in what followed from a request, or from time.
    pub(super) fn happened(&mut self, waiter: Option<u64>, what: Happened) -> Result<(), String> {
        let asked = waiter.and_then(|waiter| self.asked.get(&waiter).cloned());
        self.tell(|| format!("{waiter:?} {asked:?}: {what:?}"));
        self.counts.records += what.records.len();
        if !what.records.is_empty() {
            let answered = what.replies.iter();
            let needs = answered.map(|(waiter, _)| (*waiter, what.batch + 1));
            self.needs.extend(needs);
        }
        if let (Some(waiter), Some((group, asked))) = (waiter, &asked) {
            self.commits(waiter, group, asked, &what)?;
        }
        self.leaves(&asked, &what)?;
        self.group_records(&asked, &what)?;
        self.offset_records(&asked, &what)?;
        if let Some((group, Asked::DeleteGroup)) = &asked
            && matches!(what.replies.first(), Some((_, Reply::Deleted(Ok(())))))
        {
            self.offsets.check_gone(group)?;
        }
        self.replies(&what)?;
        self.waits(waiter, asked, &what)
    }

    /// Commits that were accepted, and whether they should have been.
    fn commits(
        &mut self,
        waiter: u64,
        group: &str,
        asked: &Asked,
        what: &Happened,
    ) -> Result<(), String> {
        let Asked::Commit { who, wanted, .. } = asked else {
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
                (Some(_), _) => self.judge_commit(group, who, *result, now_ms)?,
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
        answer: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        if !cast::is_of_consumers(group) {
            return self
                .of_classic(group)
                .commit(who, answer, now_ms)
                .or_else(|wrong| {
                    // A group that is not there has no generations.
                    match answer {
                        Err(Failure::GroupIdNotFound) if who.generation >= 0 => Ok(()),
                        _ => Err(wrong),
                    }
                });
        }
        let facts = self.consumer_facts.get(group).cloned().unwrap_or_default();
        let is_from_outside = who.generation < 0 && facts.is_empty();
        let expected = if is_from_outside || facts.is_at(&who.id, who.generation) {
            Ok(())
        } else if facts.has(&who.id) {
            Err(Failure::StaleMemberEpoch)
        } else {
            Err(Failure::UnknownMemberId)
        };
        let has_none = expected == Err(Failure::UnknownMemberId) && facts.is_empty();
        let is_right = answer == expected
            || (has_none
                && matches!(
                    answer,
                    Err(Failure::GroupIdNotFound | Failure::IllegalGeneration)
                ))
            || (has_none && answer == Ok(()) && who.generation < 0);
        match is_right {
            true => Ok(()),
            false => Err(format!(
                "{who:?} commits, and is answered {answer:?}, not {expected:?}; {facts:?}"
            )),
        }
    }

    /// Who has left is not in what the records tell.
    fn leaves(&mut self, asked: &Option<(String, Asked)>, what: &Happened) -> Result<(), String> {
        let Some((group, Asked::Leave { id, instance })) = asked else {
            return Ok(());
        };
        let now_ms = self.bed.now_ms;
        for (_, reply) in &what.replies {
            let Reply::Left(Ok(left)) = reply else {
                continue;
            };
            for each in left {
                let answer = each.failure.map_or(Ok(()), Err);
                let facts = self.of_classic(group);
                facts.left(id, instance.as_deref(), answer, now_ms)?;
            }
        }
        Ok(())
    }

    fn group_records(
        &mut self,
        asked: &Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let mut of_consumers: BTreeMap<&str, Vec<&GroupRecord>> = BTreeMap::new();
        for record in &what.records {
            if let GroupRecord::ClassicGroup(key, value) = record {
                let brought = match asked {
                    Some((group, Asked::Sync { plan, .. })) if *group == key.group => Some(plan),
                    _ => None,
                };
                if value.is_none() {
                    self.acknowledged.remove(&key.group);
                }
                self.of_classic(&key.group)
                    .record(value.as_ref(), brought, now_ms)?;
            } else if let Some(group) = group_of(record) {
                of_consumers.entry(group).or_default().push(record);
            }
        }
        for (group, records) in of_consumers {
            let beat = match asked {
                Some((of, Asked::Consumer { beat, .. })) if of == group => Some(beat),
                _ => None,
            };
            let facts = self.consumer_facts.entry(group.to_owned()).or_default();
            facts.records(&records, beat, now_ms)?;
        }
        Ok(())
    }

    fn offset_records(
        &mut self,
        asked: &Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        for record in &what.records {
            let GroupRecord::OffsetCommit(key, value) = record else {
                continue;
            };
            if let Some(value) = value {
                self.offsets.check_commit(key, value)?;
                continue;
            }
            let cause = match asked {
                None => Cause::Time {
                    topics: &self.bed.known.topics,
                    busy_ms: self.busy_ms.get(&key.group).copied(),
                    wall_ms: self.bed.wall_ms(),
                },
                Some((group, Asked::DeleteOffsets { asked })) if *group == key.group => {
                    Cause::Asked(asked)
                }
                Some((group, Asked::DeleteGroup)) if *group == key.group => Cause::GroupDeleted,
                Some(_) => Cause::None,
            };
            self.offsets.delete(key, what.batch, &cause)?;
        }
        Ok(())
    }

    /// Answers that were decided.
    fn replies(&mut self, what: &Happened) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let mut joined = BTreeMap::<String, Vec<_>>::new();
        for (waiter, reply) in &what.replies {
            let Some((group, asked)) = self.asked.get(waiter).cloned() else {
                return Err(format!("nobody asked for {reply:?}"));
            };
            match (&asked, reply) {
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
                    if answer != *expected {
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
                    for ((topic, partition), told) in asked.iter().zip(told) {
                        if told.is_ok() && self.offsets.has(&group, topic, *partition) {
                            return Err(format!("{topic} {partition} is deleted, and still there"));
                        }
                    }
                }
                (Asked::DeleteGroup, Reply::Deleted(told)) => {
                    self.judge_delete(&group, *told, now_ms)?;
                }
                (Asked::DeleteOffsets { .. }, Reply::OffsetsDeleted(Err(_)))
                | (Asked::Commit { .. }, Reply::Committed(_)) => {}
                (asked, reply) => return Err(format!("{asked:?} is answered {reply:?}")),
            }
        }
        for (group, all) in joined {
            for (_, join, told) in all.iter().filter(|(_, _, told)| told.failure.is_none()) {
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

    fn judge_delete(
        &mut self,
        group: &str,
        told: Result<(), Failure>,
        now_ms: u64,
    ) -> Result<(), String> {
        let has_members = match cast::is_of_consumers(group) {
            true => self
                .consumer_facts
                .get(group)
                .is_some_and(|facts| !facts.is_empty()),
            false => self.of_classic(group).has_members(now_ms),
        };
        match told {
            Ok(()) if has_members => Err(format!("{group} is deleted with members")),
            _ => Ok(()),
        }
    }

    fn is_busy(&mut self, group: &str, is: bool) {
        if is {
            self.busy_ms.insert(group.to_owned(), self.bed.wall_ms());
        }
    }

    /// A request that was not answered waits.
    fn waits(
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

    /// Lets answers leave that may, and looks whether two clients have one partition.
    pub(super) fn deliver(&mut self) -> Result<(), String> {
        let delivered = self.bed.deliver();
        let any = !delivered.is_empty();
        for (waiter, reply) in delivered {
            let needs = self.needs.remove(&waiter).unwrap_or(0);
            self.promised = self.promised.max(needs);
            let Some((group, asked)) = self.asked.remove(&waiter) else {
                continue;
            };
            match (asked, reply) {
                (Asked::Join { client, .. }, Reply::Joined(told)) => {
                    let client = &mut self.classics[client];
                    client.joined(waiter, &told);
                    let who = who_is(client);
                    self.past.push((group, who));
                }
                (
                    Asked::Sync {
                        client: Some(client),
                        who,
                        ..
                    },
                    Reply::Synced(told),
                ) => {
                    self.classics[client].synced(waiter, &told);
                    let facts = self.classic_facts.get(&group);
                    let lives = facts.is_some_and(|facts| facts.recorded >= who.generation);
                    if told.failure.is_none() && lives {
                        let told = self.acknowledged.entry(group).or_default();
                        *told = (*told).max(who.generation);
                    }
                }
                (
                    Asked::Beat {
                        client: Some(client),
                        who,
                    },
                    Reply::Alive(Err(failure)),
                ) if self.classics[client].id == who.id => {
                    self.classics[client].refused(failure);
                }
                (
                    Asked::Consumer {
                        client: Some(client),
                        ..
                    },
                    Reply::ConsumerBeat(told),
                ) => {
                    let client = &mut self.consumers[client];
                    client.beaten(waiter, &told);
                    let who = Who {
                        id: client.id.clone(),
                        instance: client.instance.clone(),
                        generation: client.epoch,
                    };
                    self.past.push((group, who));
                }
                _ => {}
            }
        }
        match any {
            true => self.check_owners(),
            false => Ok(()),
        }
    }

    /// No two clients have one partition, but for those whom the coordinator no longer knows.
    fn check_owners(&self) -> Result<(), String> {
        let mut owners = HashMap::new();
        for client in self
            .classics
            .iter()
            .filter(|client| client.phase == Phase::In)
        {
            let facts = self.classic_facts.get(&client.group);
            if !facts.is_some_and(|facts| facts.has(&client.id)) {
                continue;
            }
            for part in &client.has {
                let place = (&client.group, client.generation, part);
                if let Some(other) = owners.insert(place, &client.id) {
                    return Err(format!("{place:?} is read by {other} and {}", client.id));
                }
            }
        }
        let mut owners = HashMap::new();
        for client in self.consumers.iter().filter(|client| client.is_on) {
            let facts = self.consumer_facts.get(&client.group);
            if !facts.is_some_and(|facts| facts.has(&client.id)) {
                continue;
            }
            for part in &client.has {
                if let Some(other) = owners.insert((&client.group, part), &client.id) {
                    return Err(format!(
                        "{part:?} of {} is read by {other} and {}",
                        client.group, client.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// Time goes by, deadline by deadline.
    pub(super) fn pass(&mut self, ms: u64) -> Result<(), String> {
        let end_ms = self.bed.now_ms + ms;
        while let Some(at_ms) = self.bed.next_deadline(end_ms) {
            self.bed.now_ms = self.bed.now_ms.max(at_ms);
            let what = self.bed.pass();
            self.happened(None, what)?;
        }
        self.bed.now_ms = end_ms;
        self.consumer_facts
            .values()
            .try_for_each(|facts| facts.check_nobody_is_dead(end_ms))
    }

    /// The broker stops, and another one finds so many batches.
    pub(super) fn restart(&mut self, kept: usize, compacted: bool) -> Result<(), String> {
        self.counts.restarts += 1;
        self.tell(|| format!("restart with {kept} batches, compacted: {compacted}"));
        if kept < self.promised {
            return Err(format!(
                "{kept} batches are left, and answers told of {}",
                self.promised
            ));
        }
        self.needs.clear();
        self.asked.clear();
        self.classics.iter_mut().for_each(Classic::disconnect);
        self.consumers.iter_mut().for_each(Consumer::disconnect);
        self.offsets.cut(kept);
        let what = self.bed.restart(kept, compacted);
        self.remember(kept);
        for (group, generation) in &self.acknowledged {
            let known = self
                .classic_facts
                .get(group)
                .map_or(0, |facts| facts.generation);
            if known < *generation {
                return Err(format!(
                    "{group} goes back from generation {generation} to {known}"
                ));
            }
        }
        self.happened(None, what)?;
        self.offsets.check(&self.bed.shard)
    }

    /// What the log still tells is what there is.
    fn remember(&mut self, kept: usize) {
        self.classic_facts.clear();
        self.consumer_facts.clear();
        let now_ms = self.bed.now_ms;
        let batches = self.bed.records();
        let records: Vec<&GroupRecord> = batches.iter().take(kept).flatten().collect();
        let mut of_consumers: BTreeMap<&str, Vec<&GroupRecord>> = BTreeMap::new();
        for record in records {
            match record {
                GroupRecord::ClassicGroup(key, Some(value)) => {
                    if value.members.is_empty() {
                        // Whoever joined since then and did not sync has left no trace.
                        let since = value.current_state_timestamp;
                        let busy = self.busy_ms.entry(key.group.clone()).or_insert(since);
                        *busy = since.min(*busy);
                    }
                    let facts = ClassicFacts::load(value, now_ms);
                    self.classic_facts.insert(key.group.clone(), facts);
                }
                GroupRecord::ClassicGroup(key, None) => {
                    self.classic_facts.remove(&key.group);
                }
                record => {
                    if let Some(group) = group_of(record) {
                        of_consumers.entry(group).or_default().push(record);
                    }
                }
            }
        }
        for (group, records) in of_consumers {
            let facts = ConsumerFacts::load(&records, now_ms);
            self.consumer_facts.insert(group.to_owned(), facts);
        }
    }

    /// A broker that would start now would know all that this one does.
    pub(super) fn check_replay(&mut self) -> Result<(), String> {
        self.offsets.check(&self.bed.shard)?;
        for compacted in [false, true] {
            self.offsets.check(&self.bed.load(compacted))?;
        }
        self.bed.compare_consumers()
    }
}

pub(super) fn who_is(client: &Classic) -> Who {
    Who {
        id: client.id.clone(),
        instance: client.instance.clone(),
        generation: client.generation,
    }
}

/// The consumer group that a record is about.
fn group_of(record: &GroupRecord) -> Option<&str> {
    match record {
        GroupRecord::ConsumerGroup(key, _) => Some(&key.group),
        GroupRecord::TargetAssignment(key, _) => Some(&key.group),
        GroupRecord::ConsumerGroupTopics(key, _) => Some(&key.group),
        GroupRecord::Member(key, _) => Some(&key.group),
        GroupRecord::TargetAssignmentMember(key, _) => Some(&key.group),
        GroupRecord::CurrentAssignment(key, _) => Some(&key.group),
        GroupRecord::RegularExpression(key, _) => Some(&key.group),
        GroupRecord::LegacyOffsetCommit(..)
        | GroupRecord::OffsetCommit(..)
        | GroupRecord::ClassicGroup(..) => None,
    }
}
