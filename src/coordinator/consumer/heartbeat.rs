//! A member joins, or says that it is there, and learns what it may read
//! (`GroupMetadataManager.consumerGroupHeartbeat`).

use std::sync::Arc;

use super::Partitions;
use super::group::ConsumerGroup;
use super::member::{JOINING, LEAVING_FOR_A_WHILE, Member, MemberState, target_record, tombstones};
use super::reconcile::{MustRejoin, Target, step};
use super::request::{ConsumerBeat, ConsumerHeartbeat, Refusal};
use super::view::View;
use crate::coordinator::Failure;
use crate::coordinator::turn::Turn;
use crate::wire::groups::GroupRecord;

/// A member as it was before an event, and the static member whose place it takes.
pub(super) struct Before {
    pub(super) member: Member,
    pub(super) replaced: Option<Arc<str>>,
}

impl ConsumerGroup {
    /// A ConsumerGroupHeartbeat of a member that does not leave.
    pub(crate) fn beat(
        &mut self,
        request: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<ConsumerBeat, Refusal> {
        let id = match request.member_id.as_str() {
            "" => new_member_id(turn),
            id => id.to_owned(),
        };
        self.check_room(&id, turn)?;
        let mut records = Vec::new();
        let before = match &request.instance_id {
            None => self.dynamic_member(&id, request)?,
            Some(instance) => self.static_member(&id, instance, request, &mut records)?,
        };
        let said = request.said_by(&before.member);
        let owned = request.owned.as_ref();
        let after = self.update(&before, said, owned, turn, &mut records);
        let after = after.inspect_err(|_| self.seen_topics = None)?;
        self.hear_of(&after, turn);
        turn.outcome.records.append(&mut records);
        let tells = request.epoch == JOINING
            || request.is_full()
            || before.member.assigned != after.assigned;
        Ok(ConsumerBeat {
            member_id: id,
            epoch: after.epoch,
            heartbeat_interval_ms: turn.consumer_timeouts(&self.id).heartbeat_ms,
            assignment: tells.then_some(after.assigned),
        })
    }

    /// `group.consumer.max.size` lets no new member in once it is reached.
    pub(super) fn check_room(&self, id: &str, turn: &Turn<'_>) -> Result<(), Refusal> {
        let size_max = turn.settings.consumer.size_max;
        if self.members.len() < size_max || self.members.contains_key(id) {
            return Ok(());
        }
        let message =
            format!("The consumer group has reached its maximum capacity of {size_max} members.");
        Err(Refusal::new(Failure::GroupMaxSizeReached, message))
    }

    fn dynamic_member(&self, id: &str, request: &ConsumerHeartbeat) -> Result<Before, Refusal> {
        let member = match self.members.get(id) {
            Some(member) => {
                check_epoch(member, request)?;
                member.clone()
            }
            None if request.epoch == JOINING => Member::new(id),
            None => return Err(self.unknown(id)),
        };
        Ok(Before {
            member,
            replaced: None,
        })
    }

    fn static_member(
        &self,
        id: &str,
        instance: &str,
        request: &ConsumerHeartbeat,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Before, Refusal> {
        let held = self.static_holder(instance);
        if request.epoch == JOINING {
            if let Some(held) = held
                && held.epoch != LEAVING_FOR_A_WHILE
                && !held.is_classic()
            {
                return Err(unreleased(id, instance, held));
            }
            return Ok(self.take_over(id, held, records));
        }
        let held = self.check_static(id, instance)?;
        check_epoch(held, request)?;
        Ok(Before {
            member: held.clone(),
            replaced: None,
        })
    }

    /// The member that has an instance id.
    pub(super) fn static_holder(&self, instance: &str) -> Option<&Member> {
        self.members.get(self.static_ids.get(instance)?)
    }

    /// The member that has an instance id, if its member id is this.
    pub(super) fn check_static(&self, id: &str, instance: &str) -> Result<&Member, Refusal> {
        match self.static_holder(instance) {
            None => {
                let message = format!("Instance id {instance} is unknown.");
                Err(Refusal::new(Failure::UnknownMemberId, message))
            }
            Some(held) if *held.id != *id => {
                let message = format!(
                    "Static member {id} with instance id {instance} was fenced by member {}.",
                    held.id
                );
                Err(Refusal::new(Failure::FencedInstanceId, message))
            }
            Some(held) => Ok(held),
        }
    }

    /// A static member joins: as a new one, or under a new member id in the place of `held`.
    pub(super) fn take_over(
        &self,
        id: &str,
        held: Option<&Member>,
        records: &mut Vec<GroupRecord>,
    ) -> Before {
        let Some(held) = held else {
            let member = self.members.get(id).cloned();
            return Before {
                member: member.unwrap_or_else(|| Member::new(id)),
                replaced: None,
            };
        };
        let mut member = held.clone();
        member.id = id.into();
        member.epoch = JOINING;
        member.previous_epoch = JOINING;
        records.extend(tombstones(&self.id, &held.id));
        records.push(member.record(&self.id));
        records.push(target_record(&self.id, id, &self.target_of(&held.id)));
        records.push(member.assignment_record(&self.id));
        Before {
            member,
            replaced: Some(Arc::clone(&held.id)),
        }
    }

    /// Takes in what a member says of itself now: raises the epoch of the group if that, or the
    /// topics, have changed; makes a target assignment for a new epoch; and takes the member one
    /// step towards it.
    pub(super) fn update(
        &mut self,
        before: &Before,
        said: Member,
        owned: Option<&Partitions>,
        turn: &mut Turn<'_>,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Member, Refusal> {
        let mut is_new_epoch = self.epoch == 0;
        if said.about != before.member.about {
            records.push(said.record(&self.id));
            let names = |member: &Member| member.about.subscribed_topic_names.clone();
            is_new_epoch |= names(&said) != names(&before.member);
        }
        let seen_topics = self.seen_topics.replace(turn.topics.version());
        let has_topics_record = self.has_topics_record;
        let refreshed = self.refresh_expressions(&before.member, &said, turn, records)?;
        is_new_epoch |= refreshed.changed;
        let gone: Vec<Arc<str>> = before.replaced.iter().cloned().collect();
        let view = View {
            group: refreshed.group,
            changed: Some(&said),
            gone: &gone,
            expressions: refreshed.expressions,
            topics: turn.topics,
        };
        let group = view.group;
        let mut epoch = group.epoch;
        if is_new_epoch || seen_topics != Some(turn.topics.version()) {
            let hash = view.metadata_hash();
            if is_new_epoch || hash != group.metadata_hash {
                epoch += 1;
                records.push(group.epoch_record(epoch, hash));
            }
            if has_topics_record {
                records.push(GroupRecord::ConsumerGroupTopics(group.key(), None));
            }
        }
        let replaced = before.replaced.as_deref();
        let is_made = epoch == group.target_epoch && epoch == group.epoch;
        let partitions = match is_made {
            true => group.target_of(replaced.unwrap_or(&said.id)),
            false => {
                let assignors = &turn.settings.consumer.assignors;
                view.assign(epoch, replaced, assignors, records)
            }
        };
        let target = Target {
            epoch,
            partitions: &partitions,
        };
        let stepped = group.reconcile(&said, target, owned, turn, records)?;
        Ok(stepped.unwrap_or(said))
    }

    /// Takes a member one step towards what it shall have, if it can take one.
    fn reconcile(
        &self,
        member: &Member,
        target: Target<'_>,
        owned: Option<&Partitions>,
        turn: &mut Turn<'_>,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Option<Member>, Refusal> {
        if member.is_reconciled_to(target.epoch) {
            return Ok(None);
        }
        let is_owned = |topic, partition| self.owners.contains_key(&(topic, partition));
        let after = step(member, target, owned, is_owned).map_err(|MustRejoin| {
            let message = "The state of the member is not known: it must give up all partitions, and join again.";
            Refusal::new(Failure::FencedMemberEpoch, message)
        })?;
        if after == *member {
            return Ok(None);
        }
        records.push(after.assignment_record(&self.id));
        if !after.is_classic() {
            match after.state {
                MemberState::UnrevokedPartitions => {
                    let timeout_ms = after.about.rebalance_timeout_ms;
                    turn.set(self.revocation(&after.id), timeout_ms);
                }
                MemberState::Stable | MemberState::UnreleasedPartitions | MemberState::Unknown => {
                    turn.cancel(&self.revocation(&after.id));
                }
            }
        }
        Ok(Some(after))
    }

    pub(super) fn unknown(&self, id: &str) -> Refusal {
        let message = format!("Member {id} is not a member of group {}.", self.id);
        Refusal::new(Failure::UnknownMemberId, message)
    }
}

impl ConsumerHeartbeat {
    /// The member with what it says of itself now.
    fn said_by(&self, member: &Member) -> Member {
        let mut member = member.clone();
        let about = &mut member.about;
        if let Some(instance) = &self.instance_id {
            about.instance_id = Some(instance.clone());
        }
        if let Some(rack) = &self.rack_id {
            about.rack_id = Some(rack.clone());
        }
        if let Some(timeout_ms) = self.rebalance_timeout_ms {
            about.rebalance_timeout_ms = timeout_ms;
        }
        if let Some(assignor) = &self.assignor {
            about.server_assignor = Some(assignor.clone());
        }
        if let Some(topics) = &self.topics {
            about.subscribed_topic_names.clone_from(topics);
            about.subscribed_topic_names.sort_unstable();
            about.subscribed_topic_names.dedup();
        }
        if let Some(expression) = &self.expression {
            about.subscribed_topic_regex = Some(expression.clone());
        }
        about.client_id.clone_from(&self.client_id);
        about.client_host.clone_from(&self.client_host);
        about.classic_member_metadata = None;
        member
    }
}

/// A member names the epoch that it has got to. The one before is taken, too, as the answer may
/// have been lost, if it has nothing that it should not have.
fn check_epoch(member: &Member, request: &ConsumerHeartbeat) -> Result<(), Refusal> {
    let (said, known) = (request.epoch, member.epoch);
    let owned = request.owned.as_ref();
    let missed_an_answer = said == member.previous_epoch
        && owned.is_some_and(|owned| owned.is_subset(&member.assigned));
    if said == known || (said < known && missed_an_answer) {
        return Ok(());
    }
    let compared = if said > known { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {compared} member epoch ({said}) than the one known by the group \
         coordinator ({known}). The member must abandon all its partitions and rejoin."
    );
    Err(Refusal::new(Failure::FencedMemberEpoch, message))
}

fn unreleased(id: &str, instance: &str, held: &Member) -> Refusal {
    let message = format!(
        "Static member {id} with instance id {instance} cannot join the group because the \
         instance id is owned by {} member.",
        held.id
    );
    Refusal::new(Failure::UnreleasedInstanceId, message)
}

/// An id for a member that brings none, in the form of Kafka's.
fn new_member_id(turn: &mut Turn<'_>) -> String {
    let random = uuid::Builder::from_random_bytes(turn.random.u128(..).to_be_bytes());
    crate::model::TopicId(random.into_uuid()).to_base64()
}
