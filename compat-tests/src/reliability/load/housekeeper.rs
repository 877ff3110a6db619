//! Topics that come and go, and records that are deleted.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::shared::{Shared, lock, now};
use super::{Existence, Plan, create};
use crate::reliability::client::{Client, ToPartition};
use crate::reliability::ledger::{Partition, Sent, Value};
use crate::reliability::reading;

/// Names of topics that come and go: few, so that they come again.
const SIDE_TOPICS: u32 = 6;

/// Creates and deletes topics, and deletes records.
#[derive(Debug)]
pub(super) struct Housekeeper {
    shared: Arc<Shared>,
    random: fastrand::Rng,
    partitions: Vec<Partition>,
    producer: u16,
    number: u64,
}

impl Housekeeper {
    /// Of these partitions records are deleted.
    pub(super) fn new(plan: &Plan, partitions: Vec<Partition>, shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            random: fastrand::Rng::with_seed(plan.seed ^ 0x6b65_6570),
            partitions,
            producer: plan.promised + plan.unpromised + 1,
            number: 0,
        }
    }

    /// Keeps house until the load is over.
    pub(super) fn run(&mut self) {
        while let Some((mut client, came)) = self.shared.beacon.connect() {
            let begin = Instant::now();
            while !self.shared.beacon.is_over() {
                let done = match self.random.u8(..3) {
                    0 => self.delete_records(&mut client, came),
                    _ => self.change_topic(&mut client, came),
                };
                if done.is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(self.random.u64(5..60)));
            }
            if begin.elapsed() < Duration::from_millis(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Deletes up to some acknowledged record.
    fn delete_records(&mut self, client: &mut Client, came: u64) -> io::Result<()> {
        let at = self.random.usize(..self.partitions.len());
        let partition = self.partitions[at].clone();
        let known = {
            let ledger = lock(&self.shared.ledger);
            let answered = ledger.of(&partition).and_then(|ledger| {
                let all = ledger.sent.iter().filter(|sent| sent.promised);
                all.filter_map(|sent| sent.answered).max()
            });
            answered.unwrap_or(0)
        };
        // Half of the deletions leave little behind.
        let span = if self.random.bool() { 200 } else { 20_000 };
        let below = known - self.random.i64(0..span);
        if below <= 0 {
            return Ok(());
        }
        lock(&self.shared.ledger).ask_to_delete(&partition, below);
        let (code, log_start) = client.delete_records(&partition.0, partition.1, below)?;
        if code == 0 && self.shared.beacon.is_up(came) {
            lock(&self.shared.ledger).deleted(&partition, below);
            if log_start < below {
                self.shared.complain(format!(
                    "DeleteRecords of {partition:?} to {below} answers {log_start}"
                ));
            }
        }
        Ok(())
    }

    /// Creates a topic and puts something in it, or deletes it.
    fn change_topic(&mut self, client: &mut Client, came: u64) -> io::Result<()> {
        let name = format!("side-{}", self.random.u32(..SIDE_TOPICS));
        let was = lock(&self.shared.side_topics).get(&name).copied();
        self.set(&name, Existence::Unknown);
        if was == Some(Existence::There) || was == Some(Existence::Unknown) && self.random.bool() {
            self.forget(&name);
            let body = json!({"topics": [{"name": name}], "timeoutMs": 10_000});
            let answer = client.ask("DeleteTopics", 6, &body)?;
            if !self.shared.beacon.is_up(came) {
                return Ok(());
            }
            // 3: an earlier deletion, which was not answered, was done.
            match answer["responses"][0]["errorCode"].as_i64() {
                Some(0) => self.set(&name, Existence::Gone),
                Some(3) if was == Some(Existence::There) => {
                    self.shared
                        .complain(format!("{name} is not there, its creation was answered"));
                }
                Some(3) => self.set(&name, Existence::Gone),
                _ => {}
            }
            return Ok(());
        }
        match create(client, &name, 2, &json!([]))? {
            _ if !self.shared.beacon.is_up(came) => return Ok(()),
            0 => {}
            // An earlier creation, which was not answered, was done, or a deletion was not: it
            // may hold records that nobody knows of any more.
            36 if was == Some(Existence::Unknown) => return Ok(()),
            36 => {
                self.shared
                    .complain(format!("{name} is there, its deletion was answered"));
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.set(&name, Existence::There);
        for _ in 0..self.random.u32(1..4) {
            let partition = (name.clone(), self.random.i32(0..2));
            let first = Value::new(self.producer, self.number);
            self.number += 3;
            let nobody = (-1, -1, -1);
            let sent = Sent {
                first,
                count: 3,
                producer: nobody,
                promised: true,
                answered: None,
            };
            let ticket = lock(&self.shared.ledger).send(&partition, sent);
            let batch = ToPartition {
                topic: partition.0,
                partition: partition.1,
                batch: reading::batch(first, 3, nobody, now()),
            };
            let answer = client.produce(-1, batch)?;
            if answer.code == 0 && self.shared.beacon.is_up(came) {
                self.shared.note(&ticket, answer.base_offset);
            }
        }
        Ok(())
    }

    fn set(&self, name: &str, existence: Existence) {
        lock(&self.shared.side_topics).insert(name.to_owned(), existence);
    }

    fn forget(&self, name: &str) {
        let mut ledger = lock(&self.shared.ledger);
        for partition in 0..2 {
            ledger.forget(&(name.to_owned(), partition));
        }
    }
}
