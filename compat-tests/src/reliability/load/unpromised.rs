//! A producer without promise.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use super::shared::{Shared, lock, now};
use crate::reliability::client::{Client, ToPartition};
use crate::reliability::ledger::{Partition, Sent, Value};
use crate::reliability::reading;

/// A producer without promise: `acks=1`, nothing is sent twice.
#[derive(Debug)]
pub(super) struct Unpromised {
    number: u16,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    records_max: u32,
    partitions: Vec<Partition>,
    next_value: u64,
}

impl Unpromised {
    pub(super) fn new(
        number: u16,
        plan: &Plan,
        partitions: &[Partition],
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            number,
            shared: shared.clone(),
            random: fastrand::Rng::with_seed(plan.seed ^ u64::from(number) << 32),
            records_max: plan.records_max,
            partitions: partitions.to_vec(),
            next_value: 0,
        }
    }

    /// Sends until the load is over.
    pub(super) fn run(&mut self) {
        while let Some((mut client, came)) = self.shared.beacon.connect() {
            let _ = self.talk(&mut client, came);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn talk(&mut self, client: &mut Client, came: u64) -> io::Result<()> {
        while !self.shared.beacon.is_over() {
            let at = self.random.usize(..self.partitions.len());
            let partition = &self.partitions[at];
            let count = self.random.u32(1..=self.records_max);
            let first = Value::new(self.number, self.next_value);
            self.next_value += u64::from(count);
            let nobody = (-1, -1, -1);
            let sent = Sent {
                first,
                count,
                producer: nobody,
                promised: false,
                answered: None,
            };
            let ticket = lock(&self.shared.ledger).send(partition, sent);
            let batch = ToPartition {
                topic: partition.0.clone(),
                partition: partition.1,
                batch: reading::batch(first, count, nobody, now()),
            };
            let answer = client.produce(1, batch)?;
            if answer.code != 0 || !self.shared.beacon.is_up(came) {
                return Ok(());
            }
            self.shared.note(&ticket, answer.base_offset);
            std::thread::sleep(Duration::from_millis(self.random.u64(1..10)));
        }
        Ok(())
    }
}
