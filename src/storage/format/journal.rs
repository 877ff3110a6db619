//! `klamm-durable-offsets`: below which offset each log is known to be on disk. Klamm's own file;
//! Kafka has none like it.
//!
//! ```text
//! two areas of equal length, each a chain of records, the first of them a snapshot
//!
//! record, in whole blocks of 4,096 bytes, zeros behind its last entry
//!   0        4        8           16      20      24
//!   ├────────┼────────┼───────────┼───────┼───────┼── repeated, 40 bytes ─────────────────
//!   │ "KDO1" │ crc32c │ sequence  │ kind  │ number│ topic id 16 bytes · partition i32
//!   │        │ u32 of │ u64       │ u32   │ of en-│ offset i64 · base of its segment i64
//!   │        │ bytes  │           │       │ tries │ position in that segment u32
//!   │        │ 8…     │           │       │ u32   │
//!   └────────┴────────┴───────────┴───────┴───────┴───────────────────────────────────────
//! kind 1, snapshot: every log that is known. kind 2, change: what is new since the record before.
//! ```
//!
//! A record is written behind the one before it, has the next higher sequence, and is synced
//! before the next one is written. Where an area has no room left, the other one begins anew with
//! a snapshot. So a power cut tears at most the newest record: no earlier one shares a block with
//! it, and when an area begins, the chain in the other one is whole. A record that does not go on
//! with its chain (torn, or left from an earlier life of the area) ends it.

use std::collections::HashMap;

use crate::model::{Offset, PartitionId, TopicId, TopicPartition};
use crate::wire;

/// Records begin at multiples of this: a page, and no less than a sector of any disk.
pub const BLOCK_BYTES: usize = 4096;
/// The longest file that is believed to be a journal: a million partitions are far below.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

const MAGIC: [u8; 4] = *b"KDO1";
const HEADER_LENGTH: usize = 24;
const ENTRY_LENGTH: usize = 40;
/// Where the bytes begin that the checksum covers.
const COVERED_AT: usize = 8;

/// Below `offset` a log is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurablePoint {
    /// The offset after the last batch that is known to be on disk.
    pub offset: Offset,
    /// Base of the segment in which that batch ended when this was noted.
    pub segment: Offset,
    /// Where in that segment it ended, in bytes. Segments are replaced and leave: a hint.
    pub position: u64,
}

/// What a record says beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every log that is known, and nothing from before counts.
    Snapshot,
    /// What is new since the record before it.
    Change,
}

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::Snapshot => 1,
            Self::Change => 2,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// One more than that of the record before it.
    pub sequence: u64,
    /// Whether it says everything, or what is new.
    pub kind: Kind,
    /// The logs, each once.
    pub entries: Vec<(TopicPartition, DurablePoint)>,
}

/// Blocks that a record of so many entries takes.
pub const fn blocks(entries: usize) -> usize {
    (HEADER_LENGTH + entries * ENTRY_LENGTH).div_ceil(BLOCK_BYTES)
}

impl Record {
    /// The record as bytes, in whole blocks.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(blocks(self.entries.len()) * BLOCK_BYTES);
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.kind.code().to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        for (id, point) in &self.entries {
            bytes.extend_from_slice(id.topic.0.as_bytes());
            bytes.extend_from_slice(&id.partition.0.to_be_bytes());
            bytes.extend_from_slice(&point.offset.0.to_be_bytes());
            bytes.extend_from_slice(&point.segment.0.to_be_bytes());
            // Segments end below 2 GiB (`segment.bytes` is an i32).
            let position = u32::try_from(point.position).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        let crc = wire::crc32c(&bytes);
        bytes.splice(..0, MAGIC.into_iter().chain(crc.to_be_bytes()));
        bytes.resize(blocks(self.entries.len()) * BLOCK_BYTES, 0);
        bytes
    }

    /// The record that `bytes` begin with, if there is a whole one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER_LENGTH>()?;
        let mut fields = super::Fields(header);
        let magic: [u8; 4] = fields.take().ok()?;
        let crc = u32::from_be_bytes(fields.take().ok()?);
        let sequence = u64::from_be_bytes(fields.take().ok()?);
        let kind = match u32::from_be_bytes(fields.take().ok()?) {
            1 => Kind::Snapshot,
            2 => Kind::Change,
            _ => return None,
        };
        let count = usize::try_from(u32::from_be_bytes(fields.take().ok()?)).ok()?;
        let end = count
            .checked_mul(ENTRY_LENGTH)?
            .checked_add(HEADER_LENGTH)?;
        let covered = bytes.get(COVERED_AT..end)?;
        if magic != MAGIC || wire::crc32c(covered) != crc {
            return None;
        }
        let (entries, _) = bytes.get(HEADER_LENGTH..end)?.as_chunks();
        let entries: Option<Vec<_>> = entries.iter().map(decode_entry).collect();
        Some(Self {
            sequence,
            kind,
            entries: entries?,
        })
    }
}

/// `None` where the numbers are none that a log can have.
fn decode_entry(bytes: &[u8; ENTRY_LENGTH]) -> Option<(TopicPartition, DurablePoint)> {
    let mut fields = super::Fields(bytes);
    let topic = TopicId(uuid::Uuid::from_bytes(fields.take().ok()?));
    let partition = PartitionId(i32::from_be_bytes(fields.take().ok()?));
    let offset = Offset(i64::from_be_bytes(fields.take().ok()?));
    let segment = Offset(i64::from_be_bytes(fields.take().ok()?));
    let position = u64::from(u32::from_be_bytes(fields.take().ok()?));
    let possible = partition.0 >= 0 && segment.0 >= 0 && segment <= offset;
    let point = DurablePoint {
        offset,
        segment,
        position,
    };
    possible.then_some((TopicPartition { topic, partition }, point))
}

/// One of the two halves of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// From the file's begin.
    First,
    /// From its middle.
    Second,
}

impl Area {
    /// The one that this is not.
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Its first byte, in a file whose areas have so many bytes.
    pub const fn start(self, area_bytes: u64) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => area_bytes,
        }
    }
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Where the newest chain is.
    pub area: Area,
    /// The sequence of its last record.
    pub sequence: u64,
    /// The logs and their offsets.
    pub points: HashMap<TopicPartition, DurablePoint>,
}

/// The bytes of an area, in a file that is so long.
pub fn area_bytes(file_len: usize) -> usize {
    file_len / 2 / BLOCK_BYTES * BLOCK_BYTES
}

/// The newest chain of the file; `None` if there is none at all. Whatever the bytes are, this
/// believes only whole records, and of each area only those that follow each other from its begin.
pub fn decode(file: &[u8]) -> Option<Contents> {
    let (first, second) = file.split_at_checked(area_bytes(file.len()))?;
    let chains = [(Area::First, first), (Area::Second, second)];
    chains
        .into_iter()
        .filter_map(|(area, bytes)| decode_chain(area, bytes))
        .max_by_key(|contents| contents.sequence)
}

fn decode_chain(area: Area, bytes: &[u8]) -> Option<Contents> {
    let mut contents: Option<Contents> = None;
    for (_, record) in records(bytes) {
        match &mut contents {
            None if record.kind == Kind::Snapshot => {
                contents = Some(Contents {
                    area,
                    sequence: record.sequence,
                    points: record.entries.into_iter().collect(),
                });
            }
            Some(contents) if record.kind == Kind::Change => {
                contents.sequence = record.sequence;
                contents.points.extend(record.entries);
            }
            None | Some(_) => break,
        }
    }
    contents
}

/// The records that follow each other from the begin of an area, each with its position there.
pub fn records(area: &[u8]) -> impl Iterator<Item = (usize, Record)> + '_ {
    let (mut position, mut last) = (0, None);
    std::iter::from_fn(move || {
        let record = Record::decode(area.get(position..)?)?;
        let follows = last.is_none_or(|last: u64| last.checked_add(1) == Some(record.sequence));
        last = Some(record.sequence);
        let at = position;
        position += blocks(record.entries.len()) * BLOCK_BYTES;
        follows.then_some((at, record))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn id(topic: u128) -> TopicPartition {
        TopicPartition {
            topic: TopicId(uuid::Uuid::from_u128(topic)),
            partition: PartitionId(3),
        }
    }

    pub(crate) fn point(offset: i64) -> DurablePoint {
        DurablePoint {
            offset: Offset(offset),
            segment: Offset(offset / 2),
            position: offset as u64 * 10,
        }
    }

    fn record(sequence: u64, kind: Kind, entries: &[(u128, i64)]) -> Record {
        Record {
            sequence,
            kind,
            entries: entries
                .iter()
                .map(|&(topic, offset)| (id(topic), point(offset)))
                .collect(),
        }
    }

    fn area(records: &[Record], blocks: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        bytes.resize(blocks * BLOCK_BYTES, 0);
        bytes
    }

    /// The sequence, and the offset of topic 1.
    fn newest(file: &[u8]) -> Option<(u64, i64)> {
        let contents = decode(file)?;
        Some((contents.sequence, contents.points[&id(1)].offset.0))
    }

    #[test]
    fn records_survive_the_round_trip_and_fill_whole_blocks() {
        for count in [0, 1, 101, 102, 5_000] {
            let entries: Vec<_> = (0..count).map(|topic| (topic, topic as i64)).collect();
            let record = record(7, Kind::Snapshot, &entries);
            let bytes = record.encode();
            assert_eq!(bytes.len(), blocks(entries.len()) * BLOCK_BYTES);
            assert_eq!(Record::decode(&bytes), Some(record));
        }
        assert_eq!((blocks(101), blocks(102)), (1, 2));
    }

    #[test]
    fn no_flipped_bit_of_a_record_is_believed() {
        let whole = record(9, Kind::Change, &[(1, 5), (2, 6)]);
        let bytes = whole.encode();
        for bit in 0..(HEADER_LENGTH + 2 * ENTRY_LENGTH) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&flipped), None, "bit {bit}");
        }
        for cut in 0..HEADER_LENGTH + 2 * ENTRY_LENGTH {
            assert_eq!(Record::decode(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn the_newest_chain_counts_and_a_log_has_its_newest_offset() {
        let old = area(
            &[
                record(1, Kind::Snapshot, &[(1, 10), (2, 10)]),
                record(2, Kind::Change, &[(1, 11)]),
            ],
            4,
        );
        let new = area(
            &[
                record(3, Kind::Snapshot, &[(1, 12)]),
                record(4, Kind::Change, &[(3, 1)]),
                record(5, Kind::Change, &[(1, 14)]),
            ],
            4,
        );
        for (file, expected_area) in [
            ([old.clone(), new.clone()].concat(), Area::Second),
            ([new.clone(), old.clone()].concat(), Area::First),
        ] {
            let contents = decode(&file).unwrap();
            assert_eq!((contents.area, contents.sequence), (expected_area, 5));
            let points = HashMap::from([(id(1), point(14)), (id(3), point(1))]);
            assert_eq!(
                contents.points, points,
                "a snapshot forgets what it does not name"
            );
        }
        let both_old = [old.clone(), area(&[], 4)].concat();
        assert_eq!(newest(&both_old), Some((2, 11)));
    }

    #[test]
    fn a_torn_record_costs_itself_and_what_was_there_before_it_does_not_go_on() {
        let chain = [
            record(6, Kind::Snapshot, &[(1, 16)]),
            record(7, Kind::Change, &[(1, 17)]),
            record(8, Kind::Change, &[(1, 18)]),
        ];
        let older = area(
            &[
                record(3, Kind::Snapshot, &[(1, 13)]),
                record(4, Kind::Change, &[(1, 14)]),
                record(5, Kind::Change, &[(1, 15)]),
            ],
            4,
        );
        // The second area begins anew over an older life: block by block its records come.
        for (written, expected) in [(0, (5, 15)), (1, (6, 16)), (2, (7, 17)), (3, (8, 18))] {
            let mut second = area(
                &[
                    record(0, Kind::Snapshot, &[(1, 1)]),
                    record(1, Kind::Change, &[(1, 2)]),
                    record(2, Kind::Change, &[(1, 3)]),
                ],
                4,
            );
            for (record, block) in chain
                .iter()
                .zip(second.chunks_mut(BLOCK_BYTES))
                .take(written)
            {
                block.copy_from_slice(&record.encode());
            }
            let mut file = [older.clone(), second].concat();
            assert_eq!(newest(&file), Some(expected));
            // The next record is torn: half of it is there.
            let torn = file.len() / 2 + written * BLOCK_BYTES;
            let next = record(6 + written as u64, Kind::Change, &[(1, 99)]).encode();
            file[torn..torn + 30].copy_from_slice(&next[..30]);
            assert_eq!(newest(&file), Some(expected), "{written}");
        }
    }

    #[test]
    fn zeros_and_wrong_lengths_give_an_older_chain_or_none() {
        for len in [0, 1, BLOCK_BYTES, 10 * BLOCK_BYTES, 10 * BLOCK_BYTES + 77] {
            assert_eq!(decode(&vec![0; len]), None);
        }
        let first = area(&[record(1, Kind::Snapshot, &[(1, 1)])], 2);
        let second = area(&[record(2, Kind::Snapshot, &[(1, 2)])], 2);
        let file = [first, second].concat();
        assert_eq!(newest(&file), Some((2, 2)));
        for len in 2 * BLOCK_BYTES..file.len() {
            assert_eq!(newest(&file[..len]), Some((1, 1)), "{len}");
        }
        let mut longer = file.clone();
        longer.extend_from_slice(&[0; 100]);
        assert_eq!(newest(&longer), Some((2, 2)));
    }

    #[test]
    fn numbers_that_no_log_has_are_not_believed() {
        for (offset, segment) in [(-1, -1), (5, 6), (5, -1)] {
            let mut record = record(1, Kind::Snapshot, &[(1, 1)]);
            record.entries[0].1.offset = Offset(offset);
            record.entries[0].1.segment = Offset(segment);
            assert_eq!(Record::decode(&record.encode()), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_whole_records_or_nothing(
            harms in proptest::collection::vec((0_usize..32_768, proptest::num::u8::ANY), 0..20),
            len in 0_usize..40_000,
        ) {
            let records: Vec<_> = (2..5_u64)
                .map(|sequence| record(sequence, Kind::Change, &[(1, sequence as i64)]))
                .collect();
            let mut chain = vec![record(1, Kind::Snapshot, &[(1, 1)])];
            chain.extend(records);
            let mut file = [area(&chain, 4), area(&[], 4)].concat();
            for (at, byte) in harms {
                file[at] = byte;
            }
            file.resize(len, 0);
            if let Some((sequence, offset)) = newest(&file) {
                proptest::prop_assert_eq!(sequence as i64, offset);
                proptest::prop_assert!((1..=4).contains(&offset));
            }
        }
    }
}
