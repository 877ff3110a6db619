//! The log of one partition: what it consists of, and who may hold what of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::model::{LeaderEpoch, Offset, Timestamp};

use crate::storage::core::Context;
use crate::storage::durability::commit::Urgency;
use crate::storage::log::epochs::Epochs;
use crate::storage::log::passing::PassingSnapshots;
use crate::storage::log::producers::Producers;
use crate::storage::log::progress::Progress;
use crate::storage::log::transactions::Unsettled;
use crate::storage::log::unsynced::Unsynced;
use crate::storage::log::view::{Published, View};
use crate::storage::upkeep::swap::Reshaping;

/// The log of one partition.
#[derive(Debug)]
pub(in crate::storage) struct Log {
    pub(super) context: Arc<Context>,
    pub(super) published: Published,
    pub(super) writer: Mutex<Writer>,
    pub(super) unsynced: Mutex<Unsynced>,
    /// Held while files are written by their names beside the batches, never during a sync.
    pub(super) naming: Mutex<()>,
    /// Where the last snapshot within the active segment is.
    pub(super) passed: Mutex<Option<Offset>>,
    /// Held while aborted transactions are looked for.
    pub(in crate::storage) finding_aborted: Mutex<()>,
    /// Held by whoever takes segments out of the view or puts others there, while it exchanges
    /// their files: retention and the cleaner must not rename the same ones.
    /// Nobody who appends or commits ever takes it, so it may be held across a sync.
    upkeep: Mutex<Reshaping>,
    /// What was written of the active segment beside its batches.
    pub(in crate::storage) progress: Mutex<Progress>,
    /// When the log was taken up: the age of segments that say nothing of theirs.
    opened: Timestamp,
    /// Whether the commit thread has it on its list.
    pub(super) queued: AtomicBool,
    /// Whether that is the list of what must be synced now.
    pub(super) queued_urgently: AtomicBool,
}

/// What only the appending thread knows. Its lock is held for one append: never across an await
/// and never across a sync.
#[derive(Debug)]
pub(in crate::storage) struct Writer {
    pub(in crate::storage) producers: Producers,
    /// Whether the directory exists.
    pub(in crate::storage) exists: bool,
    /// Largest timestamp of the first batch of the active segment: the start of `segment.ms`.
    pub(in crate::storage) first_timestamp: Option<Timestamp>,
    /// When the active segment was begun or opened, for batches without timestamps.
    pub(in crate::storage) segment_created: Timestamp,
    /// By how much the active segment is rolled earlier, as a fraction of the largest jitter.
    pub(in crate::storage) jitter: u32,
    /// Whether bytes of a failed write may lie behind the log end.
    pub(in crate::storage) needs_cut: bool,
    /// When the producers are to be written out next.
    pub(in crate::storage) passing: PassingSnapshots,
}

impl Log {
    pub(in crate::storage) fn new(
        context: Arc<Context>,
        view: View,
        unsettled: Unsettled,
        writer: Writer,
    ) -> Arc<Self> {
        let opened = context.core.clock.wall();
        Arc::new(Self {
            context,
            opened,
            published: Published::new(view, unsettled),
            passed: Mutex::new(None),
            finding_aborted: Mutex::new(()),
            writer: Mutex::new(writer),
            unsynced: Mutex::default(),
            naming: Mutex::new(()),
            progress: Mutex::default(),
            upkeep: Mutex::default(),
            queued: AtomicBool::new(false),
            queued_urgently: AtomicBool::new(false),
        })
    }

    pub(in crate::storage) fn context(&self) -> &Context {
        &self.context
    }

    pub(in crate::storage) fn published(&self) -> &Published {
        &self.published
    }

    /// Waits for the append that is going on, if any, and keeps others from beginning.
    pub(in crate::storage) fn stop_writer(&self) -> parking_lot::MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Waits until no file is being written by its name, and keeps that from beginning: the
    /// directory's name may soon be that of another topic's.
    pub(in crate::storage) fn stop_naming(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.naming.lock()
    }

    /// Keeps others from exchanging segments. Taken before [`stop_naming`](Self::stop_naming).
    pub(in crate::storage) fn stop_upkeep(&self) -> parking_lot::MutexGuard<'_, Reshaping> {
        self.upkeep.lock()
    }

    /// As [`stop_upkeep`](Self::stop_upkeep); `None` instead of waiting.
    pub(in crate::storage) fn try_stop_upkeep(
        &self,
    ) -> Option<parking_lot::MutexGuard<'_, Reshaping>> {
        self.upkeep.try_lock()
    }

    /// When the log was taken up.
    pub(in crate::storage) fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Puts the log on the commit thread's list, unless it is there.
    pub(in crate::storage) fn queue(self: &Arc<Self>, urgency: Urgency) {
        let listed = match urgency {
            Urgency::Now => &self.queued_urgently,
            Urgency::Within(_) => &self.queued,
        };
        if !listed.swap(true, Ordering::SeqCst) {
            let core = &self.context.core;
            core.commit
                .queue(self.clone(), urgency, core.clock.monotonic());
        }
    }

    /// Publishes a new log start, which is durable.
    pub(in crate::storage) fn move_log_start(&self, log_start: Offset) {
        self.published.update(|view| {
            view.log_start = view.log_start.max(log_start);
            // Their file need not say so: whoever reads it knows the log start.
            let mut epochs = Epochs::clone(&view.epochs);
            if epochs.cut_front(view.log_start) {
                view.epochs = Arc::new(epochs);
            }
        });
    }

    /// Stamps `epoch`, which is newer than the last, on what comes.
    pub(in crate::storage) fn begin_epoch(&self, epoch: LeaderEpoch) {
        let _writer = self.writer.lock();
        self.published.update(|view| {
            let mut epochs = Epochs::clone(&view.epochs);
            if epochs.assign(epoch, view.end.offset) {
                view.epochs = Arc::new(epochs);
                self.unsynced.lock().epochs = true;
            }
        });
    }
}
