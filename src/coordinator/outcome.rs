//! What follows from an event.

use crate::wire::groups::GroupRecord;

use super::classic::{Joined, LeftMember, Synced};
use super::consumer::{ConsumerBeat, Refusal};

/// Whom an answer goes to: a number that the caller gives, and keeps the connection under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Waiter(pub u64);

/// What follows from an event: records, to be appended as one batch and replayed, and answers,
/// which leave when everything appended so far is durable.
#[derive(Debug, PartialEq)]
pub struct Outcome<Record = GroupRecord, Answer = Reply> {
    /// In the order in which they are appended.
    pub records: Vec<Record>,
    /// To whoever asked now, or earlier.
    pub replies: Vec<(Waiter, Answer)>,
}

impl<Record, Answer> Default for Outcome<Record, Answer> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            replies: Vec::new(),
        }
    }
}

impl<Record, Answer> Outcome<Record, Answer> {
    /// Answers `waiter`.
    pub(crate) fn reply(&mut self, waiter: Waiter, reply: impl Into<Answer>) {
        self.replies.push((waiter, reply.into()));
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To a JoinGroup.
    Joined(Box<Joined>),
    /// To a SyncGroup.
    Synced(Synced),
    /// To a Heartbeat.
    Alive(Result<(), Failure>),
    /// To a ConsumerGroupHeartbeat.
    ConsumerBeat(Result<Box<ConsumerBeat>, Refusal>),
    /// To a LeaveGroup: member by member.
    Left(Result<Vec<LeftMember>, Failure>),
    /// To an OffsetCommit: partition by partition, as asked.
    Committed(Vec<Result<(), Failure>>),
    /// To an OffsetDelete: partition by partition, as asked.
    OffsetsDeleted(Result<Vec<Result<(), Failure>>, Failure>),
    /// To one group of a DeleteGroups.
    Deleted(Result<(), Failure>),
}

impl From<Joined> for Reply {
    fn from(joined: Joined) -> Self {
        Self::Joined(Box::new(joined))
    }
}

impl From<Synced> for Reply {
    fn from(synced: Synced) -> Self {
        Self::Synced(synced)
    }
}

/// Why a request about a group is refused; each is a code of Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// -1.
    #[error("the request cannot be understood, in a way that Kafka has no code for")]
    UnknownServerError,
    /// 3.
    #[error("there is no such partition")]
    UnknownTopicOrPartition,
    /// 12.
    #[error("the metadata of the offset is too long")]
    OffsetMetadataTooLarge,
    /// 15.
    #[error("the coordinator is not available")]
    CoordinatorNotAvailable,
    /// 22.
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// 23.
    #[error("the member's protocols do not go with those of the others")]
    InconsistentGroupProtocol,
    /// 24.
    #[error("the group id is not valid")]
    InvalidGroupId,
    /// 25.
    #[error("no such member")]
    UnknownMemberId,
    /// 26.
    #[error("the session timeout is out of bounds")]
    InvalidSessionTimeout,
    /// 27.
    #[error("the group rebalances")]
    RebalanceInProgress,
    /// 42.
    #[error("the request is not valid")]
    InvalidRequest,
    /// 35.
    #[error("members of consumer groups must use a newer version")]
    UnsupportedVersion,
    /// 68.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// 69.
    #[error("no such group")]
    GroupIdNotFound,
    /// 79.
    #[error("the next JoinGroup must carry the member id that this one gets")]
    MemberIdRequired,
    /// 81.
    #[error("the group is full")]
    GroupMaxSizeReached,
    /// 86.
    #[error("the group subscribes to the topic")]
    GroupSubscribedToTopic,
    /// 82.
    #[error("another member has taken over the instance id")]
    FencedInstanceId,
    /// 110.
    #[error("the member must give up all partitions, and join again")]
    FencedMemberEpoch,
    /// 111.
    #[error("another member has the instance id")]
    UnreleasedInstanceId,
    /// 112.
    #[error("no such assignor")]
    UnsupportedAssignor,
    /// 113.
    #[error("the epoch is not the member's")]
    StaleMemberEpoch,
    /// 128.
    #[error("the regular expression is not valid")]
    InvalidRegularExpression,
}
