//! The header of a record batch of magic 2.
//!
//! ```text
//!  0        8      12     16 17      21   23       27         35         43        51  53    57     61
//!  ├────────┼───────┼──────┼──┼───────┼────┼────────┼──────────┼──────────┼─────────┼───┼─────┼──────┤
//!  │ base   │length │leader│ma│ crc32c│attr│ last   │ base     │ max      │producer │pro│base │record│ records …
//!  │ offset │       │epoch │gi│       │    │ offset │ timestamp│ timestamp│ id      │duc│sequ-│count │
//!  │ i64    │ i32   │ i32  │c │ u32   │ i16│ delta  │ i64      │ i64      │ i64     │er │ence │ i32  │
//!  │        │       │      │i8│       │    │ i32    │          │          │         │i16│ i32 │      │
//!  └────────┴───────┴──────┴──┴───────┴────┴────────┴──────────┴──────────┴─────────┴───┴─────┴──────┘
//!  └─ patched at append ───┘          └─ covered by the checksum, to the end of the batch ──────────────
//!           └ bytes after this field
//!
//!  attr: bits 0-2 codec · 3 LogAppendTime · 4 transactional · 5 control · 6 delete horizon
//! ```
//!
//! All integers are big-endian (Kafka's `DefaultRecordBatch`). To evolve this format Kafka raises
//! the magic; this parser refuses every magic but 2.

use bytes::Bytes;

use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire;

use super::codec::{Codec, UnknownCodec};

/// Bytes before the part that `length` counts.
pub(super) const LENGTH_OVERHEAD: usize = 12;
/// Where the magic byte is.
pub(super) const MAGIC_AT: usize = 16;
/// First byte that the checksum covers.
pub(super) const ATTRIBUTES_AT: usize = 21;
/// The only magic that is stored.
pub(super) const MAGIC: i8 = 2;

/// `baseSequence` of a batch without sequence numbers.
pub const NO_SEQUENCE: i32 = -1;

/// Timestamp of a record or batch that has none.
pub const NO_TIMESTAMP: Timestamp = Timestamp(-1);

/// Bits of the field `attributes`.
pub(super) mod attribute {
    pub(crate) const CODEC_MASK: i16 = 0b111;
    pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
    pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
    pub(crate) const CONTROL: i16 = 1 << 5;
    pub(crate) const DELETE_HORIZON: i16 = 1 << 6;
    /// All bits that mean something.
    pub(crate) const KNOWN: i16 = 0x7f;
}

/// The fields of a batch header, as they stand in the batch.
///
/// Nothing is promised about their relations: a header from a client or from a damaged file may
/// claim anything, except that its length covers the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record that the batch was made with; compaction keeps it.
    pub base_offset: Offset,
    /// Bytes after this field; at least 49.
    pub length: i32,
    /// Term of the leader that appended it; what a client sends here (-1 or 0) means nothing.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Flags and codec.
    pub attributes: i16,
    /// Offset of the last record, relative to `base_offset`; compaction keeps it.
    pub last_offset_delta: i32,
    /// What record timestamps are relative to; the delete horizon, where that flag is set.
    pub base_timestamp: Timestamp,
    /// Largest timestamp of its records, or the time of the append; [`NO_TIMESTAMP`] for none.
    pub max_timestamp: Timestamp,
    /// Producer, or -1.
    pub producer_id: i64,
    /// Incarnation of the producer, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Records that are there; compaction lowers it, possibly to zero.
    pub record_count: i32,
}

/// Why bytes are not a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes are too few for a batch header")]
    Truncated(usize),
    /// The length field covers less than the header.
    #[error("batch length {0} is less than that of an empty batch")]
    Length(i32),
    /// Another format.
    #[error("magic {0} is not that of a record batch of version 2")]
    Magic(i8),
}

/// Who wrote a batch, and where it stands in the producer's sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Producer.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record; [`NO_SEQUENCE`] in transaction markers.
    pub first_sequence: i32,
    /// Sequence of the last record, which wraps from `i32::MAX` to 0; [`NO_SEQUENCE`] in
    /// transaction markers.
    pub last_sequence: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the rest of the batch need not be there.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some(header) = bytes.first_chunk::<BATCH_HEADER_LENGTH>() else {
            return Err(HeaderError::Truncated(bytes.len()));
        };
        // The magic comes first: the fields of another format would be nonsense.
        let mut fields = Fields(header);
        let base_offset = Offset(i64::from_be_bytes(fields.take()));
        let length = i32::from_be_bytes(fields.take());
        let leader_epoch = LeaderEpoch(i32::from_be_bytes(fields.take()));
        let magic = i8::from_be_bytes(fields.take());
        if magic != MAGIC {
            return Err(HeaderError::Magic(magic));
        }
        if usize::try_from(length).unwrap_or(0) < BATCH_HEADER_LENGTH - LENGTH_OVERHEAD {
            return Err(HeaderError::Length(length));
        }
        Ok(Self {
            base_offset,
            length,
            leader_epoch,
            crc: u32::from_be_bytes(fields.take()),
            attributes: i16::from_be_bytes(fields.take()),
            last_offset_delta: i32::from_be_bytes(fields.take()),
            base_timestamp: Timestamp(i64::from_be_bytes(fields.take())),
            max_timestamp: Timestamp(i64::from_be_bytes(fields.take())),
            producer_id: i64::from_be_bytes(fields.take()),
            producer_epoch: i16::from_be_bytes(fields.take()),
            base_sequence: i32::from_be_bytes(fields.take()),
            record_count: i32::from_be_bytes(fields.take()),
        })
    }

    /// The header as bytes; the inverse of [`parse`](Self::parse).
    pub fn encode(&self) -> [u8; BATCH_HEADER_LENGTH] {
        let mut bytes = [0; BATCH_HEADER_LENGTH];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, self.base_offset.0.to_be_bytes());
        put(&mut rest, self.length.to_be_bytes());
        put(&mut rest, self.leader_epoch.0.to_be_bytes());
        put(&mut rest, MAGIC.to_be_bytes());
        put(&mut rest, self.crc.to_be_bytes());
        put(&mut rest, self.attributes.to_be_bytes());
        put(&mut rest, self.last_offset_delta.to_be_bytes());
        put(&mut rest, self.base_timestamp.0.to_be_bytes());
        put(&mut rest, self.max_timestamp.0.to_be_bytes());
        put(&mut rest, self.producer_id.to_be_bytes());
        put(&mut rest, self.producer_epoch.to_be_bytes());
        put(&mut rest, self.base_sequence.to_be_bytes());
        put(&mut rest, self.record_count.to_be_bytes());
        bytes
    }

    /// Bytes of the whole batch, this header included.
    pub fn total_len(&self) -> usize {
        // A parsed length is positive.
        LENGTH_OVERHEAD + usize::try_from(self.length).unwrap_or(0)
    }

    /// Offset of the last record that the batch was made with.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// First offset after the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Result<Codec, UnknownCodec> {
        Codec::from_id(self.attributes & attribute::CODEC_MASK)
    }

    /// Whether `max_timestamp` is the time of the append, and that of every record.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & attribute::LOG_APPEND_TIME != 0
    }

    /// Whether it belongs to a transaction (a marker does, too).
    pub fn is_transactional(&self) -> bool {
        self.attributes & attribute::TRANSACTIONAL != 0
    }

    /// Whether its records are for brokers and client libraries, not for applications.
    pub fn is_control(&self) -> bool {
        self.attributes & attribute::CONTROL != 0
    }

    /// Whether `base_timestamp` is the time from which the cleaner may drop tombstones (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & attribute::DELETE_HORIZON != 0
    }

    /// Who wrote it, if it was an idempotent producer.
    pub fn producer(&self) -> Option<ProducerStamp> {
        let sequenced = self.base_sequence != NO_SEQUENCE;
        (self.producer_id >= 0).then_some(ProducerStamp {
            id: ProducerId(self.producer_id),
            epoch: ProducerEpoch(self.producer_epoch),
            first_sequence: self.base_sequence,
            last_sequence: if sequenced {
                sequence_after(self.base_sequence, self.last_offset_delta)
            } else {
                NO_SEQUENCE
            },
        })
    }

    /// Whether `batch`, which must be the whole batch, has the checksum that the header names.
    pub fn crc_matches(&self, batch: &[u8]) -> bool {
        batch
            .get(..self.total_len())
            .and_then(|batch| batch.get(ATTRIBUTES_AT..))
            .is_some_and(|covered| wire::crc32c(covered) == self.crc)
    }
}

/// The sequence number `by` records after `sequence`: after `i32::MAX` comes 0
/// (`DefaultRecordBatch.incrementSequence`).
pub(super) fn sequence_after(sequence: i32, by: i32) -> i32 {
    match sequence.checked_add(by) {
        Some(next) => next,
        None => by
            .wrapping_sub(i32::MAX.wrapping_sub(sequence))
            .wrapping_sub(1),
    }
}

/// Takes fixed-size fields off the front of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        // The fields add up to the header, so a chunk is always there.
        self.0.split_first_chunk().map_or([0; N], |(field, rest)| {
            self.0 = rest;
            *field
        })
    }
}

fn put<const N: usize>(rest: &mut &mut [u8], field: [u8; N]) {
    if let Some((head, tail)) = std::mem::take(rest).split_first_chunk_mut() {
        *head = field;
        *rest = tail;
    }
}

/// A batch that passed validation, ready to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidBatch {
    /// The bytes to store: exactly one batch. Base offset and leader epoch are patched at the
    /// append, with [`patched_prefix`](Self::patched_prefix).
    pub bytes: Bytes,
    /// The header of `bytes`.
    pub header: BatchHeader,
}

impl ValidBatch {
    /// The batch that `bytes` were before something happened to what lies before its checksum:
    /// with its base offset, leader epoch, length and magic put right. `None` if the checksum says
    /// that this is not all that is wrong.
    pub fn put_right(bytes: &[u8], base: Offset, epoch: LeaderEpoch) -> Option<Self> {
        let length = i32::try_from(bytes.len().checked_sub(LENGTH_OVERHEAD)?).ok()?;
        let mut head = Vec::with_capacity(bytes.len());
        head.extend_from_slice(&base.0.to_be_bytes());
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&epoch.0.to_be_bytes());
        head.extend_from_slice(&MAGIC.to_be_bytes());
        head.extend_from_slice(bytes.get(head.len()..)?);
        let header = BatchHeader::parse(&head).ok()?;
        let whole = header.total_len() == head.len() && header.crc_matches(&head);
        whole.then(|| Self {
            bytes: Bytes::from(head),
            header,
        })
    }

    /// The first 16 bytes as they go to the log; everything from byte 16 on is stored as it is.
    pub fn patched_prefix(&self, base: Offset, epoch: LeaderEpoch) -> [u8; MAGIC_AT] {
        let mut prefix = [0; MAGIC_AT];
        let mut rest = prefix.as_mut_slice();
        put(&mut rest, base.0.to_be_bytes());
        put(&mut rest, self.header.length.to_be_bytes());
        put(&mut rest, epoch.0.to_be_bytes());
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BatchHeader {
        BatchHeader {
            base_offset: Offset(0x0102_0304_0506_0708),
            length: 49,
            leader_epoch: LeaderEpoch(7),
            crc: 0xdead_beef,
            attributes: 0b101_1010,
            last_offset_delta: 9,
            base_timestamp: Timestamp(1_700_000_000_000),
            max_timestamp: Timestamp(1_700_000_000_009),
            producer_id: 42,
            producer_epoch: 3,
            base_sequence: i32::MAX - 4,
            record_count: 10,
        }
    }

    #[test]
    fn a_header_survives_the_round_trip() {
        assert_eq!(BatchHeader::parse(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn fields_stand_where_kafka_puts_them() {
        let bytes = sample().encode();
        assert_eq!(bytes[0..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[8..12], [0, 0, 0, 49]);
        assert_eq!(bytes[12..MAGIC_AT], [0, 0, 0, 7]);
        assert_eq!(bytes[MAGIC_AT], 2);
        assert_eq!(bytes[17..ATTRIBUTES_AT], [0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(bytes[ATTRIBUTES_AT..23], [0, 0b101_1010]);
        assert_eq!(bytes[35..43], 1_700_000_000_009_i64.to_be_bytes());
        assert_eq!(bytes[57..61], [0, 0, 0, 10]);
    }

    #[test]
    fn the_flags_are_read_from_their_bits() {
        let header = sample();
        assert_eq!(header.codec(), Ok(Codec::Snappy));
        assert!(header.is_log_append_time());
        assert!(header.is_transactional());
        assert!(!header.is_control());
        assert!(header.has_delete_horizon());
    }

    #[test]
    fn sequences_wrap_from_the_largest_to_zero() {
        let stamp = sample().producer().expect("a producer");
        assert_eq!(
            (stamp.first_sequence, stamp.last_sequence),
            (i32::MAX - 4, 4)
        );
        assert_eq!(sequence_after(i32::MAX, 0), i32::MAX);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(5, 3), 8);
    }

    #[test]
    fn a_marker_has_a_producer_without_sequences() {
        let marker = BatchHeader {
            base_sequence: NO_SEQUENCE,
            last_offset_delta: 0,
            ..sample()
        };
        let stamp = marker.producer().expect("a producer");
        assert_eq!(
            (stamp.first_sequence, stamp.last_sequence),
            (NO_SEQUENCE, NO_SEQUENCE)
        );
    }

    #[test]
    fn headers_that_lie_about_their_form_are_refused() {
        let bytes = sample().encode();
        assert_eq!(
            BatchHeader::parse(&bytes[..60]),
            Err(HeaderError::Truncated(60))
        );
        let short = BatchHeader {
            length: 48,
            ..sample()
        };
        assert_eq!(
            BatchHeader::parse(&short.encode()),
            Err(HeaderError::Length(48))
        );
        let negative = BatchHeader {
            length: -1,
            ..sample()
        };
        assert_eq!(
            BatchHeader::parse(&negative.encode()),
            Err(HeaderError::Length(-1))
        );
        let mut old = bytes;
        old[MAGIC_AT] = 1;
        assert_eq!(BatchHeader::parse(&old), Err(HeaderError::Magic(1)));
    }

    #[test]
    fn offsets_at_the_end_of_the_range_do_not_overflow() {
        let header = BatchHeader {
            base_offset: Offset(i64::MAX),
            last_offset_delta: i32::MAX,
            ..sample()
        };
        assert_eq!(header.next_offset(), Offset(i64::MAX));
    }

    #[test]
    fn the_patched_prefix_changes_offset_and_epoch_only() {
        let batch = ValidBatch {
            bytes: Bytes::copy_from_slice(&sample().encode()),
            header: sample(),
        };
        let prefix = batch.patched_prefix(Offset(77), LeaderEpoch(5));
        let mut stored = batch.bytes.to_vec();
        stored[..MAGIC_AT].copy_from_slice(&prefix);
        let patched = BatchHeader::parse(&stored).expect("a header");
        let expected = BatchHeader {
            base_offset: Offset(77),
            leader_epoch: LeaderEpoch(5),
            ..sample()
        };
        assert_eq!(patched, expected);
    }
}
