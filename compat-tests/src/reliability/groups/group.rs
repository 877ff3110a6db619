//! One group over the lives of all brokers: what each member does, and what all of them say.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::beacon::Beacon;
use super::account::Account;
use super::board::Board;
use super::either::Either;
use super::member::{Assigned, find_coordinator};
use super::owners::Owners;
use super::restless::Cast;

/// Commits between two heartbeats.
const COMMITS_BETWEEN: usize = 8;

/// A group that is under way.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) cast: Cast,
    pub(super) account: Account,
    state: Mutex<State>,
}

/// Who owns what under one broker, and who ever did.
#[derive(Debug)]
struct State {
    board: Board,
    owners: Owners,
    /// The broker's number.
    came: u64,
    /// How long after it came all members were in.
    back: Option<Duration>,
    partings: Partings,
}

/// How often members parted with a broker that was there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Partings {
    pub(super) left: u64,
    pub(super) hung_up: u64,
    pub(super) vanished: u64,
}

/// How a member parts with a broker.
#[derive(Clone, Copy, Debug)]
enum Parting {
    /// It says so, and joins again.
    Leaves,
    /// Its connection is closed, and it goes on over another one.
    HangsUp,
    /// Its connection is closed, and somebody else comes in its place. Until its session is over
    /// the group waits for it.
    Vanishes,
}

impl Group {
    pub(super) fn new(cast: &Cast) -> Self {
        let board = Board {
            members: (0..cast.members).map(|number| (number, None)).collect(),
            failures: Vec::new(),
        };
        Self {
            cast: cast.clone(),
            account: Account::new(cast.partitions),
            state: Mutex::new(State {
                board,
                owners: Owners::default(),
                came: 0,
                back: None,
                partings: Partings::default(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long after the broker of that number came all members were in; `None` if not yet.
    pub(super) fn back_after(&self, came: u64) -> Option<Duration> {
        let state = self.state();
        state.back.filter(|_| state.came == came)
    }

    /// Whether every partition has its one owner.
    pub(super) fn is_settled(&self) -> bool {
        self.state().board.settled(self.cast.partitions).is_some()
    }

    /// How often a partition had two owners in one generation.
    pub(super) fn doubles(&self) -> u64 {
        self.state().owners.doubles()
    }

    /// How often members parted with a broker so far.
    pub(super) fn partings(&self) -> Partings {
        self.state().partings
    }

    /// What members were told and must not be told.
    pub(super) fn failures(&self) -> Vec<String> {
        self.state().board.failures.clone()
    }

    /// Notes that something must not be as it is.
    pub(super) fn complain(&self, failure: String) {
        eprintln!("{}: {failure}", self.cast.group);
        self.state().board.failures.push(failure);
    }

    /// Who owns what, in words.
    pub(super) fn describe(&self) -> String {
        format!("{}: {:?}", self.cast.group, self.state().board.members)
    }

    /// A member, over the lives of all brokers.
    pub(super) fn live(&self, beacon: &Beacon, number: usize, mut random: fastrand::Rng) {
        let mut known: Option<Either> = None;
        while let Some((mut client, came)) = beacon.connect() {
            let stay = Stay {
                group: self,
                beacon,
                came,
                number,
            };
            let ended = find_coordinator(&mut client, self.cast.group).and_then(|()| {
                let member = match &mut known {
                    Some(member) => {
                        member.reconnect(client);
                        member
                    }
                    none => none.insert(Either::over(client, &self.cast, &mut random)),
                };
                stay.take_part(member, &mut random)
            });
            stay.note(None);
            match ended {
                Ok(Some(Parting::Vanishes)) => known = None,
                Ok(_) => {}
                Err(error) if is_an_answer(&error) && beacon.is_up(came) => {
                    self.complain(format!("member {number}: {error}"));
                }
                Err(_) => {}
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A member's time with one broker.
#[derive(Clone, Copy, Debug)]
struct Stay<'a> {
    group: &'a Group,
    beacon: &'a Beacon,
    /// The broker's number.
    came: u64,
    /// The member's number.
    number: usize,
}

impl Stay<'_> {
    /// Notes what the member owns, before the broker may think that it knows; nothing under a broker that has a successor.
    fn note(&self, assigned: Option<Assigned>) {
        let latest = self.beacon.latest();
        let Some((_, since)) = latest.filter(|latest| latest.0 == self.came) else {
            return;
        };
        let mut state = self.group.state();
        if state.came < self.came {
            (state.came, state.back) = (self.came, None);
            state.board.members.values_mut().for_each(|one| *one = None);
            state.owners.broker_gone();
        }
        if state.came > self.came {
            return;
        }
        let cast = &self.group.cast;
        match &assigned {
            Some(assigned) => state.owners.owns(cast.group, self.number, assigned),
            None => state.owners.owns_nothing(self.number),
        }
        state.board.members.insert(self.number, assigned);
        if state.back.is_none() && state.board.settled(cast.partitions).is_some() {
            state.back = Some(since.elapsed());
        }
    }

    /// Takes part until the connection is gone, or is closed in one of these ways.
    fn take_part(
        &self,
        member: &mut Either,
        random: &mut fastrand::Rng,
    ) -> io::Result<Option<Parting>> {
        while !self.beacon.is_over() {
            self.note(None);
            let assigned = member.join()?;
            let partitions = assigned.partitions.clone();
            self.note(Some(assigned));
            while !self.beacon.is_over() {
                for partition in partitions.iter().cycle().take(COMMITS_BETWEEN) {
                    self.commit(member, *partition)?;
                }
                let parting = self.parting(random);
                match parting {
                    Some(Parting::Leaves) => {
                        self.note(None);
                        member.leave()?;
                        break;
                    }
                    Some(Parting::HangsUp | Parting::Vanishes) => return Ok(parting),
                    None => {}
                }
                let sent = Instant::now();
                if !member.heartbeat()? {
                    break;
                }
                self.group.state().owners.heard(self.number, sent);
                std::thread::sleep(self.group.cast.pause);
            }
        }
        Ok(None)
    }

    /// Whether the member parts now, once all have been there: one leaves after sixteen heartbeats,
    /// by and large.
    fn parting(&self, random: &mut fastrand::Rng) -> Option<Parting> {
        self.group.back_after(self.came)?;
        let parting = match random.u8(..) {
            0 if self.group.cast.vanishing => Parting::Vanishes,
            1..=4 => Parting::HangsUp,
            5..=20 => Parting::Leaves,
            _ => return None,
        };
        let partings = &mut self.group.state().partings;
        match parting {
            Parting::Leaves => partings.left += 1,
            Parting::HangsUp => partings.hung_up += 1,
            Parting::Vanishes => partings.vanished += 1,
        }
        Some(parting)
    }

    fn commit(&self, member: &mut Either, partition: u8) -> io::Result<()> {
        let Group { cast, account, .. } = self.group;
        let Some(offset) = account.send(partition) else {
            return Ok(());
        };
        // A refusal is one of those that the next heartbeat gets, too.
        let code = member.commit(&cast.topic, i32::from(partition), offset)?;
        if code == 0 && self.beacon.is_up(self.came) {
            account.acknowledge(partition, offset);
        }
        Ok(())
    }
}

/// Whether the broker answered something that a member cannot act upon; all else is a connection
/// that is gone.
fn is_an_answer(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other
}
