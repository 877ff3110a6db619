//! What brokers do among themselves.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// Whether leadership goes back to the preferred replicas by itself.
    AUTO_LEADER_REBALANCE_ENABLE: bool = with("auto.leader.rebalance.enable", "true")
        .inert(inert::ONE_NODE);
    /// Whether a stopping broker hands over its leaderships first.
    CONTROLLED_SHUTDOWN_ENABLE: bool = with("controlled.shutdown.enable", "true")
        .inert(inert::ONE_NODE);
    /// How often leadership is compared with the preferred replicas.
    LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS: i64 = with("leader.imbalance.check.interval.seconds", "300")
        .check(Check::AtLeast(1))
        .inert(inert::ONE_NODE);
    /// Threads that move replicas between directories.
    NUM_REPLICA_ALTER_LOG_DIRS_THREADS: Option<i32> = unset("num.replica.alter.log.dirs.threads")
        .inert(inert::ONE_DIRECTORY);
    /// Threads that fetch from each other broker.
    NUM_REPLICA_FETCHERS: i32 = with("num.replica.fetchers", "1").dynamic().inert(inert::ONE_NODE);
    /// Pause after an error in fetching from a leader.
    REPLICA_FETCH_BACKOFF_MS: i32 = with("replica.fetch.backoff.ms", "1000")
        .check(Check::AtLeast(0))
        .inert(inert::ONE_NODE);
    /// Bytes of one partition in a fetch by a follower.
    REPLICA_FETCH_MAX_BYTES: i32 = with("replica.fetch.max.bytes", "1048576")
        .check(Check::AtLeast(0))
        .inert(inert::ONE_NODE);
    /// Least bytes that a follower waits for.
    REPLICA_FETCH_MIN_BYTES: i32 = with("replica.fetch.min.bytes", "1").inert(inert::ONE_NODE);
    /// Bytes of a whole fetch by a follower.
    REPLICA_FETCH_RESPONSE_MAX_BYTES: i32 = with("replica.fetch.response.max.bytes", "10485760")
        .check(Check::AtLeast(0))
        .inert(inert::ONE_NODE);
    /// Longest wait of a fetch by a follower.
    REPLICA_FETCH_WAIT_MAX_MS: i32 = with("replica.fetch.wait.max.ms", "500")
        .inert(inert::ONE_NODE);
    /// How often Kafka writes the high watermarks.
    REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS: i64 = with("replica.high.watermark.checkpoint.interval.ms", "5000")
        .inert(inert::CHECKPOINTS);
    /// How long a follower may lag before it is out of sync.
    REPLICA_LAG_TIME_MAX_MS: i64 = with("replica.lag.time.max.ms", "30000").inert(inert::ONE_NODE);
    /// Java class that picks the replica to read from.
    REPLICA_SELECTOR_CLASS: Option<String> = unset("replica.selector.class").inert(inert::JVM);
    /// SO_RCVBUF of a follower's sockets.
    REPLICA_SOCKET_RECEIVE_BUFFER_BYTES: i32 = with("replica.socket.receive.buffer.bytes", "65536")
        .inert(inert::ONE_NODE);
    /// Timeout of a follower's sockets.
    REPLICA_SOCKET_TIMEOUT_MS: i32 = with("replica.socket.timeout.ms", "30000")
        .inert(inert::ONE_NODE);
}
