//! What every state machine over an internal topic is to whoever drives it.

use std::time::Duration;

use crate::model::Timestamp;
use crate::wire::groups::GroupRecord;
use crate::wire::{DecodeError, EncodeError};

use super::Outcome;

/// When an event happens, and what holds then.
#[derive(Debug)]
pub struct Moment<'a, W> {
    /// Monotonic time: for deadlines.
    pub now: Duration,
    /// Wall-clock time: for records.
    pub wall: Timestamp,
    /// Settings and topics.
    pub world: &'a W,
}

impl<W> Clone for Moment<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Moment<'_, W> {}

/// A record of an internal topic.
pub trait LogRecord: std::fmt::Debug + Send + Sized {
    /// Key and value; no value is a tombstone.
    fn to_bytes(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), EncodeError>;

    /// Reads a record from its key and value.
    fn from_bytes(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError>;
}

impl LogRecord for GroupRecord {
    fn to_bytes(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), EncodeError> {
        self.encode()
    }

    fn from_bytes(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
        Self::decode(key, value).map(|(record, _version)| record)
    }
}

/// The state of one partition of an internal topic.
///
/// Its events are methods of their own, which answer with an [`Outcome`]. Whoever drives it
/// appends the records as one batch, has each replayed, and sends the answers once everything
/// that was appended so far is durable. A machine whose records could not be appended is thrown
/// away, and loaded again from the log.
pub trait Machine: std::fmt::Debug + Send + 'static {
    /// A record of the topic.
    type Record: LogRecord;
    /// An answer to a request.
    type Reply: std::fmt::Debug + Send + 'static;
    /// What it is lent with every event.
    type World: Send + Sync + 'static;

    /// Takes in a record that the log held.
    fn load(&mut self, record: Self::Record);

    /// The log was read to its end: deadlines begin, and what no longer holds is put right.
    fn loaded(&mut self, moment: Moment<'_, Self::World>) -> Outcome<Self::Record, Self::Reply>;

    /// Takes in a record of its own that was appended.
    fn replay(&mut self, record: Self::Record);

    /// The next time at which something follows from nothing happening.
    fn next_deadline(&self) -> Option<Duration>;

    /// What follows from one deadline that has passed, if there is one; to be called until there
    /// is none.
    fn pass_time(
        &mut self,
        moment: Moment<'_, Self::World>,
    ) -> Option<Outcome<Self::Record, Self::Reply>>;
}
