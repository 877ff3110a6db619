//! `.index`: where in a segment an offset stands (Kafka's `OffsetIndex`).
//!
//! ```text
//! repeated, 8 bytes, ascending in both fields
//!   0                 4              8
//!   ├─────────────────┼──────────────┤
//!   │ last offset of a│ position of  │
//!   │ batch − base i32│ that batch   │
//!   │                 │ i32          │
//!   └─────────────────┴──────────────┘
//! ```
//!
//! Sparse: about one entry for every `index.interval.bytes`. No checksum: whoever uses an entry
//! looks whether the batch it names is there, and an index that lies is built again.

use crate::batch::BatchHeader;
use crate::model::Offset;

/// Bytes of an entry.
pub const ENTRY_LENGTH: usize = 8;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Last offset of a batch, relative to the segment's base.
    pub relative_offset: u32,
    /// Where the batch begins in the `.log` file.
    pub position: u32,
}

impl OffsetEntry {
    /// The entry as bytes.
    pub fn encode(self) -> [u8; ENTRY_LENGTH] {
        let packed = u64::from(self.relative_offset) << 32 | u64::from(self.position);
        packed.to_be_bytes()
    }

    /// The inverse of [`encode`](Self::encode).
    pub fn decode(bytes: [u8; ENTRY_LENGTH]) -> Self {
        let packed = u64::from_be_bytes(bytes);
        Self {
            relative_offset: (packed >> 32) as u32,
            position: packed as u32,
        }
    }
}

impl OffsetEntry {
    /// Whether it describes the batch with this header, in a segment that begins at `base`.
    pub fn names(self, base: Offset, header: &BatchHeader) -> bool {
        header.last_offset() == base.plus(i64::from(self.relative_offset))
    }
}

/// A whole index as bytes.
pub fn encode(entries: &[OffsetEntry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.encode()).collect()
}

/// The entries of a whole index, as long as they ascend: the rest is rubbish or padding.
pub fn decode(bytes: &[u8]) -> Vec<OffsetEntry> {
    let (chunks, _rest) = bytes.as_chunks();
    let mut entries: Vec<OffsetEntry> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let entry = OffsetEntry::decode(*chunk);
        let ascends = entries.last().is_none_or(|last| {
            entry.relative_offset > last.relative_offset && entry.position > last.position
        });
        if !ascends {
            break;
        }
        entries.push(entry);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: [OffsetEntry; 2] = [
        OffsetEntry {
            relative_offset: 0x0102_0304,
            position: 0x0a0b_0c0d,
        },
        OffsetEntry {
            relative_offset: 0x7fff_ffff,
            position: 0x7fff_fffe,
        },
    ];

    #[test]
    fn entries_survive_the_round_trip() {
        let bytes = encode(&ENTRIES);
        assert_eq!(bytes[..8], [1, 2, 3, 4, 10, 11, 12, 13]);
        assert_eq!(decode(&bytes), ENTRIES);
    }

    #[test]
    fn a_cut_or_padded_index_gives_the_entries_that_ascend() {
        let bytes = encode(&ENTRIES);
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), ENTRIES[..cut / 8]);
        }
        let mut padded = bytes.clone();
        padded.extend_from_slice(&[0; 24]);
        assert_eq!(decode(&padded), ENTRIES);
    }

    #[test]
    fn every_flipped_bit_changes_what_is_read() {
        let bytes = encode(&ENTRIES);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(decode(&flipped), ENTRIES);
        }
    }
}
