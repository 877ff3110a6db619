//! `.timeindex`: up to which offset no record is newer than a time (Kafka's `TimeIndex`).
//!
//! ```text
//! repeated, 12 bytes, times ascending, offsets not descending
//!   0                       8                 12
//!   ├───────────────────────┼─────────────────┤
//!   │ largest timestamp     │ last offset of  │
//!   │ so far i64, ms        │ the batch that  │
//!   │                       │ has it − base   │
//!   │                       │ i32             │
//!   └───────────────────────┴─────────────────┘
//! ```
//!
//! The last entry of a sealed segment holds its largest timestamp. No checksum, as in `.index`.

use crate::model::Timestamp;

/// Bytes of an entry.
pub const ENTRY_LENGTH: usize = 12;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// Largest timestamp up to the offset.
    pub timestamp: Timestamp,
    /// Last offset of the batch with that timestamp, relative to the segment's base.
    pub relative_offset: u32,
}

impl TimeEntry {
    /// The entry as bytes.
    pub fn encode(self) -> [u8; ENTRY_LENGTH] {
        let packed = (self.timestamp.0 as u64 as u128) << 32 | u128::from(self.relative_offset);
        let [_, _, _, _, entry @ ..] = packed.to_be_bytes();
        entry
    }

    /// The inverse of [`encode`](Self::encode).
    pub fn decode(bytes: [u8; ENTRY_LENGTH]) -> Self {
        let [a, b, c, d, e, f, g, h, offset @ ..] = bytes;
        Self {
            timestamp: Timestamp(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            relative_offset: u32::from_be_bytes(offset),
        }
    }
}

/// A whole index as bytes.
pub fn encode(entries: &[TimeEntry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.encode()).collect()
}

/// The entries of a whole index, as long as they ascend: the rest is rubbish or padding.
pub fn decode(bytes: &[u8]) -> Vec<TimeEntry> {
    let (chunks, _rest) = bytes.as_chunks();
    let mut entries: Vec<TimeEntry> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let entry = TimeEntry::decode(*chunk);
        let ascends = entries.last().is_none_or(|last| {
            entry.timestamp > last.timestamp && entry.relative_offset >= last.relative_offset
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

    const ENTRIES: [TimeEntry; 2] = [
        TimeEntry {
            timestamp: Timestamp(0x0102_0304_0506_0708),
            relative_offset: 9,
        },
        TimeEntry {
            timestamp: Timestamp(0x7fff_0304_0506_0708),
            relative_offset: 0x7fff_ffff,
        },
    ];

    #[test]
    fn entries_survive_the_round_trip() {
        let bytes = encode(&ENTRIES);
        assert_eq!(bytes[..12], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9]);
        assert_eq!(decode(&bytes), ENTRIES);
        let negative = TimeEntry {
            timestamp: Timestamp(-1),
            relative_offset: 0,
        };
        assert_eq!(TimeEntry::decode(negative.encode()), negative);
    }

    #[test]
    fn a_cut_or_padded_index_gives_the_entries_that_ascend() {
        let bytes = encode(&ENTRIES);
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), ENTRIES[..cut / 12]);
        }
        let mut padded = bytes.clone();
        padded.extend_from_slice(&[0; 24]);
        assert_eq!(decode(&padded), ENTRIES);
    }
}
