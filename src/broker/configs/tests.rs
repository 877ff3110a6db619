//! Changes of settings and what they change.

use super::{Alteration, Compression, KeyChange, Operation, Resource};
use crate::broker::Broker;
use crate::broker::testing::{broker, create};
use crate::config::keys;

async fn set(broker: &Broker, resource: Resource, pairs: &[(&str, &str)]) {
    let changes = pairs.iter().map(|(key, value)| KeyChange {
        key: (*key).to_owned(),
        operation: Operation::Set,
        value: Some((*value).to_owned()),
    });
    let alteration = Alteration {
        resource,
        changes: changes.collect(),
        replace: false,
    };
    for outcome in broker.alter_configs(vec![alteration], false).await {
        outcome.result.unwrap();
    }
}

#[tokio::test]
async fn every_setting_of_a_topic_that_is_not_inert_reaches_its_settings() {
    let broker = broker(&[]);
    create(&broker, &[("t", 1)]).await;
    let topic = broker.catalog.image().topic_by_name("t").unwrap();
    let before = broker.topic_settings(&topic);
    set(
        &broker,
        Resource::Topic("t".to_owned()),
        &[
            ("segment.bytes", "2000000"),
            ("segment.ms", "3"),
            ("segment.jitter.ms", "1"),
            ("segment.index.bytes", "800"),
            ("index.interval.bytes", "5"),
            ("preallocate", "true"),
            ("flush.messages", "6"),
            ("flush.ms", "7"),
            ("file.delete.delay.ms", "8"),
            ("max.message.bytes", "9"),
            ("message.timestamp.type", "LogAppendTime"),
            ("message.timestamp.before.max.ms", "10"),
            ("message.timestamp.after.max.ms", "11"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "12"),
            ("cleanup.policy", "compact"),
            ("min.insync.replicas", "2"),
        ],
    )
    .await;
    let after = broker.topic_settings(&topic);
    assert_ne!(before, after);
    let log = &after.log;
    assert_eq!(
        (log.segment_bytes, log.segment_ms, log.segment_jitter_ms),
        (2_000_000, 3, 1)
    );
    assert_eq!(
        (log.segment_index_bytes, log.index_interval_bytes),
        (800, 5)
    );
    assert_eq!(
        (log.flush_messages, log.flush_ms, log.file_delete_delay_ms),
        (6, 7, 8)
    );
    assert!(log.preallocate && after.timestamp_type_log_append);
    assert_eq!(after.log.max_message_bytes, 9);
    assert_eq!(
        (after.timestamp_before_max_ms, after.timestamp_after_max_ms),
        (10, 11)
    );
    assert_eq!(after.compression, Compression::Zstd(12));
    assert!(after.log.compact && !after.log.delete);
    assert_eq!(after.min_insync_replicas, 2);
}

#[tokio::test]
async fn a_change_of_the_broker_reaches_topics_without_a_value_of_their_own() {
    let broker = broker(&[("log.segment.bytes", "3000000")]);
    create(&broker, &[("own", 1), ("plain", 1)]).await;
    set(
        &broker,
        Resource::Topic("own".to_owned()),
        &[("segment.bytes", "2000000")],
    )
    .await;
    let segment_bytes = |name: &str| {
        let topic = broker.catalog.image().topic_by_name(name).unwrap();
        broker.topic_settings(&topic).log.segment_bytes
    };
    assert_eq!(
        (segment_bytes("own"), segment_bytes("plain")),
        (2_000_000, 3_000_000)
    );
    set(
        &broker,
        Resource::Broker(String::new()),
        &[("log.segment.bytes", "4000000")],
    )
    .await;
    assert_eq!(
        (segment_bytes("own"), segment_bytes("plain")),
        (2_000_000, 4_000_000)
    );
    assert_eq!(broker.dynamic(keys::LOG_SEGMENT_BYTES), 4_000_000);
    set(
        &broker,
        Resource::Broker("1".to_owned()),
        &[("log.segment.bytes", "5000000")],
    )
    .await;
    assert_eq!(
        (segment_bytes("own"), segment_bytes("plain")),
        (2_000_000, 5_000_000)
    );
}

#[tokio::test]
async fn a_change_of_the_brokers_settings_is_announced() {
    let broker = broker(&[]);
    set(
        &broker,
        Resource::Broker(String::new()),
        &[("max.connections", "5")],
    )
    .await;
    broker.settings.changed().await;
    assert_eq!(broker.dynamic(keys::MAX_CONNECTIONS), 5);
}
