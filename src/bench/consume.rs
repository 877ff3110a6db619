//! A consumer: one connection, one fetch at a time for all of its partitions.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::fetch_wire::{self, Answer, Batches, Part, Session};
use super::link::Link;
use super::plan::{FetchSpec, Partition, Target, share};
use super::report::{BenchError, Count};
use super::run::connect;
use super::stamp::{PRODUCERS, Stamp};
use super::verify::{Begin, Verifier};
use super::worker::{Client, Next, Phase, Turn};

/// How long to wait after an answer with an error, in nanoseconds.
const PAUSE: u64 = 100_000_000;

/// Errors of a partition that pass: UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE,
/// NOT_LEADER_OR_FOLLOWER, REPLICA_NOT_AVAILABLE, KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH,
/// UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE. After any other, such as CORRUPT_MESSAGE, nothing more
/// comes from there.
const PASSING_ERRORS: [i16; 8] = [3, 5, 6, 9, 56, 74, 75, 78];

/// Errors that end a session: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH.
const SESSION_ERRORS: [i16; 2] = [70, 71];

/// What all consumers of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) target: Arc<Target>,
    pub(super) spec: FetchSpec,
    pub(super) begin: Begin,
    /// Whether all that was acknowledged must have been read at the end.
    pub(super) to_the_end: bool,
    /// The producers of this run: the first, and how many. Batches of others have no latency.
    pub(super) producers: Range<u16>,
}

/// A connection and the partitions that are read on it.
#[derive(Debug)]
pub(super) struct Consumer {
    link: Link,
    common: Common,
    slots: Vec<Slot>,
    places: HashMap<i32, usize>,
    /// Slots that the next request must name within a session.
    moved: Vec<usize>,
    session: Session,
    correlation: i32,
    /// When the request left that is not answered yet.
    asked: Option<u64>,
    /// Nothing is asked before.
    not_before: u64,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Slot {
    partition: i32,
    /// What is asked for next.
    position: i64,
    verifier: Verifier,
    /// Whether nothing is asked for any more: the broker has refused for good.
    given_up: bool,
}

impl Consumer {
    /// Connects the consumer of that index.
    pub(super) fn open(common: &Common, index: usize) -> Result<Self, BenchError> {
        let partitions = share(&common.target.partitions, index, common.spec.consumers);
        let slot = |partition: &Partition| Slot {
            partition: partition.number,
            position: partition.from,
            verifier: Verifier::new(partition.number, partition.from, common.begin),
            given_up: false,
        };
        Ok(Self {
            link: connect(&partitions)?,
            slots: partitions.iter().map(slot).collect(),
            places: partitions
                .iter()
                .enumerate()
                .map(|(place, partition)| (partition.number, place))
                .collect(),
            moved: Vec::new(),
            session: Session::default(),
            correlation: 0,
            asked: None,
            not_before: 0,
            parts: Vec::new(),
            common: common.clone(),
        })
    }

    fn receive(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        let open = self.link.input.fill(&mut self.link.stream, turn.buffers)?;
        turn.now = turn.shared.now();
        while let Some(at) = self.link.input.next_frame()? {
            self.settle(at, turn)?;
        }
        self.link.input.release(turn.buffers);
        match open {
            true => Ok(()),
            false => Err(io::Error::other("the broker closed it")),
        }
    }

    /// Takes an answer: finds out how far it goes, asks for what follows, and then looks at it
    /// closely, while the broker is at work.
    fn settle(&mut self, at: Range<usize>, turn: &mut Turn<'_>) -> io::Result<()> {
        let mut parts = std::mem::take(&mut self.parts);
        let frame = self.link.input.frame(at.clone());
        let answer = fetch_wire::answer(frame, &mut parts).map_err(io::Error::other)?;
        let asked = self
            .asked
            .take()
            .filter(|_| answer.correlation == self.correlation)
            .ok_or_else(|| io::Error::other("an answer to nothing that was asked"))?;
        self.keep_session(answer, turn);
        let mut found = false;
        for part in &parts {
            if part.error != 0 {
                refuse(part.error, turn);
                match PASSING_ERRORS.contains(&part.error) {
                    true => self.not_before = turn.now + PAUSE,
                    false => self.give_up(part, turn),
                }
            }
            found |= !part.records.is_empty();
            self.advance(&at, part)?;
        }
        if found {
            let took = turn.now.saturating_sub(asked);
            turn.tally.latencies.record(took);
        }
        let arrived = turn.now;
        if turn.shared.phase() != Phase::Over && !self.is_done(turn) {
            self.ask(turn)?;
        }
        turn.tally.side.requests += 1;
        turn.tally.last = turn.tally.last.max(arrived);
        for part in &parts {
            self.look(&at, part, arrived, turn);
        }
        self.parts = parts;
        Ok(())
    }

    fn keep_session(&mut self, answer: Answer, turn: &mut Turn<'_>) {
        if answer.error == 0 {
            self.session = self.session.after(answer.session);
            return;
        }
        refuse(answer.error, turn);
        self.session = Session::default();
        if !SESSION_ERRORS.contains(&answer.error) {
            self.not_before = turn.now + PAUSE;
        }
    }

    /// Asks no more for a partition that was refused for good.
    fn give_up(&mut self, part: &Part, turn: &mut Turn<'_>) {
        let place = self.places.get(&part.partition);
        let Some(slot) = place.and_then(|&place| self.slots.get_mut(place)) else {
            return;
        };
        slot.given_up = true;
        let (partition, position, error) = (slot.partition, slot.position, part.error);
        let what = format!("partition {partition} at offset {position}: error {error}");
        turn.tally.side.given_up.push(what);
        // A new one, without it.
        self.session = Session::default();
    }

    /// The batches of a partition in the answer that is at `at`.
    fn batches(&self, at: &Range<usize>, part: &Part) -> Batches<'_> {
        let frame = self.link.input.frame(at.clone());
        Batches::new(frame.get(part.records.clone()).unwrap_or_default())
    }

    /// Moves the position behind the last whole batch.
    fn advance(&mut self, at: &Range<usize>, part: &Part) -> io::Result<()> {
        let Some(&place) = self.places.get(&part.partition) else {
            let partition = part.partition;
            return Err(io::Error::other(format!(
                "partition {partition} was not asked for"
            )));
        };
        let mut next = None;
        for batch in self.batches(at, part) {
            let (header, _) = batch.map_err(io::Error::other)?;
            next = Some(header.next_offset().0);
        }
        let (Some(next), Some(slot)) = (next, self.slots.get_mut(place)) else {
            return Ok(());
        };
        if next <= slot.position {
            let (partition, position) = (slot.partition, slot.position);
            return Err(io::Error::other(format!(
                "partition {partition}: records up to {next} where {position} was asked for"
            )));
        }
        slot.position = next;
        self.moved.push(place);
        Ok(())
    }

    /// Checks the batches of a partition.
    fn look(&mut self, at: &Range<usize>, part: &Part, arrived: u64, turn: &mut Turn<'_>) {
        let frame = self.link.input.frame(at.clone());
        let batches = Batches::new(frame.get(part.records.clone()).unwrap_or_default());
        let place = self.places.get(&part.partition);
        let Some(slot) = place.and_then(|&place| self.slots.get_mut(place)) else {
            return;
        };
        let arrived_us = turn.shared.wall_us(arrived);
        let mut count = Count::default();
        for (header, batch) in batches.flatten() {
            count.records += u64::try_from(header.record_count).unwrap_or(0);
            count.bytes += batch.len() as u64;
            let stamp = slot.verifier.check(&header, batch);
            if let Some(stamp) = stamp
                && !header.is_log_append_time()
                && is_of(&self.common.producers, stamp)
            {
                let took = u64::try_from(arrived_us - stamp.due_us).unwrap_or(0);
                turn.tally.arrivals.record(took.saturating_mul(1000));
            }
        }
        turn.shared.consumed.add(count);
        turn.tally.side.count.records += count.records;
        turn.tally.side.count.bytes += count.bytes;
    }

    fn ask(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        if self.asked.is_some() || turn.now < self.not_before {
            return Ok(());
        }
        self.correlation = self.correlation.wrapping_add(1);
        if self.session.is_full() {
            self.moved = (0..self.slots.len()).collect();
        }
        let slots = &self.slots;
        let wanted: Vec<_> = self
            .moved
            .drain(..)
            .filter_map(|place| slots.get(place))
            .filter(|slot| !slot.given_up)
            .map(|slot| (slot.partition, slot.position))
            .collect();
        let frame = fetch_wire::encode(
            &self.common.target,
            &self.common.spec,
            self.correlation,
            self.session,
            wanted.into_iter(),
        )
        .map_err(io::Error::other)?;
        self.link.out.push_all(&frame);
        self.asked = Some(turn.now);
        turn.tally.first.get_or_insert(turn.now);
        self.link.flush()
    }

    /// Whether everything was read that is to be read.
    fn is_done(&self, turn: &Turn<'_>) -> bool {
        let mut open = self.slots.iter().filter(|slot| !slot.given_up);
        match turn.shared.phase() {
            Phase::Running | Phase::Stopping => open.next().is_none(),
            Phase::Draining => open.all(|slot| {
                let end = turn.shared.end(slot.partition);
                end.is_none_or(|end| slot.position >= end)
            }),
            Phase::Over => true,
        }
    }

    fn act(&mut self, ready: bool, turn: &mut Turn<'_>) -> io::Result<Next> {
        if ready {
            self.receive(turn)?;
        }
        if self.is_done(turn) {
            return Ok(Next::Done);
        }
        self.ask(turn)?;
        self.link.flush()?;
        Ok(match self.asked {
            Some(_) => Next::Ready,
            None => Next::At(self.not_before),
        })
    }
}

/// Counts an error of the broker.
fn refuse(code: i16, turn: &mut Turn<'_>) {
    turn.tally.error(code);
    turn.shared.consumed.add(Count {
        errors: 1,
        ..Count::default()
    });
}

/// Whether a batch is of one of these producers, whose numbers may begin again at 0.
fn is_of(producers: &Range<u16>, stamp: Stamp) -> bool {
    let ahead = stamp.producer.wrapping_sub(producers.start) % PRODUCERS;
    ahead < producers.end.wrapping_sub(producers.start)
}

impl Client for Consumer {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn turn(&mut self, ready: bool, turn: &mut Turn<'_>) -> Next {
        match self.act(ready, turn) {
            Ok(next) => next,
            Err(error) => {
                let what = match self.slots.first() {
                    Some(slot) => format!("consumer of partition {}: {error}", slot.partition),
                    None => error.to_string(),
                };
                turn.tally.side.lost.push(what);
                Next::Done
            }
        }
    }

    fn finish(self, turn: &mut Turn<'_>) {
        for slot in self.slots {
            let end = match self.common.to_the_end && !turn.shared.is_cut() {
                true => turn.shared.end(slot.partition),
                false => None,
            };
            let faults = slot.verifier.finish(&turn.shared.refused, end);
            turn.tally.faults.merge(faults);
        }
    }
}
