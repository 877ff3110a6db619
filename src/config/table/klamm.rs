//! Settings that Kafka does not have.

use super::settings;
use crate::config::check::Check;

settings! { Broker:
    /// Bytes of the file system that are kept for offset commits, metadata and deletions: while
    /// fewer are free, producers get KAFKA_STORAGE_ERROR. A quarter of them, at most 16 MiB, is
    /// held as the file `klamm-reserve`, which is given up when another program has filled the
    /// disk. -1 goes by the size of the file system: a sixteenth, from 4 MiB to 256 MiB; 0 keeps
    /// nothing.
    KLAMM_DISK_RESERVE_BYTES: i64 = with("klamm.disk.reserve.bytes", "-1").check(Check::AtLeast(-1));
    /// When a write with acks=all is acknowledged: `fsync` after it is on disk, `os` after it is in
    /// the page cache, `memory` without a disk.
    KLAMM_DURABILITY: String = with("klamm.durability", "fsync")
        .check(Check::OneOf(&["fsync", "os", "memory"]));
    /// Time that a client has to send the rest of a frame that it began.
    KLAMM_FRAME_TIMEOUT_MS: i64 = with("klamm.frame.timeout.ms", "30000").check(Check::AtLeast(1));
    /// Whether the broker may listen on other addresses than loopback without authentication.
    KLAMM_INSECURE: bool = with("klamm.insecure", "false");
    /// Most bytes of logs with `klamm.durability=memory`: beyond seven eighths of it the oldest
    /// segments go, of all topics whose `cleanup.policy` has `delete`, and where none may go,
    /// producers get KAFKA_STORAGE_ERROR. A segment is never longer than a 64th of it. Unset, it is
    /// a quarter of the memory that the process may use: the limit of its control group, or else
    /// what the machine has.
    KLAMM_MEMORY_BYTES_MAX: Option<i64> = unset("klamm.memory.bytes.max")
        .check(Check::AtLeast(1_048_576));
    /// Most files of logs that are kept open; never more than a quarter of what the process may
    /// have open (`ulimit -n`, which `klamm serve` raises as far as it may). A stop logs how often a
    /// file was found open.
    KLAMM_OPEN_FILES_MAX: i32 = with("klamm.open.files.max", "1024").check(Check::AtLeast(16));
    /// Most bytes of requests that are being read or worked on, over all connections.
    KLAMM_REQUEST_BYTES_IN_FLIGHT_MAX: i64 =
        with("klamm.request.bytes.in.flight.max", "268435456").check(Check::AtLeast(1_048_576));
}
