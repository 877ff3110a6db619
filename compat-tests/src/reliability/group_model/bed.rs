//! Drives a shard as a broker does: a log of bytes of which some is durable, answers that wait for
//! it, a clock that is a number, and topics.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use klamm::Timestamp;
use klamm::coordinator::consumer::Assignor;
use klamm::coordinator::{
    ConsumerSettings, ConsumerTimeouts, GroupKind, GroupOverrides, GroupSettings, GroupWorld,
    KnownTopic, LogRecord, Machine, Migration, Moment, Outcome, Reply, Shard, Topics, Waiter,
};
use klamm::wire::groups::GroupRecord;
use uuid::Uuid;

use super::planted::{Meddler, Planted};

/// Wall-clock time at which every sequence begins.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// Session timeout of members of consumer groups.
pub(super) const CONSUMER_SESSION_MS: u64 = 6_000;
/// How long offsets are kept that nobody uses.
pub(super) const RETENTION_MS: i64 = 24 * 3_600_000;
/// How often expired ones are looked for.
pub(super) const EXPIRY_INTERVAL_MS: i64 = 600_000;

/// A topic of the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) id: u128,
    pub(super) partitions: i32,
}

/// The topics that there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) topics: BTreeMap<String, Topic>,
    version: i64,
}

impl Topics for Known {
    fn topic(&self, name: &str) -> Option<KnownTopic> {
        self.topics.get(name).map(|topic| KnownTopic {
            id: Uuid::from_u128(topic.id),
            partitions: topic.partitions,
        })
    }

    fn name(&self, id: Uuid) -> Option<String> {
        let mut topics = self.topics.iter();
        let found = topics.find(|(_, topic)| topic.id == id.as_u128());
        found.map(|(name, _)| name.clone())
    }

    fn for_each(&self, visit: &mut dyn FnMut(&str)) {
        self.topics.keys().for_each(|name| visit(name));
    }

    fn version(&self) -> i64 {
        self.version
    }
}

#[derive(Debug)]
struct NoOverrides;

impl GroupOverrides for NoOverrides {
    fn consumer_timeouts(&self, _group: &str, general: ConsumerTimeouts) -> ConsumerTimeouts {
        general
    }
}

/// A record as the log has it.
type Written = (Vec<u8>, Option<Vec<u8>>);

/// What followed from an event.
#[derive(Debug, Default)]
pub(super) struct Happened {
    /// The records that were appended, read back from their bytes.
    pub(super) records: Vec<GroupRecord>,
    /// Which batch of the log they are.
    pub(super) batch: usize,
    /// Answers that were decided; they leave later.
    pub(super) replies: Vec<(u64, Reply)>,
}

/// An answer that waits for its records, and all before them, to be durable.
#[derive(Debug)]
struct Held {
    end: usize,
    waiter: u64,
    reply: Reply,
}

/// A shard with its surroundings.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) shard: Shard,
    log: Vec<Vec<Written>>,
    durable: usize,
    held: VecDeque<Held>,
    pub(super) known: Known,
    pub(super) now_ms: u64,
    settings: GroupSettings,
    /// How many members a group may have.
    pub(super) size_max: usize,
    next_topic: u128,
    next_waiter: u64,
    next_shard: u64,
    pub(super) meddler: Meddler,
}

impl Bed {
    pub(super) fn new(
        seed: u64,
        planted: Option<Planted>,
        gather_ms: i32,
        size_max: usize,
    ) -> Self {
        let mut bed = Self {
            shard: Shard::new(seed),
            log: Vec::new(),
            durable: 0,
            held: VecDeque::new(),
            known: Known::default(),
            now_ms: 1_000,
            settings: settings(gather_ms, size_max),
            size_max,
            next_topic: 1,
            next_waiter: 1,
            next_shard: seed,
            meddler: Meddler::new(planted),
        };
        let _ = bed.run(Machine::loaded);
        bed
    }

    pub(super) fn wall_ms(&self) -> i64 {
        BEGIN_MS + i64::try_from(self.now_ms).expect("a time")
    }

    /// Creates a topic, or makes it larger.
    pub(super) fn create(&mut self, name: &str, partitions: i32) {
        let id = self.next_topic;
        self.next_topic += 1;
        let new = Topic { id, partitions };
        let topic = self.known.topics.entry(name.to_owned()).or_insert(new);
        topic.partitions = topic.partitions.max(partitions);
        self.known.version += 1;
    }

    /// Deletes a topic, and tells the shard unless it is to find out by itself.
    pub(super) fn delete(&mut self, name: &str, tells: bool) -> Vec<Happened> {
        let Some(topic) = self.known.topics.remove(name) else {
            return Vec::new();
        };
        self.known.version += 1;
        let mut all = Vec::new();
        if !tells || self.meddler.is(Planted::KeepsOffsetsOfTopics) {
            return all;
        }
        let gone = BTreeMap::from([(name.to_owned(), Uuid::from_u128(topic.id))]);
        loop {
            let happened = self.run(|shard, _| shard.topics_deleted(&gone));
            if happened.records.is_empty() {
                return all;
            }
            all.push(happened);
        }
    }

    fn world(&self) -> GroupWorld {
        GroupWorld {
            settings: Arc::new(self.meddler.settings(&self.settings)),
            topics: Arc::new(self.known.clone()),
            overrides: Arc::new(NoOverrides),
        }
    }

    /// A number for a request, before it is made.
    pub(super) fn waiter(&mut self) -> u64 {
        self.next_waiter += 1;
        self.next_waiter
    }

    /// Runs an event: its records are appended and taken in, its answers held back.
    pub(super) fn run(
        &mut self,
        event: impl FnOnce(&mut Shard, Moment<'_, GroupWorld>) -> Outcome,
    ) -> Happened {
        let world = self.world();
        let moment = Moment {
            now: Duration::from_millis(self.meddler.clock(self.now_ms)),
            wall: Timestamp(self.wall_ms()),
            world: &world,
        };
        let outcome = event(&mut self.shard, moment);
        self.settle(outcome)
    }

    fn settle(&mut self, mut outcome: Outcome) -> Happened {
        self.meddler.outcome(&mut outcome);
        let mut happened = Happened::default();
        let mut batch = Vec::new();
        for record in outcome.records {
            let written = record.to_bytes().expect("a record that can be written");
            let read = GroupRecord::from_bytes(&written.0, written.1.as_deref());
            let read = read.expect("a record that can be read");
            if self.meddler.appends(&read) {
                batch.push(written);
            }
            if self.meddler.replays(&read) {
                self.shard.replay(record);
            }
            happened.records.push(read);
        }
        if !happened.records.is_empty() {
            self.log.push(batch);
        }
        happened.batch = self.log.len().saturating_sub(1);
        let end = match self.meddler.is(Planted::AnswersTooEarly) {
            true => 0,
            false => self.log.len(),
        };
        for (Waiter(waiter), reply) in outcome.replies {
            happened.replies.push((waiter, reply.clone()));
            self.held.push_back(Held { end, waiter, reply });
        }
        happened
    }

    /// The next deadline of the shard by a time, if there is one.
    pub(super) fn next_deadline(&self, end_ms: u64) -> Option<u64> {
        if self.meddler.is(Planted::MissesDeadlines) {
            return None;
        }
        let at = self.shard.next_deadline()?;
        let at = self
            .meddler
            .clock_back(u64::try_from(at.as_millis()).expect("a time"));
        (at <= end_ms).then_some(at)
    }

    /// Lets the first deadline that has passed be seen to.
    pub(super) fn pass(&mut self) -> Happened {
        self.run(|shard, moment| shard.pass_time(moment).unwrap_or_default())
    }

    /// More of the log is durable; all of it, or some.
    pub(super) fn sync(&mut self, up_to: usize) {
        self.durable = self.durable.max(up_to.min(self.log.len()));
    }

    /// Batches in the log, and how many of them are durable.
    pub(super) fn batches(&self) -> (usize, usize) {
        (self.log.len(), self.durable)
    }

    /// Answers that may leave now.
    pub(super) fn deliver(&mut self) -> Vec<(u64, Reply)> {
        let mut left = Vec::new();
        while self
            .held
            .front()
            .is_some_and(|held| held.end <= self.durable)
        {
            left.extend(self.held.pop_front().map(|held| (held.waiter, held.reply)));
        }
        left
    }

    /// The broker stops and another one loads the log, of which `kept` batches are left. Answers
    /// that have not left never will.
    pub(super) fn restart(&mut self, kept: usize, compacted: bool) -> Happened {
        let torn = self.log.get(kept).cloned();
        self.log.truncate(kept);
        if let Some(torn) = torn.filter(|torn| torn.len() > 1)
            && self.meddler.is(Planted::TearsBatches)
            && let Some(last) = self.log.last_mut()
        {
            last.extend(torn.into_iter().take(1));
        }
        self.durable = self.log.len();
        self.held.clear();
        self.next_shard += 1;
        self.shard = self.load(compacted);
        self.run(Machine::loaded)
    }

    /// A shard that the log was loaded into.
    pub(super) fn load(&self, compacted: bool) -> Shard {
        let mut shard = Shard::new(self.next_shard);
        let all: Vec<&Written> = self.log.iter().flatten().collect();
        let last: HashMap<&[u8], usize> = all
            .iter()
            .enumerate()
            .map(|(place, (key, _))| (key.as_slice(), place))
            .collect();
        for (place, (key, value)) in all.into_iter().enumerate() {
            let is_left = value.is_some() && last.get(key.as_slice()) == Some(&place);
            if (compacted && !is_left) || !self.meddler.loads(value.is_some()) {
                continue;
            }
            let record = GroupRecord::from_bytes(key, value.as_deref());
            shard.load(record.expect("a record that can be read"));
        }
        shard
    }

    /// What a broker that would start now would tell of consumer groups must be what this one does.
    pub(super) fn compare_consumers(&self) -> Result<(), String> {
        let world = self.world();
        let loaded = self.load(true);
        for listing in self
            .shard
            .list()
            .filter(|each| each.kind == GroupKind::Consumer)
        {
            let told = self.shard.describe_consumers(&listing.group, &world);
            let again = loaded.describe_consumers(&listing.group, &world);
            if told != again {
                return Err(format!("{told:?} would come back as {again:?}"));
            }
        }
        Ok(())
    }

    /// Every record of the log, batch by batch.
    pub(super) fn records(&self) -> Vec<Vec<GroupRecord>> {
        let read = |(key, value): &Written| {
            GroupRecord::from_bytes(key, value.as_deref()).expect("a record that can be read")
        };
        let batches = self.log.iter();
        batches
            .map(|batch| batch.iter().map(read).collect())
            .collect()
    }
}

fn settings(gather_ms: i32, size_max: usize) -> GroupSettings {
    GroupSettings {
        session_timeout_min_ms: 1_000,
        session_timeout_max_ms: 60_000,
        initial_rebalance_delay_ms: gather_ms,
        size_max,
        offset_metadata_max: 100,
        offsets_retention_ms: RETENTION_MS,
        offsets_check_interval_ms: EXPIRY_INTERVAL_MS,
        consumer: ConsumerSettings {
            assignors: Assignor::ALL.to_vec(),
            size_max,
            timeouts: ConsumerTimeouts {
                session_ms: i32::try_from(CONSUMER_SESSION_MS).expect("a timeout"),
                heartbeat_ms: 500,
            },
            migration: Migration {
                upgrade: true,
                downgrade: true,
            },
        },
    }
}
