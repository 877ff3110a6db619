//! The catalog: the newest image, and the one way to change it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use uuid::Uuid;

use super::change::Writer;
use super::log::{Loaded, Log};
use super::{
    Change, Image, LoadError, METADATA_VERSION, METADATA_VERSION_FEATURE, ReplayError, batches,
};
use crate::batch::{BuildError, ValidBatch};
use crate::clock::SharedClock;
use crate::model::{LeaderEpoch, NodeId, Offset};
use crate::storage::Store;
use crate::wire::EncodeError;
use crate::wire::metadata::{
    AbortTransactionRecord, Endpoint, MetadataRecord, RegisterBrokerRecord, SupportedFeature,
};

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
    shared: Arc<Shared>,
    /// Writes a snapshot in the background.
    snapshotter: Mutex<Option<JoinHandle<()>>>,
}

/// What the background shares.
#[derive(Debug)]
struct Shared {
    options: CatalogOptions,
    image: ArcSwap<Image>,
    /// Held from a decision to the publication of its image.
    writer: Mutex<WriterState>,
    /// Held while a snapshot is written; end of the last one.
    snapshotted: Mutex<Offset>,
    log: Option<Log>,
}

/// What only the writer needs.
#[derive(Debug)]
struct WriterState {
    /// Bytes of the log since the last attempt at a snapshot.
    bytes: u64,
    /// When that was, on the monotonic clock.
    attempted: Duration,
    /// Whether the log ends within a metadata transaction that failed half-way.
    unfinished: bool,
}

impl Catalog {
    /// Loads the newest snapshot and replays the log after it, or formats an empty one; then
    /// begins a new epoch. What it appends is durable with the first round.
    pub fn open(store: &Arc<Store>, options: CatalogOptions) -> Result<Self, LoadError> {
        Self::on(Log::attach(store), options)
    }

    fn on(log: Log, options: CatalogOptions) -> Result<Self, LoadError> {
        let Loaded {
            image,
            snapshot,
            bytes,
            unfinished,
        } = log.load()?;
        let epoch = LeaderEpoch(image.epoch.0.saturating_add(1));
        let next_offset = log.begin(
            options.node_id,
            epoch,
            image.next_offset,
            options.clock.wall(),
        )?;
        log.note_leader(options.node_id, epoch);
        let state = WriterState {
            bytes,
            attempted: options.clock.monotonic(),
            unfinished,
        };
        let image = Image {
            next_offset,
            epoch,
            ..image
        };
        let catalog = Self::start(image, state, snapshot, Some(log), options)?;
        // What every start writes is no reason for a snapshot.
        catalog.shared.writer.lock().bytes = bytes;
        Ok(catalog)
    }

    /// A catalog without a log: what it holds goes with it.
    pub fn in_memory(options: CatalogOptions) -> Result<Self, LoadError> {
        let attempted = options.clock.monotonic();
        let state = WriterState {
            bytes: 0,
            attempted,
            unfinished: false,
        };
        Self::start(Image::default(), state, Offset(0), None, options)
    }

    /// Writes what every start has to say.
    fn start(
        image: Image,
        state: WriterState,
        snapshotted: Offset,
        log: Option<Log>,
        options: CatalogOptions,
    ) -> Result<Self, LoadError> {
        let shared = Shared {
            options,
            image: ArcSwap::from_pointee(image),
            writer: Mutex::new(state),
            snapshotted: Mutex::new(snapshotted),
            log,
        };
        shared.register()?;
        Ok(Self {
            shared: Arc::new(shared),
            snapshotter: Mutex::new(None),
        })
    }

    /// The image now.
    pub fn image(&self) -> Arc<Image> {
        self.shared.image.load_full()
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
        let mut writer = self.shared.writer.lock();
        let image = self.image();
        let (changes, answer) = decide(&image)?;
        if changes.is_empty() {
            return Ok((image, answer));
        }
        let next = self.shared.commit(&mut writer, &image, &changes)?;
        let due = self.shared.snapshot_due(&writer);
        drop(writer);
        if due {
            self.snapshot_in_background();
        }
        Ok((next, answer))
    }

    /// Waits until everything committed below `offset` is durable as the mode promises.
    pub async fn durable(&self, offset: Offset) -> Result<(), CommitError> {
        match &self.shared.log {
            Some(log) => log.durable(offset).await,
            None => Ok(()),
        }
    }

    /// Writes a snapshot if there is anything new (clean stop), after one that is being written.
    pub fn snapshot(&self) -> Result<(), CommitError> {
        self.shared.snapshot()
    }

    /// Has a snapshot written if one is due by `metadata.log.max.snapshot.interval.ms`. Commits
    /// look for themselves; this is for a broker that has fallen quiet.
    pub fn snapshot_if_due(&self) {
        if self.shared.snapshot_due(&self.shared.writer.lock()) {
            self.snapshot_in_background();
        }
    }

    fn snapshot_in_background(&self) {
        let mut running = self.snapshotter.lock();
        if running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let write = move || {
            if let Err(error) = shared.snapshot() {
                tracing::error!(%error, "cannot write a snapshot of the metadata log");
            }
        };
        match std::thread::Builder::new()
            .name("klamm-snapshot".to_owned())
            .spawn(write)
        {
            Ok(thread) => *running = Some(thread),
            Err(error) => tracing::error!(%error, "cannot start writing a snapshot"),
        }
    }
}

impl Drop for Catalog {
    /// Nothing of the catalog runs on after it.
    fn drop(&mut self) {
        if let Some(thread) = self.snapshotter.lock().take() {
            // A panic there was reported by its thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn commit(
        &self,
        writer: &mut WriterState,
        image: &Image,
        changes: &[Change],
    ) -> Result<Arc<Image>, CommitError> {
        let stamp = Writer {
            node: self.options.node_id,
            directory: self.options.directory_id,
        };
        let mut next = image.clone();
        let mut records = Vec::new();
        for change in changes {
            let first = records.len();
            change.write(&next, stamp, &mut records)?;
            for record in records.iter().skip(first) {
                next.replay(record)?;
            }
        }
        self.append(writer, next, records)
    }

    /// Formats an empty log, and registers this process as Kafka's broker does at every start.
    fn register(&self) -> Result<(), CommitError> {
        let mut writer = self.writer.lock();
        let mut image = self.image.load_full();
        if !image.features.contains_key(METADATA_VERSION_FEATURE) {
            let (name, level) = (METADATA_VERSION_FEATURE.to_owned(), METADATA_VERSION);
            image = self.commit(&mut writer, &image, &[Change::Feature { name, level }])?;
        }
        let record = self.registration(image.next_offset).into();
        let mut next = Image::clone(&image);
        next.replay(&record)?;
        self.append(&mut writer, next, vec![record])?;
        Ok(())
    }

    fn registration(&self, at: Offset) -> RegisterBrokerRecord {
        let options = &self.options;
        RegisterBrokerRecord {
            broker_id: options.node_id.0,
            incarnation_id: options.incarnation_id,
            broker_epoch: at.0,
            endpoints: options
                .endpoints
                .iter()
                .map(|(name, host, port, security_protocol)| Endpoint {
                    name: name.clone(),
                    host: host.clone(),
                    port: *port,
                    security_protocol: *security_protocol,
                })
                .collect(),
            features: vec![SupportedFeature {
                name: METADATA_VERSION_FEATURE.to_owned(),
                min_supported_version: METADATA_VERSION,
                max_supported_version: METADATA_VERSION,
            }],
            fenced: false,
            log_dirs: vec![options.directory_id],
            ..RegisterBrokerRecord::default()
        }
    }

    /// Appends `records` as one atomic change and publishes `next`, which holds them already: so
    /// nothing is written that could not be loaded again.
    fn append(
        &self,
        writer: &mut WriterState,
        mut next: Image,
        records: Vec<MetadataRecord>,
    ) -> Result<Arc<Image>, CommitError> {
        let now = self.options.clock.wall();
        if writer.unfinished {
            let reason = Some("the log ended within it".to_owned());
            for batch in batches::atomic(vec![AbortTransactionRecord { reason }.into()], now)? {
                self.append_batch(writer, &mut next, batch)?;
            }
            writer.unfinished = false;
        }
        let batches = batches::atomic(records, now)?;
        let several = batches.len() > 1;
        for batch in batches {
            self.append_batch(writer, &mut next, batch)?;
            writer.unfinished = several;
        }
        writer.unfinished = false;
        next.timestamp = now;
        let next = Arc::new(next);
        self.image.store(Arc::clone(&next));
        Ok(next)
    }

    fn append_batch(
        &self,
        writer: &mut WriterState,
        next: &mut Image,
        batch: ValidBatch,
    ) -> Result<(), CommitError> {
        let bytes = batch.bytes.len() as u64;
        next.next_offset = match &self.log {
            Some(log) => log.append(batch)?,
            None => next.next_offset.plus(i64::from(batch.header.record_count)),
        };
        writer.bytes = writer.bytes.saturating_add(bytes);
        Ok(())
    }

    fn snapshot_due(&self, writer: &WriterState) -> bool {
        let quiet = self
            .options
            .clock
            .monotonic()
            .saturating_sub(writer.attempted);
        let by_time = u64::try_from(self.options.snapshot_interval_ms)
            .is_ok_and(|interval| interval > 0 && quiet >= Duration::from_millis(interval));
        writer.bytes > 0 && (by_time || writer.bytes >= self.options.snapshot_bytes)
    }

    fn snapshot(&self) -> Result<(), CommitError> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut snapshotted = self.snapshotted.lock();
        let image = {
            let mut writer = self.writer.lock();
            if writer.bytes == 0 {
                return Ok(());
            }
            writer.bytes = 0;
            writer.attempted = self.options.clock.monotonic();
            self.image.load_full()
        };
        if image.next_offset <= *snapshotted {
            return Ok(());
        }
        if let Err(error) = log.snapshot(&image, &self.options) {
            // Not at the next commit, but at the stop at the latest.
            let mut writer = self.writer.lock();
            writer.bytes = writer.bytes.max(1);
            return Err(error);
        }
        *snapshotted = image.next_offset;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::catalog::log::fake::FakeJournal;
    use crate::catalog::{ConfigResource, PartitionState, Topic};
    use crate::clock::ManualClock;
    use crate::io::{MemoryIo, SharedIo};
    use crate::model::{LeaderEpoch, PartitionId, ProducerId, Timestamp, TopicId, TopicName};

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
}
