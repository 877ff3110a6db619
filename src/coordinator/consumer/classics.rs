//! Members of a consumer group that speak the classic protocol
//! (`GroupMetadataManager.classicGroup…ToConsumerGroup`).
//!
//! JoinGroup takes such a member one step on, as a heartbeat does for the others, and SyncGroup
//! tells it what it has. Nobody waits for anybody: both are answered at once. A heartbeat has it
//! join again when there is a step to take.

use std::sync::Arc;

use super::group::ConsumerGroup;
use super::heartbeat::Before;
use super::member::{Member, MemberState};
use super::migrate::{by_id, for_classic, offered};
use crate::coordinator::classic::{Join, Joined, Leave, LeftMember, Sync, Synced};
use crate::coordinator::shard::Identity;
use crate::coordinator::subscription;
use crate::coordinator::turn::{Deadline, Turn};
use crate::coordinator::{Failure, Waiter};
use crate::wire::consumer_protocol::Subscription;
use crate::wire::groups::{ClassicMemberMetadata, ClassicProtocol};

impl ConsumerGroup {
    /// JoinGroup.
    pub(crate) fn join(&mut self, request: &Join, waiter: Waiter, turn: &mut Turn<'_>) {
        let id = match request.member_id.is_empty() {
            true => crate::coordinator::classic::generate_id(&request.client_id, turn.random),
            false => request.member_id.clone(),
        };
        let joined = self.try_join(&id, request, turn);
        let joined = joined.unwrap_or_else(|failure| {
            // Other refusals name nobody, unlike those of classic groups.
            let named = match failure == Failure::MemberIdRequired {
                true => &*id,
                false => "",
            };
            Joined::failed(named, failure)
        });
        turn.outcome.reply(waiter, joined);
    }

    fn try_join(
        &mut self,
        id: &str,
        request: &Join,
        turn: &mut Turn<'_>,
    ) -> Result<Joined, Failure> {
        self.check_room(id, turn)
            .map_err(|refusal| refusal.failure)?;
        let protocol = request.protocols.first();
        let protocol = protocol.filter(|_| self.takes_protocols_of(request));
        let protocol = protocol.ok_or(Failure::InconsistentGroupProtocol)?;
        let is_new = request.member_id.is_empty();
        if is_new && request.requires_known_member_id && request.instance_id.is_none() {
            return Err(Failure::MemberIdRequired);
        }
        let mut records = Vec::new();
        let before = match &request.instance_id {
            None => Before {
                member: self
                    .members
                    .get(id)
                    .cloned()
                    .unwrap_or_else(|| Member::new(id)),
                replaced: None,
            },
            Some(instance) if is_new => {
                self.take_over(id, self.static_holder(instance), &mut records)
            }
            Some(instance) => {
                let held = self.check_static(id, instance);
                Before {
                    member: held.map_err(|refusal| refusal.failure)?.clone(),
                    replaced: None,
                }
            }
        };
        // Kafka fails over a subscription that it cannot read, and this is what it answers then.
        let read = Subscription::from_bytes(&protocol.metadata);
        let (subscription, _version) = read.map_err(|_| Failure::UnknownServerError)?;
        let owned = by_id(&subscription.owned_partitions, turn.topics);
        let said = said_by(request, subscription, &before.member);
        let after = self.update(&before, said, Some(&owned), turn, &mut records);
        let after = after.map_err(|refusal| refusal.failure)?;
        turn.outcome.records.append(&mut records);
        if let Some(replaced) = &before.replaced {
            self.forget_deadlines(replaced, turn);
        }
        turn.cancel(&self.member_join(id));
        turn.set(self.member_sync(id), request.rebalance_timeout_ms);
        self.hear_of(&after, turn);
        if request.instance_id.is_some() {
            // It may have been the last that did not speak the classic protocol.
            self.look_again(turn);
        }
        Ok(Joined {
            failure: None,
            generation: after.epoch,
            protocol_type: Some(subscription::CONSUMER.to_owned()),
            protocol: Some(protocol.name.clone()),
            leader: String::new(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: Vec::new(),
        })
    }

    /// Whether a classic member with these protocols goes with the others: one of them is offered
    /// by all.
    fn takes_protocols_of(&self, request: &Join) -> bool {
        let classics = self
            .members
            .values()
            .filter(|member| member.is_classic())
            .count();
        let offered = offered(self.members.values());
        let by_all = |name: &str| offered.get(name).copied().unwrap_or(0) == classics;
        request.protocol_type == subscription::CONSUMER
            && request.protocols.iter().any(|each| by_all(&each.name))
    }

    /// SyncGroup.
    pub(crate) fn sync(&mut self, request: &Sync, waiter: Waiter, turn: &mut Turn<'_>) {
        let synced = self.try_sync(request, turn);
        turn.outcome
            .reply(waiter, synced.unwrap_or_else(Synced::failed));
    }

    fn try_sync(&self, request: &Sync, turn: &mut Turn<'_>) -> Result<Synced, Failure> {
        let who = Identity {
            member_id: request.member_id.clone(),
            instance_id: request.instance_id.clone(),
            generation: request.generation,
        };
        let (member, classic) = self.classic_member(&who)?;
        let first = classic.supported_protocols.first();
        let differs = |named: &Option<String>, expected: Option<&str>| {
            named.is_some() && named.as_deref() != expected
        };
        if differs(&request.protocol_type, Some(subscription::CONSUMER))
            || differs(
                &request.protocol,
                first.map(|offered| offered.name.as_str()),
            )
        {
            return Err(Failure::InconsistentGroupProtocol);
        }
        if self.epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            self.ask_to_join(member, turn);
            return Err(Failure::RebalanceInProgress);
        }
        turn.cancel(&self.member_sync(&member.id));
        self.hear_of(member, turn);
        let metadata = first
            .map(|offered| offered.metadata.clone())
            .unwrap_or_default();
        Ok(Synced {
            failure: None,
            protocol_type: request.protocol_type.clone(),
            protocol: request.protocol.clone(),
            assignment: for_classic(&member.assigned, &metadata, turn.topics),
        })
    }

    /// Heartbeat.
    pub(crate) fn heartbeat(&self, who: &Identity, turn: &mut Turn<'_>) -> Result<(), Failure> {
        let (member, _classic) = self.classic_member(who)?;
        self.hear_of(member, turn);
        let could_step = match member.state {
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !self.waits_for_others(member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if member.epoch < self.epoch || could_step {
            self.ask_to_join(member, turn);
            return Err(Failure::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether something that a member shall have is still another's.
    fn waits_for_others(&self, member: &Member) -> bool {
        let target = self.target_of(&member.id);
        target.iter().any(|(topic, partition)| {
            let owner = self.owners.get(&(topic, partition));
            owner.is_some_and(|owner| *owner != member.id)
        })
    }

    /// LeaveGroup.
    pub(crate) fn leave_group(
        &mut self,
        leaving: Vec<Leave>,
        turn: &mut Turn<'_>,
    ) -> Vec<LeftMember> {
        let mut gone: Vec<Arc<str>> = Vec::new();
        let left = leaving.into_iter().map(|each| {
            let named = match &each.instance_id {
                None => self.member(&each.member_id),
                Some(instance) if each.member_id.is_empty() => {
                    self.static_holder(instance).ok_or(Failure::UnknownMemberId)
                }
                Some(instance) => {
                    let held = self.check_static(&each.member_id, instance);
                    held.map_err(|refusal| refusal.failure)
                }
            };
            let failure = match named {
                Ok(member) => {
                    if !gone.contains(&member.id) {
                        gone.push(Arc::clone(&member.id));
                    }
                    None
                }
                Err(failure) => Some(failure),
            };
            LeftMember {
                member_id: each.member_id,
                instance_id: each.instance_id,
                failure,
            }
        });
        let left = left.collect();
        if !gone.is_empty() {
            self.remove(&gone, turn);
        }
        left
    }

    /// The classic member that a request speaks for.
    fn classic_member(&self, who: &Identity) -> Result<(&Member, &ClassicMemberMetadata), Failure> {
        let member = match &who.instance_id {
            None => self.member(&who.member_id)?,
            Some(instance) => {
                let held = self.check_static(&who.member_id, instance);
                held.map_err(|refusal| refusal.failure)?
            }
        };
        let classic = member.about.classic_member_metadata.as_ref();
        let classic = classic.ok_or(Failure::UnknownMemberId)?;
        match who.generation == member.epoch {
            true => Ok((member, classic)),
            false => Err(Failure::IllegalGeneration),
        }
    }

    /// A member was told to join again, and has its time for that from when it was told first.
    fn ask_to_join(&self, member: &Member, turn: &mut Turn<'_>) {
        let deadline = self.member_join(&member.id);
        if !turn.is_set(&deadline) {
            turn.set(deadline, member.about.rebalance_timeout_ms);
        }
    }

    /// The name of the time that a classic member has to join again.
    pub(super) fn member_join(&self, member: &str) -> Deadline {
        Deadline::MemberJoin {
            group: self.id.to_string(),
            member: member.to_owned(),
        }
    }

    /// The name of the time that a classic member has to ask for what it has.
    pub(super) fn member_sync(&self, member: &str) -> Deadline {
        Deadline::MemberSync {
            group: self.id.to_string(),
            member: member.to_owned(),
        }
    }
}

/// The member with what it says of itself now.
fn said_by(request: &Join, subscription: Subscription, member: &Member) -> Member {
    let mut member = member.clone();
    let about = &mut member.about;
    if request.instance_id.is_some() {
        about.instance_id.clone_from(&request.instance_id);
    }
    if subscription.rack_id.is_some() {
        about.rack_id = subscription.rack_id;
    }
    about.rebalance_timeout_ms = request.rebalance_timeout_ms;
    about.subscribed_topic_names = subscription.topics;
    about.subscribed_topic_names.sort_unstable();
    about.subscribed_topic_names.dedup();
    about.subscribed_topic_regex = None;
    about.client_id.clone_from(&request.client_id);
    about.client_host.clone_from(&request.client_host);
    let protocols = request.protocols.iter().map(|offered| ClassicProtocol {
        name: offered.name.clone(),
        metadata: offered.metadata.clone(),
    });
    about.classic_member_metadata = Some(ClassicMemberMetadata {
        session_timeout_ms: request.session_timeout_ms,
        supported_protocols: protocols.collect(),
    });
    member
}
