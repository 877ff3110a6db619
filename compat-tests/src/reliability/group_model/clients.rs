//! Clients that do what Kafka's do, and no more: they join, assign when they lead, say what they
//! have, give up what they must, and now and then fall silent.

use std::collections::BTreeSet;

use klamm::coordinator::Failure;
use klamm::coordinator::classic::{Joined, Synced};
use klamm::coordinator::consumer::{ConsumerBeat, Refusal};

use super::classic::{Offers, Plan};
use super::consumer::{Beat, Parts};
use super::parts::{self, Named};

/// Where a classic client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is not running.
    Off,
    /// It has to join.
    Out,
    /// It waits for the answer to its JoinGroup.
    Joining(u64),
    /// It has to sync.
    Joined,
    /// It waits for the answer to its SyncGroup.
    Syncing(u64),
    /// It has its assignment.
    In,
}

/// A client of the classic protocol.
#[derive(Clone, Debug)]
pub(super) struct Classic {
    pub(super) group: String,
    pub(super) instance: Option<String>,
    /// Whether it asks for an id before it joins.
    pub(super) asks_for_id: bool,
    pub(super) session_ms: u64,
    pub(super) rebalance_ms: u64,
    pub(super) topics: BTreeSet<String>,
    /// What its protocols are for.
    pub(super) protocol_type: &'static str,
    /// What it offers, the preferred one first.
    pub(super) protocols: Vec<&'static str>,
    /// Whether it keeps what it has while it joins, and says so.
    pub(super) is_cooperative: bool,
    pub(super) phase: Phase,
    pub(super) id: String,
    pub(super) generation: i32,
    /// Whom it leads.
    pub(super) leads: Option<Vec<String>>,
    /// What it may read, in the generation.
    pub(super) has: Named,
    /// The same by topic id, once its group is a consumer group.
    pub(super) has_ids: Parts,
}

impl Classic {
    /// It starts anew.
    pub(super) fn start(&mut self) {
        self.phase = Phase::Out;
        self.id.clear();
        self.gives_up();
        self.generation = -1;
    }

    /// The connection broke.
    pub(super) fn disconnect(&mut self) {
        if matches!(self.phase, Phase::Joining(_) | Phase::Syncing(_)) {
            self.phase = Phase::Out;
        }
    }

    /// It has nothing any more.
    pub(super) fn gives_up(&mut self) {
        self.has.clear();
        self.has_ids.clear();
    }

    /// It is about to join.
    pub(super) fn joins(&mut self) {
        if !self.is_cooperative {
            self.gives_up();
        }
    }

    /// What it offers, with what it says along with that.
    pub(super) fn offers(&self) -> Offers {
        let said = |name: &str| match self.protocol_type {
            "consumer" => parts::subscription(self.topics.iter(), &self.has).to_vec(),
            other => format!("{name} of {other}").into_bytes(),
        };
        let names = self.protocols.iter();
        names.map(|name| ((*name).to_owned(), said(name))).collect()
    }

    pub(super) fn joined(&mut self, waiter: u64, told: &Joined) {
        if self.phase != Phase::Joining(waiter) {
            return;
        }
        self.phase = Phase::Out;
        match told.failure {
            None => {
                // Where somebody leads, nobody keeps anything.
                if !told.leader.is_empty() {
                    self.gives_up();
                }
                self.phase = Phase::Joined;
                self.id.clone_from(&told.member_id);
                self.generation = told.generation;
                let led = told.members.iter().map(|each| each.member_id.clone());
                let leads = told.leader == told.member_id && !told.skip_assignment;
                self.leads = (leads && !told.members.is_empty()).then(|| led.collect());
            }
            Some(Failure::MemberIdRequired) => self.id.clone_from(&told.member_id),
            Some(failure) => self.refused(failure),
        }
    }

    /// Its SyncGroup was answered; whether it takes in what it is assigned.
    pub(super) fn synced(&mut self, waiter: u64, told: &Synced) -> bool {
        if self.phase != Phase::Syncing(waiter) {
            return false;
        }
        self.phase = Phase::Out;
        match told.failure {
            None => {
                self.phase = Phase::In;
                self.has = parts::read(&told.assignment);
            }
            Some(failure) => self.refused(failure),
        }
        told.failure.is_none()
    }

    /// Any request of it was refused.
    pub(super) fn refused(&mut self, failure: Failure) {
        match failure {
            Failure::FencedInstanceId
            | Failure::GroupMaxSizeReached
            | Failure::InconsistentGroupProtocol => self.phase = Phase::Off,
            Failure::UnknownMemberId => {
                self.id.clear();
                self.gives_up();
                self.phase = Phase::Out;
            }
            Failure::IllegalGeneration => {
                self.gives_up();
                self.phase = Phase::Out;
            }
            _ => self.phase = Phase::Out,
        }
    }
}

/// A leader's plan: partitions in turn.
pub(super) fn plan(led: &[String], partitions: &[(String, i32)]) -> Plan {
    let part = |(place, id): (usize, &String)| {
        let own = partitions.iter().skip(place).step_by(led.len());
        let own: Named = own.cloned().collect();
        (id.clone(), parts::assignment(&own))
    };
    led.iter().enumerate().map(part).collect()
}

/// A client of the consumer protocol.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) group: String,
    pub(super) instance: Option<String>,
    pub(super) rebalance_ms: u64,
    pub(super) topics: Vec<String>,
    pub(super) expression: Option<String>,
    pub(super) is_on: bool,
    pub(super) id: String,
    pub(super) epoch: i32,
    /// What it reads, with what it has yet to give up.
    pub(super) has: Parts,
    /// What it was told to have.
    pub(super) shall_have: Parts,
    /// The heartbeat that it waits for.
    pub(super) waits: Option<u64>,
    /// Whether the next heartbeat says everything.
    pub(super) says_all: bool,
}

impl Consumer {
    /// It starts anew, under another id.
    pub(super) fn start(&mut self, id: String) {
        self.id = id;
        self.is_on = true;
        self.rejoin();
    }

    /// It gives up everything, and joins.
    pub(super) fn rejoin(&mut self) {
        self.epoch = 0;
        self.has.clear();
        self.shall_have.clear();
        self.says_all = true;
        self.waits = None;
    }

    /// The connection broke: what an answer would have said is not known.
    pub(super) fn disconnect(&mut self) {
        if self.waits.take().is_some() {
            self.says_all = true;
        }
    }

    /// Gives up what it no longer shall have.
    pub(super) fn revoke(&mut self) {
        let shall_have = &self.shall_have;
        let before = self.has.len();
        self.has.retain(|part| shall_have.contains(part));
        self.says_all |= before != self.has.len();
    }

    /// Its next heartbeat.
    pub(super) fn beat(&mut self) -> Beat {
        let all = self.says_all || self.epoch == 0;
        self.says_all = false;
        Beat {
            id: self.id.clone(),
            epoch: self.epoch,
            instance: self.instance.clone(),
            rebalance_ms: all.then_some(self.rebalance_ms),
            topics: all.then(|| self.topics.clone()),
            expression: all.then(|| self.expression.clone().unwrap_or_default()),
            owned: all.then(|| self.has.clone()),
        }
    }

    /// Its heartbeat was answered; tells whether it must give something up.
    pub(super) fn beaten(&mut self, waiter: u64, told: &Result<Box<ConsumerBeat>, Refusal>) {
        if self.waits != Some(waiter) {
            return;
        }
        self.waits = None;
        match told {
            Ok(beat) => {
                self.epoch = beat.epoch;
                if let Some(told) = &beat.assignment {
                    self.shall_have = told.iter().map(|(id, each)| (id.as_u128(), each)).collect();
                    self.has.extend(self.shall_have.iter().copied());
                }
            }
            Err(refusal) => match refusal.failure {
                Failure::FencedInstanceId | Failure::GroupMaxSizeReached => {
                    self.rejoin();
                    self.is_on = false;
                }
                Failure::UnreleasedInstanceId => self.says_all = true,
                _ => self.rejoin(),
            },
        }
    }
}
