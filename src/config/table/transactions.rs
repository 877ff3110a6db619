//! Transactions.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// Longest retry of adding partitions to a transaction inside the broker.
    ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MAX_MS: i32 = with("add.partitions.to.txn.retry.backoff.max.ms", "100")
        .check(Check::AtLeast(0))
        .inert(inert::TRANSACTIONS);
    /// Pause between those retries.
    ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MS: i32 = with("add.partitions.to.txn.retry.backoff.ms", "20")
        .check(Check::AtLeast(1))
        .inert(inert::TRANSACTIONS);
    /// How often transactions that timed out are looked for.
    TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS: i32 = with("transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000")
        .check(Check::AtLeast(1))
        .inert(inert::TRANSACTIONS);
    /// Longest timeout that a transactional producer may ask for.
    TRANSACTION_MAX_TIMEOUT_MS: i32 = with("transaction.max.timeout.ms", "900000")
        .check(Check::AtLeast(1));
    /// Whether a write is checked to belong to an open transaction.
    TRANSACTION_PARTITION_VERIFICATION_ENABLE: bool = with("transaction.partition.verification.enable", "true")
        .dynamic()
        .inert(inert::TRANSACTIONS);
    /// How often expired transactional ids are looked for.
    TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS: i32 = with("transaction.remove.expired.transaction.cleanup.interval.ms", "3600000")
        .check(Check::AtLeast(1))
        .inert(inert::TRANSACTIONS);
    /// Batch size for loading `__transaction_state`.
    TRANSACTION_STATE_LOG_LOAD_BUFFER_SIZE: i32 = with("transaction.state.log.load.buffer.size", "5242880")
        .check(Check::AtLeast(1))
        .inert(inert::TRANSACTIONS);
    /// In-sync replicas that `__transaction_state` needs.
    TRANSACTION_STATE_LOG_MIN_ISR: i32 = with("transaction.state.log.min.isr", "1")
        .check(Check::AtLeast(1))
        .differs("2", "One node holds one replica.");
    /// Partitions of `__transaction_state`.
    TRANSACTION_STATE_LOG_NUM_PARTITIONS: i32 = with("transaction.state.log.num.partitions", "50")
        .check(Check::AtLeast(1));
    /// Replicas of `__transaction_state`.
    TRANSACTION_STATE_LOG_REPLICATION_FACTOR: i16 = with("transaction.state.log.replication.factor", "1")
        .check(Check::AtLeast(1))
        .differs("3", "One node holds one replica.")
        .inert(inert::TRANSACTIONS);
    /// Segment size of `__transaction_state`.
    TRANSACTION_STATE_LOG_SEGMENT_BYTES: i32 = with("transaction.state.log.segment.bytes", "104857600")
        .check(Check::AtLeast(1));
    /// Whether a transaction may be prepared and left open by its producer.
    TRANSACTION_TWO_PHASE_COMMIT_ENABLE: bool = with("transaction.two.phase.commit.enable", "false")
        .inert(inert::TRANSACTIONS);
    /// How long an unused transactional id is remembered.
    TRANSACTIONAL_ID_EXPIRATION_MS: i32 = with("transactional.id.expiration.ms", "604800000")
        .check(Check::AtLeast(1))
        .inert(inert::TRANSACTIONS);
}
