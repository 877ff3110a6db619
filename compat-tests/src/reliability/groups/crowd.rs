//! Many members of one group, each with a thread, and who owns what.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::board::Board;
use super::member::Member;

/// Time between heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// What a member is told.
const STAY: u8 = 0;
const LEAVE: u8 = 1;
const VANISH: u8 = 2;

/// The members of a group.
#[derive(Debug)]
pub(super) struct Crowd {
    address: String,
    partitions: u8,
    board: Arc<Mutex<Board>>,
    members: Vec<(usize, Arc<AtomicU8>, JoinHandle<()>)>,
    next: usize,
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crowd {
    /// Nobody yet.
    pub(super) fn new(address: &str, partitions: u8) -> Self {
        Self {
            address: address.to_owned(),
            partitions,
            board: Arc::default(),
            members: Vec::new(),
            next: 0,
        }
    }

    /// One more member.
    pub(super) fn add(&mut self) {
        let (number, told) = (self.next, Arc::new(AtomicU8::new(STAY)));
        self.next += 1;
        lock(&self.board).members.insert(number, None);
        let (board, orders) = (Arc::clone(&self.board), Arc::clone(&told));
        let (address, partitions) = (self.address.clone(), self.partitions);
        let thread = std::thread::spawn(move || {
            let lived = live(&address, partitions, number, &board, &orders);
            let mut board = lock(&board);
            board.members.remove(&number);
            if let Err(error) = lived {
                board.failures.push(format!("member {number}: {error}"));
            }
        });
        self.members.push((number, told, thread));
    }

    /// One of them leaves, or is gone without a word; returns when it did.
    pub(super) fn remove(&mut self, which: usize, leaves: bool) {
        let (_, told, thread) = self.members.swap_remove(which % self.members.len());
        told.store(if leaves { LEAVE } else { VANISH }, Ordering::SeqCst);
        // What went wrong is on the board.
        let _ = thread.join();
    }

    /// Waits until every partition has one owner, and all members are in one generation: how long
    /// that took from the last JoinGroup that was sent to the last SyncGroup that was answered.
    pub(super) fn settle(&self, patience: Duration) -> Result<Duration, String> {
        let begin = Instant::now();
        while begin.elapsed() < patience {
            {
                let board = lock(&self.board);
                if let Some(failure) = board.failures.first() {
                    return Err(failure.clone());
                }
                if let Some(settled) = board.settled(self.partitions) {
                    return Ok(settled.took());
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(format!("not settled after {patience:?}"))
    }

    /// All of them leave.
    pub(super) fn end(mut self) {
        while !self.members.is_empty() {
            self.remove(0, true);
        }
    }
}

fn live(
    address: &str,
    partitions: u8,
    number: usize,
    board: &Mutex<Board>,
    told: &AtomicU8,
) -> std::io::Result<()> {
    let mut member = Member::connect(address, "crowd", partitions)?;
    loop {
        lock(board).members.insert(number, None);
        let assigned = member.join()?;
        lock(board).members.insert(number, Some(assigned));
        loop {
            std::thread::sleep(HEARTBEAT);
            match told.load(Ordering::SeqCst) {
                LEAVE => return member.leave(),
                VANISH => return Ok(()),
                _ => {}
            }
            if !member.heartbeat()? {
                break;
            }
        }
    }
}
