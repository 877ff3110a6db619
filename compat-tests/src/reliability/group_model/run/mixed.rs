//! The group of both kinds: how it changes its kind, and what its classic members are answered
//! while it is a consumer group.

use klamm::coordinator::Failure;
use klamm::coordinator::classic::{Joined, Synced};
use klamm::wire::groups::GroupRecord;

use super::super::bed::{Happened, Known};
use super::super::classic::{JoinFacts, Who};
use super::super::clients::{Classic, Phase};
use super::super::consumer::Parts;
use super::super::parts;
use super::records::{group_of, lets_go};
use super::{Asked, Run};

/// The id of a topic.
pub(super) fn id_of(known: &Known) -> impl Fn(&str) -> Option<u128> {
    |topic| known.topics.get(topic).map(|topic| topic.id)
}

/// Whether a topic of that id is there.
fn is_known(known: &Known) -> impl Fn(u128) -> bool {
    |id| known.topics.values().any(|topic| topic.id == id)
}

impl Run {
    /// A group becomes one of the other kind.
    pub(super) fn migrate(
        &mut self,
        group: &str,
        asked: &Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let goes = lets_go(asked, group);
        let before = self.of_classic(group).clone();
        let facts = self.consumer_facts.entry(group.to_owned()).or_default();
        let of_classics = what.records.iter().find_map(|record| match record {
            GroupRecord::ClassicGroup(_, Some(value)) => Some(value),
            _ => None,
        });
        let id_of = id_of(&self.bed.known);
        self.counts.migrations += 1;
        if let Some(value) = of_classics {
            let after = facts.downgrade(value, id_of, is_known(&self.bed.known), goes, now_ms)?;
            self.classic_facts.insert(group.to_owned(), after);
            self.consumer_facts.remove(group);
            self.forget_topics_that_went(group);
            return self.offsets.check(&self.bed.shard);
        }
        let records = what.records.iter();
        let records: Vec<_> = records.filter(|each| group_of(each).is_some()).collect();
        facts.records(&records, goes, now_ms)?;
        facts.check_upgrade(&before, id_of, goes, now_ms)?;
        let is_answered = |waiter: u64| what.replies.iter().any(|(to, _)| *to == waiter);
        if let Some(waiter) = before.waiting().find(|waiter| !is_answered(*waiter)) {
            return Err(format!(
                "{waiter} is left waiting by the migration of {group}"
            ));
        }
        self.classic_facts.remove(group);
        self.acknowledged.remove(group);
        for client in 0..self.classics.len() {
            if self.classics[client].group == group {
                self.classics[client].has_ids = self.ids(client);
            }
        }
        self.offsets.check(&self.bed.shard)
    }

    /// The record of a classic group does not say what its members had of topics that are gone, and
    /// they know names alone: if a topic comes by that name, nobody keeps them from reading it, in
    /// Kafka as here, until they join again.
    fn forget_topics_that_went(&mut self, group: &str) {
        let id_of = id_of(&self.bed.known);
        let of_group = |client: &&mut Classic| client.group == group;
        for client in self.classics.iter_mut().filter(of_group) {
            let had = &client.has_ids;
            client.has.retain(|(topic, partition)| {
                id_of(topic).is_some_and(|id| had.contains(&(id, *partition)))
            });
        }
    }

    /// What a client has, by the ids that its topics have now.
    pub(super) fn ids(&self, client: usize) -> Parts {
        let id_of = id_of(&self.bed.known);
        let has = self.classics[client].has.iter();
        has.filter_map(|(topic, partition)| Some((id_of(topic)?, *partition)))
            .collect()
    }

    /// A JoinGroup to a consumer group was answered.
    pub(super) fn mixed_joined(
        &mut self,
        group: &str,
        join: &JoinFacts,
        told: &Joined,
        due: Result<(), Failure>,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let facts = self.consumer_facts.entry(group.to_owned()).or_default();
        let answer = told.failure.map_or(Ok(()), Err);
        if answer != due {
            return Err(format!(
                "{join:?} is answered {told:?}, not {due:?}; {facts:?}"
            ));
        }
        match answer {
            Ok(()) => facts.joined(join, told, now_ms),
            Err(_) => Ok(()),
        }
    }

    /// A SyncGroup to a consumer group was answered.
    pub(super) fn mixed_synced(
        &mut self,
        group: &str,
        waiter: u64,
        who: &Who,
        told: &Synced,
        due: Result<(), Failure>,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let facts = self.consumer_facts.entry(group.to_owned()).or_default();
        let answer = told.failure.map_or(Ok(()), Err);
        if answer != due {
            return Err(format!(
                "{who:?} is answered {told:?}, not {due:?}; {facts:?}"
            ));
        }
        let Some(assigned) = facts.synced(&who.id, answer, now_ms) else {
            return Ok(());
        };
        let id_of = id_of(&self.bed.known);
        let is_known = is_known(&self.bed.known);
        let assigned: Parts = assigned
            .iter()
            .filter(|(id, _)| is_known(*id))
            .copied()
            .collect();
        let named = parts::read(&told.assignment).into_iter();
        let named: Parts = named
            .filter_map(|(topic, partition)| Some((id_of(&topic)?, partition)))
            .collect();
        if named != assigned {
            return Err(format!("{who:?} is told {named:?}, and has {assigned:?}"));
        }
        self.told_parts.insert(waiter, assigned);
        Ok(())
    }

    /// A Heartbeat to a consumer group was answered.
    pub(super) fn mixed_alive(
        &mut self,
        group: &str,
        who: &Who,
        told: Result<(), Failure>,
        due: Result<(), Failure>,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let facts = self.consumer_facts.entry(group.to_owned()).or_default();
        if told != due {
            return Err(format!(
                "{who:?} is answered {told:?}, not {due:?}; {facts:?}"
            ));
        }
        facts.alive(&who.id, told, now_ms);
        Ok(())
    }

    /// A client that may take part in a group of both kinds owns what it has: from its SyncGroup
    /// on, until it joins again; and meanwhile, too, if it does not give everything up for that.
    pub(crate) fn owns(&self, client: usize) -> bool {
        let client = &self.classics[client];
        let facts = self.of_consumers(&client.group);
        let is_there = facts.is_some_and(|facts| facts.is_at(&client.id, client.generation));
        let keeps = client.is_cooperative && client.phase != Phase::Off;
        is_there && (client.phase == Phase::In || keeps)
    }
}
