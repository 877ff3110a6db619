//! A batch that is encoded once, and then only stamped.

use std::sync::Arc;

use super::plan::BatchSpec;
use super::stamp::Stamp;
use crate::batch::{BatchBuilder, BatchHeader, BuildError, Level};
use crate::model::Timestamp;
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::wire;

/// Where the checksum of a header is, and the first byte that it covers.
const CRC_AT: std::ops::Range<usize> = 17..21;
const COVERED_AT: usize = 21;

/// Seed of the records' bytes: every run sends the same.
const SEED: u64 = 0x6b6c_616d_6d21;

/// A batch of equal records, all but its header.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    header: BatchHeader,
    /// What follows the header.
    records: Arc<[u8]>,
    records_crc: u32,
    /// What each bit of the checksum of a header becomes when the records follow it: a CRC is
    /// linear, so that the two checksums are combined without reading the records.
    shift: [u32; 32],
}

impl Pattern {
    /// Encodes a batch of as many records as fit, at least one.
    pub(super) fn new(spec: &BatchSpec) -> Result<Self, BuildError> {
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut batch = BatchBuilder::new().compression(spec.codec, Level::Default);
        loop {
            // Letters, which compress to about two thirds, as those of Kafka's own tool.
            let value: Vec<u8> = (0..spec.record_bytes)
                .map(|_| random.alphabetic() as u8)
                .collect();
            let before = batch.size();
            batch.push(Timestamp(0), None, Some(&value));
            let record = batch.size() - before;
            // Ten bytes more, lest a longer offset delta makes the next one larger.
            if batch.size() + record + 10 > spec.batch_bytes {
                break;
            }
        }
        let built = batch.build()?;
        let records = built.bytes.get(BATCH_HEADER_LENGTH..).unwrap_or_default();
        let mut shift = [0; 32];
        for (bit, shifted) in shift.iter_mut().enumerate() {
            *shifted = crc32c::crc32c_combine(1 << bit, 0, records.len());
        }
        Ok(Self {
            header: built.header,
            records_crc: wire::crc32c(records),
            records: Arc::from(records),
            shift,
        })
    }

    /// Records in the batch.
    pub(super) fn record_count(&self) -> u32 {
        u32::try_from(self.header.record_count).unwrap_or(0)
    }

    /// Bytes of the batch.
    pub(super) fn len(&self) -> usize {
        BATCH_HEADER_LENGTH + self.records.len()
    }

    /// What follows the header.
    pub(super) fn records(&self) -> &[u8] {
        &self.records
    }

    /// The header of the batch with this stamp, checksum included.
    pub(super) fn header(&self, stamp: Stamp) -> [u8; BATCH_HEADER_LENGTH] {
        let mut header = self.header;
        stamp.put(&mut header);
        let mut bytes = header.encode();
        let crc = wire::crc32c(bytes.get(COVERED_AT..).unwrap_or_default());
        let crc = self.behind(crc) ^ self.records_crc;
        if let Some(field) = bytes.get_mut(CRC_AT) {
            field.copy_from_slice(&crc.to_be_bytes());
        }
        bytes
    }

    /// The share of a header's checksum in that of the batch.
    fn behind(&self, crc: u32) -> u32 {
        let bits = self.shift.iter().enumerate();
        bits.fold(0, |sum, (bit, shifted)| {
            // Without a branch: the bits are random.
            sum ^ (shifted & ((crc >> bit) & 1).wrapping_neg())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Codec, records};

    fn pattern(codec: Codec, record_bytes: usize, batch_bytes: usize) -> Pattern {
        let spec = BatchSpec {
            codec,
            record_bytes,
            batch_bytes,
        };
        Pattern::new(&spec).expect("a pattern")
    }

    fn whole(pattern: &Pattern, stamp: Stamp) -> Vec<u8> {
        let mut batch = pattern.header(stamp).to_vec();
        batch.extend_from_slice(pattern.records());
        batch
    }

    #[test]
    fn a_stamped_batch_is_valid_in_every_codec() {
        for codec in [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ] {
            let pattern = pattern(codec, 100, 4096);
            for number in [0, 1, 77_777] {
                let stamp = Stamp {
                    producer: 3,
                    number,
                    due_us: 1_700_000_000_000_001 + i64::from(number),
                };
                let batch = whole(&pattern, stamp);
                let header = BatchHeader::parse(&batch).expect("a header");
                assert!(header.crc_matches(&batch), "{codec:?} {number}");
                assert_eq!(Stamp::of(&header), Some(stamp));
                assert_eq!(header.total_len(), pattern.len());
                assert_eq!(header.last_offset_delta + 1, header.record_count);
            }
        }
    }

    #[test]
    fn a_batch_is_as_full_as_it_may_be_and_has_at_least_one_record() {
        let full = pattern(Codec::None, 100, 16 * 1024);
        assert!(full.len() <= 16 * 1024 && full.len() + 130 > 16 * 1024);
        assert_eq!(full.record_count(), 148);
        assert_eq!(pattern(Codec::None, 100, 0).record_count(), 1);
    }

    #[test]
    fn the_records_have_the_size_that_was_asked_for() {
        let pattern = pattern(Codec::None, 10, 300);
        let stamp = Stamp {
            producer: 0,
            number: 0,
            due_us: 0,
        };
        let batch = whole(&pattern, stamp);
        let opened = records(&batch).expect("records");
        let sizes: Vec<_> = opened
            .iter()
            .map(|record| record.expect("a record").value.map(<[u8]>::len))
            .collect();
        assert_eq!(sizes, vec![Some(10); pattern.record_count() as usize]);
    }
}
