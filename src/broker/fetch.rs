//! Reading records of many partitions at once, waiting for them where there are none yet.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Broker;
use super::offsets::epoch_end;
use super::partitions::{PartitionError, check_leader_epoch};
use crate::model::{LeaderEpoch, NodeId, Offset, TopicPartition};
use crate::storage::{AbortedTransaction, Isolation, Offsets, Partition, ReadError, RecordBytes};
use crate::wake::Alarm;

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
    /// Whether the records are of a segment that is not the last one.
    pub of_older_segment: bool,
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

/// The answer: one part for each partition that was asked for. Many consumers have one partition.
pub type FetchResults = SmallVec<[FetchResult; 1]>;

/// There is not what a fetch waits for.
#[derive(Debug)]
pub struct NotEnough {
    /// The partitions, as far as they are there, and how often they had changed before that was
    /// found.
    logs: SmallVec<[Option<Seen>; 1]>,
}

/// A partition, and how often it had changed when it was looked at.
#[derive(Debug)]
struct Seen {
    log: Arc<Partition>,
    changes: u64,
}

impl Broker {
    /// Reads each of the partitions, in that order; an answer for each, in that order.
    ///
    /// Waits while there are fewer than `min_bytes`, up to `max_wait`; not once a partition fails
    /// or its log turns out to differ from what the reader has, and not behind the last segment,
    /// where what lacks is there already (`DelayedFetch.tryComplete`). Whoever drops the future ends the
    /// wait.
    pub async fn fetch(&self, from: &[FetchFrom], options: FetchOptions) -> FetchResults {
        match self.fetch_at_once(from, options) {
            Ok(results) => results,
            Err(found) => fetch_later(from, options, found, &mut Alarm::default()).await,
        }
    }

    /// The part of [`fetch`](Self::fetch) that does not wait.
    ///
    /// # Errors
    /// If there is not enough yet, and the request may wait for it.
    pub fn fetch_at_once(
        &self,
        from: &[FetchFrom],
        options: FetchOptions,
    ) -> Result<FetchResults, NotEnough> {
        let mut reader = Reader::new(self, from, options);
        let results = reader.read();
        match reader.is_enough(&results) {
            true => Ok(results),
            // What was read would keep files open for the length of the wait.
            false => Err(NotEnough {
                logs: reader.into_logs(),
            }),
        }
    }
}

/// The part of [`Broker::fetch`] that waits, from now on, for a change since it was `found` that
/// there is not enough. The alarm is for the end of the wait; whoever waits again keeps it.
pub async fn fetch_later(
    from: &[FetchFrom],
    options: FetchOptions,
    found: NotEnough,
    alarm: &mut Alarm,
) -> FetchResults {
    let deadline = Instant::now() + options.max_wait;
    let mut reader = Reader {
        sources: from.iter().zip(found.logs).collect(),
        options,
    };
    loop {
        let changed = alarm.before(Some(deadline), reader.changed());
        if changed.await.is_err() {
            return reader.read();
        }
        let results = reader.read();
        if reader.is_enough(&results) {
            return results;
        }
    }
}

/// A partition of a fetch, and its log if there is one.
type Source<'a> = (&'a FetchFrom, Option<Seen>);

/// The partitions of one fetch with their logs.
struct Reader<'a> {
    sources: SmallVec<[Source<'a>; 1]>,
    options: FetchOptions,
}

impl<'a> Reader<'a> {
    fn new(broker: &Broker, from: &'a [FetchFrom], options: FetchOptions) -> Self {
        let log = |from: &FetchFrom| {
            let log = broker.store.partition(&from.partition)?;
            Some(Seen { log, changes: 0 })
        };
        Self {
            sources: from.iter().map(|from| (from, log(from))).collect(),
            options,
        }
    }

    /// The logs, and how often they had changed before the last read.
    fn into_logs(self) -> SmallVec<[Option<Seen>; 1]> {
        self.sources.into_iter().map(|(_, seen)| seen).collect()
    }

    /// Ends when one of the partitions has changed since the last read.
    async fn changed(&self) {
        let logs = self.sources.iter().filter_map(|(_, seen)| seen.as_ref());
        let changes = logs.map(|seen| seen.log.changed(seen.changes));
        let mut changes: SmallVec<[_; 1]> = changes.collect();
        poll_fn(|cx| {
            let mut polled = changes.iter_mut().map(|change| change.poll_unpin(cx));
            match polled.any(|polled| polled.is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn read(&mut self) -> FetchResults {
        let mut left = self.options.max_bytes;
        // One batch goes beyond the limits, if nothing was found before it.
        let mut at_least_one = true;
        let options = self.options;
        let read = |(from, seen): &mut Source<'_>| {
            let Seen { log, changes } = seen.as_mut().ok_or(PartitionError::Unknown)?;
            // Before the read: what changes during it is seen to have changed.
            *changes = log.changes();
            let fetched = read_one(options, log, from, left.min(from.max_bytes), at_least_one)?;
            at_least_one &= fetched.records.is_empty();
            left = left.saturating_sub(fetched.records.len());
            Ok(fetched)
        };
        self.sources.iter_mut().map(read).collect()
    }

    fn is_enough(&self, results: &[FetchResult]) -> bool {
        let ends_the_wait = |result: &FetchResult| {
            result.as_ref().map_or(true, |fetched| {
                fetched.diverging.is_some() || fetched.of_older_segment
            })
        };
        self.options.max_wait.is_zero()
            || results.is_empty()
            || results.iter().any(ends_the_wait)
            || found(results) >= self.options.min_bytes
    }
}

fn read_one(
    options: FetchOptions,
    log: &Partition,
    from: &FetchFrom,
    max_bytes: usize,
    at_least_one: bool,
) -> FetchResult {
    check_leader_epoch(log, from.current_leader_epoch)?;
    if let Some(replica) = options.replica {
        return Err(FetchError::UnknownReplica(replica));
    }
    if let Some(epoch) = from.last_fetched_epoch
        && let Some(fetched) = divergence(log, from.offset, epoch)?
    {
        return Ok(fetched);
    }
    let read = log.read(from.offset, max_bytes, at_least_one, options.isolation)?;
    Ok(Fetched {
        records: read.records,
        offsets: read.offsets,
        aborted: read.aborted,
        diverging: None,
        of_older_segment: read.of_older_segment,
    })
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
        of_older_segment: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, EndMarker};
    use crate::broker::testing::{batch, broker, topic};
    use crate::catalog::Topic;
    use crate::model::{PartitionId, ProducerEpoch, ProducerId, Timestamp};

    const AT_ONCE: FetchOptions = FetchOptions {
        isolation: Isolation::ReadUncommitted,
        max_wait: Duration::ZERO,
        min_bytes: 1,
        max_bytes: usize::MAX,
        replica: None,
    };

    const PATIENT: FetchOptions = FetchOptions {
        max_wait: Duration::from_secs(60),
        ..AT_ONCE
    };

    fn from(topic: &Topic, partition: i32, offset: i64) -> FetchFrom {
        FetchFrom {
            partition: TopicPartition {
                topic: topic.id,
                partition: PartitionId(partition),
            },
            offset: Offset(offset),
            max_bytes: usize::MAX,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        }
    }

    fn append(broker: &Broker, topic: &Topic, partition: i32, values: &[&str]) -> usize {
        let batch = batch(values);
        let len = batch.len();
        broker.append(topic, PartitionId(partition), batch).unwrap();
        len
    }

    fn sizes(results: &[FetchResult]) -> Vec<usize> {
        results
            .iter()
            .map(|result| result.as_ref().unwrap().records.len())
            .collect()
    }

    #[tokio::test]
    async fn reads_begin_with_the_batch_that_contains_the_offset() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let first = append(&broker, &topic, 0, &["a", "b", "c"]);
        let second = append(&broker, &topic, 0, &["d"]);
        for (offset, size) in [
            (0, first + second),
            (2, first + second),
            (3, second),
            (4, 0),
        ] {
            let results = broker.fetch(&[from(&topic, 0, offset)], AT_ONCE).await;
            assert_eq!(sizes(&results), [size], "{offset}");
        }
        for offset in [-1, 5] {
            let results = broker.fetch(&[from(&topic, 0, offset)], PATIENT).await;
            let Err(FetchError::Read(ReadError::OutOfRange { .. })) = results[0] else {
                panic!("{offset}: {results:?}");
            };
        }
    }

    #[tokio::test]
    async fn the_first_batch_that_is_found_is_read_whatever_its_size() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 3, &[]).await;
        let size = append(&broker, &topic, 1, &["a"]);
        append(&broker, &topic, 1, &["b"]);
        append(&broker, &topic, 2, &["c"]);
        let all: Vec<_> = (0..3).map(|partition| from(&topic, partition, 0)).collect();
        let tiny = FetchOptions {
            max_bytes: 1,
            ..AT_ONCE
        };
        assert_eq!(sizes(&broker.fetch(&all, tiny).await), [0, size, 0]);
        let one_and_a_half = FetchOptions {
            max_bytes: 3 * size / 2,
            ..AT_ONCE
        };
        assert_eq!(
            sizes(&broker.fetch(&all, one_and_a_half).await),
            [0, size, 0]
        );
        let three = FetchOptions {
            max_bytes: 3 * size,
            ..AT_ONCE
        };
        assert_eq!(sizes(&broker.fetch(&all, three).await), [0, 2 * size, size]);
        let narrow: Vec<_> = all
            .iter()
            .map(|from| FetchFrom {
                max_bytes: 1,
                ..*from
            })
            .collect();
        assert_eq!(sizes(&broker.fetch(&narrow, AT_ONCE).await), [0, size, 0]);
    }

    #[tokio::test]
    async fn a_reader_at_the_end_waits_for_the_next_append() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 2, &[]).await;
        let waiting = {
            let (broker, topic) = (Arc::clone(&broker), Arc::clone(&topic));
            tokio::spawn(async move {
                broker
                    .fetch(&[from(&topic, 0, 0), from(&topic, 1, 0)], PATIENT)
                    .await
            })
        };
        tokio::task::yield_now().await;
        let size = append(&broker, &topic, 1, &["a"]);
        assert_eq!(sizes(&waiting.await.unwrap()), [0, size]);
    }

    #[tokio::test]
    async fn a_reader_of_what_is_committed_waits_for_the_end_of_a_transaction() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
        let mut builder = BatchBuilder::new().producer(id, epoch, 0).transactional();
        builder.push(Timestamp(0), None, Some(b"v"));
        let log = broker
            .partition(&from(&topic, 0, 0).partition, None)
            .unwrap();
        log.append(builder.build().unwrap(), false).unwrap();
        let options = FetchOptions {
            isolation: Isolation::ReadCommitted,
            ..PATIENT
        };
        let waiting = {
            let (broker, topic) = (Arc::clone(&broker), Arc::clone(&topic));
            tokio::spawn(async move { broker.fetch(&[from(&topic, 0, 0)], options).await })
        };
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        let marker = EndMarker {
            committed: false,
            coordinator_epoch: 0,
        };
        let marker = marker.batch(id, epoch, Timestamp(0)).unwrap();
        log.append(marker, false).unwrap();
        let results = waiting.await.unwrap();
        let fetched = results[0].as_ref().unwrap();
        assert!(!fetched.records.is_empty());
        assert_eq!(
            fetched.aborted,
            [AbortedTransaction {
                producer_id: 7,
                first_offset: Offset(0)
            }]
        );
        assert_eq!(fetched.offsets.last_stable, Offset(2));
    }

    #[tokio::test]
    async fn a_wait_for_more_bytes_goes_on_until_they_are_there() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let size = append(&broker, &topic, 0, &["a"]);
        let options = FetchOptions {
            min_bytes: 3 * size,
            ..PATIENT
        };
        let waiting = {
            let (broker, topic) = (Arc::clone(&broker), Arc::clone(&topic));
            tokio::spawn(async move { broker.fetch(&[from(&topic, 0, 0)], options).await })
        };
        tokio::task::yield_now().await;
        append(&broker, &topic, 0, &["b"]);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        append(&broker, &topic, 0, &["c"]);
        assert_eq!(sizes(&waiting.await.unwrap()), [3 * size]);
    }

    #[tokio::test]
    async fn a_wait_ends_in_time_with_what_there_is() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let size = append(&broker, &topic, 0, &["a"]);
        let options = FetchOptions {
            min_bytes: 1_000_000,
            max_wait: Duration::from_millis(20),
            ..AT_ONCE
        };
        let started = Instant::now();
        let results = broker.fetch(&[from(&topic, 0, 0)], options).await;
        assert!(started.elapsed() >= options.max_wait);
        assert_eq!(sizes(&results), [size]);
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_partition_goes() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let waiting = {
            let (broker, topic) = (Arc::clone(&broker), Arc::clone(&topic));
            tokio::spawn(async move { broker.fetch(&[from(&topic, 0, 0)], PATIENT).await })
        };
        tokio::task::yield_now().await;
        broker.store.delete(&from(&topic, 0, 0).partition);
        let results = waiting.await.unwrap();
        assert!(
            matches!(results[0], Err(FetchError::Read(ReadError::Deleted))),
            "{results:?}"
        );
    }

    #[tokio::test]
    async fn errors_end_the_wait_of_all() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let both = [from(&topic, 0, 0), from(&topic, 7, 0)];
        let results = broker.fetch(&both, PATIENT).await;
        assert!(results[0].is_ok());
        assert!(matches!(
            results[1],
            Err(FetchError::Partition(PartitionError::Unknown))
        ));
        let replica = FetchOptions {
            replica: Some(NodeId(5)),
            ..PATIENT
        };
        let results = broker.fetch(&both[..1], replica).await;
        assert!(matches!(
            results[0],
            Err(FetchError::UnknownReplica(NodeId(5)))
        ));
    }

    #[tokio::test]
    async fn leader_epochs_fence_readers() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let at = |epoch| FetchFrom {
            current_leader_epoch: Some(LeaderEpoch(epoch)),
            ..from(&topic, 0, 0)
        };
        assert!(broker.fetch(&[at(0)], AT_ONCE).await[0].is_ok());
        let ahead = &broker.fetch(&[at(1)], PATIENT).await[0];
        assert!(matches!(
            ahead,
            Err(FetchError::Partition(
                PartitionError::UnknownLeaderEpoch { .. }
            ))
        ));
        let log = broker.partition(&at(0).partition, None).unwrap();
        log.begin_epoch(LeaderEpoch(3));
        let behind = &broker.fetch(&[at(1)], PATIENT).await[0];
        assert!(matches!(
            behind,
            Err(FetchError::Partition(
                PartitionError::FencedLeaderEpoch { .. }
            ))
        ));
    }

    #[tokio::test]
    async fn a_reader_whose_records_are_not_in_the_log_is_told_where_they_part() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        append(&broker, &topic, 0, &["a", "b"]);
        let after = |epoch, offset| FetchFrom {
            last_fetched_epoch: Some(LeaderEpoch(epoch)),
            ..from(&topic, 0, offset)
        };
        let agreeing = broker.fetch(&[after(0, 1)], AT_ONCE).await;
        assert_eq!(agreeing[0].as_ref().unwrap().diverging, None);
        let beyond = broker.fetch(&[after(0, 9)], PATIENT).await;
        let beyond = beyond[0].as_ref().unwrap();
        assert_eq!(beyond.diverging, Some((LeaderEpoch(0), Offset(2))));
        assert!(beyond.records.is_empty());
        assert_eq!(beyond.offsets.log_end, Offset(2));
        for from in [after(4, 1), after(0, -1)] {
            let unknown = broker.fetch(&[from], PATIENT).await;
            assert!(
                matches!(
                    unknown[0],
                    Err(FetchError::Read(ReadError::OutOfRange { .. }))
                ),
                "{unknown:?}"
            );
        }
    }
}
