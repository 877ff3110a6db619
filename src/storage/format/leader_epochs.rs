//! `leader-epoch-checkpoint`: where each leader epoch began (Kafka's `LeaderEpochCheckpointFile`).
//!
//! ```text
//! 0                      version
//! 2                      number of entries
//! 0 0                    epoch, first offset of the epoch
//! 3 1500
//! ```

use crate::model::{LeaderEpoch, Offset};

use super::{Malformed, checkpoint_lines, number};

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start: Offset,
}

/// The file's content.
pub fn encode(entries: &[EpochEntry]) -> String {
    let mut content = format!("0\n{}\n", entries.len());
    for entry in entries {
        content.push_str(&format!("{} {}\n", entry.epoch, entry.start));
    }
    content
}

/// The entries of a file, which ascend in both fields.
pub fn decode(content: &str) -> Result<Vec<EpochEntry>, Malformed> {
    let mut entries: Vec<EpochEntry> = Vec::new();
    for line in checkpoint_lines(content)? {
        let (epoch, start) = line
            .split_once(' ')
            .ok_or_else(|| Malformed::Field(format!("'{line}' is not an epoch and an offset")))?;
        let entry = EpochEntry {
            epoch: LeaderEpoch(number(epoch)?),
            start: Offset(number(start)?),
        };
        let sound = entry.epoch.0 >= 0 && entry.start.0 >= 0;
        let ascends = entries
            .last()
            .is_none_or(|last| entry.epoch > last.epoch && entry.start >= last.start);
        if !sound || !ascends {
            return Err(Malformed::Field(format!("'{line}' does not ascend")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_the_round_trip_and_a_cut_file_is_refused() {
        let entries = vec![
            EpochEntry {
                epoch: LeaderEpoch(0),
                start: Offset(0),
            },
            EpochEntry {
                epoch: LeaderEpoch(3),
                start: Offset(1500),
            },
        ];
        let content = encode(&entries);
        assert_eq!(content, "0\n2\n0 0\n3 1500\n");
        assert_eq!(decode(&content), Ok(entries));
        assert_eq!(decode("0\n0\n"), Ok(Vec::new()));
        for cut in 0..content.len() {
            assert!(decode(&content[..cut]).is_err(), "{:?}", &content[..cut]);
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        for content in [
            "1\n0\n",
            "0\n1\n",
            "0\n1\n0 0\n1 1\n",
            "0\n1\n-1 0\n",
            "0\n2\n1 5\n1 6\n",
            "0\n2\n1 5\n2 4\n",
        ] {
            assert!(decode(content).is_err(), "{content:?}");
        }
    }
}
