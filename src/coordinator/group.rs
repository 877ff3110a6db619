//! A group of any kind, and what is asked of all of them.

use bytes::Bytes;

use crate::model::Timestamp;
use crate::wire::groups::GroupRecord;

use super::classic::ClassicGroup;
use super::consumer::ConsumerGroup;
use super::offsets::Committed;
use super::outcome::Failure;
use super::shard::Identity;
use super::subscription;
use super::turn::Turn;

/// A group.
#[derive(Debug)]
pub(crate) enum Group {
    /// Members that assign among themselves, or nobody: offsets alone make such a group.
    Classic(ClassicGroup),
    /// Members that the coordinator assigns to.
    Consumer(ConsumerGroup),
}

/// The kinds of groups, as ListGroups tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// Its members assign.
    Classic,
    /// The coordinator assigns.
    Consumer,
}

impl GroupKind {
    /// Kafka's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// Why DescribeGroups knows nothing of a group, in words that clients show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotClassic {
    /// There is no such group.
    #[error("Group {0} not found.")]
    Missing(String),
    /// It is one of KIP-848, of which ConsumerGroupDescribe tells.
    #[error("Group {0} is not a classic group.")]
    OfConsumers(String),
}

/// A group, as ListGroups tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Group id.
    pub group: String,
    /// Type of its protocols; empty for offsets alone.
    pub protocol_type: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Kind.
    pub kind: GroupKind,
}

/// A classic group, as DescribeGroups tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Type of its protocols; empty for offsets alone.
    pub protocol_type: String,
    /// The protocol of its generation; empty while there is none.
    pub protocol: String,
    /// Members.
    pub members: Vec<MemberDescription>,
}

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Its metadata for the protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it had last.
    pub assignment: Bytes,
}

/// Since when the offsets of a group that it does not use grow old (Kafka's
/// `OffsetExpirationConditionImpl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ageing {
    /// Each since it was committed.
    SinceCommit,
    /// All since the group was left by its last member.
    Since(Timestamp),
    /// They do not.
    Never,
}

impl Ageing {
    /// Whether an offset has expired.
    pub(crate) fn has_expired(self, offset: &Committed, now: Timestamp, retention_ms: i64) -> bool {
        let since = match (self, offset.expires) {
            (Self::Never, _) => return false,
            (_, Some(at)) => return now >= at,
            (Self::SinceCommit, None) => offset.at,
            (Self::Since(at), None) => at,
        };
        now.0.saturating_sub(since.0) >= retention_ms
    }
}

impl Group {
    pub(crate) fn kind(&self) -> GroupKind {
        match self {
            Self::Classic(_) => GroupKind::Classic,
            Self::Consumer(_) => GroupKind::Consumer,
        }
    }

    pub(crate) fn listing(&self, id: &str) -> GroupListing {
        let (protocol_type, state) = match self {
            Self::Classic(group) => (group.protocol_type(), group.state().name()),
            Self::Consumer(group) => (subscription::CONSUMER, group.state().name()),
        };
        GroupListing {
            group: id.to_owned(),
            protocol_type: protocol_type.to_owned(),
            state,
            kind: self.kind(),
        }
    }

    /// Whether somebody may commit offsets; who does so is alive. See
    /// [`OffsetCommit`](super::OffsetCommit) for `knows_epochs`.
    pub(crate) fn may_commit(
        &self,
        who: &Identity,
        knows_epochs: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Classic(group) => group.may_commit(who, turn),
            Self::Consumer(group) => group.may_commit(who, knows_epochs),
        }
    }

    /// Whether a member may ask for committed offsets.
    pub(crate) fn may_fetch(&self, who: &Identity) -> Result<(), Failure> {
        match self {
            Self::Classic(_) => Ok(()),
            Self::Consumer(group) => group.may_fetch(who),
        }
    }

    /// Whether offsets may be deleted, topic by topic: see [`Self::subscribes`].
    pub(crate) fn may_delete_offsets(&self) -> Result<(), Failure> {
        match self {
            Self::Classic(group) => group.may_delete_offsets(),
            Self::Consumer(_) => Ok(()),
        }
    }

    /// Whether the group may be deleted.
    pub(crate) fn may_delete(&self) -> Result<(), Failure> {
        match self {
            Self::Classic(group) => group.may_delete(),
            Self::Consumer(group) => group.may_delete(),
        }
    }

    /// Whether members subscribe to a topic; taken for granted where that cannot be known.
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.subscribes(topic),
            Self::Consumer(group) => group.subscribes(topic),
        }
    }

    pub(crate) fn ageing(&self) -> Ageing {
        match self {
            Self::Classic(group) => group.ageing(),
            Self::Consumer(group) => group.ageing(),
        }
    }

    /// Whether nobody is in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// The records that delete it.
    pub(crate) fn tombstones(&self, records: &mut Vec<GroupRecord>) {
        match self {
            Self::Classic(group) => records.push(group.tombstone()),
            Self::Consumer(group) => group.tombstones(records),
        }
    }

    /// The shard is loaded: what is known of the members begins to run out.
    pub(crate) fn begin_sessions(&mut self, turn: &mut Turn<'_>) {
        match self {
            Self::Classic(group) => group.begin_sessions(turn),
            Self::Consumer(group) => group.begin_sessions(turn),
        }
    }
}
