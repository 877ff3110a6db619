//! Producers, a housekeeper and members of groups that keep a broker busy, and go on where they were
//! when it comes back.
//!
//! A producer is idempotent, keeps five requests in flight on one connection, and sends again what
//! was not answered, in its order and with its sequences, as Kafka's clients do. What it does not
//! do is forget: a refusal that a client would answer with a new producer id is a complaint here.
//!
//! Who sends what, and the running load, are here; `shared` is what all threads know, and each
//! kind of thread has a file of its own.

mod housekeeper;
mod producer;
mod shared;
mod unpromised;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::client::Client;
use super::groups::restless::{Cast, Protocol, Restless};
use super::ledger::{Kept, Ledger, Partition};

use housekeeper::Housekeeper;
use producer::Producer;
use shared::{Shared, lock};
use unpromised::Unpromised;

/// A topic of the load.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// Its settings.
    pub configs: Vec<(&'static str, String)>,
}

impl Topic {
    /// Creates it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn create(&self, client: &mut Client) -> Result<(), String> {
        let configs: Vec<_> = self
            .configs
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let code = create(client, &self.name, self.partitions, &json!(configs));
        match code {
            Ok(0) => Ok(()),
            code => Err(format!("CreateTopics of {}: {code:?}", self.name)),
        }
    }

    /// What its settings let stay.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let set = |name, value: &str| {
            let mut configs = self.configs.iter();
            configs.any(|(key, set)| *key == name && (value.is_empty() || set == value))
        };
        if set("cleanup.policy", "compact") {
            Kept::LatestByKey
        } else if set("retention.bytes", "") {
            Kept::Newest
        } else {
            Kept::All
        }
    }

    /// All partitions.
    pub fn each(&self) -> impl Iterator<Item = Partition> + '_ {
        (0..self.partitions).map(|partition| (self.name.clone(), partition))
    }
}

fn create(
    client: &mut Client,
    name: &str,
    partitions: i32,
    configs: &serde_json::Value,
) -> io::Result<i64> {
    let topic = json!({
        "name": name, "numPartitions": partitions, "replicationFactor": 1, "configs": configs
    });
    let answer = client.ask(
        "CreateTopics",
        7,
        &json!({"topics": [topic], "timeoutMs": 10_000}),
    )?;
    Ok(answer["topics"][0]["errorCode"].as_i64().unwrap_or(-1))
}

/// Who sends what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it is sent; they are there when the load begins.
    pub topics: Vec<Topic>,
    /// Idempotent producers with `acks=all`.
    pub promised: u16,
    /// Producers with `acks=1`, which never send again.
    pub unpromised: u16,
    /// Most records in a batch.
    pub records_max: u32,
    /// Whether topics come and go and records are deleted meanwhile.
    pub housekeeping: bool,
    /// Members of each of two groups that commit offsets of the first topic: one group of the
    /// classic protocol, one of KIP-848.
    pub members: usize,
    /// Where everything random starts.
    pub seed: u64,
}

impl Plan {
    fn casts(&self) -> Vec<Cast> {
        let groups = [
            ("members-classic", Protocol::Classic),
            ("members-consumer", Protocol::Consumer),
        ];
        let topic = self.topics.first().filter(|_| self.members > 0);
        let casts = topic.into_iter().flat_map(|topic| {
            groups.map(|(group, protocol)| Cast {
                group,
                protocol,
                topic: topic.name.clone(),
                partitions: u8::try_from(topic.partitions).expect("a few partitions"),
                members: self.members,
                pause: Duration::from_millis(10),
                vanishing: false,
            })
        });
        casts.collect()
    }
}

/// What is known of a topic that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// Its creation was answered, its deletion not asked for.
    There,
    /// Its deletion was answered, its creation not asked for.
    Gone,
    /// A question is open, or was never answered.
    Unknown,
}

/// The running load. Dropping it stops it.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    groups: Restless,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts it; it waits for a broker.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        let shared = Arc::<Shared>::default();
        let mut partitions: Vec<Partition> = Vec::new();
        let mut keyed: Vec<Partition> = Vec::new();
        for topic in &plan.topics {
            for partition in topic.each() {
                lock(&shared.ledger).keep(&partition, topic.kept());
                match topic.kept() {
                    Kept::All | Kept::Newest => partitions.push(partition),
                    Kept::LatestByKey => keyed.push(partition),
                }
            }
        }
        let mut threads = Vec::new();
        for number in 1..=plan.promised {
            let mut producer = Producer::new(number, plan, (&partitions, &keyed), &shared);
            threads.push(std::thread::spawn(move || producer.run()));
        }
        for number in 1..=plan.unpromised {
            let number = plan.promised + number;
            let mut producer = Unpromised::new(number, plan, &partitions, &shared);
            threads.push(std::thread::spawn(move || producer.run()));
        }
        if plan.housekeeping {
            let mut housekeeper = Housekeeper::new(plan, partitions, &shared);
            threads.push(std::thread::spawn(move || housekeeper.run()));
        }
        Self {
            groups: Restless::start(&plan.casts(), &shared.beacon, plan.seed),
            shared,
            threads,
        }
    }

    /// The groups at work.
    pub(super) fn groups(&self) -> &Restless {
        &self.groups
    }

    /// The broker can be reached here.
    pub fn broker_at(&self, address: &str) {
        self.shared.beacon.broker_at(address);
    }

    /// The broker is gone, or about to go ([`Beacon::broker_gone`](super::beacon::Beacon)).
    pub fn broker_gone(&self) {
        self.shared.beacon.broker_gone();
    }

    /// The account as it stands.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        lock(&self.shared.ledger).clone()
    }

    /// Notes stretches that a fault left damaged.
    pub fn excuse(&self, partition: &Partition, stretches: &[Range<i64>]) {
        lock(&self.shared.ledger).excuse(partition, stretches);
    }

    /// Records acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        lock(&self.shared.ledger).acknowledged()
    }

    /// The topics that came and went.
    #[must_use]
    pub fn side_topics(&self) -> BTreeMap<String, Existence> {
        lock(&self.shared.side_topics).clone()
    }

    /// What a producer or a member was told and must not be told.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = lock(&self.shared.complaints).clone();
        complaints.extend(self.groups.failures());
        complaints
    }

    /// Stops everybody after what they are at; the account stays.
    pub fn stop(&mut self) {
        self.groups.end();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shared.complain("a producer panicked".to_owned());
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}
