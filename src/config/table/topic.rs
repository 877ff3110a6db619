//! Settings of a topic; each takes its default from the broker setting that it names.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Topic:
    /// When a write with acks=all is acknowledged; see the broker setting of this name.
    KLAMM_DURABILITY: String = with("klamm.durability", "fsync")
        .check(Check::OneOf(&["fsync", "os"]))
        .synonyms(&["klamm.durability"]);
    /// What becomes of old segments: deleted, compacted by key, or both.
    CLEANUP_POLICY: Vec<String> = with("cleanup.policy", "delete")
        .check(Check::EachOf(&["compact", "delete"]))
        .synonyms(&["log.cleanup.policy"]);
    /// Level of gzip where the broker compresses.
    COMPRESSION_GZIP_LEVEL: i32 = with("compression.gzip.level", "-1")
        .check(Check::GzipLevel)
        .synonyms(&["compression.gzip.level"]);
    /// Level of lz4 where the broker compresses.
    COMPRESSION_LZ4_LEVEL: i32 = with("compression.lz4.level", "9")
        .check(Check::Between(1, 17))
        .synonyms(&["compression.lz4.level"])
        .inert(inert::LZ4_LEVEL);
    /// Codec that batches are stored with; `producer` keeps the producer's.
    COMPRESSION_TYPE: String = with("compression.type", "producer")
        .check(Check::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
        .synonyms(&["compression.type"]);
    /// Level of zstd where the broker compresses.
    COMPRESSION_ZSTD_LEVEL: i32 = with("compression.zstd.level", "3")
        .check(Check::Between(-131_072, 22))
        .synonyms(&["compression.zstd.level"]);
    /// How long a tombstone stays in a compacted topic.
    DELETE_RETENTION_MS: i64 = with("delete.retention.ms", "86400000")
        .check(Check::AtLeast(0))
        .synonyms(&["log.cleaner.delete.retention.ms"]);
    /// Time between the removal of a segment from the log and that of its files.
    FILE_DELETE_DELAY_MS: i64 = with("file.delete.delay.ms", "60000")
        .check(Check::AtLeast(0))
        .synonyms(&["log.segment.delete.delay.ms"]);
    /// Sync after so many records.
    FLUSH_MESSAGES: i64 = with("flush.messages", "9223372036854775807")
        .check(Check::AtLeast(1))
        .synonyms(&["log.flush.interval.messages"]);
    /// Sync when the oldest record that is not on disk is so old.
    FLUSH_MS: i64 = with("flush.ms", "9223372036854775807")
        .check(Check::AtLeast(0))
        .synonyms(&["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]);
    /// Replicas whose fetching is throttled.
    FOLLOWER_REPLICATION_THROTTLED_REPLICAS: Vec<String> = with("follower.replication.throttled.replicas", "")
        .check(Check::ThrottledReplicas)
        .inert(inert::ONE_NODE);
    /// Bytes of log between two entries of the offset index.
    INDEX_INTERVAL_BYTES: i32 = with("index.interval.bytes", "4096")
        .check(Check::AtLeast(0))
        .synonyms(&["log.index.interval.bytes"]);
    /// Replicas whose being fetched is throttled.
    LEADER_REPLICATION_THROTTLED_REPLICAS: Vec<String> = with("leader.replication.throttled.replicas", "")
        .check(Check::ThrottledReplicas)
        .inert(inert::ONE_NODE);
    /// Bytes of a partition kept locally once a copy is in remote storage.
    LOCAL_RETENTION_BYTES: i64 = with("local.retention.bytes", "-2")
        .check(Check::AtLeast(-2))
        .synonyms(&["log.local.retention.bytes"])
        .inert(inert::REMOTE);
    /// Time that segments stay locally once a copy is in remote storage.
    LOCAL_RETENTION_MS: i64 = with("local.retention.ms", "-2")
        .check(Check::AtLeast(-2))
        .synonyms(&["log.local.retention.ms"])
        .inert(inert::REMOTE);
    /// Longest time that a record stays out of compaction.
    MAX_COMPACTION_LAG_MS: i64 = with("max.compaction.lag.ms", "9223372036854775807")
        .check(Check::AtLeast(1))
        .synonyms(&["log.cleaner.max.compaction.lag.ms"]);
    /// Largest record batch, in bytes as stored.
    MAX_MESSAGE_BYTES: i32 = with("max.message.bytes", "1048588")
        .check(Check::AtLeast(0))
        .synonyms(&["message.max.bytes"]);
    /// How far a record's timestamp may lie after the broker's time.
    MESSAGE_TIMESTAMP_AFTER_MAX_MS: i64 = with("message.timestamp.after.max.ms", "3600000")
        .check(Check::AtLeast(0))
        .synonyms(&["log.message.timestamp.after.max.ms"]);
    /// How far a record's timestamp may lie before the broker's time.
    MESSAGE_TIMESTAMP_BEFORE_MAX_MS: i64 = with("message.timestamp.before.max.ms", "9223372036854775807")
        .check(Check::AtLeast(0))
        .synonyms(&["log.message.timestamp.before.max.ms"]);
    /// Whether a record keeps its producer's time or gets that of its append.
    MESSAGE_TIMESTAMP_TYPE: String = with("message.timestamp.type", "CreateTime")
        .check(Check::OneOf(&["CreateTime", "LogAppendTime"]))
        .synonyms(&["log.message.timestamp.type"]);
    /// Share of a log that must be uncompacted before it is compacted.
    MIN_CLEANABLE_DIRTY_RATIO: f64 = with("min.cleanable.dirty.ratio", "0.5")
        .check(Check::Between(0, 1))
        .synonyms(&["log.cleaner.min.cleanable.ratio"]);
    /// Shortest time that a record stays out of compaction.
    MIN_COMPACTION_LAG_MS: i64 = with("min.compaction.lag.ms", "0")
        .check(Check::AtLeast(0))
        .synonyms(&["log.cleaner.min.compaction.lag.ms"]);
    /// Replicas that must be in sync for a write with acks=all.
    MIN_INSYNC_REPLICAS: i32 = with("min.insync.replicas", "1")
        .check(Check::AtLeast(1))
        .synonyms(&["min.insync.replicas"]);
    /// Whether a new segment file gets its full size at once.
    PREALLOCATE: bool = with("preallocate", "false").synonyms(&["log.preallocate"]);
    /// Stops copies to remote storage.
    REMOTE_LOG_COPY_DISABLE: bool = with("remote.log.copy.disable", "false").inert(inert::REMOTE);
    /// Whether remote data goes when remote storage is turned off.
    REMOTE_LOG_DELETE_ON_DISABLE: bool = with("remote.log.delete.on.disable", "false")
        .inert(inert::REMOTE);
    /// Whether the topic uses remote storage; refused, as there is none.
    REMOTE_STORAGE_ENABLE: bool = with("remote.storage.enable", "false").inert(inert::REMOTE);
    /// Size of a partition above which its oldest segments go; -1 for no bound.
    RETENTION_BYTES: i64 = with("retention.bytes", "-1")
        .synonyms(&["log.retention.bytes"]);
    /// Age above which segments go; -1 for no bound.
    RETENTION_MS: i64 = with("retention.ms", "604800000")
        .check(Check::AtLeast(-1))
        .synonyms(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"]);
    /// Size at which the log starts a new segment.
    SEGMENT_BYTES: i32 = with("segment.bytes", "1073741824")
        .check(Check::AtLeast(1_048_576))
        .synonyms(&["log.segment.bytes"]);
    /// Largest size of an offset index file.
    SEGMENT_INDEX_BYTES: i32 = with("segment.index.bytes", "10485760")
        .check(Check::AtLeast(4))
        .synonyms(&["log.index.size.max.bytes"]);
    /// Most that is taken at random from the time of a roll.
    SEGMENT_JITTER_MS: i64 = with("segment.jitter.ms", "0")
        .check(Check::AtLeast(0))
        .synonyms(&["log.roll.jitter.ms", "log.roll.jitter.hours"]);
    /// Age at which the log starts a new segment.
    SEGMENT_MS: i64 = with("segment.ms", "604800000")
        .check(Check::AtLeast(1))
        .synonyms(&["log.roll.ms", "log.roll.hours"]);
    /// Whether a replica that is out of sync may lead.
    UNCLEAN_LEADER_ELECTION_ENABLE: bool = with("unclean.leader.election.enable", "false")
        .synonyms(&["unclean.leader.election.enable"])
        .inert(inert::ONE_NODE);
}
