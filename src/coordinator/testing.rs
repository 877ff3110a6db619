//! Drives a shard as a broker does, with a log that is a list and a clock that is a number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::classic::{Join, Joined, Leave, LeftMember, Protocol, Sync, Synced};
use super::{
    Commit, ConsumerSettings, ConsumerTimeouts, Failure, GroupOverrides, GroupSettings, GroupWorld,
    Identity, KnownTopic, LogRecord, Machine, Migration, Moment, OffsetCommit, Outcome, Reply,
    Shard, Topics, Waiter,
};
use crate::model::Timestamp;
use crate::wire::groups::GroupRecord;

/// Wall-clock time at which every test begins.
pub(crate) const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
/// Session timeout of members, unless a test says otherwise.
pub(crate) const SESSION_MS: i32 = 10_000;
/// Rebalance timeout of members, unless a test says otherwise.
pub(crate) const REBALANCE_MS: i32 = 30_000;

#[derive(Debug, Default)]
struct Known(BTreeMap<String, KnownTopic>);

impl Topics for Known {
    fn topic(&self, name: &str) -> Option<KnownTopic> {
        self.0.get(name).copied()
    }

    fn name(&self, id: Uuid) -> Option<String> {
        let found = self.0.iter().find(|(_, topic)| topic.id == id);
        found.map(|(name, _)| name.clone())
    }

    fn for_each(&self, visit: &mut dyn FnMut(&str)) {
        for name in self.0.keys() {
            visit(name);
        }
    }

    fn version(&self) -> i64 {
        0
    }
}

#[derive(Debug)]
struct NoOverrides;

impl GroupOverrides for NoOverrides {
    fn consumer_timeouts(&self, _group: &str, general: ConsumerTimeouts) -> ConsumerTimeouts {
        general
    }
}

/// A shard with its surroundings.
pub(crate) struct Bench {
    pub(crate) shard: Shard,
    pub(crate) settings: GroupSettings,
    /// Everything that was appended, and survives a restart.
    pub(crate) log: Vec<GroupRecord>,
    topics: BTreeMap<String, KnownTopic>,
    now: Duration,
    replies: HashMap<Waiter, Reply>,
    waiters: u64,
}

impl Bench {
    /// An empty shard, and the topics `t` and `u` with four partitions each.
    pub(crate) fn new() -> Self {
        let mut bench = Self {
            shard: Shard::new(1),
            settings: GroupSettings {
                session_timeout_min_ms: 1_000,
                session_timeout_max_ms: 60_000,
                initial_rebalance_delay_ms: 0,
                size_max: usize::MAX,
                offset_metadata_max: 10,
                offsets_retention_ms: 7 * 24 * 3_600_000,
                offsets_check_interval_ms: 600_000,
                consumer: ConsumerSettings {
                    assignors: Vec::new(),
                    size_max: usize::MAX,
                    timeouts: ConsumerTimeouts {
                        session_ms: SESSION_MS,
                        heartbeat_ms: 1_000,
                    },
                    migration: Migration::by_name("bidirectional"),
                },
            },
            log: Vec::new(),
            topics: BTreeMap::new(),
            now: Duration::ZERO,
            replies: HashMap::new(),
            waiters: 0,
        };
        bench.create_topic("t", 1);
        bench.create_topic("u", 2);
        bench.begin();
        bench
    }

    /// Creates a topic with that id, or one anew.
    pub(crate) fn create_topic(&mut self, name: &str, id: u128) {
        let topic = KnownTopic {
            id: Uuid::from_u128(id),
            partitions: 4,
        };
        self.topics.insert(name.to_owned(), topic);
    }

    /// Deletes a topic; the shard is not told.
    pub(crate) fn delete_topic(&mut self, name: &str) -> Uuid {
        self.topics.remove(name).unwrap().id
    }

    fn run(&mut self, event: impl FnOnce(&mut Shard, Moment<'_, GroupWorld>) -> Outcome) {
        let world = GroupWorld {
            settings: Arc::new(self.settings.clone()),
            topics: Arc::new(Known(self.topics.clone())),
            overrides: Arc::new(NoOverrides),
        };
        let moment = Moment {
            now: self.now,
            wall: Timestamp(BEGIN.0 + i64::try_from(self.now.as_millis()).unwrap()),
            world: &world,
        };
        let outcome = event(&mut self.shard, moment);
        for record in outcome.records {
            let (key, value) = record.to_bytes().unwrap();
            let record = GroupRecord::from_bytes(&key, value.as_deref()).unwrap();
            self.log.push(record.clone());
            self.shard.replay(record);
        }
        for (waiter, reply) in outcome.replies {
            let before = self.replies.insert(waiter, reply);
            assert_eq!(before, None, "{waiter:?} is answered twice");
        }
    }

    fn begin(&mut self) {
        self.run(Machine::loaded);
    }

    /// The broker stops, and another one loads the log.
    pub(crate) fn restart(&mut self) {
        self.shard = Shard::new(2);
        for record in self.log.clone() {
            self.shard.load(record);
        }
        self.begin();
    }

    /// Runs a request.
    pub(crate) fn ask(
        &mut self,
        event: impl FnOnce(&mut Shard, Waiter, Moment<'_, GroupWorld>) -> Outcome,
    ) -> Waiter {
        self.waiters += 1;
        let waiter = Waiter(self.waiters);
        self.run(|shard, moment| event(shard, waiter, moment));
        waiter
    }

    /// Lets time go by, deadline by deadline.
    pub(crate) fn pass(&mut self, ms: i32) {
        let end = self.now + Duration::from_millis(u64::try_from(ms).unwrap());
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.run(|shard, moment| shard.pass_time(moment).unwrap_or_default());
        }
        self.now = end;
    }

    /// The answer, if it has come.
    pub(crate) fn reply(&mut self, waiter: Waiter) -> Option<Reply> {
        self.replies.remove(&waiter)
    }

    #[track_caller]
    pub(crate) fn joined(&mut self, waiter: Waiter) -> Joined {
        match self.reply(waiter) {
            Some(Reply::Joined(joined)) => *joined,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn synced(&mut self, waiter: Waiter) -> Synced {
        match self.reply(waiter) {
            Some(Reply::Synced(synced)) => synced,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn join(&mut self, request: Join) -> Waiter {
        self.ask(|shard, waiter, moment| shard.join("g", request, waiter, moment))
    }

    pub(crate) fn sync(&mut self, request: Sync) -> Waiter {
        self.ask(|shard, waiter, moment| shard.sync("g", request, waiter, moment))
    }

    #[track_caller]
    pub(crate) fn heartbeat(&mut self, member: &str, generation: i32) -> Result<(), Failure> {
        self.heartbeat_of(&identity(member, generation))
    }

    #[track_caller]
    pub(crate) fn heartbeat_of(&mut self, who: &Identity) -> Result<(), Failure> {
        let waiter = self.ask(|shard, waiter, moment| shard.heartbeat("g", who, waiter, moment));
        match self.reply(waiter) {
            Some(Reply::Alive(alive)) => alive,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn leave(&mut self, leaving: &[Leave]) -> Result<Vec<LeftMember>, Failure> {
        let leaving = leaving.to_vec();
        let waiter = self.ask(|shard, waiter, moment| shard.leave("g", leaving, waiter, moment));
        match self.reply(waiter) {
            Some(Reply::Left(left)) => left,
            other => panic!("{other:?}"),
        }
    }

    /// Joins as a new dynamic member of version 3: at once, without asking for an id first.
    pub(crate) fn join_new(&mut self) -> Waiter {
        self.join(join(""))
    }

    /// A member alone in a stable group.
    #[track_caller]
    pub(crate) fn alone(&mut self, request: Join) -> Joined {
        let waiter = self.join(request);
        let joined = self.joined(waiter);
        assert_eq!(joined.failure, None);
        let waiter = self.sync(sync(&joined, &[(&joined.member_id, "all")]));
        assert_eq!(self.synced(waiter).assignment, "all");
        joined
    }

    /// Two members in a stable group, the leader first. `second` joins a group that is stable
    /// with `first`.
    #[track_caller]
    pub(crate) fn pair(&mut self, first: Join, second: Join) -> (Joined, Joined) {
        let leader = self.alone(first.clone());
        let second = self.join(second);
        let again = Join {
            member_id: leader.member_id.clone(),
            ..first
        };
        let first = self.join(again);
        let (first, second) = (self.joined(first), self.joined(second));
        let of_both = [(&*first.member_id, "a"), (&*second.member_id, "b")];
        let waits = self.sync(sync(&second, &[]));
        let leads = self.sync(sync(&first, &of_both));
        assert_eq!(self.synced(leads).assignment, "a");
        assert_eq!(self.synced(waits).assignment, "b");
        (first, second)
    }

    /// Kafka's name of the group's state.
    pub(crate) fn state(&self) -> &'static str {
        self.shard.describe("g").map_or("none", |group| group.state)
    }

    #[track_caller]
    pub(crate) fn commit(
        &mut self,
        who: &Identity,
        commits: &[Commit],
    ) -> Vec<Result<(), Failure>> {
        self.commit_kept(who, commits, None)
    }

    #[track_caller]
    pub(crate) fn commit_kept(
        &mut self,
        who: &Identity,
        commits: &[Commit],
        retention_ms: Option<i64>,
    ) -> Vec<Result<(), Failure>> {
        let request = OffsetCommit {
            who: who.clone(),
            commits: commits.to_vec(),
            knows_epochs: true,
            retention_ms,
        };
        let waiter = self.ask(|shard, waiter, moment| shard.commit("g", &request, waiter, moment));
        match self.reply(waiter) {
            Some(Reply::Committed(results)) => results,
            other => panic!("{other:?}"),
        }
    }

    /// The committed offset of a partition.
    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        let committed = self.shard.committed("g", topic, partition)?;
        Some(committed.offset)
    }

    /// The topics were deleted.
    pub(crate) fn topics_deleted(&mut self, gone: &[(&str, Uuid)]) {
        let gone = gone.iter().map(|(name, id)| ((*name).to_owned(), *id));
        let gone: BTreeMap<String, Uuid> = gone.collect();
        self.run(|shard, _| shard.topics_deleted(&gone));
    }
}

/// A JoinGroup of a member of the consumer protocol that subscribes to `t`.
pub(crate) fn join(member: &str) -> Join {
    Join {
        member_id: member.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", &["t"])],
        requires_known_member_id: false,
        supports_skipping_assignment: false,
    }
}

/// A JoinGroup of a static member.
pub(crate) fn join_static(member: &str, instance: &str) -> Join {
    Join {
        instance_id: Some(instance.to_owned()),
        ..join(member)
    }
}

/// A protocol with a subscription to these topics.
pub(crate) fn protocol(name: &str, topics: &[&str]) -> Protocol {
    let mut metadata = vec![0, 1];
    metadata.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        metadata.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        metadata.extend(topic.as_bytes());
    }
    metadata.extend([0xff; 4]);
    Protocol {
        name: name.to_owned(),
        metadata: Bytes::from(metadata),
    }
}

/// A SyncGroup of whoever joined, with these assignments.
pub(crate) fn sync(joined: &Joined, assignments: &[(&str, &str)]) -> Sync {
    let assignments = assignments.iter();
    Sync {
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
        protocol_type: joined.protocol_type.clone(),
        protocol: joined.protocol.clone(),
        assignments: assignments
            .map(|(member, what)| {
                (
                    (*member).to_owned(),
                    Bytes::copy_from_slice(what.as_bytes()),
                )
            })
            .collect(),
    }
}

pub(crate) fn identity(member: &str, generation: i32) -> Identity {
    Identity {
        member_id: member.to_owned(),
        instance_id: None,
        generation,
    }
}

/// Somebody who is no member of anything.
pub(crate) fn nobody() -> Identity {
    identity("", -1)
}

pub(crate) fn leave(member: &str) -> Leave {
    Leave {
        member_id: member.to_owned(),
        instance_id: None,
    }
}

pub(crate) fn leave_static(instance: &str) -> Leave {
    Leave {
        member_id: String::new(),
        instance_id: Some(instance.to_owned()),
    }
}

pub(crate) fn commit(topic: &str, partition: i32, offset: i64) -> Commit {
    Commit {
        topic: topic.to_owned(),
        partition,
        offset,
        leader_epoch: 3,
        metadata: "kept".to_owned(),
    }
}
