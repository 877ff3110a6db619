//! What was read last at the end of logs, for all who wait there for the same records.

use std::array;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::model::Offset;
use crate::model::limits::SENDFILE_BYTES_MIN;

/// Reads that are kept. Waiters of one partition are woken together, and so few partitions are in
/// use at a time; they take 16 KiB each.
const SLOTS: usize = 8;

/// The last small reads that went up to the end of what may be read.
///
/// Bytes before that end never change, and the number of a segment is never used again: a read is
/// as good as the next one with the same key.
#[derive(Debug)]
pub(in crate::storage) struct SharedReads {
    slots: [Mutex<Option<(Key, Bytes)>>; SLOTS],
}

/// Which bytes were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The segment's number.
    pub(super) segment: u64,
    /// First offset wanted.
    pub(super) from: Offset,
    /// The end, as a position in the segment.
    pub(super) end: u64,
}

impl Default for SharedReads {
    fn default() -> Self {
        Self {
            slots: array::from_fn(|_| Mutex::default()),
        }
    }
}

impl SharedReads {
    /// The whole batches from the one with that offset to that end, if they were read just now.
    pub(super) fn get(&self, key: Key) -> Option<Bytes> {
        let slot = self.slot(key)?.lock();
        let (of, bytes) = slot.as_ref()?;
        (*of == key).then(|| bytes.clone())
    }

    /// Keeps what was read, if it is little.
    pub(super) fn put(&self, key: Key, bytes: &Bytes) {
        if bytes.len() < SENDFILE_BYTES_MIN
            && let Some(slot) = self.slot(key)
        {
            *slot.lock() = Some((key, bytes.clone()));
        }
    }

    fn slot(&self, key: Key) -> Option<&Mutex<Option<(Key, Bytes)>>> {
        self.slots.get((key.segment % SLOTS as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(segment: u64, from: i64, end: u64) -> Key {
        Key {
            segment,
            from: Offset(from),
            end,
        }
    }

    #[test]
    fn only_the_same_read_is_shared() {
        let reads = SharedReads::default();
        let bytes = Bytes::from_static(b"batch");
        reads.put(key(3, 7, 100), &bytes);
        assert_eq!(reads.get(key(3, 7, 100)), Some(bytes.clone()));
        for other in [
            key(4, 7, 100),
            key(3, 6, 100),
            key(3, 7, 101),
            key(11, 7, 100),
        ] {
            assert_eq!(reads.get(other), None);
        }
        reads.put(key(11, 7, 100), &bytes);
        assert_eq!(reads.get(key(3, 7, 100)), None);
    }

    #[test]
    fn large_reads_are_not_kept() {
        let reads = SharedReads::default();
        reads.put(key(1, 0, 1), &Bytes::from(vec![0; SENDFILE_BYTES_MIN]));
        assert_eq!(reads.get(key(1, 0, 1)), None);
    }
}
