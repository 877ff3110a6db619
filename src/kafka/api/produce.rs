//! Produce v3–v13, told to clients as v0–v13
//!
//! *Behaviour:* appends one batch per partition, all partitions first; then, for `acks=-1`, waits
//! once until all are committed, up to `timeout_ms`. `acks=1` is answered after the append,
//! `acks=0` not at all: an error closes the connection then. A partition named twice keeps its
//! last batch. Batches of idempotent producers that are in the log already are answered with
//! their offset. Records of a transaction are refused as those of an unknown transactional id
//! are, or, without one, for lack of authority over it. Internal topics take what comes from a
//! client that calls itself `__admin_client`, and INVALID_TOPIC_EXCEPTION is the answer to others.
//!
//! *Versions:* v0–v2 are advertised for the sake of old librdkafka, which otherwise does not
//! compress (KAFKA-18659), and close the connection; v3 magic 2 (KIP-98); v5 log start offset
//! (KIP-107); v7 zstd (KIP-110), an error before; v8 record errors and messages (KIP-467); v9
//! flexible; v10 leader's endpoint with NOT_LEADER_OR_FOLLOWER (KIP-951), which does not happen
//! on one node; v11 and v12 transactions (KIP-890); v13 topic ids (KIP-516).
//!
//! *Not implemented:* transactions, throttling. Null records are INVALID_RECORD; Kafka never
//! answers them.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::batch::BatchError;
use crate::broker::produce::{Appending, ProduceError, is_transactional, is_zstd};
use crate::catalog::Topic;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::produce_response::{PartitionAnswer, ProduceResponse, Refused};
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::{Offset, PartitionId, TopicId, TopicPartition};
use crate::wire::EncodeError;

/// First version in which zstd may be used.
const ZSTD_VERSION: i16 = 7;
/// First version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

/// A commit takes a disk's time: a shorter timeout would refuse every request, while Kafka, which
/// on one node waits for nothing, refuses none.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The client id that may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// The handler.
pub(crate) struct Produce;

impl Handler for Produce {
    type Request = ProduceRequest;
    const KEY: i16 = 0;
    const NAME: &'static str = "Produce";
    const VERSIONS: RangeInclusive<i16> = 3..=13;
    const ADVERTISED_MIN: i16 = 0;
    const SCHEMA: &'static Schema = &schema::PRODUCE;
    const OVERLAPS: bool = true;

    fn start(context: Context, request: ProduceRequest) -> Result<Reply, Close> {
        let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let acks = request.acks;
        let refusal = refusal(&request);
        let topics = merged(request.topic_data).into_iter();
        let mut answers: Answers = topics
            .map(|topic| append_all(&context, topic, refusal))
            .collect();
        match acks {
            0 => without_answer(&answers),
            -1 if !answers.iter().all(TopicAnswer::is_committed) => {
                let deadline = Instant::now() + timeout.max(TIMEOUT_MIN);
                Reply::pending(async move {
                    wait(&context, &mut answers, deadline).await;
                    response(context.version, answers)
                })
            }
            _ => Ok(Reply::Ready(response(context.version, answers)?)),
        }
    }
}

/// What is wrong with every partition that is there.
#[derive(Clone, Copy)]
enum Refusal {
    /// Of the whole request, whatever it asks for.
    Request(ResponseError),
    /// Of what would otherwise be appended.
    Append(ResponseError),
}

fn refusal(request: &ProduceRequest) -> Option<Refusal> {
    let partitions = || {
        request
            .topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data)
    };
    let transactional =
        |data: &PartitionProduceData| data.records.as_deref().is_some_and(is_transactional);
    if request.transactional_id.is_none() && partitions().any(transactional) {
        let error = ResponseError::TransactionalIdAuthorizationFailed;
        return Some(Refusal::Request(error));
    }
    let known = matches!(request.acks, -1..=1);
    (!known).then_some(Refusal::Append(ResponseError::InvalidRequiredAcks))
}

/// Each topic once, and each partition once, with the batch that came last.
fn merged(topics: Vec<TopicProduceData>) -> Vec<TopicProduceData> {
    if let [only] = topics.as_slice()
        && only.partition_data.len() == 1
    {
        return topics;
    }
    let mut merged: Vec<TopicProduceData> = Vec::with_capacity(topics.len());
    let mut topic_places = HashMap::with_capacity(topics.len());
    let mut places = HashMap::new();
    for mut topic in topics {
        let partitions = std::mem::take(&mut topic.partition_data);
        let key = (topic.name.clone(), topic.topic_id);
        let place = *topic_places.entry(key).or_insert(merged.len());
        if place == merged.len() {
            merged.push(topic);
        }
        let Some(topic) = merged.get_mut(place) else {
            continue;
        };
        for partition in partitions {
            let data = &mut topic.partition_data;
            let place = *places.entry((place, partition.index)).or_insert(data.len());
            match data.get_mut(place) {
                Some(earlier) => *earlier = partition,
                None => data.push(partition),
            }
        }
    }
    merged
}

type Answers = SmallVec<[TopicAnswer; 1]>;

/// The answer for one topic while its appends are being committed. It holds nothing of the
/// request's buffer.
struct TopicAnswer {
    name: Name,
    id: TopicId,
    partitions: SmallVec<[(i32, Result<Appending, Failure>); 1]>,
}

/// How a topic was named.
enum Name {
    Known(Arc<Topic>),
    Unknown(String),
}

impl TopicAnswer {
    fn name(&self) -> &str {
        match &self.name {
            Name::Known(topic) => topic.name.as_str(),
            Name::Unknown(name) => name,
        }
    }

    /// Whether nothing has to be waited for.
    fn is_committed(&self) -> bool {
        self.partitions.iter().all(|(_, answer)| match answer {
            Ok(appending) => appending.is_committed(),
            Err(_) => true,
        })
    }
}

/// Why a partition has an error, and from where on its log starts if Kafka would tell.
struct Failure {
    code: ResponseError,
    log_start: Option<Offset>,
    error: Option<ProduceError>,
}

impl From<ResponseError> for Failure {
    fn from(code: ResponseError) -> Self {
        Self {
            code,
            log_start: None,
            error: None,
        }
    }
}

fn append_all(context: &Context, data: TopicProduceData, refusal: Option<Refusal>) -> TopicAnswer {
    let image = context.broker().catalog.image();
    let by_id = context.version >= TOPIC_ID_VERSION;
    let topic = match by_id {
        true => image.topic(TopicId(data.topic_id)),
        false => image.topic_by_name(&data.name),
    };
    let unknown = match by_id {
        true => ResponseError::UnknownTopicId,
        false => ResponseError::UnknownTopicOrPartition,
    };
    let partitions = data.partition_data.into_iter().map(|partition| {
        let index = partition.index;
        let answer = match (refusal, &topic) {
            (Some(Refusal::Request(code)), _) => Err(code.into()),
            (_, None) => Err(unknown.into()),
            (refusal, Some(topic)) => append(context, topic, partition, refusal),
        };
        (index, answer)
    });
    let partitions = partitions.collect();
    TopicAnswer {
        partitions,
        name: match topic {
            Some(topic) => Name::Known(topic),
            None => Name::Unknown(data.name.to_string()),
        },
        id: TopicId(data.topic_id),
    }
}

fn append(
    context: &Context,
    topic: &Topic,
    data: PartitionProduceData,
    refusal: Option<Refusal>,
) -> Result<Appending, Failure> {
    let number = PartitionId(data.index);
    let id = TopicPartition {
        topic: topic.id,
        partition: number,
    };
    // The partition comes first, then what all of them have in common.
    context
        .broker()
        .partition(&id, None)
        .map_err(|error| error.kafka())?;
    let batch: Bytes = data.records.unwrap_or_default();
    if context.version < ZSTD_VERSION && is_zstd(&batch) {
        return Err(ResponseError::UnsupportedCompressionType.into());
    }
    if let Some(Refusal::Request(code) | Refusal::Append(code)) = refusal {
        return Err(code.into());
    }
    let administers = context.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
    let appending = match administers {
        true => context.broker().append_anywhere(topic, number, batch),
        false => context.broker().append(topic, number, batch),
    };
    appending.map_err(|error| failure(context, &id, error))
}

fn failure(context: &Context, id: &TopicPartition, error: ProduceError) -> Failure {
    let log = tells_log_start(&error)
        .then(|| context.broker().partition(id, None).ok())
        .flatten();
    let log_start = log
        .and_then(|log| log.offsets().ok())
        .map(|offsets| offsets.log_start);
    Failure {
        code: error.kafka(),
        log_start,
        error: Some(error),
    }
}

/// Kafka tells where the log starts once it has looked at what is inside of a batch
/// (`ReplicaManager.appendToLocalLog`).
fn tells_log_start(error: &ProduceError) -> bool {
    match error {
        ProduceError::Partition(_)
        | ProduceError::InternalTopic(_)
        | ProduceError::UnknownTransaction
        | ProduceError::TimedOut => false,
        ProduceError::Append(error) => match error {
            crate::storage::AppendError::OutOfOrderSequence { .. }
            | crate::storage::AppendError::InvalidProducerEpoch { .. }
            | crate::storage::AppendError::OutsideTransaction { .. }
            | crate::storage::AppendError::CoordinatorFenced { .. } => true,
            crate::storage::AppendError::TooLargeForSegment { .. }
            | crate::storage::AppendError::Deleted
            | crate::storage::AppendError::Storage(_) => false,
        },
        ProduceError::Batch { error, .. } => match error {
            BatchError::NoBatch
            | BatchError::OldMagic(_)
            | BatchError::Unframed(_)
            | BatchError::UnframedTail(_)
            | BatchError::MoreThanOneBatch
            | BatchError::TooLarge { .. }
            | BatchError::Checksum { .. } => false,
            BatchError::BaseOffset(_)
            | BatchError::OffsetRange(_)
            | BatchError::RecordCount(_)
            | BatchError::CountMismatch { .. }
            | BatchError::ControlBatch
            | BatchError::Sequence { .. }
            | BatchError::Codec(_)
            | BatchError::Format(_)
            | BatchError::Undecodable(_)
            | BatchError::OffsetGaps
            | BatchError::DecompressedTooLarge(_)
            | BatchError::Compress(_)
            | BatchError::Records(_) => true,
        },
    }
}

/// A client that wants no answer learns of errors by losing its connection.
fn without_answer(answers: &[TopicAnswer]) -> Result<Reply, Close> {
    for topic in answers {
        for (index, answer) in &topic.partitions {
            if let Err(failure) = answer {
                let reason = match &failure.error {
                    Some(error) => error.to_string(),
                    None => failure.code.to_string(),
                };
                let name = topic.name();
                return Err(Close(format!(
                    "produce with acks=0 to {name}-{index}: {reason}"
                )));
            }
        }
    }
    Ok(Reply::None)
}

/// Waits until everything is committed. They become so together: waiting for one after another
/// takes no longer than for the last.
async fn wait(context: &Context, answers: &mut [TopicAnswer], deadline: Instant) {
    for topic in answers {
        for (index, answer) in &mut topic.partitions {
            let Ok(appending) = answer else { continue };
            if let Err(error) = appending.committed_by(deadline).await {
                let id = TopicPartition {
                    topic: topic.id,
                    partition: PartitionId(*index),
                };
                *answer = Err(failure(context, &id, error));
            }
        }
    }
}

fn response(version: i16, answers: Answers) -> Result<Body, Close> {
    let encoded = encode(version, answers);
    encoded.map(Body::from).map_err(|error| {
        tracing::error!(version, %error, "an answer to Produce could not be encoded");
        Close(format!("the response could not be encoded: {error}"))
    })
}

fn encode(version: i16, answers: Answers) -> Result<Vec<u8>, EncodeError> {
    let partitions = answers.iter().map(|topic| topic.partitions.len()).sum();
    let mut response = ProduceResponse::new(version, answers.len(), partitions)?;
    for topic in answers {
        response.topic(topic.name(), topic.id, topic.partitions.len())?;
        for (index, answer) in topic.partitions {
            let answer = match answer {
                Ok(appending) => PartitionAnswer::Appended(appending.appended),
                Err(failure) => PartitionAnswer::Refused(refused(&failure)),
            };
            response.partition(index, &answer)?;
        }
        response.end_topic();
    }
    Ok(response.finish())
}

fn refused(failure: &Failure) -> Refused {
    let refused = Refused {
        error_code: failure.code.code(),
        log_start: failure.log_start.map_or(-1, |offset| offset.0),
        records: Vec::new(),
        message: None,
    };
    match &failure.error {
        Some(ProduceError::Batch {
            partition,
            error: BatchError::Records(rejections),
        }) => {
            let records = rejections.first.iter();
            let records = records.map(|each| (each.index, each.fault.message(partition)));
            Refused {
                records: records.collect(),
                message: Some(rejections.message(partition)),
                ..refused
            }
        }
        // Of all other faults of a batch, Kafka words only those that keep it from being found.
        Some(ProduceError::Batch {
            error: BatchError::Unframed(fault),
            ..
        }) => Refused {
            message: Some(fault.to_string()),
            ..refused
        },
        _ => refused,
    }
}

#[cfg(test)]
mod tests;
