//! A member of a classic group.

use bytes::Bytes;

use crate::coordinator::Waiter;
use crate::wire::groups::ClassicMember;

/// A protocol that a member offers, with its metadata for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Name, unique within a member.
    pub name: String,
    /// Metadata, which only other members understand.
    pub metadata: Bytes,
}

/// A member of a classic group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// `group.instance.id`: it keeps its place over restarts (KIP-345).
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In order of preference.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// The JoinGroup that waits for the others.
    pub(crate) joining: Option<Waiter>,
    /// The SyncGroup that waits for the leader's.
    pub(crate) syncing: Option<Waiter>,
    /// It never got an answer to a JoinGroup, so a client that gave up on it will not be missed by
    /// anybody else.
    pub(crate) is_new: bool,
}

impl Member {
    /// Whether it offers just these protocols, with this metadata, in this order.
    pub(crate) fn offers(&self, protocols: &[Protocol]) -> bool {
        self.protocols == protocols
    }

    /// Its metadata for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let offered = self.protocols.iter().find(|each| each.name == protocol)?;
        Some(&offered.metadata)
    }

    /// Its choice among `candidates`: the one that it prefers.
    pub(crate) fn vote(&self, candidates: &[&str]) -> Option<&str> {
        let names = self.protocols.iter().map(|each| each.name.as_str());
        names.into_iter().find(|name| candidates.contains(name))
    }

    /// As a record keeps it, for the chosen protocol.
    pub(crate) fn to_record(&self, protocol: &str, assignment: &Bytes) -> ClassicMember {
        ClassicMember {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout_ms,
            session_timeout: self.session_timeout_ms,
            subscription: self.metadata(protocol).cloned().unwrap_or_default(),
            assignment: assignment.clone(),
        }
    }

    /// As a record kept it; the record names the one protocol that was chosen.
    pub(crate) fn from_record(record: ClassicMember, protocol: &str) -> Self {
        // Records before version 1 have none; it was the session timeout then.
        let rebalance_timeout_ms = match record.rebalance_timeout {
            -1 => record.session_timeout,
            timeout => timeout,
        };
        Self {
            id: record.member_id,
            instance_id: record.group_instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout,
            protocols: vec![Protocol {
                name: protocol.to_owned(),
                metadata: record.subscription,
            }],
            assignment: record.assignment,
            joining: None,
            syncing: None,
            is_new: false,
        }
    }
}
