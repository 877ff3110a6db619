//! Making appended bytes durable, for all partitions of a store together.
//!
//! One thread. It takes all logs that have unsynced bytes, syncs them a few at a time, and makes
//! known what is durable; what is appended meanwhile waits for the next round. There is no timer
//! in this: a lone append is synced at once, and under load each round carries whatever queued
//! while the one before it ran.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::io::Persist;

use super::core::Core;
use super::log::Log;
use super::parallel;

/// Logs that are synced at the same time. The file system's own journal joins what arrives
/// together, so a few are enough, and more would only be threads.
const PARALLEL_SYNCS: usize = 4;

/// How long a log that answers from the page cache may stay unsynced.
const LAZY_SYNC: Duration = Duration::from_secs(1);

/// How often the recovery points are written (`log.flush.offset.checkpoint.interval.ms`).
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// When a log is to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// In the next round.
    Now,
    /// Within [`LAZY_SYNC`] and this.
    Within(Duration),
}

/// The queue of the commit thread.
#[derive(Debug, Default)]
pub(super) struct Commit {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    urgent: Vec<Arc<Log>>,
    lazy: Vec<Arc<Log>>,
    /// When the lazy ones are due, in the clock's monotonic time.
    lazy_due: Option<Duration>,
    /// Whether recovery points changed since they were written.
    points_changed: bool,
    /// Files and directories of the store itself that the first round makes durable.
    formatting: Option<Formatting>,
    stopped: bool,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What opening a store changed in its directory.
#[derive(Debug)]
pub(super) struct Formatting {
    /// Files that were written.
    pub(super) files: Vec<Arc<dyn crate::io::File>>,
}

impl Commit {
    /// Starts the thread of a store.
    pub(super) fn start(core: &Arc<Core>, formatting: Formatting) -> std::io::Result<()> {
        let shared = core.clone();
        let mut state = core.commit.state.lock();
        state.formatting = Some(formatting);
        state.thread = Some(
            std::thread::Builder::new()
                .name("klamm-commit".to_owned())
                .stack_size(512 * 1024)
                .spawn(move || run(&shared))?,
        );
        Ok(())
    }

    /// Hands a log to the thread; `now` is the clock's monotonic time. The caller sees to it that a log is not queued twice.
    pub(super) fn queue(&self, log: Arc<Log>, urgency: Urgency, now: Duration) {
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        match urgency {
            Urgency::Now => state.urgent.push(log),
            Urgency::Within(delay) => {
                let due = now + delay.min(LAZY_SYNC);
                state.lazy_due = Some(state.lazy_due.map_or(due, |earlier| earlier.min(due)));
                state.lazy.push(log);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Ends the thread, without a last round, and waits for it.
    pub(super) fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stopped = true;
            state.thread.take()
        };
        self.changed.notify_one();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the commit thread panicked");
        }
        // A log holds its store: let go of them.
        let mut state = self.state.lock();
        (state.urgent, state.lazy) = (Vec::new(), Vec::new());
    }
}

fn run(core: &Core) {
    let mut next_checkpoint = core.clock.monotonic() + CHECKPOINT_INTERVAL;
    loop {
        let Some(round) = next_round(core, &mut next_checkpoint) else {
            return;
        };
        if let Some(formatting) = round.formatting {
            let synced = formatting
                .files
                .iter()
                .try_for_each(|file| file.sync_data());
            if let Err(error) = synced.and_then(|()| core.io.sync_dir(&core.dir)) {
                core.fail(&error);
            }
        }
        if !round.logs.is_empty() {
            sync_all(core, &round.logs);
            core.commit.state.lock().points_changed = true;
        }
        if round.checkpoint
            && let Err(error) = core.write_recovery_points(Persist::Lazy)
        {
            tracing::warn!(%error, "cannot write the recovery points");
        }
    }
}

/// What one round has to do.
#[derive(Debug, Default)]
struct Round {
    formatting: Option<Formatting>,
    logs: Vec<Arc<Log>>,
    checkpoint: bool,
}

/// Waits for work; `None` at the end.
fn next_round(core: &Core, next_checkpoint: &mut Duration) -> Option<Round> {
    let commit = &core.commit;
    let mut state = commit.state.lock();
    loop {
        if state.stopped {
            return None;
        }
        let now = core.clock.monotonic();
        let lazy_is_due = state.lazy_due.is_some_and(|due| due <= now);
        let checkpoint = state.points_changed && *next_checkpoint <= now;
        if !state.urgent.is_empty() || lazy_is_due || checkpoint {
            let mut logs = std::mem::take(&mut state.urgent);
            if lazy_is_due {
                logs.append(&mut state.lazy);
                state.lazy_due = None;
            }
            // Two syncs of one log at a time would take each other's work: the one that finds
            // nothing left to sync would call durable what the other is still syncing.
            logs.sort_unstable_by_key(Arc::as_ptr);
            logs.dedup_by(|one, other| Arc::ptr_eq(one, other));
            if checkpoint {
                state.points_changed = false;
                *next_checkpoint = now + CHECKPOINT_INTERVAL;
            }
            let formatting = if logs.is_empty() {
                None
            } else {
                state.formatting.take()
            };
            return Some(Round {
                formatting,
                logs,
                checkpoint,
            });
        }
        let checkpoint_due = state.points_changed.then_some(*next_checkpoint);
        match state.lazy_due.into_iter().chain(checkpoint_due).min() {
            Some(due) => {
                commit.changed.wait_for(&mut state, due.saturating_sub(now));
            }
            None => commit.changed.wait(&mut state),
        }
    }
}

fn sync_all(core: &Core, logs: &[Arc<Log>]) {
    parallel::for_each(logs, PARALLEL_SYNCS, |log| {
        if core.refusal().is_none()
            && let Err(error) = log.sync()
        {
            core.fail(&error);
        }
        // After a failure everybody who waits must hear of it.
        log.context().watch.wake();
    });
}
