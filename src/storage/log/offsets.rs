//! The offsets of a partition, and the one place that changes them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::model::Offset;

use crate::storage::log::epochs::Epochs;
use crate::storage::log::segment::Segment;
use crate::storage::log::transactions::Unsettled;

/// The offsets of a partition at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offsets {
    /// First readable record.
    pub log_start: Offset,
    /// Bound of `read_committed`: no transaction below it is open, or ended by a marker that lies
    /// at or above the high watermark.
    pub last_stable: Offset,
    /// Bound of what consumers see.
    pub high_watermark: Offset,
    /// First unwritten offset.
    pub log_end: Offset,
    /// First offset that is not on disk yet.
    pub durable: Offset,
}

/// An offset at a batch boundary, and where that boundary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Mark {
    /// The offset.
    pub(in crate::storage) offset: Offset,
    /// Base of the segment that ends, for now, at it.
    pub(in crate::storage) segment: Offset,
    /// Bytes of that segment before it.
    pub(in crate::storage) position: u64,
}

/// Everything that a reader needs, as of one moment. Immutable once it is published.
#[derive(Clone, Debug)]
pub(in crate::storage) struct View {
    /// All segments in the order of their offsets; the last one is the active one.
    pub(in crate::storage) segments: Arc<[Arc<Segment>]>,
    /// Where the leader epochs began.
    pub(in crate::storage) epochs: Arc<Epochs>,
    /// First readable offset.
    pub(in crate::storage) log_start: Offset,
    /// The log end.
    pub(in crate::storage) end: Mark,
    /// The high watermark.
    pub(in crate::storage) committed: Mark,
    /// The last stable offset. It follows from the rest, at each [`Published::update`]. Where
    /// records of a transaction that is open were deleted, it is the log start, and its place
    /// that of the transaction: below all that can be read.
    pub(in crate::storage) last_stable: Mark,
    /// Below it everything is on disk.
    pub(in crate::storage) durable: Offset,
}

impl View {
    /// The offsets of this moment.
    pub(in crate::storage) fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start,
            last_stable: self.last_stable.offset,
            high_watermark: self.committed.offset,
            log_end: self.end.offset,
            durable: self.durable,
        }
    }

    /// Holds `log_start ≤ last_stable ≤ high_watermark ≤ log_end` and `durable ≤ log_end`, and
    /// that nothing but the log start of an emptied log ever goes back.
    fn assert_follows(&self, before: &Self) {
        let (now, then) = (self.offsets(), before.offsets());
        assert!(
            now.log_start <= now.last_stable,
            "log start passes the last stable offset: {now:?}"
        );
        assert!(now.last_stable <= now.high_watermark, "{now:?}");
        assert!(
            now.high_watermark <= now.log_end,
            "high watermark passes the log end: {now:?}"
        );
        assert!(
            now.durable <= now.log_end,
            "durable passes the log end: {now:?}"
        );
        assert!(
            now.log_start >= then.log_start,
            "log start went back: {then:?} to {now:?}"
        );
        assert!(
            now.high_watermark >= then.high_watermark,
            "{then:?} to {now:?}"
        );
        assert!(
            now.last_stable >= then.last_stable,
            "last stable offset went back: {then:?} to {now:?}"
        );
        assert!(
            now.log_end >= then.log_end,
            "log end went back: {then:?} to {now:?}"
        );
        assert!(
            now.durable >= then.durable,
            "durable went back: {then:?} to {now:?}"
        );
    }
}

/// The view that readers load and writers replace.
#[derive(Debug)]
pub(in crate::storage) struct Published {
    view: ArcSwap<View>,
    /// The transactions that keep the last stable offset back. Two threads change views: the one
    /// that appends and the one that commits. Held for the computation of one view, never during
    /// I/O; readers do not take it.
    change: Mutex<Unsettled>,
}

impl Published {
    /// A view of a log in which these transactions are open.
    pub(in crate::storage) fn new(mut view: View, mut unsettled: Unsettled) -> Self {
        view.last_stable = unsettled.last_stable(&view);
        view.assert_follows(&view);
        Self {
            view: ArcSwap::from_pointee(view),
            change: Mutex::new(unsettled),
        }
    }

    /// The view of this moment.
    pub(in crate::storage) fn load(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Publishes what `change` makes of the newest view.
    pub(in crate::storage) fn update(&self, change: impl FnOnce(&mut View)) {
        self.update_transactions(|view, _unsettled| change(view));
    }

    /// As [`Self::update`], for an append that may begin or end a transaction.
    pub(in crate::storage) fn update_transactions(
        &self,
        change: impl FnOnce(&mut View, &mut Unsettled),
    ) {
        let mut unsettled = self.change.lock();
        let before = self.view.load();
        let mut next = View::clone(&before);
        change(&mut next, &mut unsettled);
        next.last_stable = unsettled.last_stable(&next);
        next.assert_follows(&before);
        self.view.store(Arc::new(next));
    }
}
