//! A bare group commit: what durable appends cost when nobody has to be a broker.
//!
//! It does with the file system what a broker does for the same producers: a file for each
//! partition, which grows by the same bytes; then one `fdatasync` for each file that has grown, as
//! many at a time as Klamm has, while others queue; an answer as soon as its own file is synced.
//! What it leaves out: checksums, offsets in batches, indexes, producers, a record of what is
//! durable, readers; and the thread that syncs a file writes the answers itself. With [`Files::One`] all partitions share a file, and a round is one `fdatasync`.
//!
//! Answers of different files may pass each other: a connection must keep to one partition, as those
//! of `klamm bench` do with as many producers as partitions or more.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::echo::{LAST_DELTA_AT, field};
use crate::files;
use crate::protocol::{self, Topic};
use crate::serve::{Floor, Peer};

/// Files that are synced at the same time, as in Klamm.
const PARALLEL_SYNCS: usize = 8;

/// What is synced in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// A file for each partition.
    Each,
    /// One file for all of them.
    One,
}

/// Stores batches, and answers when they are durable. Its threads end with the process.
#[derive(Debug)]
pub struct GroupCommit {
    appenders: Vec<Arc<Appender>>,
    ends: Vec<i64>,
    queue: Arc<Queue>,
}

/// A file, and whom to tell when it is synced.
#[derive(Debug)]
struct Appender {
    file: File,
    state: Mutex<Grown>,
}

#[derive(Debug, Default)]
struct Grown {
    position: u64,
    /// Whether it waits for a round.
    queued: bool,
    /// Answers, and where they go.
    answers: Vec<(Arc<TcpStream>, Vec<u8>)>,
}

/// Files that have grown.
#[derive(Debug, Default)]
struct Queue {
    grown: Mutex<VecDeque<Arc<Appender>>>,
    more: Condvar,
}

impl GroupCommit {
    /// With files in that directory.
    ///
    /// # Errors
    /// If files or threads cannot be made.
    pub fn create(directory: &Path, topic: &Topic, files: Files) -> io::Result<Self> {
        let partitions = usize::try_from(topic.partitions).unwrap_or(0);
        let count = match files {
            Files::Each => partitions,
            Files::One => 1,
        };
        let appender = |file| Appender {
            file,
            state: Mutex::default(),
        };
        let files = files::create(directory, count)?;
        let queue = Arc::new(Queue::default());
        let round = Arc::new(Round::default());
        for _ in 1..PARALLEL_SYNCS {
            let round = Arc::clone(&round);
            std::thread::Builder::new().spawn(move || round.help())?;
        }
        let grown = Arc::clone(&queue);
        std::thread::Builder::new().spawn(move || {
            loop {
                round.run(grown.wait());
            }
        })?;
        Ok(Self {
            appenders: files.into_iter().map(appender).map(Arc::new).collect(),
            ends: vec![0; partitions],
            queue,
        })
    }
}

impl Floor for GroupCommit {
    fn produce(&mut self, frame: &mut [u8], peer: &mut Peer) -> io::Result<()> {
        let request = protocol::produce(frame).map_err(protocol::malformed)?;
        let batch = frame.get(request.batch.clone()).unwrap_or_default();
        let records = i32::from_be_bytes(field(batch, LAST_DELTA_AT)).saturating_add(1);
        let place = usize::try_from(request.partition).unwrap_or(usize::MAX);
        let end = self.ends.get_mut(place).ok_or(io::ErrorKind::NotFound)?;
        let appender = self.appenders.get(place % self.appenders.len().max(1));
        let appender = appender.ok_or(io::ErrorKind::NotFound)?;
        let mut grown = lock(&appender.state);
        let base = *end;
        *end += i64::from(records);
        appender.file.write_all_at(batch, grown.position)?;
        grown.position += batch.len() as u64;
        let mut answer = Vec::new();
        peer.answers.produced(&request, base, &mut answer);
        grown.answers.push((Arc::clone(&peer.stream), answer));
        if !std::mem::replace(&mut grown.queued, true) {
            drop(grown);
            lock(&self.queue.grown).push_back(Arc::clone(appender));
            self.queue.more.notify_one();
        }
        Ok(())
    }

    fn end(&self, partition: i32) -> i64 {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        self.ends.get(place).copied().unwrap_or(0)
    }
}

impl Queue {
    /// All there is, once there is something.
    fn wait(&self) -> VecDeque<Arc<Appender>> {
        let waited = self
            .more
            .wait_while(lock(&self.grown), |grown| grown.is_empty());
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Appender {
    /// Makes durable what was written before, and tells so.
    fn commit(&self) {
        let answers = {
            let mut grown = lock(&self.state);
            grown.queued = false;
            std::mem::take(&mut grown.answers)
        };
        if let Err(error) = self.file.sync_data() {
            // Whoever waits for the answer sees that none comes.
            eprintln!("fdatasync: {error}");
            return;
        }
        for (stream, answer) in answers {
            // A producer that is gone does not want to know.
            let _ = (&*stream).write_all(&answer);
        }
    }
}

/// The files that are synced now, while other things queue.
#[derive(Debug, Default)]
struct Round {
    state: Mutex<Jobs>,
    more: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Arc<Appender>>,
    running: usize,
}

impl Round {
    fn run(&self, appenders: VecDeque<Arc<Appender>>) {
        let helpers = appenders.len().min(PARALLEL_SYNCS).saturating_sub(1);
        lock(&self.state).waiting = appenders;
        for _ in 0..helpers {
            self.more.notify_one();
        }
        loop {
            let mut jobs = lock(&self.state);
            let Some(appender) = jobs.waiting.pop_front() else {
                let idle = self.done.wait_while(jobs, |jobs| jobs.running > 0);
                drop(idle.unwrap_or_else(PoisonError::into_inner));
                return;
            };
            drop(jobs);
            appender.commit();
        }
    }

    fn help(&self) {
        let mut jobs = lock(&self.state);
        loop {
            let Some(appender) = jobs.waiting.pop_front() else {
                jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            jobs.running += 1;
            drop(jobs);
            appender.commit();
            jobs = lock(&self.state);
            jobs.running -= 1;
            if jobs.running == 0 {
                self.done.notify_one();
            }
        }
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
