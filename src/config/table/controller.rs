//! The controller, its quorum and the metadata log.

use super::{inert, settings};
use crate::config::check::Check;
use crate::config::setting::Class;

settings! { Broker:
    /// Java class that may refuse a change of configuration.
    ALTER_CONFIG_POLICY_CLASS_NAME: Option<Class> = unset("alter.config.policy.class.name")
        .inert(inert::JVM);
    /// How often a broker tells the controller that it lives.
    BROKER_HEARTBEAT_INTERVAL_MS: i32 = with("broker.heartbeat.interval.ms", "2000")
        .inert(inert::CONTROLLER);
    /// Silence after which the controller fences a broker.
    BROKER_SESSION_TIMEOUT_MS: i32 = with("broker.session.timeout.ms", "9000")
        .inert(inert::CONTROLLER);
    /// Listeners of the controller.
    CONTROLLER_LISTENER_NAMES: Option<String> = unset("controller.listener.names")
        .inert(inert::CONTROLLER);
    /// How long the quorum's leader gathers writes.
    CONTROLLER_QUORUM_APPEND_LINGER_MS: i32 = with("controller.quorum.append.linger.ms", "25")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// Where to find the quorum.
    CONTROLLER_QUORUM_BOOTSTRAP_SERVERS: Vec<String> = with("controller.quorum.bootstrap.servers", "")
        .check(Check::HostPorts)
        .inert(inert::CONTROLLER);
    /// Longest pause between elections.
    CONTROLLER_QUORUM_ELECTION_BACKOFF_MAX_MS: i32 = with("controller.quorum.election.backoff.max.ms", "1000")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// How long an election waits for votes.
    CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS: i32 = with("controller.quorum.election.timeout.ms", "1000")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// Silence of the leader after which a voter stands for election.
    CONTROLLER_QUORUM_FETCH_TIMEOUT_MS: i32 = with("controller.quorum.fetch.timeout.ms", "2000")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// Timeout of requests within the quorum.
    CONTROLLER_QUORUM_REQUEST_TIMEOUT_MS: i32 = with("controller.quorum.request.timeout.ms", "2000")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// Pause between retries within the quorum.
    CONTROLLER_QUORUM_RETRY_BACKOFF_MS: i32 = with("controller.quorum.retry.backoff.ms", "20")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// The voters of the quorum: `id@host:port`, separated by commas.
    CONTROLLER_QUORUM_VOTERS: Vec<String> = with("controller.quorum.voters", "")
        .check(Check::Voters)
        .inert(inert::CONTROLLER);
    /// Timeout of sockets to the controller.
    CONTROLLER_SOCKET_TIMEOUT_MS: i32 = with("controller.socket.timeout.ms", "30000")
        .inert(inert::CONTROLLER);
    /// How long a starting broker waits to be registered.
    INITIAL_BROKER_REGISTRATION_TIMEOUT_MS: i32 = with("initial.broker.registration.timeout.ms", "60000")
        .inert(inert::CONTROLLER);
    /// Directory of the metadata log; it lies with the other logs here.
    METADATA_LOG_DIR: Option<String> = unset("metadata.log.dir").inert(inert::METADATA_DIR);
    /// Bytes of metadata log after which a snapshot is written.
    METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS: i64 = with("metadata.log.max.record.bytes.between.snapshots", "20971520")
        .check(Check::AtLeast(1));
    /// Time after which a snapshot is written, if there is anything new; 0 for never.
    METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS: i64 = with("metadata.log.max.snapshot.interval.ms", "3600000")
        .check(Check::AtLeast(0));
    /// Segment size of the metadata log.
    METADATA_LOG_SEGMENT_BYTES: i32 = with("metadata.log.segment.bytes", "1073741824")
        .check(Check::AtLeast(8_388_608))
        .inert(inert::METADATA_LOG);
    /// Age at which the metadata log starts a new segment.
    METADATA_LOG_SEGMENT_MS: i64 = with("metadata.log.segment.ms", "604800000")
        .inert(inert::METADATA_LOG);
    /// How often an idle controller writes a no-op record.
    METADATA_MAX_IDLE_INTERVAL_MS: i32 = with("metadata.max.idle.interval.ms", "500")
        .check(Check::AtLeast(0))
        .inert(inert::CONTROLLER);
    /// Size of the metadata log and its snapshots above which old ones go.
    METADATA_MAX_RETENTION_BYTES: i64 = with("metadata.max.retention.bytes", "104857600")
        .inert(inert::METADATA_LOG);
    /// Age above which metadata segments and snapshots go.
    METADATA_MAX_RETENTION_MS: i64 = with("metadata.max.retention.ms", "604800000")
        .inert(inert::METADATA_LOG);
}
