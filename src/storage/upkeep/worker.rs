//! Having old segments go, in the background: one thread for all partitions of a store.
//!
//! It makes a pass over all of them every `log.retention.check.interval.ms`, the first after
//! `log.initial.task.delay.ms`; soon after records were deleted on request, one over those
//! partitions; and it frees memory where logs live in memory and that runs low. Nobody who
//! appends waits for it: it takes their locks for the moment that a view, or a new segment, takes,
//! and after each stretch of work on the disk it rests for as long as that took.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxBuildHasher;

use crate::model::TopicPartition;

use crate::storage::core::Core;
use crate::storage::options::Upkeep as Intervals;
use crate::storage::partition::Partition;
use crate::storage::thread::Thread;
use crate::storage::upkeep::memory_bound;
use crate::storage::upkeep::retention::{self, Rules};
use crate::storage::upkeep::trim::{Freed, Haste};
use crate::storage::upkeep::wall_clock::WallClock;

/// The partitions of a store. Every request looks for one; the ids of topics are random, and no
/// client chooses them.
pub(in crate::storage) type Partitions = DashMap<TopicPartition, Arc<Partition>, FxBuildHasher>;

/// How long after records were deleted on request their segments go: those of one request, and of
/// others that come at the same time, go together.
const REQUEST_DELAY: Duration = Duration::from_secs(1);

/// Longest rest after a stretch of work.
const REST_MAX: Duration = Duration::from_secs(1);

/// What the thread is told, and the thread.
#[derive(Debug)]
pub(in crate::storage) struct Upkeep {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the thread was told that memory runs low, so that only one append tells it.
    memory_low: AtomicBool,
    wall: Mutex<WallClock>,
}

#[derive(Debug, Default)]
struct State {
    /// Partitions whose log start moved past a segment.
    requested: HashSet<TopicPartition>,
    /// When the first of them is due.
    requested_due: Option<Duration>,
    stopped: bool,
    thread: Thread,
}

/// What the thread woke up for.
enum Task {
    Everything,
    These(HashSet<TopicPartition>),
    Memory,
}

impl Upkeep {
    pub(in crate::storage) fn new(wall: WallClock) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            memory_low: AtomicBool::new(false),
            wall: Mutex::new(wall),
        }
    }

    /// Starts the thread of a store; none, where it would never have anything to do.
    pub(in crate::storage) fn start(
        core: &Arc<Core>,
        partitions: &Arc<Partitions>,
        intervals: &Intervals,
    ) -> std::io::Result<()> {
        if intervals.retention_check_interval_ms == i64::MAX {
            return Ok(());
        }
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let interval = ms(intervals.retention_check_interval_ms.max(1));
        let first = core.clock.monotonic() + ms(intervals.initial_task_delay_ms);
        let (shared, partitions) = (core.clone(), partitions.clone());
        let work = move || run(&shared, &partitions, first, interval);
        core.upkeep.state.lock().thread = Thread::start("klamm-upkeep", 512, work)?;
        Ok(())
    }

    /// Ends the thread and waits for it.
    pub(in crate::storage) fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stopped = true;
            std::mem::take(&mut state.thread)
        };
        self.changed.notify_all();
        thread.join();
    }

    /// Has a partition looked at soon: its log start passed a segment.
    pub(in crate::storage) fn request(&self, partition: TopicPartition, now: Duration) {
        let mut state = self.state.lock();
        state.requested.insert(partition);
        state.requested_due.get_or_insert(now + REQUEST_DELAY);
        drop(state);
        self.changed.notify_all();
    }

    /// Has memory freed soon.
    pub(in crate::storage) fn note_low_memory(&self) {
        if !self.memory_low.swap(true, Ordering::SeqCst) {
            // Under the lock, or the thread might go to sleep between its look and this.
            drop(self.state.lock());
            self.changed.notify_all();
        }
    }

    /// What a pass goes by now.
    pub(in crate::storage) fn rules(&self, core: &Core, haste: Haste) -> Rules {
        let now = self.wall.lock().look(&*core.clock);
        Rules { now, haste }
    }

    /// Rests, unless the store stops; whether it goes on.
    fn rest(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.stopped && !time.is_zero() {
            self.changed.wait_for(&mut state, time.min(REST_MAX));
        }
        !state.stopped
    }

    /// Waits for something to do; `None` at the end.
    fn next_task(&self, core: &Core, next_pass: Duration) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if self.memory_low.swap(false, Ordering::SeqCst) {
                return Some(Task::Memory);
            }
            let now = core.clock.monotonic();
            if next_pass <= now {
                return Some(Task::Everything);
            }
            if state.requested_due.is_some_and(|due| due <= now) {
                state.requested_due = None;
                return Some(Task::These(std::mem::take(&mut state.requested)));
            }
            let due = state
                .requested_due
                .map_or(next_pass, |due| due.min(next_pass));
            self.changed.wait_for(&mut state, due - now);
        }
    }
}

fn run(core: &Core, partitions: &Partitions, first: Duration, interval: Duration) {
    let mut next_pass = first;
    while let Some(task) = core.upkeep.next_task(core, next_pass) {
        let mut since = core.clock.monotonic();
        let pace = || {
            let worked = core.clock.monotonic().saturating_sub(since);
            let goes_on = core.upkeep.rest(worked);
            since = core.clock.monotonic();
            goes_on
        };
        let haste = match core.space.is_low() {
            true => Haste::AtOnce,
            false => Haste::Usual,
        };
        let rules = core.upkeep.rules(core, haste);
        match task {
            Task::Memory => memory_bound::free(core, partitions),
            Task::Everything => {
                retention::pass(core, &all(partitions), rules, pace);
                next_pass = core.clock.monotonic() + interval;
            }
            Task::These(requested) => {
                let these: Vec<Arc<Partition>> = requested
                    .iter()
                    .filter_map(|id| Some(partitions.get(id)?.clone()))
                    .collect();
                retention::pass(core, &these, rules, pace);
            }
        }
    }
}

/// All partitions, as of now.
pub(in crate::storage) fn all(partitions: &Partitions) -> Vec<Arc<Partition>> {
    partitions
        .iter()
        .map(|entry| entry.value().clone())
        .collect()
}

/// A pass over all partitions, on this thread and without rests.
pub(in crate::storage) fn pass_now(core: &Core, partitions: &Partitions, haste: Haste) -> Freed {
    let rules = core.upkeep.rules(core, haste);
    let freed = retention::pass(core, &all(partitions), rules, || true);
    if haste == Haste::AtOnce {
        core.removal.hurry(&core.io);
    }
    freed
}
