//! The log: directories, segments, flushing, retention, the cleaner.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// The data directory, if `log.dirs` names none.
    LOG_DIR: String = with("log.dir", "./klamm-data")
        .differs("/tmp/kafka-logs", "A directory below the working directory survives a reboot and belongs to who started the broker.");
    /// The data directories; one for now.
    LOG_DIRS: Option<String> = unset("log.dirs");
    /// How long a broker waits to tell the controller of a failed directory.
    LOG_DIR_FAILURE_TIMEOUT_MS: i64 = with("log.dir.failure.timeout.ms", "30000")
        .check(Check::AtLeast(1))
        .inert(inert::CONTROLLER);
    /// Pause of the cleaner when there is nothing to clean.
    LOG_CLEANER_BACKOFF_MS: i64 = with("log.cleaner.backoff.ms", "15000")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Memory of the cleaner for keys, in bytes.
    LOG_CLEANER_DEDUPE_BUFFER_SIZE: i64 = with("log.cleaner.dedupe.buffer.size", "134217728")
        .dynamic();
    /// Default of the topics' `delete.retention.ms`.
    LOG_CLEANER_DELETE_RETENTION_MS: i64 = with("log.cleaner.delete.retention.ms", "86400000")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Whether the cleaner runs.
    LOG_CLEANER_ENABLE: bool = with("log.cleaner.enable", "true");
    /// How full the cleaner's table of keys may get.
    LOG_CLEANER_IO_BUFFER_LOAD_FACTOR: f64 = with("log.cleaner.io.buffer.load.factor", "0.9")
        .dynamic();
    /// Memory of the cleaner for reading and writing, in bytes.
    LOG_CLEANER_IO_BUFFER_SIZE: i32 = with("log.cleaner.io.buffer.size", "524288")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Most that the cleaner reads and writes in a second.
    LOG_CLEANER_IO_MAX_BYTES_PER_SECOND: f64 = with("log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308")
        .dynamic();
    /// Default of the topics' `max.compaction.lag.ms`.
    LOG_CLEANER_MAX_COMPACTION_LAG_MS: i64 = with("log.cleaner.max.compaction.lag.ms", "9223372036854775807")
        .check(Check::AtLeast(1))
        .dynamic();
    /// Default of the topics' `min.cleanable.dirty.ratio`.
    LOG_CLEANER_MIN_CLEANABLE_RATIO: f64 = with("log.cleaner.min.cleanable.ratio", "0.5")
        .check(Check::Between(0, 1))
        .dynamic();
    /// Default of the topics' `min.compaction.lag.ms`.
    LOG_CLEANER_MIN_COMPACTION_LAG_MS: i64 = with("log.cleaner.min.compaction.lag.ms", "0")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Threads of the cleaner.
    LOG_CLEANER_THREADS: i32 = with("log.cleaner.threads", "1")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Default of the topics' `cleanup.policy`.
    LOG_CLEANUP_POLICY: Vec<String> = with("log.cleanup.policy", "delete")
        .check(Check::EachOf(&["compact", "delete"]))
        .dynamic();
    /// Default of the topics' `flush.messages`.
    LOG_FLUSH_INTERVAL_MESSAGES: i64 = with("log.flush.interval.messages", "9223372036854775807")
        .check(Check::AtLeast(1))
        .dynamic();
    /// Default of the topics' `flush.ms`; `log.flush.scheduler.interval.ms` if unset.
    LOG_FLUSH_INTERVAL_MS: Option<i64> = unset("log.flush.interval.ms").dynamic();
    /// How often Kafka writes the recovery point.
    LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS: i32 = with("log.flush.offset.checkpoint.interval.ms", "60000")
        .check(Check::AtLeast(0))
        .inert(inert::CHECKPOINTS);
    /// How often Kafka looks for logs to flush; default of `log.flush.interval.ms`.
    LOG_FLUSH_SCHEDULER_INTERVAL_MS: i64 = with("log.flush.scheduler.interval.ms", "9223372036854775807")
;
    /// How often Kafka writes the log start offsets.
    LOG_FLUSH_START_OFFSET_CHECKPOINT_INTERVAL_MS: i32 = with("log.flush.start.offset.checkpoint.interval.ms", "60000")
        .check(Check::AtLeast(0))
        .inert(inert::CHECKPOINTS);
    /// Default of the topics' `index.interval.bytes`.
    LOG_INDEX_INTERVAL_BYTES: i32 = with("log.index.interval.bytes", "4096")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Default of the topics' `segment.index.bytes`.
    LOG_INDEX_SIZE_MAX_BYTES: i32 = with("log.index.size.max.bytes", "10485760")
        .check(Check::AtLeast(4))
        .dynamic();
    /// Default of the topics' `local.retention.bytes`.
    LOG_LOCAL_RETENTION_BYTES: i64 = with("log.local.retention.bytes", "-2")
        .check(Check::AtLeast(-2))
        .dynamic()
        .inert(inert::REMOTE);
    /// Default of the topics' `local.retention.ms`.
    LOG_LOCAL_RETENTION_MS: i64 = with("log.local.retention.ms", "-2")
        .check(Check::AtLeast(-2))
        .dynamic()
        .inert(inert::REMOTE);
    /// Default of the topics' `message.timestamp.after.max.ms`.
    LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS: i64 = with("log.message.timestamp.after.max.ms", "3600000")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Default of the topics' `message.timestamp.before.max.ms`.
    LOG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS: i64 = with("log.message.timestamp.before.max.ms", "9223372036854775807")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Default of the topics' `message.timestamp.type`.
    LOG_MESSAGE_TIMESTAMP_TYPE: String = with("log.message.timestamp.type", "CreateTime")
        .check(Check::OneOf(&["CreateTime", "LogAppendTime"]))
        .dynamic();
    /// Default of the topics' `preallocate`.
    LOG_PREALLOCATE: bool = with("log.preallocate", "false").dynamic();
    /// Default of the topics' `retention.bytes`.
    LOG_RETENTION_BYTES: i64 = with("log.retention.bytes", "-1").dynamic();
    /// How often old segments are looked for.
    LOG_RETENTION_CHECK_INTERVAL_MS: i64 = with("log.retention.check.interval.ms", "300000")
        .check(Check::AtLeast(1));
    /// Default of the topics' `retention.ms`, in hours, after the finer units.
    LOG_RETENTION_HOURS: i32 = with("log.retention.hours", "168");
    /// Default of the topics' `retention.ms`, in minutes, after `log.retention.ms`.
    LOG_RETENTION_MINUTES: Option<i32> = unset("log.retention.minutes");
    /// Default of the topics' `retention.ms`.
    LOG_RETENTION_MS: Option<i64> = unset("log.retention.ms").dynamic();
    /// Default of the topics' `segment.ms`, in hours, after `log.roll.ms`.
    LOG_ROLL_HOURS: i32 = with("log.roll.hours", "168").check(Check::AtLeast(1));
    /// Default of the topics' `segment.jitter.ms`, in hours, after `log.roll.jitter.ms`.
    LOG_ROLL_JITTER_HOURS: i32 = with("log.roll.jitter.hours", "0").check(Check::AtLeast(0));
    /// Default of the topics' `segment.jitter.ms`.
    LOG_ROLL_JITTER_MS: Option<i64> = unset("log.roll.jitter.ms").dynamic();
    /// Default of the topics' `segment.ms`.
    LOG_ROLL_MS: Option<i64> = unset("log.roll.ms").dynamic();
    /// Default of the topics' `segment.bytes`.
    LOG_SEGMENT_BYTES: i32 = with("log.segment.bytes", "1073741824")
        .check(Check::AtLeast(1_048_576))
        .dynamic();
    /// Default of the topics' `file.delete.delay.ms`.
    LOG_SEGMENT_DELETE_DELAY_MS: i64 = with("log.segment.delete.delay.ms", "60000")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Threads that recover and flush a data directory at start and stop.
    NUM_RECOVERY_THREADS_PER_DATA_DIR: i32 = with("num.recovery.threads.per.data.dir", "2")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::THREADS);
    /// How long an idempotent producer is remembered after its last batch.
    PRODUCER_ID_EXPIRATION_MS: i32 = with("producer.id.expiration.ms", "86400000")
        .check(Check::AtLeast(1))
        .dynamic();
}
