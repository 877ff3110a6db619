//! An idempotent producer with requests in flight.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use super::shared::{Shared, lock, now};
use crate::reliability::client::{Client, Produced, ToPartition};
use crate::reliability::ledger::{Partition, Sent, Ticket, Value};
use crate::reliability::reading;

/// What Kafka's clients keep in flight with idempotence.
const IN_FLIGHT_MAX: usize = 5;

/// How often a batch is refused by a running broker before that is a complaint.
const REFUSALS_MAX: u32 = 500;

/// `OUT_OF_ORDER_SEQUENCE_NUMBER`.
const OUT_OF_ORDER: i16 = 45;

/// What an idempotent producer keeps of a partition.
#[derive(Debug)]
struct Lane {
    partition: Partition,
    /// Whether records have keys.
    keyed: bool,
    next_sequence: i32,
    /// Sent and not acknowledged, oldest first.
    pending: VecDeque<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    ticket: Ticket,
    batch: Vec<u8>,
    refused: u32,
}

/// An idempotent producer.
#[derive(Debug)]
pub(super) struct Producer {
    number: u16,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    records_max: u32,
    lanes: Vec<Lane>,
    id: Option<(i64, i16)>,
    next_value: u64,
}

/// Why a conversation ends.
enum Broken {
    /// The connection, or a refusal: everything is sent again on a new one.
    Again,
    /// The load is over.
    Over,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Again
    }
}

impl Producer {
    /// Sends to partitions without keys, and to others with.
    pub(super) fn new(
        number: u16,
        plan: &Plan,
        (plain, keyed): (&[Partition], &[Partition]),
        shared: &Arc<Shared>,
    ) -> Self {
        let lane = |partition: &Partition, keyed| Lane {
            partition: partition.clone(),
            keyed,
            next_sequence: 0,
            pending: VecDeque::new(),
        };
        let plain = plain.iter().map(|partition| lane(partition, false));
        let lanes = plain.chain(keyed.iter().map(|partition| lane(partition, true)));
        Self {
            number,
            shared: shared.clone(),
            random: fastrand::Rng::with_seed(plan.seed ^ u64::from(number) << 32),
            records_max: plan.records_max,
            lanes: lanes.collect(),
            id: None,
            next_value: 0,
        }
    }

    /// Sends until the load is over.
    pub(super) fn run(&mut self) {
        while let Some((mut client, came)) = self.shared.beacon.connect() {
            match self.talk(&mut client, came) {
                Err(Broken::Over) => return,
                Err(Broken::Again) | Ok(()) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn talk(&mut self, client: &mut Client, came: u64) -> Result<(), Broken> {
        let id = match self.id {
            Some(id) => id,
            None => *self.id.insert(client.producer_id()?),
        };
        for depth in 0..IN_FLIGHT_MAX {
            let again: Vec<ToPartition> = self
                .lanes
                .iter()
                .filter_map(|lane| Some(lane.batch(lane.pending.get(depth)?)))
                .collect();
            if !again.is_empty() {
                client.send_produce(-1, &again)?;
            }
        }
        loop {
            while client.in_flight() < IN_FLIGHT_MAX && !self.shared.beacon.is_over() {
                let fresh = self.fresh(id);
                if fresh.is_empty() {
                    break;
                }
                client.send_produce(-1, &fresh)?;
            }
            if client.in_flight() == 0 {
                return match self.shared.beacon.is_over() {
                    true => Err(Broken::Over),
                    false => Ok(()),
                };
            }
            let answers = client.receive_produce()?;
            if !self.shared.beacon.is_up(came) {
                return Err(Broken::Again);
            }
            for answer in answers {
                self.take(&answer, came)?;
            }
        }
    }

    /// A batch for each of a few partitions that have room in flight.
    fn fresh(&mut self, (id, epoch): (i64, i16)) -> Vec<ToPartition> {
        let mut batches = Vec::new();
        let mut left: Vec<usize> = (0..self.lanes.len())
            .filter(|&lane| self.lanes[lane].pending.len() < IN_FLIGHT_MAX)
            .collect();
        self.random.shuffle(&mut left);
        left.truncate(self.random.usize(1..=4));
        for lane in left {
            let count = self.random.u32(1..=self.records_max);
            let lane = &mut self.lanes[lane];
            let first = Value::new(self.number, self.next_value);
            let producer = (id, epoch, lane.next_sequence);
            let sent = Sent {
                first,
                count,
                producer,
                promised: true,
                answered: None,
            };
            let ticket = lock(&self.shared.ledger).send(&lane.partition, sent);
            self.next_value += u64::from(count);
            lane.next_sequence += count as i32;
            let batch = match lane.keyed {
                true => reading::keyed_batch(first, count, producer, now()),
                false => reading::batch(first, count, producer, now()),
            };
            let pending = Pending {
                ticket,
                batch,
                refused: 0,
            };
            batches.push(lane.batch(&pending));
            lane.pending.push_back(pending);
        }
        batches
    }

    fn take(&mut self, answer: &Produced, came: u64) -> Result<(), Broken> {
        let shared = &self.shared;
        let lane = self
            .lanes
            .iter_mut()
            .find(|lane| (&lane.partition.0, lane.partition.1) == (&answer.topic, answer.partition))
            .expect("a partition that was asked");
        if answer.code == 0 {
            // Answers come in order, so this one is for the oldest.
            let Some(done) = lane.pending.pop_front() else {
                shared.complain(format!("an answer to nothing: {answer:?}"));
                return Err(Broken::Again);
            };
            shared.note(&done.ticket, answer.base_offset);
            return Ok(());
        }
        let Some(oldest) = lane.pending.front_mut() else {
            shared.complain(format!("a refusal of nothing: {answer:?}"));
            return Err(Broken::Again);
        };
        oldest.refused += 1;
        // All before it was acknowledged, so the broker has to know where this producer is.
        if answer.code == OUT_OF_ORDER {
            shared.complain(format!(
                "producer {} is out of order with all before acknowledged: {answer:?}",
                self.number
            ));
            std::thread::sleep(Duration::from_millis(200));
        } else if oldest.refused == REFUSALS_MAX {
            shared.complain(format!("refused {REFUSALS_MAX} times: {answer:?}"));
        } else if shared.beacon.is_up(came) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Broken::Again)
    }
}

impl Lane {
    fn batch(&self, pending: &Pending) -> ToPartition {
        ToPartition {
            topic: self.partition.0.clone(),
            partition: self.partition.1,
            batch: pending.batch.clone(),
        }
    }
}
