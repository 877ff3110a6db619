//! Open files that a sync still needs, within a bound.
//!
//! A file with unsynced bytes stays open until it is synced: a failed write is told to those who
//! had the file open when it failed, and a file that was closed in between may be told to nobody.
//! But thousands of logs can be dirty at a time, and a process has only so many descriptors. A log
//! that is not let in here is synced with its whole file system, which needs no open file of its
//! own and tells of every failed write in any of them ([`FileSystem`](crate::io::FileSystem)).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::io::File;

/// How many files are held for a sync.
#[derive(Debug)]
pub(in crate::storage) struct Pins {
    count: Arc<AtomicUsize>,
    max: usize,
}

/// An open file that is held for a sync.
#[derive(Debug)]
pub(in crate::storage) struct Pin {
    pub(in crate::storage) file: Arc<dyn File>,
    count: Arc<AtomicUsize>,
}

impl Pins {
    /// Holds at most `max` files.
    pub(in crate::storage) fn new(max: usize) -> Self {
        Self {
            count: Arc::default(),
            max,
        }
    }

    /// Holds a file; `None` if too many are held.
    pub(in crate::storage) fn pin(&self, file: &Arc<dyn File>) -> Option<Pin> {
        let held = self.count.fetch_add(1, Ordering::Relaxed);
        // Counted down when it goes, let in or not.
        let pin = Pin {
            file: file.clone(),
            count: self.count.clone(),
        };
        (held < self.max).then_some(pin)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
