//! Groups and their offsets.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// Assignors of the consumer protocol; the first is the default.
    GROUP_CONSUMER_ASSIGNORS: Vec<String> = with("group.consumer.assignors", "uniform,range");
    /// Default of the groups' `consumer.heartbeat.interval.ms`.
    GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS: i32 = with("group.consumer.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1));
    /// Largest heartbeat interval of a consumer group.
    GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS: i32 = with("group.consumer.max.heartbeat.interval.ms", "15000")
        .check(Check::AtLeast(1));
    /// Largest session timeout of a consumer group.
    GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS: i32 = with("group.consumer.max.session.timeout.ms", "60000")
        .check(Check::AtLeast(1));
    /// Most members of a consumer group.
    GROUP_CONSUMER_MAX_SIZE: i32 = with("group.consumer.max.size", "2147483647")
        .check(Check::AtLeast(1));
    /// Whether groups may move between the classic and the consumer protocol.
    GROUP_CONSUMER_MIGRATION_POLICY: String = with("group.consumer.migration.policy", "bidirectional")
        .check(Check::OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]));
    /// Smallest heartbeat interval of a consumer group.
    GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS: i32 = with("group.consumer.min.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1));
    /// Smallest session timeout of a consumer group.
    GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS: i32 = with("group.consumer.min.session.timeout.ms", "45000")
        .check(Check::AtLeast(1));
    /// Default of the groups' `consumer.session.timeout.ms`.
    GROUP_CONSUMER_SESSION_TIMEOUT_MS: i32 = with("group.consumer.session.timeout.ms", "45000")
        .check(Check::AtLeast(1));
    /// How long the coordinator gathers writes.
    GROUP_COORDINATOR_APPEND_LINGER_MS: i32 = with("group.coordinator.append.linger.ms", "5")
        .check(Check::AtLeast(0))
        .inert(inert::LINGER);
    /// Group protocols that are enabled.
    GROUP_COORDINATOR_REBALANCE_PROTOCOLS: Vec<String> = with("group.coordinator.rebalance.protocols", "classic,consumer,streams")
        .check(Check::EachOf(&["consumer", "classic", "share", "streams"]));
    /// Threads of the coordinator.
    GROUP_COORDINATOR_THREADS: i32 = with("group.coordinator.threads", "4")
        .check(Check::AtLeast(1))
        .inert(inert::THREADS);
    /// Wait for more members before the first rebalance of a group.
    GROUP_INITIAL_REBALANCE_DELAY_MS: i32 = with("group.initial.rebalance.delay.ms", "0")
        .differs("3000", "A single consumer in development should not wait for others.");
    /// Largest session timeout of a classic member.
    GROUP_MAX_SESSION_TIMEOUT_MS: i32 = with("group.max.session.timeout.ms", "1800000");
    /// Most members of a classic group.
    GROUP_MAX_SIZE: i32 = with("group.max.size", "2147483647")
        .check(Check::AtLeast(1));
    /// Smallest session timeout of a classic member.
    GROUP_MIN_SESSION_TIMEOUT_MS: i32 = with("group.min.session.timeout.ms", "6000");
    /// Assignors of share groups.
    GROUP_SHARE_ASSIGNORS: Vec<String> = with("group.share.assignors", "simple")
        .inert(inert::SHARE);
    /// Deliveries of a record before it is given up.
    GROUP_SHARE_DELIVERY_COUNT_LIMIT: i32 = with("group.share.delivery.count.limit", "5")
        .check(Check::Between(2, 10))
        .inert(inert::SHARE);
    /// Default of the groups' `share.heartbeat.interval.ms`.
    GROUP_SHARE_HEARTBEAT_INTERVAL_MS: i32 = with("group.share.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Largest heartbeat interval of a share group.
    GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS: i32 = with("group.share.max.heartbeat.interval.ms", "15000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Longest lock of a record by a share consumer.
    GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS: i32 = with("group.share.max.record.lock.duration.ms", "60000")
        .check(Check::Between(30_000, 3_600_000))
        .inert(inert::SHARE);
    /// Largest session timeout of a share group.
    GROUP_SHARE_MAX_SESSION_TIMEOUT_MS: i32 = with("group.share.max.session.timeout.ms", "60000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Most share sessions of the broker.
    GROUP_SHARE_MAX_SHARE_SESSIONS: i32 = with("group.share.max.share.sessions", "2000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Most members of a share group.
    GROUP_SHARE_MAX_SIZE: i32 = with("group.share.max.size", "200")
        .check(Check::Between(1, 1000))
        .inert(inert::SHARE);
    /// Smallest heartbeat interval of a share group.
    GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS: i32 = with("group.share.min.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Shortest lock of a record by a share consumer.
    GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS: i32 = with("group.share.min.record.lock.duration.ms", "15000")
        .check(Check::Between(1000, 30_000))
        .inert(inert::SHARE);
    /// Smallest session timeout of a share group.
    GROUP_SHARE_MIN_SESSION_TIMEOUT_MS: i32 = with("group.share.min.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Most records of a partition that are locked at a time.
    GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS: i32 = with("group.share.partition.max.record.locks", "2000")
        .check(Check::Between(100, 10_000))
        .inert(inert::SHARE);
    /// Default of the groups' `share.record.lock.duration.ms`.
    GROUP_SHARE_RECORD_LOCK_DURATION_MS: i32 = with("group.share.record.lock.duration.ms", "30000")
        .check(Check::Between(1000, 3_600_000))
        .inert(inert::SHARE);
    /// Default of the groups' `share.session.timeout.ms`.
    GROUP_SHARE_SESSION_TIMEOUT_MS: i32 = with("group.share.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Default of the groups' `streams.heartbeat.interval.ms`.
    GROUP_STREAMS_HEARTBEAT_INTERVAL_MS: i32 = with("group.streams.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Largest heartbeat interval of a streams group.
    GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS: i32 = with("group.streams.max.heartbeat.interval.ms", "15000")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Largest session timeout of a streams group.
    GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS: i32 = with("group.streams.max.session.timeout.ms", "60000")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Most members of a streams group.
    GROUP_STREAMS_MAX_SIZE: i32 = with("group.streams.max.size", "2147483647")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Most standby replicas of a streams group.
    GROUP_STREAMS_MAX_STANDBY_REPLICAS: i32 = with("group.streams.max.standby.replicas", "2")
        .check(Check::AtLeast(0))
        .inert(inert::STREAMS);
    /// Smallest heartbeat interval of a streams group.
    GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS: i32 = with("group.streams.min.heartbeat.interval.ms", "5000")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Smallest session timeout of a streams group.
    GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS: i32 = with("group.streams.min.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Default of the groups' `streams.num.standby.replicas`.
    GROUP_STREAMS_NUM_STANDBY_REPLICAS: i32 = with("group.streams.num.standby.replicas", "0")
        .check(Check::AtLeast(0))
        .inert(inert::STREAMS);
    /// Default of the groups' `streams.session.timeout.ms`.
    GROUP_STREAMS_SESSION_TIMEOUT_MS: i32 = with("group.streams.session.timeout.ms", "45000")
        .check(Check::AtLeast(1))
        .inert(inert::STREAMS);
    /// Largest metadata of a committed offset.
    OFFSET_METADATA_MAX_BYTES: i32 = with("offset.metadata.max.bytes", "4096");
    /// How long a commit of offsets waits for its replicas.
    OFFSETS_COMMIT_TIMEOUT_MS: i32 = with("offsets.commit.timeout.ms", "5000")
        .check(Check::AtLeast(1))
        .inert(inert::COMMIT_WAIT);
    /// Batch size for loading `__consumer_offsets`.
    OFFSETS_LOAD_BUFFER_SIZE: i32 = with("offsets.load.buffer.size", "5242880")
        .check(Check::AtLeast(1));
    /// How often expired offsets are looked for.
    OFFSETS_RETENTION_CHECK_INTERVAL_MS: i64 = with("offsets.retention.check.interval.ms", "600000")
        .check(Check::AtLeast(1));
    /// How long offsets outlive their group.
    OFFSETS_RETENTION_MINUTES: i32 = with("offsets.retention.minutes", "10080")
        .check(Check::AtLeast(1));
    /// Codec of `__consumer_offsets`.
    OFFSETS_TOPIC_COMPRESSION_CODEC: i32 = with("offsets.topic.compression.codec", "0");
    /// Partitions of `__consumer_offsets`.
    OFFSETS_TOPIC_NUM_PARTITIONS: i32 = with("offsets.topic.num.partitions", "50")
        .check(Check::AtLeast(1));
    /// Replicas of `__consumer_offsets`.
    OFFSETS_TOPIC_REPLICATION_FACTOR: i16 = with("offsets.topic.replication.factor", "1")
        .check(Check::AtLeast(1))
        .differs("3", "One node holds one replica.")
        .inert(inert::ONE_NODE);
    /// Segment size of `__consumer_offsets`.
    OFFSETS_TOPIC_SEGMENT_BYTES: i32 = with("offsets.topic.segment.bytes", "104857600")
        .check(Check::AtLeast(1));
    /// How long the share coordinator gathers writes.
    SHARE_COORDINATOR_APPEND_LINGER_MS: i32 = with("share.coordinator.append.linger.ms", "5")
        .check(Check::AtLeast(0))
        .inert(inert::SHARE);
    /// Batch size for loading `__share_group_state`.
    SHARE_COORDINATOR_LOAD_BUFFER_SIZE: i32 = with("share.coordinator.load.buffer.size", "5242880")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
    /// Updates between two snapshots of a share partition.
    SHARE_COORDINATOR_SNAPSHOT_UPDATE_RECORDS_PER_SNAPSHOT: i32 = with("share.coordinator.snapshot.update.records.per.snapshot", "500")
        .check(Check::AtLeast(0))
        .inert(inert::SHARE);
    /// Codec of `__share_group_state`.
    SHARE_COORDINATOR_STATE_TOPIC_COMPRESSION_CODEC: i32 = with("share.coordinator.state.topic.compression.codec", "0")
        .inert(inert::SHARE);
    /// In-sync replicas that `__share_group_state` needs.
    SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: i16 = with("share.coordinator.state.topic.min.isr", "1")
        .check(Check::AtLeast(1))
        .differs("2", "One node holds one replica.");
    /// Partitions of `__share_group_state`.
    SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS: i32 = with("share.coordinator.state.topic.num.partitions", "50")
        .check(Check::AtLeast(1));
    /// Replicas of `__share_group_state`.
    SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: i16 = with("share.coordinator.state.topic.replication.factor", "1")
        .check(Check::AtLeast(1))
        .differs("3", "One node holds one replica.")
        .inert(inert::SHARE);
    /// Segment size of `__share_group_state`.
    SHARE_COORDINATOR_STATE_TOPIC_SEGMENT_BYTES: i32 = with("share.coordinator.state.topic.segment.bytes", "104857600")
        .check(Check::AtLeast(1));
    /// Threads of the share coordinator.
    SHARE_COORDINATOR_THREADS: i32 = with("share.coordinator.threads", "1")
        .check(Check::AtLeast(1))
        .inert(inert::THREADS);
    /// How long a write of share state waits.
    SHARE_COORDINATOR_WRITE_TIMEOUT_MS: i32 = with("share.coordinator.write.timeout.ms", "5000")
        .check(Check::AtLeast(1))
        .inert(inert::SHARE);
}
