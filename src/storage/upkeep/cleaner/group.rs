//! Which segments become one (Kafka's `Cleaner.groupSegmentsBySize`): as many as surely fit, or
//! compaction would leave ever more segments that are ever smaller.

use std::ops::Range;

/// What a segment takes.
#[derive(Clone, Copy, Debug)]
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

/// What a new segment may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// `segment.bytes`.
    pub(super) bytes: u64,
    /// `segment.index.bytes`, for each of the two.
    pub(super) index_bytes: u64,
}

/// Which of the segments, all in order, become one: ranges that follow each other.
pub(super) fn group(segments: &[Extent], bounds: Bounds) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut sum: Option<Extent> = None;
    for (index, segment) in segments.iter().enumerate() {
        let joined = sum.map(|sum| Extent {
            base: sum.base,
            end: segment.end,
            bytes: sum.bytes + segment.bytes,
            offset_index_bytes: sum.offset_index_bytes + segment.offset_index_bytes,
            time_index_bytes: sum.time_index_bytes + segment.time_index_bytes,
        });
        // Offsets are relative to the base, in 32 bits. An empty segment has none.
        let fits = |joined: &Extent| {
            joined.bytes <= bounds.bytes
                && joined.offset_index_bytes <= bounds.index_bytes
                && joined.time_index_bytes <= bounds.index_bytes
                && (segment.bytes == 0 || joined.end - 1 - joined.base <= i64::from(i32::MAX))
        };
        match (joined.filter(fits), groups.last_mut()) {
            (Some(joined), Some(last)) => {
                last.end = index + 1;
                sum = Some(joined);
            }
            _ => {
                groups.push(index..index + 1);
                sum = Some(*segment);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 100,
        index_bytes: 50,
    };

    /// Segments of so many bytes of log and indexes, with ten offsets each.
    fn segments(sizes: &[(u64, u64, u64)]) -> Vec<Extent> {
        let extent = |(number, size): (usize, &(u64, u64, u64))| Extent {
            base: number as i64 * 10,
            end: number as i64 * 10 + 10,
            bytes: size.0,
            offset_index_bytes: size.1,
            time_index_bytes: size.2,
        };
        sizes.iter().enumerate().map(extent).collect()
    }

    #[test]
    fn segments_are_joined_as_long_as_everything_fits() {
        let logs = segments(&[(40, 1, 1), (60, 1, 1), (1, 1, 1), (120, 1, 1), (1, 1, 1)]);
        assert_eq!(group(&logs, BOUNDS), [0..2, 2..3, 3..4, 4..5]);
        let indexes = segments(&[(1, 20, 1), (1, 30, 1), (1, 1, 1), (1, 1, 50), (0, 0, 0)]);
        assert_eq!(group(&indexes, BOUNDS), [0..2, 2..3, 3..5]);
        assert!(group(&[], BOUNDS).is_empty());
    }

    #[test]
    fn offsets_of_a_group_fit_into_32_bits_unless_there_are_none() {
        let far = i64::from(i32::MAX);
        let mut sparse = segments(&[(1, 0, 0), (1, 0, 0), (1, 0, 0)]);
        (sparse[1].end, sparse[2].base, sparse[2].end) = (far + 1, far + 1, far + 2);
        assert_eq!(group(&sparse, BOUNDS), [0..2, 2..3]);
        sparse[2].bytes = 0;
        assert_eq!(group(&sparse, BOUNDS), vec![0..3; 1]);
    }
}
