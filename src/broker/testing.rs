//! Images for tests.

use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::{Catalog, CatalogOptions, Change, CommitError, Image, PartitionState, Topic};
use crate::clock::ManualClock;
use crate::model::{NodeId, Timestamp, TopicId, TopicName};

/// The node of the tests.
pub(crate) const NODE: NodeId = NodeId(1);

/// An image with these topics, as (name, partitions); ids count from 100.
pub(crate) fn image(topics: &[(&str, usize)]) -> Arc<Image> {
    let catalog = Catalog::in_memory(CatalogOptions {
        node_id: NODE,
        directory_id: Uuid::from_u128(7),
        incarnation_id: Uuid::from_u128(8),
        endpoints: Vec::new(),
        snapshot_bytes: u64::MAX,
        snapshot_interval_ms: 0,
        clock: ManualClock::at(Timestamp(0)),
    })
    .unwrap();
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
