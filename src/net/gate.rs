//! Who may connect: counts, and the pace of new connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
use super::limits::Limits;

/// What all listeners of one broker share: limits, the byte budget, the connections there are.
#[derive(Debug)]
pub struct Gate {
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    /// The limits of connections among them, which may change ([`Gate::adjust`]).
    connections: ArcSwap<Limits>,
    slots: Arc<Semaphore>,
    /// Slots to be withdrawn when they come free, since the limit was lowered below what is taken.
    surplus: Mutex<usize>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    next_id: AtomicU64,
    next_start: Mutex<Instant>,
}

/// The right to be connected; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
    /// Number of the connection.
    pub(super) id: u64,
    _slot: OwnedSemaphorePermit,
}

impl Gate {
    /// A gate with nobody inside.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(limits.request_bytes_max),
            slots: Arc::new(Semaphore::new(
                limits.connections_max.min(Semaphore::MAX_PERMITS),
            )),
            surplus: Mutex::new(0),
            by_address: Mutex::default(),
            connections: ArcSwap::from_pointee(limits.clone()),
            next_id: AtomicU64::new(0),
            next_start: Mutex::new(Instant::now()),
            limits,
        })
    }

    /// Takes new limits of connections: their number, that of one address, and their pace. Who is
    /// connected stays. The other limits are those of the start.
    pub fn adjust(&self, limits: Limits) {
        let slots = |limits: &Limits| limits.connections_max.min(Semaphore::MAX_PERMITS);
        let mut surplus = self.surplus.lock();
        let new = slots(&limits);
        let old = slots(&self.connections.swap(Arc::new(limits)));
        if new > old {
            let withdrawn = (*surplus).min(new - old);
            *surplus -= withdrawn;
            self.slots.add_permits(new - old - withdrawn);
        } else {
            let free = self.slots.forget_permits(old - new);
            *surplus += old - new - free;
        }
    }

    /// Waits until one more connection may be accepted: Kafka too leaves the rest in the queue of
    /// the system (`ConnectionQuotas.waitForConnectionSlot`).
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let slot = loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            let mut surplus = self.surplus.lock();
            if *surplus == 0 {
                break slot;
            }
            *surplus -= 1;
            slot.forget();
        };
        let start = self.reserve_start();
        // A timer would wait for the next millisecond even if there is nothing to wait for.
        if start > Instant::now() {
            tokio::time::sleep_until(start).await;
        }
        Some(slot)
    }

    /// When the next connection may begin, so that no second has more than its share.
    fn reserve_start(&self) -> Instant {
        let now = Instant::now();
        let interval =
            Duration::from_secs(1) / self.connections.load().connections_per_second_max.max(1);
        // What was not used in the last second may be caught up.
        let earliest = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let mut next = self.next_start.lock();
        let start = (*next).max(earliest);
        *next = start + interval;
        start.max(now)
    }

    /// Lets a peer in; `None` if its address has its share of connections already.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        slot: OwnedSemaphorePermit,
    ) -> Option<Permit> {
        let address = address.to_canonical();
        let limits = self.connections.load();
        let max = limits.connections_per_ip_overrides.get(&address);
        let max = max.copied().unwrap_or(limits.connections_per_ip_max);
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(address).or_default();
        if *count >= max {
            if *count == 0 {
                by_address.remove(&address);
            }
            return None;
        }
        *count += 1;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Some(Permit {
            gate: Arc::clone(self),
            address,
            id,
            _slot: slot,
        })
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.by_address.lock().values().sum()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_address = self.gate.by_address.lock();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_address_gets_its_share_and_no_more() {
        let gate = Gate::new(Limits {
            connections_per_ip_max: 1,
            ..Limits::default()
        });
        let first = gate.admit(ADDRESS, gate.slot().await.unwrap()).unwrap();
        assert!(gate.admit(ADDRESS, gate.slot().await.unwrap()).is_none());
        assert_eq!(gate.connections(), 1);
        drop(first);
        assert!(gate.admit(ADDRESS, gate.slot().await.unwrap()).is_some());
    }

    #[tokio::test]
    async fn an_override_goes_before_the_common_share() {
        let gate = Gate::new(Limits {
            connections_per_ip_overrides: HashMap::from([(ADDRESS, 0)]),
            ..Limits::default()
        });
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert!(gate.admit(mapped, gate.slot().await.unwrap()).is_none());
        assert_eq!(gate.connections(), 0);
    }

    #[tokio::test]
    async fn new_connections_keep_the_pace() {
        let gate = Gate::new(Limits {
            connections_per_second_max: 10,
            ..Limits::default()
        });
        let start = Instant::now();
        let mut last = start;
        for _ in 0..30 {
            last = gate.reserve_start();
        }
        assert!(
            last > start + Duration::from_millis(1700),
            "{:?}",
            last - start
        );
        assert!(
            last < start + Duration::from_millis(3000),
            "{:?}",
            last - start
        );
    }

    #[tokio::test]
    async fn limits_of_connections_change_while_some_are_there() {
        let limits = |max| Limits {
            connections_max: max,
            ..Limits::default()
        };
        let address = IpAddr::from([127, 0, 0, 1]);
        let gate = Gate::new(limits(2));
        let first = gate
            .slot()
            .await
            .and_then(|slot| gate.admit(address, slot))
            .unwrap();
        let second = gate
            .slot()
            .await
            .and_then(|slot| gate.admit(address, slot))
            .unwrap();
        gate.adjust(limits(1));
        drop(first);
        let waits = tokio::time::timeout(Duration::from_millis(20), gate.slot()).await;
        assert!(waits.is_err(), "one is left, and one is the limit");
        gate.adjust(limits(2));
        let third = gate
            .slot()
            .await
            .and_then(|slot| gate.admit(address, slot))
            .unwrap();
        assert_eq!(gate.connections(), 2);
        drop((second, third));
        gate.adjust(Limits {
            connections_per_ip_max: 0,
            ..limits(2)
        });
        assert!(
            gate.slot()
                .await
                .and_then(|slot| gate.admit(address, slot))
                .is_none()
        );
    }
}
