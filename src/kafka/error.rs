//! Native errors as Kafka codes: the one place where a domain error becomes a number.
//!
//! One implementation of [`KafkaCode`] per native error, each a match without a wildcard arm, so
//! that a new variant asks for its code.

use kafka_protocol::ResponseError;

use crate::batch::BatchError;
use crate::broker::configs::{AlterError, DescribeError};
use crate::broker::fetch::FetchError;
use crate::broker::groups::Unavailable;
use crate::broker::metadata::{LookupError, PageError};
use crate::broker::offsets::OffsetError;
use crate::broker::partitions::PartitionError;
use crate::broker::produce::ProduceError;
use crate::broker::topics::{AssignmentError, CreateTopicError, DeleteTopicError, GrowTopicError};
use crate::catalog::CommitError;
use crate::coordinator::Failure;
use crate::storage::{AppendError, ReadError};

/// A native error that a client may be told.
pub(crate) trait KafkaCode {
    /// Its code.
    fn kafka(&self) -> ResponseError;
}

impl KafkaCode for AppendError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
            Self::InvalidProducerEpoch { .. } => ResponseError::InvalidProducerEpoch,
            Self::OutsideTransaction { .. } => ResponseError::InvalidTxnState,
            Self::CoordinatorFenced { .. } => ResponseError::TransactionCoordinatorFenced,
            Self::TooLargeForSegment { .. } => ResponseError::RecordListTooLarge,
            Self::Deleted => ResponseError::UnknownTopicOrPartition,
            Self::Storage(_) => ResponseError::KafkaStorageError,
        }
    }
}

impl KafkaCode for ReadError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
            Self::Corrupt { .. } => ResponseError::CorruptMessage,
            Self::Deleted => ResponseError::UnknownTopicOrPartition,
            Self::Storage(_) => ResponseError::KafkaStorageError,
        }
    }
}

impl KafkaCode for CommitError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Storage(_) => ResponseError::KafkaStorageError,
            Self::Inconsistent(_) | Self::Encode(_) | Self::Build(_) => {
                ResponseError::UnknownServerError
            }
        }
    }
}

impl KafkaCode for LookupError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::InvalidName => ResponseError::InvalidTopicException,
            Self::UnknownName => ResponseError::UnknownTopicOrPartition,
            Self::UnknownId => ResponseError::UnknownTopicId,
        }
    }
}

impl KafkaCode for PageError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::ForeignCursor(_) | Self::NegativeCursor(_) => ResponseError::InvalidRequest,
            Self::Catalog(error) => error.kafka(),
        }
    }
}

impl KafkaCode for AssignmentError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Empty
            | Self::UnknownBroker(_)
            | Self::Repeated(_)
            | Self::PartitionTwice(_)
            | Self::Gaps
            | Self::Count { .. } => ResponseError::InvalidReplicaAssignment,
        }
    }
}

impl KafkaCode for CreateTopicError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::NamedTwice
            | Self::ClusterMetadata
            | Self::AssignmentAndPartitions
            | Self::AssignmentAndReplicationFactor => ResponseError::InvalidRequest,
            Self::Name(_) | Self::Collision { .. } => ResponseError::InvalidTopicException,
            Self::Exists(_) => ResponseError::TopicAlreadyExists,
            Self::Config(_) => ResponseError::InvalidConfig,
            Self::Assignment(error) => error.kafka(),
            Self::Partitions => ResponseError::InvalidPartitions,
            Self::ReplicationFactor | Self::TooFewBrokers(_) => {
                ResponseError::InvalidReplicationFactor
            }
            Self::TooManyPartitions | Self::TooManyRecords => ResponseError::PolicyViolation,
            Self::TimedOut => ResponseError::RequestTimedOut,
            Self::Commit(error) => error.kafka(),
        }
    }
}

impl KafkaCode for DeleteTopicError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Disabled => ResponseError::TopicDeletionDisabled,
            Self::BothNameAndId
            | Self::NeitherNameNorId
            | Self::NamedTwice
            | Self::IdTwice
            | Self::NameOfGivenId => ResponseError::InvalidRequest,
            Self::UnknownName => ResponseError::UnknownTopicOrPartition,
            Self::UnknownId => ResponseError::UnknownTopicId,
            Self::TimedOut => ResponseError::RequestTimedOut,
            Self::Commit(error) => error.kafka(),
        }
    }
}

impl KafkaCode for GrowTopicError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::NamedTwice => ResponseError::InvalidRequest,
            Self::Unknown => ResponseError::UnknownTopicOrPartition,
            Self::Unchanged(_) | Self::NoIncrease { .. } => ResponseError::InvalidPartitions,
            Self::Assignment(error) => error.kafka(),
            Self::TooManyRecords => ResponseError::UnknownServerError,
            Self::TimedOut => ResponseError::RequestTimedOut,
            Self::Commit(error) => error.kafka(),
        }
    }
}

impl KafkaCode for PartitionError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Unknown => ResponseError::UnknownTopicOrPartition,
            Self::FencedLeaderEpoch { .. } => ResponseError::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ResponseError::UnknownLeaderEpoch,
        }
    }
}

impl KafkaCode for FetchError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Partition(error) => error.kafka(),
            Self::UnknownReplica(_) => ResponseError::NotLeaderOrFollower,
            Self::Read(error) => error.kafka(),
        }
    }
}

impl KafkaCode for OffsetError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Partition(error) => error.kafka(),
            Self::Read(error) => error.kafka(),
            Self::Commit(error) => error.kafka(),
        }
    }
}

impl KafkaCode for ProduceError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::Partition(error) => error.kafka(),
            Self::InternalTopic(_) => ResponseError::InvalidTopicException,
            Self::UnknownTransaction => ResponseError::InvalidProducerIdMapping,
            Self::Batch { error, .. } => error.kafka(),
            Self::Append(error) => error.kafka(),
            Self::TimedOut => ResponseError::RequestTimedOut,
        }
    }
}

impl KafkaCode for BatchError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::NoBatch
            | Self::OldMagic(_)
            | Self::MoreThanOneBatch
            | Self::BaseOffset(_)
            | Self::OffsetRange(_)
            | Self::RecordCount(_)
            | Self::CountMismatch { .. }
            | Self::ControlBatch
            | Self::Sequence { .. }
            | Self::Format(_) => ResponseError::InvalidRecord,
            Self::Unframed(_) | Self::UnframedTail(_) | Self::Checksum { .. } => {
                ResponseError::CorruptMessage
            }
            Self::TooLarge { .. } | Self::DecompressedTooLarge(_) => ResponseError::MessageTooLarge,
            Self::Codec(_) | Self::Undecodable(_) | Self::OffsetGaps | Self::Compress(_) => {
                ResponseError::UnknownServerError
            }
            Self::Records(rejections) if rejections.is_timestamp() => {
                ResponseError::InvalidTimestamp
            }
            Self::Records(_) => ResponseError::InvalidRecord,
        }
    }
}

impl KafkaCode for DescribeError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::UnknownType(_) | Self::InvalidName(_) => ResponseError::InvalidRequest,
            Self::InvalidTopicName(_) => ResponseError::InvalidTopicException,
            Self::UnknownTopic => ResponseError::UnknownTopicOrPartition,
        }
    }
}

impl KafkaCode for AlterError {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::InvalidRequest(_) => ResponseError::InvalidRequest,
            Self::InvalidConfig(_) => ResponseError::InvalidConfig,
            Self::InvalidTopicName(_) => ResponseError::InvalidTopicException,
            Self::UnknownTopic(_) => ResponseError::UnknownTopicOrPartition,
            Self::UnknownOperation => ResponseError::UnknownServerError,
            Self::Commit(error) => error.kafka(),
        }
    }
}

impl KafkaCode for Unavailable {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::NotCoordinator => ResponseError::NotCoordinator,
            Self::NotAvailable => ResponseError::CoordinatorNotAvailable,
            Self::Unwritable(_) => ResponseError::UnknownServerError,
        }
    }
}

impl KafkaCode for Failure {
    fn kafka(&self) -> ResponseError {
        match self {
            Self::UnknownServerError => ResponseError::UnknownServerError,
            Self::UnknownTopicOrPartition => ResponseError::UnknownTopicOrPartition,
            Self::OffsetMetadataTooLarge => ResponseError::OffsetMetadataTooLarge,
            Self::CoordinatorNotAvailable => ResponseError::CoordinatorNotAvailable,
            Self::IllegalGeneration => ResponseError::IllegalGeneration,
            Self::InconsistentGroupProtocol => ResponseError::InconsistentGroupProtocol,
            Self::InvalidGroupId => ResponseError::InvalidGroupId,
            Self::UnknownMemberId => ResponseError::UnknownMemberId,
            Self::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
            Self::RebalanceInProgress => ResponseError::RebalanceInProgress,
            Self::UnsupportedVersion => ResponseError::UnsupportedVersion,
            Self::NonEmptyGroup => ResponseError::NonEmptyGroup,
            Self::GroupIdNotFound => ResponseError::GroupIdNotFound,
            Self::MemberIdRequired => ResponseError::MemberIdRequired,
            Self::GroupMaxSizeReached => ResponseError::GroupMaxSizeReached,
            Self::GroupSubscribedToTopic => ResponseError::GroupSubscribedToTopic,
            Self::FencedInstanceId => ResponseError::FencedInstanceId,
            Self::InvalidRequest => ResponseError::InvalidRequest,
            Self::FencedMemberEpoch => ResponseError::FencedMemberEpoch,
            Self::UnreleasedInstanceId => ResponseError::UnreleasedInstanceId,
            Self::UnsupportedAssignor => ResponseError::UnsupportedAssignor,
            Self::StaleMemberEpoch => ResponseError::StaleMemberEpoch,
            Self::InvalidRegularExpression => ResponseError::InvalidRegularExpression,
        }
    }
}
