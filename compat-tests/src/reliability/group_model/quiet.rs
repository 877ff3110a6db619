//! In the end all is quiet: the groups must settle, and what nobody uses must go.

use std::collections::{BTreeMap, BTreeSet};

use super::bed::{EXPIRY_INTERVAL_MS, RETENTION_MS};
use super::clients::{Classic, Phase};
use super::run::Run;

/// How long a round of heartbeats is.
const ROUND_MS: u64 = 300;
/// In how many rounds groups must settle: timeouts of a few seconds, some of which follow upon
/// each other, and ten seconds between two looks at regular expressions.
const ROUNDS_MAX: usize = 200;

impl Run {
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
                let place = (client.group.clone(), instance.clone());
                client.is_on = !seen.contains(&place);
                seen.push(place);
            }
        }
    }

    fn check_settled(&self) -> Result<(), String> {
        let running = self.classics.iter();
        let running = running.filter(|client| client.phase != Phase::Off);
        let mut groups = BTreeMap::<&str, Vec<&Classic>>::new();
        for client in running.filter(|client| self.of_consumers(&client.group).is_none()) {
            groups.entry(&client.group).or_default().push(client);
        }
        for (group, clients) in groups {
            self.check_classics_settled(group, &clients)?;
        }
        let subscribing = self.consumers.iter().filter(|client| client.is_on);
        let mut groups: BTreeSet<&str> = subscribing.map(|client| &client.group[..]).collect();
        let there = self
            .consumer_facts
            .iter()
            .filter(|(_, facts)| facts.exists());
        groups.extend(there.map(|(group, _)| &group[..]));
        groups
            .into_iter()
            .try_for_each(|group| self.check_consumers_settled(group))
    }

    fn check_classics_settled(&self, group: &str, clients: &[&Classic]) -> Result<(), String> {
        let Some(facts) = self.classic_facts.get(group) else {
            return Err(format!("{group} has never been heard of"));
        };
        facts.check_settled()?;
        let is_in =
            |each: &&Classic| each.phase == Phase::In && each.generation == facts.generation;
        if !clients.iter().all(is_in) || clients.len() != facts.size() {
            return Err(format!("not all are in {group}: {clients:?}; {facts:?}"));
        }
        let mut has: Vec<_> = clients.iter().flat_map(|client| &client.has).collect();
        has.sort_unstable();
        let count = has.len();
        has.dedup();
        match count == has.len() && count == facts.planned() {
            true => Ok(()),
            false => Err(format!("{group} reads {has:?}; {facts:?}")),
        }
    }

    /// Every partition that somebody subscribes to is read by one member.
    fn check_consumers_settled(&self, group: &str) -> Result<(), String> {
        let consumers = self.consumers.iter();
        let consumers: Vec<_> = consumers
            .filter(|client| client.is_on && client.group == group)
            .collect();
        let classics = 0..self.classics.len();
        let classics: Vec<usize> = classics
            .filter(|client| {
                let client = &self.classics[*client];
                client.phase != Phase::Off && client.group == group
            })
            .collect();
        let subscribes = |name: &String| {
            let by_consumers = consumers
                .iter()
                .any(|client| client.expression.is_some() || client.topics.contains(name));
            let mut of_classics = classics.iter().map(|client| &self.classics[*client]);
            by_consumers || of_classics.any(|client| client.topics.contains(name))
        };
        let topics = self.bed.known.topics.iter();
        let wanted = topics.filter(|(name, _)| subscribes(name));
        let mut all: Vec<_> = wanted
            .flat_map(|(_, topic)| (0..topic.partitions).map(|each| (topic.id, each)))
            .collect();
        all.sort_unstable();
        let of_consumers = consumers.iter().flat_map(|client| &client.has);
        let owning = classics.iter().filter(|client| self.owns(**client));
        let of_classics = owning.flat_map(|client| &self.classics[*client].has_ids);
        let mut has: Vec<_> = of_consumers.chain(of_classics).copied().collect();
        has.sort_unstable();
        match has == all {
            true => Ok(()),
            false => Err(format!(
                "{has:?} of {group} is read of {all:?}: {consumers:?}, {classics:?}; {:?}",
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
