//! What bounds sockets, as plain values.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// The limits of all listeners of one broker.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest frame (`socket.request.max.bytes`).
    pub frame_bytes_max: usize,
    /// Bytes of all requests that are being received or worked on.
    pub request_bytes_max: usize,
    /// How long a frame may stay half-sent (`klamm.frame.timeout.ms`); a frame that keeps coming
    /// gets more, see [`Limits::FRAME_BYTES_PER_SECOND_MIN`].
    pub frame_timeout: Duration,
    /// How long a connection may be idle (`connections.max.idle.ms`).
    pub idle_timeout: Duration,
    /// How long a peer may read nothing while an answer waits for it.
    pub write_stall_timeout: Duration,
    /// How long connections may finish what they have read when the broker stops.
    pub drain_timeout: Duration,
    /// Connections at once (`max.connections`); more wait to be accepted.
    pub connections_max: usize,
    /// Connections of one address at once (`max.connections.per.ip`); more are closed.
    pub connections_per_ip_max: usize,
    /// Exceptions from it (`max.connections.per.ip.overrides`).
    pub connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// New connections per second (`max.connection.creation.rate`); more wait to be accepted.
    pub connections_per_second_max: u32,
    /// `socket.send.buffer.bytes`; the system's choice where there is none.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; the system's choice where there is none.
    pub receive_buffer_bytes: Option<usize>,
    /// Connections that the system queues until they are accepted
    /// (`socket.listen.backlog.size`); a hint, to which the listener has a lower bound.
    pub listen_backlog: u32,
}

impl Limits {
    /// A frame that comes at least so fast is not half-sent, however long it is.
    pub const FRAME_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 100 * 1024 * 1024,
            request_bytes_max: 256 * 1024 * 1024,
            frame_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            write_stall_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_millis(700),
            connections_max: i32::MAX as usize,
            connections_per_ip_max: i32::MAX as usize,
            connections_per_ip_overrides: HashMap::new(),
            connections_per_second_max: u32::MAX,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            listen_backlog: 128,
        }
    }
}
