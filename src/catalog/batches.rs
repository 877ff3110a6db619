//! Records of the metadata log as batches: what one commit writes, and what control batches say.

use super::CommitError;
use crate::batch::{BatchBuilder, ValidBatch};
use crate::model::{LeaderEpoch, NodeId, Offset, Timestamp};
use crate::wire::control::{ControlRecord, LeaderChangeMessage, Voter};
use crate::wire::metadata::{BeginTransactionRecord, EndTransactionRecord, MetadataRecord};

/// Most bytes of one batch, but for a single record that is larger. Kafka's own readers take
/// batches of up to 8 MiB (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`).
pub(super) const BATCH_BYTES_MAX: usize = 1024 * 1024;

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
        if !builder.is_empty() && builder.size().saturating_add(value.len()) > BATCH_BYTES_MAX {
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
