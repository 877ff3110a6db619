//! Classic groups: members join, one of them assigns, all of them sync (Kafka's
//! `GroupMetadataManager.classicGroup…`, `ClassicGroup`).
//!
//! | state | members | leaves it when |
//! | --- | --- | --- |
//! | Empty | none | somebody joins |
//! | PreparingRebalance | are joining | all have joined, or the time is over |
//! | CompletingRebalance | wait for the leader's assignments | they are there; somebody joins anew, leaves, or is gone |
//! | Stable | have their assignments | somebody joins, leaves, or is gone |
//! | Dead | none | never: the group is deleted |

mod admin;
mod conversion;
mod group;
mod member;
mod rebalance;
mod requests;

use bytes::Bytes;

pub(crate) use group::ClassicGroup;
pub use member::Protocol;
pub(crate) use requests::generate_id;

use super::Failure;

/// A JoinGroup.
#[derive(Clone, Debug)]
pub struct Join {
    /// Empty for one that has none yet.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Address of the client.
    pub client_host: String,
    /// Milliseconds without a heartbeat after which the member is gone.
    pub session_timeout_ms: i32,
    /// Milliseconds that the member may take to join a rebalance.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, `sr`, …
    pub protocol_type: String,
    /// What it offers, in order of preference.
    pub protocols: Vec<Protocol>,
    /// Whether a dynamic member must come back with the id that it was given (version 4 on).
    pub requires_known_member_id: bool,
    /// Whether a leader can be told to keep its assignment (version 9 on).
    pub supports_skipping_assignment: bool,
}

/// The answer to a JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Why not, if so.
    pub failure: Option<Failure>,
    /// Generation, or -1.
    pub generation: i32,
    /// Type of the protocols.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// Member id of the leader; empty on failure.
    pub leader: String,
    /// The leader must not assign: the assignments that there are go on.
    pub skip_assignment: bool,
    /// Id of the member.
    pub member_id: String,
    /// All members with their metadata, for the leader.
    pub members: Vec<JoinedMember>,
}

impl Joined {
    pub(crate) fn failed(member_id: &str, failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A member, as the leader is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A SyncGroup.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Generation that the member joined.
    pub generation: i32,
    /// Type of its protocols, from version 5 on.
    pub protocol_type: Option<String>,
    /// Protocol that it was told, from version 5 on.
    pub protocol: Option<String>,
    /// Assignments by member id, from the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to a SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Why not, if so.
    pub failure: Option<Failure>,
    /// Type of the protocols.
    pub protocol_type: Option<String>,
    /// The protocol.
    pub protocol: Option<String>,
    /// What the member is assigned.
    pub assignment: Bytes,
}

impl Synced {
    pub(crate) fn failed(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}

/// A member that is to leave, as LeaveGroup names it.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Member id; may be empty where the instance id is given.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
}

/// What became of a member that was to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As it was named.
    pub member_id: String,
    /// As it was named.
    pub instance_id: Option<String>,
    /// Why not, if so.
    pub failure: Option<Failure>,
}
