//! What compaction leaves of a batch (Kafka's `MemoryRecords.filterTo`).
//!
//! Where the batch stands does not change, whatever leaves it: base offset, offset of the last
//! record, leader epoch, producer, sequence. Nor do flags and codec. What follows from the records
//! does: their number, the largest timestamp, and the timestamp that the others are relative to.

use std::io::Write;

use crate::model::Timestamp;
use crate::model::limits::BATCH_HEADER_LENGTH;

use super::builder::{BuildError, seal_in_place, signed};
use super::codec::{Codec, Encoder, Level};
use super::header::{BatchHeader, NO_TIMESTAMP, attribute};
use super::records::{EncodedRecord, Records};
use super::varint::{put_varint, varint_len};

/// Appends to `out` a batch with those of the records, all of which were read before, for which
/// `stays`, one by one, says so: at least one. Their offsets stay. The header of what was appended.
///
/// With a `horizon` the batch says that its tombstones, or its transaction marker, may go from
/// that time on (KIP-534): timestamps are relative to it then, and a reader adds it as it adds any
/// base. Without, a batch that has one keeps it.
///
/// `codec` is that of the batch; its level is the codec's own, as in Kafka. After an error nothing
/// can be said about what is in `out`.
pub fn retain(
    opened: &Records<'_>,
    codec: Codec,
    stays: impl Iterator<Item = bool>,
    horizon: Option<Timestamp>,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, BuildError> {
    let header = opened.header();
    let kept = opened.encoded(stays);
    let had_horizon = header.has_delete_horizon().then_some(header.base_timestamp);
    let horizon = horizon.or(had_horizon);
    let mut base = horizon;
    let (mut count, mut max_timestamp) = (0_i32, NO_TIMESTAMP);
    let put = |record: EncodedRecord<'_>, out: &mut Vec<u8>| {
        let base = *base.get_or_insert(record.timestamp);
        put_record(out, &record, record.timestamp.0.wrapping_sub(base.0));
        max_timestamp = max_timestamp.max(record.timestamp);
        count = count.saturating_add(1);
    };
    let start = begin(out);
    put_all(codec, kept, put, out)?;
    let flag = match horizon {
        Some(_) => attribute::DELETE_HORIZON,
        None => 0,
    };
    let header = BatchHeader {
        attributes: header.attributes | flag,
        base_timestamp: base.unwrap_or(NO_TIMESTAMP),
        max_timestamp: match header.is_log_append_time() {
            true => header.max_timestamp,
            false => max_timestamp,
        },
        record_count: count,
        ..*header
    };
    seal_in_place(header, out.get_mut(start..).unwrap_or_default())
}

/// Appends to `out` what is left of a batch that has lost all of its records: it says which offsets
/// and sequences there were (`DefaultRecordBatch.writeEmptyHeader`). The header of that.
pub fn emptied(header: &BatchHeader, out: &mut Vec<u8>) -> Result<BatchHeader, BuildError> {
    let kept = attribute::LOG_APPEND_TIME | attribute::TRANSACTIONAL | attribute::CONTROL;
    let header = BatchHeader {
        attributes: header.attributes & kept,
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    let start = begin(out);
    seal_in_place(header, out.get_mut(start..).unwrap_or_default())
}

/// Leaves room for a header; where it begins.
fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.resize(start + BATCH_HEADER_LENGTH, 0);
    start
}

/// Appends records, compressed if need be.
fn put_all<'a>(
    codec: Codec,
    records: impl Iterator<Item = EncodedRecord<'a>>,
    mut put: impl FnMut(EncodedRecord<'a>, &mut Vec<u8>),
    out: &mut Vec<u8>,
) -> Result<(), BuildError> {
    if codec == Codec::None {
        records.for_each(|record| put(record, out));
        return Ok(());
    }
    let mut encoder = Encoder::new(codec, Level::Default, std::mem::take(out))?;
    let mut encoded = Vec::new();
    for record in records {
        encoded.clear();
        put(record, &mut encoded);
        encoder.write_all(&encoded)?;
    }
    *out = encoder.finish()?;
    Ok(())
}

/// Only what is relative to the batch is encoded anew.
fn put_record(out: &mut Vec<u8>, record: &EncodedRecord<'_>, timestamp_delta: i64) {
    let offset_delta = i64::from(record.offset_delta);
    let length = 1 + varint_len(timestamp_delta) + varint_len(offset_delta) + record.rest.len();
    put_varint(out, signed(length));
    out.push(0);
    put_varint(out, timestamp_delta);
    put_varint(out, offset_delta);
    out.extend_from_slice(record.rest);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::builder::seal;
    use super::super::header::ValidBatch;
    use super::*;
    use crate::batch::{BatchBuilder, Header, RecordView, records};
    use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    type Read = (
        i64,
        i64,
        Option<Vec<u8>>,
        Option<Vec<u8>>,
        Vec<(Vec<u8>, Option<Vec<u8>>)>,
    );

    fn read(batch: &ValidBatch) -> Vec<Read> {
        assert_eq!(BatchHeader::parse(&batch.bytes), Ok(batch.header));
        assert!(batch.header.crc_matches(&batch.bytes));
        let opened = records(&batch.bytes).unwrap();
        let record = |record: RecordView<'_>| {
            let headers = record.headers.iter();
            let headers = headers.map(|each| (each.key.to_vec(), each.value.map(<[u8]>::to_vec)));
            (
                record.offset.0,
                record.timestamp.0,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
                headers.collect(),
            )
        };
        opened.iter().map(|each| record(each.unwrap())).collect()
    }

    /// What is appended, behind something that stays as it is.
    fn appended(
        append: impl FnOnce(&mut Vec<u8>) -> Result<BatchHeader, BuildError>,
    ) -> ValidBatch {
        let mut out = b"before".to_vec();
        let header = append(&mut out).unwrap();
        let bytes = out.strip_prefix(b"before").unwrap();
        ValidBatch {
            bytes: Bytes::copy_from_slice(bytes),
            header,
        }
    }

    fn sample(codec: Codec) -> ValidBatch {
        let mut builder = BatchBuilder::new()
            .compression(codec, Level::Default)
            .base_offset(Offset(100))
            .leader_epoch(LeaderEpoch(3))
            .producer(ProducerId(7), ProducerEpoch(1), 40);
        for record in 0..5_i64 {
            let (key, value) = ([b'k', record as u8], [b'v'; 30]);
            let header = Header {
                key: b"h",
                value: (record == 2).then_some(b"x"),
            };
            let headers = if record > 1 { &[header][..] } else { &[] };
            // The first has the largest timestamp.
            let timestamp = Timestamp(1_000 - record * 10);
            builder.push_with_headers(
                timestamp,
                Some(&key),
                (record != 3).then_some(&value),
                headers,
            );
        }
        builder.build().unwrap()
    }

    #[test]
    fn what_stays_has_the_offsets_times_and_headers_it_had() {
        for codec in Codec::ALL {
            let batch = sample(codec);
            let before = read(&batch);
            let opened = records(&batch.bytes).unwrap();
            let stays = [false, true, false, true, false].into_iter();
            let after = appended(|out| retain(&opened, codec, stays, None, out));
            assert_eq!(read(&after), [before[1].clone(), before[3].clone()]);
            let expected = BatchHeader {
                length: after.header.length,
                crc: after.header.crc,
                base_timestamp: Timestamp(990),
                max_timestamp: Timestamp(990),
                record_count: 2,
                ..batch.header
            };
            assert_eq!(after.header, expected);
        }
    }

    #[test]
    fn a_horizon_stands_where_the_base_of_the_timestamps_does_and_stays() {
        let batch = sample(Codec::Gzip);
        let opened = records(&batch.bytes).unwrap();
        let all = [true; 5].into_iter();
        let horizon = Some(Timestamp(86_400_000));
        let marked = appended(|out| retain(&opened, Codec::Gzip, all, horizon, out));
        assert!(marked.header.has_delete_horizon());
        assert_eq!(marked.header.base_timestamp, Timestamp(86_400_000));
        assert_eq!(marked.header.max_timestamp, Timestamp(1_000));
        assert_eq!(read(&marked), read(&batch));
        let opened = records(&marked.bytes).unwrap();
        let later = [false, false, false, true, true].into_iter();
        let again = appended(|out| retain(&opened, Codec::Gzip, later, None, out));
        assert!(again.header.has_delete_horizon());
        assert_eq!(again.header.base_timestamp, Timestamp(86_400_000));
        assert_eq!(read(&again), read(&batch)[3..]);
    }

    #[test]
    fn the_time_of_the_append_is_that_of_every_record_and_stays() {
        let batch = sample(Codec::None);
        let stamped = BatchHeader {
            attributes: batch.header.attributes | attribute::LOG_APPEND_TIME,
            max_timestamp: Timestamp(5_000),
            ..batch.header
        };
        let batch = seal(stamped, batch.bytes.to_vec()).unwrap();
        let opened = records(&batch.bytes).unwrap();
        let last = [false, false, false, false, true].into_iter();
        let after = appended(|out| retain(&opened, Codec::None, last, None, out));
        assert!(after.header.is_log_append_time());
        assert_eq!(after.header.max_timestamp, Timestamp(5_000));
        assert_eq!(read(&after)[0].1, 5_000);
    }

    #[test]
    fn an_emptied_batch_still_says_which_offsets_and_sequences_there_were() {
        let batch = sample(Codec::Zstd);
        let empty = appended(|out| emptied(&batch.header, out));
        assert_eq!(empty.bytes.len(), BATCH_HEADER_LENGTH);
        assert!(read(&empty).is_empty());
        assert_eq!(empty.header.producer(), batch.header.producer());
        assert_eq!(empty.header.base_offset, batch.header.base_offset);
        assert_eq!(empty.header.next_offset(), batch.header.next_offset());
        assert_eq!(empty.header.max_timestamp, batch.header.max_timestamp);
        assert_eq!(empty.header.codec(), Ok(Codec::None));
        let again = appended(|out| emptied(&empty.header, out));
        assert_eq!(again.bytes, empty.bytes);
    }
}
