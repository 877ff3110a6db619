//! Which segments become one (Kafka's `Cleaner.groupSegmentsBySize`): as many as fit, or
//! compaction would leave ever more segments that are ever smaller.
//!
//! Kafka joins segments whose files, as they are, fit into one: of a log of which little stays,
//! each full segment becomes a small one, and only later cleanings join those, over and over. Here
//! those that have to be written anew in any case are joined by what is *expected* to stay. When
//! segments are grouped, it is known of their records which ones newer ones supersede: their
//! number, not their bytes. So it is an estimate; what is written is held against the bounds batch
//! by batch ([`rewriting`](super::rewriting)).
//!
//! One that may stay as it is joins others as in Kafka only: else it would be written for nothing
//! but to spare its neighbour a file.

/// What a segment takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Its first offset.
    pub(super) base: i64,
    /// The offset after its last.
    pub(super) end: i64,
    /// Bytes of its log.
    pub(super) bytes: u64,
    /// Bytes of its offset index.
    pub(super) offset_index_bytes: u64,
    /// Bytes of its time index.
    pub(super) time_index_bytes: u64,
}

impl Extent {
    /// What is expected to stay of it, if so many of its offsets are known to be superseded: of
    /// the bytes the share that stays of the offsets, and an eighth more, lest what is a little
    /// larger than others is written in vain. Never more than there is.
    pub(super) fn expected(self, superseded: u64) -> Self {
        let offsets = u64::try_from(self.end.saturating_sub(self.base)).unwrap_or(0);
        let stays = offsets.saturating_sub(superseded);
        let share = |bytes: u64| {
            let share = u128::from(bytes) * u128::from(stays) / u128::from(offsets.max(1));
            let share = u64::try_from(share).unwrap_or(bytes);
            share.saturating_add(share.div_ceil(8)).min(bytes)
        };
        match superseded {
            0 => self,
            _ => Self {
                bytes: share(self.bytes),
                offset_index_bytes: share(self.offset_index_bytes),
                time_index_bytes: share(self.time_index_bytes),
                ..self
            },
        }
    }

    /// It, and the segment that follows.
    pub(super) fn joined(self, next: Self) -> Self {
        Self {
            base: self.base,
            // An empty segment has no offsets.
            end: match next.bytes {
                0 => self.end,
                _ => next.end,
            },
            bytes: self.bytes.saturating_add(next.bytes),
            offset_index_bytes: self
                .offset_index_bytes
                .saturating_add(next.offset_index_bytes),
            time_index_bytes: self.time_index_bytes.saturating_add(next.time_index_bytes),
        }
    }
}

/// What segments that become one are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// What is there.
    pub(super) there: Extent,
    /// What is expected to stay, if each of them is known to lose something.
    pub(super) expected: Option<Extent>,
}

impl Size {
    /// Theirs, and that of the segment that follows.
    pub(super) fn joined(self, next: Self) -> Self {
        let expected = self.expected.zip(next.expected);
        Self {
            there: self.there.joined(next.there),
            expected: expected.map(|(this, next)| this.joined(next)),
        }
    }

    /// The same, now that it is known what stays.
    pub(super) fn of_which_stays(self, written: Extent) -> Self {
        Self {
            expected: self.expected.map(|_| written),
            ..self
        }
    }
}

/// What a new segment may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// `segment.bytes`.
    pub(super) bytes: u64,
    /// `segment.index.bytes`, for each of the two.
    pub(super) index_bytes: u64,
}

impl Bounds {
    /// Whether segments become one, as far as can be told before they are written.
    pub(super) fn allow(&self, joined: &Size) -> bool {
        self.hold(&joined.there) || joined.expected.is_some_and(|expected| self.hold(&expected))
    }

    /// Whether a segment that takes so much is within them.
    pub(super) fn hold(&self, extent: &Extent) -> bool {
        extent.bytes <= self.bytes
            && extent.offset_index_bytes <= self.index_bytes
            && extent.time_index_bytes <= self.index_bytes
            // Offsets are relative to the base, in 32 bits.
            && extent.end.saturating_sub(1).saturating_sub(extent.base) <= i64::from(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 100,
        index_bytes: 50,
    };

    /// A segment of ten offsets that takes so many bytes of log and indexes.
    fn segment(number: i64, bytes: u64, offset_index_bytes: u64, time_index_bytes: u64) -> Extent {
        Extent {
            base: number * 10,
            end: number * 10 + 10,
            bytes,
            offset_index_bytes,
            time_index_bytes,
        }
    }

    fn fit(first: Extent, next: Extent) -> bool {
        BOUNDS.hold(&first.joined(next))
    }

    #[test]
    fn segments_are_joined_if_everything_fits() {
        let first = segment(0, 40, 20, 20);
        assert!(fit(first, segment(1, 60, 30, 30)));
        assert!(!fit(first, segment(1, 61, 1, 1)));
        assert!(!fit(first, segment(1, 1, 31, 1)));
        assert!(!fit(first, segment(1, 1, 1, 31)));
        let three = first
            .joined(segment(1, 30, 1, 1))
            .joined(segment(2, 30, 1, 1));
        assert_eq!(three, segment_of(0, 30, [100, 22, 22]));
    }

    fn segment_of(base: i64, end: i64, bytes: [u64; 3]) -> Extent {
        let [bytes, offset_index_bytes, time_index_bytes] = bytes;
        Extent {
            base,
            end,
            bytes,
            offset_index_bytes,
            time_index_bytes,
        }
    }

    #[test]
    fn offsets_of_one_segment_fit_into_32_bits_unless_there_are_none() {
        let far = i64::from(i32::MAX);
        let first = segment(0, 1, 0, 0);
        assert!(fit(first, segment_of(10, far + 1, [1, 0, 0])));
        assert!(!fit(first, segment_of(10, far + 2, [1, 0, 0])));
        assert!(fit(first, segment_of(10, far + 2, [0, 0, 0])));
        assert!(!fit(first, segment_of(i64::MAX - 1, i64::MAX, [1, 0, 0])));
    }

    #[test]
    fn what_is_expected_to_stay_is_a_little_more_than_the_share_of_the_offsets() {
        let full = segment(0, 1_000, 80, 120);
        assert_eq!(full.expected(0), full);
        assert_eq!(full.expected(6), segment(0, 450, 36, 54));
        assert_eq!(full.expected(1), full, "never more than there is");
        assert_eq!(full.expected(10).bytes, 0);
        assert_eq!(full.expected(99).bytes, 0);
        assert_eq!(segment_of(5, 5, [7, 0, 0]).expected(1).bytes, 0);
        let large = segment(0, u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(large.joined(large).bytes, u64::MAX);
        assert!(large.expected(5).bytes > u64::MAX / 2);
    }

    #[test]
    fn what_must_be_written_anyway_is_joined_by_what_stays_and_all_else_by_what_is_there() {
        let size = |number: i64, bytes: u64, superseded: u64| {
            let there = segment(number, bytes, 8, 12);
            Size {
                there,
                expected: (superseded > 0).then(|| there.expected(superseded)),
            }
        };
        let allow = |first: Size, next: Size| BOUNDS.allow(&first.joined(next));
        assert!(allow(size(0, 40, 0), size(1, 60, 0)));
        assert!(!allow(size(0, 41, 0), size(1, 60, 0)));
        assert!(allow(size(0, 100, 6), size(1, 100, 6)));
        assert!(!allow(size(0, 100, 5), size(1, 100, 5)));
        assert!(!allow(size(0, 60, 0), size(1, 60, 9)), "the first may stay");
        assert!(!allow(size(0, 60, 9), size(1, 60, 0)), "the next may stay");
        let gone = size(0, 100, 10).joined(size(1, 100, 10));
        assert!(allow(gone, size(2, 100, 1)));
        assert!(!allow(
            gone.of_which_stays(segment(0, 1, 0, 0)),
            size(2, 100, 1)
        ));
        assert!(!allow(gone, size(2, 100, 0)), "nor may the third");
    }
}
