//! One sequence: what is asked, and what is made of what follows.

mod answers;
mod commits;
mod delivery;
mod mixed;
mod records;

use std::collections::{BTreeMap, HashMap};

use klamm::coordinator::{Failure, Reply};

use super::bed::{Bed, Happened};
use super::classic::{ClassicFacts, JoinFacts, Plan, Who};
use super::clients::{Classic, Consumer};
use super::consumer::{Beat, ConsumerFacts, Parts};
use super::offsets::{Offsets, Wanted};
use super::planted::Planted;
use super::{Counts, cast};

/// What a consumer group must answer a classic member; `None` if the group is a classic group.
pub(super) type Due = Option<Result<(), Failure>>;

/// A request that was made.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Join {
        client: usize,
        join: JoinFacts,
        due: Due,
    },
    /// A JoinGroup of somebody whose protocols nobody shares.
    Intrude,
    Sync {
        client: Option<usize>,
        who: Who,
        plan: Plan,
        due: Due,
    },
    Beat {
        client: Option<usize>,
        who: Who,
        due: Due,
    },
    Leave {
        id: String,
        instance: Option<String>,
        due: Due,
    },
    Commit {
        who: Who,
        wanted: Vec<Wanted>,
        knows_epochs: bool,
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
    /// What a classic member of a consumer group was told that it has, by the SyncGroup.
    told_parts: HashMap<u64, Parts>,
    /// Whether members that speak the consumer protocol want to be in the group of both kinds.
    pub(super) is_flood: bool,
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
        let size_max = if random.u8(..5) == 0 { 3 } else { 100 };
        let mut bed = Bed::new(random.u64(..), planted, gather_ms, size_max);
        bed.create("a", 3);
        bed.create("b", 4);
        let (classics, consumers) = cast::all(&mut random);
        let is_flood = random.bool();
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
            told_parts: HashMap::new(),
            is_flood,
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

    /// The group, if it is a consumer group now.
    pub(super) fn of_consumers(&self, group: &str) -> Option<&ConsumerFacts> {
        let facts = self.consumer_facts.get(group);
        facts.filter(|facts| facts.exists())
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

    fn is_busy(&mut self, group: &str, is: bool) {
        if is {
            self.busy_ms.insert(group.to_owned(), self.bed.wall_ms());
        }
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
        let size_max = self.bed.size_max;
        for (group, facts) in &self.consumer_facts {
            facts.check_nobody_is_dead(end_ms)?;
            if facts.is_of_classics(size_max) {
                return Err(format!("{group} should be a classic group: {facts:?}"));
            }
        }
        Ok(())
    }
}

pub(super) fn who_is(client: &Classic) -> Who {
    Who {
        id: client.id.clone(),
        instance: client.instance.clone(),
        generation: client.generation,
    }
}
