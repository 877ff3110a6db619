//! The table of APIs: dispatch, ApiVersions, metric labels and the support matrix read it, and
//! nothing else lists APIs.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;

use super::api::alter_configs::AlterConfigs;
use super::api::api_versions::ApiVersions;
use super::api::consumer_group_describe::ConsumerGroupDescribe;
use super::api::consumer_group_heartbeat::ConsumerGroupHeartbeat;
use super::api::create_partitions::CreatePartitions;
use super::api::create_topics::CreateTopics;
use super::api::delete_groups::DeleteGroups;
use super::api::delete_records::DeleteRecords;
use super::api::delete_topics::DeleteTopics;
use super::api::describe_cluster::DescribeCluster;
use super::api::describe_configs::DescribeConfigs;
use super::api::describe_groups::DescribeGroups;
use super::api::describe_log_dirs::DescribeLogDirs;
use super::api::describe_topic_partitions::DescribeTopicPartitions;
use super::api::fetch::Fetch;
use super::api::find_coordinator::FindCoordinator;
use super::api::heartbeat::Heartbeat;
use super::api::incremental_alter_configs::IncrementalAlterConfigs;
use super::api::init_producer_id::InitProducerId;
use super::api::join_group::JoinGroup;
use super::api::leave_group::LeaveGroup;
use super::api::list_config_resources::ListConfigResources;
use super::api::list_groups::ListGroups;
use super::api::list_offsets::ListOffsets;
use super::api::list_partition_reassignments::ListPartitionReassignments;
use super::api::metadata::Metadata;
use super::api::offset_commit::OffsetCommit;
use super::api::offset_delete::OffsetDelete;
use super::api::offset_fetch::OffsetFetch;
use super::api::offset_for_leader_epoch::OffsetForLeaderEpoch;
use super::api::produce::Produce;
use super::api::sync_group::SyncGroup;
use super::codec::Request;
use super::fetch_session::FetchSessions;
use super::reply::{Close, Reply};
use super::schema::Schema;
use crate::broker::Broker;
use crate::net::Frame;
use crate::wake::Alarm;

/// Every API that is served, by ascending key. A new one is one line here, one file in `api/`
/// and one schema in `schema/`.
#[rustfmt::skip]
pub(crate) static APIS: &[Api] = &[
    Api::of::<Produce>(),
    Api::of::<Fetch>(),
    Api::of::<ListOffsets>(),
    Api::of::<Metadata>(),
    Api::of::<OffsetCommit>(),
    Api::of::<OffsetFetch>(),
    Api::of::<FindCoordinator>(),
    Api::of::<JoinGroup>(),
    Api::of::<Heartbeat>(),
    Api::of::<LeaveGroup>(),
    Api::of::<SyncGroup>(),
    Api::of::<DescribeGroups>(),
    Api::of::<ListGroups>(),
    Api::of::<ApiVersions>(),
    Api::of::<CreateTopics>(),
    Api::of::<DeleteTopics>(),
    Api::of::<DeleteRecords>(),
    Api::of::<InitProducerId>(),
    Api::of::<OffsetForLeaderEpoch>(),
    Api::of::<DescribeConfigs>(),
    Api::of::<AlterConfigs>(),
    Api::of::<DescribeLogDirs>(),
    Api::of::<CreatePartitions>(),
    Api::of::<DeleteGroups>(),
    Api::of::<IncrementalAlterConfigs>(),
    Api::of::<ListPartitionReassignments>(),
    Api::of::<OffsetDelete>(),
    Api::of::<DescribeCluster>(),
    Api::of::<ConsumerGroupHeartbeat>(),
    Api::of::<ConsumerGroupDescribe>(),
    Api::of::<ListConfigResources>(),
    Api::of::<DescribeTopicPartitions>(),
];

/// The row of an API.
pub(crate) fn api(key: i16) -> Option<&'static Api> {
    APIS.binary_search_by_key(&key, |api| api.key)
        .ok()
        .and_then(|index| APIS.get(index))
}

/// An API that is served, for pages and tests made from the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedApi {
    /// `api_key`.
    pub key: i16,
    /// Kafka's name.
    pub name: &'static str,
    /// Lowest version that clients are told; a request below `min` closes the connection.
    pub advertised_min: i16,
    /// Lowest version that is served.
    pub min: i16,
    /// Highest version.
    pub max: i16,
}

/// Every API that is served, by ascending key.
pub fn supported_apis() -> impl Iterator<Item = SupportedApi> {
    APIS.iter().map(|api| SupportedApi {
        key: api.key,
        name: api.name,
        advertised_min: api.advertised_min,
        min: api.min,
        max: api.max,
    })
}

/// Who asks, in which version.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The connection.
    pub(crate) connection: Arc<Connection>,
    /// Version of the request, within the row's range.
    pub(crate) version: i16,
    /// What the client calls itself.
    pub(crate) client_id: Option<StrBytes>,
}

impl Context {
    /// The broker.
    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.connection.broker
    }
}

/// What a handler may know of its connection, and the way from there to all that connections
/// share: references to that are counted once for each connection, not for each request, or its
/// threads would have to agree on the count.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// The broker's fetch sessions.
    pub(crate) fetch_sessions: Arc<FetchSessions>,
    /// Number, unique within the broker.
    pub(crate) id: u64,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The listener that accepted it, e.g. `PLAINTEXT`.
    pub(crate) listener: String,
    /// What clients of this listener are told to connect to.
    pub(crate) advertised: (String, u16),
    /// Of the Fetch that waits on it, of which there is one at most; kept from one to the next.
    pub(crate) fetch_alarm: Mutex<Alarm>,
}

/// One API: implemented by a unit struct in each file of `api/`.
pub(crate) trait Handler {
    /// The decoded request.
    type Request: Request;
    /// `api_key`.
    const KEY: i16;
    /// Kafka's name of it.
    const NAME: &'static str;
    /// Versions that are served.
    const VERSIONS: RangeInclusive<i16>;
    /// Lowest version that ApiVersions tells, where it is not the lowest one served.
    const ADVERTISED_MIN: i16 = *Self::VERSIONS.start();
    /// Shape of the request, for the bounded decode.
    const SCHEMA: &'static Schema;
    /// Whether a request may start while earlier ones of this kind on its connection are not
    /// answered: Produce alone.
    const OVERLAPS: bool = false;
    /// Starts the work. `Err` closes the connection; whatever a client may be told is a code in
    /// the response.
    fn start(context: Context, request: Self::Request) -> Result<Reply, Close>;
}

/// One row of [`APIS`].
#[derive(Debug)]
pub(crate) struct Api {
    /// `api_key`.
    pub(crate) key: i16,
    /// Kafka's name.
    pub(crate) name: &'static str,
    /// Versions that are served.
    pub(crate) min: i16,
    /// The highest of them.
    pub(crate) max: i16,
    /// Lowest version that clients are told.
    pub(crate) advertised_min: i16,
    /// Shape of the request.
    pub(crate) schema: &'static Schema,
    /// Whether requests of this API overlap on a connection.
    pub(crate) overlaps: bool,
    start: fn(Context, Frame) -> Result<Reply, Close>,
    decode: fn(Bytes, i16) -> Result<usize, Close>,
}

impl Api {
    /// The row of a handler.
    const fn of<H: Handler>() -> Self {
        Self {
            key: H::KEY,
            name: H::NAME,
            min: *H::VERSIONS.start(),
            max: *H::VERSIONS.end(),
            advertised_min: H::ADVERTISED_MIN,
            schema: H::SCHEMA,
            overlaps: H::OVERLAPS,
            start: decode_and_start::<H>,
            decode: |body, version| H::Request::decode(body, version).map(|(_, consumed)| consumed),
        }
    }

    /// Whether that version is served.
    pub(crate) fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// Decodes a body whose footprint was taken and charged, and starts the work.
    pub(crate) fn start(&self, context: Context, body: Frame) -> Result<Reply, Close> {
        (self.start)(context, body)
    }

    /// Decodes a body and drops what it holds, for tests of the decode alone; how many bytes of it
    /// that took.
    pub(crate) fn decode(&self, body: Bytes, version: i16) -> Result<usize, Close> {
        (self.decode)(body, version)
    }
}

fn decode_and_start<H: Handler>(context: Context, body: Frame) -> Result<Reply, Close> {
    let (request, _consumed) = H::Request::decode(body, context.version)?;
    H::start(context, request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::ApiKey;

    /// What a plain Apache Kafka 4.1.2 broker answers to ApiVersions: (key, name, min, max).
    const KAFKA_4_1_2: &[(i16, &str, i16, i16)] = &[
        (0, "Produce", 0, 13),
        (1, "Fetch", 4, 18),
        (2, "ListOffsets", 1, 10),
        (3, "Metadata", 0, 13),
        (8, "OffsetCommit", 2, 9),
        (9, "OffsetFetch", 1, 9),
        (10, "FindCoordinator", 0, 6),
        (11, "JoinGroup", 0, 9),
        (12, "Heartbeat", 0, 4),
        (13, "LeaveGroup", 0, 5),
        (14, "SyncGroup", 0, 5),
        (15, "DescribeGroups", 0, 6),
        (16, "ListGroups", 0, 5),
        (18, "ApiVersions", 0, 4),
        (19, "CreateTopics", 2, 7),
        (20, "DeleteTopics", 1, 6),
        (21, "DeleteRecords", 0, 2),
        (22, "InitProducerId", 0, 5),
        (23, "OffsetForLeaderEpoch", 2, 4),
        (32, "DescribeConfigs", 1, 4),
        (33, "AlterConfigs", 0, 2),
        (35, "DescribeLogDirs", 1, 4),
        (37, "CreatePartitions", 0, 3),
        (42, "DeleteGroups", 0, 2),
        (44, "IncrementalAlterConfigs", 0, 1),
        (46, "ListPartitionReassignments", 0, 0),
        (47, "OffsetDelete", 0, 0),
        (60, "DescribeCluster", 0, 2),
        (68, "ConsumerGroupHeartbeat", 0, 1),
        (69, "ConsumerGroupDescribe", 0, 1),
        (74, "ListConfigResources", 0, 1),
        (75, "DescribeTopicPartitions", 0, 0),
    ];

    #[test]
    fn the_table_is_sorted_by_key_without_duplicates() {
        assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test]
    fn every_row_is_the_row_of_kafka_4_1_2() {
        for api in APIS {
            let row = (api.key, api.name, api.advertised_min, api.max);
            assert!(KAFKA_4_1_2.contains(&row), "{row:?}");
        }
    }

    #[test]
    fn every_served_version_is_one_that_the_codec_knows() {
        for api in APIS {
            let codec = ApiKey::try_from(api.key).unwrap().valid_versions();
            assert!(api.min >= codec.min && api.max <= codec.max, "{}", api.name);
            assert!(api.advertised_min <= api.min, "{}", api.name);
        }
    }

    #[test]
    fn flexible_versions_begin_where_the_codec_says() {
        for api in APIS {
            for version in api.min..=api.max {
                let header = ApiKey::try_from(api.key)
                    .unwrap()
                    .request_header_version(version);
                assert_eq!(
                    version >= api.schema.flexible,
                    header >= 2,
                    "{} {version}",
                    api.name
                );
            }
        }
    }

    #[test]
    fn an_unknown_key_has_no_row() {
        for key in [-1, 4, 93, i16::MAX, i16::MIN] {
            assert!(api(key).is_none());
        }
        for row in APIS {
            assert_eq!(api(row.key).unwrap().name, row.name);
        }
    }
}
