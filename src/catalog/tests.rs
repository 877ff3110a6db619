//! The catalog as a whole: what commits do, and what is left of them after a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::load::Loader;
use super::log::fake::FakeJournal;
use super::{
    Catalog, CatalogOptions, Change, CommitError, ConfigResource, Image, LoadError, PartitionState,
    ReplayError, Topic,
};
use crate::clock::{ManualClock, SystemClock};
use crate::io::tests::on_every_io;
use crate::io::{MemoryIo, SharedIo};
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, Timestamp, TopicId, TopicName,
};
use crate::storage::{Durability, Store, StoreOptions};

/// A catalog's files, over many starts.
struct Disk {
    journal: Arc<FakeJournal>,
    io: SharedIo,
    clock: Arc<ManualClock>,
    snapshot_bytes: u64,
}

impl Disk {
    fn new() -> Self {
        Self {
            journal: Arc::default(),
            io: MemoryIo::shared(),
            clock: ManualClock::at(Timestamp(1_000)),
            snapshot_bytes: u64::MAX,
        }
    }

    fn open(&self) -> Result<Catalog, LoadError> {
        let options = CatalogOptions {
            node_id: NodeId(1),
            directory_id: Uuid::from_u128(7),
            incarnation_id: Uuid::from_u128(8),
            endpoints: vec![("PLAINTEXT".to_owned(), "localhost".to_owned(), 9092, 0)],
            snapshot_bytes: self.snapshot_bytes,
            snapshot_interval_ms: 3_600_000,
            clock: self.clock.clone(),
        };
        Catalog::on(self.journal.log(&self.io), options)
    }

    fn snapshots(&self) -> Vec<String> {
        let entries = self
            .io
            .read_dir(Path::new("/data/__cluster_metadata-0"))
            .unwrap();
        let names = entries
            .into_iter()
            .map(|e| e.path.file_name().unwrap().to_owned());
        names
            .map(|name| name.into_string().unwrap())
            .filter(|n| n.contains("check"))
            .collect()
    }
}

fn catalog() -> Catalog {
    Disk::new().open().unwrap()
}

/// What stays over a restart: not the term, nor who is registered.
fn lasting(image: &Image) -> Image {
    Image {
        next_offset: Offset(0),
        epoch: LeaderEpoch(0),
        timestamp: Timestamp(0),
        brokers: imbl::OrdMap::new(),
        ..image.clone()
    }
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
fn a_new_catalog_has_only_its_features() {
    let image = catalog().image();
    assert_eq!(
        image.features().iter().collect::<Vec<_>>(),
        [
            (&"group.version".to_owned(), &1),
            (&"metadata.version".to_owned(), &27)
        ]
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
    assert!(image.config_resources().eq([of.clone()]));

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
fn an_unclean_start_raises_every_leader_epoch_in_one_commit() {
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    commit(
        &catalog,
        vec![
            Change::CreateTopic(topic("a", 1, 2)),
            Change::CreateTopic(topic("b", 2, 1)),
        ],
    )
    .unwrap();
    let before = catalog.image();
    let after = catalog.bump_leader_epochs().unwrap();
    assert_eq!(after.next_offset(), before.next_offset().plus(3));
    for topic in after.topics() {
        assert!(
            topic
                .partitions
                .iter()
                .all(|state| state.leader_epoch == LeaderEpoch(1))
        );
    }
    drop(catalog);
    assert_eq!(lasting(&disk.open().unwrap().image()), lasting(&after));
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

#[test]
fn what_was_committed_is_there_after_a_restart_with_and_without_a_snapshot() {
    for snapshot in [false, true] {
        let disk = Disk::new();
        let catalog = disk.open().unwrap();
        commit(&catalog, vec![Change::CreateTopic(topic("a.b", 1, 3))]).unwrap();
        commit(
            &catalog,
            vec![Change::ProducerIds {
                next: ProducerId(1000),
            }],
        )
        .unwrap();
        let before = catalog.image();
        if snapshot {
            catalog.snapshot().unwrap();
            assert_eq!(disk.snapshots().len(), 1);
            assert!(
                disk.journal.bytes().is_empty(),
                "what the snapshot stands for goes"
            );
        }
        drop(catalog);
        let again = disk.open().unwrap().image();
        assert_eq!(lasting(&again), lasting(&before));
        assert_eq!(again.epoch, LeaderEpoch(2));
        assert_eq!(
            again.broker_epoch(NodeId(1)),
            Some(again.next_offset().0 - 1)
        );
    }
}

#[test]
fn a_start_alone_is_no_reason_for_a_snapshot() {
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    catalog.snapshot().unwrap();
    commit(&catalog, vec![Change::CreateTopic(topic("t", 1, 1))]).unwrap();
    catalog.snapshot().unwrap();
    drop(catalog);
    let first = disk.snapshots();
    disk.open().unwrap().snapshot().unwrap();
    assert_eq!(disk.snapshots(), first);
}

#[test]
fn snapshots_come_after_so_many_bytes_and_after_so_much_time() {
    let disk = Disk {
        snapshot_bytes: 2_000,
        ..Disk::new()
    };
    let catalog = disk.open().unwrap();
    for id in 0..20 {
        commit(
            &catalog,
            vec![Change::CreateTopic(topic(&format!("t{id}"), id, 1))],
        )
        .unwrap();
    }
    drop(catalog);
    let by_bytes = disk.snapshots();
    assert_eq!(by_bytes.len(), 1);

    let catalog = disk.open().unwrap();
    catalog.snapshot().unwrap();
    commit(&catalog, vec![Change::CreateTopic(topic("one", 100, 1))]).unwrap();
    catalog.snapshot_if_due();
    disk.clock.advance(Duration::from_secs(3600));
    let before = disk.snapshots();
    catalog.snapshot_if_due();
    drop(catalog);
    assert_ne!(disk.snapshots(), before);
}

#[test]
fn a_log_that_lost_what_the_snapshot_holds_is_filled_up() {
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    commit(&catalog, vec![Change::CreateTopic(topic("kept", 1, 1))]).unwrap();
    catalog.snapshot().unwrap();
    let before = catalog.image();
    drop(catalog);

    // As after a power cut in mode `os`: the snapshot was synced, the log was not.
    let cut = Disk {
        io: disk.io,
        ..Disk::new()
    };
    let catalog = cut.open().unwrap();
    assert_eq!(lasting(&catalog.image()), lasting(&before));
    commit(&catalog, vec![Change::CreateTopic(topic("new", 2, 1))]).unwrap();
    let after = catalog.image();
    assert!(after.next_offset() > before.next_offset());
    drop(catalog);
    assert_eq!(lasting(&cut.open().unwrap().image()), lasting(&after));
}

#[test]
fn a_log_whose_snapshot_is_lost_is_refused() {
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    commit(&catalog, vec![Change::CreateTopic(topic("t", 1, 1))]).unwrap();
    catalog.snapshot().unwrap();
    drop(catalog);
    let lost = Disk {
        journal: disk.journal,
        ..Disk::new()
    };
    assert!(matches!(
        lost.open(),
        Err(LoadError::Read(_) | LoadError::Gap { .. })
    ));
}

/// More records than a batch holds.
fn large() -> Vec<Change> {
    vec![Change::CreateTopic(topic("large", 77, 30_000))]
}

#[test]
fn a_commit_larger_than_a_batch_is_a_transaction() {
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    let image = commit(&catalog, large()).unwrap();
    drop(catalog);
    assert_eq!(lasting(&disk.open().unwrap().image()), lasting(&image));
}

#[test]
fn a_commit_that_reached_the_log_in_part_never_happened() {
    for restart in [true, false] {
        let disk = Disk::new();
        let mut catalog = disk.open().unwrap();
        let before = catalog.image();
        disk.journal.fail_after(Some(1));
        assert!(matches!(
            commit(&catalog, large()),
            Err(CommitError::Storage(_))
        ));
        assert_eq!(catalog.image(), before);
        disk.journal.fail_after(None);
        if restart {
            drop(catalog);
            catalog = disk.open().unwrap();
            assert_eq!(lasting(&catalog.image()), lasting(&before));
        }
        commit(&catalog, vec![Change::CreateTopic(topic("after", 2, 1))]).unwrap();
        let after = catalog.image();
        drop(catalog);
        assert_eq!(lasting(&disk.open().unwrap().image()), lasting(&after));
    }
}

#[test]
fn a_commit_whose_end_a_power_cut_took_never_happened() {
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    let before = catalog.image();
    commit(&catalog, large()).unwrap();
    drop(catalog);
    disk.journal.lose_last_batch();
    let catalog = disk.open().unwrap();
    assert_eq!(lasting(&catalog.image()), lasting(&before));
    drop(catalog);
    assert_eq!(lasting(&disk.open().unwrap().image()), lasting(&before));
}

/// A change that may or may not fit the image that it meets.
fn any_change() -> impl Strategy<Value = Change> {
    let topic_names = prop::sample::select(vec!["a.b", "a_b", "c", "d-e"]);
    let id = || (0_u128..6).prop_map(|id| TopicId(Uuid::from_u128(id)));
    let resource = prop::sample::select(vec![
        ConfigResource::Topic(name("c")),
        ConfigResource::Broker(None),
        ConfigResource::Broker(Some(NodeId(1))),
        ConfigResource::Group("g".to_owned()),
        ConfigResource::ClientMetrics("m".to_owned()),
    ]);
    let key = prop::sample::select(vec!["k1", "k2"]);
    prop_oneof![
        (topic_names, 0_u128..6, 1_usize..4)
            .prop_map(|(name, id, partitions)| Change::CreateTopic(topic(name, id, partitions))),
        id().prop_map(Change::RemoveTopic),
        (id(), 1_usize..3).prop_map(|(topic, count)| Change::AddPartitions {
            topic,
            partitions: vec![PartitionState::on(NodeId(1)); count],
        }),
        (id(), 0..3, 1..3).prop_map(|(topic, partition, epoch)| Change::BumpLeaderEpoch {
            topic,
            partition: PartitionId(partition),
            leader_epoch: LeaderEpoch(epoch),
        }),
        (resource, key, proptest::option::of("[a-z]{0,3}")).prop_map(|(resource, key, value)| {
            Change::SetConfig {
                resource,
                key: key.to_owned(),
                value,
            }
        }),
        (1_i64..5).prop_map(|next| Change::ProducerIds {
            next: ProducerId(next)
        }),
        (0_i16..3).prop_map(|level| Change::Feature {
            name: "share.version".to_owned(),
            level
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_image_of_a_snapshot_is_that_of_the_log(
        commits in prop::collection::vec(prop::collection::vec(any_change(), 1..4), 0..20),
        snapshot_after in 0_usize..20,
    ) {
        let disk = Disk::new();
        let mut catalog = disk.open().unwrap();
        for (index, changes) in commits.into_iter().enumerate() {
            // Those that do not fit are refused as a whole, which is also checked here.
            let _ = commit(&catalog, changes);
            if index == snapshot_after {
                catalog.snapshot().unwrap();
                let image = catalog.image();
                drop(catalog);
                catalog = disk.open().unwrap();
                prop_assert_eq!(lasting(&catalog.image()), lasting(&image));
            }
        }
        let image = catalog.image();
        drop(catalog);
        prop_assert_eq!(lasting(&disk.open().unwrap().image()), lasting(&image));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// A broker's store, and its catalog, in a directory.
struct Real {
    io: SharedIo,
    dir: PathBuf,
    durability: Durability,
    snapshot_bytes: u64,
}

impl Real {
    fn new(io: SharedIo, root: &Path) -> Self {
        let dir = root.join("data");
        Self {
            io,
            dir,
            durability: Durability::Fsync,
            snapshot_bytes: u64::MAX,
        }
    }

    fn open(&self) -> (Arc<Store>, Catalog) {
        let clock = SystemClock::shared();
        let (store, opened) = Store::open(StoreOptions {
            io: self.io.clone(),
            dir: self.dir.clone(),
            clock: clock.clone(),
            node_id: NodeId(1),
            cluster_id: Some("AAAAAAAAAAAAAAAAAAAAAQ".to_owned()),
            open_files_max: 100,
            durability: self.durability,
            producer_id_expiration_ms: i64::MAX,
            reserve_bytes: None,
            seed: 7,
            upkeep: crate::storage::Upkeep::default(),
        })
        .unwrap();
        let options = CatalogOptions {
            node_id: NodeId(1),
            directory_id: opened.directory_id.0,
            incarnation_id: Uuid::from_u128(8),
            endpoints: vec![("PLAINTEXT".to_owned(), "localhost".to_owned(), 9092, 0)],
            snapshot_bytes: self.snapshot_bytes,
            snapshot_interval_ms: 0,
            clock,
        };
        let catalog = Catalog::open(&store, options).unwrap();
        (store, catalog)
    }

    fn files(&self) -> Vec<String> {
        let entries = self
            .io
            .read_dir(&self.dir.join("__cluster_metadata-0"))
            .unwrap();
        let mut names: Vec<_> = entries
            .iter()
            .map(|e| e.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn the_log_is_a_partition_and_survives_every_kind_of_stop() {
    on_every_io(|io, root| {
        let real = Real::new(io, root);
        let mut before = None;
        for start in 0..6 {
            let (store, catalog) = real.open();
            if let Some(before) = &before {
                assert_eq!(&lasting(&catalog.image()), before, "start {start}");
            }
            assert_eq!(catalog.image().epoch, LeaderEpoch(start + 1));
            let created = topic(&format!("t{start}"), start as u128, 2);
            let image = commit(&catalog, vec![Change::CreateTopic(created)]).unwrap();
            block_on(catalog.durable(image.next_offset())).unwrap();
            before = Some(lasting(&image));
            if start % 3 > 0 {
                catalog.snapshot().unwrap();
            }
            if start % 2 > 0 {
                drop(catalog);
                store.close().unwrap();
            }
        }
        let files = real.files();
        assert_eq!(
            files
                .iter()
                .filter(|name| name.ends_with(".checkpoint"))
                .count(),
            1
        );
        assert!(files.contains(&"quorum-state".to_owned()));
        assert!(files.contains(&"00000000000000000000.log".to_owned()));
    });
}

/// Prints what DESIGN wants to stay small; run with `--ignored --nocapture`, optimised.
#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_start() {
    let time = SystemClock::shared();
    on_every_io(|io, root| {
        let real = Real {
            snapshot_bytes: 20 * 1024 * 1024,
            ..Real::new(io, root)
        };
        let start = time.monotonic();
        let (store, catalog) = real.open();
        println!(
            "format and open an empty directory: {:?}",
            time.monotonic() - start
        );
        for id in 0..1_000 {
            let created = topic(&format!("kept-{id}"), 1_000_000 + id, 1);
            commit(&catalog, vec![Change::CreateTopic(created)]).unwrap();
        }
        let start = time.monotonic();
        for id in 0..100_000 {
            commit(
                &catalog,
                vec![Change::CreateTopic(topic(&format!("t-{id}"), id, 1))],
            )
            .unwrap();
            let gone = Change::RemoveTopic(TopicId(Uuid::from_u128(id)));
            commit(&catalog, vec![gone]).unwrap();
        }
        println!(
            "create and delete 100,000 topics: {:?}",
            time.monotonic() - start
        );
        let start = time.monotonic();
        catalog.snapshot().unwrap();
        drop(catalog);
        store.close().unwrap();
        drop(store);
        println!(
            "clean stop: {:?}, files: {:?}",
            time.monotonic() - start,
            real.files()
        );
        let start = time.monotonic();
        let (store, catalog) = real.open();
        println!(
            "start after it, 1,000 topics: {:?}",
            time.monotonic() - start
        );
        assert_eq!(catalog.image().topic_count(), 1_000);
        for id in 0..50_000 {
            commit(
                &catalog,
                vec![Change::CreateTopic(topic(&format!("t-{id}"), id, 1))],
            )
            .unwrap();
            let gone = Change::RemoveTopic(TopicId(Uuid::from_u128(id)));
            commit(&catalog, vec![gone]).unwrap();
        }
        drop((store, catalog));
        let start = time.monotonic();
        let (_store, catalog) = real.open();
        println!(
            "start after 13 MB and no clean stop: {:?}",
            time.monotonic() - start
        );
        assert_eq!(catalog.image().topic_count(), 1_000);
    });
}

/// Prints what DESIGN wants to stay small; run with `--ignored --nocapture`, optimised.
#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_hundred_thousand_topics() {
    let time = SystemClock::shared();
    let took = |what: &str, start: Duration| println!("{what}: {:?}", time.monotonic() - start);
    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    let start = time.monotonic();
    for id in 0..100_000 {
        commit(
            &catalog,
            vec![Change::CreateTopic(topic(&format!("topic-{id}"), id, 1))],
        )
        .unwrap();
    }
    took("create 100,000 topics, a commit each", start);
    let start = time.monotonic();
    let snapshot = super::snapshot::encode(&catalog.image(), Uuid::nil(), Timestamp(0)).unwrap();
    took(
        &format!(
            "encode a snapshot of 100,000 topics, {} bytes",
            snapshot.len()
        ),
        start,
    );
    let start = time.monotonic();
    for id in 0..100_000 {
        commit(
            &catalog,
            vec![Change::RemoveTopic(TopicId(Uuid::from_u128(id)))],
        )
        .unwrap();
    }
    took("delete them, a commit each", start);
    let log = disk.journal.bytes();
    let start = time.monotonic();
    let mut loader = Loader::new(Image::default());
    loader.log(&log).unwrap();
    took(&format!("replay all of it, {} bytes", log.len()), start);
    drop(catalog);

    let disk = Disk::new();
    let catalog = disk.open().unwrap();
    for id in 0..1_000 {
        commit(
            &catalog,
            vec![Change::CreateTopic(topic(&format!("topic-{id}"), id, 1))],
        )
        .unwrap();
    }
    catalog.snapshot().unwrap();
    drop(catalog);
    let start = time.monotonic();
    let catalog = disk.open().unwrap();
    took("open with 1,000 topics from a snapshot", start);
    assert_eq!(catalog.image().topic_count(), 1_000);
}
