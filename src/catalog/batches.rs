//! Records of the metadata log as batches: what one commit writes, and what control batches say.

use super::CommitError;
use crate::batch::{BatchBuilder, ValidBatch};
use crate::model::{LeaderEpoch, NodeId, Offset, Timestamp};
use crate::wire::control::{ControlRecord, LeaderChangeMessage, Voter};
use crate::wire::metadata::{BeginTransactionRecord, EndTransactionRecord, MetadataRecord};

/// Most bytes of one batch, but for a single record that is larger. Kafka's own readers take
/// batches of up to 8 MiB (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`).
pub(super) const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of a record without key and headers beside its value: length, attributes, timestamp
/// delta, offset delta, key length, value length, header count.
const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 1 + 5 + 1 + 5 + 1;

/// Where batches of a file of their own stand, as snapshots do; the log stamps its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Offset of the next record.
    pub(super) next: Offset,
    /// Leader epoch of every batch.
    pub(super) epoch: LeaderEpoch,
}

impl Place {
    /// For batches that are patched at the append.
    pub(super) const ANYWHERE: Self = Self {
        next: Offset(0),
        epoch: LeaderEpoch(-1),
    };
}

/// The batches that make `records` one atomic change: a single one where they fit, else several
/// between the markers of a metadata transaction (KIP-868).
pub(super) fn atomic(
    mut records: Vec<MetadataRecord>,
    at: Timestamp,
) -> Result<Vec<ValidBatch>, CommitError> {
    let one = split(&records, Place::ANYWHERE, at)?;
    if one.len() <= 1 {
        return Ok(one);
    }
    records.insert(0, BeginTransactionRecord::default().into());
    records.push(EndTransactionRecord::default().into());
    split(&records, Place::ANYWHERE, at)
}

/// `records` in order, in batches of at most [`BATCH_BYTES_MAX`] where a record allows it.
pub(super) fn split(
    records: &[MetadataRecord],
    mut place: Place,
    at: Timestamp,
) -> Result<Vec<ValidBatch>, CommitError> {
    let start = |place: Place| {
        BatchBuilder::new()
            .base_offset(place.next)
            .leader_epoch(place.epoch)
    };
    let mut batches = Vec::new();
    let mut builder = start(place);
    for record in records {
        let value = record.encode()?;
        if !builder.is_empty()
            && builder.size() + value.len() + RECORD_OVERHEAD_MAX > BATCH_BYTES_MAX
        {
            let batch = builder.build()?;
            place.next = batch.header.next_offset();
            batches.push(batch);
            builder = start(place);
        }
        builder.push(at, None, Some(&value));
    }
    if !builder.is_empty() {
        batches.push(builder.build()?);
    }
    Ok(batches)
}

/// A batch of one control record.
pub(super) fn control(
    record: &ControlRecord,
    place: Place,
    at: Timestamp,
) -> Result<ValidBatch, CommitError> {
    let (key, value) = record.encode()?;
    let mut builder = BatchBuilder::new()
        .base_offset(place.next)
        .leader_epoch(place.epoch)
        .control();
    builder.push(at, Some(&key), Some(&value));
    Ok(builder.build()?)
}

/// The batch that begins the term of `node`, the only voter.
pub(super) fn leader_change(node: NodeId, at: Timestamp) -> Result<ValidBatch, CommitError> {
    let voters = vec![Voter {
        voter_id: node.0,
        ..Voter::default()
    }];
    let message = LeaderChangeMessage {
        leader_id: node.0,
        voters: voters.clone(),
        granting_voters: voters,
        ..LeaderChangeMessage::default()
    };
    control(&message.into(), Place::ANYWHERE, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metadata::NoOpRecord;

    #[test]
    fn batches_stay_within_their_limit_and_follow_each_other() {
        let records = vec![MetadataRecord::NoOp(NoOpRecord::default()); 300_000];
        let place = Place {
            next: Offset(5),
            epoch: LeaderEpoch(3),
        };
        let batches = split(&records, place, Timestamp(1)).unwrap();
        assert!(batches.len() > 2);
        let mut next = place.next;
        for batch in &batches {
            assert!(batch.bytes.len() <= BATCH_BYTES_MAX);
            assert_eq!(
                (batch.header.base_offset, batch.header.leader_epoch),
                (next, place.epoch)
            );
            next = batch.header.next_offset();
        }
        assert_eq!(next, Offset(300_005));
    }

    #[test]
    fn one_batch_needs_no_transaction_and_several_do() {
        let noop = MetadataRecord::NoOp(NoOpRecord::default());
        let small = atomic(vec![noop.clone(); 10], Timestamp(1)).unwrap();
        assert_eq!(
            small
                .iter()
                .map(|batch| batch.header.record_count)
                .sum::<i32>(),
            10
        );
        let large = atomic(vec![noop; 300_000], Timestamp(1)).unwrap();
        assert_eq!(
            large
                .iter()
                .map(|batch| batch.header.record_count)
                .sum::<i32>(),
            300_002
        );
    }
}
