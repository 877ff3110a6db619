//! Sends batches to the leaders of their partitions.

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{self, ProduceRequest};

use super::super::codec::text;
use super::Client;
use super::error::{BrokerCode, ClientError, refused};
use crate::model::Acks;

/// How long the broker may take to commit a batch.
const TIMEOUT_MS: i32 = 30_000;

/// A batch on its way to a partition.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// The partition.
    pub(crate) partition: i32,
    /// Its leader.
    pub(crate) leader: i32,
    /// One whole batch.
    pub(crate) batch: Bytes,
}

/// What came of a batch.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Stored, or sent without asking for an answer.
    Done,
    /// Not stored, and it may go better next time: the leader moved, or is not there yet.
    Retriable(ClientError),
}

impl Client {
    /// Sends batches of one topic, at most one for each partition; what came of each, in order.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        acks: Acks,
        batches: &[Outgoing],
    ) -> Result<Vec<Delivery>, ClientError> {
        let mut deliveries: Vec<Option<Delivery>> = batches.iter().map(|_| None).collect();
        let mut leaders: Vec<i32> = batches.iter().map(|batch| batch.leader).collect();
        leaders.sort_unstable();
        leaders.dedup();
        for leader in leaders {
            let request = |_| request(topic, acks, batches, leader);
            if acks == Acks::None {
                self.node(leader).await?.tell(request).await?;
                for (delivery, batch) in deliveries.iter_mut().zip(batches) {
                    if batch.leader == leader {
                        *delivery = Some(Delivery::Done);
                    }
                }
                continue;
            }
            let answer = self.ask_node(leader, request).await?;
            for partition in answer
                .responses
                .into_iter()
                .flat_map(|topic| topic.partition_responses)
            {
                let outcome = match BrokerCode::check(partition.error_code) {
                    Ok(()) => Delivery::Done,
                    Err(code) => {
                        let subject = format!("{topic}-{}", partition.index);
                        let error = refused(subject, code, partition.error_message.as_deref());
                        match code.is_retriable() {
                            true => Delivery::Retriable(error),
                            false => return Err(error),
                        }
                    }
                };
                let place = batches
                    .iter()
                    .position(|batch| batch.partition == partition.index);
                if let Some(place) = place.and_then(|place| deliveries.get_mut(place)) {
                    *place = Some(outcome);
                }
            }
        }
        let answered: Option<Vec<Delivery>> = deliveries.into_iter().collect();
        answered.ok_or_else(|| ClientError::Unanswered(topic.to_owned()))
    }
}

fn request(topic: &str, acks: Acks, batches: &[Outgoing], leader: i32) -> ProduceRequest {
    let partitions = batches
        .iter()
        .filter(|batch| batch.leader == leader)
        .map(|batch| {
            PartitionProduceData::default()
                .with_index(batch.partition)
                .with_records(Some(batch.batch.clone()))
        })
        .collect();
    ProduceRequest::default()
        .with_acks(acks.get())
        .with_timeout_ms(TIMEOUT_MS)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(messages::TopicName(text(topic)))
                .with_partition_data(partitions),
        ])
}
