//! A shard with topics, a clock, and clients that do what they are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::coordinator::consumer::{
    Assignor, ConsumerBeat, ConsumerDescription, ConsumerHeartbeat, LEAVING, Partitions, Refusal,
};
use crate::coordinator::{
    ConsumerSettings, ConsumerTimeouts, Failure, GroupOverrides, GroupSettings, GroupWorld,
    KnownTopic, Machine, Migration, Moment, Outcome, Reply, Shard, Topics, Waiter,
};
use crate::model::Timestamp;
use crate::wire::groups::GroupRecord;

pub(in crate::coordinator) const GROUP: &str = "g";
pub(super) const SESSION_MS: u64 = 45_000;
pub(super) const REBALANCE_MS: u64 = 60_000;

#[derive(Clone, Debug, Default)]
struct World {
    topics: BTreeMap<String, KnownTopic>,
    version: i64,
    session_ms: Option<i32>,
}

impl Topics for World {
    fn topic(&self, name: &str) -> Option<KnownTopic> {
        self.topics.get(name).copied()
    }

    fn name(&self, id: Uuid) -> Option<String> {
        let mut topics = self.topics.iter();
        topics
            .find(|(_, topic)| topic.id == id)
            .map(|(name, _)| name.clone())
    }

    fn for_each(&self, visit: &mut dyn FnMut(&str)) {
        self.topics.keys().for_each(|name| visit(name));
    }

    fn version(&self) -> i64 {
        self.version
    }
}

impl GroupOverrides for World {
    fn consumer_timeouts(&self, _group: &str, general: ConsumerTimeouts) -> ConsumerTimeouts {
        ConsumerTimeouts {
            session_ms: self.session_ms.unwrap_or(general.session_ms),
            ..general
        }
    }
}

/// A shard whose records are at once appended and taken in.
pub(in crate::coordinator) struct Bench {
    pub(in crate::coordinator) shard: Shard,
    /// Every record so far.
    pub(in crate::coordinator) log: Vec<GroupRecord>,
    pub(in crate::coordinator) now: Duration,
    pub(in crate::coordinator) settings: GroupSettings,
    world: World,
    next_waiter: u64,
    answers: HashMap<Waiter, Reply>,
}

impl Bench {
    pub(in crate::coordinator) fn new(topics: &[(&str, i32)]) -> Self {
        let mut bench = Self {
            shard: Shard::new(1),
            log: Vec::new(),
            now: Duration::from_secs(1000),
            settings: settings(),
            world: World::default(),
            next_waiter: 0,
            answers: HashMap::new(),
        };
        for (name, partitions) in topics {
            bench.create(name, *partitions);
        }
        bench
    }

    /// Creates a topic, again under another id if it is there.
    pub(in crate::coordinator) fn create(&mut self, name: &str, partitions: i32) -> Uuid {
        self.world.version += 1;
        let id = Uuid::from_u128(self.world.version.unsigned_abs().into());
        let topic = KnownTopic { id, partitions };
        self.world.topics.insert(name.to_owned(), topic);
        id
    }

    pub(super) fn grow(&mut self, name: &str, partitions: i32) {
        self.world.version += 1;
        self.world.topics.get_mut(name).unwrap().partitions = partitions;
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.world.version += 1;
        self.world.topics.remove(name);
    }

    /// Something else in the metadata changes.
    pub(super) fn touch(&mut self) {
        self.world.version += 1;
    }

    /// Sets the session timeout of the group.
    pub(super) fn override_session(&mut self, ms: i32) {
        self.world.session_ms = Some(ms);
    }

    pub(in crate::coordinator) fn id(&self, topic: &str) -> Uuid {
        self.world.topics[topic].id
    }

    pub(in crate::coordinator) fn partitions(&self, of: &[(&str, i32)]) -> Partitions {
        of.iter()
            .map(|(topic, each)| (self.id(topic), *each))
            .collect()
    }

    fn world(&self) -> GroupWorld {
        GroupWorld {
            settings: Arc::new(self.settings.clone()),
            topics: Arc::new(self.world.clone()),
            overrides: Arc::new(self.world.clone()),
        }
    }

    /// Runs an event, takes in its records, and keeps its answers.
    pub(in crate::coordinator) fn run(
        &mut self,
        event: impl FnOnce(&mut Shard, Waiter, Moment<'_, GroupWorld>) -> Outcome,
    ) -> Waiter {
        self.next_waiter += 1;
        let waiter = Waiter(self.next_waiter);
        let world = self.world();
        let moment = Moment {
            now: self.now,
            wall: Timestamp(i64::try_from(self.now.as_millis()).unwrap()),
            world: &world,
        };
        let outcome = event(&mut self.shard, waiter, moment);
        self.take_in(outcome);
        waiter
    }

    fn take_in(&mut self, outcome: Outcome) {
        for record in outcome.records {
            self.log.push(record.clone());
            self.shard.replay(record);
        }
        self.answers.extend(outcome.replies);
        self.check_owners();
    }

    /// The answer that somebody waits for, if it is there.
    pub(in crate::coordinator) fn answer(&mut self, waiter: Waiter) -> Option<Reply> {
        self.answers.remove(&waiter)
    }

    pub(super) fn beat(&mut self, request: &ConsumerHeartbeat) -> Result<ConsumerBeat, Refusal> {
        let waiter = self
            .run(|shard, waiter, moment| shard.consumer_heartbeat(GROUP, request, waiter, moment));
        match self.answer(waiter) {
            Some(Reply::ConsumerBeat(beat)) => beat.map(|beat| *beat),
            other => panic!("no answer to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn refused(&mut self, request: &ConsumerHeartbeat) -> Failure {
        self.beat(request).expect_err("refused").failure
    }

    /// Lets time pass, with all that follows from it.
    pub(in crate::coordinator) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(next) = self.shard.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.run(|shard, _, moment| shard.pass_time(moment).unwrap_or_default());
        }
        self.now = end;
    }

    /// Throws the shard away and loads it from its records.
    pub(in crate::coordinator) fn restart(&mut self) {
        self.shard = Shard::new(2);
        for record in self.log.clone() {
            self.shard.load(record);
        }
        self.run(|shard, _, moment| shard.loaded(moment));
    }

    pub(in crate::coordinator) fn describe(&self) -> ConsumerDescription {
        self.try_describe().expect("a consumer group")
    }

    pub(in crate::coordinator) fn try_describe(&self) -> Option<ConsumerDescription> {
        self.shard.describe_consumers(GROUP, &self.world()).ok()
    }

    /// The epochs of group, target and each member.
    pub(super) fn epochs(&self) -> (i32, i32, Vec<i32>) {
        let group = self.describe();
        let members = group.members.iter().map(|member| member.epoch);
        (group.epoch, group.target_epoch, members.collect())
    }

    pub(super) fn state(&self) -> &'static str {
        self.describe().state.name()
    }

    /// No partition is assigned to two members.
    fn check_owners(&self) {
        let mut owners = HashMap::new();
        for member in self
            .try_describe()
            .into_iter()
            .flat_map(|group| group.members)
        {
            for topic in member.assigned {
                for partition in topic.partitions {
                    let before = owners.insert((topic.id, partition), member.member_id.clone());
                    assert_eq!(before, None, "two owners of {}-{partition}", topic.name);
                }
            }
        }
    }
}

/// A client that believes what it is told, and gives up partitions when it is told to.
#[derive(Clone, Debug)]
pub(in crate::coordinator) struct Client {
    pub(super) id: String,
    pub(super) epoch: i32,
    pub(super) instance_id: Option<String>,
    pub(super) topics: Option<Vec<String>>,
    pub(super) expression: Option<String>,
    pub(super) assignor: Option<String>,
    pub(super) owned: Partitions,
    /// What it was assigned last, and has not taken yet.
    pub(super) told: Option<Partitions>,
}

impl Client {
    pub(in crate::coordinator) fn new(id: &str, topics: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 0,
            instance_id: None,
            topics: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
            expression: None,
            assignor: None,
            owned: Partitions::new(),
            told: None,
        }
    }

    pub(super) fn static_(id: &str, instance: &str, topics: &[&str]) -> Self {
        Self {
            instance_id: Some(instance.to_owned()),
            ..Self::new(id, topics)
        }
    }

    pub(super) fn matching(id: &str, expression: &str) -> Self {
        Self {
            topics: None,
            expression: Some(expression.to_owned()),
            ..Self::new(id, &[])
        }
    }

    /// A heartbeat that says everything.
    pub(super) fn full(&self) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            member_id: self.id.clone(),
            epoch: self.epoch,
            instance_id: self.instance_id.clone(),
            rebalance_timeout_ms: Some(i32::try_from(REBALANCE_MS).unwrap()),
            topics: self.topics.clone(),
            expression: self.expression.clone(),
            assignor: self.assignor.clone(),
            owned: Some(self.owned.clone()),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            ..ConsumerHeartbeat::default()
        }
    }

    /// A heartbeat that says only that it is there.
    pub(super) fn short(&self) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            rebalance_timeout_ms: None,
            topics: None,
            expression: None,
            assignor: None,
            owned: None,
            ..self.full()
        }
    }

    /// Sends a heartbeat, and takes in the answer; what it is assigned it has once it says so.
    pub(super) fn send(
        &mut self,
        bench: &mut Bench,
        request: &ConsumerHeartbeat,
    ) -> Result<(), Refusal> {
        let beat = bench.beat(request)?;
        assert_eq!(beat.member_id, self.id);
        self.epoch = beat.epoch;
        if beat.assignment.is_some() {
            self.told = beat.assignment;
        }
        Ok(())
    }

    pub(in crate::coordinator) fn join(&mut self, bench: &mut Bench) {
        self.epoch = 0;
        self.owned = Partitions::new();
        let request = self.full();
        self.send(bench, &request).expect("joins");
    }

    /// Does what it was told, and says so.
    pub(in crate::coordinator) fn follow(&mut self, bench: &mut Bench) {
        let request = match self.told.take() {
            Some(told) => {
                self.owned = told;
                ConsumerHeartbeat {
                    owned: Some(self.owned.clone()),
                    ..self.short()
                }
            }
            None => self.short(),
        };
        self.send(bench, &request).expect("goes on");
    }

    /// Says that it is there, and has what it had.
    pub(super) fn stay(&mut self, bench: &mut Bench) {
        let request = self.short();
        self.send(bench, &request).expect("goes on");
    }

    pub(in crate::coordinator) fn leave(&self, bench: &mut Bench) {
        let request = ConsumerHeartbeat {
            epoch: LEAVING,
            ..self.short()
        };
        let left = bench.beat(&request).expect("leaves");
        assert_eq!((left.epoch, left.assignment), (LEAVING, None));
    }
}

/// All follow until nothing changes any more.
pub(super) fn settle(bench: &mut Bench, clients: &mut [&mut Client]) {
    for _ in 0..10 {
        for client in &mut *clients {
            client.follow(bench);
        }
        if bench.state() == "Stable" && clients.iter().all(|client| client.told.is_none()) {
            return;
        }
    }
    panic!("does not settle: {:?}", bench.describe());
}

fn settings() -> GroupSettings {
    GroupSettings {
        session_timeout_min_ms: 6_000,
        session_timeout_max_ms: 1_800_000,
        initial_rebalance_delay_ms: 0,
        size_max: usize::MAX,
        offset_metadata_max: 4096,
        offsets_retention_ms: 7 * 24 * 3_600_000,
        offsets_check_interval_ms: 600_000,
        consumer: ConsumerSettings {
            assignors: vec![Assignor::Uniform, Assignor::Range],
            size_max: usize::MAX,
            timeouts: ConsumerTimeouts {
                session_ms: i32::try_from(SESSION_MS).unwrap(),
                heartbeat_ms: 5_000,
            },
            migration: Migration::by_name("bidirectional"),
        },
    }
}
