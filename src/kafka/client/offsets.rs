//! Where a partition begins and ends.

use std::collections::HashMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{self, ListOffsetsRequest};

use super::super::codec::text;
use super::Client;
use super::error::{BrokerCode, ClientError, refused};
use crate::model::{Offset, Timestamp};

/// What to look up, in ListOffsets' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetSpec {
    /// The first record.
    Earliest,
    /// Behind the last record.
    Latest,
    /// The first record of that time or later; -1 if there is none.
    At(Timestamp),
}

impl OffsetSpec {
    fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::At(timestamp) => timestamp.0,
        }
    }
}

impl Client {
    /// The offsets of partitions that `leader` leads.
    pub(crate) async fn offsets(
        &mut self,
        leader: i32,
        topic: &str,
        partitions: &[i32],
        spec: OffsetSpec,
    ) -> Result<HashMap<i32, Offset>, ClientError> {
        let partitions = partitions
            .iter()
            .map(|&partition| {
                ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(spec.timestamp())
            })
            .collect();
        let answer = self
            .ask_node(leader, |_| {
                ListOffsetsRequest::default()
                    .with_replica_id(messages::BrokerId(-1))
                    .with_topics(vec![
                        ListOffsetsTopic::default()
                            .with_name(messages::TopicName(text(topic)))
                            .with_partitions(partitions),
                    ])
            })
            .await?;
        let mut offsets = HashMap::new();
        for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
            let number = partition.partition_index;
            BrokerCode::check(partition.error_code)
                .map_err(|code| refused(format!("{topic}-{number}"), code, None::<&str>))?;
            offsets.insert(number, Offset(partition.offset));
        }
        Ok(offsets)
    }
}
