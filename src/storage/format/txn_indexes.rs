//! `klamm-transaction-indexes`: what the `.txnindex` files of a partition must contain.
//!
//! Kafka's transaction index has no checksum, and none is written for a segment without aborted
//! transactions: a file that is gone looks like one that never was. With this one it does not.
//!
//! ```text
//! 0                           version
//! 1a2b3c4d                    CRC-32C of all lines after this one
//! mSmGmvxqTYqOeqrrXnI0bA 0    topic id, partition
//! 2                           number of segments
//! 0 1500 12 89abcdef          base offset; up to which offset it is told of; how many entries
//! 1500 1720 0 0               have their markers below that; CRC-32C of these entries
//! ```

use crate::model::{Offset, PartitionId, TopicId, TopicPartition};
use crate::wire;

use super::{Malformed, number};

const VERSION: i64 = 0;

/// What is known of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSummary {
    /// Base offset of the segment.
    pub base: Offset,
    /// Transactions that were aborted below this offset are counted; in a sealed segment that is
    /// its end.
    pub end: Offset,
    /// How many entries the file has for them, in front.
    pub entries: usize,
    /// CRC-32C of these entries.
    pub crc: u32,
}

/// The file's content.
pub fn encode(partition: TopicPartition, indexes: &[IndexSummary]) -> String {
    let (topic, number) = (partition.topic.to_base64(), partition.partition);
    let lines: String = indexes
        .iter()
        .map(|index| {
            let IndexSummary {
                base,
                end,
                entries,
                crc,
            } = index;
            format!("{base} {end} {entries} {crc:x}\n")
        })
        .collect();
    let covered = format!("{topic} {number}\n{}\n{lines}", indexes.len());
    let crc = wire::crc32c(covered.as_bytes());
    format!("{VERSION}\n{crc:x}\n{covered}")
}

/// Whose file it is, and what it says, if it is whole.
pub fn decode(content: &str) -> Result<(TopicPartition, Vec<IndexSummary>), Malformed> {
    let (version, rest) = content.split_once('\n').ok_or(Malformed::Short)?;
    let version: i64 = number(version)?;
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    let (crc, covered) = rest.split_once('\n').ok_or(Malformed::Short)?;
    if hexadecimal(crc)? != wire::crc32c(covered.as_bytes()) {
        return Err(Malformed::Checksum);
    }
    let mut lines = covered.lines();
    let [topic, partition] = fields(lines.next().ok_or(Malformed::Short)?)?;
    let topic = TopicId::from_base64(topic)
        .ok_or_else(|| Malformed::Field(format!("'{topic}' is no topic id")))?;
    let partition = TopicPartition {
        topic,
        partition: PartitionId(number(partition)?),
    };
    let expected: usize = number(lines.next().ok_or(Malformed::Short)?)?;
    let indexes: Vec<IndexSummary> = lines.map(summary).collect::<Result<_, _>>()?;
    match indexes.len() == expected {
        true => Ok((partition, indexes)),
        false => Err(Malformed::Field(format!(
            "{} segments instead of {expected}",
            indexes.len()
        ))),
    }
}

fn summary(line: &str) -> Result<IndexSummary, Malformed> {
    let [base, end, entries, crc] = fields(line)?;
    Ok(IndexSummary {
        base: Offset(number(base)?),
        end: Offset(number(end)?),
        entries: number(entries)?,
        crc: hexadecimal(crc)?,
    })
}

fn fields<const N: usize>(line: &str) -> Result<[&str; N], Malformed> {
    let fields: Vec<&str> = line.split(' ').collect();
    fields
        .try_into()
        .map_err(|_| Malformed::Field(format!("'{line}' has not {N} fields")))
}

fn hexadecimal(text: &str) -> Result<u32, Malformed> {
    u32::from_str_radix(text, 16).map_err(|_| Malformed::Field(format!("'{text}' is no checksum")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: TopicPartition = TopicPartition {
        topic: TopicId(uuid::Uuid::from_u128(7)),
        partition: PartitionId(3),
    };

    fn sample() -> [IndexSummary; 2] {
        let index = IndexSummary {
            base: Offset(0),
            end: Offset(1500),
            entries: 12,
            crc: 0x89ab_cdef,
        };
        [
            index,
            IndexSummary {
                base: Offset(1500),
                end: Offset(1720),
                entries: 0,
                crc: 0,
            },
        ]
    }

    #[test]
    fn what_is_told_survives_the_round_trip() {
        for indexes in [&sample()[..], &[]] {
            let content = encode(PARTITION, indexes);
            assert_eq!(decode(&content), Ok((PARTITION, indexes.to_vec())));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let content = encode(PARTITION, &sample()).into_bytes();
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = std::str::from_utf8(&flipped) else {
                continue;
            };
            let decoded = decode(flipped);
            // A letter of the checksum may become its capital.
            let same = decoded.as_ref().is_ok_and(|(_, found)| *found == sample());
            assert!(decoded.is_err() || same, "bit {bit}");
        }
        for cut in 0..content.len() {
            let content = std::str::from_utf8(&content[..cut]).unwrap();
            assert!(decode(content).is_err(), "{cut} bytes");
        }
    }
}
