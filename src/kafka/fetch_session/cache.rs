//! Which sessions there are, and who makes way for a new one.

use std::collections::hash_map::{self, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::session::Session;

/// How long a session is safe from a larger one, and how long an unused one is kept against any
/// other (`ServerConfigs.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// The sessions by id: never more than there are slots, and not with more partitions over all of
/// them than may be remembered.
#[derive(Debug)]
pub(super) struct Cache {
    slots: usize,
    partitions_max: usize,
    entries: HashMap<i32, Entry>,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<Session>>,
    created: Duration,
    last_used: Duration,
    /// Partitions at the last use.
    size: usize,
    /// Whether it was old enough at its last use to make way for a larger one.
    evictable: bool,
}

impl Cache {
    /// Room for `slots` sessions, of `partitions_max` partitions together; `seed` is for the ids.
    pub(super) fn new(slots: usize, partitions_max: usize, seed: u64) -> Self {
        Self {
            slots,
            partitions_max,
            entries: HashMap::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Number of sessions.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The session of that id.
    pub(super) fn get(&self, id: i32) -> Option<Arc<Mutex<Session>>> {
        let entry = self.entries.get(&id)?;
        Some(Arc::clone(&entry.session))
    }

    /// Ends the session of that id, if there is one.
    pub(super) fn close(&mut self, id: i32) {
        self.entries.remove(&id);
    }

    /// Notes that a session is used, and how many partitions it has now; whether there is room for
    /// them. If there is none, the caller has to close it under the same lock.
    #[must_use]
    pub(super) fn note_use(&mut self, id: i32, size: usize, now: Duration) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return false;
        };
        let grows = size > entry.size;
        entry.last_used = now;
        entry.size = size;
        entry.evictable = now.saturating_sub(entry.created) > EVICTION_AGE;
        !grows || self.partitions() <= self.partitions_max
    }

    /// Makes room for one more session, of `size` partitions; false if there can be none.
    #[must_use]
    pub(super) fn make_room(&mut self, size: usize, now: Duration) -> bool {
        while self.entries.len() >= self.slots || self.partitions() + size > self.partitions_max {
            if !self.evict(size, now) {
                return false;
            }
        }
        true
    }

    /// Takes in a session for which there is room; its id.
    pub(super) fn add(&mut self, session: Session, now: Duration) -> i32 {
        let entry = Entry {
            size: session.len(),
            session: Arc::new(Mutex::new(session)),
            created: now,
            last_used: now,
            evictable: false,
        };
        loop {
            let id = self.random.i32(1..=i32::MAX);
            if let hash_map::Entry::Vacant(unused) = self.entries.entry(id) {
                unused.insert(entry);
                return id;
            }
        }
    }

    /// Partitions of all sessions, as of their last use.
    fn partitions(&self) -> usize {
        self.entries.values().map(|entry| entry.size).sum()
    }

    /// Makes room for a session of `size` partitions: the one unused for longest goes if it is
    /// stale, else the smallest that is old enough, if it is smaller than the new one.
    ///
    /// Looks at every entry; it runs only when all slots are taken and a client wants another.
    fn evict(&mut self, size: usize, now: Duration) -> bool {
        let oldest = self
            .entries
            .iter()
            .min_by_key(|&(&id, entry)| (entry.last_used, id));
        let stale = oldest
            .filter(|(_, entry)| now.saturating_sub(entry.last_used) > EVICTION_AGE)
            .map(|(&id, _)| id);
        let evicted = stale.or_else(|| {
            let evictable = self.entries.iter().filter(|(_, entry)| entry.evictable);
            let smallest = evictable.map(|(&id, entry)| (entry.size, id)).min();
            smallest
                .filter(|&(smallest, _)| smallest < size)
                .map(|(_, id)| id)
        });
        evicted.and_then(|id| self.entries.remove(&id)).is_some()
    }
}
