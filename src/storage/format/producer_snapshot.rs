//! `.snapshot`: the idempotent producers of a partition as of an offset (Kafka's
//! `ProducerStateManager`, schema `ProducerSnapshot`, version 1).
//!
//! ```text
//!   0         2          6         10
//!   ├─────────┼──────────┼─────────┼───────────── repeated, 46 bytes ──────────────
//!   │ version │ crc32c   │ number  │ producer id i64 · epoch i16 · last sequence i32
//!   │ i16 = 1 │ u32 of   │ of en-  │ last offset i64 · offset delta i32 · time i64
//!   │         │ bytes 6… │ tries   │ coordinator epoch i32
//!   │         │          │ i32     │ first offset of the open transaction i64, or -1
//!   └─────────┴──────────┴─────────┴────────────────────────────────────────────────
//! ```
//!
//! One batch a producer: what retries need beyond it is read back from the log.

use crate::model::Timestamp;
use crate::wire;

use super::{Fields, Malformed};

const VERSION: i16 = 1;
const HEADER_LENGTH: usize = 10;
const ENTRY_LENGTH: usize = 46;
/// Where the bytes begin that the checksum covers.
const COVERED_AT: usize = 6;

/// One producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// Producer.
    pub producer_id: i64,
    /// Newest epoch seen.
    pub epoch: i16,
    /// Sequence of its last record, or -1 if it only ended transactions.
    pub last_sequence: i32,
    /// Offset of its last record, or -1.
    pub last_offset: i64,
    /// Offset of its last record less that of the first in the same batch.
    pub offset_delta: i32,
    /// Time of its last batch.
    pub timestamp: Timestamp,
    /// Epoch of the coordinator that last ended a transaction, or -1.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub transaction_start: Option<i64>,
}

/// The file's content.
pub fn encode(entries: &[SnapshotEntry]) -> Vec<u8> {
    let mut covered = Vec::with_capacity(4 + entries.len() * ENTRY_LENGTH);
    let count = i32::try_from(entries.len()).unwrap_or(i32::MAX);
    covered.extend_from_slice(&count.to_be_bytes());
    for entry in entries {
        covered.extend_from_slice(&entry.producer_id.to_be_bytes());
        covered.extend_from_slice(&entry.epoch.to_be_bytes());
        covered.extend_from_slice(&entry.last_sequence.to_be_bytes());
        covered.extend_from_slice(&entry.last_offset.to_be_bytes());
        covered.extend_from_slice(&entry.offset_delta.to_be_bytes());
        covered.extend_from_slice(&entry.timestamp.0.to_be_bytes());
        covered.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        covered.extend_from_slice(&entry.transaction_start.unwrap_or(-1).to_be_bytes());
    }
    let mut content = Vec::with_capacity(COVERED_AT + covered.len());
    content.extend_from_slice(&VERSION.to_be_bytes());
    content.extend_from_slice(&wire::crc32c(&covered).to_be_bytes());
    content.extend_from_slice(&covered);
    content
}

/// The producers of a file, if it is whole.
pub fn decode(content: &[u8]) -> Result<Vec<SnapshotEntry>, Malformed> {
    let mut fields = Fields(content);
    let version = i16::from_be_bytes(fields.take()?);
    if version != VERSION {
        return Err(Malformed::Version(i64::from(version)));
    }
    let crc = u32::from_be_bytes(fields.take()?);
    if wire::crc32c(fields.0) != crc {
        return Err(Malformed::Checksum);
    }
    let count = usize::try_from(i32::from_be_bytes(fields.take()?)).unwrap_or(usize::MAX);
    if count.checked_mul(ENTRY_LENGTH) != Some(content.len().saturating_sub(HEADER_LENGTH)) {
        return Err(Malformed::Field(format!(
            "{count} entries do not fit its length"
        )));
    }
    (0..count)
        .map(|_| {
            Ok(SnapshotEntry {
                producer_id: i64::from_be_bytes(fields.take()?),
                epoch: i16::from_be_bytes(fields.take()?),
                last_sequence: i32::from_be_bytes(fields.take()?),
                last_offset: i64::from_be_bytes(fields.take()?),
                offset_delta: i32::from_be_bytes(fields.take()?),
                timestamp: Timestamp(i64::from_be_bytes(fields.take()?)),
                coordinator_epoch: i32::from_be_bytes(fields.take()?),
                transaction_start: Some(i64::from_be_bytes(fields.take()?)).filter(|at| *at >= 0),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<SnapshotEntry> {
        let first = SnapshotEntry {
            producer_id: 7,
            epoch: 2,
            last_sequence: 41,
            last_offset: 1000,
            offset_delta: 9,
            timestamp: Timestamp(1_700_000_000_000),
            coordinator_epoch: -1,
            transaction_start: None,
        };
        vec![
            first,
            SnapshotEntry {
                producer_id: 8,
                transaction_start: Some(991),
                ..first
            },
        ]
    }

    #[test]
    fn producers_survive_the_round_trip() {
        assert_eq!(decode(&encode(&sample())), Ok(sample()));
        assert_eq!(decode(&encode(&[])), Ok(Vec::new()));
        assert_eq!(encode(&sample()).len(), HEADER_LENGTH + 2 * ENTRY_LENGTH);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let content = encode(&sample());
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        for cut in 0..content.len() {
            assert!(decode(&content[..cut]).is_err(), "{cut} bytes");
        }
    }

    #[test]
    fn a_count_that_lies_is_refused_before_anything_is_allocated() {
        let mut content = encode(&[]);
        content[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
        let crc = wire::crc32c(&content[6..]);
        content[2..6].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(decode(&content), Err(Malformed::Field(_))));
    }
}
