//! What every client sends to find its way.

use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;

use super::field::{ALL, BOOL, INT8, INT32, Kind, Schema, UUID, array_of, between, field, since};

/// Metadata (3).
pub(crate) static METADATA: Schema = Schema {
    flexible: 9,
    fields: &[
        field(
            "topics",
            ALL,
            array_of::<MetadataRequestTopic>(&[
                field("topic_id", since(10), UUID),
                field("name", ALL, Kind::String).nullable(since(10)),
            ]),
        )
        .nullable(since(1)),
        field("allow_auto_topic_creation", since(4), BOOL),
        field(
            "include_cluster_authorized_operations",
            between(8, 10),
            BOOL,
        ),
        field("include_topic_authorized_operations", since(8), BOOL),
    ],
};

/// ApiVersions (18).
pub(crate) static API_VERSIONS: Schema = Schema {
    flexible: 3,
    fields: &[
        field("client_software_name", since(3), Kind::String),
        field("client_software_version", since(3), Kind::String),
    ],
};

/// DescribeCluster (60).
pub(crate) static DESCRIBE_CLUSTER: Schema = Schema {
    flexible: 0,
    fields: &[
        field("include_cluster_authorized_operations", ALL, BOOL),
        field("endpoint_type", since(1), INT8),
        field("include_fenced_brokers", since(2), BOOL),
    ],
};

/// DescribeTopicPartitions (75).
pub(crate) static DESCRIBE_TOPIC_PARTITIONS: Schema = Schema {
    flexible: 0,
    fields: &[
        field(
            "topics",
            ALL,
            array_of::<TopicRequest>(&[field("name", ALL, Kind::String)]),
        ),
        field("response_partition_limit", ALL, INT32),
        field(
            "cursor",
            ALL,
            Kind::Struct(&[
                field("topic_name", ALL, Kind::String),
                field("partition_index", ALL, INT32),
            ]),
        )
        .nullable(ALL),
    ],
};
