//! Finding offsets: the ends of a partition, by time, and by leader epoch.

use super::Broker;
use super::partitions::PartitionError;
use crate::model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use crate::storage::{AppendError, Isolation, Partition, ReadError, TimestampOffset};

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// First readable record.
    Earliest,
    /// First readable record on this machine; the same, as nothing is tiered.
    EarliestLocal,
    /// Behind the last record that the reader may see.
    Latest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// Last record in tiered storage: there is none.
    LatestTiered,
    /// First record with a timestamp of at least this.
    AtOrAfter(Timestamp),
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// Timestamp of the record there, where a record was asked for.
    pub timestamp: Option<Timestamp>,
    /// Leader epoch there, where one is known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why an offset was not looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// The partition is not there, or not in that epoch.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The lookup failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was found did not become durable.
    #[error(transparent)]
    Commit(#[from] AppendError),
}

impl Broker {
    /// Looks up an offset; `None` where there is no such record.
    ///
    /// A record that a client appended counts although it is not durable yet, and the answer
    /// waits until it is: a client that was told `acks=1` reads its own writes, and nobody is
    /// told of an offset that a power cut takes back. So the log end of the beginning is waited
    /// for; what comes after it does not matter to this answer.
    pub async fn find_offset(
        &self,
        id: &TopicPartition,
        query: OffsetQuery,
        isolation: Isolation,
        epoch: Option<LeaderEpoch>,
    ) -> Result<Option<FoundOffset>, OffsetError> {
        let log = self.partition(id, epoch)?;
        let needs_the_end = match query {
            OffsetQuery::Latest | OffsetQuery::MaxTimestamp | OffsetQuery::AtOrAfter(_) => true,
            OffsetQuery::Earliest | OffsetQuery::EarliestLocal | OffsetQuery::LatestTiered => false,
        };
        if needs_the_end {
            log.committed(log.offsets()?.log_end).await?;
        }
        Ok(look_up(&log, query, isolation)?)
    }

    /// The end offset of the largest epoch that is at most `asked`, with that epoch; `None` where
    /// nothing is known of it (OffsetForLeaderEpoch).
    pub fn leader_epoch_end(
        &self,
        id: &TopicPartition,
        asked: LeaderEpoch,
        current: Option<LeaderEpoch>,
    ) -> Result<Option<(LeaderEpoch, Offset)>, OffsetError> {
        let log = self.partition(id, current)?;
        Ok(epoch_end(&log, asked)?)
    }
}

fn look_up(
    log: &Partition,
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<Option<FoundOffset>, ReadError> {
    let offsets = log.offsets()?;
    let end = |offset: Offset, leader_epoch: Option<LeaderEpoch>| {
        Some(FoundOffset {
            offset,
            timestamp: None,
            leader_epoch,
        })
    };
    let record = |found: TimestampOffset| FoundOffset {
        offset: found.offset,
        timestamp: Some(found.timestamp),
        leader_epoch: found.leader_epoch,
    };
    match query {
        OffsetQuery::Earliest | OffsetQuery::EarliestLocal => {
            let epoch = log.epoch_at(offsets.log_start)?;
            // Where no record is left, the epoch is that of the next one.
            let epoch =
                epoch.or((offsets.log_start == offsets.log_end).then(|| log.leader_epoch()));
            Ok(end(offsets.log_start, epoch))
        }
        OffsetQuery::Latest => {
            let offset = match isolation {
                Isolation::ReadCommitted => offsets.last_stable,
                Isolation::ReadUncommitted => offsets.high_watermark,
                Isolation::LogEnd => offsets.log_end,
            };
            Ok(end(offset, Some(log.leader_epoch())))
        }
        OffsetQuery::MaxTimestamp => Ok(log.max_timestamp()?.map(record)),
        OffsetQuery::LatestTiered => Ok(None),
        OffsetQuery::AtOrAfter(at) => Ok(log.first_at_or_after(at, isolation)?.map(record)),
    }
}

/// As [`Partition::epoch_end`]; the current epoch is known before its first record.
pub(super) fn epoch_end(
    log: &Partition,
    epoch: LeaderEpoch,
) -> Result<Option<(LeaderEpoch, Offset)>, ReadError> {
    if epoch == log.leader_epoch() {
        return Ok(Some((epoch, log.offsets()?.log_end)));
    }
    log.epoch_end(epoch)
}
