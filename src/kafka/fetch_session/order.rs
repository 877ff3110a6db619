//! The order of service within a session.

use std::collections::{BTreeMap, HashMap};

use super::partition::{PartitionKey, Wanted};

/// Partitions in order of service: what had data goes to the back, so that a client that asks for
/// little at a time gets to see all of its partitions.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    places: HashMap<PartitionKey, u64>,
    partitions: BTreeMap<u64, (PartitionKey, Cached)>,
    next: u64,
}

/// What a session remembers of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cached {
    /// As the client wants it.
    pub(super) wanted: Wanted,
    /// As sent last; -1 after an error, so that recovery from it is sent too.
    pub(super) high_watermark: i64,
    /// As sent last.
    pub(super) log_start: i64,
}

impl Ordered {
    /// None yet, with room for so many without growing.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            places: HashMap::with_capacity(count),
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Each partition as it is wanted, the first to be served first.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&PartitionKey, Wanted)> {
        let all = self.partitions.values();
        all.map(|(key, cached)| (key, cached.wanted))
    }

    /// Adds a partition that is not there, at the back.
    pub(super) fn push(&mut self, key: PartitionKey, cached: Cached) {
        self.places.insert(key.clone(), self.next);
        self.partitions.insert(self.next, (key, cached));
        self.next += 1;
    }

    pub(super) fn get_mut(&mut self, key: &PartitionKey) -> Option<&mut Cached> {
        let place = self.places.get(key)?;
        self.partitions.get_mut(place).map(|(_, cached)| cached)
    }

    pub(super) fn remove(&mut self, key: &PartitionKey) -> Option<Cached> {
        let place = self.places.remove(key)?;
        self.partitions.remove(&place).map(|(_, cached)| cached)
    }

    pub(super) fn move_to_back(&mut self, key: &PartitionKey) {
        if self.places.len() > 1
            && let Some(cached) = self.remove(key)
        {
            self.push(key.clone(), cached);
        }
    }
}
