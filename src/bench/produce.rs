//! A producer: one connection, batches for some partitions in turn.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::link::Link;
use super::pace::Schedule;
use super::pattern::Pattern;
use super::plan::{Partition, ProduceSpec, Target, share};
use super::produce_wire::{self, RequestHead, TRAILER};
use super::report::{BenchError, Count};
use super::run::connect;
use super::stamp::{PRODUCERS, Stamp};
use super::worker::{Client, Next, Phase, Turn};
use crate::model::Acks;

/// What brokers take in a request, if nobody has set anything else.
const REQUEST_BYTES_USUAL: usize = 100 * 1024 * 1024;

/// Batches that are sent without answers before other clients have a turn.
const UNANSWERED_IN_A_TURN: usize = 64;

/// What all producers of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pattern: Pattern,
    /// What follows the header of the batch in a request.
    rest: Arc<[u8]>,
    head: RequestHead,
    spec: ProduceSpec,
}

impl Common {
    /// Makes the batch.
    pub(super) fn new(target: &Target, spec: ProduceSpec) -> Result<Self, BenchError> {
        if spec.producers > usize::from(PRODUCERS) {
            return Err(BenchError::Producers(PRODUCERS));
        }
        let pattern = Pattern::new(&spec.batch)?;
        Ok(Self {
            rest: [pattern.records(), &TRAILER].concat().into(),
            head: RequestHead::new(target, spec.acks, pattern.len())?,
            pattern,
            spec,
        })
    }
}

/// A connection and the batches on it.
#[derive(Debug)]
pub(super) struct Producer {
    link: Link,
    common: Common,
    /// Tells it apart from others, in its batches.
    id: u16,
    lanes: Vec<Lane>,
    /// Batches that were made so far.
    sent: u64,
    schedule: Schedule,
    correlation: i32,
    in_flight: VecDeque<InFlight>,
    /// Whether only the time keeps it from sending.
    waits_for_time: bool,
    gone: bool,
}

/// A partition and how many batches it got.
#[derive(Clone, Copy, Debug)]
struct Lane {
    partition: i32,
    number: u32,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    correlation: i32,
    partition: i32,
    number: u32,
    /// When it should have left, in nanoseconds of the run.
    due: u64,
}

impl Producer {
    /// Connects the producer of that index.
    pub(super) fn open(target: &Target, common: &Common, index: usize) -> Result<Self, BenchError> {
        let spec = common.spec;
        let partitions = share(&target.partitions, index, spec.producers);
        let lane = |partition: &Partition| Lane {
            partition: partition.number,
            number: 0,
        };
        // Below `PRODUCERS`, as is checked above.
        let offset = u16::try_from(index).unwrap_or(0);
        Ok(Self {
            link: connect(&partitions)?,
            id: spec.first_producer.wrapping_add(offset) % PRODUCERS,
            lanes: partitions.iter().map(lane).collect(),
            sent: 0,
            schedule: Schedule::new(&spec, common.pattern.record_count(), index),
            correlation: 0,
            in_flight: VecDeque::with_capacity(spec.in_flight.min(1024)),
            waits_for_time: false,
            gone: false,
            common: common.clone(),
        })
    }

    fn receive(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        let open = self.link.input.fill(&mut self.link.stream, turn.buffers)?;
        turn.now = turn.shared.now();
        while let Some(at) = self.link.input.next_frame()? {
            let answer =
                produce_wire::answer(self.link.input.frame(at)).map_err(io::Error::other)?;
            self.settle(answer, turn)?;
        }
        self.link.input.release(turn.buffers);
        match open {
            true => Ok(()),
            false => Err(io::Error::other("the broker closed it")),
        }
    }

    fn settle(&mut self, answer: produce_wire::Answer, turn: &mut Turn<'_>) -> io::Result<()> {
        let batch = self
            .in_flight
            .pop_front()
            .filter(|batch| batch.correlation == answer.correlation)
            .ok_or_else(|| io::Error::other("an answer to nothing that was asked"))?;
        if answer.error == 0 {
            let records = self.common.pattern.record_count();
            let end = answer.base_offset.saturating_add(i64::from(records));
            turn.shared.acknowledged(batch.partition, end);
            turn.tally
                .latencies
                .record(turn.now.saturating_sub(batch.due));
            self.count(turn);
        } else {
            turn.shared
                .refused
                .note(batch.partition, self.id, batch.number);
            turn.tally.error(answer.error);
            turn.shared.produced.add(Count {
                errors: 1,
                ..Count::default()
            });
        }
        Ok(())
    }

    /// Counts a batch that was sent for good.
    fn count(&self, turn: &mut Turn<'_>) {
        let count = Count {
            records: u64::from(self.common.pattern.record_count()),
            bytes: self.common.pattern.len() as u64,
            errors: 0,
        };
        turn.shared.produced.add(count);
        turn.tally.side.requests += 1;
        turn.tally.side.count.records += count.records;
        turn.tally.side.count.bytes += count.bytes;
        turn.tally.last = turn.tally.last.max(turn.now);
    }

    /// Sends what is due while there is room; when to go on.
    fn send(&mut self, turn: &mut Turn<'_>) -> io::Result<Next> {
        let silent = self.common.spec.acks == Acks::None;
        let mut sent = 0;
        loop {
            if !self.link.out.has_room() {
                self.link.flush()?;
            }
            if !self.link.out.has_room() || self.in_flight.len() >= self.common.spec.in_flight {
                self.waits_for_time = false;
                break;
            }
            match self.schedule.due(self.sent, turn.now) {
                Some(due) if due <= turn.now => {
                    if std::mem::take(&mut self.waits_for_time) && self.schedule.is_paced() {
                        turn.tally.lateness.record(turn.now - due);
                    }
                    self.send_one(due, turn);
                    sent += 1;
                }
                Some(due) => {
                    self.waits_for_time = true;
                    self.link.flush()?;
                    return Ok(Next::At(due));
                }
                None => {
                    self.link.flush()?;
                    return Ok(
                        match self.in_flight.is_empty() && self.link.out.is_empty() {
                            true => Next::Done,
                            false => Next::Ready,
                        },
                    );
                }
            }
            if silent && sent == UNANSWERED_IN_A_TURN {
                self.link.flush()?;
                return Ok(match self.link.out.has_room() {
                    true => Next::At(turn.now),
                    false => Next::Ready,
                });
            }
        }
        self.link.flush()?;
        Ok(Next::Ready)
    }

    fn send_one(&mut self, due: u64, turn: &mut Turn<'_>) {
        let lanes = self.lanes.len() as u64;
        let place = usize::try_from(self.sent % lanes.max(1)).unwrap_or(0);
        let Some(lane) = self.lanes.get_mut(place) else {
            return;
        };
        let batch = InFlight {
            correlation: self.correlation,
            partition: lane.partition,
            number: lane.number,
            due,
        };
        lane.number = lane.number.wrapping_add(1) % super::stamp::NUMBERS;
        self.correlation = self.correlation.wrapping_add(1);
        self.sent += 1;
        let header = self.common.pattern.header(Stamp {
            producer: self.id,
            number: batch.number,
            due_us: turn.shared.wall_us(due),
        });
        let head = self
            .common
            .head
            .fill(batch.correlation, batch.partition, &header);
        self.link.out.push(head, &self.common.rest);
        turn.tally.first.get_or_insert(turn.now);
        match self.common.spec.acks {
            Acks::None => self.count(turn),
            Acks::Leader | Acks::All => self.in_flight.push_back(batch),
        }
    }

    /// Gives up: what is in flight may have been stored or not.
    fn abandon(&mut self, turn: &mut Turn<'_>) {
        for batch in self.in_flight.drain(..) {
            turn.tally.side.unanswered += 1;
            turn.shared
                .refused
                .note(batch.partition, self.id, batch.number);
        }
        self.gone = true;
    }
}

impl Client for Producer {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn turn(&mut self, ready: bool, turn: &mut Turn<'_>) -> Next {
        if turn.shared.phase() == Phase::Over {
            self.abandon(turn);
            return Next::Done;
        }
        if turn.shared.phase() >= Phase::Stopping {
            self.schedule.stop(self.sent);
        }
        let received = if ready { self.receive(turn) } else { Ok(()) };
        match received.and_then(|()| self.send(turn)) {
            Ok(next) => next,
            Err(error) => {
                let (id, bytes) = (self.id, self.common.pattern.len());
                let hint = match bytes > REQUEST_BYTES_USUAL {
                    true => format!(
                        "; brokers hang up on requests beyond socket.request.max.bytes, \
                         and these have {bytes} bytes"
                    ),
                    false => String::new(),
                };
                let what = format!("producer {id}: {error}{hint}");
                turn.tally.side.lost.push(what);
                self.abandon(turn);
                Next::Done
            }
        }
    }

    fn finish(mut self, turn: &mut Turn<'_>) {
        turn.tally.side.unsent += self.schedule.left(self.sent, turn.now);
        if !self.gone {
            self.abandon(turn);
        }
    }
}
