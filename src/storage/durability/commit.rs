//! Making appended bytes durable, for all partitions of a store together.
//!
//! One thread. It takes all logs that have unsynced bytes, has them synced, several at a time, and
//! each makes known what is durable; what is appended meanwhile waits for the next round. There is
//! no timer in this: a lone append is synced at once, and under load each round carries whatever
//! queued while the one before it ran.
//!
//! What must be on disk before what:
//!
//! 1. before the first acknowledgement: what formatting wrote, and the names of the directories
//!    on the way to a new data directory;
//! 2. before an acknowledgement: the batch's file, then the file's name, where it is new, then its
//!    directory's name, where that is new ([`Log::sync`]);
//! 3. nothing waits for the journal: when a round is over, its record is begun beside the next
//!    round. It notes a few rounds together where they follow each other quickly. What rounds make
//!    durable while one is being written is in the one after it, so the journal is behind by the
//!    time of one sync and a little, by [`ROUNDS_UNNOTED_MAX`] rounds at most, and by nothing when
//!    rounds stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::io::Persist;

use crate::storage::core::Core;
use crate::storage::durability::journal::NoteError;
use crate::storage::durability::parallel::Crew;
use crate::storage::log::partition_log::Log;
use crate::storage::log::sync::{Means, Synced, Syncing};
use crate::storage::thread::Thread;

/// Files that are synced at the same time.
///
/// Measured by `benches/src/bin/sync_calls.rs`: milliseconds to make 1 KiB in each of so many growing
/// files durable, median, on ext4; two CPUs.
///
/// | files | `fdatasync` x1 | x2 | x4 | x8 | x16 | `syncfs` | x8, pre-zeroed |
/// | --- | --- | --- | --- | --- | --- | --- | --- |
/// | a quick disk that others write to, 1 | 0.06 | | | | | 0.05 | 0.04 (x1) |
/// | 16 | 0.8 | 0.43 | 0.43 | 0.31 | 0.44 | 0.17 | 0.46 |
/// | 256 | 23 | 8.2 | 7.7 | 3.7 | 4.5 | 3.9, 90 %: 35 | 13 |
/// | 1,000 | 54 | 38 | 33 | 15 | 16 | 69 | 24 |
/// | a slow one of our own, 16 | 39 | 36 | 20 | 7.9 | 4.4 | 3.4 | 11 |
/// | 256 | 890 | 610 | 800 | 120 | 82 | 11 | 160 |
///
/// The file system's journal joins what arrives together, and the disk joins flushes. From eight
/// threads on, more are only threads. Files with zeros written in advance cost less only where the
/// journal's commit is what takes long and the files are few; they cost twice the bytes, and read
/// as damage to Kafka's tools: there are none.
const PARALLEL_SYNCS: usize = 8;

/// From so many logs on, a file system that is ours alone is synced as a whole: a few flushes
/// instead of one for each file or two. On one that others write to, `syncfs` would wait for their
/// bytes and fail by their errors, and is used only for what cannot be held open
/// ([`pins`](crate::storage::log::pins)).
const FILE_SYSTEM_FROM: usize = 64;

/// How long a log that answers from the page cache may stay unsynced.
const LAZY_SYNC: Duration = Duration::from_secs(1);

/// How long it takes until a record of the journal that could not be written is tried again.
const NOTE_RETRY: Duration = Duration::from_secs(1);

/// Rounds that may end while one record of the journal is written. More would have to wait: the
/// journal is what tells damage from a torn tail.
pub(in crate::storage) const ROUNDS_UNNOTED_MAX: usize = 16;

/// Rounds that one record notes, where they follow each other so quickly: a record takes a sync of
/// its own, which on a quick disk would cost a lone producer as much as its own.
const ROUNDS_NOTED_TOGETHER: usize = 16;

/// How long a record waits for that many.
const NOTE_DELAY: Duration = Duration::from_millis(2);

/// How often the recovery points are written (`log.flush.offset.checkpoint.interval.ms`).
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// When a log is to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Urgency {
    /// In the next round.
    Now,
    /// Within [`LAZY_SYNC`] and this.
    Within(Duration),
}

/// The queue of the commit thread.
#[derive(Debug, Default)]
pub(in crate::storage) struct Commit {
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
    thread: Thread,
}

/// What opening a store changed in its directory.
#[derive(Debug)]
pub(in crate::storage) struct Formatting {
    /// Files that were written.
    pub(in crate::storage) files: Vec<Arc<dyn crate::io::File>>,
    /// Directories above the data directory, where their names may not be on disk.
    pub(in crate::storage) directories: Vec<PathBuf>,
}

impl Commit {
    /// Starts the thread of a store.
    pub(in crate::storage) fn start(
        core: &Arc<Core>,
        formatting: Formatting,
    ) -> std::io::Result<()> {
        let shared = core.clone();
        let mut state = core.commit.state.lock();
        state.formatting = Some(formatting);
        state.thread = Thread::start("klamm-commit", 512, move || run(&shared))?;
        Ok(())
    }

    /// Hands a log to the thread; `now` is the clock's monotonic time. The caller sees to it that a log is not queued twice.
    pub(in crate::storage) fn queue(&self, log: Arc<Log>, urgency: Urgency, now: Duration) {
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

    /// Makes durable what opening the store changed, if no round has done it.
    pub(in crate::storage) fn finish_formatting(&self, core: &Core) -> std::io::Result<()> {
        let formatting = self.state.lock().formatting.take();
        formatting.map_or(Ok(()), |formatting| sync_formatting(core, &formatting))
    }

    /// Ends the thread, without a last round, and waits for it.
    pub(in crate::storage) fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stopped = true;
            std::mem::take(&mut state.thread)
        };
        self.changed.notify_one();
        thread.join();
        // A log holds its store: let go of them.
        let mut state = self.state.lock();
        (state.urgent, state.lazy) = (Vec::new(), Vec::new());
    }
}

/// A log to be synced in a round.
#[derive(Debug)]
struct Job(Arc<Log>, Means);

/// What the thread that writes the journal is told.
#[derive(Debug, Default)]
struct Notes {
    state: Mutex<NotesState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct NotesState {
    /// Rounds that the next record will note.
    rounds: usize,
    /// Records cannot be written now: rounds go on without.
    fails: bool,
    /// No round will follow.
    ended: bool,
}

impl Notes {
    /// A round is over. Waits if records stay behind by too many.
    fn end_round(&self) {
        let mut state = self.state.lock();
        state.rounds += 1;
        if state.rounds == 1 || state.rounds >= ROUNDS_NOTED_TOGETHER {
            self.changed.notify_all();
        }
        while state.rounds > ROUNDS_UNNOTED_MAX && !state.fails {
            self.changed.wait(&mut state);
        }
    }

    /// No round will follow.
    fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Writes records of the journal until rounds end. The last round's is written, too.
    fn write(&self, core: &Core) {
        loop {
            {
                let mut state = self.state.lock();
                while state.rounds == 0 && !state.ended {
                    self.changed.wait(&mut state);
                }
                if state.rounds < ROUNDS_NOTED_TOGETHER && !state.ended {
                    self.changed.wait_for(&mut state, NOTE_DELAY);
                }
                if std::mem::take(&mut state.rounds) == 0 {
                    return;
                }
                self.changed.notify_all();
            }
            // A failed sync is final.
            let Some(news) = core
                .journal
                .take_news()
                .filter(|_| core.refusal().is_none())
            else {
                continue;
            };
            let written = core.journal.write(news);
            let mut state = self.state.lock();
            state.fails = written.is_err();
            match written {
                Ok(()) => {}
                Err(NoteError::Sync(error)) => core.fail(&error),
                Err(NoteError::Write(_)) => {
                    self.changed.notify_all();
                    if !state.ended {
                        self.changed.wait_for(&mut state, NOTE_RETRY);
                    }
                    // Once more, unless this was the last time.
                    state.rounds = state.rounds.max(usize::from(!state.ended));
                }
            }
        }
    }
}

/// The commit thread, and those that help it.
#[derive(Debug)]
struct Committer<'a> {
    core: &'a Core,
    crew: Crew<Job>,
    notes: Notes,
    /// Logs that are durable once the file system is synced.
    unsynced: Mutex<Vec<(Arc<Log>, Syncing)>>,
}

fn run(core: &Core) {
    let committer = Committer {
        core,
        crew: Crew::new(),
        notes: Notes::default(),
        unsynced: Mutex::default(),
    };
    std::thread::scope(|scope| {
        let (mut helpers, mut writes_notes) = (0, false);
        let mut next_checkpoint = core.clock.monotonic() + CHECKPOINT_INTERVAL;
        while let Some(round) = next_round(core, &mut next_checkpoint) {
            let wanted = round.logs.len().min(PARALLEL_SYNCS) - usize::from(!round.logs.is_empty());
            while helpers < wanted {
                let helper = std::thread::Builder::new()
                    .name("klamm-sync".to_owned())
                    .stack_size(256 * 1024)
                    .spawn_scoped(scope, || committer.crew.help(|job| committer.work(job)));
                match helper {
                    Ok(_) => helpers += 1,
                    // Those that are there do it all.
                    Err(error) => {
                        tracing::warn!(%error, "no thread to help with syncs");
                        break;
                    }
                }
            }
            if !writes_notes && !round.logs.is_empty() {
                let writer = std::thread::Builder::new()
                    .name("klamm-journal".to_owned())
                    .stack_size(256 * 1024)
                    .spawn_scoped(scope, || committer.notes.write(core));
                match writer {
                    Ok(_) => writes_notes = true,
                    // The next round tries again; the recovery points serve until then.
                    Err(error) => tracing::warn!(%error, "no thread to note durable offsets"),
                }
            }
            committer.run(round, helpers, writes_notes);
        }
        committer.notes.end();
        committer.crew.dismiss();
    });
}

impl Committer<'_> {
    fn run(&self, round: Round, helpers: usize, notes: bool) {
        let core = self.core;
        if let Some(formatting) = round.formatting
            && let Err(error) = sync_formatting(core, &formatting)
        {
            core.fail(&error);
        }
        if !round.logs.is_empty() {
            let means = match &core.file_system {
                Some(file_system)
                    if file_system.is_own() && round.logs.len() >= FILE_SYSTEM_FROM =>
                {
                    Means::FileSystem
                }
                Some(_) | None => Means::Files,
            };
            // One of the jobs is this thread's.
            let others = round.logs.len() - 1;
            let syncs = round.logs.into_iter().map(|log| Job(log, means));
            self.crew.add(syncs, others.min(helpers));
            self.crew.finish(|job| self.work(job));
            self.sync_file_system();
            core.commit.state.lock().points_changed = true;
            if notes {
                self.notes.end_round();
            }
        }
        if round.checkpoint
            && let Err(error) = core.write_recovery_points(Persist::Lazy)
        {
            tracing::warn!(%error, "cannot write the recovery points");
        }
    }

    fn work(&self, Job(log, means): Job) {
        let core = self.core;
        // A failed sync is final.
        if core.refusal().is_none() {
            match log.sync(means) {
                Ok(Synced::Here) => retry_chores(&log),
                Ok(Synced::Not(syncing)) => {
                    self.unsynced.lock().push((log, syncing));
                    return;
                }
                Err(error) => core.fail(&error),
            }
        }
        match core.refusal() {
            None => log.keep_progress(),
            // After a failure everybody who waits must hear of it.
            Some(_) => log.context().waiters.wake(),
        }
    }

    /// Ends the syncs that wait for one of the file system.
    fn sync_file_system(&self) {
        let unsynced = std::mem::take(&mut *self.unsynced.lock());
        if unsynced.is_empty() {
            return;
        }
        let synced = match self.core.refusal() {
            Some(_) => false,
            None => match self.core.sync_file_system() {
                Ok(()) => true,
                Err(error) => {
                    self.core.fail(&error);
                    false
                }
            },
        };
        for (log, syncing) in unsynced {
            if synced {
                log.end_sync(syncing);
                retry_chores(&log);
                log.keep_progress();
            } else {
                log.context().waiters.wake();
            }
        }
    }
}

/// Has a log synced again soon that could not write something beside its batches.
fn retry_chores(log: &Arc<Log>) {
    if log.owes() {
        log.queue(Urgency::Within(LAZY_SYNC));
    }
}

fn sync_formatting(core: &Core, formatting: &Formatting) -> std::io::Result<()> {
    for file in &formatting.files {
        file.sync_data()?;
    }
    core.io.sync_dir(&core.dir)?;
    for directory in &formatting.directories {
        match core.io.sync_dir(directory) {
            // One that may not even be listed is none that a broker has made names in.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
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
        let dues = [state.lazy_due, checkpoint_due];
        match dues.into_iter().flatten().min() {
            Some(due) => {
                commit.changed.wait_for(&mut state, due.saturating_sub(now));
            }
            None => commit.changed.wait(&mut state),
        }
    }
}
