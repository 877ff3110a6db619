//! Removing files and directories in the background, some time after they went out of use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::SharedClock;
use crate::io::SharedIo;
use crate::storage::thread::Thread;

/// What waits for its removal, and the thread that sees to it.
#[derive(Debug)]
pub(in crate::storage) struct Removal {
    clock: SharedClock,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    /// By when it is due, and a number that tells those due together apart.
    waiting: BTreeMap<(Duration, u64), Doomed>,
    next: u64,
    stopped: bool,
    thread: Thread,
}

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Doomed {
    /// A directory with all that is in it.
    Directory(PathBuf),
    /// A file.
    File(PathBuf),
}

impl Doomed {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::File(path) => path,
        }
    }

    /// Removes it, unless it is gone.
    pub(in crate::storage) fn remove(&self, io: &SharedIo) {
        let path = self.path().display();
        let removed = match self {
            Self::Directory(path) => io.remove_dir_all(path),
            Self::File(path) => io.remove_file(path),
        };
        match removed {
            Ok(()) => tracing::debug!(%path, "removed"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%path, %error, "cannot remove"),
        }
    }
}

impl Removal {
    pub(in crate::storage) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Removes it once `delay` has passed, unless the store stops before: then the next start
    /// does it.
    pub(in crate::storage) fn schedule(&self, io: &SharedIo, doomed: Doomed, delay: Duration) {
        let (state, changed) = &*self.state;
        let mut state = state.lock();
        if state.stopped {
            return;
        }
        let key = (self.clock.monotonic() + delay, state.next);
        state.next += 1;
        state.waiting.insert(key, doomed);
        if !state.thread.is_started() {
            let (shared, io, clock) = (self.state.clone(), io.clone(), self.clock.clone());
            let work = move || run(&shared, &io, &clock);
            match Thread::start("klamm-remove", 256, work) {
                Ok(thread) => state.thread = thread,
                Err(error) => tracing::warn!(%error, "no thread to remove old files"),
            }
        }
        drop(state);
        changed.notify_one();
    }

    /// Removes the files that wait, on this thread and at once: a disk is full. Directories go by
    /// [`hasten`](Self::hasten), since only their owner knows when a deletion is for good.
    pub(in crate::storage) fn hurry(&self, io: &SharedIo) {
        let files: Vec<Doomed> = {
            let waiting = &mut self.state.0.lock().waiting;
            let is_file = |doomed: &Doomed| matches!(doomed, Doomed::File(_));
            let all = std::mem::take(waiting);
            let (files, rest): (BTreeMap<_, _>, _) =
                all.into_iter().partition(|(_, doomed)| is_file(doomed));
            *waiting = rest;
            files.into_values().collect()
        };
        for doomed in files {
            doomed.remove(io);
        }
    }

    /// Has it removed soon instead of later, if it waits.
    pub(in crate::storage) fn hasten(&self, doomed: &Doomed) {
        let (state, changed) = &*self.state;
        let mut state = state.lock();
        let key = state.waiting.iter().find(|(_, other)| *other == doomed);
        let Some(doomed) = key
            .map(|(key, _)| *key)
            .and_then(|key| state.waiting.remove(&key))
        else {
            return;
        };
        let key = (self.clock.monotonic(), state.next);
        state.next += 1;
        state.waiting.insert(key, doomed);
        drop(state);
        changed.notify_one();
    }

    /// Ends the thread and waits for it.
    pub(in crate::storage) fn stop(&self) {
        let (state, changed) = &*self.state;
        let thread = {
            let mut state = state.lock();
            state.stopped = true;
            std::mem::take(&mut state.thread)
        };
        changed.notify_one();
        thread.join();
    }
}

fn run(shared: &(Mutex<State>, Condvar), io: &SharedIo, clock: &SharedClock) {
    let (state, changed) = shared;
    let mut state = state.lock();
    while !state.stopped {
        let now = clock.monotonic();
        match state.waiting.first_key_value() {
            None => changed.wait(&mut state),
            Some((&(due, _), _)) if due > now => {
                let rest = due - now;
                changed.wait_for(&mut state, rest);
            }
            Some(_) => {
                let Some((_, doomed)) = state.waiting.pop_first() else {
                    continue;
                };
                parking_lot::MutexGuard::unlocked(&mut state, || doomed.remove(io));
            }
        }
    }
}
