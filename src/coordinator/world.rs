//! What groups have to know of the rest of the broker.

use std::sync::Arc;

use uuid::Uuid;

use super::consumer::Assignor;

/// Settings of groups (`group.…`, `offsets.…`), as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`; Kafka counts UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_check_interval_ms: i64,
    /// Those of consumer groups.
    pub consumer: ConsumerSettings,
}

/// Settings of consumer groups (`group.consumer.…`).
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerSettings {
    /// `group.consumer.assignors`: the first is for groups whose members do not choose.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.max.size`.
    pub size_max: usize,
    /// For groups that have none of their own.
    pub timeouts: ConsumerTimeouts,
    /// `group.consumer.migration.policy`.
    pub migration: Migration,
}

/// Which way groups may change their kind while their members go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// From classic to consumer groups.
    pub upgrade: bool,
    /// From consumer to classic groups.
    pub downgrade: bool,
}

impl Migration {
    /// By the name of a policy, in any case.
    pub fn by_name(name: &str) -> Self {
        let both = name.eq_ignore_ascii_case("bidirectional");
        Self {
            upgrade: both || name.eq_ignore_ascii_case("upgrade"),
            downgrade: both || name.eq_ignore_ascii_case("downgrade"),
        }
    }
}

/// Timeouts of the members of a consumer group, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTimeouts {
    /// `consumer.session.timeout.ms`.
    pub session_ms: i32,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_ms: i32,
}

/// What is set for some groups only.
pub trait GroupOverrides: std::fmt::Debug + Send + Sync {
    /// The timeouts of a group, where they are not `general`.
    fn consumer_timeouts(&self, group: &str, general: ConsumerTimeouts) -> ConsumerTimeouts;
}

/// A topic, as far as groups have to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownTopic {
    /// Its id: another topic of the same name has another.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// The topics of the broker, as they are now.
pub trait Topics: std::fmt::Debug + Send + Sync {
    /// A topic by name.
    fn topic(&self, name: &str) -> Option<KnownTopic>;
    /// The name of the topic that has this id.
    fn name(&self, id: Uuid) -> Option<String>;
    /// Tells of every name.
    fn for_each(&self, visit: &mut dyn FnMut(&str));
    /// Another number whenever a topic was created, deleted or has grown.
    fn version(&self) -> i64;
}

/// What a shard of groups is lent with every event.
#[derive(Clone, Debug)]
pub struct GroupWorld {
    /// Settings.
    pub settings: Arc<GroupSettings>,
    /// Topics.
    pub topics: Arc<dyn Topics>,
    /// What is set for some groups only.
    pub overrides: Arc<dyn GroupOverrides>,
}
