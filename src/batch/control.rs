//! Types of control records, which stand in their keys.

/// What a control record says (`ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// A transaction was aborted.
    Abort,
    /// A transaction was committed.
    Commit,
    /// A new leader of the metadata log began its term.
    LeaderChange,
    /// First record of a snapshot.
    SnapshotHeader,
    /// Last record of a snapshot.
    SnapshotFooter,
    /// Version of the metadata log's own protocol.
    KRaftVersion,
    /// The voters of the metadata log.
    KRaftVoters,
}

impl ControlType {
    /// The key of such a record: `version: i16 = 0`, `type: i16`.
    pub fn key(self) -> [u8; 4] {
        let id: i16 = match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
        };
        let [high, low] = id.to_be_bytes();
        [0, 0, high, low]
    }

    /// The type that a key names; `None` where it is none of these, and readers skip the record.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        // Later versions only append fields.
        let (_version, rest) = key.split_first_chunk::<2>()?;
        match i16::from_be_bytes(*rest.first_chunk()?) {
            0 => Some(Self::Abort),
            1 => Some(Self::Commit),
            2 => Some(Self::LeaderChange),
            3 => Some(Self::SnapshotHeader),
            4 => Some(Self::SnapshotFooter),
            5 => Some(Self::KRaftVersion),
            6 => Some(Self::KRaftVoters),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back_from_its_key() {
        for id in 0..7_u8 {
            let kind = ControlType::from_key(&[0, 0, 0, id]).expect("a known type");
            assert_eq!(kind.key(), [0, 0, 0, id]);
        }
        assert_eq!(ControlType::from_key(&[0, 0, 0, 7]), None);
        assert_eq!(ControlType::from_key(&[0, 0, 0]), None);
    }
}
