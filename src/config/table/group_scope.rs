//! Settings of a group.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Group:
    /// How often members of a consumer group send a heartbeat.
    CONSUMER_HEARTBEAT_INTERVAL_MS: i32 = with("consumer.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .synonyms(&["group.consumer.heartbeat.interval.ms"]);
    /// Silence after which a member of a consumer group is removed.
    CONSUMER_SESSION_TIMEOUT_MS: i32 = with("consumer.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .synonyms(&["group.consumer.session.timeout.ms"]);
    /// Where a share group starts without a position.
    SHARE_AUTO_OFFSET_RESET: String = with("share.auto.offset.reset", "latest")
        .check(Check::OffsetReset)
        .inert(inert::SHARE);
    /// How often members of a share group send a heartbeat.
    SHARE_HEARTBEAT_INTERVAL_MS: i32 = with("share.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .synonyms(&["group.share.heartbeat.interval.ms"])
        .inert(inert::SHARE);
    /// Whether a share group sees aborted records.
    SHARE_ISOLATION_LEVEL: String = with("share.isolation.level", "read_uncommitted")
        .check(Check::OneOf(&["read_committed", "read_uncommitted"]))
        .inert(inert::SHARE);
    /// How long a record is locked by the consumer that got it.
    SHARE_RECORD_LOCK_DURATION_MS: i32 = with("share.record.lock.duration.ms", "30000")
        .check(Check::AtLeast(1000))
        .synonyms(&["group.share.record.lock.duration.ms"])
        .inert(inert::SHARE);
    /// Silence after which a member of a share group is removed.
    SHARE_SESSION_TIMEOUT_MS: i32 = with("share.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .synonyms(&["group.share.session.timeout.ms"])
        .inert(inert::SHARE);
    /// How often members of a streams group send a heartbeat.
    STREAMS_HEARTBEAT_INTERVAL_MS: i32 = with("streams.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .synonyms(&["group.streams.heartbeat.interval.ms"])
        .inert(inert::STREAMS);
    /// Standby replicas of a task.
    STREAMS_NUM_STANDBY_REPLICAS: i32 = with("streams.num.standby.replicas", "0")
        .check(Check::AtLeast(0))
        .synonyms(&["group.streams.num.standby.replicas"])
        .inert(inert::STREAMS);
    /// Silence after which a member of a streams group is removed.
    STREAMS_SESSION_TIMEOUT_MS: i32 = with("streams.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .synonyms(&["group.streams.session.timeout.ms"])
        .inert(inert::STREAMS);
}
