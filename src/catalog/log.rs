//! The metadata log on disk: the partition `__cluster_metadata-0` and the snapshots beside it.
//!
//! ```text
//! __cluster_metadata-0/
//!   00000000000000000000.log …                  record batches, as any partition has them
//!   00000000000000000052-0000000002.checkpoint  the newest snapshot
//!   quorum-state                                who leads, for Kafka's tools
//! ```
//!
//! Snapshots and log may disagree after a power cut, and each case has its answer:
//!
//! | snapshot | log | then |
//! | --- | --- | --- |
//! | none | from 0 | replay the log |
//! | ends within the log | | replay what follows the snapshot |
//! | ends beyond the log's end | was not synced, the snapshot was | the offsets between are filled with NoOp records |
//! | ends before the log's start | segments went, the snapshot is lost or damaged | refuse to start |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batches::{self, BATCH_BYTES_MAX, Place};
use super::load::{LoadError, Loader};
use super::snapshot;
use super::{CatalogOptions, CommitError, Image};
use crate::batch::ValidBatch;
use crate::io::{Persist, SharedIo, replace_file};
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicId, TopicName, TopicPartition,
};
use crate::storage::{
    AppendError, Isolation, LogConfig, Offsets, Partition, PartitionSpec, ReadError, RecordBytes,
    Store,
};
use crate::wire::metadata::{MetadataRecord, NoOpRecord};

/// Bytes of a segment. Kafka's default is 1 GiB; the least that it allows is this, and it bounds
/// what a start may have to scan, since only whole segments go after a snapshot.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes that the loader asks for at a time.
const READ_BYTES: usize = 1024 * 1024;

/// Most offsets that one batch fills.
const FILL_RECORDS: i64 = 10_000;

const _: () = assert!((BATCH_BYTES_MAX as u64) < SEGMENT_BYTES);

/// The log, its snapshots and the directory of both.
#[derive(Debug)]
pub(super) struct Log {
    journal: Journal,
    io: SharedIo,
    directory: PathBuf,
}

/// What a log held.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The image at the end of the log.
    pub(super) image: Image,
    /// End of the snapshot that it began with.
    pub(super) snapshot: Offset,
    /// Bytes of log that were replayed after it.
    pub(super) bytes: u64,
    /// Whether the log ends within a metadata transaction, which has to be aborted.
    pub(super) unfinished: bool,
}

impl Log {
    /// Attaches the partition; touches no file.
    pub(super) fn attach(store: &Store) -> Self {
        let topic_name = TopicName::cluster_metadata();
        let (data_directory, _, _) = store.log_dir();
        let directory = data_directory.join(format!("{topic_name}-0"));
        let partition = store.attach(PartitionSpec {
            topic_name,
            id: TopicPartition {
                topic: TopicId::METADATA,
                partition: PartitionId(0),
            },
            leader_epoch: LeaderEpoch(0),
            may_use_reserve: true,
            config: Arc::new(LogConfig {
                segment_bytes: SEGMENT_BYTES,
                segment_ms: i64::MAX,
                segment_index_bytes: 1024 * 1024,
                file_delete_delay_ms: 0,
                durability: store.durability(),
                // Its snapshots say what may go, nothing else does.
                delete: false,
                retention_ms: -1,
                ..LogConfig::default()
            }),
        });
        Self {
            journal: Journal::Partition(partition),
            io: Arc::clone(store.io()),
            directory,
        }
    }

    /// The newest snapshot and what follows it.
    pub(super) fn load(&self) -> Result<Loaded, LoadError> {
        let image = snapshot::load_newest(&*self.io, &self.directory)?;
        let snapshot = image.next_offset();
        let log_end = self.journal.offsets()?.log_end;
        let mut loader = Loader::new(image);
        let mut replayed = 0;
        while loader.next_offset() < log_end {
            let from = loader.next_offset();
            let bytes = self.read(from)?;
            loader.log(&bytes)?;
            replayed += bytes.len() as u64;
            if loader.next_offset() == from {
                return Err(LoadError::Gap {
                    expected: from,
                    found: log_end,
                });
            }
        }
        let (image, unfinished) = loader.finish();
        Ok(Loaded {
            image,
            snapshot,
            bytes: replayed,
            unfinished,
        })
    }

    fn read(&self, from: Offset) -> Result<Bytes, LoadError> {
        let bytes = self.journal.read(from)?.to_bytes();
        Ok(bytes.map_err(|error| ReadError::Storage(error.to_string()))?)
    }

    /// Begins a term: nothing before it is written any more, and what a power cut took from the
    /// log, but not from the snapshot, is filled up to `end`. Returns the offset after it.
    pub(super) fn begin(
        &self,
        node: NodeId,
        epoch: LeaderEpoch,
        end: Offset,
        now: Timestamp,
    ) -> Result<Offset, CommitError> {
        self.journal.begin_epoch(epoch);
        let mut next = self.journal.offsets().map_err(storage)?.log_end;
        while next < end {
            let count = usize::try_from(FILL_RECORDS.min(end.0 - next.0)).unwrap_or(1);
            let filling: Vec<MetadataRecord> = vec![NoOpRecord::default().into(); count];
            for batch in batches::split(&filling, Place::ANYWHERE, now)? {
                next = self.append(batch)?;
            }
        }
        self.append(batches::leader_change(node, now)?)
    }

    /// Appends a batch; returns the offset after it.
    pub(super) fn append(&self, batch: ValidBatch) -> Result<Offset, CommitError> {
        self.journal.append(batch).map_err(storage)
    }

    /// Waits until everything below `offset` is durable as the mode promises.
    pub(super) async fn durable(&self, offset: Offset) -> Result<(), CommitError> {
        self.journal.committed(offset).await.map_err(storage)
    }

    /// Writes a snapshot of `image`; then what it stands for may go.
    pub(super) fn snapshot(
        &self,
        image: &Image,
        options: &CatalogOptions,
    ) -> Result<(), CommitError> {
        let now = options.clock.wall();
        let id = snapshot::write(&*self.io, &self.directory, image, options.directory_id, now)?;
        // The end of the log may not be durable yet; the next snapshot takes that part away.
        let committed = self.journal.offsets().map_err(storage)?.high_watermark;
        self.journal.trim(committed.min(id.end)).map_err(storage)?;
        snapshot::remove_older(&*self.io, &self.directory, id);
        Ok(())
    }

    /// Notes who leads, as Kafka's `FileQuorumStateStore` does. Nothing here reads it: a log
    /// says itself in which epoch it is.
    pub(super) fn note_leader(&self, node: NodeId, epoch: LeaderEpoch) {
        let state = format!(
            concat!(
                r#"{{"clusterId":"","leaderId":{node},"leaderEpoch":{epoch},"votedId":-1,"#,
                r#""appliedOffset":0,"currentVoters":[{{"voterId":{node}}}],"data_version":0}}"#,
            ),
            node = node,
            epoch = epoch,
        );
        let path = self.directory.join("quorum-state");
        if let Err(error) = write_lazily(&self.io, &self.directory, &path, state.as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "cannot note the leader");
        }
    }
}

fn write_lazily(
    io: &SharedIo,
    directory: &Path,
    path: &Path,
    content: &[u8],
) -> std::io::Result<()> {
    io.create_dir_all(directory)?;
    replace_file(&**io, path, content, Persist::Lazy)
}

/// Where the batches go.
#[derive(Debug)]
enum Journal {
    Partition(Arc<Partition>),
    #[cfg(test)]
    Fake(Arc<fake::FakeJournal>),
}

impl Journal {
    fn offsets(&self) -> Result<Offsets, ReadError> {
        match self {
            Self::Partition(partition) => partition.offsets(),
            #[cfg(test)]
            Self::Fake(fake) => Ok(fake.offsets()),
        }
    }

    fn read(&self, from: Offset) -> Result<RecordBytes, ReadError> {
        match self {
            Self::Partition(partition) => Ok(partition
                .read(from, READ_BYTES, true, Isolation::LogEnd)?
                .records),
            #[cfg(test)]
            Self::Fake(fake) => fake.read(from),
        }
    }

    fn begin_epoch(&self, epoch: LeaderEpoch) {
        match self {
            Self::Partition(partition) => partition.begin_epoch(epoch),
            #[cfg(test)]
            Self::Fake(fake) => fake.begin_epoch(epoch),
        }
    }

    fn append(&self, batch: ValidBatch) -> Result<Offset, AppendError> {
        match self {
            Self::Partition(partition) => Ok(partition.append(batch, false)?.next_offset),
            #[cfg(test)]
            Self::Fake(fake) => fake.append(&batch),
        }
    }

    fn trim(&self, before: Offset) -> Result<(), ReadError> {
        match self {
            Self::Partition(partition) => {
                partition.delete_records(before)?;
                partition.remove_deleted_segments()
            }
            #[cfg(test)]
            Self::Fake(fake) => {
                fake.trim(before);
                Ok(())
            }
        }
    }

    async fn committed(&self, offset: Offset) -> Result<(), AppendError> {
        match self {
            Self::Partition(partition) => partition.committed(offset).await,
            #[cfg(test)]
            Self::Fake(_) => Ok(()),
        }
    }
}

fn storage(error: impl std::error::Error) -> CommitError {
    CommitError::Storage(error.to_string())
}

/// A journal whose appends fail on demand and whose end can be cut off, as by a power cut.
#[cfg(test)]
pub(super) mod fake {
    use std::path::Path;

    use parking_lot::Mutex;

    use super::*;
    use crate::batch::BatchHeader;

    /// Batches in memory, as the log would store them.
    #[derive(Debug, Default)]
    pub(in crate::catalog) struct FakeJournal {
        state: Mutex<State>,
    }

    #[derive(Debug, Default)]
    struct State {
        epoch: LeaderEpoch,
        start: Offset,
        batches: Vec<Vec<u8>>,
        end: Offset,
        /// Appends that succeed before all others fail.
        appends_left: Option<usize>,
    }

    impl FakeJournal {
        pub(in crate::catalog) fn log(self: &Arc<Self>, io: &SharedIo) -> Log {
            Log {
                journal: Journal::Fake(Arc::clone(self)),
                io: Arc::clone(io),
                directory: Path::new("/data/__cluster_metadata-0").to_owned(),
            }
        }

        /// Lets `count` more appends succeed, or all.
        pub(in crate::catalog) fn fail_after(&self, count: Option<usize>) {
            self.state.lock().appends_left = count;
        }

        /// Loses the last batch.
        pub(in crate::catalog) fn lose_last_batch(&self) {
            let mut state = self.state.lock();
            let lost = state.batches.pop().unwrap();
            state.end = BatchHeader::parse(&lost).unwrap().base_offset;
        }

        pub(in crate::catalog) fn bytes(&self) -> Vec<u8> {
            self.state.lock().batches.concat()
        }

        pub(super) fn offsets(&self) -> Offsets {
            let State { start, end, .. } = *self.state.lock();
            Offsets {
                log_start: start,
                last_stable: end,
                high_watermark: end,
                log_end: end,
                durable: end,
            }
        }

        pub(super) fn begin_epoch(&self, epoch: LeaderEpoch) {
            self.state.lock().epoch = epoch;
        }

        pub(super) fn append(&self, batch: &ValidBatch) -> Result<Offset, AppendError> {
            let mut state = self.state.lock();
            if let Some(left) = &mut state.appends_left {
                *left = left
                    .checked_sub(1)
                    .ok_or_else(|| AppendError::Storage("no space left".to_owned()))?;
            }
            let mut bytes = batch.bytes.to_vec();
            let prefix = batch.patched_prefix(state.end, state.epoch);
            bytes[..prefix.len()].copy_from_slice(&prefix);
            state.batches.push(bytes);
            state.end = state
                .end
                .plus(i64::from(batch.header.last_offset_delta) + 1);
            Ok(state.end)
        }

        pub(super) fn read(&self, from: Offset) -> Result<RecordBytes, ReadError> {
            let state = self.state.lock();
            let (log_start, log_end) = (state.start, state.end);
            if from < log_start || from > log_end {
                return Err(ReadError::OutOfRange {
                    offset: from,
                    log_start,
                    log_end,
                });
            }
            let wanted = |bytes: &&Vec<u8>| BatchHeader::parse(bytes).unwrap().next_offset() > from;
            let bytes: Vec<u8> = state
                .batches
                .iter()
                .filter(wanted)
                .take(3)
                .flatten()
                .copied()
                .collect();
            Ok(RecordBytes::Memory(Bytes::from(bytes)))
        }

        pub(super) fn trim(&self, before: Offset) {
            let mut state = self.state.lock();
            state.start = state.start.max(before);
            state
                .batches
                .retain(|bytes| BatchHeader::parse(bytes).unwrap().next_offset() > before);
        }
    }
}
