//! Opens the connections, starts the threads, and waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::consume::{self, Consumer};
use super::link::Link;
use super::plan::{FetchSpec, Limit, Partition, ProduceSpec, Target};
use super::produce::{self, Producer};
use super::report::{BenchError, Progress, Report, Tally};
use super::verify::Begin;
use super::worker::{Client, Phase, Shared, work};
use crate::clock::SharedClock;

/// How often it is looked whether the run is over.
const LOOK: Duration = Duration::from_millis(10);

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// How long nothing may happen, once nothing more is sent, before what is open is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done: one side, or both at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Records are sent.
    pub(crate) produce: Option<ProduceSpec>,
    /// Records are read.
    pub(crate) fetch: Option<FetchSpec>,
}

/// The user's wish that a run end before its time.
#[derive(Debug, Default)]
pub(crate) struct Interrupt(AtomicU32);

impl Interrupt {
    /// Wishes it. The first time, what was sent is still waited for; the second time, nothing is.
    pub(crate) fn interrupt(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn times(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

/// Does it, telling its progress every second.
pub(crate) fn run(
    work: Work,
    target: Target,
    clock: SharedClock,
    interrupt: Arc<Interrupt>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Report, BenchError> {
    let target = Arc::new(target);
    let (producers, consumers) = open(work, &target)?;
    let ends = target.partitions.iter();
    let ends = ends.map(|partition| (partition.number, partition.end));
    let shared = Arc::new(Shared::new(clock, ends));
    if let Some(fetch) = work.fetch
        && work.produce.is_none()
        && matches!(fetch.limit, Limit::Ends)
    {
        shared.enter(Phase::Draining);
    }
    let (send, ended) = channel();
    let mut running = Running {
        work,
        shared,
        interrupt,
        ended,
        produced: None,
        consumed: None,
        threads: [0, 0],
    };
    let threads = work.fetch.map_or(0, |fetch| fetch.threads);
    running.start(consumers, threads, &send, "consume", Ended::Consumers)?;
    let threads = work.produce.map_or(0, |produce| produce.threads);
    running.start(producers, threads, &send, "produce", Ended::Producers)?;
    drop(send);
    let outcome = running.wait(tell);
    // Threads that still run must not go on without anybody who waits for them.
    running.shared.enter(Phase::Over);
    outcome?;
    running.report()
}

/// Connects everybody.
fn open(work: Work, target: &Arc<Target>) -> Result<(Vec<Producer>, Vec<Consumer>), BenchError> {
    let (mut producers, mut consumers) = (Vec::new(), Vec::new());
    if let Some(spec) = work.fetch {
        let sending = work.produce.map_or(0..0, |produce| {
            let count = u16::try_from(produce.producers).unwrap_or(u16::MAX);
            produce.first_producer..produce.first_producer.wrapping_add(count)
        });
        let common = consume::Common {
            target: Arc::clone(target),
            spec,
            begin: match work.produce {
                Some(_) => Begin::BeforeProducers,
                None => Begin::Anywhere,
            },
            to_the_end: work.produce.is_some() || matches!(spec.limit, Limit::Ends),
            producers: sending,
        };
        for index in 0..spec.consumers {
            consumers.push(Consumer::open(&common, index)?);
        }
    }
    if let Some(spec) = work.produce {
        let common = produce::Common::new(target, spec)?;
        for index in 0..spec.producers {
            producers.push(Producer::open(target, &common, index)?);
        }
    }
    Ok((producers, consumers))
}

/// A connection to the leader of these partitions.
pub(super) fn connect(partitions: &[Partition]) -> Result<Link, BenchError> {
    let Some(first) = partitions.first() else {
        return Err(BenchError::Leaders(0));
    };
    if partitions.iter().any(|other| other.leader != first.leader) {
        return Err(BenchError::Leaders(partitions.len()));
    }
    Link::open(first.leader).map_err(|source| BenchError::Connect {
        address: first.leader,
        source,
    })
}

/// What a thread says when it ends.
enum Ended {
    Producers(Result<Tally, BenchError>),
    Consumers(Result<Tally, BenchError>),
}

struct Running {
    work: Work,
    shared: Arc<Shared>,
    interrupt: Arc<Interrupt>,
    ended: Receiver<Ended>,
    produced: Option<Tally>,
    consumed: Option<Tally>,
    /// Threads that have not ended: producers', consumers'.
    threads: [usize; 2],
}

impl Running {
    /// Deals clients out to threads.
    fn start<C: Client>(
        &mut self,
        clients: Vec<C>,
        threads: usize,
        ended: &Sender<Ended>,
        name: &str,
        say: fn(Result<Tally, BenchError>) -> Ended,
    ) -> Result<(), BenchError> {
        let threads = threads.clamp(1, clients.len().max(1));
        let mut hands: Vec<Vec<C>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, client) in clients.into_iter().enumerate() {
            if let Some(hand) = hands.get_mut(index % threads) {
                hand.push(client);
            }
        }
        for hand in hands.into_iter().filter(|hand| !hand.is_empty()) {
            let (shared, ended) = (Arc::clone(&self.shared), ended.clone());
            let run = move || {
                // Whoever waits may have gone after another error.
                let _ = ended.send(say(work(hand, &shared)));
            };
            std::thread::Builder::new()
                .name(format!("klamm-{name}"))
                .spawn(run)?;
            let [producing, consuming] = &mut self.threads;
            match say(Err(BenchError::Thread)) {
                Ended::Producers(_) => *producing += 1,
                Ended::Consumers(_) => *consuming += 1,
            }
        }
        Ok(())
    }

    /// Waits until all threads have ended, and ends them when it is time.
    fn wait(&mut self, tell: &mut dyn FnMut(Progress)) -> Result<(), BenchError> {
        let mut next_tell = TELL;
        let (mut last, mut moved) = (self.progress(), Duration::ZERO);
        while self.threads.iter().sum::<usize>() > 0 {
            match self.ended.recv_timeout(LOOK) {
                Ok(ended) => self.note(ended)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(BenchError::Thread),
            }
            let progress = self.progress();
            // Errors alone bring nobody further.
            let records = |progress: &Progress| {
                [progress.produced, progress.consumed].map(|side| side.map(|side| side.records))
            };
            if records(&progress) != records(&last) {
                (last, moved) = (progress, progress.elapsed);
            }
            if progress.elapsed >= next_tell {
                next_tell += TELL;
                tell(progress);
            }
            self.end_in_time(progress, moved);
        }
        Ok(())
    }

    /// Enters the next phase if the time has come; `moved` is when anything last happened.
    fn end_in_time(&self, progress: Progress, moved: Duration) {
        let interrupted = self.interrupt.times();
        match (interrupted, self.work.produce) {
            (0, _) => {}
            (1, Some(_)) => self.shared.enter(Phase::Stopping),
            (_, produce) => {
                if produce.is_none() {
                    self.shared.cut();
                }
                self.shared.enter(Phase::Over);
            }
        }
        let read = progress.consumed.map_or(0, |count| count.records);
        let [producing, _] = self.threads;
        match (self.work.produce, self.work.fetch) {
            (None, Some(fetch)) => match fetch.limit {
                Limit::Duration(duration) if progress.elapsed >= duration => {
                    self.shared.enter(Phase::Over);
                }
                Limit::Records(records) if read >= records => self.shared.enter(Phase::Over),
                Limit::Duration(_) | Limit::Records(_) | Limit::Ends => {}
            },
            (Some(_), Some(_)) if producing == 0 => self.shared.enter(Phase::Draining),
            _ => {}
        }
        let sending = match self.work.produce.map(|produce| produce.limit) {
            Some(Limit::Duration(duration)) => interrupted == 0 && progress.elapsed < duration,
            Some(Limit::Records(_) | Limit::Ends) | None => false,
        };
        let waits = match self.work.fetch.map(|fetch| fetch.limit) {
            // Nobody knows when the next record comes.
            Some(Limit::Duration(_) | Limit::Records(_)) => self.work.produce.is_none(),
            Some(Limit::Ends) | None => false,
        };
        if !sending && !waits && progress.elapsed.saturating_sub(moved) >= PATIENCE {
            self.shared.enter(Phase::Over);
        }
    }

    fn note(&mut self, ended: Ended) -> Result<(), BenchError> {
        let [producing, consuming] = &mut self.threads;
        let (side, threads, tally) = match ended {
            Ended::Producers(tally) => (&mut self.produced, producing, tally),
            Ended::Consumers(tally) => (&mut self.consumed, consuming, tally),
        };
        *threads -= 1;
        let tally = tally?;
        match side {
            Some(side) => side.merge(tally),
            None => {
                *side = Some(tally);
                Ok(())
            }
        }
    }

    fn progress(&self) -> Progress {
        let (produce, fetch) = (self.work.produce, self.work.fetch);
        Progress {
            elapsed: Duration::from_nanos(self.shared.now()),
            produced: produce.map(|_| self.shared.produced.get()),
            consumed: fetch.map(|_| self.shared.consumed.get()),
        }
    }

    fn report(self) -> Result<Report, BenchError> {
        let mut report = Report {
            interrupted: self.interrupt.times() > 0,
            ..Report::default()
        };
        // Consumers that waited for the first record have not begun before it was sent.
        let sent = self.produced.as_ref().and_then(|tally| tally.first);
        if let Some(tally) = self.produced {
            let (mut side, _, _) = tally.finish();
            if let Some(Limit::Duration(duration)) = self.work.produce.map(|one| one.limit)
                && side.lost.is_empty()
                && !report.interrupted
            {
                // Where batches are seldom due, the time is not over with the last of them.
                side.elapsed = side.elapsed.max(duration);
            }
            report.produced = Some(side);
        }
        if let Some(mut tally) = self.consumed {
            tally.first = sent.or(tally.first);
            let (side, arrivals, faults) = tally.finish();
            report.consumed = Some(side);
            report.arrival = arrivals.summary();
            report.faults = faults;
        }
        Ok(report)
    }
}
