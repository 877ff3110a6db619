//! Fetch v4–v18
//!
//! *Behaviour:* reads stored batches of many partitions, the first from the batch that contains
//! the offset asked for, and sends them as they are stored. Waits up to `max_wait_ms` for
//! `min_bytes`, but not once a partition fails. Sizes are limits, except that the first batch
//! that is found is sent whatever its size (KIP-74); `fetch.max.bytes` is a limit too. Between
//! high watermark and log end there is nothing to read; only beyond the log end, or before its
//! start, is OFFSET_OUT_OF_RANGE. Partitions that are not there are answered after the others and
//! do not end the wait. A broker that fetches as a follower is no replica of anything here.
//!
//! *Versions:* v4 isolation and aborted transactions (KIP-98); v5 log start offset (KIP-107);
//! v7 incremental sessions (KIP-227); v9 leader epoch of the client (KIP-320); v10 zstd batches
//! (KIP-110), sent to older versions too, as Kafka does; v11 rack of the client (KIP-392), of no
//! use on one node; v12 last fetched epoch and diverging epoch (KIP-595), flexible; v13 topic
//! ids (KIP-516); v14 tiered storage (KIP-405), none here; v15 replica state (KIP-903); v16
//! leaders' endpoints with FENCED_LEADER_EPOCH and NOT_LEADER_OR_FOLLOWER (KIP-951); v17 replica
//! directory (KIP-853); v18 high watermark of the follower (KIP-1166).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

use crate::broker::Broker;
use crate::broker::fetch::{FetchError, FetchFrom, FetchOptions, FetchResult};
use crate::catalog::Image;
use crate::config::keys;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::fetch_response::{self, Endpoint, Envelope, PartitionAnswer};
use crate::kafka::fetch_session::{
    Answered, FetchContext, PartitionKey, SessionError, SessionRequest, TopicKey, Wanted,
};
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::{LeaderEpoch, NodeId, Offset, PartitionId, TopicId, TopicPartition};
use crate::storage::{Isolation, RecordBytes};

/// First version with sessions.
const SESSION_VERSION: i16 = 7;
/// First version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;
/// First version with the replica id in a tagged field.
const REPLICA_STATE_VERSION: i16 = 15;
/// First version that tells where the leader is.
const LEADER_VERSION: i16 = 16;

/// The handler.
pub(crate) struct Fetch;

impl Handler for Fetch {
    type Request = FetchRequest;
    const KEY: i16 = 1;
    const NAME: &'static str = "Fetch";
    const VERSIONS: RangeInclusive<i16> = 4..=18;
    const SCHEMA: &'static Schema = &schema::FETCH;

    fn start(context: Context, request: FetchRequest) -> Result<Reply, Close> {
        let session = match context.version {
            SESSION_VERSION.. => SessionRequest {
                id: request.session_id,
                epoch: request.session_epoch,
            },
            _ => SessionRequest::LEGACY,
        };
        let uses_ids = context.version >= TOPIC_ID_VERSION;
        let wanted = wanted(&request.topics, uses_ids);
        let forgotten = forgotten(&request.forgotten_topics_data, uses_ids);
        let now = context.broker.clock.monotonic();
        match context
            .fetch_sessions
            .begin(session, uses_ids, wanted, &forgotten, now)
        {
            Ok(fetch) => Reply::begin(answer(context, request, fetch)),
            Err(error) => Ok(Reply::Ready(refuse(context.version, &error))),
        }
    }
}

/// An error of the whole request.
fn refuse(version: i16, error: &impl KafkaCode) -> Body {
    let envelope = Envelope {
        error_code: error.kafka().code(),
        ..Envelope::default()
    };
    fetch_response::write(version, &envelope, [])
}

impl KafkaCode for SessionError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::IdNotFound => ResponseError::FetchSessionIdNotFound,
            Self::InvalidEpoch => ResponseError::InvalidFetchSessionEpoch,
            Self::TopicIdMismatch => ResponseError::FetchSessionTopicIdError,
        }
    }
}

async fn answer(
    context: Context,
    request: FetchRequest,
    fetch: FetchContext,
) -> Result<Body, Close> {
    let (version, broker) = (context.version, &context.broker);
    let (from, places) = resolve(&broker.catalog.image(), &fetch.partitions);
    let read = match options(broker, version, &request, &fetch) {
        Some(options) => broker.fetch(&from, options).await,
        None => Vec::new(),
    };
    let answers = merge(version, broker, isolation(&request), &fetch, places, read);
    let seen: Vec<Answered> = answers.iter().map(answered).collect();
    let now = broker.clock.monotonic();
    let selection = match context.fetch_sessions.finish(&fetch, &seen, now) {
        Ok(selection) => selection,
        Err(error) => return Ok(refuse(version, &error)),
    };
    let names_the_leader = answers.iter().any(|answer| answer.current_leader.is_some());
    let endpoints = names_the_leader
        .then(|| endpoint(&context))
        .into_iter()
        .collect();
    let error_code = match isolation(&request) {
        Some(_) => 0,
        None => ResponseError::UnknownServerError.code(),
    };
    let envelope = Envelope {
        error_code,
        session_id: selection.session_id,
        endpoints,
    };
    let mut kept = selection.keep.into_iter().flatten();
    let keys = fetch.partitions.iter().map(|(key, _)| &key.topic);
    let chosen = keys.zip(answers).filter(|_| kept.next().unwrap_or(true));
    // What is not there comes last, as from Kafka.
    let (missing, there): (Vec<_>, Vec<_>) = chosen.partition(|(_, answer)| answer.missing());
    Ok(fetch_response::write(
        version,
        &envelope,
        there.into_iter().chain(missing),
    ))
}

/// The partitions asked for, as a session keeps them.
fn wanted(topics: &[FetchTopic], uses_ids: bool) -> Vec<(PartitionKey, Wanted)> {
    let mut wanted = Vec::with_capacity(topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in topics {
        let key = match uses_ids {
            true => TopicKey::Id(TopicId(topic.topic_id)),
            false => TopicKey::Name(Arc::from(topic.topic.as_str())),
        };
        for partition in &topic.partitions {
            let key = PartitionKey {
                topic: key.clone(),
                partition: PartitionId(partition.partition),
            };
            wanted.push((key, want(partition)));
        }
    }
    wanted
}

fn want(partition: &FetchPartition) -> Wanted {
    // Every negative epoch stands for none (`FetchRequest.optionalEpoch`).
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    Wanted {
        offset: Offset(partition.fetch_offset),
        max_bytes: partition.partition_max_bytes,
        current_leader_epoch: epoch(partition.current_leader_epoch),
        last_fetched_epoch: epoch(partition.last_fetched_epoch),
    }
}

fn forgotten(topics: &[ForgottenTopic], uses_ids: bool) -> Vec<PartitionKey> {
    let mut forgotten = Vec::new();
    for topic in topics {
        let key = match uses_ids {
            true => TopicKey::Id(TopicId(topic.topic_id)),
            false => TopicKey::Name(Arc::from(topic.topic.as_str())),
        };
        let partitions = topic.partitions.iter().map(|&partition| PartitionKey {
            topic: key.clone(),
            partition: PartitionId(partition),
        });
        forgotten.extend(partitions);
    }
    forgotten
}

/// Where the answer for a partition of the request is to be found.
enum Place {
    /// The next one of those that are read.
    Read,
    /// There is no such partition.
    Missing(ResponseError),
}

/// Finds the partitions of a request in the catalog: what to read, and a place for every one.
fn resolve(image: &Image, wanted: &[(PartitionKey, Wanted)]) -> (Vec<FetchFrom>, Vec<Place>) {
    let mut from = Vec::with_capacity(wanted.len());
    let mut last: Option<(&TopicKey, Option<(TopicId, usize)>)> = None;
    let places = wanted.iter().map(|(key, wanted)| {
        let topic = match last {
            Some((topic, found)) if *topic == key.topic => found,
            _ => find(image, &key.topic),
        };
        last = Some((&key.topic, topic));
        let Some((topic, partitions)) = topic else {
            return Place::Missing(match key.topic {
                TopicKey::Name(_) => ResponseError::UnknownTopicOrPartition,
                TopicKey::Id(_) => ResponseError::UnknownTopicId,
            });
        };
        let number = usize::try_from(key.partition.0);
        if number.map_or(true, |number| number >= partitions) {
            return Place::Missing(ResponseError::UnknownTopicOrPartition);
        }
        from.push(FetchFrom {
            partition: TopicPartition {
                topic,
                partition: key.partition,
            },
            offset: wanted.offset,
            max_bytes: usize::try_from(wanted.max_bytes).unwrap_or(0),
            current_leader_epoch: wanted.current_leader_epoch,
            last_fetched_epoch: wanted.last_fetched_epoch,
        });
        Place::Read
    });
    let places = places.collect();
    (from, places)
}

/// Id and number of partitions of a topic.
fn find(image: &Image, key: &TopicKey) -> Option<(TopicId, usize)> {
    let topic = match key {
        TopicKey::Name(name) => image.topic_by_name(name),
        TopicKey::Id(id) => image.topic(*id),
    };
    topic.map(|topic| (topic.id, topic.partitions.len()))
}

/// The isolation level, if it is one.
fn isolation(request: &FetchRequest) -> Option<Isolation> {
    match request.isolation_level {
        0 => Some(Isolation::ReadUncommitted),
        1 => Some(Isolation::ReadCommitted),
        _ => None,
    }
}

/// The limits of the request; `None` if they make no sense, which Kafka answers with
/// UNKNOWN_SERVER_ERROR.
fn options(
    broker: &Broker,
    version: i16,
    request: &FetchRequest,
    fetch: &FetchContext,
) -> Option<FetchOptions> {
    let ceiling = broker.config.get(keys::FETCH_MAX_BYTES);
    let max_bytes = usize::try_from(request.max_bytes.min(ceiling)).ok()?;
    if fetch
        .partitions
        .iter()
        .any(|(_, wanted)| wanted.max_bytes < 0)
    {
        return None;
    }
    let replica = match version {
        REPLICA_STATE_VERSION.. => request.replica_state.replica_id,
        _ => request.replica_id,
    };
    Some(FetchOptions {
        isolation: isolation(request)?,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: usize::try_from(request.min_bytes)
            .unwrap_or(0)
            .min(max_bytes),
        max_bytes,
        replica: (replica.0 >= 0).then_some(NodeId(replica.0)),
    })
}

/// An answer for every partition of the request, in its order. Where nothing was read because
/// the request makes no sense, what would have been read fails.
fn merge(
    version: i16,
    broker: &Broker,
    isolation: Option<Isolation>,
    fetch: &FetchContext,
    places: Vec<Place>,
    read: Vec<FetchResult>,
) -> Vec<PartitionAnswer> {
    let lists_aborted = isolation == Some(Isolation::ReadCommitted);
    let mut read = read.into_iter();
    let answers = fetch
        .partitions
        .iter()
        .zip(places)
        .map(|((key, wanted), place)| match place {
            Place::Missing(error) => PartitionAnswer::missing_for(key.partition, error.code()),
            Place::Read => match read.next() {
                None => {
                    PartitionAnswer::failed(key.partition, ResponseError::UnknownServerError.code())
                }
                Some(Ok(fetched)) => PartitionAnswer {
                    partition: key.partition,
                    error_code: 0,
                    high_watermark: fetched.offsets.high_watermark.0,
                    last_stable: fetched.offsets.last_stable.0,
                    log_start: fetched.offsets.log_start.0,
                    aborted: lists_aborted.then_some(fetched.aborted),
                    records: fetched.records,
                    diverging: fetched.diverging,
                    current_leader: None,
                },
                Some(Err(error)) => {
                    let code = code(&error, wanted);
                    let leader = leader(version, broker, code, key);
                    PartitionAnswer {
                        current_leader: leader,
                        ..PartitionAnswer::failed(key.partition, code.code())
                    }
                }
            },
        });
    answers.collect()
}

/// The code of a failed read. A follower that is none is told to look for a newer epoch if it
/// named one (`Partition.followerReplicaOrThrow`).
fn code(error: &FetchError, wanted: &Wanted) -> ResponseError {
    match (error, wanted.current_leader_epoch) {
        (FetchError::UnknownReplica(_), Some(_)) => ResponseError::UnknownLeaderEpoch,
        _ => error.kafka(),
    }
}

/// The leader, for a client that has to learn it.
fn leader(
    version: i16,
    broker: &Broker,
    code: ResponseError,
    key: &PartitionKey,
) -> Option<(NodeId, LeaderEpoch)> {
    let teaches = matches!(
        code,
        ResponseError::NotLeaderOrFollower | ResponseError::FencedLeaderEpoch
    );
    if version < LEADER_VERSION || !teaches {
        return None;
    }
    let image = broker.catalog.image();
    let topic = match &key.topic {
        TopicKey::Name(name) => image.topic_by_name(name),
        TopicKey::Id(id) => image.topic(*id),
    }?;
    let partition = topic
        .partitions
        .get(usize::try_from(key.partition.0).ok()?)?;
    Some((partition.leader, partition.leader_epoch))
}

fn endpoint(context: &Context) -> Endpoint {
    let (host, port) = context.connection.advertised.clone();
    Endpoint {
        node: context.broker.node_id,
        host,
        port,
    }
}

fn answered(answer: &PartitionAnswer) -> Answered {
    Answered {
        has_records: !answer.records.is_empty(),
        high_watermark: answer.high_watermark,
        log_start: answer.log_start,
        failed: answer.error_code != 0,
        diverging: answer.diverging.is_some(),
    }
}

impl PartitionAnswer {
    /// Nothing but an error.
    fn failed(partition: PartitionId, error_code: i16) -> Self {
        Self {
            partition,
            error_code,
            high_watermark: -1,
            last_stable: -1,
            log_start: -1,
            aborted: None,
            records: RecordBytes::EMPTY,
            diverging: None,
            current_leader: None,
        }
    }

    /// Of a partition that is not there: an empty list of aborted transactions, as Kafka sends
    /// it for what it did not try to read.
    fn missing_for(partition: PartitionId, error_code: i16) -> Self {
        Self {
            aborted: Some(Vec::new()),
            ..Self::failed(partition, error_code)
        }
    }

    fn missing(&self) -> bool {
        self.error_code != 0 && self.aborted.is_some()
    }
}
