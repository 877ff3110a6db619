//! Limits that no setting changes, with the relations between them proven at compile time.

/// Longest topic name, in characters (`Topic.MAX_NAME_LENGTH`).
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;

/// Bytes of a record batch before its first record (magic 2).
pub const BATCH_HEADER_LENGTH: usize = 61;

/// Most bytes that one compressed batch may decompress to, where the broker has to look inside.
/// Kafka has no such bound.
pub const DECOMPRESSED_BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The same for codecs that hold what they have made: zstd remembers as much as a frame asks it to,
/// 128 MiB at most, and snappy makes a block as a whole. Allocators keep it, for each thread.
pub const HELD_DECOMPRESSED_BYTES_MAX: usize = 8 * 1024 * 1024;

const _: () = assert!(HELD_DECOMPRESSED_BYTES_MAX < DECOMPRESSED_BATCH_BYTES_MAX);

/// Largest request frame other than Produce, in bytes.
pub const NON_PRODUCE_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most elements of arrays, over all arrays of one request.
pub const REQUEST_ELEMENTS_MAX: usize = 1_000_000;

/// Batches that an idempotent producer may have in flight, and that are remembered for retries
/// (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const PRODUCER_BATCHES_RETAINED: usize = 5;

/// From this size a region of a file leaves by sendfile; below it a copy costs less.
pub const SENDFILE_BYTES_MIN: usize = 16 * 1024;

const _: () = assert!(SENDFILE_BYTES_MIN > BATCH_HEADER_LENGTH);

/// Most partitions that one CreateTopics may ask for, over all of its topics
/// (`ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
pub const NEW_PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Most metadata records that one request of a client may cause
/// (`QuorumController.MAX_RECORDS_PER_USER_OP`).
pub const METADATA_RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// Most partitions that all fetch sessions of a broker remember together. Beyond it consumers are
/// refused a session and go on with full requests. Kafka bounds the sessions alone.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 100_000;
