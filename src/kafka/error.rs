//! Native errors as Kafka codes: the one place where a domain error becomes a number.
//!
//! One implementation of [`KafkaCode`] per native error, each a match without a wildcard arm, so
//! that a new variant asks for its code.

use kafka_protocol::ResponseError;

use crate::catalog::CommitError;
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
