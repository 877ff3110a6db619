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
use std::time::Duration;

use kafka_protocol::ResponseError;
use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::fetch::{FetchError, FetchFrom, FetchOptions, FetchResults, fetch_later};
use crate::catalog::Image;
use crate::config::keys;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::fetch_request::{FetchRequest, TOPIC_ID_VERSION};
use crate::kafka::fetch_response::{self, Endpoint, Envelope, PartitionAnswer};
use crate::kafka::fetch_session::{
    Answered, FetchContext, PartitionKey, SessionError, TopicKey, Wanted,
};
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::{LeaderEpoch, NodeId, PartitionId, TopicId, TopicPartition};
use crate::storage::{Isolation, RecordBytes};

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

    fn start(context: Context, mut request: FetchRequest) -> Result<Reply, Close> {
        let version = context.version;
        let Some(isolation) = isolation(&request) else {
            return Ok(Reply::Ready(refuse_all(version, &request.wanted)));
        };
        let uses_ids = version >= TOPIC_ID_VERSION;
        let options = options(context.broker(), &request, isolation);
        let wanted = std::mem::take(&mut request.wanted);
        let forgotten = request.forgotten();
        let begun = (context.connection.fetch_sessions).begin(
            request.session,
            uses_ids,
            wanted,
            forgotten,
            || context.broker().clock.monotonic(),
        );
        let fetch = match begun {
            Ok(fetch) => fetch,
            Err(error) => return Ok(Reply::Ready(refuse(version, &error))),
        };
        let makes_sense = |(_, wanted): &(_, Wanted)| wanted.max_bytes >= 0;
        let options = options.filter(|_| fetch.partitions.iter().all(makes_sense));
        let (from, places) = resolve(&context.broker().catalog.image(), &fetch.partitions);
        let asked = Asked {
            context,
            options,
            fetch,
            places,
        };
        let Some(options) = options else {
            return Ok(Reply::Ready(asked.answer(FetchResults::new())));
        };
        match asked.context.broker().fetch_at_once(&from, options) {
            Ok(read) => Ok(Reply::Ready(asked.answer(read))),
            Err(found) => Reply::pending(async move {
                let kept = &asked.context.connection.fetch_alarm;
                let mut alarm = std::mem::take(&mut *kept.lock());
                let read = fetch_later(&from, options, found, &mut alarm).await;
                *kept.lock() = alarm;
                Ok(asked.answer(read))
            }),
        }
    }
}

/// An error of the whole request.
fn refuse(version: i16, error: &impl KafkaCode) -> Body {
    let envelope = Envelope {
        error_code: error.kafka().code(),
        ..Envelope::default()
    };
    fetch_response::write(version, &envelope, &mut [])
}

/// The answer to an isolation level that there is not. From Kafka it names the partitions if it
/// can name them (`FetchRequest.getErrorResponse`).
fn refuse_all(version: i16, wanted: &[(PartitionKey, Wanted)]) -> Body {
    let error_code = ResponseError::UnknownServerError.code();
    let envelope = Envelope {
        error_code,
        ..Envelope::default()
    };
    let named = wanted.iter().filter(|_| version < TOPIC_ID_VERSION);
    let answers = named.map(|(key, _)| {
        (
            &key.topic,
            PartitionAnswer::missing_for(key.partition, error_code),
        )
    });
    fetch_response::write(version, &envelope, &mut answers.collect::<Vec<_>>())
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

/// A request that was understood.
struct Asked {
    context: Context,
    /// None if the request makes no sense.
    options: Option<FetchOptions>,
    fetch: FetchContext,
    places: SmallVec<[Place; 1]>,
}

impl Asked {
    /// The answer, made of what was read.
    fn answer(self, read: FetchResults) -> Body {
        let Self {
            context,
            options,
            fetch,
            places,
        } = self;
        let (version, broker) = (context.version, context.broker());
        let lists_aborted =
            options.is_some_and(|options| options.isolation == Isolation::ReadCommitted);
        let mut answers = merge(version, broker, lists_aborted, &fetch, places, read);
        let seen = answers.iter().map(|(_, answer)| answered(answer));
        let seen: SmallVec<[Answered; 1]> = seen.collect();
        let now = || broker.clock.monotonic();
        let selection = match context.connection.fetch_sessions.finish(&fetch, &seen, now) {
            Ok(selection) => selection,
            Err(error) => return refuse(version, &error),
        };
        // A follower learns of leaders from the metadata log.
        let from_consumer = options.is_none_or(|options| options.replica.is_none());
        let mut leaders = answers.iter().map(|(_, answer)| answer.current_leader);
        let names_the_leader = from_consumer && leaders.any(|leader| leader.is_some());
        let endpoints = names_the_leader
            .then(|| endpoint(&context))
            .into_iter()
            .collect();
        let envelope = Envelope {
            error_code: 0,
            session_id: selection.session_id,
            endpoints,
        };
        if let Some(keep) = selection.keep {
            let mut kept = keep.into_iter();
            answers.retain(|_| kept.next().unwrap_or(true));
        }
        // What is not there comes last, as from Kafka.
        answers.sort_by_key(|(_, answer)| answer.missing());
        fetch_response::write(version, &envelope, &mut answers)
    }
}

/// Where the answer for a partition of the request is to be found.
enum Place {
    /// The next one of those that are read.
    Read,
    /// There is no such partition.
    Missing(ResponseError),
}

/// Finds the partitions of a request in the catalog: what to read, and a place for every one.
fn resolve(
    image: &Image,
    wanted: &[(PartitionKey, Wanted)],
) -> (SmallVec<[FetchFrom; 1]>, SmallVec<[Place; 1]>) {
    let mut from = SmallVec::with_capacity(wanted.len());
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
fn options(broker: &Broker, request: &FetchRequest, isolation: Isolation) -> Option<FetchOptions> {
    let ceiling = broker.config.get(keys::FETCH_MAX_BYTES);
    let max_bytes = usize::try_from(request.max_bytes.min(ceiling)).ok()?;
    Some(FetchOptions {
        isolation,
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: usize::try_from(request.min_bytes)
            .unwrap_or(0)
            .min(max_bytes),
        max_bytes,
        replica: (request.replica >= 0).then_some(NodeId(request.replica)),
    })
}

/// An answer for every partition of the request, in its order. Where nothing was read because
/// the request makes no sense, what would have been read fails.
fn merge<'a>(
    version: i16,
    broker: &Broker,
    lists_aborted: bool,
    fetch: &'a FetchContext,
    places: SmallVec<[Place; 1]>,
    read: FetchResults,
) -> SmallVec<[(&'a TopicKey, PartitionAnswer); 1]> {
    let mut read = read.into_iter();
    let mut answer = |key: &PartitionKey, wanted: &Wanted, place| match place {
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
    };
    let partitions = fetch.partitions.iter().zip(places);
    let answers = partitions.map(|((key, wanted), place)| (&key.topic, answer(key, wanted, place)));
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
        node: context.broker().node_id,
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

#[cfg(test)]
mod tests;
