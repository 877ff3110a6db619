//! Where the broker is, for everybody that outlives one: it goes, and comes again elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;

/// Shared by all threads that talk to one broker over its lives.
#[derive(Debug, Default)]
pub struct Beacon {
    place: Mutex<Place>,
    changed: Condvar,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Place {
    /// None while no broker runs.
    address: Option<String>,
    /// The broker's number: it came as the first, the second, and so on.
    came: u64,
    since: Option<Instant>,
    /// Whether it is gone: its clients take no answer any more.
    gone: Arc<AtomicBool>,
}

impl Beacon {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everybody is to stop after what they are at.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits for a broker, and connects; `None` when it is over. With the number of its coming. The
    /// client takes no answer that is read when the broker is said to be gone.
    pub fn connect(&self) -> Option<(Client, u64)> {
        loop {
            let mut place = self.place();
            while place.address.is_none() && !self.is_over() {
                let waited = self.changed.wait_timeout(place, Duration::from_millis(20));
                place = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if self.is_over() {
                return None;
            }
            let (address, came) = (place.address.clone().unwrap_or_default(), place.came);
            let gone = Arc::clone(&place.gone);
            drop(place);
            match Client::connect(&address) {
                Ok(mut client) => {
                    client.hang_up_with(gone);
                    return Some((client, came));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Whether the broker is there that came as the `came`th, and not its successor: whoever was
    /// held up for so long must not count what it heard from the one that is gone.
    #[must_use]
    pub fn is_up(&self, came: u64) -> bool {
        let place = self.place();
        place.address.is_some() && place.came == came
    }

    /// The number of the broker that came last, and when it was said to be there.
    #[must_use]
    pub fn latest(&self) -> Option<(u64, Instant)> {
        let place = self.place();
        place.since.map(|since| (place.came, since))
    }

    /// A broker came.
    pub fn broker_at(&self, address: &str) {
        let mut place = self.place();
        *place = Place {
            address: Some(address.to_owned()),
            came: place.came + 1,
            since: Some(Instant::now()),
            gone: Arc::default(),
        };
        drop(place);
        self.changed.notify_all();
    }

    /// It is gone, or about to go: answers that are read from now on count for nothing. It is said
    /// before a power cut and not after it: a broker outlives the power of its disk for a moment,
    /// and what it answers then no client of a machine without power would have heard.
    pub fn broker_gone(&self) {
        let mut place = self.place();
        place.address = None;
        place.gone.store(true, Ordering::SeqCst);
    }

    /// Everybody is to stop after what they are at.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_came_again_is_not_the_one_that_went() {
        let beacon = Beacon::default();
        assert!(beacon.latest().is_none());
        beacon.broker_at("127.0.0.1:1");
        assert!(beacon.is_up(1));
        beacon.broker_gone();
        assert!(!beacon.is_up(1));
        beacon.broker_at("127.0.0.1:2");
        assert!(beacon.is_up(2) && !beacon.is_up(1));
        assert_eq!(beacon.latest().map(|(came, _)| came), Some(2));
        beacon.end();
        assert!(beacon.connect().is_none());
    }
}
