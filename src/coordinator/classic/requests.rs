//! What members ask of a classic group.

use bytes::Bytes;

use super::group::{ClassicGroup, State};
use super::member::Member;
use super::{Join, Joined, Leave, LeftMember, Sync, Synced};
use crate::coordinator::turn::{Deadline, Turn};
use crate::coordinator::{Failure, Identity, Waiter};

/// How long a new member may wait for its first answer, in milliseconds. It has no id that it
/// could send heartbeats with, and a client that gave up waiting asks anew under another one:
/// without an end, members that nobody is behind would pile up.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;

impl ClassicGroup {
    /// A member joins, or joins again. The answer comes when the rebalance is over.
    pub(crate) fn join(&mut self, request: Join, waiter: Waiter, turn: &mut Turn<'_>) {
        let id = request.member_id.clone();
        if !self.has_room_for(&id, turn.settings.size_max) {
            self.remove(&id);
            turn.outcome
                .reply(waiter, Joined::failed("", Failure::GroupMaxSizeReached));
            return;
        }
        let refused = match self.state {
            State::Dead => Some(Failure::CoordinatorNotAvailable),
            _ if !self.goes_with(&request.protocol_type, &request.protocols) => {
                Some(Failure::InconsistentGroupProtocol)
            }
            _ if id.is_empty() || self.promised.contains(&id) => None,
            _ => self.validate(&id, request.instance_id.as_deref()).err(),
        };
        if let Some(failure) = refused {
            turn.outcome.reply(waiter, Joined::failed(&id, failure));
            return;
        }
        match (&request.instance_id, id.is_empty()) {
            (_, false) if self.promised.contains(&id) => self.join_new(id, request, waiter, turn),
            (_, false) => self.join_again(&id, request, waiter, turn),
            (Some(instance), true) => {
                let new = generate_id(instance, turn.random);
                match self.static_ids.get(instance).cloned() {
                    Some(old) => self.take_over(&old, &new, request, waiter, turn),
                    None => self.join_new(new, request, waiter, turn),
                }
            }
            (None, true) => {
                let new = generate_id(&request.client_id, turn.random);
                if !request.requires_known_member_id {
                    self.join_new(new, request, waiter, turn);
                    return;
                }
                turn.set(self.session(&new), request.session_timeout_ms);
                turn.outcome
                    .reply(waiter, Joined::failed(&new, Failure::MemberIdRequired));
                self.promised.insert(new);
            }
        }
    }

    /// Whether `group.max.size` lets a member in. During a rebalance those count who wait for its
    /// end: the last to join again are left out, if the limit has been lowered.
    fn has_room_for(&self, id: &str, size_max: usize) -> bool {
        let known = self.members.get(id);
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                let joining = |member: &&Member| member.joining.is_some();
                known.is_some_and(|member| member.joining.is_some())
                    || self.members.values().filter(joining).count() < size_max
            }
            State::CompletingRebalance | State::Stable => {
                known.is_some() || self.members.len() < size_max
            }
        }
    }

    fn join_new(&mut self, id: String, request: Join, waiter: Waiter, turn: &mut Turn<'_>) {
        turn.set(self.session(&id), NEW_MEMBER_JOIN_TIMEOUT_MS);
        let member = Member {
            id,
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            joining: Some(waiter),
            syncing: None,
            is_new: true,
        };
        self.add(member, &request.protocol_type);
        self.member_added = true;
        self.rebalance_or_go_on(turn);
    }

    fn join_again(&mut self, id: &str, request: Join, waiter: Waiter, turn: &mut Turn<'_>) {
        let unchanged = self
            .members
            .get(id)
            .is_some_and(|member| member.offers(&request.protocols));
        match self.state {
            // A client that did not hear the answer asks again.
            State::CompletingRebalance if unchanged => self.tell_generation(id, waiter, turn),
            // Others may have changed what they want; it is the leader who notices.
            State::Stable if unchanged && !self.leads(id) => self.tell_generation(id, waiter, turn),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update(id, request, waiter, turn);
                self.rebalance_or_go_on(turn);
            }
            State::Empty | State::Dead => {
                turn.outcome
                    .reply(waiter, Joined::failed(id, Failure::UnknownMemberId));
            }
        }
    }

    /// Answers a JoinGroup with the generation as it stands.
    fn tell_generation(&mut self, id: &str, waiter: Waiter, turn: &mut Turn<'_>) {
        let joined = self.joined(id);
        turn.outcome.reply(waiter, joined);
    }

    /// Takes in what a member says of itself when it joins again.
    fn update(&mut self, id: &str, request: Join, waiter: Waiter, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.protocols = request.protocols;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        // Nobody listens to a JoinGroup any more whose client sends another one.
        let before = member.joining.replace(waiter);
        turn.reply(before, Joined::failed(id, Failure::RebalanceInProgress));
    }

    /// A static member comes back without its id: it goes on as `new`. Nobody has to rebalance if
    /// the group is stable and its protocol stays.
    fn take_over(
        &mut self,
        old: &str,
        new: &str,
        request: Join,
        waiter: Waiter,
        turn: &mut Turn<'_>,
    ) {
        let leader_before = self.leader.clone();
        turn.cancel(&self.session(old));
        self.replace_static(old, new, turn);
        turn.set(self.session(new), request.session_timeout_ms);
        let skips = request.supports_skipping_assignment;
        let session_timeout_ms = request.session_timeout_ms;
        self.update(new, request, waiter, turn);
        match self.state {
            State::Stable if self.elect_protocol() == self.protocol => {
                if let Some(member) = self.members.get_mut(new) {
                    member.joining = None;
                }
                let mut joined = self.joined(new);
                if self.leads(new) && skips {
                    joined.skip_assignment = true;
                } else {
                    // A leader of an older client would assign anew, and only it would know.
                    joined.members.clear();
                    joined.leader = leader_before.unwrap_or_default();
                }
                turn.set(self.session(new), session_timeout_ms);
                let record = self.record(|member| member.assignment.clone());
                turn.outcome.records.push(record);
                turn.outcome.reply(waiter, joined);
            }
            State::CompletingRebalance => self.prepare_rebalance(turn),
            State::Stable | State::PreparingRebalance | State::Empty | State::Dead => {
                self.rebalance_or_go_on(turn);
            }
        }
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub(crate) fn sync(&mut self, request: Sync, waiter: Waiter, turn: &mut Turn<'_>) {
        if let Err(failure) = self.may_sync(&request) {
            turn.outcome.reply(waiter, Synced::failed(failure));
            return;
        }
        let id = request.member_id.as_str();
        let refused = match self.state {
            State::Empty => Failure::UnknownMemberId,
            State::PreparingRebalance => Failure::RebalanceInProgress,
            State::Dead => Failure::CoordinatorNotAvailable,
            State::Stable => {
                self.hear_of(id, turn);
                self.unsynced.remove(id);
                let assignment = self.members.get(id).map(|member| member.assignment.clone());
                let synced = self.synced(assignment.unwrap_or_default());
                turn.outcome.reply(waiter, synced);
                return;
            }
            State::CompletingRebalance => {
                self.unsynced.remove(id);
                if let Some(member) = self.members.get_mut(id) {
                    let before = member.syncing.replace(waiter);
                    turn.reply(before, Synced::failed(Failure::RebalanceInProgress));
                }
                if self.leads(id) {
                    self.assign(request.assignments, turn);
                }
                return;
            }
        };
        turn.outcome.reply(waiter, Synced::failed(refused));
    }

    fn may_sync(&self, request: &Sync) -> Result<(), Failure> {
        let differs = |named: &Option<String>, held: &Option<String>| {
            named.is_some() && held.is_some() && named != held
        };
        if self.state == State::Dead {
            return Err(Failure::CoordinatorNotAvailable);
        }
        self.validate(&request.member_id, request.instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(Failure::IllegalGeneration);
        }
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return Err(Failure::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// The leader's assignments: kept by a record, and told to all who wait once it is durable. A
    /// member that the leader forgot has nothing.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, turn: &mut Turn<'_>) {
        let assignments: std::collections::HashMap<String, Bytes> =
            assignments.into_iter().collect();
        let of = |member: &Member| assignments.get(&member.id).cloned().unwrap_or_default();
        let record = self.record(of);
        turn.outcome.records.push(record);
        let waiting: Vec<(String, Waiter, Bytes)> = self
            .members
            .values_mut()
            .filter_map(|member| {
                let waiter = member.syncing.take()?;
                Some((member.id.clone(), waiter, of(member)))
            })
            .collect();
        for (id, waiter, assignment) in waiting {
            self.hear_of(&id, turn);
            let synced = self.synced(assignment);
            turn.outcome.reply(waiter, synced);
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            failure: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }

    /// A member says that it is there.
    pub(crate) fn heartbeat(&mut self, who: &Identity, turn: &mut Turn<'_>) -> Result<(), Failure> {
        if self.state == State::Dead {
            return Err(Failure::CoordinatorNotAvailable);
        }
        self.validate(&who.member_id, who.instance_id.as_deref())?;
        if who.generation != self.generation {
            return Err(Failure::IllegalGeneration);
        }
        match self.state {
            State::Empty => Err(Failure::UnknownMemberId),
            State::PreparingRebalance => {
                self.hear_of(&who.member_id, turn);
                Err(Failure::RebalanceInProgress)
            }
            State::CompletingRebalance | State::Stable => {
                self.hear_of(&who.member_id, turn);
                Ok(())
            }
            State::Dead => Err(Failure::CoordinatorNotAvailable),
        }
    }

    /// Members leave, for themselves or at an administrator's will.
    pub(crate) fn leave(
        &mut self,
        leaving: Vec<Leave>,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<LeftMember>, Failure> {
        if self.state == State::Dead {
            return Err(Failure::CoordinatorNotAvailable);
        }
        let mut somebody_left = false;
        let mut left = Vec::with_capacity(leaving.len());
        for each in leaving {
            let outcome = self.leave_one(&each, turn);
            somebody_left |= outcome.is_ok();
            left.push(LeftMember {
                member_id: each.member_id,
                instance_id: each.instance_id,
                failure: outcome.err(),
            });
        }
        if somebody_left {
            self.rebalance_or_go_on(turn);
        }
        Ok(left)
    }

    fn leave_one(&mut self, each: &Leave, turn: &mut Turn<'_>) -> Result<(), Failure> {
        let instance = each.instance_id.as_deref();
        let id = match (each.member_id.as_str(), instance) {
            ("", Some(instance)) => self
                .static_ids
                .get(instance)
                .cloned()
                .ok_or(Failure::UnknownMemberId)?,
            ("", None) => return Err(Failure::UnknownMemberId),
            (id, _) if self.promised.contains(id) => id.to_owned(),
            (id, instance) => {
                self.validate(id, instance)?;
                id.to_owned()
            }
        };
        self.dismiss(&id, turn);
        Ok(())
    }

    /// Takes a member out, and answers what it waits for.
    pub(super) fn dismiss(&mut self, id: &str, turn: &mut Turn<'_>) {
        turn.cancel(&self.session(id));
        if let Some(member) = self.remove(id) {
            let unknown = Failure::UnknownMemberId;
            turn.reply(member.joining, Joined::failed("", unknown));
            turn.reply(member.syncing, Synced::failed(unknown));
        }
    }

    /// Something was heard of a member: its session begins anew.
    pub(super) fn hear_of(&self, id: &str, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get(id) {
            turn.set(self.session(id), member.session_timeout_ms);
        }
    }

    /// The name of a member's session among the deadlines.
    pub(super) fn session(&self, member: &str) -> Deadline {
        Deadline::Session {
            group: self.id.clone(),
            member: member.to_owned(),
        }
    }
}

/// A member id, as Kafka forms it: what the client calls itself, and something random.
pub(crate) fn generate_id(name: &str, random: &mut fastrand::Rng) -> String {
    let random = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
    format!("{name}-{random}")
}
