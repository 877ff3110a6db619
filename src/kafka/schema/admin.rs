//! What administers topics and their storage.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

use super::field::{
    ALL, BOOL, INT16, INT32, INT32_ARRAY, INT64, Kind, STRING_ARRAY, Schema, UUID, array_of, field,
    since, until,
};

/// CreateTopics (19).
pub(crate) static CREATE_TOPICS: Schema = Schema {
    flexible: 5,
    fields: &[
        field(
            "topics",
            ALL,
            array_of::<CreatableTopic>(&[
                field("name", ALL, Kind::String),
                field("num_partitions", ALL, INT32),
                field("replication_factor", ALL, INT16),
                field(
                    "assignments",
                    ALL,
                    array_of::<CreatableReplicaAssignment>(&[
                        field("partition_index", ALL, INT32),
                        field("broker_ids", ALL, INT32_ARRAY),
                    ]),
                ),
                field(
                    "configs",
                    ALL,
                    array_of::<CreatableTopicConfig>(&[
                        field("name", ALL, Kind::String),
                        field("value", ALL, Kind::String).nullable(ALL),
                    ]),
                ),
            ]),
        ),
        field("timeout_ms", ALL, INT32),
        field("validate_only", since(1), BOOL),
    ],
};

/// DeleteTopics (20).
pub(crate) static DELETE_TOPICS: Schema = Schema {
    flexible: 4,
    fields: &[
        field(
            "topics",
            since(6),
            array_of::<DeleteTopicState>(&[
                field("name", ALL, Kind::String).nullable(ALL),
                field("topic_id", ALL, UUID),
            ]),
        ),
        field("topic_names", until(5), STRING_ARRAY),
        field("timeout_ms", ALL, INT32),
    ],
};

/// DeleteRecords (21).
pub(crate) static DELETE_RECORDS: Schema = Schema {
    flexible: 2,
    fields: &[
        field(
            "topics",
            ALL,
            array_of::<DeleteRecordsTopic>(&[
                field("name", ALL, Kind::String),
                field(
                    "partitions",
                    ALL,
                    array_of::<DeleteRecordsPartition>(&[
                        field("partition_index", ALL, INT32),
                        field("offset", ALL, INT64),
                    ]),
                ),
            ]),
        ),
        field("timeout_ms", ALL, INT32),
    ],
};

/// DescribeLogDirs (35).
pub(crate) static DESCRIBE_LOG_DIRS: Schema = Schema {
    flexible: 2,
    fields: &[field(
        "topics",
        ALL,
        array_of::<DescribableLogDirTopic>(&[
            field("topic", ALL, Kind::String),
            field("partitions", ALL, INT32_ARRAY),
        ]),
    )
    .nullable(ALL)],
};

/// CreatePartitions (37).
pub(crate) static CREATE_PARTITIONS: Schema = Schema {
    flexible: 2,
    fields: &[
        field(
            "topics",
            ALL,
            array_of::<CreatePartitionsTopic>(&[
                field("name", ALL, Kind::String),
                field("count", ALL, INT32),
                field(
                    "assignments",
                    ALL,
                    array_of::<CreatePartitionsAssignment>(&[field(
                        "broker_ids",
                        ALL,
                        INT32_ARRAY,
                    )]),
                )
                .nullable(ALL),
            ]),
        ),
        field("timeout_ms", ALL, INT32),
        field("validate_only", ALL, BOOL),
    ],
};

/// ListPartitionReassignments (46).
pub(crate) static LIST_PARTITION_REASSIGNMENTS: Schema = Schema {
    flexible: 0,
    fields: &[
        field("timeout_ms", ALL, INT32),
        field(
            "topics",
            ALL,
            array_of::<ListPartitionReassignmentsTopics>(&[
                field("name", ALL, Kind::String),
                field("partition_indexes", ALL, INT32_ARRAY),
            ]),
        )
        .nullable(ALL),
    ],
};
