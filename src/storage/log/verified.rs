//! Stretches of a segment whose batches need no look at their checksums any more.

use parking_lot::Mutex;

/// Verified stretches that are remembered for one segment; more would mean that readers hop
/// about, and checking a stretch again costs little.
const VERIFIED_STRETCHES_MAX: usize = 64;

/// Which bytes of a segment were written or checked by this process.
#[derive(Debug)]
pub(super) struct Verified {
    /// From here on everything was.
    from: u64,
    /// Stretches below that were checked: ascending, apart from each other.
    stretches: Mutex<Vec<(u64, u64)>>,
}

impl Verified {
    pub(super) fn from(from: u64) -> Self {
        Self {
            from,
            stretches: Mutex::default(),
        }
    }

    pub(super) fn covers(&self, from: u64, to: u64) -> bool {
        if from >= self.from {
            return true;
        }
        let to = to.min(self.from);
        self.stretches
            .lock()
            .iter()
            .any(|&(start, end)| start <= from && to <= end)
    }

    pub(super) fn add(&self, from: u64, to: u64) {
        let (mut from, mut to) = (from, to.min(self.from));
        if from >= to {
            return;
        }
        let mut stretches = self.stretches.lock();
        stretches.retain(|&(start, end)| {
            let apart = end < from || to < start;
            if !apart {
                (from, to) = (from.min(start), to.max(end));
            }
            apart
        });
        if stretches.len() < VERIFIED_STRETCHES_MAX {
            let at = stretches.partition_point(|&(start, _)| start < from);
            stretches.insert(at, (from, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_stretches_grow_together() {
        let verified = Verified::from(100);
        assert!(verified.covers(100, 500) && !verified.covers(99, 500));
        verified.add(0, 20);
        verified.add(40, 60);
        assert!(verified.covers(5, 20) && !verified.covers(5, 41));
        verified.add(20, 40);
        assert!(verified.covers(0, 60));
        verified.add(60, 130);
        assert!(verified.covers(0, 500));
        assert_eq!(*verified.stretches.lock(), [(0, 100)]);
    }

    #[test]
    fn stretches_beyond_the_limit_are_not_remembered() {
        let verified = Verified::from(u64::MAX);
        for index in 0..1_000 {
            verified.add(index * 10, index * 10 + 1);
        }
        assert_eq!(verified.stretches.lock().len(), VERIFIED_STRETCHES_MAX);
        assert!(verified.covers(0, 1));
    }
}
