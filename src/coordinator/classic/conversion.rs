//! A classic group becomes a consumer group (KIP-848, online migration).

use bytes::Bytes;

use super::group::ClassicGroup;
use super::{Joined, Synced};
use crate::coordinator::Failure;
use crate::coordinator::subscription;
use crate::coordinator::turn::Turn;
use crate::wire::DecodeError;
use crate::wire::consumer_protocol::Subscription;
use crate::wire::groups::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue,
};

/// A member of a classic group, as a consumer group keeps it.
#[derive(Debug)]
pub(crate) struct ConvertedMember {
    pub(crate) id: String,
    pub(crate) about: ConsumerGroupMemberMetadataValue,
    /// What the leader assigned to it; empty if it has not synced.
    pub(crate) assignment: Bytes,
}

impl ClassicGroup {
    /// Whether its members are consumers.
    pub(crate) fn speaks_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Its members, if what they said can be read.
    pub(crate) fn converted_members(&self) -> Result<Vec<ConvertedMember>, DecodeError> {
        let converted = self.members.values().map(|member| {
            let chosen = self.protocol.as_deref();
            let metadata = chosen.and_then(|protocol| member.metadata(protocol));
            let first = member.protocols.first().map(|offered| &offered.metadata);
            let metadata = metadata.or(first).cloned().unwrap_or_default();
            let (subscription, _version) = Subscription::from_bytes(&metadata)?;
            let protocols = member.protocols.iter().map(|offered| ClassicProtocol {
                name: offered.name.clone(),
                metadata: offered.metadata.clone(),
            });
            let about = ConsumerGroupMemberMetadataValue {
                instance_id: member.instance_id.clone(),
                rack_id: subscription.rack_id,
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                subscribed_topic_names: subscription.topics,
                subscribed_topic_regex: None,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                server_assignor: None,
                classic_member_metadata: Some(ClassicMemberMetadata {
                    session_timeout_ms: member.session_timeout_ms,
                    supported_protocols: protocols.collect(),
                }),
            };
            Ok(ConvertedMember {
                id: member.id.clone(),
                about,
                assignment: member.assignment.clone(),
            })
        });
        converted.collect()
    }

    /// Nobody waits for a rebalance of this group any more: whoever did shall join again.
    pub(crate) fn give_up_rebalance(&mut self, turn: &mut Turn<'_>) {
        turn.cancel(&self.join_deadline());
        turn.cancel(&self.sync_deadline());
        let again = Failure::RebalanceInProgress;
        for member in self.members.values_mut() {
            turn.reply(member.joining.take(), Joined::failed(&member.id, again));
            turn.reply(member.syncing.take(), Synced::failed(again));
        }
    }

    /// The group was a consumer group: its members, all of whom stay, shall assign now, unless one
    /// of them has begun a rebalance already.
    pub(crate) fn begin_after_conversion(&mut self, turn: &mut Turn<'_>) {
        if self.since == Self::UNSETTLED && !self.is_empty() {
            self.prepare_rebalance(turn);
        }
    }
}
