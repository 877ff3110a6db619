//! What is asked of a classic group from outside: commits, deletions, descriptions.

use super::group::{ClassicGroup, State};
use crate::coordinator::Failure;
use crate::coordinator::group::{Ageing, GroupDescription, MemberDescription};
use crate::coordinator::shard::Identity;
use crate::coordinator::subscription;
use crate::coordinator::turn::Turn;
use crate::wire::groups::GroupRecord;

impl ClassicGroup {
    /// Type of its protocols; empty for a group of offsets alone.
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    fn is_of_consumers(&self) -> bool {
        self.protocol_type() == subscription::CONSUMER
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether somebody may commit offsets (`ClassicGroup.validateOffsetCommit`). An empty group
    /// takes them from anybody; a group with members from those of its generation, unless they
    /// have joined the next one and not synced.
    pub(crate) fn may_commit(&self, who: &Identity, turn: &mut Turn<'_>) -> Result<(), Failure> {
        if self.state == State::Dead {
            return Err(Failure::CoordinatorNotAvailable);
        }
        if who.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if who.generation < 0 && who.member_id.is_empty() && who.instance_id.is_none() {
            return Err(Failure::UnknownMemberId);
        }
        self.validate(&who.member_id, who.instance_id.as_deref())?;
        if who.generation != self.generation {
            return Err(Failure::IllegalGeneration);
        }
        match self.state {
            State::CompletingRebalance => Err(Failure::RebalanceInProgress),
            State::PreparingRebalance | State::Stable => {
                self.hear_of(&who.member_id, turn);
                Ok(())
            }
            State::Empty | State::Dead => Ok(()),
        }
    }

    /// Whether offsets may be deleted: those of topics that consumers do not subscribe to, and
    /// all once nobody is there.
    pub(crate) fn may_delete_offsets(&self) -> Result<(), Failure> {
        match self.state {
            State::Dead => Err(Failure::GroupIdNotFound),
            State::Empty => Ok(()),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                match self.is_of_consumers() {
                    true => Ok(()),
                    false => Err(Failure::NonEmptyGroup),
                }
            }
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn may_delete(&self) -> Result<(), Failure> {
        match self.state {
            State::Dead => Err(Failure::GroupIdNotFound),
            State::Empty => Ok(()),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                Err(Failure::NonEmptyGroup)
            }
        }
    }

    /// Whether members subscribe to a topic, where the protocol tells
    /// (`ClassicGroup.isSubscribedToTopic`).
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        if !self.is_of_consumers() || self.members.is_empty() {
            return false;
        }
        // Before the first protocol is chosen nothing is known, and after garbage neither.
        let Some(protocol) = self.protocol.as_deref() else {
            return true;
        };
        self.members.values().any(|member| {
            let metadata = member.metadata(protocol).map(AsRef::as_ref);
            let topics = subscription::topics(metadata.unwrap_or_default());
            topics.map_or(true, |topics| topics.contains(&topic))
        })
    }

    /// Since when offsets grow old that nobody uses (`ClassicGroup.offsetExpirationCondition`).
    pub(crate) fn ageing(&self) -> Ageing {
        match self.state {
            _ if self.protocol_type.is_none() => Ageing::SinceCommit,
            State::Empty if self.since.0 < 0 => Ageing::SinceCommit,
            State::Empty => Ageing::Since(self.since),
            State::Stable if self.is_of_consumers() => Ageing::SinceCommit,
            State::Stable
            | State::PreparingRebalance
            | State::CompletingRebalance
            | State::Dead => Ageing::Never,
        }
    }

    /// The record that deletes it.
    pub(crate) fn tombstone(&self) -> GroupRecord {
        GroupRecord::ClassicGroup(self.key(), None)
    }

    /// As DescribeGroups tells of it: what members want only while that is settled, and what they
    /// had last.
    pub(crate) fn describe(&self) -> GroupDescription {
        let protocol = match self.state {
            State::Stable => self.protocol.as_deref(),
            State::Empty | State::PreparingRebalance | State::CompletingRebalance | State::Dead => {
                None
            }
        };
        let members = self.members.values().map(|member| MemberDescription {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol
                .and_then(|protocol| member.metadata(protocol))
                .cloned()
                .unwrap_or_default(),
            assignment: member.assignment.clone(),
        });
        GroupDescription {
            state: self.state.name(),
            protocol_type: self.protocol_type().to_owned(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }
}
