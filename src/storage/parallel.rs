//! Doing the same to many things, several at a time, where each waits for the disk.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work` for every item, from at most `threads` threads, of which this is one.
pub(super) fn for_each<T: Sync>(items: &[T], threads: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    if threads.min(items.len()) <= 1 {
        return run();
    }
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
}
