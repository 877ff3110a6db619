//! What consumers send.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::field::{
    ALL, INT8, INT32, INT32_ARRAY, INT64, Kind, Schema, UUID, array_of, field, since, until,
};

/// Fetch (1).
pub(crate) static FETCH: Schema = Schema {
    flexible: 12,
    fields: &[
        field("cluster_id", since(12), Kind::String)
            .nullable(since(12))
            .tag(0),
        field("replica_id", until(14), INT32),
        field(
            "replica_state",
            since(15),
            Kind::Struct(&[
                field("replica_id", ALL, INT32),
                field("replica_epoch", ALL, INT64),
            ]),
        )
        .tag(1),
        field("max_wait_ms", ALL, INT32),
        field("min_bytes", ALL, INT32),
        field("max_bytes", ALL, INT32),
        field("isolation_level", ALL, INT8),
        field("session_id", since(7), INT32),
        field("session_epoch", since(7), INT32),
        field(
            "topics",
            ALL,
            array_of::<FetchTopic>(&[
                field("topic", until(12), Kind::String),
                field("topic_id", since(13), UUID),
                field(
                    "partitions",
                    ALL,
                    array_of::<FetchPartition>(&[
                        field("partition", ALL, INT32),
                        field("current_leader_epoch", since(9), INT32),
                        field("fetch_offset", ALL, INT64),
                        field("last_fetched_epoch", since(12), INT32),
                        field("log_start_offset", since(5), INT64),
                        field("partition_max_bytes", ALL, INT32),
                        field("replica_directory_id", since(17), UUID).tag(0),
                        field("high_watermark", since(18), INT64).tag(1),
                    ]),
                ),
            ]),
        ),
        field(
            "forgotten_topics_data",
            since(7),
            array_of::<ForgottenTopic>(&[
                field("topic", until(12), Kind::String),
                field("topic_id", since(13), UUID),
                field("partitions", ALL, INT32_ARRAY),
            ]),
        ),
        field("rack_id", since(11), Kind::String),
    ],
};

/// ListOffsets (2).
pub(crate) static LIST_OFFSETS: Schema = Schema {
    flexible: 6,
    fields: &[
        field("replica_id", ALL, INT32),
        field("isolation_level", since(2), INT8),
        field(
            "topics",
            ALL,
            array_of::<ListOffsetsTopic>(&[
                field("name", ALL, Kind::String),
                field(
                    "partitions",
                    ALL,
                    array_of::<ListOffsetsPartition>(&[
                        field("partition_index", ALL, INT32),
                        field("current_leader_epoch", since(4), INT32),
                        field("timestamp", ALL, INT64),
                    ]),
                ),
            ]),
        ),
        field("timeout_ms", since(10), INT32),
    ],
};

/// OffsetForLeaderEpoch (23).
pub(crate) static OFFSET_FOR_LEADER_EPOCH: Schema = Schema {
    flexible: 4,
    fields: &[
        field("replica_id", since(3), INT32),
        field(
            "topics",
            ALL,
            array_of::<OffsetForLeaderTopic>(&[
                field("topic", ALL, Kind::String),
                field(
                    "partitions",
                    ALL,
                    array_of::<OffsetForLeaderPartition>(&[
                        field("partition", ALL, INT32),
                        field("current_leader_epoch", since(2), INT32),
                        field("leader_epoch", ALL, INT32),
                    ]),
                ),
            ]),
        ),
    ],
};
