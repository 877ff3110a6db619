//! What all threads of a load know.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Existence;
use crate::reliability::client::Client;
use crate::reliability::ledger::{Ledger, Ticket};

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) ledger: Mutex<Ledger>,
    pub(super) side_topics: Mutex<BTreeMap<String, Existence>>,
    pub(super) complaints: Mutex<Vec<String>>,
    /// The broker's address while it runs, and a number for each time that it came.
    broker: Mutex<(Option<String>, u64)>,
    changed: Condvar,
    over: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A producer that panicked has said why; the others' account is still worth reading.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(super) fn complain(&self, what: String) {
        eprintln!("complaint: {what}");
        lock(&self.complaints).push(what);
    }

    /// Waits for a broker, and connects; `None` when it is over. With the number of its coming.
    pub(super) fn connect(&self) -> Option<(Client, u64)> {
        loop {
            let mut broker = lock(&self.broker);
            while broker.0.is_none() && !self.is_over() {
                broker = self
                    .changed
                    .wait_timeout(broker, Duration::from_millis(20))
                    .map_or_else(|poisoned| poisoned.into_inner().0, |(broker, _)| broker);
            }
            if self.is_over() {
                return None;
            }
            let (address, came) = (broker.0.clone().unwrap_or_default(), broker.1);
            drop(broker);
            match Client::connect(&address) {
                Ok(client) => return Some((client, came)),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Whether the broker is there that came as the `came`th, and not its successor: whoever was
    /// held up for so long must not count what it heard from the one that is gone.
    pub(super) fn is_up(&self, came: u64) -> bool {
        let broker = lock(&self.broker);
        broker.0.is_some() && broker.1 == came
    }

    /// A broker came.
    pub(super) fn broker_at(&self, address: &str) {
        let mut broker = lock(&self.broker);
        *broker = (Some(address.to_owned()), broker.1 + 1);
        drop(broker);
        self.changed.notify_all();
    }

    /// It is gone, or about to go.
    pub(super) fn broker_gone(&self) {
        lock(&self.broker).0 = None;
    }

    /// Everybody is to stop after what they are at.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Notes what a batch was answered.
    pub(super) fn note(&self, ticket: &Ticket, offset: i64) {
        let noted = lock(&self.ledger).answer(ticket, offset);
        if let Err(reason) = noted {
            self.complain(reason);
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
