//! Groups change their kind while their members go on (KIP-848, online migration;
//! `GroupMetadataManager.convertToConsumerGroup`, `convertToClassicGroup`).
//!
//! A classic group becomes a consumer group when a member joins that speaks the consumer protocol;
//! its members stay, as classic members. When the last member that speaks the consumer protocol is
//! gone, the group becomes a classic group, and its members assign among themselves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::Partitions;
use super::group::ConsumerGroup;
use super::member::{Member, MemberState, target_record};
use super::request::Refusal;
use crate::coordinator::Failure;
use crate::coordinator::classic::ClassicGroup;
use crate::coordinator::subscription;
use crate::coordinator::turn::{Deadline, Turn};
use crate::coordinator::world::Topics;
use crate::wire::consumer_protocol::{Assignment, Subscription, TopicPartitions};
use crate::wire::groups::{ClassicMember, ClassicMemberMetadata, GroupMetadataValue, GroupRecord};

/// The consumer group that a classic group becomes, and the records that say so.
pub(crate) fn upgrade(
    id: &str,
    classic: &ClassicGroup,
    turn: &Turn<'_>,
) -> Result<(ConsumerGroup, Vec<GroupRecord>), Refusal> {
    let consumer = &turn.settings.consumer;
    let refused = |reason: &str| {
        let message =
            format!("Cannot upgrade classic group {id} to consumer group because {reason}.");
        Refusal::new(Failure::GroupIdNotFound, message)
    };
    if !consumer.migration.upgrade {
        return Err(refused("online upgrade is disabled"));
    }
    if !classic.speaks_consumer_protocol() {
        return Err(refused(
            "the group does not use the consumer embedded protocol",
        ));
    }
    if classic.member_count() > consumer.size_max {
        return Err(refused(
            "the group size exceeds the consumer group maximum size",
        ));
    }
    let malformed = || refused("the embedded consumer protocol is malformed");
    let members = classic.converted_members().map_err(|_| malformed())?;
    let mut group = ConsumerGroup::new(id);
    group.epoch = classic.generation();
    group.target_epoch = classic.generation();
    for converted in members {
        let assigned = assigned_by_leader(&converted.assignment, turn.topics)
            .ok_or_else(malformed)?
            .ok_or_else(|| refused("an unsupported custom assignor is in use"))?;
        let member = Member {
            about: converted.about,
            epoch: classic.generation(),
            previous_epoch: classic.generation(),
            state: MemberState::Stable,
            assigned,
            ..Member::new(&converted.id)
        };
        group.convert(member);
    }
    // Its hash stays that of no topics, so that whoever joins begins an epoch: not even a static
    // member in the place of another may leave it with what a leader was still about to assign.
    let mut records = vec![classic.tombstone()];
    records.extend(group.members.values().map(|member| member.record(id)));
    records.push(group.epoch_record(group.epoch, group.metadata_hash));
    for (member, target) in &group.targets {
        records.push(target_record(id, member, target));
    }
    records.push(group.target_epoch_record(group.target_epoch));
    records.extend(
        group
            .members
            .values()
            .map(|member| member.assignment_record(id)),
    );
    Ok((group, records))
}

/// What a leader assigned: `None` if that cannot be read, and within, `None` if it came with
/// something that only an assignor of the clients' own understands.
fn assigned_by_leader(assignment: &Bytes, topics: &dyn Topics) -> Option<Option<Partitions>> {
    if assignment.is_empty() {
        return Some(Some(Partitions::new()));
    }
    let assignment = Assignment::from_bytes(assignment).ok()?;
    let has_user_data = assignment.user_data.is_some_and(|data| !data.is_empty());
    Some((!has_user_data).then(|| by_id(&assignment.assigned_partitions, topics)))
}

/// Partitions by topic id; topics that are gone are left out.
pub(super) fn by_id(named: &[TopicPartitions], topics: &dyn Topics) -> Partitions {
    let known = named
        .iter()
        .filter_map(|each| Some((topics.topic(&each.topic)?.id, each)));
    let partitions =
        known.flat_map(|(id, each)| each.partitions.iter().map(move |each| (id, *each)));
    partitions.collect()
}

/// What a classic member is told that it has, in the version that it speaks itself.
pub(super) fn for_classic(partitions: &Partitions, metadata: &[u8], topics: &dyn Topics) -> Bytes {
    let named = partitions.by_topic().filter_map(|(id, partitions)| {
        Some(TopicPartitions {
            topic: topics.name(id)?.to_owned(),
            partitions: partitions.iter().copied().collect(),
        })
    });
    let assignment = Assignment {
        assigned_partitions: named.collect(),
        user_data: None,
    };
    let version = Subscription::from_bytes(metadata).map_or(0, |(_, version)| version);
    // Only more names than a length can count are refused.
    assignment.to_bytes(version).unwrap_or_default()
}

impl ConsumerGroup {
    /// Takes in a member that had its partitions before the group was a consumer group. What two
    /// have, as no leader assigns it, the first one keeps.
    fn convert(&mut self, mut member: Member) {
        let free = member
            .assigned
            .iter()
            .filter(|each| !self.owners.contains_key(each));
        member.assigned = free.collect();
        let owned = member.assigned.iter().map(|each| (each, member.id.clone()));
        self.owners.extend(owned);
        self.targets
            .insert(member.id.clone(), member.assigned.clone());
        if let Some(instance) = member.instance_id() {
            self.static_ids
                .insert(instance.to_owned(), member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Members have come along with the group: their sessions begin.
    pub(crate) fn begin_after_conversion(&self, turn: &mut Turn<'_>) {
        for member in self.members.values() {
            self.hear_of(member, turn);
        }
    }

    /// Looks after the group once the records of this event are taken in.
    pub(super) fn look_again(&self, turn: &mut Turn<'_>) {
        let deadline = Deadline::Conversion {
            group: self.id.to_string(),
        };
        turn.set(deadline, 0);
    }

    /// Becomes a classic group without the members that are `gone`, if all others are classic
    /// members, and then has them assign; whether it does.
    pub(super) fn downgrade(&self, gone: &[Arc<str>], turn: &mut Turn<'_>) -> bool {
        let stay = self
            .members
            .values()
            .filter(|each| !gone.contains(&each.id));
        let stay: Vec<&Member> = stay.collect();
        let is_classic = !stay.is_empty() && stay.iter().all(|member| member.is_classic());
        let fits = stay.len() <= turn.settings.size_max;
        if !is_classic || !fits || !turn.settings.consumer.migration.downgrade {
            return false;
        }
        self.tombstones(&mut turn.outcome.records);
        let value = self.as_classic(&stay, turn);
        let record = GroupRecord::ClassicGroup(self.key(), Some(value));
        turn.outcome.records.push(record);
        for id in gone {
            self.forget_deadlines(id, turn);
        }
        for member in stay {
            self.forget_reconciliation(&member.id, turn);
        }
        self.look_again(turn);
        true
    }

    fn as_classic(&self, stay: &[&Member], turn: &Turn<'_>) -> GroupMetadataValue {
        let protocol = protocol_of_all(stay);
        let members = stay.iter().map(|member| {
            let classic = classic(member).cloned().unwrap_or_default();
            let offered = classic.supported_protocols.into_iter();
            let mut chosen = offered.filter(|offered| Some(&offered.name) == protocol.as_ref());
            let subscription = chosen.next().map(|offered| offered.metadata);
            let subscription = subscription.unwrap_or_default();
            // What it has, and not what it shall have, as Kafka writes it: until it has joined again
            // nothing of that may be another's, be that by its assignment or by a migration back.
            let has = member.assigned.iter().chain(member.revoking.iter());
            let has: Partitions = has.collect();
            ClassicMember {
                member_id: member.id.to_string(),
                group_instance_id: member.about.instance_id.clone(),
                client_id: member.about.client_id.clone(),
                client_host: member.about.client_host.clone(),
                rebalance_timeout: member.about.rebalance_timeout_ms,
                session_timeout: classic.session_timeout_ms,
                assignment: for_classic(&has, &subscription, turn.topics),
                subscription,
            }
        });
        let members: Vec<ClassicMember> = members.collect();
        GroupMetadataValue {
            protocol_type: subscription::CONSUMER.to_owned(),
            generation: self.epoch,
            leader: members.first().map(|member| member.member_id.clone()),
            protocol,
            // Not since when: they have yet to assign, and who loads this before they have shall know.
            current_state_timestamp: ClassicGroup::UNSETTLED.0,
            members,
        }
    }
}

/// What a member said of itself as a classic member.
fn classic(member: &Member) -> Option<&ClassicMemberMetadata> {
    member.about.classic_member_metadata.as_ref()
}

/// How many of the classic members offer each protocol.
pub(super) fn offered<'a>(members: impl Iterator<Item = &'a Member>) -> HashMap<&'a str, usize> {
    let mut offered = HashMap::new();
    let classics = members.filter_map(classic);
    for protocol in classics.flat_map(|classic| &classic.supported_protocols) {
        *offered.entry(protocol.name.as_str()).or_default() += 1;
    }
    offered
}

/// The protocol that most classic members prefer among those that all of them offer.
fn protocol_of_all(members: &[&Member]) -> Option<String> {
    let offered = offered(members.iter().copied());
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for classic in members.iter().copied().filter_map(classic) {
        let protocols = classic.supported_protocols.iter();
        let mut names = protocols.map(|offered| offered.name.as_str());
        if let Some(vote) = names.find(|name| offered.get(name) == Some(&members.len())) {
            *votes.entry(vote).or_default() += 1;
        }
    }
    let most = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
    most.map(|(name, _)| name.to_owned())
}
