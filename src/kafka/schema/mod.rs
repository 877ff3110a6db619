//! The shape of every request, as data: what the bounded decode checks before the codec runs.
//!
//! The codec allocates what the wire claims. So each request is first walked with the schema of
//! this table, which allocates nothing, refuses every count and length that the frame cannot
//! hold, and says what the codec is going to allocate.
//!
//! *Owns:* one [`Schema`] per API, in one file per group of APIs, and the walk over them
//! ([`walk()`]). *May use:* `model`. *Must not know:* what the fields mean.
//!
//! *Invariants:* a schema lists the fields in the order of Kafka's message definition, all
//! versions that the codec decodes; the walk and the codec consume the same bytes of every valid
//! request.

mod admin;
mod cluster;
mod configs;
mod consume;
mod field;
mod groups;
mod produce;
mod sample;
mod walk;

pub(crate) use admin::{CREATE_PARTITIONS, CREATE_TOPICS, DELETE_RECORDS, DELETE_TOPICS};
pub(crate) use admin::{DESCRIBE_LOG_DIRS, LIST_PARTITION_REASSIGNMENTS};
pub(crate) use cluster::{API_VERSIONS, DESCRIBE_CLUSTER, DESCRIBE_TOPIC_PARTITIONS, METADATA};
pub(crate) use configs::LIST_CONFIG_RESOURCES;
pub(crate) use configs::{ALTER_CONFIGS, DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS};
pub(crate) use consume::{FETCH, LIST_OFFSETS, OFFSET_FOR_LEADER_EPOCH};
pub(crate) use field::Schema;
pub(crate) use groups::SYNC_GROUP;
pub(crate) use groups::{CONSUMER_GROUP_DESCRIBE, CONSUMER_GROUP_HEARTBEAT};
pub(crate) use groups::{DELETE_GROUPS, DESCRIBE_GROUPS, FIND_COORDINATOR, HEARTBEAT, JOIN_GROUP};
pub(crate) use groups::{LEAVE_GROUP, LIST_GROUPS, OFFSET_COMMIT, OFFSET_DELETE, OFFSET_FETCH};
pub(crate) use produce::{INIT_PRODUCER_ID, PRODUCE};
pub(crate) use sample::sample;
pub use sample::{Count, Sample, Style, Width, varint};
pub(crate) use walk::{Footprint, Refusal, tagged_fields, walk};
