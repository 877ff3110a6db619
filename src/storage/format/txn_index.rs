//! `.txnindex`: the aborted transactions whose markers are in a segment (Kafka's
//! `TransactionIndex`, `AbortedTxn`). There is no file where there are none.
//!
//! ```text
//! repeated, 34 bytes, last offsets ascending
//!   0         2                10              18              26                 34
//!   ├─────────┼────────────────┼───────────────┼───────────────┼──────────────────┤
//!   │ version │ producer id    │ offset of the │ offset of the │ first offset of  │
//!   │ i16 = 0 │ i64            │ first record  │ marker i64    │ any transaction  │
//!   │         │                │ i64           │               │ open at the      │
//!   │         │                │               │               │ marker, or the   │
//!   │         │                │               │               │ one after it i64 │
//!   └─────────┴────────────────┴───────────────┴───────────────┴──────────────────┘
//! ```
//!
//! The last field ends a search: no transaction of a later entry begins below it. No checksum, as
//! in `.index`.

use crate::model::Offset;

use super::{Fields, Malformed};

const VERSION: i16 = 0;

/// Bytes of an entry.
pub const ENTRY_LENGTH: usize = 34;

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedEntry {
    /// Producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first: Offset,
    /// Offset of the marker that aborted it.
    pub last: Offset,
    /// First offset of any other transaction that was open at the marker; else the offset after
    /// the marker.
    pub last_stable: Offset,
}

impl AbortedEntry {
    /// The entry as bytes.
    pub fn encode(&self) -> [u8; ENTRY_LENGTH] {
        let mut bytes = [0; ENTRY_LENGTH];
        let (version, fields) = bytes.split_at_mut(2);
        version.copy_from_slice(&VERSION.to_be_bytes());
        let values = [
            self.producer_id,
            self.first.0,
            self.last.0,
            self.last_stable.0,
        ];
        for (field, value) in fields.chunks_exact_mut(8).zip(values) {
            field.copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    /// The inverse of [`encode`](Self::encode).
    pub fn decode(bytes: &[u8; ENTRY_LENGTH]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let version = i16::from_be_bytes(fields.take()?);
        if version != VERSION {
            return Err(Malformed::Version(i64::from(version)));
        }
        Ok(Self {
            producer_id: i64::from_be_bytes(fields.take()?),
            first: Offset(i64::from_be_bytes(fields.take()?)),
            last: Offset(i64::from_be_bytes(fields.take()?)),
            last_stable: Offset(i64::from_be_bytes(fields.take()?)),
        })
    }
}

/// A whole index as bytes.
pub fn encode(entries: &[AbortedEntry]) -> Vec<u8> {
    entries.iter().flat_map(AbortedEntry::encode).collect()
}

/// The entries of a whole index. Kafka takes no notice of a cut entry at the end; whoever believes
/// an index must know how many there should be.
pub fn decode(bytes: &[u8]) -> Result<Vec<AbortedEntry>, Malformed> {
    let (chunks, _cut) = bytes.as_chunks();
    chunks.iter().map(AbortedEntry::decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: AbortedEntry = AbortedEntry {
        producer_id: 0x0102_0304_0506_0708,
        first: Offset(9),
        last: Offset(0x0a0b),
        last_stable: Offset(7),
    };

    #[test]
    fn entries_survive_the_round_trip() {
        let bytes = encode(&[ENTRY, ENTRY]);
        let expected = [
            &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8][..],
            &[0, 0, 0, 0, 0, 0, 0, 9],
            &[0, 0, 0, 0, 0, 0, 10, 11],
            &[0, 0, 0, 0, 0, 0, 0, 7],
        ];
        assert_eq!(bytes[..ENTRY_LENGTH], expected.concat());
        assert_eq!(decode(&bytes), Ok(vec![ENTRY, ENTRY]));
    }

    #[test]
    fn a_cut_entry_is_left_out_and_an_unknown_version_refused() {
        let mut bytes = encode(&[ENTRY, ENTRY]);
        for cut in 0..bytes.len() {
            let whole = cut / ENTRY_LENGTH;
            assert_eq!(decode(&bytes[..cut]), Ok(vec![ENTRY; whole]));
        }
        bytes[ENTRY_LENGTH + 1] = 1;
        assert_eq!(decode(&bytes), Err(Malformed::Version(1)));
    }
}
