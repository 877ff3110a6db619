//! One thread that drives many clients.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::link::{Buffers, Link};
use super::readiness::{Readiness, Ready};
use super::report::{BenchError, Count, Tally};
use super::verify::Refused;
use crate::clock::{SharedClock, thread_cpu};

/// How often a thread looks whether the run is in another phase.
const LOOK: Duration = Duration::from_millis(50);

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Records come in.
    Running,
    /// The user wants it to end: nothing more is sent, what was sent is waited for.
    Stopping,
    /// The ends are known: whoever has reached them is done.
    Draining,
    /// Everybody stops, whatever is open.
    Over,
}

/// What all threads of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    phase: AtomicU8,
    /// What is behind the last acknowledged record of each partition.
    ends: HashMap<i32, AtomicI64>,
    /// Whether reading ends before the ends are reached, because the user wants it.
    cut: AtomicBool,
    pub(super) refused: Refused,
    pub(super) produced: Counters,
    pub(super) consumed: Counters,
    clock: SharedClock,
    /// When the run began: on the monotonic clock, and in microseconds since the epoch of Unix.
    began: Duration,
    began_us: i64,
}

impl Shared {
    /// A run that begins now.
    pub(super) fn new(clock: SharedClock, ends: impl Iterator<Item = (i32, i64)>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Running as u8),
            ends: ends
                .map(|(number, end)| (number, AtomicI64::new(end)))
                .collect(),
            cut: AtomicBool::new(false),
            refused: Refused::default(),
            produced: Counters::default(),
            consumed: Counters::default(),
            began: clock.monotonic(),
            began_us: clock.wall().0.saturating_mul(1000),
            clock,
        }
    }

    /// Nanoseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        let passed = self.clock.monotonic().saturating_sub(self.began);
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// A point in the run as microseconds since the epoch of Unix.
    pub(super) fn wall_us(&self, nanos: u64) -> i64 {
        let micros = i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        self.began_us.saturating_add(micros)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Stopping,
            2 => Phase::Draining,
            _ => Phase::Over,
        }
    }

    /// Goes on to a phase; never back.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Nobody need reach an end any more.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Notes that everything below `end` is acknowledged.
    pub(super) fn acknowledged(&self, partition: i32, end: i64) {
        if let Some(known) = self.ends.get(&partition) {
            known.fetch_max(end, Ordering::AcqRel);
        }
    }

    /// What is behind the last acknowledged record.
    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        let end = self.ends.get(&partition)?;
        Some(end.load(Ordering::Acquire))
    }
}

/// Counts that are told while the run goes on.
#[derive(Debug, Default)]
pub(super) struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    pub(super) fn add(&self, count: Count) {
        for (counter, more) in [
            (&self.records, count.records),
            (&self.bytes, count.bytes),
            (&self.errors, count.errors),
        ] {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn get(&self) -> Count {
        Count {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Something at this time, in nanoseconds of the run.
    At(u64),
    /// Something when its socket is ready.
    Ready,
    /// Nothing any more.
    Done,
}

/// What a client works with in its turn.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// Nanoseconds since the run began.
    pub(super) now: u64,
    pub(super) shared: &'a Shared,
    pub(super) buffers: &'a mut Buffers,
    pub(super) tally: &'a mut Tally,
}

/// A producer or consumer with a connection.
pub(super) trait Client: Send + 'static {
    /// Its connection.
    fn link(&mut self) -> &mut Link;

    /// Does what can be done; `ready` if the socket was found ready.
    fn turn(&mut self, ready: bool, turn: &mut Turn<'_>) -> Next;

    /// The last words.
    fn finish(self, turn: &mut Turn<'_>);
}

/// Drives the clients until all are done.
pub(super) fn work<C: Client>(
    mut clients: Vec<C>,
    shared: &Arc<Shared>,
) -> Result<Tally, BenchError> {
    let (began, cpu) = (shared.now(), thread_cpu());
    let mut readiness = Readiness::new()?;
    for (token, client) in clients.iter_mut().enumerate() {
        readiness.add(client.link(), token)?;
    }
    let mut agenda = Agenda::new(clients.len());
    let (mut buffers, mut tally) = (Buffers::default(), Tally::new()?);
    let (mut ready, mut phase) = (Vec::new(), None);
    while agenda.open > 0 {
        let now = shared.now();
        let mut turn = Turn {
            now,
            shared,
            buffers: &mut buffers,
            tally: &mut tally,
        };
        if phase != Some(shared.phase()) {
            phase = Some(shared.phase());
            agenda.everybody(now);
        }
        while let Some(token) = agenda.due(now) {
            take_turn(&mut clients, &mut agenda, token, false, &mut turn);
        }
        readiness.wait(agenda.pause(shared.now()), &mut ready)?;
        for Ready { token, ends } in ready.drain(..) {
            if ends && let Some(client) = clients.get_mut(token) {
                client.link().input.will_end();
            }
            take_turn(&mut clients, &mut agenda, token, true, &mut turn);
        }
    }
    let mut turn = Turn {
        now: shared.now(),
        shared,
        buffers: &mut buffers,
        tally: &mut tally,
    };
    let ended = turn.now;
    for client in clients {
        client.finish(&mut turn);
    }
    let spent = thread_cpu().saturating_sub(cpu);
    tally.side.cpu = spent;
    let wall = Duration::from_nanos(ended.saturating_sub(began).max(1));
    // In a short time the clocks do not agree.
    tally.side.busiest = (spent.as_secs_f64() / wall.as_secs_f64()).min(1.0);
    Ok(tally)
}

fn take_turn<C: Client>(
    clients: &mut [C],
    agenda: &mut Agenda,
    token: usize,
    ready: bool,
    turn: &mut Turn<'_>,
) {
    if agenda.is_done(token) {
        return;
    }
    if let Some(client) = clients.get_mut(token) {
        turn.now = turn.shared.now();
        agenda.set(token, client.turn(ready, turn));
    }
}

/// Who does something when.
#[derive(Debug)]
struct Agenda {
    next: Vec<Next>,
    /// May name times that do not hold any more.
    times: BinaryHeap<Reverse<(u64, usize)>>,
    /// Clients that are not done.
    open: usize,
}

impl Agenda {
    fn new(clients: usize) -> Self {
        Self {
            next: vec![Next::Ready; clients],
            times: BinaryHeap::new(),
            open: clients,
        }
    }

    fn is_done(&self, token: usize) -> bool {
        self.next.get(token).is_none_or(|next| *next == Next::Done)
    }

    /// Everybody who is not done has a turn now.
    fn everybody(&mut self, now: u64) {
        for token in 0..self.next.len() {
            if !self.is_done(token) {
                self.set(token, Next::At(now));
            }
        }
    }

    fn set(&mut self, token: usize, next: Next) {
        let Some(known) = self.next.get_mut(token) else {
            return;
        };
        if *known == next {
            return;
        }
        *known = next;
        match next {
            Next::At(time) => self.times.push(Reverse((time, token))),
            Next::Ready => {}
            Next::Done => self.open -= 1,
        }
    }

    /// Somebody whose time has come.
    fn due(&mut self, now: u64) -> Option<usize> {
        while let Some(&Reverse((time, token))) = self.times.peek() {
            if time > now {
                return None;
            }
            self.times.pop();
            if let Some(next) = self.next.get_mut(token)
                && *next == Next::At(time)
            {
                *next = Next::Ready;
                return Some(token);
            }
        }
        None
    }

    /// How long nobody has anything to do.
    fn pause(&self, now: u64) -> Duration {
        let next = self.times.peek().map(|Reverse((time, _))| *time);
        next.map_or(LOOK, |time| {
            Duration::from_nanos(time.saturating_sub(now)).min(LOOK)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agenda_knows_the_last_word_of_everybody() {
        let mut agenda = Agenda::new(3);
        agenda.set(0, Next::At(50));
        agenda.set(1, Next::At(20));
        agenda.set(1, Next::At(70));
        agenda.set(2, Next::At(10));
        agenda.set(2, Next::Done);
        assert_eq!(agenda.open, 2);
        assert_eq!(agenda.due(49), None);
        assert_eq!(agenda.pause(49), Duration::from_nanos(1));
        assert_eq!(agenda.due(100), Some(0));
        assert_eq!(agenda.due(100), Some(1));
        assert_eq!(agenda.due(100), None);
        assert_eq!(agenda.pause(100), LOOK);
        agenda.everybody(100);
        assert_eq!(agenda.due(100), Some(0));
        assert_eq!(agenda.due(100), Some(1));
        assert_eq!(agenda.due(100), None);
    }
}
