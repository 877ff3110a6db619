//! What members of groups send, and who administers them.

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

use super::field::{
    ALL, BOOL, INT8, INT32, INT32_ARRAY, INT64, Kind, STRING_ARRAY, Schema, UUID, array_of,
    between, field, since, until,
};

/// OffsetCommit (8).
pub(crate) static OFFSET_COMMIT: Schema = Schema {
    flexible: 8,
    fields: &[
        field("group_id", ALL, Kind::String),
        field("generation_id_or_member_epoch", ALL, INT32),
        field("member_id", ALL, Kind::String),
        field("group_instance_id", since(7), Kind::String).nullable(since(7)),
        field("retention_time_ms", until(4), INT64),
        field(
            "topics",
            ALL,
            array_of::<OffsetCommitRequestTopic>(&[
                field("name", ALL, Kind::String),
                field(
                    "partitions",
                    ALL,
                    array_of::<OffsetCommitRequestPartition>(&[
                        field("partition_index", ALL, INT32),
                        field("committed_offset", ALL, INT64),
                        field("committed_leader_epoch", since(6), INT32),
                        field("committed_metadata", ALL, Kind::String).nullable(ALL),
                    ]),
                ),
            ]),
        ),
    ],
};

/// OffsetFetch (9).
pub(crate) static OFFSET_FETCH: Schema = Schema {
    flexible: 6,
    fields: &[
        field("group_id", until(7), Kind::String),
        field(
            "topics",
            until(7),
            array_of::<OffsetFetchRequestTopic>(&[
                field("name", ALL, Kind::String),
                field("partition_indexes", ALL, INT32_ARRAY),
            ]),
        )
        .nullable(between(2, 7)),
        field(
            "groups",
            since(8),
            array_of::<OffsetFetchRequestGroup>(&[
                field("group_id", ALL, Kind::String),
                field("member_id", since(9), Kind::String).nullable(since(9)),
                field("member_epoch", since(9), INT32),
                field(
                    "topics",
                    ALL,
                    array_of::<OffsetFetchRequestTopics>(&[
                        field("name", ALL, Kind::String),
                        field("partition_indexes", ALL, INT32_ARRAY),
                    ]),
                )
                .nullable(ALL),
            ]),
        ),
        field("require_stable", since(7), BOOL),
    ],
};

/// FindCoordinator (10).
pub(crate) static FIND_COORDINATOR: Schema = Schema {
    flexible: 3,
    fields: &[
        field("key", until(3), Kind::String),
        field("key_type", since(1), INT8),
        field("coordinator_keys", since(4), STRING_ARRAY),
    ],
};

/// JoinGroup (11).
pub(crate) static JOIN_GROUP: Schema = Schema {
    flexible: 6,
    fields: &[
        field("group_id", ALL, Kind::String),
        field("session_timeout_ms", ALL, INT32),
        field("rebalance_timeout_ms", since(1), INT32),
        field("member_id", ALL, Kind::String),
        field("group_instance_id", since(5), Kind::String).nullable(since(5)),
        field("protocol_type", ALL, Kind::String),
        field(
            "protocols",
            ALL,
            array_of::<JoinGroupRequestProtocol>(&[
                field("name", ALL, Kind::String),
                field("metadata", ALL, Kind::Bytes),
            ]),
        ),
        field("reason", since(8), Kind::String).nullable(since(8)),
    ],
};

/// Heartbeat (12).
pub(crate) static HEARTBEAT: Schema = Schema {
    flexible: 4,
    fields: &[
        field("group_id", ALL, Kind::String),
        field("generation_id", ALL, INT32),
        field("member_id", ALL, Kind::String),
        field("group_instance_id", since(3), Kind::String).nullable(since(3)),
    ],
};

/// LeaveGroup (13).
pub(crate) static LEAVE_GROUP: Schema = Schema {
    flexible: 4,
    fields: &[
        field("group_id", ALL, Kind::String),
        field("member_id", until(2), Kind::String),
        field(
            "members",
            since(3),
            array_of::<MemberIdentity>(&[
                field("member_id", ALL, Kind::String),
                field("group_instance_id", ALL, Kind::String).nullable(ALL),
                field("reason", since(5), Kind::String).nullable(since(5)),
            ]),
        ),
    ],
};

/// SyncGroup (14).
pub(crate) static SYNC_GROUP: Schema = Schema {
    flexible: 4,
    fields: &[
        field("group_id", ALL, Kind::String),
        field("generation_id", ALL, INT32),
        field("member_id", ALL, Kind::String),
        field("group_instance_id", since(3), Kind::String).nullable(since(3)),
        field("protocol_type", since(5), Kind::String).nullable(since(5)),
        field("protocol_name", since(5), Kind::String).nullable(since(5)),
        field(
            "assignments",
            ALL,
            array_of::<SyncGroupRequestAssignment>(&[
                field("member_id", ALL, Kind::String),
                field("assignment", ALL, Kind::Bytes),
            ]),
        ),
    ],
};

/// DescribeGroups (15).
pub(crate) static DESCRIBE_GROUPS: Schema = Schema {
    flexible: 5,
    fields: &[
        field("groups", ALL, STRING_ARRAY),
        field("include_authorized_operations", since(3), BOOL),
    ],
};

/// ListGroups (16).
pub(crate) static LIST_GROUPS: Schema = Schema {
    flexible: 3,
    fields: &[
        field("states_filter", since(4), STRING_ARRAY),
        field("types_filter", since(5), STRING_ARRAY),
    ],
};

/// DeleteGroups (42).
pub(crate) static DELETE_GROUPS: Schema = Schema {
    flexible: 2,
    fields: &[field("groups_names", ALL, STRING_ARRAY)],
};

/// OffsetDelete (47): no version is flexible.
pub(crate) static OFFSET_DELETE: Schema = Schema {
    flexible: i16::MAX,
    fields: &[
        field("group_id", ALL, Kind::String),
        field(
            "topics",
            ALL,
            array_of::<OffsetDeleteRequestTopic>(&[
                field("name", ALL, Kind::String),
                field(
                    "partitions",
                    ALL,
                    array_of::<OffsetDeleteRequestPartition>(&[field(
                        "partition_index",
                        ALL,
                        INT32,
                    )]),
                ),
            ]),
        ),
    ],
};

/// ConsumerGroupHeartbeat (68).
pub(crate) static CONSUMER_GROUP_HEARTBEAT: Schema = Schema {
    flexible: 0,
    fields: &[
        field("group_id", ALL, Kind::String),
        field("member_id", ALL, Kind::String),
        field("member_epoch", ALL, INT32),
        field("instance_id", ALL, Kind::String).nullable(ALL),
        field("rack_id", ALL, Kind::String).nullable(ALL),
        field("rebalance_timeout_ms", ALL, INT32),
        field("subscribed_topic_names", ALL, STRING_ARRAY).nullable(ALL),
        field("subscribed_topic_regex", since(1), Kind::String).nullable(since(1)),
        field("server_assignor", ALL, Kind::String).nullable(ALL),
        field(
            "topic_partitions",
            ALL,
            array_of::<TopicPartitions>(&[
                field("topic_id", ALL, UUID),
                field("partitions", ALL, INT32_ARRAY),
            ]),
        )
        .nullable(ALL),
    ],
};

/// ConsumerGroupDescribe (69).
pub(crate) static CONSUMER_GROUP_DESCRIBE: Schema = Schema {
    flexible: 0,
    fields: &[
        field("group_ids", ALL, STRING_ARRAY),
        field("include_authorized_operations", ALL, BOOL),
    ],
};
