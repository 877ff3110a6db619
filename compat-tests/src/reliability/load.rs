//! Producers and a housekeeper that keep a broker busy, and go on where they were when it comes
//! back.
//!
//! A producer is idempotent, keeps five requests in flight on one connection, and sends again what
//! was not answered, in its order and with its sequences, as Kafka's clients do. What it does not
//! do is forget: a refusal that a client would answer with a new producer id is a complaint here.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::client::{Client, Produced, ToPartition};
use super::ledger::{Kept, Ledger, Partition, Sent, Ticket, Value};
use super::reading;

/// What Kafka's clients keep in flight with idempotence.
const IN_FLIGHT_MAX: usize = 5;

/// How often a batch is refused by a running broker before that is a complaint.
const REFUSALS_MAX: u32 = 500;

/// `OUT_OF_ORDER_SEQUENCE_NUMBER`.
const OUT_OF_ORDER: i16 = 45;

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
    /// Where everything random starts.
    pub seed: u64,
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
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    side_topics: Mutex<BTreeMap<String, Existence>>,
    complaints: Mutex<Vec<String>>,
    /// The broker's address while it runs, and a number for each time that it came.
    broker: Mutex<(Option<String>, u64)>,
    changed: Condvar,
    over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A producer that panicked has said why; the others' account is still worth reading.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Load {
    /// Starts it; it waits for a broker.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            side_topics: Mutex::default(),
            complaints: Mutex::default(),
            broker: Mutex::default(),
            changed: Condvar::new(),
            over: AtomicBool::new(false),
        });
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
            let mut housekeeper = Housekeeper {
                shared: shared.clone(),
                random: fastrand::Rng::with_seed(plan.seed ^ 0x6b65_6570),
                partitions,
                producer: plan.promised + plan.unpromised + 1,
                number: 0,
            };
            threads.push(std::thread::spawn(move || housekeeper.run()));
        }
        Self { shared, threads }
    }

    /// The broker can be reached here.
    pub fn broker_at(&self, address: &str) {
        let mut broker = lock(&self.shared.broker);
        *broker = (Some(address.to_owned()), broker.1 + 1);
        drop(broker);
        self.shared.changed.notify_all();
    }

    /// The broker is gone, or about to go: answers that are read from now on count for nothing. It
    /// is said before a power cut and not after it: a broker outlives the power of its disk for a
    /// moment, and what it answers then no client of a machine without power would have heard.
    pub fn broker_gone(&self) {
        lock(&self.shared.broker).0 = None;
    }

    /// The account as it stands.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        lock(&self.shared.ledger).clone()
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

    /// What a producer was told and must not be told.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.shared.complaints).clone()
    }

    /// Stops everybody after what they are at; the account stays.
    pub fn stop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
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

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn complain(&self, what: String) {
        eprintln!("complaint: {what}");
        lock(&self.complaints).push(what);
    }

    /// Waits for a broker, and connects; `None` when it is over. With the number of its coming.
    fn connect(&self) -> Option<(Client, u64)> {
        loop {
            let mut broker = lock(&self.broker);
            while broker.0.is_none() && !self.is_over() {
                broker = self
                    .changed
                    .wait_timeout(broker, Duration::from_millis(20))
                    .map_or_else(|poisoned| poisoned.into_inner().0, |(broker, _)| broker);
            }
            if self.is_over() {
                return None;
            }
            let (address, came) = (broker.0.clone().unwrap_or_default(), broker.1);
            drop(broker);
            match Client::connect(&address) {
                Ok(client) => return Some((client, came)),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Whether the broker is there that came as the `came`th, and not its successor: whoever was
    /// held up for so long must not count what it heard from the one that is gone.
    fn is_up(&self, came: u64) -> bool {
        let broker = lock(&self.broker);
        broker.0.is_some() && broker.1 == came
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

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
struct Producer {
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
    fn new(
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

    fn run(&mut self) {
        while let Some((mut client, came)) = self.shared.connect() {
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
            while client.in_flight() < IN_FLIGHT_MAX && !self.shared.is_over() {
                let fresh = self.fresh(id);
                if fresh.is_empty() {
                    break;
                }
                client.send_produce(-1, &fresh)?;
            }
            if client.in_flight() == 0 {
                return match self.shared.is_over() {
                    true => Err(Broken::Over),
                    false => Ok(()),
                };
            }
            let answers = client.receive_produce()?;
            if !self.shared.is_up(came) {
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
            if let Err(reason) = lock(&shared.ledger).answer(&done.ticket, answer.base_offset) {
                shared.complain(reason);
            }
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
        } else if shared.is_up(came) {
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

/// A producer without promise: `acks=1`, nothing is sent twice.
#[derive(Debug)]
struct Unpromised {
    number: u16,
    shared: Arc<Shared>,
    random: fastrand::Rng,
    records_max: u32,
    partitions: Vec<Partition>,
    next_value: u64,
}

impl Unpromised {
    fn new(number: u16, plan: &Plan, partitions: &[Partition], shared: &Arc<Shared>) -> Self {
        Self {
            number,
            shared: shared.clone(),
            random: fastrand::Rng::with_seed(plan.seed ^ u64::from(number) << 32),
            records_max: plan.records_max,
            partitions: partitions.to_vec(),
            next_value: 0,
        }
    }

    fn run(&mut self) {
        while let Some((mut client, came)) = self.shared.connect() {
            let _ = self.talk(&mut client, came);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn talk(&mut self, client: &mut Client, came: u64) -> io::Result<()> {
        while !self.shared.is_over() {
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
            if answer.code != 0 || !self.shared.is_up(came) {
                return Ok(());
            }
            if let Err(reason) = lock(&self.shared.ledger).answer(&ticket, answer.base_offset) {
                self.shared.complain(reason);
            }
            std::thread::sleep(Duration::from_millis(self.random.u64(1..10)));
        }
        Ok(())
    }
}

/// Creates and deletes topics, and deletes records.
#[derive(Debug)]
struct Housekeeper {
    shared: Arc<Shared>,
    random: fastrand::Rng,
    partitions: Vec<Partition>,
    producer: u16,
    number: u64,
}

/// Names of topics that come and go: few, so that they come again.
const SIDE_TOPICS: u32 = 6;

impl Housekeeper {
    fn run(&mut self) {
        while let Some((mut client, came)) = self.shared.connect() {
            let begin = Instant::now();
            while !self.shared.is_over() {
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
        if code == 0 && self.shared.is_up(came) {
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
            if !self.shared.is_up(came) {
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
            _ if !self.shared.is_up(came) => return Ok(()),
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
            if answer.code == 0 && self.shared.is_up(came) {
                let noted = lock(&self.shared.ledger).answer(&ticket, answer.base_offset);
                if let Err(reason) = noted {
                    self.shared.complain(reason);
                }
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
