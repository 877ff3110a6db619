//! Creating, growing and deleting topics.
//!
//! Decisions are made from the newest image, under one lock, and written as one atomic batch of
//! the metadata log. A partition is attached to the store before the image shows it, and detached
//! after the image has forgotten it, so that whoever finds a partition in an image finds its log.
//!
//! The refusals and their texts are those of Kafka 4.1.2's controller
//! (`ControllerApis`, `ReplicationControlManager`).

mod assignment;
mod attach;
mod create;
mod delete;
mod grow;
mod internal;

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

pub use assignment::AssignmentError;
pub use create::{CreateTopicError, CreatedTopic, NewTopic, TopicOutcome};
pub use delete::{DeleteTopicError, DeletedTopic, TopicReference};
pub use grow::{GrowTopic, GrowTopicError};

use crate::broker::Broker;
use crate::catalog::{CommitError, Image};
use crate::model::{Offset, TopicId};

/// The right to change topics: one at a time, so that image and store change together.
#[derive(Debug)]
pub struct TopicWriter {
    ids: Mutex<fastrand::Rng>,
}

impl TopicWriter {
    /// `seed` is for the ids of new topics.
    pub fn new(seed: u64) -> Self {
        Self {
            ids: Mutex::new(fastrand::Rng::with_seed(seed)),
        }
    }

    /// Waits for the turn. Taken before the catalog's own lock, never after it.
    pub(in crate::broker) fn lock(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.ids.lock()
    }
}

/// A random id that no topic has. As in Kafka, it is none of the reserved ones and its text does
/// not begin with `-`, which command lines would take for a flag (`Uuid.randomUuid`).
fn new_topic_id(random: &mut fastrand::Rng, image: &Image) -> TopicId {
    loop {
        let bits = random.u128(..);
        let id = TopicId(uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid());
        let reserved = id.0 == Uuid::nil() || id == TopicId::METADATA;
        if !reserved && !id.to_base64().starts_with('-') && image.topic(id).is_none() {
            return id;
        }
    }
}

/// Why an answer to a committed change cannot be given.
#[derive(Debug)]
enum NotDurable {
    /// The time that the client gave is over; the change may still become durable.
    TimedOut,
    /// It never will be.
    Failed(CommitError),
}

impl Broker {
    /// Waits until the metadata log below `offset` is durable, at most for `timeout`.
    async fn durable_within(&self, offset: Offset, timeout: Duration) -> Result<(), NotDurable> {
        match tokio::time::timeout(timeout, self.catalog.durable(offset)).await {
            Ok(durable) => durable.map_err(NotDurable::Failed),
            Err(_elapsed) => Err(NotDurable::TimedOut),
        }
    }
}
