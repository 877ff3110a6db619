//! Sockets, requests and their limits.

use super::{inert, settings};
use crate::config::check::Check;

/// Why the buffers of sockets are left to the system.
const BUFFERS: &str = "Linux lets the buffers of connections grow that need it; with fixed ones fetches and large batches take a fifth more CPU.";

settings! { Broker:
    /// Threads for Kafka's background tasks.
    BACKGROUND_THREADS: i32 = with("background.threads", "10")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::THREADS);
    /// Threads that work on requests in Kafka.
    NUM_IO_THREADS: i32 = with("num.io.threads", "8")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::THREADS);
    /// Threads that read and write sockets in Kafka.
    NUM_NETWORK_THREADS: i32 = with("num.network.threads", "3")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::THREADS);
    /// Bytes of requests that may wait; -1 leaves the bound to `klamm.request.bytes.in.flight.max`.
    QUEUED_MAX_REQUEST_BYTES: i64 = with("queued.max.request.bytes", "-1");
    /// Requests that may wait before sockets are no longer read.
    QUEUED_MAX_REQUESTS: i32 = with("queued.max.requests", "500")
        .check(Check::AtLeast(1))
        .inert(inert::QUEUE);
    /// Idle time after which a connection is closed.
    CONNECTIONS_MAX_IDLE_MS: i64 = with("connections.max.idle.ms", "600000");
    /// Time after which a client must authenticate again.
    CONNECTIONS_MAX_REAUTH_MS: i64 = with("connections.max.reauth.ms", "0").inert(inert::AUTH);
    /// Delay before a connection that failed to authenticate is closed.
    CONNECTION_FAILED_AUTHENTICATION_DELAY_MS: i32 = with("connection.failed.authentication.delay.ms", "100")
        .check(Check::AtLeast(0))
        .inert(inert::AUTH);
    /// Most new connections in a second.
    MAX_CONNECTION_CREATION_RATE: i32 = with("max.connection.creation.rate", "2147483647")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Most connections at a time.
    MAX_CONNECTIONS: i32 = with("max.connections", "2147483647").check(Check::AtLeast(0)).dynamic();
    /// Most connections from one address.
    MAX_CONNECTIONS_PER_IP: i32 = with("max.connections.per.ip", "2147483647")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Other bounds for some addresses: `address:count`, separated by commas.
    MAX_CONNECTIONS_PER_IP_OVERRIDES: String = with("max.connections.per.ip.overrides", "")
        .dynamic();
    /// How long a broker waits for the answer to its own requests.
    REQUEST_TIMEOUT_MS: i32 = with("request.timeout.ms", "30000").inert(inert::ONE_NODE);
    /// Connections that may wait to be accepted; fewer than 1024 are not asked of the system.
    SOCKET_LISTEN_BACKLOG_SIZE: i32 = with("socket.listen.backlog.size", "50")
        .check(Check::AtLeast(1));
    /// SO_RCVBUF of sockets; -1 leaves it to the system.
    SOCKET_RECEIVE_BUFFER_BYTES: i32 = with("socket.receive.buffer.bytes", "-1")
        .differs("102400", BUFFERS);
    /// Largest request, in bytes.
    SOCKET_REQUEST_MAX_BYTES: i32 = with("socket.request.max.bytes", "104857600")
        .check(Check::AtLeast(1));
    /// SO_SNDBUF of sockets; -1 leaves it to the system.
    SOCKET_SEND_BUFFER_BYTES: i32 = with("socket.send.buffer.bytes", "-1")
        .differs("102400", BUFFERS);
    /// Longest wait for a connection that the broker opens.
    SOCKET_CONNECTION_SETUP_TIMEOUT_MAX_MS: i64 = with("socket.connection.setup.timeout.max.ms", "30000")
        .inert(inert::ONE_NODE);
    /// First wait for a connection that the broker opens.
    SOCKET_CONNECTION_SETUP_TIMEOUT_MS: i64 = with("socket.connection.setup.timeout.ms", "10000")
        .inert(inert::ONE_NODE);
    /// Most bytes in the answer to one fetch.
    FETCH_MAX_BYTES: i32 = with("fetch.max.bytes", "57671680").check(Check::AtLeast(1024));
    /// Fetch sessions that are remembered.
    MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS: i32 = with("max.incremental.fetch.session.cache.slots", "1000")
        .check(Check::AtLeast(0));
    /// How often Kafka tidies its waiting DeleteRecords.
    DELETE_RECORDS_PURGATORY_PURGE_INTERVAL_REQUESTS: i32 = with("delete.records.purgatory.purge.interval.requests", "1")
        .inert(inert::PURGATORY);
    /// How often Kafka tidies its waiting fetches.
    FETCH_PURGATORY_PURGE_INTERVAL_REQUESTS: i32 = with("fetch.purgatory.purge.interval.requests", "1000")
        .inert(inert::PURGATORY);
    /// How often Kafka tidies its waiting produces.
    PRODUCER_PURGATORY_PURGE_INTERVAL_REQUESTS: i32 = with("producer.purgatory.purge.interval.requests", "1000")
        .inert(inert::PURGATORY);
    /// How often Kafka tidies its waiting share fetches.
    SHARE_FETCH_PURGATORY_PURGE_INTERVAL_REQUESTS: i32 = with("share.fetch.purgatory.purge.interval.requests", "1000")
        .inert(inert::PURGATORY);
}
