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
    /// Only the broker writes to its internal topics.
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
        let id = TopicPartition {
            topic: topic.id,
            partition,
        };
        let log = self.partition(&id, None)?;
        if topic.name.is_internal() {
            return Err(ProduceError::InternalTopic(topic.name.to_string()));
        }
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
        max_message_bytes: settings.max_message_bytes,
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
        compacted: settings.compacted,
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
