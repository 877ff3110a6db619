//! What a ConsumerGroupHeartbeat asks, and what it is answered.

use super::member::{JOINING, LEAVING, LEAVING_FOR_A_WHILE};
use super::{Assignor, Partitions};
use crate::coordinator::Failure;

/// A ConsumerGroupHeartbeat. What is not there has not changed since the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    /// Empty for one that has none yet (before KIP-1082).
    pub member_id: String,
    /// The epoch that it has got to: 0 joins, -1 leaves, -2 leaves for a while.
    pub epoch: i32,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Rack.
    pub rack_id: Option<String>,
    /// Milliseconds that it may take to give up partitions.
    pub rebalance_timeout_ms: Option<i32>,
    /// Topics that it names.
    pub topics: Option<Vec<String>>,
    /// Topics that it describes; empty for none any more.
    pub expression: Option<String>,
    /// Assignor that it wants.
    pub assignor: Option<String>,
    /// Partitions that it has.
    pub owned: Option<Partitions>,
    /// Client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
}

/// The answer to a ConsumerGroupHeartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerBeat {
    /// Id of the member.
    pub member_id: String,
    /// The epoch that its next one must name.
    pub epoch: i32,
    /// Milliseconds until then; 0 for one that has left.
    pub heartbeat_interval_ms: i32,
    /// What it may read, if that has changed, or it asked.
    pub assignment: Option<Partitions>,
}

/// Why a ConsumerGroupHeartbeat is refused, in words that clients show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The code.
    pub failure: Failure,
    /// The words.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self {
            failure,
            message: message.into(),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure, failure.to_string())
    }
}

impl ConsumerHeartbeat {
    /// What can be said against it without knowing the group
    /// (`GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid`). From version 1 on
    /// members choose their ids.
    pub fn check(&self, version: i16, group: &str, assignors: &[Assignor]) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::new(Failure::InvalidRequest, message));
        // As Java trims: control characters go with the spaces.
        let is_blank = |text: &str| text.chars().all(|each| each <= ' ');
        let is_empty = |text: &Option<String>| text.as_deref().is_some_and(is_blank);
        let has_id = version >= 1 || self.epoch > 0 || self.epoch == LEAVING;
        if has_id && is_blank(&self.member_id) {
            return invalid("MemberId can't be empty.");
        }
        if is_blank(group) {
            return invalid("GroupId can't be empty.");
        }
        if is_empty(&self.instance_id) {
            return invalid("InstanceId can't be empty.");
        }
        if is_empty(&self.rack_id) {
            return invalid("RackId can't be empty.");
        }
        match self.epoch {
            JOINING if self.rebalance_timeout_ms.is_none() => {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            JOINING if !self.owned.as_ref().is_some_and(Partitions::is_empty) => {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            JOINING if self.topics.is_none() && self.expression.is_none() => {
                return invalid(
                    "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
                );
            }
            LEAVING_FOR_A_WHILE if self.instance_id.is_none() => {
                return invalid("InstanceId can't be null.");
            }
            epoch if epoch < LEAVING_FOR_A_WHILE => return invalid("MemberEpoch is invalid."),
            _ => {}
        }
        match &self.assignor {
            Some(name) if !assignors.iter().any(|each| each.name() == name) => {
                let names: Vec<&str> = assignors.iter().map(|each| each.name()).collect();
                let names = names.join(", ");
                let message = format!(
                    "ServerAssignor {name} is not supported. Supported assignors: {names}."
                );
                Err(Refusal::new(Failure::UnsupportedAssignor, message))
            }
            _ => Ok(()),
        }
    }

    /// Whether it says all that a member has to say, which asks for all there is in turn.
    pub(super) fn is_full(&self) -> bool {
        let subscribes = self.topics.is_some() || self.expression.is_some();
        self.rebalance_timeout_ms.is_some() && subscribes && self.owned.is_some()
    }
}
