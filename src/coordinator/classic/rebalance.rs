//! The course of a rebalance.

use crate::coordinator::Failure;
use crate::coordinator::turn::{Deadline, Turn};
use crate::wire::groups::GroupMetadataValue;

use super::group::{ClassicGroup, State};
use super::member::Member;
use super::{Joined, Synced};

impl ClassicGroup {
    /// Somebody came, left or changed: a rebalance begins, or the one that is going on may have
    /// nobody to wait for any more.
    pub(super) fn rebalance_or_go_on(&mut self, turn: &mut Turn<'_>) {
        if self.can_rebalance() {
            self.prepare_rebalance(turn);
        } else if self.state == State::PreparingRebalance && !self.gathering && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// Asks all members to join.
    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::CompletingRebalance {
            // Their assignments will not come: they have what they had, which Kafka forgets here.
            // Whose session ran out while it waited is heard of from now on again.
            for member in self.members.values_mut() {
                if let Some(waiter) = member.syncing.take() {
                    let deadline = Deadline::Session {
                        group: self.id.clone(),
                        member: member.id.clone(),
                    };
                    turn.set(deadline, member.session_timeout_ms);
                    let synced = Synced::failed(Failure::RebalanceInProgress);
                    turn.outcome.reply(waiter, synced);
                }
            }
        }
        turn.cancel(&self.sync_deadline());
        let first = self.state == State::Empty;
        self.enter(State::PreparingRebalance, turn);
        let delay = turn.settings.initial_rebalance_delay_ms;
        if first && delay > 0 {
            self.gathering = true;
            self.member_added = false;
            self.gather_ms_left = self.rebalance_timeout_ms().saturating_sub(delay).max(0);
            turn.set(self.join_deadline(), delay);
        } else if first || self.all_joined() {
            // Nobody was there before: ids that were given out are not waited for.
            self.complete_join(turn);
        } else {
            turn.set(self.join_deadline(), self.rebalance_timeout_ms());
        }
    }

    /// One of the group's deadlines has passed.
    pub(crate) fn time_is_over(&mut self, deadline: &Deadline, turn: &mut Turn<'_>) {
        match deadline {
            Deadline::Join { .. } => self.join_time_is_over(turn),
            Deadline::Sync { .. } => self.sync_time_is_over(turn),
            Deadline::Session { member, .. } => self.session_is_over(member, turn),
            Deadline::Conversion { .. } => self.begin_after_conversion(turn),
            Deadline::Revocation { .. }
            | Deadline::MemberJoin { .. }
            | Deadline::MemberSync { .. }
            | Deadline::Expiry => {}
        }
    }

    /// The time to join is over. An empty group's first rebalance is put off as long as members
    /// keep coming, at most for the rebalance timeout.
    fn join_time_is_over(&mut self, turn: &mut Turn<'_>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        if self.gathering && self.member_added && self.gather_ms_left > 0 {
            let delay = turn
                .settings
                .initial_rebalance_delay_ms
                .min(self.gather_ms_left);
            self.member_added = false;
            self.gather_ms_left -= delay;
            turn.set(self.join_deadline(), delay);
            return;
        }
        self.complete_join(turn);
    }

    /// Ends the joining: who is not there is out, unless it is static; a new generation begins.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.gathering = false;
        turn.cancel(&self.join_deadline());
        let missing = |member: &&Member| member.joining.is_none() && member.instance_id.is_none();
        let missing: Vec<String> = self
            .members
            .values()
            .filter(missing)
            .map(|member| member.id.clone())
            .collect();
        for id in missing {
            self.dismiss(&id, turn);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Static members alone, none of which is back: their sessions decide.
            turn.set(self.join_deadline(), self.rebalance_timeout_ms());
            return;
        }
        self.generation = self.generation.wrapping_add(1).max(0);
        self.unsynced.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.enter(State::Empty, turn);
            let record = self.record(|member| member.assignment.clone());
            turn.outcome.records.push(record);
            return;
        }
        self.protocol = self.elect_protocol();
        self.enter(State::CompletingRebalance, turn);
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in &ids {
            let joined = self.joined(id);
            self.hear_of(id, turn);
            self.unsynced.insert(id.clone());
            if let Some(member) = self.members.get_mut(id) {
                member.is_new = false;
                turn.reply(member.joining.take(), joined);
            }
        }
        turn.set(self.sync_deadline(), self.rebalance_timeout_ms());
    }

    /// Sees to it that somebody leads who is there; false if nobody is.
    fn elect_leader(&mut self) -> bool {
        let is_there = |id: &String| {
            self.members
                .get(id)
                .is_some_and(|member| member.joining.is_some())
        };
        if self.leader.as_ref().is_some_and(is_there) {
            return true;
        }
        let elected = self.members.keys().find(|id| is_there(id)).cloned();
        let found = elected.is_some();
        if found {
            self.leader = elected;
        }
        found
    }

    /// What a member is told of the generation.
    pub(super) fn joined(&self, id: &str) -> Joined {
        Joined {
            failure: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: if self.leads(id) {
                self.described()
            } else {
                Vec::new()
            },
        }
    }

    /// The time to sync is over: who did not is out, and the rest begins again.
    fn sync_time_is_over(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        let missing = std::mem::take(&mut self.unsynced);
        if missing.is_empty() {
            return;
        }
        for id in &missing {
            self.dismiss(id, turn);
        }
        self.prepare_rebalance(turn);
    }

    /// Nothing was heard of a member for its session timeout.
    fn session_is_over(&mut self, id: &str, turn: &mut Turn<'_>) {
        if self.state == State::Dead {
            return;
        }
        // Who waits for an answer cannot be heard of, but for a new member, whose client may have
        // gone away.
        let waits = |member: &Member| {
            !member.is_new && (member.joining.is_some() || member.syncing.is_some())
        };
        if self.members.get(id).is_some_and(waits) {
            return;
        }
        let was_promised = self.promised.contains(id);
        // A group of this name that was deleted may have known it: that begins no rebalance.
        let is_known = was_promised || self.members.contains_key(id);
        if !is_known && self.state != State::PreparingRebalance {
            return;
        }
        self.dismiss(id, turn);
        if !was_promised || self.state == State::PreparingRebalance {
            self.rebalance_or_go_on(turn);
        }
    }

    /// Takes in a record of this group: its generation's assignments are decided.
    pub(crate) fn replay(&mut self, value: GroupMetadataValue) {
        if self.state != State::CompletingRebalance || value.generation != self.generation {
            return;
        }
        for record in value.members {
            if let Some(member) = self.members.get_mut(&record.member_id) {
                member.assignment = record.assignment;
            }
        }
        self.state = State::Stable;
        self.since = crate::model::Timestamp(value.current_state_timestamp);
    }

    /// The group as a record left it.
    pub(crate) fn load(id: &str, value: GroupMetadataValue) -> Self {
        let mut group = Self::new(id, crate::model::Timestamp(value.current_state_timestamp));
        let protocol = value.protocol.clone().unwrap_or_default();
        for record in value.members {
            let member = Member::from_record(record, &protocol);
            group.add(member, &value.protocol_type);
        }
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
        group.protocol = value.protocol;
        group.leader = value.leader;
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        group
    }

    /// The shard is loaded: what is known of the members begins to run out. Those that came from a
    /// consumer group and had no time to assign do so now; to Kafka the rebalance is lost with the
    /// broker, and what the members have that left is read by nobody until the next one.
    pub(crate) fn begin_sessions(&mut self, turn: &mut Turn<'_>) {
        for id in self.members.keys() {
            self.hear_of(id, turn);
        }
        self.begin_after_conversion(turn);
    }

    pub(super) fn join_deadline(&self) -> Deadline {
        Deadline::Join {
            group: self.id.clone(),
        }
    }

    pub(super) fn sync_deadline(&self) -> Deadline {
        Deadline::Sync {
            group: self.id.clone(),
        }
    }
}
