//! One partition, as the rooms above see it: its log is opened when it is first used.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::batch::ValidBatch;
use crate::model::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicId, TopicPartition};

use super::core::Context;
use super::options::{Durability, LogConfig};
use super::outcome::{
    AppendError, Appended, Isolation, LogSize, ReadError, ReadOutcome, TimestampOffset,
};
use crate::storage::durability::commit::Urgency;
use crate::storage::log::offsets::Offsets;
use crate::storage::log::partition_log::Log;
use crate::storage::recovery::load;
use crate::storage::upkeep::cleaner::Cleaner;
use crate::storage::upkeep::delete_records;
use crate::wake::Changed;

/// How often an append to a log in memory is tried that finds the memory full.
const FREE_MEMORY_TRIES: usize = 4;

/// One partition's log. All methods are quick and may be called on a runtime thread, except where
/// they say so; the first use of a log after a start may read from disk.
#[derive(Debug)]
pub struct Partition {
    context: Arc<Context>,
    log: OnceLock<Arc<Log>>,
    /// Held while the log is opened, so that it is opened once.
    opening: Mutex<()>,
}

impl From<ReadError> for AppendError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Deleted => Self::Deleted,
            ReadError::Storage(reason) => Self::Storage(reason),
            ReadError::OutOfRange { .. } | ReadError::Corrupt { .. } => {
                Self::Storage(error.to_string())
            }
        }
    }
}

impl Partition {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context: Arc::new(context),
            log: OnceLock::new(),
            opening: Mutex::new(()),
        }
    }

    /// The log, opened if this is its first use. A failure is not remembered.
    pub(super) fn log(&self) -> Result<&Arc<Log>, ReadError> {
        if let Some(log) = self.log.get() {
            return Ok(log);
        }
        let _opened_once = self.opening.lock();
        if self.context.is_deleted() {
            return Err(ReadError::Deleted);
        }
        if let Some(log) = self.log.get() {
            return Ok(log);
        }
        let log = load::open(&self.context).map_err(|error| {
            tracing::error!(partition = self.context.directory, %error, "cannot open the log");
            ReadError::Storage(error.to_string())
        })?;
        Ok(self.log.get_or_init(|| log))
    }

    /// The log, if it was used.
    pub(super) fn opened_log(&self) -> Option<&Arc<Log>> {
        self.log.get()
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Refuses every use from now on, and waits for those that are going on. Then `then` is free
    /// to move the files.
    pub(super) fn end(&self, then: impl FnOnce()) {
        let _no_opening = self.opening.lock();
        self.context.deleted.store(true, Ordering::SeqCst);
        // Whoever replaces segments gives up at its next step.
        let stopped = self
            .log
            .get()
            .map(|log| (log.stop_upkeep(), log.stop_writer(), log.stop_naming()));
        then();
        drop(stopped);
        if let Some(log) = self.log.get() {
            for segment in &*log.published().load().segments {
                self.context.core.files.forget(segment.number);
            }
        }
        self.context.waiters.wake();
    }

    /// Which partition.
    pub fn id(&self) -> TopicPartition {
        self.context.id
    }

    /// Its topic's id.
    pub fn topic(&self) -> TopicId {
        self.context.id.topic
    }

    /// Its number.
    pub fn number(&self) -> PartitionId {
        self.context.id.partition
    }

    /// Current leader epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.context.leader_epoch.load(Ordering::SeqCst))
    }

    /// Stamps a newer leader epoch on what is appended from now on; an older one is ignored. The
    /// metadata log learns its epoch only from what it holds, after it was attached.
    pub fn begin_epoch(&self, epoch: LeaderEpoch) {
        let before = self
            .context
            .leader_epoch
            .fetch_max(epoch.0, Ordering::SeqCst);
        if before < epoch.0
            && let Some(log) = self.log.get()
        {
            log.begin_epoch(epoch);
        }
    }

    /// Takes new settings.
    pub fn reconfigure(&self, config: Arc<LogConfig>) {
        let before = self.context.config.swap(config.clone());
        if before.durability != config.durability
            && let Some(log) = self.log.get()
        {
            if before.durability == Durability::Memory {
                log.distrust_handles();
            }
            // What was promised from the page cache so far is promised from the disk from now on.
            if config.durability == Durability::Fsync {
                log.queue(Urgency::Now);
            }
        }
        if config.compact {
            Cleaner::start(&self.context.core);
        }
    }

    /// The offsets now.
    pub fn offsets(&self) -> Result<Offsets, ReadError> {
        Ok(self.log()?.published().load().offsets())
    }

    /// Checks the producer's sequence, assigns offsets, writes. `strict_sequence`: a producer
    /// without state must begin at sequence 0 (Produce 12 and later).
    pub fn append(
        &self,
        batch: ValidBatch,
        strict_sequence: bool,
    ) -> Result<Appended, AppendError> {
        let log = self.log()?;
        let mut appended = log.append(&batch, strict_sequence);
        for _ in 0..FREE_MEMORY_TRIES {
            // What another append takes meanwhile is freed again.
            let full = matches!(appended, Err(AppendError::Storage(_)));
            if !full || !self.context.core.free_memory() {
                break;
            }
            appended = log.append(&batch, strict_sequence);
        }
        appended
    }

    /// Whether everything below `offset` is committed, as [`Self::committed`] waits for.
    pub fn is_committed(&self, offset: Offset) -> bool {
        self.log()
            .is_ok_and(|log| log.published().load().committed.offset >= offset)
    }

    /// Waits until everything below `offset` is committed: durable as the mode promises, and
    /// below the high watermark. `Err` when the disk failed or the partition went away.
    pub async fn committed(&self, offset: Offset) -> Result<(), AppendError> {
        let log = self.log()?;
        if log.published().load().committed.offset >= offset {
            return Ok(());
        }
        let health = &self.context.core.health;
        loop {
            // From here on no wake-up is missed.
            let changed = self.changed(self.changes());
            let mut offline = std::pin::pin!(health.went_offline.notified());
            offline.as_mut().enable();
            if log.published().load().committed.offset >= offset {
                return Ok(());
            }
            if self.context.is_deleted() {
                return Err(AppendError::Deleted);
            }
            if let Some(refusal) = self.context.core.refusal() {
                return Err(AppendError::Storage(refusal));
            }
            tokio::select! {
                () = changed => {}
                () = offline => {}
            }
        }
    }

    /// Reads whole batches from the one that contains `from`, at most `max_bytes`; the first
    /// batch in full even if it is larger, where `at_least_one` is set.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        self.log()?.read(from, max_bytes, at_least_one, isolation)
    }

    /// The first record with a timestamp of at least `at`, below the isolation's bound.
    pub fn first_at_or_after(
        &self,
        at: Timestamp,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        self.log()?.first_at_or_after(at, isolation)
    }

    /// The first record that carries the largest timestamp of the partition.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        self.log()?.max_timestamp()
    }

    /// End offset of the largest epoch ≤ `epoch`, as OffsetForLeaderEpoch answers:
    /// that epoch and its end, or `None` where it is unknown.
    pub fn epoch_end(
        &self,
        epoch: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ReadError> {
        let view = self.log()?.published().load();
        Ok(view.epochs.end_of(epoch, view.end.offset))
    }

    /// The leader epoch that `offset` falls into; at the log end, the current one.
    pub fn epoch_at(&self, offset: Offset) -> Result<Option<LeaderEpoch>, ReadError> {
        Ok(self.log()?.published().load().epochs.at(offset))
    }

    /// Moves the log start (DeleteRecords), at most to the high watermark; durable when it
    /// returns. The new log start. Waits for the disk.
    pub fn delete_records(&self, before: Offset) -> Result<Offset, ReadError> {
        let log = self.log()?;
        let deleted = delete_records::delete(&self.context.core, vec![Ok((log, before))]);
        deleted
            .into_iter()
            .next()
            .unwrap_or(Err(ReadError::Deleted))
    }

    /// Removes the files of segments that lie wholly below the log start, as far as their
    /// successors are durable. Waits for the disk.
    pub fn remove_deleted_segments(&self) -> Result<(), ReadError> {
        self.log()?
            .remove_segments_below_start()
            .map_err(|error| ReadError::Storage(error.to_string()))
    }

    /// Bytes on disk.
    pub fn size(&self) -> LogSize {
        let Ok(log) = self.log() else {
            return LogSize::default();
        };
        let view = log.published().load();
        let sealed = view
            .segments
            .iter()
            .filter_map(|segment| segment.sealed_len());
        LogSize {
            bytes: sealed.sum::<u64>() + view.end.position,
        }
    }

    /// How often what a reader may see has changed; deletion is a change, too. Taken before a look,
    /// it says to [`changed`](Self::changed) what was seen.
    pub fn changes(&self) -> u64 {
        self.context.waiters.count()
    }

    /// Ends when there are more changes than that.
    pub fn changed(&self, since: u64) -> Changed<'_> {
        self.context.waiters.changed(since)
    }
}
