//! The offsets of a partition, and their order.

use crate::model::Offset;

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

impl Offsets {
    /// Holds `log_start ≤ last_stable ≤ high_watermark ≤ log_end` and `durable ≤ log_end`, and
    /// that nothing but the log start of an emptied log ever goes back.
    pub(super) fn assert_follow(self, then: Self) {
        let now = self;
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
