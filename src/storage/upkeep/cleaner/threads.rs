//! When logs are cleaned: threads that take the dirtiest log each, and rest where there is none.
//!
//! They start with the first partition that is compacted, so that a broker without one has none.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};

use crate::model::TopicPartition;

use super::key_map::KeyMap;
use super::pass::Pass;
use super::points::CleanPoints;
use super::select::{Dirty, dirty};
use super::superseded::Superseded;
use super::throttle::Throttle;
use super::{CleanError, Cleaned, Counts};
use crate::storage::core::Core;
use crate::storage::log::partition_log::Log;
use crate::storage::options::CleanerOptions;
use crate::storage::partition::Partition;
use crate::storage::thread::Thread;
use crate::storage::upkeep::worker::{self, Partitions};

/// Least bytes of a thread's buffer for reading, and of that for writing.
const BUFFER_BYTES_MIN: u64 = 4 * 1024;

/// What part of the memory for keys there is beside it for bits by offset: enough for six offsets
/// to every key that fits.
const SUPERSEDED_SHARE: u64 = 32;

/// The cleaner of a store.
#[derive(Debug)]
pub(in crate::storage) struct Cleaner {
    options: ArcSwap<CleanerOptions>,
    throttle: Arc<Throttle>,
    pub(in crate::storage) points: CleanPoints,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there are compacted partitions.
    wanted: bool,
    threads: Vec<Thread>,
    /// Logs that a thread is busy with.
    in_progress: HashSet<TopicPartition>,
    /// Logs that cannot be read. A start tries them again.
    uncleanable: HashSet<TopicPartition>,
    /// Logs of which the disk would not have it, and when they are tried again.
    postponed: HashMap<TopicPartition, Duration>,
}

/// A log that this thread alone cleans, as long as it has this.
struct Claim<'a> {
    cleaner: &'a Cleaner,
    id: TopicPartition,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.cleaner.state.lock().in_progress.remove(&self.id);
    }
}

impl Cleaner {
    pub(in crate::storage) fn new(
        options: CleanerOptions,
        clock: &crate::clock::SharedClock,
        points: CleanPoints,
    ) -> Self {
        Self {
            throttle: Throttle::new(clock.clone(), options.io_max_bytes_per_second),
            options: ArcSwap::from_pointee(options),
            points,
            state: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Takes new settings: of the rate at once, of buffers and the map with the next log, of
    /// threads as soon as those that are too many have finished theirs.
    pub(in crate::storage) fn set_options(core: &Arc<Core>, options: CleanerOptions) {
        let cleaner = &core.cleaner;
        cleaner.throttle.set_rate(options.io_max_bytes_per_second);
        cleaner.options.store(Arc::new(options));
        cleaner.changed.notify_all();
        if cleaner.state.lock().wanted {
            Self::start(core);
        }
    }

    /// Starts the threads, unless they run.
    pub(in crate::storage) fn start(core: &Arc<Core>) {
        let cleaner = &core.cleaner;
        let options = cleaner.options.load();
        let mut state = cleaner.state.lock();
        state.wanted = true;
        if !options.enable || cleaner.is_stopped() {
            return;
        }
        for number in state.threads.len()..options.threads.max(1) {
            let shared = core.clone();
            let name = format!("klamm-clean-{number}");
            match Thread::start(&name, 512, move || run(&shared, number)) {
                Ok(thread) => state.threads.push(thread),
                Err(error) => tracing::warn!(%error, "no thread to compact logs"),
            }
        }
    }

    /// Ends the threads, in the midst of a log too, and waits for them.
    pub(in crate::storage) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.throttle.stop();
        let threads = std::mem::take(&mut self.state.lock().threads);
        self.changed.notify_all();
        threads.into_iter().for_each(Thread::join);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Rests until there may be work; whether to go on.
    fn rest(&self, core: &Core, number: usize) -> bool {
        let backoff = self.options.load().backoff_ms;
        let backoff = Duration::from_millis(u64::try_from(backoff).unwrap_or(0));
        let until = core.clock.monotonic() + backoff;
        let mut state = self.state.lock();
        while !self.is_stopped() {
            let rest = until.saturating_sub(core.clock.monotonic());
            if number >= self.options.load().threads.max(1) {
                // There are more threads than are wanted now.
                self.changed.wait(&mut state);
            } else if rest.is_zero() {
                return true;
            } else {
                self.changed.wait_for(&mut state, rest);
            }
        }
        false
    }

    /// Cleans the dirtiest log that is due, if there is one that nobody else is at.
    pub(in crate::storage) fn clean_dirtiest(
        &self,
        core: &Core,
        partitions: &Partitions,
    ) -> Option<Cleaned> {
        let mut found: Vec<(f64, Arc<Partition>)> = worker::all(partitions)
            .into_iter()
            .filter(|partition| is_compacted(core, partition) && self.is_free(core, partition.id()))
            .filter_map(|partition| Some((self.survey(core, &partition)?.1.ratio, partition)))
            .collect();
        found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        found
            .into_iter()
            .find_map(|(_, partition)| self.clean(core, &partition))
    }

    /// Cleans a log, unless somebody else is at it, or was since it was looked at.
    fn clean(&self, core: &Core, partition: &Partition) -> Option<Cleaned> {
        let _claim = self.claim(core, partition.id())?;
        let (log, dirty) = self.survey(core, partition)?;
        let (context, part) = (partition.context(), dirty.part);
        let options = self.options.load();
        let share = |bytes: u64| bytes / options.threads.max(1) as u64;
        let buffer = (share(options.io_buffer_bytes) / 2).max(BUFFER_BYTES_MIN);
        let secret = core.random.lock().u128(..);
        // Each offset has one key at most.
        let offsets = u64::try_from(part.end.0 - part.first_dirty.0).unwrap_or(0);
        let enough = KeyMap::bytes_for(offsets, options.load_factor);
        let bytes = share(options.dedupe_buffer_bytes).min(enough);
        let superseded = Superseded::among(
            part.first_dirty..part.end,
            share(options.dedupe_buffer_bytes) / SUPERSEDED_SHARE,
        );
        let keys = KeyMap::new(bytes, options.load_factor, secret).telling(superseded);
        let mut counts = Counts::default();
        let pass = Pass {
            log,
            part,
            throttle: &self.throttle,
            buffer_bytes: usize::try_from(buffer).unwrap_or(usize::MAX),
            now: core.clock.wall(),
            stopped: &|| self.is_stopped(),
        };
        let to = match pass.run(keys, &mut counts) {
            Ok(to) => to,
            Err(error) => {
                self.give_up(core, partition, &error);
                return None;
            }
        };
        tracing::info!(
            partition = context.directory,
            from = part.first_dirty.0,
            to = to.0,
            read = counts.bytes_read,
            written = counts.bytes_written,
            keys = counts.keys,
            segments = counts.segments,
            "compacted"
        );
        let (io, is_deleted) = (&*core.io, || context.is_deleted());
        if let Err(error) = self
            .points
            .set(io, &core.dir, &context.directory, to, is_deleted)
        {
            tracing::warn!(%error, "cannot write the cleaner's checkpoint");
        }
        Some(Cleaned {
            partition: partition.id(),
            from: part.first_dirty,
            to,
            counts,
        })
    }

    /// What there is to clean in a partition's log, if it is due.
    fn survey<'a>(&self, core: &Core, partition: &'a Partition) -> Option<(&'a Arc<Log>, Dirty)> {
        let context = partition.context();
        let log = partition.log().ok()?;
        let clean_to = self.points.get(&context.directory);
        match dirty(log, clean_to, core.clock.wall()) {
            Ok(found) => found.map(|dirty| (log, dirty)),
            Err(error) => {
                tracing::debug!(partition = context.directory, %error, "cannot tell what is dirty");
                None
            }
        }
    }

    fn is_free(&self, core: &Core, id: TopicPartition) -> bool {
        self.state.lock().is_free(id, core.clock.monotonic())
    }

    fn claim(&self, core: &Core, id: TopicPartition) -> Option<Claim<'_>> {
        let mut state = self.state.lock();
        (state.is_free(id, core.clock.monotonic()) && state.in_progress.insert(id))
            .then_some(Claim { cleaner: self, id })
    }

    /// Takes note of a log that could not be cleaned, so that others get their turn.
    fn give_up(&self, core: &Core, partition: &Partition, error: &CleanError) {
        let directory = &partition.context().directory;
        match error {
            CleanError::Stopped | CleanError::Changed => {
                tracing::debug!(partition = directory, %error, "gave up compacting");
            }
            CleanError::Damaged { .. } | CleanError::Undecodable { .. } => {
                tracing::error!(
                    partition = directory,
                    %error,
                    "cannot compact: the log stays as it is, and grows, until it is repaired and \
                     the broker is started again"
                );
                self.state.lock().uncleanable.insert(partition.id());
            }
            CleanError::Io(_) => {
                tracing::warn!(partition = directory, %error, "cannot compact now");
                let backoff = self.options.load().backoff_ms;
                let backoff = Duration::from_millis(u64::try_from(backoff).unwrap_or(0));
                let until = core.clock.monotonic() + backoff;
                self.state.lock().postponed.insert(partition.id(), until);
            }
        }
    }

    /// Forgets a partition that is deleted.
    pub(in crate::storage) fn forget(&self, id: TopicPartition) {
        let mut state = self.state.lock();
        state.uncleanable.remove(&id);
        state.postponed.remove(&id);
    }
}

impl State {
    /// Whether a thread may take it up.
    fn is_free(&self, id: TopicPartition, now: Duration) -> bool {
        !self.in_progress.contains(&id)
            && !self.uncleanable.contains(&id)
            && self.postponed.get(&id).is_none_or(|until| *until <= now)
    }
}

/// Whether a partition is compacted, and has files. One without is empty.
fn is_compacted(core: &Core, partition: &Partition) -> bool {
    let context = partition.context();
    context.config.load().compact
        && !context.is_deleted()
        && core.directories.lock().contains(&context.directory)
}

fn run(core: &Core, number: usize) {
    let cleaner = &core.cleaner;
    while !cleaner.is_stopped() {
        let partitions = core.partitions.get().and_then(std::sync::Weak::upgrade);
        let cleaned = partitions.and_then(|all| cleaner.clean_dirtiest(core, &all));
        if cleaned.is_none() && !cleaner.rest(core, number) {
            return;
        }
    }
}
