//! Reads batches from the leader of partitions.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{self, FetchRequest};

use super::super::codec::text;
use super::Client;
use super::error::{BrokerCode, ClientError, refused};
use crate::model::Offset;

/// Most bytes of one answer, over all partitions and for one of them; a first batch that is
/// larger comes whole.
const BYTES_MAX: i32 = 16 * 1024 * 1024;
const PARTITION_BYTES_MAX: i32 = 1024 * 1024;

/// From where to read a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchPosition {
    /// The partition.
    pub(crate) partition: i32,
    /// First offset that is wanted.
    pub(crate) offset: Offset,
}

/// What came for a partition.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// The partition.
    pub(crate) partition: i32,
    /// End of what may be read now.
    pub(crate) high_watermark: Offset,
    /// Batches; the first may begin before the offset that was asked for, the last may be cut.
    pub(crate) records: Bytes,
}

impl Client {
    /// Reads partitions of one topic that `leader` leads, waiting up to `wait` for something to
    /// read.
    pub(crate) async fn fetch(
        &mut self,
        leader: i32,
        topic: &str,
        positions: &[FetchPosition],
        wait: Duration,
    ) -> Result<Vec<Fetched>, ClientError> {
        let partitions = positions
            .iter()
            .map(|position| {
                FetchPartition::default()
                    .with_partition(position.partition)
                    .with_current_leader_epoch(-1)
                    .with_fetch_offset(position.offset.0)
                    .with_last_fetched_epoch(-1)
                    .with_log_start_offset(-1)
                    .with_partition_max_bytes(PARTITION_BYTES_MAX)
            })
            .collect();
        let answer = self
            .ask_node(leader, |_| {
                FetchRequest::default()
                    .with_replica_id(messages::BrokerId(-1))
                    .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
                    .with_min_bytes(1)
                    .with_max_bytes(BYTES_MAX)
                    .with_session_id(0)
                    .with_session_epoch(-1)
                    .with_topics(vec![
                        FetchTopic::default()
                            .with_topic(messages::TopicName(text(topic)))
                            .with_partitions(partitions),
                    ])
            })
            .await?;
        BrokerCode::check(answer.error_code).map_err(|code| refused(topic, code, None::<&str>))?;
        let mut fetched = Vec::new();
        for partition in answer
            .responses
            .into_iter()
            .flat_map(|topic| topic.partitions)
        {
            let number = partition.partition_index;
            BrokerCode::check(partition.error_code)
                .map_err(|code| refused(format!("{topic}-{number}"), code, None::<&str>))?;
            fetched.push(Fetched {
                partition: number,
                high_watermark: Offset(partition.high_watermark),
                records: partition.records.unwrap_or_default(),
            });
        }
        Ok(fetched)
    }
}
