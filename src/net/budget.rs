//! The byte budget of requests: bytes are taken as they arrive and given back when the last
//! reference to them goes.
//!
//! A socket reads only while the budget is above zero, so it may end below zero by what a few
//! sockets read at once. One request at a time may go on while there is nothing left: without
//! that, half-received requests could wait for each other until their deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The bytes that all requests of one broker share.
#[derive(Debug)]
pub(super) struct Budget {
    total: i64,
    left: AtomicI64,
    /// Those who wait for more. Counted before they look at what is left, and looked at after more
    /// is left, both in one order for all threads: nobody waits who is not seen.
    waiting: AtomicUsize,
    freed: Notify,
    overdraft: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        let total = i64::try_from(bytes).unwrap_or(i64::MAX);
        Arc::new(Self {
            total,
            left: AtomicI64::new(total),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            overdraft: Arc::new(Semaphore::new(1)),
        })
    }

    /// A lease of nothing, yet.
    pub(super) fn lease(self: &Arc<Self>) -> Lease {
        Lease {
            budget: Arc::clone(self),
            bytes: 0,
            overdraft: None,
        }
    }

    /// Whether anything may be taken.
    pub(super) fn has_some(&self) -> bool {
        self.holds(1)
    }

    /// Waits until anything may be taken, without overdrawing.
    pub(super) async fn wait_for_some(&self) {
        if self.has_some() {
            return;
        }
        let _waiting = Waiting::begin(self);
        while !self.has_some() {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if !self.has_some() {
                freed.await;
            }
        }
    }

    pub(super) fn holds(&self, bytes: i64) -> bool {
        self.left.load(Ordering::SeqCst) >= bytes.min(self.total)
    }

    fn give_back(&self, bytes: i64) {
        self.left.fetch_add(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

/// One of those who wait for more.
struct Waiting<'a>(&'a Budget);

impl<'a> Waiting<'a> {
    fn begin(budget: &'a Budget) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes that one request has taken; dropping it gives them back.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: i64,
    overdraft: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// Waits until `bytes` more may be taken (all of them, where there are fewer), or until this
    /// lease may overdraw. Takes nothing.
    pub(super) async fn wait_for(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.overdraft.is_some() || self.budget.holds(bytes) {
            return;
        }
        let _waiting = Waiting::begin(&self.budget);
        while self.overdraft.is_none() && !self.budget.holds(bytes) {
            let mut freed = std::pin::pin!(self.budget.freed.notified());
            freed.as_mut().enable();
            if self.budget.holds(bytes) {
                break;
            }
            tokio::select! {
                biased;
                () = freed => {}
                permit = Arc::clone(&self.budget.overdraft).acquire_owned() => {
                    self.overdraft = permit.ok();
                }
            }
        }
    }

    /// Takes bytes that are there already.
    pub(super) fn take(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.budget.left.fetch_sub(bytes, Ordering::SeqCst);
        self.bytes += bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn bytes_come_back_when_the_lease_goes() {
        let budget = Budget::new(10);
        let mut lease = budget.lease();
        lease.take(25);
        assert!(!budget.holds(1));
        drop(lease);
        assert!(budget.holds(10));
    }

    #[test]
    fn one_lease_may_overdraw_and_the_others_wait_for_it() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.lease(), budget.lease());
        first.take(10);
        assert!(first.wait_for(1).now_or_never().is_some(), "it overdraws");
        first.take(5);
        assert!(second.wait_for(1).now_or_never().is_none());
        drop(first);
        assert!(second.wait_for(1).now_or_never().is_some());
    }

    #[test]
    fn more_than_the_whole_budget_waits_for_all_of_it() {
        let budget = Budget::new(10);
        let mut lease = budget.lease();
        assert!(lease.wait_for(1000).now_or_never().is_some());
        assert!(lease.overdraft.is_none());
    }
}
