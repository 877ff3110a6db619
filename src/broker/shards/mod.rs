//! Drives state machines over the partitions of an internal topic: groups stand on it, and
//! whatever else keeps its state as records.
//!
//! *Owns:* which partitions are loaded, appending what follows from events, who waits for which
//! answer, the deadlines of all machines. *May use:* `coordinator`, `storage`, `batch`. *Must not
//! know:* what the machines are about.
//!
//! *Invariants:* what was appended is replayed before the next event; no answer leaves before
//! everything that its machine had appended by then is durable; a machine whose records may not
//! have been appended is thrown away with all who wait for it, and loaded again at its next use.
//! No lock is held across an await, and none of a machine across a sync.

mod live;
mod log;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::Broker;
use crate::batch::{Codec, Level};
use crate::catalog::{CommitError, Topic};
use crate::coordinator::{Machine, Moment, Outcome, Waiter};
use crate::model::{PartitionId, TopicId, TopicName, TopicPartition};
use crate::storage::{AppendError, ReadError};
use live::{Answer, Live, Ran};

/// Why a machine does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The internal topic is not there, or the machine lost its records: ask again.
    #[error("the coordinator is not here")]
    NotCoordinator,
    /// The internal topic cannot be made.
    #[error("the coordinator is not available")]
    NotAvailable,
    /// What follows from the request cannot be written.
    #[error("{0}")]
    Unwritable(String),
}

impl From<AppendError> for Unavailable {
    fn from(_: AppendError) -> Self {
        Self::NotCoordinator
    }
}

impl From<ReadError> for Unavailable {
    fn from(_: ReadError) -> Self {
        Self::NotCoordinator
    }
}

impl From<CommitError> for Unavailable {
    fn from(_: CommitError) -> Self {
        Self::NotAvailable
    }
}

/// What a kind of machine needs of its broker.
pub(super) struct Host<M: Machine> {
    /// Name of the internal topic.
    pub(super) topic: &'static str,
    /// An empty machine; the number is a seed.
    pub(super) make: fn(u64) -> M,
    /// What it is lent with an event.
    pub(super) world: fn(&Broker) -> M::World,
    /// How its records are compressed.
    pub(super) codec: Codec,
    /// Bytes that are read at a time when it is loaded.
    pub(super) read_bytes: usize,
}

/// The machines of one internal topic.
pub(super) struct Shards<M: Machine> {
    host: Host<M>,
    slots: RwLock<BTreeMap<TopicPartition, Arc<Slot<M>>>>,
    seed: Mutex<fastrand::Rng>,
    /// Milliseconds of monotonic time at which deadlines are looked at next.
    armed: AtomicU64,
    /// Told when that is sooner than it was.
    rearmed: Notify,
}

impl<M: Machine> std::fmt::Debug for Shards<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shards")
            .field("topic", &self.host.topic)
            .finish_non_exhaustive()
    }
}

/// One partition.
#[derive(Debug)]
struct Slot<M: Machine> {
    id: TopicPartition,
    live: Mutex<Option<Live<M>>>,
    /// Held while it is loaded, so that it is loaded once.
    loading: tokio::sync::Mutex<()>,
}

impl<M: Machine> Shards<M> {
    pub(super) fn new(host: Host<M>, seed: u64) -> Self {
        Self {
            host,
            slots: RwLock::new(BTreeMap::new()),
            seed: Mutex::new(fastrand::Rng::with_seed(seed)),
            armed: AtomicU64::new(u64::MAX),
            rearmed: Notify::new(),
        }
    }

    /// The internal topic, if it is there.
    pub(super) fn topic(&self, broker: &Broker) -> Option<Arc<Topic>> {
        let image = broker.catalog.image();
        image.topic_by_name(self.host.topic)
    }

    /// The internal topic, made if it is not there. It may not be durable yet.
    pub(super) fn make_topic(&self, broker: &Broker) -> Result<Arc<Topic>, Unavailable> {
        if let Some(topic) = self.topic(broker) {
            return Ok(topic);
        }
        let name = TopicName::new(self.host.topic).map_err(|_| Unavailable::NotAvailable)?;
        broker.auto_create_topics(&[name]);
        self.topic(broker).ok_or(Unavailable::NotAvailable)
    }

    /// Waits until the internal topic is durable as the broker shows it.
    pub(super) async fn topic_durable(&self, broker: &Broker) -> Result<(), Unavailable> {
        let image = broker.catalog.image();
        Ok(broker.catalog.durable(image.next_offset()).await?)
    }

    /// Runs an event, and waits for the answer to `Waiter` and until it may leave.
    pub(super) async fn ask(
        &self,
        broker: &Broker,
        topic: &Topic,
        partition: i32,
        event: impl FnOnce(&mut M, Waiter, Moment<'_, M::World>) -> Outcome<M::Record, M::Reply>,
    ) -> Result<M::Reply, Unavailable> {
        let mut event = Some(event);
        let ran = self
            .with(broker, topic, partition, |live, moment| {
                let event = event.take()?;
                Some(live.ask(moment.wall, |machine, waiter| {
                    event(machine, waiter, moment)
                }))
            })
            .await?;
        let answer = match ran.unwrap_or(Err(Unavailable::NotCoordinator))? {
            Ran::Answered(answer) => answer,
            // Whoever throws the machine away drops the other end.
            Ran::Waits(waits) => waits.await.map_err(|_| Unavailable::NotCoordinator)?,
        };
        self.when_durable(answer).await
    }

    /// Runs an event that nobody waits for, until nothing follows from it any more.
    pub(super) async fn tell(
        &self,
        broker: &Broker,
        topic: &Topic,
        partition: i32,
        mut event: impl FnMut(&mut M, Moment<'_, M::World>) -> Outcome<M::Record, M::Reply>,
    ) -> Result<(), Unavailable> {
        let settled: Result<_, Unavailable> = self
            .with(broker, topic, partition, |live, moment| {
                live.settle_all(moment.wall, |machine| {
                    let outcome = event(machine, moment);
                    (!outcome.records.is_empty() || !outcome.replies.is_empty()).then_some(outcome)
                })?;
                Ok(live.answer(()))
            })
            .await?;
        self.when_durable(settled?).await
    }

    /// Looks at a machine, and waits until what was seen is durable.
    pub(super) async fn look<T>(
        &self,
        broker: &Broker,
        topic: &Topic,
        partition: i32,
        mut look: impl FnMut(&M) -> T,
    ) -> Result<T, Unavailable> {
        let seen = self
            .with(broker, topic, partition, |live, _moment| {
                let seen = look(live.machine());
                live.answer(seen)
            })
            .await?;
        self.when_durable(seen).await
    }

    async fn when_durable<T>(&self, answer: Answer<T>) -> Result<T, Unavailable> {
        match answer.log.committed(answer.end).await {
            Ok(()) => Ok(answer.reply),
            Err(error) => {
                tracing::warn!(topic = self.host.topic, %error, "records are not durable");
                self.unload(answer.log.id());
                Err(error.into())
            }
        }
    }

    /// Runs `work` with a machine that is loaded, once.
    async fn with<T>(
        &self,
        broker: &Broker,
        topic: &Topic,
        partition: i32,
        mut work: impl FnMut(&mut Live<M>, Moment<'_, M::World>) -> T,
    ) -> Result<T, Unavailable> {
        let slot = self.slot(topic.id, partition);
        loop {
            if let Some(done) = self.on(broker, &slot, &mut work) {
                return Ok(done);
            }
            self.load(broker, &slot).await?;
        }
    }

    /// Runs `work` with a machine, if it is loaded; one that failed is not any more.
    fn on<T>(
        &self,
        broker: &Broker,
        slot: &Slot<M>,
        work: impl FnOnce(&mut Live<M>, Moment<'_, M::World>) -> T,
    ) -> Option<T> {
        let mut live = slot.live.lock();
        let running = live.as_mut()?;
        let world = (self.host.world)(broker);
        let moment = Moment {
            now: broker.clock.monotonic(),
            wall: broker.clock.wall(),
            world: &world,
        };
        let done = work(running, moment);
        match running.has_failed() {
            true => *live = None,
            false => self.arm(running.machine().next_deadline()),
        }
        Some(done)
    }

    fn slot(&self, topic: TopicId, partition: i32) -> Arc<Slot<M>> {
        let id = TopicPartition {
            topic,
            partition: PartitionId(partition),
        };
        if let Some(slot) = self.slots.read().get(&id) {
            return Arc::clone(slot);
        }
        let mut slots = self.slots.write();
        let slot = slots.entry(id).or_insert_with(|| {
            Arc::new(Slot {
                id,
                live: Mutex::new(None),
                loading: tokio::sync::Mutex::new(()),
            })
        });
        Arc::clone(slot)
    }

    /// Loads a machine that is not loaded.
    async fn load(&self, broker: &Broker, slot: &Slot<M>) -> Result<(), Unavailable> {
        let _once = slot.loading.lock().await;
        if slot.live.lock().is_some() {
            return Ok(());
        }
        let log = broker.partition(&slot.id, None);
        let log = log.map_err(|_| Unavailable::NotCoordinator)?;
        broker
            .raise_owed_epochs()
            .map_err(|_| Unavailable::NotCoordinator)?;
        // What is written to a topic that a power cut takes away is lost.
        self.topic_durable(broker).await?;
        let machine = (self.host.make)(self.seed.lock().u64(..));
        let codec = (self.host.codec, Level::Default);
        let read_bytes = self.host.read_bytes;
        let load = move || Live::load(log, machine, codec, read_bytes);
        let reading = tokio::task::spawn_blocking(load);
        let loaded = reading.await.unwrap_or(Err(Unavailable::NotCoordinator))?;
        *slot.live.lock() = Some(loaded);
        let begun = self.on(broker, slot, |live, moment| live.begin(moment));
        begun.unwrap_or(Err(Unavailable::NotCoordinator))
    }

    /// Throws a machine away: whoever waits for it is told to ask again.
    fn unload(&self, id: TopicPartition) {
        let slot = self.slots.read().get(&id).cloned();
        if let Some(slot) = slot {
            *slot.live.lock() = None;
        }
    }

    /// Throws away the machines of an internal topic that is not there any more.
    pub(super) fn forget_topic(&self, topic: TopicId) {
        self.slots.write().retain(|id, _| id.topic != topic);
    }

    /// Loads every machine of the topic. What cannot be read is left for its first use.
    pub(super) async fn load_all(&self, broker: &Broker) {
        let Some(topic) = self.topic(broker) else {
            return;
        };
        for (partition, _) in (0..).zip(&topic.partitions) {
            let loaded = self.with(broker, &topic, partition, |_, _| ()).await;
            if let Err(error) = loaded {
                tracing::error!(topic = %topic.name, partition, %error, "cannot be loaded");
            }
        }
    }

    /// Has deadlines looked at no later than that.
    fn arm(&self, deadline: Option<Duration>) {
        let Some(deadline) = deadline else {
            return;
        };
        let at = ceil_ms(deadline);
        if at < self.armed.fetch_min(at, Ordering::SeqCst) {
            self.rearmed.notify_one();
        }
    }

    /// Lets every deadline that has passed by now have its consequences.
    pub(super) fn pass_time(&self, broker: &Broker) {
        self.armed.store(u64::MAX, Ordering::SeqCst);
        let slots: Vec<_> = self.slots.read().values().cloned().collect();
        for slot in slots {
            let passed = self.on(broker, &slot, |live, moment| {
                live.settle_all(moment.wall, |machine| machine.pass_time(moment))
            });
            if let Some(Err(error)) = passed {
                tracing::error!(topic = self.host.topic, %error, "a deadline had no effect");
            }
        }
    }

    /// Loads all machines, then has their deadlines pass when it is time; never ends.
    pub(super) async fn keep_time(&self, broker: &Broker) {
        self.load_all(broker).await;
        loop {
            self.pass_time(broker);
            self.until_due(broker).await;
        }
    }

    /// Waits for the next deadline, which may come nearer meanwhile.
    async fn until_due(&self, broker: &Broker) {
        loop {
            let at = Duration::from_millis(self.armed.load(Ordering::SeqCst));
            let wait = at.saturating_sub(broker.clock.monotonic());
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait.min(LONGEST_SLEEP)) => {}
                () = self.rearmed.notified() => {}
            }
        }
    }
}

/// So that a wait of centuries is none for the runtime's timers.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Whole milliseconds, rounded up: nobody is woken before it is time.
fn ceil_ms(at: Duration) -> u64 {
    let ms = at.as_nanos().div_ceil(1_000_000);
    u64::try_from(ms).unwrap_or(u64::MAX)
}
