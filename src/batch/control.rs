//! Control records: their types, which stand in their keys, and the markers that end transactions.

use crate::model::{ProducerEpoch, ProducerId, Timestamp};

use super::builder::{BatchBuilder, BuildError};
use super::header::{NO_SEQUENCE, ValidBatch};
use super::records::records;

/// Version of the value of a transaction marker (`EndTxnMarker`).
const MARKER_VERSION: i16 = 0;

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

/// What ends a transaction in a partition (`EndTransactionMarker`): the one record of a control
/// batch. Value: `version: i16 = 0`, `coordinator_epoch: i32`; later versions append fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// Whether it was committed; else it was aborted.
    pub committed: bool,
    /// Term of the transaction coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndMarker {
    /// The batch that carries the marker for a producer.
    pub fn batch(
        self,
        id: ProducerId,
        epoch: ProducerEpoch,
        now: Timestamp,
    ) -> Result<ValidBatch, BuildError> {
        let kind = match self.committed {
            true => ControlType::Commit,
            false => ControlType::Abort,
        };
        let mut value = [0; 6];
        let (version, coordinator_epoch) = value.split_at_mut(2);
        version.copy_from_slice(&MARKER_VERSION.to_be_bytes());
        coordinator_epoch.copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new()
            .producer(id, epoch, NO_SEQUENCE)
            .transactional()
            .control();
        builder.push(now, Some(&kind.key()), Some(&value));
        builder.build()
    }

    /// The marker that a control batch carries; `None` if it carries none: the cleaner empties
    /// the batch when nothing of the transaction is left, and other control records end nothing.
    pub fn of(control_batch: &[u8]) -> Option<Self> {
        let records = records(control_batch).ok()?;
        let record = records.iter().next()?.ok()?;
        Self::of_record(record.key, record.value)
    }

    /// The marker that a record of a control batch is, by its key and value.
    pub fn of_record(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Self> {
        let committed = match ControlType::from_key(key?)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            ControlType::LeaderChange
            | ControlType::SnapshotHeader
            | ControlType::SnapshotFooter
            | ControlType::KRaftVersion
            | ControlType::KRaftVoters => return None,
        };
        let (version, rest) = value?.split_first_chunk::<2>()?;
        if i16::from_be_bytes(*version) < MARKER_VERSION {
            return None;
        }
        let coordinator_epoch = i32::from_be_bytes(*rest.first_chunk()?);
        Some(Self {
            committed,
            coordinator_epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_from_its_batch() {
        for committed in [true, false] {
            let marker = EndMarker {
                committed,
                coordinator_epoch: 0x0102_0304,
            };
            let batch = marker.batch(ProducerId(7), ProducerEpoch(3), Timestamp(5));
            let batch = batch.expect("a batch");
            assert!(batch.header.is_control() && batch.header.is_transactional());
            assert_eq!(EndMarker::of(&batch.bytes), Some(marker));
            for cut in 0..batch.bytes.len() {
                assert_eq!(EndMarker::of(&batch.bytes[..cut]), None);
            }
        }
    }

    #[test]
    fn other_control_batches_end_nothing() {
        let empty = BatchBuilder::new().control().build().expect("a batch");
        assert_eq!(EndMarker::of(&empty.bytes), None);
        let mut leader = BatchBuilder::new().control();
        let key = ControlType::LeaderChange.key();
        leader.push(Timestamp(1), Some(&key), Some(&[0; 6]));
        assert_eq!(EndMarker::of(&leader.build().expect("a batch").bytes), None);
    }

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
