//! Deadlines of a state machine: it names them, and whoever drives it tells the time.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// Deadlines by name, in monotonic time. Setting one again moves it.
#[derive(Clone, Debug)]
pub(crate) struct Timers<K> {
    by_key: HashMap<K, Duration>,
    by_time: BTreeSet<(Duration, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Timers<K> {
    /// Sets the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, at: Duration) {
        self.cancel(&key);
        self.by_time.insert((at, key.clone()));
        self.by_key.insert(key, at);
    }

    /// Drops the deadline of `key`; whether there was one.
    pub(crate) fn cancel(&mut self, key: &K) -> bool {
        match self.by_key.remove(key) {
            Some(at) => self.by_time.remove(&(at, key.clone())),
            None => false,
        }
    }

    /// Whether `key` has a deadline.
    pub(crate) fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the first deadline that has passed by `now`.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<K> {
        let due = self.by_time.first().is_some_and(|(at, _)| *at <= now);
        let (_, key) = due.then(|| self.by_time.pop_first()).flatten()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_due_in_order_and_once() {
        let at = Duration::from_millis;
        let mut timers = Timers::default();
        timers.set("late", at(30));
        timers.set("moved", at(10));
        timers.set("moved", at(20));
        timers.set("gone", at(5));
        assert!(timers.cancel(&"gone") && !timers.cancel(&"gone"));
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.pop_due(at(19)), None);
        assert_eq!(timers.pop_due(at(40)), Some("moved"));
        assert_eq!(timers.pop_due(at(40)), Some("late"));
        assert_eq!((timers.pop_due(at(40)), timers.next()), (None, None));
    }
}
