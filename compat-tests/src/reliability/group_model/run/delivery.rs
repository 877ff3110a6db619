//! Answers reach their clients.

use std::collections::HashMap;

use klamm::coordinator::Reply;

use super::super::classic::Who;
use super::super::clients::Phase;
use super::{Asked, Run, who_is};

impl Run {
    /// Lets answers leave that may, and looks whether two clients have one partition.
    pub(crate) fn deliver(&mut self) -> Result<(), String> {
        let delivered = self.bed.deliver();
        let any = !delivered.is_empty();
        for (waiter, reply) in delivered {
            let needs = self.needs.remove(&waiter).unwrap_or(0);
            self.promised = self.promised.max(needs);
            let Some((group, asked)) = self.asked.remove(&waiter) else {
                continue;
            };
            match (asked, reply) {
                (Asked::Join { client, .. }, Reply::Joined(told)) => {
                    let client = &mut self.classics[client];
                    client.joined(waiter, &told);
                    let who = who_is(client);
                    self.past.push((group, who));
                }
                (
                    Asked::Sync {
                        client: Some(client),
                        who,
                        ..
                    },
                    Reply::Synced(told),
                ) => {
                    let told_parts = self.told_parts.remove(&waiter);
                    if self.classics[client].synced(waiter, &told) {
                        let parts = told_parts.unwrap_or_else(|| self.ids(client));
                        self.classics[client].has_ids = parts;
                    }
                    let facts = self.classic_facts.get(&group);
                    let lives = facts.is_some_and(|facts| facts.recorded >= who.generation);
                    if told.failure.is_none() && lives {
                        let told = self.acknowledged.entry(group).or_default();
                        *told = (*told).max(who.generation);
                    }
                }
                (
                    Asked::Beat {
                        client: Some(client),
                        who,
                        ..
                    },
                    Reply::Alive(Err(failure)),
                ) if self.classics[client].id == who.id => {
                    self.classics[client].refused(failure);
                }
                (
                    Asked::Consumer {
                        client: Some(client),
                        ..
                    },
                    Reply::ConsumerBeat(told),
                ) => {
                    let client = &mut self.consumers[client];
                    client.beaten(waiter, &told);
                    let who = Who {
                        id: client.id.clone(),
                        instance: client.instance.clone(),
                        generation: client.epoch,
                    };
                    self.past.push((group, who));
                }
                _ => {}
            }
        }
        match any {
            true => self.check_owners(),
            false => Ok(()),
        }
    }

    /// No two clients have one partition, but for those whom the coordinator no longer knows.
    pub(super) fn check_owners(&self) -> Result<(), String> {
        let mut owners = HashMap::new();
        for client in self
            .classics
            .iter()
            .filter(|client| client.phase == Phase::In)
        {
            let facts = self.classic_facts.get(&client.group);
            let is_there = facts.is_some_and(|facts| facts.has(&client.id));
            if !is_there || self.of_consumers(&client.group).is_some() {
                continue;
            }
            for part in &client.has {
                let place = (&client.group, client.generation, part);
                if let Some(other) = owners.insert(place, &client.id) {
                    return Err(format!("{place:?} is read by {other} and {}", client.id));
                }
            }
        }
        let mut owners = HashMap::new();
        let owning = (0..self.classics.len()).filter(|client| self.owns(*client));
        for client in owning.map(|client| &self.classics[client]) {
            for part in &client.has_ids {
                if let Some(other) = owners.insert((&client.group, part), &client.id) {
                    return Err(format!(
                        "{part:?} of {} is read by {other} and {}",
                        client.group, client.id
                    ));
                }
            }
        }
        for client in self.consumers.iter().filter(|client| client.is_on) {
            let facts = self.consumer_facts.get(&client.group);
            if !facts.is_some_and(|facts| facts.has(&client.id)) {
                continue;
            }
            for part in &client.has {
                if let Some(other) = owners.insert((&client.group, part), &client.id) {
                    return Err(format!(
                        "{part:?} of {} is read by {other} and {}",
                        client.group, client.id
                    ));
                }
            }
        }
        Ok(())
    }
}
