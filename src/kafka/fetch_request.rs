//! The request of Fetch, read into what the handler needs.
//!
//! Consumers send little else, and most of a request is of no use here: each of its partitions is
//! read into its place at once. What the fields mean is told where they are used,
//! [`api::fetch`](super::api::fetch).

use std::sync::Arc;

use bytes::{Buf, TryGetError};
use uuid::Uuid;

use super::codec::Request;
use super::fetch_session::{PartitionKey, SessionRequest, TopicKey, Wanted};
use super::reply::Close;
use super::schema;
use crate::model::{LeaderEpoch, Offset, PartitionId, TopicId};

/// First version that tells the log start offset of a follower.
const LOG_START_VERSION: i16 = 5;
/// First version with sessions.
pub(crate) const SESSION_VERSION: i16 = 7;
/// First version with the leader epoch of the client.
const LEADER_EPOCH_VERSION: i16 = 9;
/// First version with the rack of the client.
const RACK_VERSION: i16 = 11;
/// First version that names topics by id.
pub(crate) const TOPIC_ID_VERSION: i16 = 13;
/// First version with the replica id in a tagged field.
pub(crate) const REPLICA_STATE_VERSION: i16 = 15;

/// Tagged fields of a request.
const CLUSTER_ID_TAG: u32 = 0;
const REPLICA_STATE_TAG: u32 = 1;

/// Tagged fields of a partition, for followers alone.
const REPLICA_DIRECTORY_TAG: u32 = 0;
const HIGH_WATERMARK_TAG: u32 = 1;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchRequest {
    /// The broker that fetches as a follower; negative for a consumer.
    pub(crate) replica: i32,
    /// How long the answer may wait, in milliseconds.
    pub(crate) max_wait_ms: i32,
    /// For how many bytes it waits.
    pub(crate) min_bytes: i32,
    /// Most bytes of the answer.
    pub(crate) max_bytes: i32,
    /// 0 for uncommitted, 1 for committed; anything else makes no sense.
    pub(crate) isolation_level: i8,
    /// The session.
    pub(crate) session: SessionRequest,
    /// What is wanted of partitions that are new to the session, or wanted otherwise.
    pub(crate) wanted: Vec<(PartitionKey, Wanted)>,
    /// Partitions that leave the session, by topic.
    pub(crate) forgotten: Vec<(TopicKey, Vec<PartitionId>)>,
}

impl FetchRequest {
    /// The partitions that leave the session.
    pub(crate) fn forgotten(&self) -> impl Iterator<Item = PartitionKey> {
        self.forgotten.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(|&partition| PartitionKey {
                topic: topic.clone(),
                partition,
            })
        })
    }
}

impl Request for FetchRequest {
    fn decode<B: AsRef<[u8]>>(body: B, version: i16) -> Result<(Self, usize), Close> {
        let body = body.as_ref();
        let mut reader = Reader {
            rest: body,
            version,
        };
        let request = reader.request();
        request
            .map(|request| (request, body.len() - reader.rest.len()))
            .map_err(|error| Close(format!("the body does not parse: {error}")))
    }
}

/// An error is what the walk over the schema would have refused.
type Result<T, E = TryGetError> = std::result::Result<T, E>;

#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a [u8],
    version: i16,
}

impl Reader<'_> {
    fn request(&mut self) -> Result<FetchRequest> {
        let since = |version| self.version >= version;
        let names_replica = !since(REPLICA_STATE_VERSION);
        let (has_session, has_rack) = (since(SESSION_VERSION), since(RACK_VERSION));
        let rest = &mut self.rest;
        let replica = if names_replica {
            rest.try_get_i32()?
        } else {
            -1
        };
        let max_wait_ms = rest.try_get_i32()?;
        let min_bytes = rest.try_get_i32()?;
        let max_bytes = rest.try_get_i32()?;
        let isolation_level = rest.try_get_i8()?;
        let session = match has_session {
            true => SessionRequest {
                id: rest.try_get_i32()?,
                epoch: rest.try_get_i32()?,
            },
            false => SessionRequest::LEGACY,
        };
        let wanted = self.wanted()?;
        let forgotten = match has_session {
            true => self.forgotten()?,
            false => Vec::new(),
        };
        if has_rack {
            let rack = self.string_length()?;
            self.part(rack)?;
        }
        let mut request = FetchRequest {
            replica,
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session,
            wanted,
            forgotten,
        };
        self.tagged(|reader, tag| {
            match tag {
                CLUSTER_ID_TAG => {
                    let id = reader.string_length()?;
                    reader.part(id)?;
                }
                REPLICA_STATE_TAG => {
                    request.replica = reader.rest.try_get_i32()?;
                    let _epoch = reader.rest.try_get_i64()?;
                    reader.unknown_tagged()?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(request)
    }

    fn wanted(&mut self) -> Result<Vec<(PartitionKey, Wanted)>> {
        let topics = self.count()?;
        let count = self.partitions_of(topics)?;
        let mut wanted = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..topics {
            let topic = self.topic()?;
            let count = self.count()?;
            for topic in std::iter::repeat_n(topic, count) {
                let partition = PartitionId(self.rest.try_get_i32()?);
                let key = PartitionKey { topic, partition };
                wanted.push((key, self.partition()?));
            }
            self.unknown_tagged()?;
        }
        Ok(wanted)
    }

    /// How many partitions the next topics have, all together.
    fn partitions_of(mut self, topics: usize) -> Result<usize> {
        let mut partitions = 0;
        for topic in 1..=topics {
            self.topic_bytes()?;
            let more = self.count()?;
            partitions += more;
            // What is behind the last one does not matter.
            if topic < topics {
                for _ in 0..more {
                    self.rest.try_get_i32()?;
                    self.partition()?;
                }
                self.unknown_tagged()?;
            }
        }
        Ok(partitions)
    }

    /// A partition behind its number.
    fn partition(&mut self) -> Result<Wanted> {
        let version = self.version;
        let rest = &mut self.rest;
        // Every negative epoch stands for none (`FetchRequest.optionalEpoch`).
        let epoch = |rest: &mut &[u8], since| match version >= since {
            true => Ok(Some(rest.try_get_i32()?).filter(|epoch| *epoch >= 0)),
            false => Result::Ok(None),
        };
        let current_leader_epoch = epoch(rest, LEADER_EPOCH_VERSION)?.map(LeaderEpoch);
        let offset = Offset(rest.try_get_i64()?);
        let last_fetched_epoch = epoch(rest, schema::FETCH.flexible)?.map(LeaderEpoch);
        if version >= LOG_START_VERSION {
            rest.try_get_i64()?;
        }
        let max_bytes = rest.try_get_i32()?;
        self.tagged(|reader, tag| {
            match tag {
                REPLICA_DIRECTORY_TAG => reader.rest.try_get_u128().map(drop)?,
                HIGH_WATERMARK_TAG => reader.rest.try_get_i64().map(drop)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Wanted {
            offset,
            max_bytes,
            current_leader_epoch,
            last_fetched_epoch,
        })
    }

    fn forgotten(&mut self) -> Result<Vec<(TopicKey, Vec<PartitionId>)>> {
        let topics = self.count()?;
        let mut forgotten = Vec::with_capacity(topics.min(self.rest.len()));
        for _ in 0..topics {
            let topic = self.topic()?;
            let count = self.count()?;
            let mut partitions = Vec::with_capacity(count.min(self.rest.len()));
            for _ in 0..count {
                partitions.push(PartitionId(self.rest.try_get_i32()?));
            }
            self.unknown_tagged()?;
            forgotten.push((topic, partitions));
        }
        Ok(forgotten)
    }

    fn topic(&mut self) -> Result<TopicKey> {
        let by_id = self.version >= TOPIC_ID_VERSION;
        let mut bytes = self.topic_bytes()?;
        Ok(match by_id {
            true => TopicKey::Id(TopicId(Uuid::from_u128(bytes.try_get_u128()?))),
            false => TopicKey::Name(Arc::from(&*String::from_utf8_lossy(bytes))),
        })
    }

    /// The name or the id of a topic.
    fn topic_bytes(&mut self) -> Result<&[u8]> {
        let length = match self.version {
            TOPIC_ID_VERSION.. => size_of::<Uuid>(),
            _ => self.string_length()?,
        };
        self.part(length)
    }

    fn is_flexible(&self) -> bool {
        self.version >= schema::FETCH.flexible
    }

    /// The number of elements of an array; none, if it is null.
    fn count(&mut self) -> Result<usize> {
        match self.is_flexible() {
            true => Ok((self.varint()? as usize).saturating_sub(1)),
            false => Ok(usize::try_from(self.rest.try_get_i32()?).unwrap_or(0)),
        }
    }

    fn string_length(&mut self) -> Result<usize> {
        match self.is_flexible() {
            true => self.count(),
            false => Ok(usize::try_from(self.rest.try_get_i16()?).unwrap_or(0)),
        }
    }

    fn varint(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn part(&mut self, length: usize) -> Result<&[u8]> {
        let short = TryGetError {
            requested: length,
            available: self.rest.len(),
        };
        let (part, rest) = self.rest.split_at_checked(length).ok_or(short)?;
        self.rest = rest;
        Ok(part)
    }

    /// Tagged fields none of which is known.
    fn unknown_tagged(&mut self) -> Result<()> {
        self.tagged(|_, _| Ok(false))
    }

    /// Tagged fields. `known` reads what it knows, by its type whatever its size says, as Kafka
    /// does; the rest is skipped.
    fn tagged(&mut self, mut known: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()> {
        if !self.is_flexible() {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            if !known(self, tag)? {
                self.part(size)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::fetch_request::{
        FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
    };
    use kafka_protocol::messages::{self, BrokerId, TopicName};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;
    use crate::kafka::codec;

    /// Any request of a version, with what the version has.
    fn any(random: &mut fastrand::Rng, version: i16) -> messages::FetchRequest {
        let has = |since: i16| version >= since;
        let name = |random: &mut fastrand::Rng| {
            let name: String = (0..random.usize(..20)).map(|_| random.char(..)).collect();
            TopicName(StrBytes::from_string(name))
        };
        let few = |random: &mut fastrand::Rng| random.usize(..4);
        let mut request = messages::FetchRequest::default()
            .with_max_wait_ms(random.i32(..))
            .with_min_bytes(random.i32(..))
            .with_max_bytes(random.i32(..))
            .with_isolation_level(random.i8(..));
        match has(15) {
            true => {
                let state = ReplicaState::default()
                    .with_replica_id(BrokerId(random.i32(-1..3)))
                    .with_replica_epoch(random.i64(-1..3));
                request.replica_state = state;
            }
            false => request.replica_id = BrokerId(random.i32(-1..3)),
        }
        if has(12) && random.bool() {
            request.cluster_id = Some(StrBytes::from_static_str("cluster"));
        }
        if has(11) {
            request.rack_id = StrBytes::from_static_str("rack");
        }
        request.topics = (0..few(random))
            .map(|_| {
                let mut topic = FetchTopic::default();
                match has(13) {
                    true => topic.topic_id = Uuid::from_u128(random.u128(..)),
                    false => topic.topic = name(random),
                }
                topic.with_partitions(
                    (0..few(random))
                        .map(|_| partition(random, version))
                        .collect(),
                )
            })
            .collect();
        if has(7) {
            (request.session_id, request.session_epoch) = (random.i32(..), random.i32(..));
            request.forgotten_topics_data = (0..few(random))
                .map(|_| {
                    let mut topic = ForgottenTopic::default();
                    match has(13) {
                        true => topic.topic_id = Uuid::from_u128(random.u128(..)),
                        false => topic.topic = name(random),
                    }
                    topic.with_partitions((0..few(random)).map(|_| random.i32(..)).collect())
                })
                .collect();
        }
        if has(12) && random.bool() {
            let unknown = Bytes::from_static(b"unknown");
            request.unknown_tagged_fields.insert(100, unknown.clone());
            for topic in &mut request.topics {
                topic.unknown_tagged_fields.insert(7, unknown.clone());
            }
        }
        request
    }

    fn partition(random: &mut fastrand::Rng, version: i16) -> FetchPartition {
        let mut partition = FetchPartition::default()
            .with_partition(random.i32(..))
            .with_fetch_offset(random.i64(..))
            .with_partition_max_bytes(random.i32(..));
        if version >= 5 {
            partition.log_start_offset = random.i64(..);
        }
        if version >= 9 {
            partition.current_leader_epoch = random.i32(-3..3);
        }
        if version >= 12 {
            partition.last_fetched_epoch = random.i32(-3..3);
        }
        if version >= 17 && random.bool() {
            partition.replica_directory_id = Uuid::from_u128(random.u128(..));
        }
        if version >= 18 && random.bool() {
            partition.high_watermark = random.i64(..);
        }
        partition
    }

    /// What the handler needs of a request.
    fn needed(version: i16, request: &messages::FetchRequest) -> FetchRequest {
        let key = |name: &TopicName, id: Uuid| match version >= 13 {
            true => TopicKey::Id(TopicId(id)),
            false => TopicKey::Name(Arc::from(name.as_str())),
        };
        let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
        let wanted = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |partition| {
                let key = PartitionKey {
                    topic: key(&topic.topic, topic.topic_id),
                    partition: PartitionId(partition.partition),
                };
                let wanted = Wanted {
                    offset: Offset(partition.fetch_offset),
                    max_bytes: partition.partition_max_bytes,
                    current_leader_epoch: epoch(partition.current_leader_epoch),
                    last_fetched_epoch: epoch(partition.last_fetched_epoch),
                };
                (key, wanted)
            })
        });
        let forgotten = request.forgotten_topics_data.iter().map(|topic| {
            let partitions = topic.partitions.iter().copied().map(PartitionId);
            (key(&topic.topic, topic.topic_id), partitions.collect())
        });
        FetchRequest {
            replica: match version >= 15 {
                true => request.replica_state.replica_id.0,
                false => request.replica_id.0,
            },
            max_wait_ms: request.max_wait_ms,
            min_bytes: request.min_bytes,
            max_bytes: request.max_bytes,
            isolation_level: request.isolation_level,
            session: match version >= 7 {
                true => SessionRequest {
                    id: request.session_id,
                    epoch: request.session_epoch,
                },
                false => SessionRequest::LEGACY,
            },
            wanted: wanted.collect(),
            forgotten: forgotten.collect(),
        }
    }

    #[test]
    fn it_is_read_as_the_generated_codec_reads_it() {
        let mut random = fastrand::Rng::with_seed(1);
        for version in 4..=18 {
            for _ in 0..500 {
                let request = any(&mut random, version);
                let mut body = BytesMut::new();
                request.encode(&mut body, version).unwrap();
                codec::footprint(&schema::FETCH, version, &mut body).unwrap();
                let needed = (needed(version, &request), body.len());
                let read = FetchRequest::decode(body.freeze(), version).unwrap();
                assert_eq!(read, needed, "v{version}");
            }
        }
    }

    #[test]
    fn a_body_that_ends_early_is_an_error() {
        let mut random = fastrand::Rng::with_seed(2);
        for version in 4..=18 {
            let mut body = BytesMut::new();
            any(&mut random, version)
                .encode(&mut body, version)
                .unwrap();
            for end in 0..body.len() {
                let part = Bytes::copy_from_slice(&body[..end]);
                assert!(FetchRequest::decode(part, version).is_err());
            }
        }
    }
}
