//! What all threads of a load know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Existence;
use crate::reliability::beacon::Beacon;
use crate::reliability::ledger::{Ledger, Ticket};

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) ledger: Mutex<Ledger>,
    pub(super) side_topics: Mutex<BTreeMap<String, Existence>>,
    pub(super) complaints: Mutex<Vec<String>>,
    pub(super) beacon: Arc<Beacon>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A producer that panicked has said why; the others' account is still worth reading.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(super) fn complain(&self, what: String) {
        eprintln!("complaint: {what}");
        lock(&self.complaints).push(what);
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
