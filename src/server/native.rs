//! Topics, records in and records out for the program that the broker lives in: no socket, no
//! encoding of requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Broker;
use crate::batch::{
    BatchBuilder, BatchHeader, BuildError, Header, RecordFormatError, RecordsError,
};
use crate::broker::fetch::{FetchError, FetchFrom, FetchOptions};
use crate::broker::topics::{CreateTopicError, NewTopic};
use crate::broker::{self, produce};
use crate::catalog::Topic;
use crate::model::{Offset, PartitionId, Timestamp, TopicId, TopicPartition};
use crate::storage::Isolation;

/// How long a change may take to become durable.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes that a [`Consumer`] reads at once.
const FETCH_BYTES_MAX: usize = 1024 * 1024;

/// A record to be produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Key, if any.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Timestamp; that of the call, if none is given.
    pub timestamp: Option<Timestamp>,
}

impl NewRecord {
    /// A record with this value alone.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// Timestamp of its producer, or of the append with LogAppendTime.
    pub timestamp: Timestamp,
    /// Key, if any.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers, in order; their keys may be any bytes.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Why records were not produced.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// There is no such topic.
    #[error("there is no topic {0}")]
    UnknownTopic(String),
    /// The records do not fit into a batch.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The broker refused them.
    #[error(transparent)]
    Refused(#[from] produce::ProduceError),
}

/// Why records were not consumed.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// There is no such topic.
    #[error("there is no topic {0}")]
    UnknownTopic(String),
    /// The broker refused.
    #[error(transparent)]
    Refused(#[from] FetchError),
    /// A stored batch cannot be read.
    #[error(transparent)]
    Batch(#[from] RecordsError),
    /// A stored record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordFormatError),
    /// The disk failed.
    #[error("cannot read the log: {0}")]
    Disk(#[from] std::io::Error),
}

impl Broker {
    /// Creates a topic with the broker's default settings.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: u16,
    ) -> Result<TopicId, CreateTopicError> {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(i32::from(partitions)),
            replication_factor: None,
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let mut outcomes = self.core.create_topics(vec![topic], false, TIMEOUT).await;
        match outcomes.pop() {
            Some(outcome) => outcome.result.map(|created| created.topic.id),
            None => Err(CreateTopicError::TimedOut),
        }
    }

    /// Appends records as one batch and waits until they are committed; the offset of the first.
    pub async fn produce(
        &self,
        topic: &str,
        partition: i32,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Result<Offset, ProduceError> {
        let topic = self
            .topic(topic)
            .ok_or_else(|| ProduceError::UnknownTopic(topic.to_owned()))?;
        let batch = batch(records, self.core.clock.wall()).build()?;
        let appended = self
            .core
            .produce(&topic, PartitionId(partition), batch.bytes, TIMEOUT)
            .await?;
        Ok(appended.base_offset)
    }

    /// Reads a partition from `from` on, and then follows it.
    pub fn consumer(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
    ) -> Result<Consumer, ConsumeError> {
        let topic = self
            .topic(topic)
            .ok_or_else(|| ConsumeError::UnknownTopic(topic.to_owned()))?;
        let partition = TopicPartition {
            topic: topic.id,
            partition: PartitionId(partition),
        };
        let core = Arc::clone(&self.core);
        Ok(Consumer {
            core,
            partition,
            next: from,
            read: VecDeque::new(),
        })
    }

    fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.core.catalog.image().topic_by_name(name)
    }
}

fn batch(records: impl IntoIterator<Item = NewRecord>, now: Timestamp) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for record in records {
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(key, value)| Header {
                key: key.as_bytes(),
                value: value.as_deref(),
            })
            .collect();
        let timestamp = record.timestamp.unwrap_or(now);
        builder.push_with_headers(
            timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    builder
}

/// Reads one partition, record after record.
#[derive(Debug)]
pub struct Consumer {
    core: Arc<broker::Broker>,
    partition: TopicPartition,
    next: Offset,
    /// Read ahead.
    read: VecDeque<Record>,
}

impl Consumer {
    /// The next record; waits for one at the end of the log. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Result<Record, ConsumeError> {
        loop {
            if let Some(record) = self.next_within(Duration::from_secs(60)).await? {
                return Ok(record);
            }
        }
    }

    /// The next record, if there is one within `wait`; zero does not wait.
    pub async fn next_within(&mut self, wait: Duration) -> Result<Option<Record>, ConsumeError> {
        if self.read.is_empty() {
            self.fetch(wait).await?;
        }
        Ok(self.read.pop_front())
    }

    async fn fetch(&mut self, max_wait: Duration) -> Result<(), ConsumeError> {
        let from = FetchFrom {
            partition: self.partition,
            offset: self.next,
            max_bytes: FETCH_BYTES_MAX,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        };
        let options = FetchOptions {
            isolation: Isolation::ReadUncommitted,
            max_wait,
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            replica: None,
        };
        for fetched in self.core.fetch(&[from], options).await {
            let mut bytes = fetched?.records.to_bytes()?;
            while !bytes.is_empty() {
                let header = BatchHeader::parse(&bytes).map_err(RecordsError::from)?;
                let batch = bytes.split_to(header.total_len().min(bytes.len()));
                self.take(&batch, &header)?;
            }
        }
        Ok(())
    }

    /// Keeps the records of a batch that were asked for: it may begin before them.
    fn take(&mut self, batch: &Bytes, header: &BatchHeader) -> Result<(), ConsumeError> {
        if !header.is_control() {
            for record in &crate::batch::records(batch)? {
                let record = record?;
                if record.offset < self.next {
                    continue;
                }
                let copy = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
                self.read.push_back(Record {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: copy(record.key),
                    value: copy(record.value),
                    headers: record
                        .headers
                        .iter()
                        .map(|header| (Bytes::copy_from_slice(header.key), copy(header.value)))
                        .collect(),
                });
            }
        }
        self.next = self.next.max(header.next_offset());
        Ok(())
    }
}
