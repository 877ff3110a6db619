//! `recovery-point-offset-checkpoint` and its sisters: an offset per partition (Kafka's
//! `OffsetCheckpointFile`).
//!
//! ```text
//! 0                      version
//! 2                      number of entries
//! events 0 1500          topic, partition, offset
//! events 1 0
//! ```

use std::collections::BTreeMap;

use crate::model::{Offset, TopicName};

use super::names::partition_directory;
use super::{Malformed, checkpoint_lines, number};

/// Offsets by the names of the partitions' directories.
pub type Offsets = BTreeMap<String, Offset>;

/// The file's content. Names that are not a partition's are left out.
pub fn encode(offsets: &Offsets) -> String {
    let lines: Vec<String> = offsets
        .iter()
        .filter_map(|(directory, offset)| {
            let (topic, partition) = super::names::parse_partition_directory(directory)?;
            Some(format!("{topic} {partition} {offset}\n"))
        })
        .collect();
    format!("0\n{}\n{}", lines.len(), lines.concat())
}

/// The offsets of a file. An empty file, as Kafka creates it, has none.
pub fn decode(content: &str) -> Result<Offsets, Malformed> {
    if content.is_empty() {
        return Ok(Offsets::new());
    }
    let mut offsets = Offsets::new();
    for line in checkpoint_lines(content)? {
        let mut fields = line.split_whitespace();
        let (Some(topic), Some(partition), Some(offset), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(Malformed::Field(format!(
                "'{line}' is not a partition and an offset"
            )));
        };
        let topic =
            TopicName::new(topic).map_err(|refusal| Malformed::Field(refusal.to_string()))?;
        offsets.insert(
            partition_directory(&topic, number(partition)?),
            Offset(number(offset)?),
        );
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_survive_the_round_trip_and_a_cut_file_is_refused() {
        let offsets = Offsets::from([
            ("a-b-0".to_owned(), Offset(1500)),
            ("events-12".to_owned(), Offset(0)),
        ]);
        let content = encode(&offsets);
        assert_eq!(content, "0\n2\na-b 0 1500\nevents 12 0\n");
        assert_eq!(decode(&content), Ok(offsets));
        assert_eq!(decode(""), Ok(Offsets::new()));
        for cut in 1..content.len() {
            assert!(decode(&content[..cut]).is_err(), "{:?}", &content[..cut]);
        }
        for bad in [
            "0\n1\na b 3\n",
            "0\n1\na 1 2 3\n",
            "0\n1\na/b 1 2\n",
            "7\n0\n",
        ] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
    }
}
