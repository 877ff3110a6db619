//! Appending batches of records, and waiting until they are committed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Broker;
use super::configs::{Compression, TopicSettings};
use super::partitions::PartitionError;
use crate::batch::{self, BatchError, BatchHeader, Codec, CompressionTarget, Level, Origin, Rules};
use crate::catalog::Topic;
use crate::model::{PartitionId, TopicPartition};
use crate::storage::{AppendError, Appended, Partition};

/// Why a batch was not appended, or not known to be committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// There is no such partition.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// Only the broker and its administrators write to its internal topics.
    #[error("{0} is an internal topic")]
    InternalTopic(String),
    /// The batch belongs to a transaction, and no coordinator knows of it.
    #[error("the producer's transaction is unknown")]
    UnknownTransaction,
    /// The batch is not acceptable. The name of the partition is for messages to clients.
    #[error("{partition}: {error}")]
    Batch {
        /// `topic-partition`.
        partition: String,
        /// What is wrong.
        error: BatchError,
    },
    /// The append failed, or what was appended did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It is appended, but was not committed in time.
    #[error("not committed in time")]
    TimedOut,
}

/// A batch that is in the log, and may not be committed yet.
#[derive(Clone, Debug)]
pub struct Appending {
    /// Where it went.
    pub appended: Appended,
    partition: Arc<Partition>,
}

impl Appending {
    /// Whether the batch is durable as the mode promises and readers may see it.
    pub fn is_committed(&self) -> bool {
        self.partition.is_committed(self.appended.next_offset)
    }

    /// Waits until the batch is durable as the mode promises and readers may see it.
    pub async fn committed(&self) -> Result<Appended, ProduceError> {
        self.partition.committed(self.appended.next_offset).await?;
        Ok(self.appended)
    }

    /// As [`Self::committed`], but not longer than to `deadline`. The batch stays in the log
    /// even then.
    pub async fn committed_by(&self, deadline: Instant) -> Result<Appended, ProduceError> {
        let committed = timeout_at(deadline, self.committed()).await;
        committed.unwrap_or(Err(ProduceError::TimedOut))
    }
}

impl Broker {
    /// Appends a batch that a producer made to a partition, without waiting for it to be
    /// committed: [`Appending::committed`] does.
    ///
    /// `batch` is one record batch of magic 2 with base offset 0. A batch of an idempotent
    /// producer that is in the log already is not appended again; it waits for the original.
    pub fn append(
        &self,
        topic: &Topic,
        partition: PartitionId,
        batch: Bytes,
    ) -> Result<Appending, ProduceError> {
        if topic.name.is_internal() {
            return Err(ProduceError::InternalTopic(topic.name.to_string()));
        }
        self.append_anywhere(topic, partition, batch)
    }

    /// As [`Self::append`], to internal topics too. Whoever reads those has to bear what is
    /// written there.
    pub fn append_anywhere(
        &self,
        topic: &Topic,
        partition: PartitionId,
        batch: Bytes,
    ) -> Result<Appending, ProduceError> {
        let id = TopicPartition {
            topic: topic.id,
            partition,
        };
        let log = self.partition(&id, None)?;
        let settings = self.topic_settings(topic);
        let now = self.clock.wall();
        let valid = batch::validate(batch, &rules(&settings), now).map_err(|error| {
            ProduceError::Batch {
                partition: format!("{}-{partition}", topic.name),
                error,
            }
        })?;
        if valid.batch.header.is_transactional() {
            return Err(ProduceError::UnknownTransaction);
        }
        self.raise_owed_epochs()?;
        // Only transactional producers of Produce 12 and later have to begin at sequence 0.
        let mut appended = log.append(valid.batch, false)?;
        if !appended.duplicate {
            appended.log_append_time = valid.log_append_time;
        }
        Ok(Appending {
            appended,
            partition: log,
        })
    }

    /// Appends a batch and waits until it is committed.
    pub async fn produce(
        &self,
        topic: &Topic,
        partition: PartitionId,
        batch: Bytes,
        timeout: Duration,
    ) -> Result<Appended, ProduceError> {
        let deadline = Instant::now() + timeout;
        self.append(topic, partition, batch)?
            .committed_by(deadline)
            .await
    }
}

/// What the settings of a topic mean for a batch. `min.insync.replicas` has no part in it: Kafka
/// never asks for more replicas than the partition has, and here that is one.
fn rules(settings: &TopicSettings) -> Rules {
    let level = Level::Exactly;
    Rules {
        max_message_bytes: settings.log.max_message_bytes,
        log_append_time: settings.timestamp_type_log_append,
        timestamp_before_max_ms: settings.timestamp_before_max_ms,
        timestamp_after_max_ms: settings.timestamp_after_max_ms,
        compression: match settings.compression {
            Compression::Producer => CompressionTarget::Producer,
            Compression::Uncompressed => CompressionTarget::Fixed(Codec::None, Level::Default),
            Compression::Gzip(-1) => CompressionTarget::Fixed(Codec::Gzip, Level::Default),
            Compression::Gzip(value) => CompressionTarget::Fixed(Codec::Gzip, level(value)),
            Compression::Snappy => CompressionTarget::Fixed(Codec::Snappy, Level::Default),
            Compression::Lz4(value) => CompressionTarget::Fixed(Codec::Lz4, level(value)),
            Compression::Zstd(value) => CompressionTarget::Fixed(Codec::Zstd, level(value)),
        },
        compacted: settings.log.compact,
        origin: Origin::Client,
    }
}

/// Whether a batch is compressed with zstd, as far as its header can be read.
pub fn is_zstd(batch: &[u8]) -> bool {
    BatchHeader::parse(batch).is_ok_and(|header| header.codec() == Ok(Codec::Zstd))
}

/// Whether a batch says that it belongs to a transaction, as far as its header can be read.
pub fn is_transactional(batch: &[u8]) -> bool {
    BatchHeader::parse(batch).is_ok_and(|header| header.is_transactional())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, ControlType};
    use crate::broker::testing::{NOW, batch, broker, topic};
    use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};
    use crate::storage::Isolation;

    const PARTITION: PartitionId = PartitionId(0);

    fn stored(broker: &Broker, topic: &Topic) -> Bytes {
        let id = TopicPartition {
            topic: topic.id,
            partition: PARTITION,
        };
        let log = broker.partition(&id, None).unwrap();
        let read = log
            .read(Offset(0), usize::MAX, true, Isolation::LogEnd)
            .unwrap();
        read.records.to_bytes().unwrap()
    }

    fn batch_error(result: Result<Appending, ProduceError>) -> BatchError {
        match result {
            Err(ProduceError::Batch { error, .. }) => error,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn batches_follow_one_another_and_are_stored_as_they_were_sent() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let sent = batch(&["a", "b"]);
        let first = broker.append(&topic, PARTITION, sent.clone()).unwrap();
        let second = broker.append(&topic, PARTITION, batch(&["c"])).unwrap();
        assert_eq!(first.appended.base_offset, Offset(0));
        assert_eq!(second.committed().await.unwrap().base_offset, Offset(2));
        assert_eq!(first.appended.log_append_time, None);
        // Base offset and leader epoch are patched; what the checksum covers is not.
        assert_eq!(stored(&broker, &topic)[21..sent.len()], sent[21..]);
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_for_clients_is_refused() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let unknown = broker
            .append(&topic, PartitionId(1), batch(&["a"]))
            .unwrap_err();
        assert_eq!(unknown, ProduceError::Partition(PartitionError::Unknown));
        let mut transactional = BatchBuilder::new()
            .producer(ProducerId(5), ProducerEpoch(0), 0)
            .transactional();
        transactional.push(NOW, None, Some(b"v"));
        let batch = transactional.build().unwrap().bytes;
        let refused = broker.append(&topic, PARTITION, batch).unwrap_err();
        assert_eq!(refused, ProduceError::UnknownTransaction);
        let mut control = BatchBuilder::new().control();
        control.push(NOW, Some(&ControlType::Abort.key()), Some(b""));
        let refused = broker.append(&topic, PARTITION, control.build().unwrap().bytes);
        assert_eq!(batch_error(refused), BatchError::ControlBatch);
    }

    #[tokio::test]
    async fn a_retry_of_an_idempotent_producer_is_answered_with_the_original() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let batch = |first_sequence| {
            let mut batch =
                BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), first_sequence);
            batch.push(NOW, None, Some(b"v"));
            batch.build().unwrap().bytes
        };
        let original = broker.append(&topic, PARTITION, batch(0)).unwrap().appended;
        broker.append(&topic, PARTITION, batch(1)).unwrap();
        let retry = broker.append(&topic, PARTITION, batch(0)).unwrap();
        assert!(retry.appended.duplicate);
        assert_eq!(
            retry.committed().await.unwrap().base_offset,
            original.base_offset
        );
        let gap = broker.append(&topic, PARTITION, batch(5)).unwrap_err();
        let ProduceError::Append(AppendError::OutOfOrderSequence { .. }) = gap else {
            panic!("{gap:?}");
        };
    }

    #[tokio::test]
    async fn max_message_bytes_bounds_a_batch() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[("max.message.bytes", "100")]).await;
        assert!(broker.append(&topic, PARTITION, batch(&["small"])).is_ok());
        let refused = broker.append(&topic, PARTITION, batch(&[&"x".repeat(100)]));
        assert!(matches!(
            batch_error(refused),
            BatchError::TooLarge { max: 100, .. }
        ));
    }

    #[tokio::test]
    async fn log_append_time_is_stamped_and_told() {
        let broker = broker(&[]);
        let overrides = [("message.timestamp.type", "LogAppendTime")];
        let topic = topic(&broker, "t", 1, &overrides).await;
        let mut old = BatchBuilder::new();
        old.push(Timestamp(5), None, Some(b"v"));
        let bytes = old.build().unwrap().bytes;
        let appended = broker.append(&topic, PARTITION, bytes).unwrap().appended;
        assert_eq!(appended.log_append_time, Some(NOW));
        let header = BatchHeader::parse(&stored(&broker, &topic)).unwrap();
        assert!(header.is_log_append_time());
        assert_eq!(header.max_timestamp, NOW);
    }

    #[tokio::test]
    async fn timestamps_out_of_the_window_are_refused() {
        let broker = broker(&[]);
        let overrides = [
            ("message.timestamp.before.max.ms", "1000"),
            ("message.timestamp.after.max.ms", "2000"),
        ];
        let topic = topic(&broker, "t", 1, &overrides).await;
        for (distance, accepted) in [(-1001, false), (-1000, true), (2000, true), (2001, false)] {
            let mut batch = BatchBuilder::new();
            batch.push(Timestamp(NOW.0 + distance), None, Some(b"v"));
            let result = broker.append(&topic, PARTITION, batch.build().unwrap().bytes);
            assert_eq!(result.is_ok(), accepted, "{distance}");
            if !accepted {
                let BatchError::Records(rejections) = batch_error(result) else {
                    panic!("not about records");
                };
                assert!(rejections.is_timestamp());
            }
        }
    }

    #[tokio::test]
    async fn compression_type_decides_how_a_batch_is_stored() {
        type Overrides = &'static [(&'static str, &'static str)];
        let broker = broker(&[]);
        let cases: [(&str, Overrides, Codec); 6] = [
            ("producer", &[], Codec::None),
            ("uncompressed", &[], Codec::None),
            ("gzip", &[("compression.gzip.level", "9")], Codec::Gzip),
            ("snappy", &[], Codec::Snappy),
            ("lz4", &[("compression.lz4.level", "3")], Codec::Lz4),
            ("zstd", &[("compression.zstd.level", "1")], Codec::Zstd),
        ];
        for (name, levels, codec) in cases {
            let overrides = [&[("compression.type", name)], levels].concat();
            let topic = topic(&broker, &format!("t-{name}"), 1, &overrides).await;
            broker.append(&topic, PARTITION, batch(&["v"; 50])).unwrap();
            let header = BatchHeader::parse(&stored(&broker, &topic)).unwrap();
            assert_eq!(header.codec(), Ok(codec), "{name}");
            assert_eq!(header.record_count, 50);
        }
    }

    #[tokio::test]
    async fn levels_of_compression_reach_the_codec() {
        let broker = broker(&[]);
        let values: Vec<_> = (0..2000)
            .map(|n| format!("value number {}", n * 7919))
            .collect();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        for (codec, low, high) in [("gzip", "1", "9"), ("zstd", "-50", "19")] {
            let key = format!("compression.{codec}.level");
            let mut sizes = Vec::new();
            for level in [low, high] {
                let overrides = [("compression.type", codec), (key.as_str(), level)];
                let topic = topic(&broker, &format!("{codec}{level}"), 1, &overrides).await;
                broker.append(&topic, PARTITION, batch(&values)).unwrap();
                sizes.push(stored(&broker, &topic).len());
            }
            assert!(sizes[0] > sizes[1], "{codec}: {sizes:?}");
        }
    }

    #[tokio::test]
    async fn a_compacted_topic_wants_keys() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[("cleanup.policy", "compact")]).await;
        let refused = broker.append(&topic, PARTITION, batch(&["no key"]));
        assert!(matches!(batch_error(refused), BatchError::Records(_)));
        let mut keyed = BatchBuilder::new();
        keyed.push(NOW, Some(b"k"), Some(b"v"));
        assert!(
            broker
                .append(&topic, PARTITION, keyed.build().unwrap().bytes)
                .is_ok()
        );
    }

    #[tokio::test]
    async fn more_replicas_in_sync_than_there_are_is_no_obstacle() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[("min.insync.replicas", "2")]).await;
        let batch = batch(&["a"]);
        let produced = broker
            .produce(&topic, PARTITION, batch, Duration::from_secs(5))
            .await;
        assert_eq!(produced.unwrap().base_offset, Offset(0));
    }

    #[tokio::test]
    async fn a_batch_larger_than_a_segment_is_refused() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[("segment.bytes", "1048576")]).await;
        // The default of max.message.bytes is 12 bytes more than the smallest segment.
        let overhead = batch(&[&"x".repeat(1_000_000)]).len() - 1_000_000;
        for (len, fits) in [(1_048_576, true), (1_048_577, false)] {
            let batch = batch(&[&"x".repeat(len - overhead)]);
            assert_eq!(batch.len(), len);
            let result = broker.append(&topic, PARTITION, batch).map(|_| ());
            let refused = matches!(
                result,
                Err(ProduceError::Append(AppendError::TooLargeForSegment { .. }))
            );
            assert_eq!((result.is_ok(), refused), (fits, !fits), "{len}");
        }
    }

    #[tokio::test]
    async fn clients_do_not_write_to_internal_topics() {
        let broker = broker(&[]);
        let topic = topic(&broker, "__consumer_offsets", 1, &[]).await;
        let refused = broker.append(&topic, PARTITION, batch(&["a"])).unwrap_err();
        assert_eq!(
            refused,
            ProduceError::InternalTopic("__consumer_offsets".to_owned())
        );
    }
}
