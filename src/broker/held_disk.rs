//! A disk whose syncs can be held back, and what clients are told meanwhile.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::io::hooked::{Hooks, hooked};
use crate::io::{MemoryIo, SharedIo};

/// Holds syncs back while it is closed.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// From now on no sync ends.
    pub(crate) fn close(&self) {
        *self.closed.lock() = true;
    }

    /// All of them end.
    pub(crate) fn open(&self) {
        *self.closed.lock() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.opened
            .wait_while(&mut self.closed.lock(), |closed| *closed);
    }
}

impl Hooks for Gate {
    fn sync(&self, _path: &Path) -> io::Result<()> {
        self.pass();
        Ok(())
    }
}

/// A file system in memory with a gate before its syncs.
pub(crate) fn held_disk() -> (SharedIo, Arc<Gate>) {
    let gate = Arc::<Gate>::default();
    (hooked(MemoryIo::shared(), &gate), gate)
}

mod tests {
    use std::time::Duration;

    use super::*;
    use crate::batch::BatchBuilder;
    use crate::broker::Broker;
    use crate::broker::fetch::{FetchFrom, FetchOptions};
    use crate::broker::offsets::OffsetQuery;
    use crate::broker::produce::ProduceError;
    use crate::broker::records::NewLogStart;
    use crate::broker::testing::{NOW, broker_on, topic};
    use crate::catalog::Topic;
    use crate::model::{Offset, PartitionId, ProducerEpoch, ProducerId, TopicPartition};
    use crate::storage::{Durability, Isolation};

    const PARTITION: PartitionId = PartitionId(0);
    const SOON: Duration = Duration::from_millis(30);
    const LATE: Duration = Duration::from_secs(30);

    struct Bed {
        broker: Arc<Broker>,
        topic: Arc<Topic>,
        gate: Arc<Gate>,
    }

    impl Bed {
        /// A topic with one committed record, and a gate that is closed from there on.
        async fn new() -> Self {
            let (io, gate) = held_disk();
            let broker = broker_on(io, Durability::Fsync, &[]);
            let topic = topic(&broker, "t", 1, &[]).await;
            broker
                .produce(&topic, PARTITION, record(0), LATE)
                .await
                .unwrap();
            gate.close();
            Self {
                broker,
                topic,
                gate,
            }
        }

        fn id(&self) -> TopicPartition {
            TopicPartition {
                topic: self.topic.id,
                partition: PARTITION,
            }
        }
    }

    impl Drop for Bed {
        fn drop(&mut self) {
            // The commit thread is waited for when the store goes.
            self.gate.open();
        }
    }

    fn record(sequence: i32) -> bytes::Bytes {
        let mut batch = BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), sequence);
        batch.push(NOW, None, Some(b"v"));
        batch.build().unwrap().bytes
    }

    #[tokio::test]
    async fn a_commit_that_takes_too_long_is_a_timeout_and_the_record_stays() {
        let bed = Bed::new().await;
        let late = bed
            .broker
            .produce(&bed.topic, PARTITION, record(1), SOON)
            .await;
        assert_eq!(late, Err(ProduceError::TimedOut));
        bed.gate.open();
        let retry = bed
            .broker
            .produce(&bed.topic, PARTITION, record(1), LATE)
            .await
            .unwrap();
        assert_eq!((retry.base_offset, retry.duplicate), (Offset(1), true));
    }

    #[tokio::test]
    async fn a_retry_waits_for_the_commit_of_the_original() {
        let bed = Bed::new().await;
        let original = bed.broker.append(&bed.topic, PARTITION, record(1)).unwrap();
        let retry = bed.broker.append(&bed.topic, PARTITION, record(1)).unwrap();
        assert!(retry.appended.duplicate);
        assert!(tokio::time::timeout(SOON, retry.committed()).await.is_err());
        bed.gate.open();
        assert_eq!(
            retry.committed().await.unwrap().base_offset,
            original.appended.base_offset
        );
    }

    #[tokio::test]
    async fn readers_see_nothing_between_high_watermark_and_log_end() {
        let bed = Bed::new().await;
        bed.broker.append(&bed.topic, PARTITION, record(1)).unwrap();
        let options = FetchOptions {
            isolation: Isolation::ReadUncommitted,
            max_wait: LATE,
            min_bytes: 1,
            max_bytes: usize::MAX,
            replica: None,
        };
        let at = |offset| {
            [FetchFrom {
                partition: bed.id(),
                offset: Offset(offset),
                max_bytes: usize::MAX,
                current_leader_epoch: None,
                last_fetched_epoch: None,
            }]
        };
        let at_once = FetchOptions {
            max_wait: Duration::ZERO,
            ..options
        };
        for offset in [1, 2] {
            let read = bed.broker.fetch(&at(offset), at_once).await;
            let read = read[0].as_ref().unwrap();
            assert!(read.records.is_empty(), "{offset}");
            assert_eq!(read.offsets.high_watermark, Offset(1));
        }
        // A reader that waits there is woken by the commit.
        let from = at(1);
        let waiting = bed.broker.fetch(&from, options);
        let (read, ()) = tokio::join!(waiting, async {
            tokio::time::sleep(SOON).await;
            bed.gate.open();
        });
        assert!(!read[0].as_ref().unwrap().records.is_empty());
    }

    #[tokio::test]
    async fn lookups_wait_until_the_log_end_they_found_is_durable() {
        let bed = Bed::new().await;
        for (sequence, query, expected) in [
            (1, OffsetQuery::Latest, 2),
            (2, OffsetQuery::AtOrAfter(NOW), 0),
            (3, OffsetQuery::MaxTimestamp, 0),
        ] {
            bed.gate.close();
            bed.broker
                .append(&bed.topic, PARTITION, record(sequence))
                .unwrap();
            let id = bed.id();
            let find = || {
                bed.broker
                    .find_offset(&id, query, Isolation::ReadUncommitted, None)
            };
            let early = tokio::time::timeout(SOON, find()).await;
            assert!(early.is_err(), "{query:?}");
            bed.gate.open();
            let found = find().await.unwrap().unwrap();
            assert_eq!(found.offset, Offset(expected), "{query:?}");
        }
        // The earliest offset does not move with the log end.
        bed.gate.close();
        bed.broker.append(&bed.topic, PARTITION, record(4)).unwrap();
        let id = bed.id();
        let earliest =
            bed.broker
                .find_offset(&id, OffsetQuery::Earliest, Isolation::ReadUncommitted, None);
        let found = tokio::time::timeout(LATE, earliest).await.unwrap();
        assert_eq!(found.unwrap().unwrap().offset, Offset(0));
    }

    #[tokio::test]
    async fn modes_that_answer_from_memory_answer_while_the_disk_is_busy() {
        for mode in [Durability::Os, Durability::Memory] {
            let (io, gate) = held_disk();
            gate.close();
            let broker = broker_on(io, mode, &[]);
            let topic = topic(&broker, "t", 1, &[]).await;
            let done = broker.produce(&topic, PARTITION, record(0), LATE).await;
            assert_eq!(done.unwrap().base_offset, Offset(0), "{mode:?}");
            gate.open();
        }
    }

    #[tokio::test]
    async fn a_topic_that_is_flushed_at_every_record_is_durable_before_it_is_acknowledged() {
        let (io, gate) = held_disk();
        let broker = broker_on(io, Durability::Os, &[]);
        let topic = topic(&broker, "t", 1, &[("flush.messages", "2")]).await;
        gate.close();
        // One record is below the interval.
        broker
            .produce(&topic, PARTITION, record(0), LATE)
            .await
            .unwrap();
        let late = broker.produce(&topic, PARTITION, record(1), SOON).await;
        assert_eq!(late, Err(ProduceError::TimedOut));
        gate.open();
        let retry = broker
            .produce(&topic, PARTITION, record(1), LATE)
            .await
            .unwrap();
        assert_eq!((retry.base_offset, retry.duplicate), (Offset(1), true));
    }

    #[tokio::test]
    async fn records_are_deleted_once_they_are_durable() {
        let bed = Bed::new().await;
        bed.broker.append(&bed.topic, PARTITION, record(1)).unwrap();
        let wanted = |before| {
            [NewLogStart {
                topic: Arc::clone(&bed.topic),
                partition: PARTITION,
                before,
            }]
        };
        let all = wanted(None);
        let early = bed.broker.delete_records(&all);
        assert!(tokio::time::timeout(SOON, early).await.is_err());
        bed.gate.open();
        let deleted = bed.broker.delete_records(&wanted(Some(Offset(2)))).await;
        assert_eq!(deleted, [Ok(Offset(2))]);
    }
}
