//! Appending to a log: a batch is judged, gets its offsets, is written and published.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::batch::{BatchHeader, EndMarker, ValidBatch};
use crate::model::{LeaderEpoch, Offset, Timestamp};

use crate::storage::durability::commit::Urgency;
use crate::storage::format::producer_snapshot;
use crate::storage::log::epochs::Epochs;
use crate::storage::log::offsets::Mark;
use crate::storage::log::partition_log::{Log, Writer};
use crate::storage::log::producers::{Refusal, Step, Verdict};
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::options::{Durability, LogConfig};
use crate::storage::outcome::{AppendError, Appended, OutOfOrderSequence};

impl Log {
    /// Appends a batch: judges its sequence, assigns its offsets, writes, publishes.
    pub(in crate::storage) fn append(
        self: &Arc<Self>,
        batch: &ValidBatch,
        strict_sequence: bool,
    ) -> Result<Appended, AppendError> {
        let config = self.context.config.load();
        let size = batch.bytes.len() as u64;
        if size > config.segment_bytes {
            return Err(AppendError::TooLargeForSegment {
                size,
                max: config.segment_bytes,
            });
        }
        let mut writer = self.writer.lock();
        if self.context.is_deleted() {
            return Err(AppendError::Deleted);
        }
        if let Some(refusal) = self.context.core.refusal() {
            return Err(AppendError::Storage(refusal));
        }
        let now = self.context.core.clock.wall();
        // Nobody else moves the end.
        let mut view = self.published.load();
        let log_end = view.end.offset;
        let marker = match batch.header.is_control() {
            true => EndMarker::of(&batch.bytes),
            false => None,
        };
        let judged = self.judge(&mut writer, batch, marker, strict_sequence, log_end, now)?;
        if let Some(duplicate) = judged {
            return Ok(duplicate);
        }
        let header = BatchHeader {
            base_offset: log_end,
            leader_epoch: LeaderEpoch(self.context.leader_epoch.load(Ordering::SeqCst)),
            ..batch.header
        };
        if !self.context.may_use_reserve && !self.context.core.space.admit(size) {
            return Err(AppendError::Storage(self.context.core.space.refusal()));
        }
        if self.is_roll_due(&writer, &view, &header, &config, now) {
            self.roll(&mut writer, now);
            view = self.published.load();
        }
        let is_portion = self
            .context
            .in_room(|| self.write(&mut writer, &view, batch, &header, &config, now))
            .map_err(|error| AppendError::Storage(error.to_string()))?;
        let step = writer.producers.replay(&header, marker);
        let (committed, log_start) = self.publish(&header, step, &config, is_portion);
        let Writer {
            passing, producers, ..
        } = &mut *writer;
        if let Some(snapshot) = passing.appended(size, header.next_offset(), producers) {
            self.unsynced.lock().passing = Some(snapshot);
        }
        drop(writer);
        if committed {
            self.context.waiters.wake();
        }
        if config.durability == Durability::Memory {
            self.context.core.watch_memory();
        }
        Ok(Appended {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            log_append_time: header.is_log_append_time().then_some(header.max_timestamp),
            log_start,
            duplicate: false,
        })
    }

    /// The answer to a retry; `None` if the batch is to be appended.
    fn judge(
        &self,
        writer: &mut Writer,
        batch: &ValidBatch,
        marker: Option<EndMarker>,
        strict_sequence: bool,
        log_end: Offset,
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        let Some(stamp) = batch.header.producer() else {
            return Ok(None);
        };
        writer.producers.expire(
            now,
            self.context
                .core
                .producer_id_expiration_ms
                .load(Ordering::Relaxed),
        );
        let transactional = batch.header.is_transactional();
        let verdict = match batch.header.is_control() {
            true => writer.producers.judge_marker(&stamp, marker),
            false => (writer.producers).judge(&stamp, strict_sequence, transactional),
        };
        let partition = || self.context.directory.clone();
        match verdict {
            Ok(Verdict::Append) => Ok(None),
            Ok(Verdict::Duplicate(original)) => Ok(Some(Appended {
                base_offset: original.base_offset(),
                next_offset: original.next_offset(),
                // Kafka answers the batch's timestamp here, whoever set it.
                log_append_time: Some(original.timestamp()),
                log_start: self.published.load().log_start,
                duplicate: true,
            })),
            Err(Refusal::Epoch { last }) => Err(AppendError::InvalidProducerEpoch {
                producer_id: stamp.id.0,
                offset: log_end.0,
                partition: partition(),
                got: stamp.epoch.0,
                last,
            }),
            Err(Refusal::OutsideTransaction) => Err(AppendError::OutsideTransaction {
                producer_id: stamp.id.0,
                offset: log_end.0,
                partition: partition(),
            }),
            Err(Refusal::Coordinator { last }) => Err(AppendError::CoordinatorFenced {
                producer_id: stamp.id.0,
                offset: log_end.0,
                partition: partition(),
                got: marker.map_or(-1, |marker| marker.coordinator_epoch),
                last,
            }),
            Err(Refusal::Sequence(problem)) => Err(AppendError::OutOfOrderSequence(Box::new(
                OutOfOrderSequence {
                    producer_id: stamp.id.0,
                    offset: log_end,
                    partition: partition(),
                    got: stamp.first_sequence,
                    problem,
                },
            ))),
        }
    }

    /// Whether the batch should not go into the active segment (`LogSegment.shouldRoll`).
    fn is_roll_due(
        &self,
        writer: &Writer,
        view: &View,
        header: &BatchHeader,
        config: &LogConfig,
        now: Timestamp,
    ) -> bool {
        let Some(active) = view.segments.last().filter(|_| view.end.position > 0) else {
            return false;
        };
        let waited = match writer.first_timestamp.filter(|first| first.0 >= 0) {
            Some(first) => header.max_timestamp.0.saturating_sub(first.0),
            None => now.0.saturating_sub(writer.segment_created.0),
        };
        let segment_ms = config.segment_ms_max();
        let jitter_max = config.segment_jitter_ms.min(config.segment_ms).max(0);
        let jitter = if jitter_max == 0 {
            0
        } else {
            i64::from(writer.jitter) % jitter_max
        };
        let segment_bytes = config
            .segment_bytes
            .min(self.context.core.segment_bytes_max);
        let too_large = view.end.position + header.total_len() as u64 > segment_bytes;
        let too_old = waited > segment_ms.saturating_sub(jitter);
        let index_full = active
            .change_index(|index| index.is_full(config.segment_index_bytes))
            .unwrap_or(false);
        let out_of_reach = header.last_offset().0 - active.base.0 > i64::from(i32::MAX);
        too_large || too_old || index_full || out_of_reach || active.aborted.is_full()
    }

    /// Begins a new segment. What the producer snapshot at its base says.
    pub(in crate::storage) fn roll(&self, writer: &mut Writer, now: Timestamp) -> Vec<u8> {
        let core = &self.context.core;
        let snapshot = producer_snapshot::encode(&writer.producers.snapshot());
        let told = snapshot.clone();
        writer.passing.restart(snapshot.len());
        writer.first_timestamp = None;
        writer.segment_created = now;
        writer.jitter = core.random.lock().u32(..);
        self.published.update(|view| {
            let fresh = Arc::new(Segment::fresh(core.next_segment(), view.end.offset));
            let mut unsynced = self.unsynced.lock();
            if let Some(active) = view.segments.last() {
                active.seal(view.end.position);
                active.set_end(fresh.base);
                unsynced.sealed.push(active.clone());
            }
            unsynced.snapshots.push((fresh.base, snapshot));
            view.end = Mark {
                offset: fresh.base,
                segment: fresh.base,
                position: 0,
            };
            view.segments = view.segments.iter().cloned().chain([fresh]).collect();
        });
        told
    }

    /// Writes the batch at the log end; nothing is visible yet. Whether there are so many bytes to
    /// sync now that they should not wait for more. A write that failed leaves nothing behind, or is
    /// cut before the next one.
    fn write(
        &self,
        writer: &mut Writer,
        view: &View,
        batch: &ValidBatch,
        header: &BatchHeader,
        config: &LogConfig,
        now: Timestamp,
    ) -> io::Result<bool> {
        let (context, core) = (&self.context, &self.context.core);
        let Some(active) = view.segments.last() else {
            return Err(io::Error::other("a log without segments"));
        };
        let position = view.end.position;
        if !writer.exists {
            core.io.create_dir_all(&context.path)?;
            core.directories.lock().insert(context.directory.clone());
            writer.exists = true;
            let mut unsynced = self.unsynced.lock();
            (unsynced.new_directory, unsynced.epochs) = (true, true);
        }
        let file = active.writable_log_file(context.files(), position == 0)?;
        if position == 0 && config.preallocate {
            file.reserve(config.segment_bytes)?;
        }
        if writer.needs_cut {
            file.set_len(position)?;
            writer.needs_cut = false;
        }
        let prefix = batch.patched_prefix(header.base_offset, header.leader_epoch);
        let rest = batch.bytes.get(prefix.len()..).unwrap_or_default();
        if let Err(error) = file.write_all_at(&[&prefix, rest], position) {
            writer.needs_cut = file.set_len(position).is_err();
            tracing::warn!(partition = context.directory, %error, "cannot append");
            return Err(error);
        }
        active.change_index(|index| {
            index.note(active.base, header, position, config.index_interval_bytes)
        });
        if position == 0 {
            writer.first_timestamp = Some(header.max_timestamp);
        }
        if header.max_timestamp.0 < 0 {
            active.touch(now);
        }
        let mut unsynced = self.unsynced.lock();
        unsynced.new_entries |= position == 0;
        unsynced.add_file(&file, core);
        Ok(unsynced.add_bytes(header.total_len() as u64, now))
    }

    /// Makes an appended batch visible to those who may see it, and has it synced. Whether the
    /// high watermark moved, and the log start.
    fn publish(
        self: &Arc<Self>,
        header: &BatchHeader,
        step: Option<Step>,
        config: &LogConfig,
        is_portion: bool,
    ) -> (bool, Offset) {
        let (mut urgency, mut committed) = (None, false);
        let mut log_start = Offset(0);
        self.published.update_transactions(|view, unsettled| {
            log_start = view.log_start;
            if let Some(step) = step {
                unsettled.apply(step, view.end);
                // Before the marker settles anything: whoever may read the records must find that
                // they are aborted.
                if let (Some(entry), Some(active)) = (step.aborted(), view.segments.last()) {
                    active.aborted.add(entry);
                    self.unsynced.lock().add_aborted(active);
                }
            }
            let position = view.end.position + header.total_len() as u64;
            let next = header.next_offset();
            view.end = Mark {
                offset: next,
                segment: view.end.segment,
                position,
            };
            if view.epochs.latest() != Some(header.leader_epoch) {
                let mut epochs = Epochs::clone(&view.epochs);
                if epochs.assign(header.leader_epoch, header.base_offset) {
                    view.epochs = Arc::new(epochs);
                    self.unsynced.lock().epochs = true;
                }
            }
            let unflushed = next.0 - view.durable.0;
            (urgency, committed) = match config.durability {
                Durability::Fsync => (Some(Urgency::Now), false),
                // Where Kafka's `UnifiedLog.append` flushes, and its caller waits, the round syncs,
                // and those wait who wait for a commit.
                Durability::Os if unflushed >= config.flush_messages => (Some(Urgency::Now), false),
                Durability::Os if is_portion => (Some(Urgency::Now), true),
                Durability::Os => {
                    let flush_ms = u64::try_from(config.flush_ms).unwrap_or(0);
                    (Some(Urgency::Within(Duration::from_millis(flush_ms))), true)
                }
                Durability::Memory => {
                    view.durable = next;
                    (
                        self.unsynced.lock().has_chores().then_some(Urgency::Now),
                        true,
                    )
                }
            };
            if committed {
                view.committed = view.end;
            }
        });
        if let Some(urgency) = urgency {
            self.queue(urgency);
        }
        (committed, log_start)
    }
}
