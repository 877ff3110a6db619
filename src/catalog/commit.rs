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
    Change, GROUP_VERSION, GROUP_VERSION_FEATURE, Image, LoadError, METADATA_VERSION,
    METADATA_VERSION_FEATURE, ReplayError, batches,
};
use crate::batch::{BuildError, ValidBatch};
use crate::clock::SharedClock;
use crate::model::{LeaderEpoch, NodeId, Offset, PartitionId};
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
    log: Log,
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
    /// Whether the epoch of this start has begun in the log.
    begun: bool,
    /// Whether this start is in the log: what an empty one is formatted with, the registration.
    registered: bool,
}

impl Catalog {
    /// Loads the newest snapshot and replays the log after it, or formats an empty one; then
    /// begins a new epoch. What it appends is durable with the first round.
    ///
    /// A disk that takes nothing is no reason not to open: what is there can be read. The first
    /// commit for which there is room then begins the epoch.
    pub fn open(store: &Arc<Store>, options: CatalogOptions) -> Result<Self, LoadError> {
        Self::on(Log::attach(store), options)
    }

    /// Opens the catalog whose log this is.
    pub(super) fn on(log: Log, options: CatalogOptions) -> Result<Self, LoadError> {
        let Loaded {
            image,
            snapshot,
            bytes,
            unfinished,
        } = log.load()?;
        let state = WriterState {
            bytes,
            attempted: options.clock.monotonic(),
            unfinished,
            begun: false,
            registered: false,
        };
        let shared = Shared {
            options,
            image: ArcSwap::from_pointee(image),
            writer: Mutex::new(state),
            snapshotted: Mutex::new(snapshot),
            log,
        };
        {
            let mut writer = shared.writer.lock();
            match shared.start(&mut writer) {
                Ok(()) => {}
                Err(CommitError::Storage(error)) => {
                    tracing::error!(error, "cannot write to the metadata log, reading goes on");
                }
                Err(error) => return Err(error.into()),
            }
            // What every start writes is no reason for a snapshot.
            writer.bytes = bytes;
        }
        Ok(Self {
            shared: Arc::new(shared),
            snapshotter: Mutex::new(None),
        })
    }

    /// A catalog whose log is a list in memory, for tests of what stands on it.
    #[cfg(test)]
    pub(crate) fn in_memory(options: CatalogOptions) -> Result<Self, LoadError> {
        let journal = Arc::new(super::log::fake::FakeJournal::default());
        Self::on(journal.log(&crate::io::MemoryIo::shared()), options)
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
        self.shared.start(&mut writer)?;
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

    /// Raises the leader epoch of every partition, in one commit: after an unclean stop a log may
    /// have lost its end, and clients find that out by the epoch (KIP-320).
    pub fn bump_leader_epochs(&self) -> Result<Arc<Image>, CommitError> {
        self.commit(|image| {
            let bumps = image.topics().flat_map(|topic| {
                let id = topic.id;
                let epochs: Vec<_> = topic.partitions.iter().map(|p| p.leader_epoch).collect();
                (0..)
                    .zip(epochs)
                    .map(move |(number, epoch)| Change::BumpLeaderEpoch {
                        topic: id,
                        partition: PartitionId(number),
                        leader_epoch: LeaderEpoch(epoch.0.saturating_add(1)),
                    })
            });
            Ok::<_, CommitError>((bumps.collect(), ()))
        })
        .map(|(image, ())| image)
    }

    /// Waits until everything committed below `offset` is durable as the mode promises.
    pub async fn durable(&self, offset: Offset) -> Result<(), CommitError> {
        self.shared.log.durable(offset).await
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

    /// Writes what every start writes, as far as it is not in the log yet.
    fn start(&self, writer: &mut WriterState) -> Result<(), CommitError> {
        if writer.registered {
            return Ok(());
        }
        if !writer.begun {
            let options = &self.options;
            let image = Image::clone(&self.image.load());
            let epoch = LeaderEpoch(image.epoch.0.saturating_add(1));
            let now = options.clock.wall();
            let begun = self
                .log
                .begin(options.node_id, epoch, image.next_offset, now);
            let next_offset = begun?;
            self.log.note_leader(options.node_id, epoch);
            self.image.store(Arc::new(Image {
                next_offset,
                epoch,
                ..image
            }));
            writer.begun = true;
        }
        self.register(writer)?;
        writer.registered = true;
        Ok(())
    }

    /// Formats an empty log, finalizes features that a log of before does not have, and registers this process as Kafka's broker does at every start.
    fn register(&self, writer: &mut WriterState) -> Result<(), CommitError> {
        let mut image = Image::clone(&self.image.load());
        self.abort_unfinished(writer, &mut image)?;
        let mut image = Arc::new(image);
        // That of the metadata comes first: it says how the others are read.
        for (name, level) in [
            (METADATA_VERSION_FEATURE, METADATA_VERSION),
            (GROUP_VERSION_FEATURE, GROUP_VERSION),
        ] {
            if !image.features.contains_key(name) {
                let name = name.to_owned();
                image = self.commit(writer, &image, &[Change::Feature { name, level }])?;
            }
        }
        let record = self.registration(image.next_offset).into();
        let mut next = Image::clone(&image);
        next.replay(&record)?;
        self.append(writer, next, vec![record])?;
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
            features: vec![
                SupportedFeature {
                    name: GROUP_VERSION_FEATURE.to_owned(),
                    min_supported_version: 0,
                    max_supported_version: GROUP_VERSION,
                },
                SupportedFeature {
                    name: METADATA_VERSION_FEATURE.to_owned(),
                    min_supported_version: METADATA_VERSION,
                    max_supported_version: METADATA_VERSION,
                },
            ],
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
        self.abort_unfinished(writer, &mut next)?;
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

    /// Ends a metadata transaction that the log does not finish, so that what follows counts.
    fn abort_unfinished(
        &self,
        writer: &mut WriterState,
        next: &mut Image,
    ) -> Result<(), CommitError> {
        if !writer.unfinished {
            return Ok(());
        }
        let reason = Some("the log ended within it".to_owned());
        let records = vec![AbortTransactionRecord { reason }.into()];
        for batch in batches::atomic(records, self.options.clock.wall())? {
            self.append_batch(writer, next, batch)?;
        }
        writer.unfinished = false;
        Ok(())
    }

    fn append_batch(
        &self,
        writer: &mut WriterState,
        next: &mut Image,
        batch: ValidBatch,
    ) -> Result<(), CommitError> {
        let bytes = batch.bytes.len() as u64;
        next.next_offset = self.log.append(batch)?;
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
        if let Err(error) = self.log.snapshot(&image, &self.options) {
            // Not at the next commit, but at the stop at the latest.
            let mut writer = self.writer.lock();
            writer.bytes = writer.bytes.max(1);
            return Err(error);
        }
        *snapshotted = image.next_offset;
        Ok(())
    }
}
