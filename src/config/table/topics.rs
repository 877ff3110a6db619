//! Topics: their creation and the defaults of their logs.

use super::{inert, settings};
use crate::config::check::Check;
use crate::config::setting::Class;

settings! { Broker:
    /// Whether asking for a topic creates it.
    AUTO_CREATE_TOPICS_ENABLE: bool = with("auto.create.topics.enable", "true");
    /// Java class that may refuse the creation of a topic.
    CREATE_TOPIC_POLICY_CLASS_NAME: Option<Class> = unset("create.topic.policy.class.name")
        .inert(inert::JVM);
    /// Replicas of a topic that is created without a number.
    DEFAULT_REPLICATION_FACTOR: i32 = with("default.replication.factor", "1");
    /// Whether topics can be deleted.
    DELETE_TOPIC_ENABLE: bool = with("delete.topic.enable", "true");
    /// Partitions of a topic that is created without a number.
    NUM_PARTITIONS: i32 = with("num.partitions", "1").check(Check::AtLeast(1));
    /// Most partitions in one answer to DescribeTopicPartitions.
    MAX_REQUEST_PARTITION_SIZE_LIMIT: i32 = with("max.request.partition.size.limit", "2000")
        .check(Check::AtLeast(1));
    /// Default of the topics' `max.message.bytes`.
    MESSAGE_MAX_BYTES: i32 = with("message.max.bytes", "1048588")
        .check(Check::AtLeast(0))
        .dynamic();
    /// Default of the topics' `compression.gzip.level`.
    COMPRESSION_GZIP_LEVEL: i32 = with("compression.gzip.level", "-1")
        .check(Check::GzipLevel)
        .dynamic();
    /// Default of the topics' `compression.lz4.level`.
    COMPRESSION_LZ4_LEVEL: i32 = with("compression.lz4.level", "9")
        .check(Check::Between(1, 17))
        .dynamic()
        .inert(inert::LZ4_LEVEL);
    /// Default of the topics' `compression.type`.
    COMPRESSION_TYPE: String = with("compression.type", "producer")
        .check(Check::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
        .dynamic();
    /// Default of the topics' `compression.zstd.level`.
    COMPRESSION_ZSTD_LEVEL: i32 = with("compression.zstd.level", "3")
        .check(Check::Between(-131_072, 22))
        .dynamic();
    /// Default of the topics' `min.insync.replicas`.
    MIN_INSYNC_REPLICAS: i32 = with("min.insync.replicas", "1").check(Check::AtLeast(1)).dynamic();
    /// Default of the topics' `unclean.leader.election.enable`.
    UNCLEAN_LEADER_ELECTION_ENABLE: bool = with("unclean.leader.election.enable", "false")
        .dynamic()
        .inert(inert::ONE_NODE);
}
