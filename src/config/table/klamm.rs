//! Settings that Kafka does not have.

use super::settings;
use crate::config::check::Check;

settings! { Broker:
    /// When a write with acks=all is acknowledged: `fsync` after it is on disk, `os` after it is in
    /// the page cache, `memory` without a disk.
    KLAMM_DURABILITY: String = with("klamm.durability", "fsync")
        .check(Check::OneOf(&["fsync", "os", "memory"]));
    /// Time that a client has to send the rest of a frame that it began.
    KLAMM_FRAME_TIMEOUT_MS: i64 = with("klamm.frame.timeout.ms", "30000").check(Check::AtLeast(1));
    /// Whether the broker may listen on other addresses than loopback without authentication.
    KLAMM_INSECURE: bool = with("klamm.insecure", "false");
    /// Most bytes of logs with `klamm.durability=memory`.
    KLAMM_MEMORY_BYTES_MAX: i64 = with("klamm.memory.bytes.max", "1073741824")
        .check(Check::AtLeast(1_048_576));
    /// Most files and maps of sealed segments that are kept open.
    KLAMM_OPEN_FILES_MAX: i32 = with("klamm.open.files.max", "1024").check(Check::AtLeast(16));
    /// Most bytes of requests that are being read or worked on, over all connections.
    KLAMM_REQUEST_BYTES_IN_FLIGHT_MAX: i64 =
        with("klamm.request.bytes.in.flight.max", "268435456").check(Check::AtLeast(1_048_576));
}
