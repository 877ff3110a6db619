//! Doing the same to many things, several at a time, where each waits for the disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

/// Calls `work` for every item, from at most `threads` threads, of which this is one.
pub(in crate::storage) fn for_each<T: Sync>(items: &[T], threads: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    if threads.min(items.len()) <= 1 {
        return run();
    }
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
}

/// Jobs that one thread hands out and several do, again and again: the threads that help stay, as
/// starting one costs as much as a quick disk takes for a sync.
#[derive(Debug)]
pub(in crate::storage) struct Crew<J> {
    state: Mutex<CrewState<J>>,
    more: Condvar,
    done: Condvar,
}

#[derive(Debug)]
struct CrewState<J> {
    jobs: VecDeque<J>,
    running: usize,
    dismissed: bool,
}

impl<J> Crew<J> {
    pub(in crate::storage) fn new() -> Self {
        Self {
            state: Mutex::new(CrewState {
                jobs: VecDeque::new(),
                running: 0,
                dismissed: false,
            }),
            more: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Adds jobs before those that wait, and wakes so many helpers.
    pub(in crate::storage) fn add(&self, jobs: impl IntoIterator<Item = J>, wake: usize) {
        {
            let mut state = self.state.lock();
            for job in jobs {
                state.jobs.push_front(job);
            }
        }
        for _ in 0..wake {
            self.more.notify_one();
        }
    }

    /// Helps until [`dismiss`](Self::dismiss). Helpers begin with the jobs that wait for longest:
    /// the thread that hands them out does the newest ones itself.
    pub(in crate::storage) fn help(&self, work: impl Fn(J)) {
        loop {
            let job = {
                let mut state = self.state.lock();
                loop {
                    match state.jobs.pop_back() {
                        Some(job) => break self.begin(&mut state, job),
                        None if state.dismissed => return,
                        None => self.more.wait(&mut state),
                    }
                }
            };
            let Begun { job, _ends } = job;
            work(job);
        }
    }

    /// Does what nobody else does, and waits until all of it is done.
    pub(in crate::storage) fn finish(&self, work: impl Fn(J)) {
        loop {
            let job = {
                let mut state = self.state.lock();
                loop {
                    match state.jobs.pop_front() {
                        Some(job) => break self.begin(&mut state, job),
                        None if state.running == 0 => return,
                        None => self.done.wait(&mut state),
                    }
                }
            };
            let Begun { job, _ends } = job;
            work(job);
        }
    }

    fn begin(&self, state: &mut CrewState<J>, job: J) -> Begun<'_, J> {
        state.running += 1;
        let _ends = Ends(self);
        Begun { job, _ends }
    }

    /// Sends the helpers away, once there is nothing left to do.
    pub(in crate::storage) fn dismiss(&self) {
        self.state.lock().dismissed = true;
        self.more.notify_all();
    }
}

/// A job that somebody does.
struct Begun<'a, J> {
    job: J,
    _ends: Ends<'a, J>,
}

/// Counts a job as done when it is dropped, so that one that panics holds nobody up.
struct Ends<'a, J>(&'a Crew<J>);

impl<J> Drop for Ends<'_, J> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.running -= 1;
        if state.running == 0 && state.jobs.is_empty() {
            self.0.done.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crew_does_every_job_once_with_helpers_and_without() {
        for helpers in [0, 3] {
            let (crew, sum) = (Crew::new(), AtomicUsize::new(0));
            let work = |job: usize| {
                sum.fetch_add(job, Ordering::SeqCst);
            };
            std::thread::scope(|scope| {
                for _ in 0..helpers {
                    scope.spawn(|| crew.help(work));
                }
                for round in 1..50 {
                    crew.add(1..=100, helpers);
                    crew.finish(work);
                    assert_eq!(sum.load(Ordering::SeqCst), round * 5_050);
                }
                crew.dismiss();
            });
        }
    }
}
