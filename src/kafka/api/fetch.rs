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
use crate::broker::fetch::{FetchError, FetchFrom, FetchOptions, FetchResults, NotEnough};
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
        let options = options(&context.broker, &request, isolation);
        let wanted = std::mem::take(&mut request.wanted);
        let forgotten = request.forgotten();
        let now = context.broker.clock.monotonic();
        let begun =
            (context.fetch_sessions).begin(request.session, uses_ids, wanted, forgotten, now);
        let fetch = match begun {
            Ok(fetch) => fetch,
            Err(error) => return Ok(Reply::Ready(refuse(version, &error))),
        };
        let makes_sense = |(_, wanted): &(_, Wanted)| wanted.max_bytes >= 0;
        let options = options.filter(|_| fetch.partitions.iter().all(makes_sense));
        let (from, places) = resolve(&context.broker.catalog.image(), &fetch.partitions);
        let asked = Asked {
            context,
            options,
            fetch,
            places,
        };
        let Some(options) = options else {
            return Ok(Reply::Ready(asked.answer(FetchResults::new())));
        };
        match asked.context.broker.fetch_at_once(&from, options) {
            Ok(read) => Ok(Reply::Ready(asked.answer(read))),
            Err(NotEnough { seen }) => Reply::pending(async move {
                let broker = &asked.context.broker;
                let read = broker.fetch_later(&from, options, seen).await;
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
    fetch_response::write(version, &envelope, [])
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
    fetch_response::write(version, &envelope, answers)
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
        let (version, broker) = (context.version, &context.broker);
        let lists_aborted =
            options.is_some_and(|options| options.isolation == Isolation::ReadCommitted);
        let answers = merge(version, broker, lists_aborted, &fetch, places, read);
        let seen: SmallVec<[Answered; 1]> = answers.iter().map(answered).collect();
        let now = broker.clock.monotonic();
        let selection = match context.fetch_sessions.finish(&fetch, &seen, now) {
            Ok(selection) => selection,
            Err(error) => return refuse(version, &error),
        };
        // A follower learns of leaders from the metadata log.
        let from_consumer = options.is_none_or(|options| options.replica.is_none());
        let names_the_leader =
            from_consumer && answers.iter().any(|answer| answer.current_leader.is_some());
        let endpoints = names_the_leader
            .then(|| endpoint(&context))
            .into_iter()
            .collect();
        let envelope = Envelope {
            error_code: 0,
            session_id: selection.session_id,
            endpoints,
        };
        let mut kept = selection.keep.into_iter().flatten();
        let keys = fetch.partitions.iter().map(|(key, _)| &key.topic);
        let chosen = keys.zip(answers).filter(|_| kept.next().unwrap_or(true));
        // What is not there comes last, as from Kafka.
        let mut chosen: SmallVec<[_; 1]> = chosen.collect();
        chosen.sort_by_key(|(_, answer)| answer.missing());
        fetch_response::write(version, &envelope, chosen)
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
fn merge(
    version: i16,
    broker: &Broker,
    lists_aborted: bool,
    fetch: &FetchContext,
    places: SmallVec<[Place; 1]>,
    read: FetchResults,
) -> SmallVec<[PartitionAnswer; 1]> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_protocol::messages::FetchRequest;
    use kafka_protocol::messages::fetch_request::{
        FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
    };
    use kafka_protocol::messages::fetch_response::PartitionData;
    use kafka_protocol::messages::{BrokerId, FetchResponse, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::broker::testing::{batch, broker, topic};
    use crate::catalog::Topic;
    use crate::kafka::fetch_request::{REPLICA_STATE_VERSION, SESSION_VERSION};
    use crate::kafka::testing::Client;

    fn named(version: i16, topic: &Topic, partitions: Vec<FetchPartition>) -> FetchTopic {
        let entry = FetchTopic::default().with_partitions(partitions);
        match version {
            TOPIC_ID_VERSION.. => entry.with_topic_id(topic.id.0),
            _ => entry.with_topic(TopicName(StrBytes::from_string(topic.name.to_string()))),
        }
    }

    fn partition(index: i32, offset: i64) -> FetchPartition {
        FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20)
    }

    /// One that waits for nothing and has no session.
    fn request(topics: Vec<FetchTopic>) -> FetchRequest {
        FetchRequest::default()
            .with_max_wait_ms(0)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(topics)
    }

    async fn fetch(client: &Client, version: i16, request: FetchRequest) -> FetchResponse {
        client.call::<Fetch, _>(version, &request).await.answer()
    }

    async fn fetch_one(
        broker: &Arc<Broker>,
        version: i16,
        topic: &Topic,
        partition: FetchPartition,
    ) -> PartitionData {
        let request = request(vec![named(version, topic, vec![partition])]);
        let mut response = fetch(&Client::of(broker), version, request).await;
        response.responses.remove(0).partitions.remove(0)
    }

    #[tokio::test]
    async fn every_version_reads_what_is_stored() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 2, &[]).await;
        let sent = batch(&["a", "b"]);
        broker.append(&topic, PartitionId(1), sent.clone()).unwrap();
        for version in 4..=18 {
            for isolation in [0, 1] {
                let parts = vec![partition(0, 0), partition(1, 0)];
                let request =
                    request(vec![named(version, &topic, parts)]).with_isolation_level(isolation);
                let response = fetch(&Client::of(&broker), version, request).await;
                assert_eq!((response.error_code, response.session_id), (0, 0));
                let [empty, full] = &response.responses[0].partitions[..] else {
                    panic!("{response:?}");
                };
                assert_eq!(
                    empty.records.as_deref(),
                    Some(&b""[..]),
                    "empty, never null"
                );
                assert_eq!(full.records.as_ref().unwrap()[21..], sent[21..]);
                assert_eq!((full.high_watermark, full.last_stable_offset), (2, 2));
                assert_eq!(full.log_start_offset, if version >= 5 { 0 } else { -1 });
                assert_eq!(full.aborted_transactions, (isolation == 1).then(Vec::new));
                assert_eq!(full.preferred_read_replica, -1);
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_apart_and_comes_last() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let mut nowhere = (*topic).clone();
        nowhere.id = TopicId(uuid::Uuid::from_u128(99));
        nowhere.name = crate::model::TopicName::new("nowhere").unwrap();
        for version in 4..=18 {
            let unknown = if version >= TOPIC_ID_VERSION { 100 } else { 3 };
            let request = request(vec![
                named(version, &nowhere, vec![partition(0, 0)]),
                named(version, &topic, vec![partition(7, 0), partition(0, 0)]),
            ]);
            let response = fetch(&Client::of(&broker), version, request).await;
            let codes: Vec<_> = response
                .responses
                .iter()
                .flat_map(|topic| &topic.partitions)
                .map(|partition| (partition.partition_index, partition.error_code))
                .collect();
            assert_eq!(codes, [(0, 0), (0, unknown), (7, 3)], "v{version}");
        }
    }

    #[tokio::test]
    async fn offsets_and_epochs_that_do_not_fit_are_errors() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        broker
            .append(&topic, PartitionId(0), batch(&["a"]))
            .unwrap();
        for version in 4..=18 {
            for offset in [-1, 2] {
                let answer = fetch_one(&broker, version, &topic, partition(0, offset)).await;
                assert_eq!(
                    (answer.error_code, answer.high_watermark),
                    (1, -1),
                    "v{version}"
                );
                assert_eq!(answer.aborted_transactions, None);
            }
        }
        for version in 9..=18 {
            let ahead = partition(0, 0).with_current_leader_epoch(5);
            let answer = fetch_one(&broker, version, &topic, ahead).await;
            assert_eq!(answer.error_code, 75, "v{version}");
        }
        for version in 12..=18 {
            let beyond = partition(0, 9).with_last_fetched_epoch(0);
            let answer = fetch_one(&broker, version, &topic, beyond).await;
            assert_eq!((answer.error_code, answer.high_watermark), (0, 1));
            let diverging = (
                answer.diverging_epoch.epoch,
                answer.diverging_epoch.end_offset,
            );
            assert_eq!(diverging, (0, 1), "v{version}");
        }
    }

    #[tokio::test]
    async fn a_follower_that_is_none_is_refused_and_shown_the_leader() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        for version in 4..=18 {
            for (epoch, code) in [(-1, 6), (0, 75)] {
                if epoch == 0 && version < 9 {
                    continue;
                }
                let parts = vec![partition(0, 0).with_current_leader_epoch(epoch)];
                let request = request(vec![named(version, &topic, parts)]);
                let request = match version {
                    REPLICA_STATE_VERSION.. => request
                        .with_replica_state(ReplicaState::default().with_replica_id(BrokerId(5))),
                    _ => request.with_replica_id(BrokerId(5)),
                };
                let response = fetch(&Client::of(&broker), version, request).await;
                let answer = &response.responses[0].partitions[0];
                assert_eq!(answer.error_code, code, "v{version}");
                let shown = version >= LEADER_VERSION && code == 6;
                // Where the leader lives, a follower knows.
                assert!(response.node_endpoints.is_empty(), "v{version}");
                assert_eq!(
                    answer.current_leader.leader_epoch,
                    if shown { 0 } else { -1 }
                );
            }
        }
    }

    #[tokio::test]
    async fn sizes_and_levels_that_make_no_sense_are_server_errors() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let client = Client::of(&broker);
        let parts = || vec![named(12, &topic, vec![partition(0, 0)])];
        let negative = partition(0, 0).with_partition_max_bytes(-5);
        for (request, code) in [
            (request(parts()).with_isolation_level(5), -1),
            (request(parts()).with_max_bytes(-5), 0),
            (request(vec![named(12, &topic, vec![negative])]), 0),
        ] {
            let response = fetch(&client, 12, request.with_max_wait_ms(60_000)).await;
            assert_eq!(response.error_code, code);
            assert_eq!(response.responses[0].partitions[0].error_code, -1);
        }
    }

    #[tokio::test]
    async fn fetch_max_bytes_is_a_limit_of_the_broker() {
        let broker = broker(&[("fetch.max.bytes", "1024")]);
        let topic = topic(&broker, "t", 1, &[]).await;
        for _ in 0..4 {
            broker
                .append(&topic, PartitionId(0), batch(&[&"x".repeat(500)]))
                .unwrap();
        }
        let answer = fetch_one(&broker, 12, &topic, partition(0, 0)).await;
        let read = answer.records.unwrap().len();
        assert!((1..=1024).contains(&read), "{read}");
    }

    #[tokio::test]
    async fn a_session_answers_only_what_changed() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 3, &[]).await;
        for version in SESSION_VERSION..=18 {
            let client = Client::of(&broker);
            let end = |index| {
                let id = TopicPartition {
                    topic: topic.id,
                    partition: PartitionId(index),
                };
                broker
                    .partition(&id, None)
                    .unwrap()
                    .offsets()
                    .unwrap()
                    .log_end
                    .0
            };
            let parts = (0..3).map(|index| partition(index, end(index))).collect();
            let first = request(vec![named(version, &topic, parts)]).with_session_epoch(0);
            let response = fetch(&client, version, first).await;
            let id = response.session_id;
            assert_ne!(id, 0, "v{version}");
            assert_eq!(response.responses[0].partitions.len(), 3);
            let next = |epoch| {
                request(vec![])
                    .with_session_id(id)
                    .with_session_epoch(epoch)
            };
            let response = fetch(&client, version, next(1)).await;
            assert_eq!(
                (response.session_id, response.responses.len()),
                (id, 0),
                "v{version}"
            );
            broker
                .append(&topic, PartitionId(1), batch(&["a"]))
                .unwrap();
            let response = fetch(&client, version, next(2)).await;
            let partitions = &response.responses[0].partitions;
            assert_eq!((partitions.len(), partitions[0].partition_index), (1, 1));
            let forgotten = ForgottenTopic::default().with_partitions(vec![0, 1, 2]);
            let forgotten = match version {
                TOPIC_ID_VERSION.. => forgotten.with_topic_id(topic.id.0),
                _ => forgotten.with_topic(TopicName(StrBytes::from_static_str("t"))),
            };
            let last = next(3).with_forgotten_topics_data(vec![forgotten]);
            let response = fetch(&client, version, last).await;
            assert_eq!((response.error_code, response.session_id), (0, 0));
            let response = fetch(&client, version, next(4)).await;
            assert_eq!(
                (response.error_code, response.session_id),
                (70, 0),
                "v{version}"
            );
        }
    }

    #[tokio::test]
    async fn sessions_that_went_another_way_are_refused() {
        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let client = Client::of(&broker);
        let first = request(vec![named(12, &topic, vec![partition(0, 0)])]).with_session_epoch(0);
        let id = fetch(&client, 12, first).await.session_id;
        let go_on = |id, epoch| {
            request(vec![])
                .with_session_id(id)
                .with_session_epoch(epoch)
        };
        assert_eq!(fetch(&client, 12, go_on(id, 2)).await.error_code, 71);
        assert_eq!(fetch(&client, 12, go_on(id ^ 1, 1)).await.error_code, 70);
        assert_eq!(fetch(&client, 13, go_on(id, 1)).await.error_code, 106);
        assert_eq!(fetch(&client, 12, go_on(id, 1)).await.error_code, 0);
    }

    #[tokio::test]
    async fn a_long_poll_is_pending_until_there_is_something() {
        use crate::kafka::reply::Reply;
        use crate::kafka::testing::flat;
        use kafka_protocol::protocol::Decodable;

        let broker = broker(&[]);
        let topic = topic(&broker, "t", 1, &[]).await;
        let request =
            request(vec![named(12, &topic, vec![partition(0, 0)])]).with_max_wait_ms(60_000);
        let Ok(Reply::Pending(answer)) = Client::of(&broker).start::<Fetch>(12, &request) else {
            panic!("not pending");
        };
        let answer = tokio::spawn(answer);
        tokio::task::yield_now().await;
        broker
            .append(&topic, PartitionId(0), batch(&["a"]))
            .unwrap();
        let mut bytes = flat(answer.await.unwrap().unwrap());
        let response = FetchResponse::decode(&mut bytes, 12).unwrap();
        assert_eq!(response.responses[0].partitions[0].high_watermark, 1);
    }
}
