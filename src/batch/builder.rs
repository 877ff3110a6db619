//! Makes batches: for the metadata log, internal topics, markers, and the clients in this crate.

use bytes::Bytes;

use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::wire;

use super::codec::{Codec, Encoder, Level};
use super::header::{
    ATTRIBUTES_AT, BatchHeader, LENGTH_OVERHEAD, NO_SEQUENCE, NO_TIMESTAMP, ValidBatch, attribute,
};
use super::records::Header;
use super::varint::{put_varint, varint_len};

/// Why a batch could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its records need more bytes than a length field can say.
    #[error("a batch cannot hold {0} bytes")]
    TooLarge(usize),
    /// The codec failed.
    #[error("failed to compress: {0}")]
    Compress(#[from] std::io::Error),
}

/// Collects records and encodes them as one batch.
///
/// Offsets follow each other without gaps, from a base offset of 0 unless
/// [`base_offset`](Self::base_offset) says otherwise.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    level: Level,
    attributes: i16,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    /// Timestamp of the first record, which the others are relative to.
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    count: i32,
    /// The last offset, relative to the first, where it is not that of the last record.
    last_offset_delta: Option<i32>,
    payload: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self {
            codec: Codec::None,
            level: Level::Default,
            attributes: 0,
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch(-1),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: NO_SEQUENCE,
            base_timestamp: None,
            max_timestamp: NO_TIMESTAMP,
            count: 0,
            last_offset_delta: None,
            payload: Vec::new(),
        }
    }
}

impl BatchBuilder {
    /// An empty batch: uncompressed, without producer, timestamps as given (CreateTime).
    pub fn new() -> Self {
        Self::default()
    }

    /// Compresses the records.
    #[must_use]
    pub fn compression(mut self, codec: Codec, level: Level) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.base_offset = offset;
        self
    }

    /// Term of the leader that writes it.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// The producer, and the sequence number of the first record ([`NO_SEQUENCE`] for markers).
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, first_sequence: i32) -> Self {
        self.producer_id = id.0;
        self.producer_epoch = epoch.0;
        self.base_sequence = first_sequence;
        self
    }

    /// Last offset that the batch stands for, relative to its first, where records at its end are
    /// missing: readers go on behind it. The cleaner leaves such batches, and a repair of damage.
    #[must_use]
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.last_offset_delta = Some(delta);
        self
    }

    /// Makes it part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes |= attribute::TRANSACTIONAL;
        self
    }

    /// Makes it a batch of control records, whose keys are [`ControlType::key`].
    ///
    /// [`ControlType::key`]: super::ControlType::key
    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes |= attribute::CONTROL;
        self
    }

    /// Adds a record without headers.
    pub fn push(&mut self, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.push_with_headers(timestamp, key, value, &[]);
    }

    /// Adds a record.
    pub fn push_with_headers(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        let base = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(base.0);
        let offset_delta = i64::from(self.count);
        let length = 1
            + varint_len(timestamp_delta)
            + varint_len(offset_delta)
            + nullable_len(key)
            + nullable_len(value)
            + varint_len(signed(headers.len()))
            + headers
                .iter()
                .map(|header| nullable_len(Some(header.key)) + nullable_len(header.value))
                .sum::<usize>();
        let out = &mut self.payload;
        put_varint(out, signed(length));
        out.push(0);
        put_varint(out, timestamp_delta);
        put_varint(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        put_varint(out, signed(headers.len()));
        for header in headers {
            put_nullable(out, Some(header.key));
            put_nullable(out, header.value);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        // A batch of 2^31 records cannot be built anyway: they would need 2^34 bytes.
        self.count = self.count.saturating_add(1);
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far, before compression.
    pub fn size(&self) -> usize {
        BATCH_HEADER_LENGTH + self.payload.len()
    }

    /// The batch, with its checksum.
    ///
    /// A batch without records is what the cleaner leaves of a batch; no client may send it.
    pub fn build(self) -> Result<ValidBatch, BuildError> {
        let mut bytes = vec![0; BATCH_HEADER_LENGTH];
        if self.codec == Codec::None {
            bytes.extend_from_slice(&self.payload);
        } else if !self.is_empty() {
            let mut encoder = Encoder::new(self.codec, self.level, bytes)?;
            std::io::Write::write_all(&mut encoder, &self.payload)?;
            bytes = encoder.finish()?;
        }
        let header = BatchHeader {
            base_offset: self.base_offset,
            length: 0,
            leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: self.attributes | if self.is_empty() { 0 } else { self.codec.id() },
            last_offset_delta: self
                .last_offset_delta
                .unwrap_or(self.count.saturating_sub(1)),
            base_timestamp: self.base_timestamp.unwrap_or(NO_TIMESTAMP),
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.count,
        };
        seal(header, bytes)
    }
}

/// Completes a batch: sets length and checksum, and writes the header over the first 61 bytes.
pub(super) fn seal(header: BatchHeader, mut bytes: Vec<u8>) -> Result<ValidBatch, BuildError> {
    let header = seal_in_place(header, &mut bytes)?;
    Ok(ValidBatch {
        bytes: Bytes::from(bytes),
        header,
    })
}

/// The same where the batch stands; its header.
pub(super) fn seal_in_place(
    mut header: BatchHeader,
    batch: &mut [u8],
) -> Result<BatchHeader, BuildError> {
    header.length = batch
        .len()
        .checked_sub(LENGTH_OVERHEAD)
        .and_then(|length| i32::try_from(length).ok())
        .ok_or(BuildError::TooLarge(batch.len()))?;
    put_header(&header, batch);
    header.crc = wire::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default());
    put_header(&header, batch);
    Ok(header)
}

fn put_header(header: &BatchHeader, bytes: &mut [u8]) {
    if let Some(head) = bytes.first_chunk_mut() {
        *head = header.encode();
    }
}

pub(super) fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(out, signed(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

pub(super) fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint_len(-1), |bytes| {
        varint_len(signed(bytes.len())) + bytes.len()
    })
}

/// Lengths of slices fit: they are at most `isize::MAX`.
pub(super) fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ControlType, records};
    use super::*;

    #[test]
    fn an_empty_batch_can_be_read() {
        for codec in Codec::ALL {
            let batch = BatchBuilder::new()
                .compression(codec, Level::Default)
                .build()
                .expect("a batch");
            assert_eq!(batch.bytes.len(), BATCH_HEADER_LENGTH);
            assert!(batch.header.crc_matches(&batch.bytes));
            assert_eq!(records(&batch.bytes).expect("readable").iter().count(), 0);
        }
    }

    #[test]
    fn a_batch_without_records_can_stand_for_offsets() {
        let batch = BatchBuilder::new()
            .base_offset(Offset(7))
            .last_offset_delta(4)
            .build()
            .expect("a batch");
        assert!(batch.header.crc_matches(&batch.bytes));
        assert_eq!(batch.header.record_count, 0);
        assert_eq!(batch.header.next_offset(), Offset(12));
        assert_eq!(records(&batch.bytes).expect("readable").iter().count(), 0);
    }

    #[test]
    fn a_payload_without_records_is_not_looked_at() {
        let batch = BatchBuilder::new().build().expect("a batch");
        for codec in Codec::ALL {
            let header = BatchHeader {
                attributes: codec.id(),
                ..batch.header
            };
            let bytes = [&[0; BATCH_HEADER_LENGTH][..], b"noise"].concat();
            let sealed = seal(header, bytes).expect("a batch");
            assert_eq!(records(&sealed.bytes).expect("readable").iter().count(), 0);
        }
    }

    #[test]
    fn a_marker_looks_as_kafka_writes_it() {
        let mut builder = BatchBuilder::new()
            .producer(ProducerId(9), ProducerEpoch(2), NO_SEQUENCE)
            .transactional()
            .control();
        builder.push(
            Timestamp(5),
            Some(&ControlType::Commit.key()),
            Some(&[0, 0, 0, 0, 0, 1]),
        );
        let batch = builder.build().expect("a batch");
        assert!(batch.header.is_control() && batch.header.is_transactional());
        // Length 78: Kafka's size of a marker batch.
        assert_eq!(batch.bytes.len(), 78);
        let opened = records(&batch.bytes).expect("readable");
        let record = opened
            .iter()
            .next()
            .expect("one record")
            .expect("well formed");
        assert_eq!(
            record.key.and_then(ControlType::from_key),
            Some(ControlType::Commit)
        );
    }

    #[test]
    fn any_flipped_byte_that_the_checksum_covers_is_noticed() {
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(1), Some(b"key"), Some(b"value"));
        let batch = builder.build().expect("a batch");
        for at in ATTRIBUTES_AT - 4..batch.bytes.len() {
            let mut damaged = batch.bytes.to_vec();
            damaged[at] ^= 0x10;
            let header = BatchHeader::parse(&damaged).expect("a header");
            assert!(!header.crc_matches(&damaged), "byte {at}");
        }
    }

    type Owned = (
        i64,
        Option<Vec<u8>>,
        Option<Vec<u8>>,
        Vec<(Vec<u8>, Option<Vec<u8>>)>,
    );

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..200)
    }

    fn record() -> impl Strategy<Value = Owned> {
        let headers = proptest::collection::vec((bytes(), proptest::option::of(bytes())), 0..4);
        (
            any::<i64>(),
            proptest::option::of(bytes()),
            proptest::option::of(bytes()),
            headers,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn records_come_back_as_they_were_pushed(
            pushed in proptest::collection::vec(record(), 1..40),
            id in 0_i16..5,
        ) {
            let codec = Codec::from_id(id).unwrap();
            let mut builder = BatchBuilder::new()
                .compression(codec, Level::Default)
                .base_offset(Offset(1000));
            for (timestamp, key, value, headers) in &pushed {
                let headers: Vec<_> = headers
                    .iter()
                    .map(|(key, value)| Header { key, value: value.as_deref() })
                    .collect();
                builder.push_with_headers(
                    Timestamp(*timestamp), key.as_deref(), value.as_deref(), &headers);
            }
            let expected_size = builder.size();
            let batch = builder.build().unwrap();
            prop_assert_eq!(BatchHeader::parse(&batch.bytes), Ok(batch.header));
            prop_assert!(batch.header.crc_matches(&batch.bytes));
            if codec == Codec::None {
                prop_assert_eq!(batch.bytes.len(), expected_size);
            }
            let opened = records(&batch.bytes).unwrap();
            let read: Vec<_> = opened.iter().map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), pushed.len());
            for (index, (view, (timestamp, key, value, headers))) in
                read.iter().zip(&pushed).enumerate()
            {
                prop_assert_eq!(view.offset, Offset(1000 + i64::try_from(index).unwrap()));
                prop_assert_eq!(view.timestamp, Timestamp(*timestamp));
                prop_assert_eq!(view.key, key.as_deref());
                prop_assert_eq!(view.value, value.as_deref());
                let got: Vec<_> = view.headers.iter()
                    .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                    .collect();
                prop_assert_eq!(&got, headers);
            }
        }

        #[test]
        fn damaged_payloads_end_in_an_error_and_never_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..300),
            count: i32,
            attributes in 0_i16..0x80,
        ) {
            let mut bytes = vec![0; BATCH_HEADER_LENGTH];
            bytes.extend_from_slice(&noise);
            let mut builder = BatchBuilder::new();
            builder.push(Timestamp(0), None, None);
            let header = BatchHeader {
                record_count: count, attributes, ..builder.build().unwrap().header
            };
            let batch = seal(header, bytes).unwrap();
            if let Ok(opened) = records(&batch.bytes) {
                prop_assert!(opened.iter().count() <= noise.len() * 4 + 1 || attributes & 7 != 0);
            }
        }
    }
}
