//! Who owns what, as the members of a group say themselves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::member::Assigned;

/// What everybody knows of everybody.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// By the member's number; none while it is joining.
    pub(super) members: HashMap<usize, Option<Assigned>>,
    pub(super) failures: Vec<String>,
}

/// A generation in which every partition has one owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// When the last JoinGroup of it was sent.
    pub(super) joined: Instant,
    /// When the last SyncGroup was answered.
    pub(super) synced: Instant,
}

impl Settled {
    /// From the last JoinGroup to the last answer to a SyncGroup.
    pub(super) fn took(self) -> Duration {
        self.synced.saturating_duration_since(self.joined)
    }
}

impl Board {
    /// The generation of all members, if there is one, and each of the partitions has one owner.
    pub(super) fn settled(&self, partitions: u8) -> Option<Settled> {
        let members: Vec<&Assigned> = self.members.values().flatten().collect();
        let generation = members.first()?.generation;
        let all_in = members.len() == self.members.len()
            && members.iter().all(|member| member.generation == generation);
        let mut owned: Vec<u8> = members
            .iter()
            .flat_map(|member| member.partitions.iter().copied())
            .collect();
        owned.sort_unstable();
        if !all_in || owned != (0..partitions).collect::<Vec<_>>() {
            return None;
        }
        Some(Settled {
            joined: members.iter().map(|member| member.join_sent).max()?,
            synced: members.iter().map(|member| member.synced).max()?,
        })
    }
}
