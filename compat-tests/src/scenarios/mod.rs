//! The corpus: what is sent, to Kafka when its answers are recorded and to Klamm when they are
//! compared.
//!
//! A scenario names its topics after itself and leaves the broker as it found it, so that the order
//! of scenarios does not matter. What it sends may depend on answers (topic ids, sessions) but on
//! nothing else: no clock, no chance.

use crate::session::Session;

mod api_versions;
mod bodies;
mod cluster;
mod configs;
mod consumer_groups;
mod fetch;
mod frames;
mod group_offsets;
mod groups;
mod metadata;
mod offsets;
mod partitions;
mod produce;
mod producers;
mod topics;

/// A named conversation.
pub type Scenario = (&'static str, fn(&mut Session));

/// All of them.
pub const ALL: &[Scenario] = &[
    ("api-versions", api_versions::versions),
    ("api-versions-refused", api_versions::refused),
    ("metadata", metadata::versions),
    ("metadata-unknown", metadata::unknown),
    ("metadata-auto-creation", metadata::auto_creation),
    ("produce", produce::versions),
    ("produce-codecs", produce::codecs),
    ("produce-refused", produce::refused),
    ("produce-batches", produce::batches),
    ("produce-times", produce::times),
    ("produce-compacted", produce::compacted),
    ("produce-transcoding", produce::transcoding),
    ("produce-silent", produce::silent),
    ("produce-in-a-row", produce::in_a_row),
    ("producer-ids", producers::ids),
    ("idempotence", producers::sequences),
    ("idempotence-epochs", producers::epochs),
    ("fetch", fetch::versions),
    ("fetch-positions", fetch::positions),
    ("fetch-limits", fetch::limits),
    ("fetch-epochs", fetch::epochs),
    ("fetch-sessions", fetch::sessions),
    ("fetch-sessions-refused", fetch::sessions_refused),
    ("fetch-as-replica", fetch::as_replica),
    ("list-offsets", offsets::list_versions),
    ("list-offsets-by-time", offsets::by_time),
    ("list-offsets-refused", offsets::list_refused),
    ("leader-epochs", offsets::leader_epochs),
    ("delete-records", offsets::delete_records),
    ("create-topics", topics::create_versions),
    ("create-topics-refused", topics::create_refused),
    ("create-topics-configs", topics::create_configs),
    ("create-topics-assigned", topics::create_assigned),
    ("delete-topics", topics::delete_versions),
    ("delete-topics-refused", topics::delete_refused),
    ("create-partitions", partitions::versions),
    ("create-partitions-refused", partitions::refused),
    ("describe-configs", configs::describe_versions),
    ("describe-configs-refused", configs::describe_refused),
    ("describe-configs-synonyms", configs::synonyms),
    ("list-config-resources", configs::resources),
    ("alter-configs", configs::alter_versions),
    ("alter-configs-refused", configs::alter_refused),
    ("incremental-alter-configs", configs::incremental_versions),
    (
        "incremental-alter-configs-lists",
        configs::incremental_lists,
    ),
    (
        "incremental-alter-configs-refused",
        configs::incremental_refused,
    ),
    ("topic-settings", configs::topic_settings),
    ("broker-settings", configs::broker_settings),
    ("describe-cluster", cluster::describe_versions),
    ("describe-topic-partitions", cluster::topic_partitions),
    ("list-partition-reassignments", cluster::reassignments),
    ("describe-log-dirs", cluster::log_dirs),
    ("malformed-frames", frames::malformed),
    ("unsupported-versions", frames::unsupported),
    // From here on there is a topic of groups.
    ("find-coordinator", groups::find_coordinator),
    ("group-member", groups::one_member),
    ("group-members", groups::two_members),
    ("group-static-members", groups::static_members),
    ("group-refused", groups::refused),
    ("list-groups", groups::list),
    ("delete-groups", groups::delete),
    ("offset-commit", group_offsets::versions),
    ("offset-commit-refused", group_offsets::refused),
    ("offset-commit-nowhere", group_offsets::nowhere),
    ("offset-commit-members", group_offsets::members),
    ("offset-delete", group_offsets::delete),
    ("consumer-group", consumer_groups::one_member),
    ("consumer-group-refused", consumer_groups::refused),
    ("consumer-group-classics", consumer_groups::classics),
];
