//! Waking those who wait for a partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Who is told when a partition changes.
#[derive(Debug, Default)]
pub(in crate::storage) struct Watch {
    /// For those who wait for one offset to be committed.
    pub(in crate::storage) changed: Notify,
    /// In the order in which they came.
    subscribers: Mutex<BTreeMap<u64, Arc<Notify>>>,
    /// Their number, so that a change that nobody waits for takes no lock.
    count: AtomicUsize,
    next: AtomicU64,
}

impl Watch {
    /// Wakes everybody. A subscriber that is not waiting just now finds the permit later.
    pub(in crate::storage) fn wake(&self) {
        self.changed.notify_waiters();
        if self.count.load(Ordering::SeqCst) > 0 {
            for waiter in self.subscribers.lock().values() {
                waiter.notify_one();
            }
        }
    }

    pub(in crate::storage) fn subscribe(self: Arc<Self>, waiter: &Arc<Notify>) -> Subscription {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut subscribers = self.subscribers.lock();
        subscribers.insert(number, waiter.clone());
        self.count.store(subscribers.len(), Ordering::SeqCst);
        drop(subscribers);
        Subscription {
            watch: self,
            number,
        }
    }
}

/// Ends a [`Partition::subscribe`](crate::storage::Partition::subscribe) when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    watch: Arc<Watch>,
    number: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut subscribers = self.watch.subscribers.lock();
        subscribers.remove(&self.number);
        self.watch.count.store(subscribers.len(), Ordering::SeqCst);
    }
}
