//! Reading records of many partitions at once, waiting for them where there are none yet.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Broker;
use super::offsets::epoch_end;
use super::partitions::{PartitionError, check_leader_epoch};
use crate::model::{LeaderEpoch, NodeId, Offset, TopicPartition};
use crate::storage::{AbortedTransaction, Isolation, Offsets, Partition, ReadError, RecordBytes};

/// How much to read, and how long to wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// What the reader may see.
    pub isolation: Isolation,
    /// How long to wait for `min_bytes`; zero answers at once.
    pub max_wait: Duration,
    /// Fewest bytes over all partitions that end the wait.
    pub min_bytes: usize,
    /// Most bytes over all partitions. The first batch that is found is read in full even if it
    /// is larger, so that every reader gets on.
    pub max_bytes: usize,
    /// The broker that fetches as a follower; `None` for a consumer.
    pub replica: Option<NodeId>,
}

/// Where to read in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    /// The partition.
    pub partition: TopicPartition,
    /// First offset wanted.
    pub offset: Offset,
    /// Most bytes of this partition.
    pub max_bytes: usize,
    /// The leader epoch that the reader believes in.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// Epoch of the last record that the reader has: where the log differs, it is told from
    /// where on.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Whole batches, the first of which contains the offset; possibly none.
    pub records: RecordBytes,
    /// The partition's offsets when it was read.
    pub offsets: Offsets,
    /// For `ReadCommitted`: aborted transactions that overlap the records.
    pub aborted: Vec<AbortedTransaction>,
    /// The largest epoch that reader and log share, and its end: what the reader has beyond it
    /// is not in this log.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// Why a partition was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is not there, or not in that epoch.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The follower is none of the partition's replicas.
    #[error("node {0} is no replica of the partition")]
    UnknownReplica(NodeId),
    /// The read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// One partition's part of the answer.
pub type FetchResult = Result<Fetched, FetchError>;

impl Broker {
    /// Reads each of the partitions, in that order; an answer for each, in that order.
    ///
    /// Waits while there are fewer than `min_bytes`, up to `max_wait`; not once a partition fails
    /// or its log turns out to differ from what the reader has. Whoever drops the future ends the
    /// wait.
    pub async fn fetch(&self, from: &[FetchFrom], options: FetchOptions) -> Vec<FetchResult> {
        let deadline = Instant::now() + options.max_wait;
        let reader = Reader::new(self, from, options);
        let results = reader.read();
        if reader.is_enough(&results) {
            return results;
        }
        // What was read would keep files open for the length of the wait.
        drop(results);
        let waiter = Arc::new(Notify::new());
        let logs = reader.sources.iter().filter_map(|(_, log)| log.as_ref());
        let _subscriptions: Vec<_> = logs.map(|log| log.subscribe(&waiter)).collect();
        loop {
            // Listens before it reads: a change in between is not missed.
            let mut changed = pin!(waiter.notified());
            changed.as_mut().enable();
            let results = reader.read();
            if reader.is_enough(&results) {
                return results;
            }
            drop(results);
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return reader.read();
            }
        }
    }
}

/// The partitions of one fetch with their logs.
struct Reader<'a> {
    sources: Vec<(&'a FetchFrom, Option<Arc<Partition>>)>,
    options: FetchOptions,
}

impl<'a> Reader<'a> {
    fn new(broker: &Broker, from: &'a [FetchFrom], options: FetchOptions) -> Self {
        let log = |from: &FetchFrom| broker.store.partition(&from.partition);
        Self {
            sources: from.iter().map(|from| (from, log(from))).collect(),
            options,
        }
    }

    fn read(&self) -> Vec<FetchResult> {
        let mut left = self.options.max_bytes;
        // One batch goes beyond the limits, if nothing was found before it.
        let mut at_least_one = true;
        let read = |(from, log): &(&FetchFrom, Option<Arc<Partition>>)| {
            let log = log.as_ref().ok_or(PartitionError::Unknown)?;
            let fetched = self.read_one(log, from, left.min(from.max_bytes), at_least_one)?;
            at_least_one &= fetched.records.is_empty();
            left = left.saturating_sub(fetched.records.len());
            Ok(fetched)
        };
        self.sources.iter().map(read).collect()
    }

    fn read_one(
        &self,
        log: &Partition,
        from: &FetchFrom,
        max_bytes: usize,
        at_least_one: bool,
    ) -> FetchResult {
        check_leader_epoch(log, from.current_leader_epoch)?;
        if let Some(replica) = self.options.replica {
            return Err(FetchError::UnknownReplica(replica));
        }
        if let Some(epoch) = from.last_fetched_epoch
            && let Some(fetched) = divergence(log, from.offset, epoch)?
        {
            return Ok(fetched);
        }
        let read = log.read(from.offset, max_bytes, at_least_one, self.options.isolation)?;
        Ok(Fetched {
            records: read.records,
            offsets: read.offsets,
            aborted: read.aborted,
            diverging: None,
        })
    }

    fn is_enough(&self, results: &[FetchResult]) -> bool {
        let ends_the_wait = |result: &FetchResult| {
            result
                .as_ref()
                .map_or(true, |fetched| fetched.diverging.is_some())
        };
        self.options.max_wait.is_zero()
            || results.is_empty()
            || results.iter().any(ends_the_wait)
            || found(results) >= self.options.min_bytes
    }
}

fn found(results: &[FetchResult]) -> usize {
    results
        .iter()
        .flatten()
        .map(|fetched| fetched.records.len())
        .sum()
}

/// Whether a reader whose last record is the one before `offset`, of `epoch`, has something that
/// is not in this log (KIP-595): if so, an answer without records that says from where on.
fn divergence(
    log: &Partition,
    offset: Offset,
    epoch: LeaderEpoch,
) -> Result<Option<Fetched>, ReadError> {
    let offsets = log.offsets()?;
    let end = epoch_end(log, epoch)?;
    let (end_epoch, end) = match end {
        Some(end) if offset >= offsets.log_start => end,
        // Nothing is known of that epoch, or of that offset.
        _ => {
            let Offsets {
                log_start, log_end, ..
            } = offsets;
            return Err(ReadError::OutOfRange {
                offset,
                log_start,
                log_end,
            });
        }
    };
    if end_epoch >= epoch && end >= offset {
        return Ok(None);
    }
    Ok(Some(Fetched {
        records: RecordBytes::EMPTY,
        offsets,
        aborted: Vec::new(),
        diverging: Some((end_epoch, end)),
    }))
}
