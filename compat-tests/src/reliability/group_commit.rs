//! A bare group commit behind sockets: what durable appends cost when nobody has to be a broker.
//!
//! It does with the file system what the broker does for the same producers: a file for each,
//! which grows by the same bytes, in a directory of its own, made durable with its names before
//! the first answer; then one `fdatasync` for each file that has grown, as many at a time as the
//! broker has, while others queue; an answer as soon as its own file is synced. It listens on
//! loopback, since a durable append is of no use to a producer that does not hear of it, and reads
//! and answers frames of the same lengths. What it leaves out is the broker: parsing, checksums,
//! offsets, indexes, producers, a record of what is durable, readers, and an event loop that also
//! serves ten thousand others: here each connection has a thread that waits for nothing else, and
//! the thread that syncs a file writes the answer itself.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Files that are synced at the same time, as in the broker.
const PARALLEL_SYNCS: usize = 8;

/// The loop and its listener. Its threads end with the process.
#[derive(Debug)]
pub struct GroupCommit {
    address: String,
}

/// The file of one producer, and whom to tell.
#[derive(Debug)]
struct Appender {
    file: File,
    /// What is answered, whatever was sent.
    answer: Vec<u8>,
    stream: TcpStream,
}

/// Things that queue for a thread.
#[derive(Debug)]
struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    more: Condvar,
}

impl<T> Queue<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            items: Mutex::default(),
            more: Condvar::new(),
        })
    }

    fn push(&self, item: T) {
        self.lock().push_back(item);
        self.more.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All there is, once there is something.
    fn wait(&self) -> VecDeque<T> {
        let waited = self.more.wait_while(self.lock(), |items| items.is_empty());
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner))
    }
}

impl GroupCommit {
    /// Listens, with files in `directory`. Each frame is taken for an append of its last
    /// `batch_len` bytes, and answered with `answer`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(directory: &Path, batch_len: usize, answer: &[u8]) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let queue = Queue::new();
        let committed = Arc::clone(&queue);
        std::thread::spawn(move || commit(&committed));
        let (directory, answer) = (directory.to_owned(), answer.to_owned());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (queue, answer) = (Arc::clone(&queue), answer.clone());
                let partition = directory.join(number.to_string());
                std::thread::spawn(move || serve(&partition, stream, answer, batch_len, &queue));
            }
        });
        Ok(Self { address })
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Appends what comes, until the connection ends.
fn serve(
    directory: &Path,
    mut stream: TcpStream,
    answer: Vec<u8>,
    batch_len: usize,
    queue: &Queue<Arc<Appender>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let appender = Arc::new(Appender {
        file: new_file(directory)?,
        answer,
        stream: stream.try_clone()?,
    });
    let (mut frame, mut position) = (Vec::new(), 0);
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        frame.resize(u32::from_be_bytes(length) as usize, 0);
        stream.read_exact(&mut frame)?;
        let batch = &frame[frame.len() - batch_len..];
        appender.file.write_all_at(batch, position)?;
        position += batch.len() as u64;
        queue.push(Arc::clone(&appender));
    }
}

/// A file in a new directory, both of them durable.
fn new_file(directory: &Path) -> io::Result<File> {
    let parent = directory
        .parent()
        .map_or(PathBuf::from("."), Path::to_owned);
    fs::create_dir_all(directory)?;
    let file = File::create(directory.join("00000000000000000000.log"))?;
    file.sync_data()?;
    File::open(directory)?.sync_all()?;
    File::open(parent)?.sync_all()?;
    Ok(file)
}

/// Rounds: everything that queued is synced, while other things queue.
fn commit(queue: &Queue<Arc<Appender>>) {
    let jobs: Arc<Jobs> = Arc::default();
    for _ in 1..PARALLEL_SYNCS {
        let jobs = Arc::clone(&jobs);
        std::thread::spawn(move || jobs.help());
    }
    loop {
        jobs.run(queue.wait());
    }
}

/// The files of a round.
#[derive(Debug, Default)]
struct Jobs {
    state: Mutex<Round>,
    more: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Round {
    waiting: VecDeque<Arc<Appender>>,
    running: usize,
}

impl Jobs {
    fn lock(&self) -> std::sync::MutexGuard<'_, Round> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, appenders: VecDeque<Arc<Appender>>) {
        let helpers = appenders.len().min(PARALLEL_SYNCS) - 1;
        self.lock().waiting = appenders;
        for _ in 0..helpers {
            self.more.notify_one();
        }
        loop {
            let mut round = self.lock();
            let Some(appender) = round.waiting.pop_front() else {
                let idle = self.done.wait_while(round, |round| round.running > 0);
                drop(idle.unwrap_or_else(PoisonError::into_inner));
                return;
            };
            drop(round);
            sync(&appender);
        }
    }

    fn help(&self) {
        let mut round = self.lock();
        loop {
            let Some(appender) = round.waiting.pop_front() else {
                round = self
                    .more
                    .wait(round)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            round.running += 1;
            drop(round);
            sync(&appender);
            round = self.lock();
            round.running -= 1;
            if round.running == 0 {
                self.done.notify_one();
            }
        }
    }
}

fn sync(appender: &Appender) {
    appender.file.sync_data().expect("a disk that syncs");
    // A producer that is gone does not want to know.
    let _ = (&appender.stream).write_all(&appender.answer);
}
