//! What awaits the next sync of a log.

use std::sync::Arc;

use crate::io::File;
use crate::model::{Offset, Timestamp};

use crate::storage::core::Core;
use crate::storage::log::passing::PassingSnapshot;
use crate::storage::log::pins::Pin;
use crate::storage::log::segment::Segment;

/// From so many bytes on a log that answers from the page cache is synced without delay. A file
/// system that puts a second's worth of a busy log on disk at once keeps who writes to it waiting,
/// for tens of milliseconds on ext4; small portions are hardly felt.
const PORTION_BYTES: u64 = 8 * 1024 * 1024;

/// The least time in which a portion comes together, in milliseconds. Where logs are written faster
/// syncs in between take processor time from the writers: with four logs at 600 MB/s together
/// portions of 4 MiB raised the median of acknowledgements from 36 to 43 us on two processors.
const PORTION_MS: u64 = 100;

/// What the next sync has to do.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    /// Files with bytes that may not be on disk.
    pub(super) files: Vec<Pin>,
    /// How many, about: not of what recovery wrote.
    bytes: u64,
    /// When the first of them was written.
    since: Timestamp,
    /// There are more of them than are listed, and only a sync of the file system will do.
    pub(super) overflowed: bool,
    /// The partition's directory is new.
    pub(super) new_directory: bool,
    /// There are new files in it.
    pub(super) new_entries: bool,
    /// Segments that were sealed.
    pub(super) sealed: Vec<Arc<Segment>>,
    /// Producer snapshots to be written, by the offset in their name.
    pub(super) snapshots: Vec<(Offset, Vec<u8>)>,
    /// The leader epochs changed.
    pub(super) epochs: bool,
    /// Segments in which transactions were aborted.
    pub(super) aborted: Vec<Arc<Segment>>,
    /// The producers as of an offset within the active segment.
    pub(super) passing: Option<PassingSnapshot>,
    /// Some of this was tried before.
    pub(super) owes: bool,
}

impl Unsynced {
    pub(super) fn add_file(&mut self, file: &Arc<dyn File>, core: &Core) {
        let is_last = |last: &Pin| Arc::ptr_eq(&last.file, file);
        if self.files.last().is_some_and(is_last) {
            return;
        }
        match core.pins.pin(file) {
            Some(pin) => self.files.push(pin),
            None => self.overflowed = true,
        }
    }

    /// Takes in bytes that were written to a file. Whether there are so many that they should not
    /// wait for more.
    pub(super) fn add_bytes(&mut self, bytes: u64, now: Timestamp) -> bool {
        if self.bytes == 0 {
            self.since = now;
        }
        self.bytes += bytes;
        let waited = u64::try_from(now.0.saturating_sub(self.since.0)).unwrap_or(0);
        self.bytes >= PORTION_BYTES && self.bytes / PORTION_BYTES <= waited / PORTION_MS
    }

    pub(super) fn add_aborted(&mut self, segment: &Arc<Segment>) {
        if !self
            .aborted
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, segment))
        {
            self.aborted.push(segment.clone());
        }
    }

    /// Takes back what could not be written, for lack of room: the next sync tries again.
    pub(super) fn owe(&mut self, put_back: impl FnOnce(&mut Self)) {
        self.owes = true;
        put_back(self);
    }

    /// Whether there is more to do than syncing bytes.
    pub(super) fn has_chores(&self) -> bool {
        self.new_directory
            || self.epochs
            || !self.sealed.is_empty()
            || !self.snapshots.is_empty()
            || !self.aborted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many milliseconds a log that gets so many bytes in each of them is synced early.
    fn synced_after(bytes_per_ms: u64) -> Option<i64> {
        let mut unsynced = Unsynced::default();
        (0..1_000).find(|ms| unsynced.add_bytes(bytes_per_ms, Timestamp(*ms)))
    }

    #[test]
    fn what_comes_together_is_synced_in_portions_unless_it_comes_too_fast() {
        assert_eq!(synced_after(PORTION_BYTES / 2_000), None);
        assert_eq!(synced_after(PORTION_BYTES / 256), Some(255));
        let in_time = synced_after(PORTION_BYTES / 128);
        assert_eq!(in_time, Some(127));
        assert_eq!(synced_after(PORTION_BYTES / 32), None);
    }
}
