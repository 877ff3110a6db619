//! What a batch is checked against, and what a refusal says.

use std::fmt;

use crate::model::Timestamp;

use super::super::codec::{Codec, DecompressError, Level, UnknownCodec};
use super::super::records::RecordFormatError;

/// The settings of a topic that decide about a batch, and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `max.message.bytes`: most bytes of a batch as it is stored, header included.
    pub max_message_bytes: usize,
    /// `message.timestamp.type=LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no bound.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no bound.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`, with the level of that codec.
    pub compression: CompressionTarget,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// Who sent the batch.
    pub origin: Origin,
}

impl Default for Rules {
    /// Kafka's defaults, for a client's batch.
    fn default() -> Self {
        Self {
            max_message_bytes: 1_048_588,
            log_append_time: false,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: CompressionTarget::Producer,
            compacted: false,
            origin: Origin::Client,
        }
    }
}

/// How batches are stored (`compression.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionTarget {
    /// As the producer sent them.
    Producer,
    /// With this codec, whatever the producer used.
    Fixed(Codec, Level),
}

/// Who sent a batch (`AppendOrigin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer.
    Client,
    /// This broker: control batches are allowed, and counts are trusted.
    Broker,
}

/// Why a batch was refused.
///
/// Each variant names the exception that Kafka's response carries for it. [`Records`](Self::Records)
/// comes with messages in Kafka's response, and [`Unframed`](Self::Unframed) with one, when it is
/// the start of the records: then every partition of the request gets that code and message. The
/// texts of the others are for logs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Null, no bytes, or less than one batch (`InvalidRecordException`).
    #[error("at least one record batch is needed per partition")]
    NoBatch,
    /// Magic 0 or 1 (`InvalidRecordException`).
    #[error("record batches of magic {0} are no longer supported")]
    OldMagic(i8),
    /// A length or magic that no format has, at the start (`CorruptRecordException`).
    #[error(transparent)]
    Unframed(Unframed),
    /// A length or magic that no format has, behind the batch (`CorruptRecordException`).
    #[error("behind the batch: {0}")]
    UnframedTail(Unframed),
    /// A second batch behind the first (`InvalidRecordException`).
    #[error("exactly one record batch is allowed per partition")]
    MoreThanOneBatch,
    /// The broker gives out offsets (`InvalidRecordException`).
    #[error("the base offset should be 0, but it is {0}")]
    BaseOffset(i64),
    /// Larger than `max.message.bytes`, as sent or after recompression
    /// (`RecordTooLargeException`).
    #[error("a batch of {size} bytes exceeds the maximum of {max}")]
    TooLarge {
        /// Bytes of the batch; of what there is so far, where recompression was given up.
        size: usize,
        /// `max.message.bytes`.
        max: usize,
    },
    /// The checksum does not match (`CorruptRecordException`).
    #[error("record is corrupt (stored crc = {stored})")]
    Checksum {
        /// The checksum in the header.
        stored: u32,
    },
    /// The last offset lies before the first (`InvalidRecordException`).
    #[error("invalid offset range: last offset delta {0}")]
    OffsetRange(i32),
    /// No records, or fewer (`InvalidRecordException`).
    #[error("invalid record count {0}")]
    RecordCount(i32),
    /// Offsets and count disagree (`InvalidRecordException`).
    #[error("last offset delta {last_offset_delta} does not fit {record_count} records")]
    CountMismatch {
        /// By the header.
        last_offset_delta: i32,
        /// By the header.
        record_count: i32,
    },
    /// Only brokers write control records (`InvalidRecordException`).
    #[error("clients are not allowed to write control records")]
    ControlBatch,
    /// A producer id without sequence (`InvalidRecordException`).
    #[error("invalid sequence number {sequence} of producer {producer_id}")]
    Sequence {
        /// By the header.
        sequence: i32,
        /// By the header.
        producer_id: i64,
    },
    /// Kafka fails in a way that its clients see as `UnknownServerException`.
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    /// The records are malformed (`InvalidRecordException`).
    #[error(transparent)]
    Format(#[from] RecordFormatError),
    /// The payload is not what its codec writes. Kafka fails in a way that its clients see as
    /// `UnknownServerException`.
    #[error("failed to decompress: {0}")]
    Undecodable(String),
    /// The offsets in a compressed batch do not count from 0 without gaps. Kafka fails in a way
    /// that its clients see as `UnknownServerException`.
    #[error("the offsets of a compressed batch have gaps")]
    OffsetGaps,
    /// More came out of the payload than this broker looks through (`RecordTooLargeException`,
    /// so that clients split the batch). Kafka has no such bound.
    #[error("more than {0} bytes after decompression")]
    DecompressedTooLarge(usize),
    /// Recompression failed (`UnknownServerException`).
    #[error("failed to compress: {0}")]
    Compress(String),
    /// Some records are not allowed (`RecordValidationException`).
    #[error("{0}")]
    Records(RecordRejections),
}

/// A length or a magic that no format of records has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unframed {
    /// Too short.
    #[error("Record size {0} is less than the minimum record overhead (14)")]
    Length(i32),
    /// Unknown.
    #[error("Invalid magic found in record: {0}")]
    Magic(i8),
}

impl From<DecompressError> for BatchError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge(cap) => Self::DecompressedTooLarge(cap),
            DecompressError::Corrupt(what) => Self::Undecodable(what),
        }
    }
}

/// The records that made a batch unacceptable: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRejections {
    /// How many there are.
    pub total: usize,
    /// The first of them, at most [`REJECTIONS_KEPT`].
    pub first: Vec<RecordRejection>,
}

/// Rejections that are reported one by one. Kafka reports all: here a small compressed batch must
/// not become a large answer.
pub const REJECTIONS_KEPT: usize = 1000;

impl RecordRejections {
    /// Whether the response is `InvalidTimestampException`; otherwise `InvalidRecordException`.
    pub fn is_timestamp(&self) -> bool {
        self.first
            .iter()
            .any(|rejection| rejection.fault.is_timestamp())
    }

    /// The message for the batch. `partition` is `topic-number`.
    pub fn message(&self, partition: &str) -> String {
        if self.is_timestamp() {
            return "One or more records have been rejected due to invalid timestamp".to_owned();
        }
        let shown: Vec<_> = self
            .first
            .iter()
            .take(3)
            .map(|rejection| {
                format!(
                    "RecordError(batchIndex={}, message='{}')",
                    rejection.index,
                    rejection.fault.message(partition)
                )
            })
            .collect();
        format!(
            "One or more records have been rejected due to {} record errors in total, and only \
             showing the first three errors at most: [{}]",
            self.total,
            shown.join(", ")
        )
    }
}

impl fmt::Display for RecordRejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records were rejected", self.total)?;
        match self.first.first() {
            Some(first) => write!(f, ", the first at index {}: {:?}", first.index, first.fault),
            None => Ok(()),
        }
    }
}

/// One record that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRejection {
    /// Its position in the batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub fault: RecordFault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// A compacted topic keeps the last record of every key.
    KeyMissing,
    /// Too far from now.
    TimestampOutOfRange {
        /// Of the record.
        timestamp: Timestamp,
        /// Of the record, relative to the batch.
        offset: i64,
        /// The earliest that is allowed now.
        earliest: Timestamp,
        /// The latest that is allowed now.
        latest: Timestamp,
    },
    /// The batch says LogAppendTime, which only the broker may.
    LogAppendTimeByProducer {
        /// Of the record.
        timestamp: Timestamp,
        /// Of the record, relative to the batch.
        offset: i64,
        /// Of the record.
        sizes: RecordSizes,
    },
}

/// What Kafka prints of a record in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSizes {
    /// Bytes of its key, if it has one.
    pub key: Option<usize>,
    /// Bytes of its value, if it has one.
    pub value: Option<usize>,
    /// Whether Kafka skips keys and values at this place, and prints the record as another type.
    pub skipped: bool,
}

impl RecordSizes {
    fn kind(&self) -> &'static str {
        if self.skipped {
            "PartialDefaultRecord"
        } else {
            "DefaultRecord"
        }
    }

    /// The two types print null differently.
    fn printed(&self, size: Option<usize>) -> String {
        match size {
            Some(size) => size.to_string(),
            None if self.skipped => "-1".to_owned(),
            None => "0".to_owned(),
        }
    }
}

impl RecordFault {
    /// Whether the fault is about time (`INVALID_TIMESTAMP`); otherwise `INVALID_RECORD`.
    pub fn is_timestamp(&self) -> bool {
        match self {
            Self::KeyMissing => false,
            Self::TimestampOutOfRange { .. } | Self::LogAppendTimeByProducer { .. } => true,
        }
    }

    /// The message for this record. `partition` is `topic-number`.
    pub fn message(&self, partition: &str) -> String {
        match self {
            Self::KeyMissing => format!(
                "Compacted topic cannot accept message without key in topic partition {partition}"
            ),
            Self::TimestampOutOfRange {
                timestamp,
                offset,
                earliest,
                latest,
            } => format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. The \
                 timestamp should be within [{earliest}, {latest}]"
            ),
            Self::LogAppendTimeByProducer {
                timestamp,
                offset,
                sizes,
            } => format!(
                "Invalid timestamp type in message {kind}(offset={offset}, \
                 timestamp={timestamp}, key={key} bytes, value={value} bytes). Producer should \
                 not set timestamp type to LogAppendTime.",
                kind = sizes.kind(),
                key = sizes.printed(sizes.key),
                value = sizes.printed(sizes.value),
            ),
        }
    }
}
