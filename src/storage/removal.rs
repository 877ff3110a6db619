//! Removing directories in the background, some time after they went out of use.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::SharedClock;
use crate::io::SharedIo;

/// The directories that wait for their removal, and the thread that sees to it.
#[derive(Debug)]
pub(super) struct Removal {
    clock: SharedClock,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Duration, PathBuf)>,
    stopped: bool,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Removal {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Removes `path` and what is in it once `delay` has passed, unless the store stops before:
    /// then the next start does it.
    pub(super) fn schedule(&self, io: &SharedIo, path: PathBuf, delay: Duration) {
        let (state, changed) = &*self.state;
        let mut state = state.lock();
        if state.stopped {
            return;
        }
        state
            .waiting
            .push_back((self.clock.monotonic() + delay, path));
        if state.thread.is_none() {
            let (shared, io, clock) = (self.state.clone(), io.clone(), self.clock.clone());
            let thread = std::thread::Builder::new()
                .name("klamm-remove".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || run(&shared, &io, &clock));
            match thread {
                Ok(thread) => state.thread = Some(thread),
                Err(error) => tracing::warn!(%error, "no thread to remove old directories"),
            }
        }
        drop(state);
        changed.notify_one();
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        let (state, changed) = &*self.state;
        let thread = {
            let mut state = state.lock();
            state.stopped = true;
            state.thread.take()
        };
        changed.notify_one();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that removes old directories panicked");
        }
    }
}

fn run(shared: &(Mutex<State>, Condvar), io: &SharedIo, clock: &SharedClock) {
    let (state, changed) = shared;
    let mut state = state.lock();
    while !state.stopped {
        let now = clock.monotonic();
        // Delays differ little (`file.delete.delay.ms`), so the order of arrival is good enough.
        match state.waiting.front() {
            None => changed.wait(&mut state),
            Some((due, _)) if *due > now => {
                let rest = *due - now;
                changed.wait_for(&mut state, rest);
            }
            Some(_) => {
                let Some((_, path)) = state.waiting.pop_front() else {
                    continue;
                };
                parking_lot::MutexGuard::unlocked(&mut state, || match io.remove_dir_all(&path) {
                    Ok(()) => tracing::debug!(path = %path.display(), "removed"),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove"),
                });
            }
        }
    }
}
