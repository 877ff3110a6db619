//! A classic group: its state, its members, and what follows from one changing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::model::Timestamp;
use crate::wire::groups::{GroupKey, GroupMetadataValue, GroupRecord};

use super::member::{Member, Protocol};
use super::{Joined, JoinedMember, Synced};
use crate::coordinator::Failure;
use crate::coordinator::turn::Turn;

/// Where a classic group stands; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl State {
    /// Kafka's name of it, as DescribeGroups and ListGroups answer.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// A classic group.
///
/// Its generation with the members' assignments is what a record keeps; joins and syncs that are
/// under way are not.
#[derive(Clone, Debug)]
pub(crate) struct ClassicGroup {
    pub(super) id: String,
    pub(super) state: State,
    /// When it came into that state.
    pub(super) since: Timestamp,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids of the static members, by instance id.
    pub(super) static_ids: HashMap<String, String>,
    /// Ids that were given to dynamic members that have not come back with them yet.
    pub(super) promised: BTreeSet<String>,
    /// Members of this generation whose SyncGroup has not come yet.
    pub(super) unsynced: BTreeSet<String>,
    /// Whether the first rebalance of an empty group waits for more members.
    pub(super) gathering: bool,
    /// Whether one came since that was looked at last.
    pub(super) member_added: bool,
    /// How much longer that may go on, in milliseconds.
    pub(super) gather_ms_left: i32,
}

impl ClassicGroup {
    /// Since when a group with members is where it is that has yet to assign what they have.
    pub(crate) const UNSETTLED: Timestamp = Timestamp(-1);

    pub(crate) fn new(id: &str, wall: Timestamp) -> Self {
        Self {
            id: id.to_owned(),
            state: State::Empty,
            since: wall,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_ids: HashMap::new(),
            promised: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            gathering: false,
            member_added: false,
            gather_ms_left: 0,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Moves on to another state.
    pub(super) fn enter(&mut self, state: State, turn: &Turn<'_>) {
        self.state = state;
        self.since = turn.wall;
    }

    /// Adds a member; the first one leads, and gives the group its type.
    pub(super) fn add(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        if let Some(instance) = &member.instance_id {
            self.static_ids.insert(instance.clone(), member.id.clone());
        }
        self.promised.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out. If it led, another one leads.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        self.promised.remove(id);
        self.unsynced.remove(id);
        let member = self.members.remove(id)?;
        if let Some(instance) = &member.instance_id
            && self.static_ids.get(instance).is_some_and(|held| held == id)
        {
            self.static_ids.remove(instance);
        }
        if self.leads(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives a static member the id that its restarted client asked with. Whoever waits under the
    /// old one is fenced.
    pub(super) fn replace_static(&mut self, old: &str, new: &str, turn: &mut Turn<'_>) {
        let Some(mut member) = self.members.remove(old) else {
            return;
        };
        let fenced = Failure::FencedInstanceId;
        turn.reply(member.joining.take(), Joined::failed(old, fenced));
        turn.reply(member.syncing.take(), Synced::failed(fenced));
        if self.leads(old) {
            self.leader = Some(new.to_owned());
        }
        if let Some(instance) = &member.instance_id {
            self.static_ids.insert(instance.clone(), new.to_owned());
        }
        if self.unsynced.remove(old) {
            self.unsynced.insert(new.to_owned());
        }
        member.id = new.to_owned();
        self.members.insert(new.to_owned(), member);
    }

    pub(super) fn leads(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    /// The member that a request names, or why it may not speak for it.
    pub(super) fn validate(&self, id: &str, instance: Option<&str>) -> Result<(), Failure> {
        if let Some(instance) = instance {
            match self.static_ids.get(instance) {
                None => return Err(Failure::UnknownMemberId),
                Some(held) if held != id => return Err(Failure::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(id) {
            true => Ok(()),
            false => Err(Failure::UnknownMemberId),
        }
    }

    /// Whether somebody with these protocols can join: one of them is offered by all.
    pub(super) fn goes_with(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && self
                .candidates()
                .iter()
                .any(|candidate| protocols.iter().any(|offered| offered.name == *candidate))
    }

    /// Protocols that all members offer, in the first member's order.
    fn candidates(&self) -> Vec<&str> {
        let mut members = self.members.values();
        let Some(first) = members.next() else {
            return Vec::new();
        };
        let mut names: Vec<&str> = first
            .protocols
            .iter()
            .map(|each| each.name.as_str())
            .collect();
        for member in members {
            names.retain(|name| member.metadata(name).is_some());
        }
        names
    }

    /// The protocol that most members prefer among those that all offer.
    pub(super) fn elect_protocol(&self) -> Option<String> {
        let candidates = self.candidates();
        let votes = |candidate: &&&str| {
            let for_it = self
                .members
                .values()
                .filter(|member| member.vote(&candidates) == Some(**candidate));
            for_it.count()
        };
        // The first of equals: `max_by_key` takes the last.
        let elected = candidates.iter().rev().max_by_key(votes);
        elected.map(|name| (*name).to_owned())
    }

    /// Milliseconds that the slowest member may take to join.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        let timeouts = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }

    /// Whether everybody who is expected has asked to join.
    pub(super) fn all_joined(&self) -> bool {
        self.promised.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// Whether a rebalance may begin.
    pub(super) fn can_rebalance(&self) -> bool {
        matches!(
            self.state,
            State::Empty | State::CompletingRebalance | State::Stable
        )
    }

    /// Members with their metadata for the chosen protocol.
    pub(super) fn described(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let described = self.members.values().map(|member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol).cloned().unwrap_or_default(),
        });
        described.collect()
    }

    /// The record of this generation; `assignment` says what each member has.
    pub(super) fn record(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self
            .members
            .values()
            .map(|member| member.to_record(protocol, &assignment(member)));
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since.0,
            members: members.collect(),
        };
        GroupRecord::ClassicGroup(self.key(), Some(value))
    }

    pub(super) fn key(&self) -> GroupKey {
        GroupKey {
            group: self.id.clone(),
        }
    }
}
