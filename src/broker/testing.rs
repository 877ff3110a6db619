//! Images and brokers for tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::topics::NewTopic;
use super::{Broker, BrokerError, BrokerOptions};
use crate::batch::BatchBuilder;
use crate::catalog::{Catalog, CatalogOptions, Change, CommitError, Image, PartitionState, Topic};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::io::{MemoryIo, SharedIo};
use crate::model::{NodeId, PartitionId, Timestamp, TopicId, TopicName};
use crate::storage::Durability;

/// The node of the tests.
pub(crate) const NODE: NodeId = NodeId(1);

fn catalog() -> Catalog {
    Catalog::in_memory(CatalogOptions {
        node_id: NODE,
        directory_id: Uuid::from_u128(7),
        incarnation_id: Uuid::from_u128(8),
        endpoints: Vec::new(),
        snapshot_bytes: u64::MAX,
        snapshot_interval_ms: 0,
        clock: ManualClock::at(Timestamp(0)),
    })
    .unwrap()
}

/// An image with these topics, as (name, partitions); ids count from 100.
pub(crate) fn image(topics: &[(&str, usize)]) -> Arc<Image> {
    let catalog = catalog();
    let topic = |(id, &(name, partitions)): (u128, &(&str, usize))| {
        Change::CreateTopic(Topic {
            name: TopicName::new(name).unwrap(),
            id: TopicId(Uuid::from_u128(id)),
            partitions: vec![PartitionState::on(NODE); partitions],
        })
    };
    let changes = (100..).zip(topics).map(topic).collect();
    let (image, ()) = catalog
        .commit::<_, CommitError>(|_| Ok((changes, ())))
        .unwrap();
    image
}

/// The time at which the clocks of [`broker`] stand.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A broker in memory with these settings.
pub(crate) fn broker(settings: &[(&str, &str)]) -> Arc<Broker> {
    broker_on(MemoryIo::shared(), Durability::Memory, settings)
}

/// A broker on `io` with these settings.
pub(crate) fn broker_on(
    io: SharedIo,
    durability: Durability,
    settings: &[(&str, &str)],
) -> Arc<Broker> {
    try_broker_on(io, durability, settings).unwrap()
}

/// As [`broker_on`], if it opens.
pub(crate) fn try_broker_on(
    io: SharedIo,
    durability: Durability,
    settings: &[(&str, &str)],
) -> Result<Arc<Broker>, BrokerError> {
    let mode = match durability {
        Durability::Fsync => "fsync",
        Durability::Os => "os",
        Durability::Memory => "memory",
    };
    let mut builder = Config::builder().set("klamm.durability", mode);
    for (key, value) in settings {
        builder = builder.set(key, value);
    }
    Broker::open(BrokerOptions {
        config: Arc::new(builder.build().unwrap()),
        io,
        dir: PathBuf::from("/data"),
        open_files_max: 100,
        durability,
        clock: ManualClock::at(NOW),
        seed: 1,
        endpoints: Vec::new(),
    })
}

/// Creates topics, as (name, partitions).
pub(crate) async fn create(broker: &Broker, topics: &[(&str, i32)]) {
    let topic = |&(name, partitions): &(&str, i32)| NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        ..NewTopic::default()
    };
    let topics = topics.iter().map(topic).collect();
    for outcome in broker
        .create_topics(topics, false, Duration::from_secs(1))
        .await
    {
        outcome.result.unwrap();
    }
}

/// Creates a topic with these overrides.
pub(crate) async fn topic(
    broker: &Broker,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Arc<Topic> {
    let config = |(key, value): &(&str, &str)| ((*key).to_owned(), Some((*value).to_owned()));
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        configs: configs.iter().map(config).collect(),
        ..NewTopic::default()
    };
    let mut outcomes = broker
        .create_topics(vec![topic], false, Duration::from_secs(5))
        .await;
    outcomes.pop().unwrap().result.unwrap().topic
}

/// A broker with a topic `t`, whose data directory is offline since a sync failed.
pub(crate) async fn offline_broker() -> Arc<Broker> {
    let (io, faults) = crate::io::faulty::faulty(64 * 1024 * 1024);
    let broker = broker_on(io, Durability::Fsync, &[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    faults.break_syncs_of("t-0", std::io::ErrorKind::Other);
    let appending = broker
        .append(&topic, PartitionId(0), batch(&["a"]))
        .unwrap();
    assert!(appending.committed().await.is_err());
    broker
}

/// A batch as a producer sends it: one record per value, at [`NOW`], without keys.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new();
    for value in values {
        batch.push(NOW, None, Some(value.as_bytes()));
    }
    batch.build().unwrap().bytes
}
