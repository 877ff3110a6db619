//! What happens next is drawn by chance; in the end all is quiet, and the groups must settle.

use std::collections::BTreeMap;

use super::bed::{EXPIRY_INTERVAL_MS, RETENTION_MS};
use super::cast::GROUPS;
use super::classic::{Plan, Who};
use super::clients::Phase;
use super::consumer::Beat;
use super::run::{Run, who_is};

/// How long a round of heartbeats is.
const ROUND_MS: u64 = 300;
/// In how many rounds groups must settle: timeouts of a few seconds, some of which follow upon
/// each other, and ten seconds between two looks at regular expressions.
const ROUNDS_MAX: usize = 200;

impl Run {
    /// One step.
    pub(super) fn step(&mut self) -> Result<(), String> {
        self.counts.steps += 1;
        match self.random.u32(..1000) {
            0..560 => self.act_by_chance()?,
            560..640 => self.speak_for_another()?,
            640..780 => {
                let ms = self.random.u64(1..800);
                self.pass(ms)?;
            }
            780..800 => {
                let ms = self.random.u64(1_000..8_000);
                self.pass(ms)?;
            }
            800..803 => {
                let ms = self.random.u64(3_600_000..30 * 3_600_000);
                self.pass(ms)?;
            }
            803..890 => self.make_durable(),
            890..905 => {
                let (all, _) = self.bed.batches();
                let compacted = self.random.bool();
                self.restart(all, compacted)?;
            }
            905..920 => {
                let (all, durable) = self.bed.batches();
                let kept = self.random.usize(durable..=all);
                self.counts.power_cuts += usize::from(kept < all);
                self.restart(kept, false)?;
            }
            920..935 => self.change_topics()?,
            935..950 => {
                let group = self.group();
                self.delete_offsets(group)?;
            }
            950..960 => {
                let group = self.group();
                self.delete_group(group)?;
            }
            960..980 => {
                let group = self.group();
                let who = Who {
                    id: String::new(),
                    instance: None,
                    generation: -1,
                };
                self.commit(group, who)?;
            }
            _ => self.check_replay()?,
        }
        if self.random.u8(..10) < 6 {
            self.make_durable();
        }
        self.deliver()
    }

    fn group(&mut self) -> &'static str {
        GROUPS[self.random.usize(..GROUPS.len())]
    }

    fn make_durable(&mut self) {
        let (all, durable) = self.bed.batches();
        let up_to = match self.random.u8(..4) {
            0 => self.random.usize(durable..=all),
            _ => all,
        };
        self.bed.sync(up_to);
    }

    fn change_topics(&mut self) -> Result<(), String> {
        let name = if self.random.bool() { "a" } else { "b" };
        let topic = self.bed.known.topics.get(name).copied();
        let Some(topic) = topic else {
            let partitions = self.random.i32(1..5);
            self.bed.create(name, partitions);
            return Ok(());
        };
        if self.random.bool() {
            self.bed.create(name, topic.partitions + 1);
            return Ok(());
        }
        for what in self.bed.delete(name, true) {
            self.happened(None, what)?;
        }
        self.offsets.check_topic_gone(topic)
    }

    fn act_by_chance(&mut self) -> Result<(), String> {
        let client = self
            .random
            .usize(..self.classics.len() + self.consumers.len());
        let chance = self.random.u32(..100);
        match client.checked_sub(self.classics.len()) {
            None => self.act_as_classic(client, chance),
            Some(client) => self.act_as_consumer(client, chance),
        }
    }

    /// A client does what is next; by chance, something else.
    fn act_as_classic(&mut self, client: usize, chance: u32) -> Result<(), String> {
        let of = self.classics[client].clone();
        match (of.phase, chance) {
            (Phase::Off, _) => {
                self.classics[client].start();
                self.join(client)
            }
            (Phase::Out, _) => self.join(client),
            (Phase::Joining(_) | Phase::Syncing(_), 0..8) => {
                self.classics[client].disconnect();
                Ok(())
            }
            (Phase::Joining(_) | Phase::Syncing(_), _) => Ok(()),
            (Phase::Joined, 0..4) | (Phase::In, 0..4) => {
                self.classics[client].phase = Phase::Off;
                Ok(())
            }
            (Phase::Joined, _) => self.sync_client(client),
            (Phase::In, 4..8) => {
                self.classics[client].phase = Phase::Out;
                Ok(())
            }
            (Phase::In, 8..11) => {
                self.classics[client].phase = Phase::Off;
                self.leave(&of.group, of.id, of.instance)
            }
            (Phase::In, 11..30) => self.commit(&of.group, who_is(&of)),
            (Phase::In, _) => self.heartbeat(&of.group, Some(client), who_is(&of)),
        }
    }

    fn act_as_consumer(&mut self, client: usize, chance: u32) -> Result<(), String> {
        let of = self.consumers[client].clone();
        match (of.is_on, of.waits, chance) {
            (false, ..) => {
                let id = format!("member-{}", self.bed.waiter());
                self.consumers[client].start(id);
                self.beat_as(client)
            }
            (true, Some(_), 0..10) => {
                self.consumers[client].disconnect();
                Ok(())
            }
            (true, Some(_), _) => Ok(()),
            (true, None, 0..3) => {
                self.consumers[client].is_on = false;
                Ok(())
            }
            (true, None, 3..7) if of.epoch > 0 => {
                self.consumers[client].is_on = false;
                let epoch = match of.instance.is_some() && self.random.bool() {
                    true => -2,
                    false => -1,
                };
                let beat = Beat {
                    id: of.id,
                    epoch,
                    instance: of.instance,
                    ..Beat::default()
                };
                self.beat(&of.group, None, beat)
            }
            (true, None, 7..11) => {
                let topics = match self.random.u8(..3) {
                    0 => vec!["a".to_owned()],
                    1 => vec!["b".to_owned()],
                    _ => vec!["a".to_owned(), "b".to_owned()],
                };
                self.consumers[client].topics = topics;
                self.consumers[client].says_all = true;
                self.beat_as(client)
            }
            (true, None, 11..30) if of.epoch > 0 => {
                let who = Who {
                    id: of.id,
                    instance: of.instance,
                    generation: of.epoch,
                };
                self.commit(&of.group, who)
            }
            (true, None, 30..60) => {
                self.consumers[client].revoke();
                self.beat_as(client)
            }
            (true, None, _) => self.beat_as(client),
        }
    }

    fn beat_as(&mut self, client: usize) -> Result<(), String> {
        let beat = self.consumers[client].beat();
        let group = self.consumers[client].group.clone();
        self.beat(&group, Some(client), beat)
    }

    /// Somebody says what somebody else could say, now or once.
    fn speak_for_another(&mut self) -> Result<(), String> {
        if self.past.is_empty() {
            return Ok(());
        }
        let recent = self.past.len().saturating_sub(40);
        let (group, mut who) = self.past[self.random.usize(recent..self.past.len())].clone();
        if self.random.u8(..4) == 0 {
            who.generation += self.random.i32(-1..2);
        }
        if self.random.u8(..8) == 0 {
            who.instance = Some("one".to_owned());
        }
        let is_of_consumers = super::cast::is_of_consumers(&group);
        match self.random.u8(..4) {
            0 if is_of_consumers => {
                // The answer may tell somebody else what the member would have to know.
                let mut clients = self.consumers.iter_mut();
                if let Some(client) = clients.find(|client| client.id == who.id) {
                    client.says_all = true;
                }
                let beat = Beat {
                    id: who.id,
                    epoch: who.generation.max(1),
                    instance: who.instance,
                    ..Beat::default()
                };
                self.beat(&group, None, beat)
            }
            0 => self.sync_as(&group, None, who, Plan::new()).map(drop),
            1 if is_of_consumers => Ok(()),
            1 => self.heartbeat(&group, None, who),
            _ => self.commit(&group, who),
        }
    }

    /// Who runs goes on, and does what is to be done; everything must come to rest.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for name in ["a", "b"] {
            if !self.bed.known.topics.contains_key(name) {
                self.bed.create(name, 3);
            }
        }
        self.stop_doubles();
        let mut settled = Ok(());
        for round in 0..ROUNDS_MAX {
            for client in 0..self.classics.len() {
                if self.classics[client].phase != Phase::Off {
                    self.act_as_classic(client, 99)?;
                    self.bed.sync(usize::MAX);
                    self.deliver()?;
                }
            }
            for client in 0..self.consumers.len() {
                if self.consumers[client].is_on {
                    self.consumers[client].revoke();
                    self.act_as_consumer(client, 99)?;
                    self.bed.sync(usize::MAX);
                    self.deliver()?;
                }
            }
            self.pass(ROUND_MS)?;
            self.bed.sync(usize::MAX);
            self.deliver()?;
            if round % 8 == 7 {
                settled = self.check_settled();
                if settled.is_ok() {
                    return self.check_replay();
                }
            }
        }
        settled
    }

    /// Two consumers that have one instance id would wait for each other for ever.
    fn stop_doubles(&mut self) {
        let mut seen = Vec::new();
        for client in &mut self.consumers {
            if let (true, Some(instance)) = (client.is_on, &client.instance) {
                client.is_on = !seen.contains(instance);
                seen.push(instance.clone());
            }
        }
    }

    fn check_settled(&self) -> Result<(), String> {
        let mut groups = BTreeMap::<&str, Vec<_>>::new();
        for client in self
            .classics
            .iter()
            .filter(|client| client.phase != Phase::Off)
        {
            groups.entry(&client.group).or_default().push(client);
        }
        for (group, clients) in groups {
            let Some(facts) = self.classic_facts.get(group) else {
                return Err(format!("{group} has never been heard of"));
            };
            facts.check_settled()?;
            let is_in = |phase, generation| phase == Phase::In && generation == facts.generation;
            let are_in = clients
                .iter()
                .all(|each| is_in(each.phase, each.generation));
            if !are_in || clients.len() != facts.size() {
                return Err(format!("not all are in {group}: {clients:?}; {facts:?}"));
            }
            let mut has: Vec<_> = clients.iter().flat_map(|client| &client.has).collect();
            has.sort_unstable();
            let count = has.len();
            has.dedup();
            if count != has.len() || count != facts.planned() {
                return Err(format!("{group} reads {has:?}; {facts:?}"));
            }
        }
        self.check_consumers_settled()
    }

    fn check_consumers_settled(&self) -> Result<(), String> {
        let members: Vec<_> = self
            .consumers
            .iter()
            .filter(|client| client.is_on)
            .collect();
        let subscribes = |name: &String| {
            members
                .iter()
                .any(|client| client.expression.is_some() || client.topics.contains(name))
        };
        let topics = self.bed.known.topics.iter();
        let wanted = topics.filter(|(name, _)| subscribes(name));
        let mut all: Vec<_> = wanted
            .flat_map(|(_, topic)| (0..topic.partitions).map(|each| (topic.id, each)))
            .collect();
        all.sort_unstable();
        let mut has: Vec<_> = members
            .iter()
            .flat_map(|client| client.has.iter().copied())
            .collect();
        has.sort_unstable();
        match has == all {
            true => Ok(()),
            false => Err(format!(
                "{has:?} is read of {all:?}: {members:?}; {:?}",
                self.consumer_facts
            )),
        }
    }

    /// Everybody goes, and much later nothing is left of what was committed.
    pub(super) fn grow_old(&mut self) -> Result<(), String> {
        let retention = RETENTION_MS + 3 * EXPIRY_INTERVAL_MS;
        // Every member is missed first, the slowest within minutes.
        let ms = u64::try_from(retention).expect("a time") + 600_000;
        self.pass(ms)?;
        self.offsets.check_expired(self.bed.wall_ms(), |_| true)
    }
}
