//! The open files of a store: least recently used first out, within a bound.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::io::{File, OpenMode, SharedIo};

/// Which file of which segment.
///
/// A segment's number is never used again in a store: a segment that replaces another under the
/// same file name has a number of its own, so a cached file is always the one a reader means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) struct FileKey {
    /// [`Segment::number`](crate::storage::log::segment::Segment::number).
    pub(in crate::storage) segment: u64,
    /// Which of its files.
    pub(in crate::storage) kind: FileKind,
}

/// A file of a segment, as it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::storage) enum FileKind {
    /// The `.log` of an active segment: for the writer, and for its readers.
    ActiveLog,
    /// The `.log` of a sealed segment.
    SealedLog,
    /// The `.index` of a sealed segment.
    OffsetIndex,
    /// The `.timeindex` of a sealed segment.
    TimeIndex,
    /// The `.txnindex` of a sealed segment.
    TxnIndex,
}

/// Counts of a store's open files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCacheStats {
    /// Uses that found the file open.
    pub hits: u64,
    /// Uses that had to open it.
    pub misses: u64,
    /// Files that were closed to make room.
    pub evictions: u64,
    /// Files that are open now.
    pub open: usize,
    /// Most files that stay open without being used.
    pub max: usize,
}

/// The open files of a store.
#[derive(Debug)]
pub(in crate::storage) struct FileCache {
    io: SharedIo,
    max: usize,
    entries: Mutex<FxHashMap<FileKey, Entry>>,
    /// Rises with every use: the age of entries.
    uses: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    file: Arc<dyn File>,
    last_use: u64,
}

impl FileCache {
    pub(in crate::storage) fn new(io: SharedIo, max: usize) -> Self {
        Self {
            io,
            max: max.max(1),
            entries: Mutex::default(),
            uses: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// The file, opened if it is not open.
    pub(in crate::storage) fn open(
        &self,
        key: FileKey,
        path: impl FnOnce() -> std::path::PathBuf,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn File>> {
        let last_use = self.uses.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = self.entries.lock().get_mut(&key) {
            entry.last_use = last_use;
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(entry.file.clone());
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let path: &Path = &path();
        let opened = self.io.open(path, mode)?;
        let (file, closed) = {
            let mut entries = self.entries.lock();
            let entry = entries.entry(key).or_insert(Entry {
                file: opened,
                last_use,
            });
            let file = entry.file.clone();
            (file, self.evict(&mut entries))
        };
        // Closing is a system call: not under the lock.
        drop(closed);
        Ok(file)
    }

    /// A file that is read once, outside the cache.
    pub(in crate::storage) fn open_once(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.io.open(path, OpenMode::Read)
    }

    /// A file that is written once, outside the cache.
    pub(in crate::storage) fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.io.open(path, OpenMode::Create)
    }

    /// Takes out the files that were not used for longest, as many as are above the bound and a
    /// sixteenth of it more, so that finding them costs little for each. Files that somebody
    /// still holds stay, even beyond the bound.
    fn evict(&self, entries: &mut FxHashMap<FileKey, Entry>) -> Vec<Entry> {
        if entries.len() <= self.max {
            return Vec::new();
        }
        let mut idle: Vec<(u64, FileKey)> = entries
            .iter()
            .filter(|(_, entry)| Arc::strong_count(&entry.file) == 1)
            .map(|(key, entry)| (entry.last_use, *key))
            .collect();
        let surplus = (entries.len() - self.max + self.max / 16).min(idle.len());
        if surplus > 0 && surplus < idle.len() {
            idle.select_nth_unstable_by_key(surplus - 1, |(last_use, _)| *last_use);
        }
        let closed: Vec<Entry> = idle
            .iter()
            .take(surplus)
            .filter_map(|(_, key)| entries.remove(key))
            .collect();
        self.evictions
            .fetch_add(closed.len() as u64, Ordering::Relaxed);
        closed
    }

    /// Whether so many files are held by those who use them that nobody should hold one for long.
    pub(in crate::storage) fn is_crowded(&self) -> bool {
        let (closed, crowded) = {
            let mut entries = self.entries.lock();
            let closed = self.evict(&mut entries);
            (closed, entries.len() > self.max)
        };
        drop(closed);
        crowded
    }

    /// Forgets files that will not be used again.
    pub(in crate::storage) fn forget(&self, segment: u64) {
        let kinds = [
            FileKind::ActiveLog,
            FileKind::SealedLog,
            FileKind::OffsetIndex,
            FileKind::TimeIndex,
            FileKind::TxnIndex,
        ];
        let closed: Vec<Entry> = {
            let mut entries = self.entries.lock();
            kinds
                .into_iter()
                .filter_map(|kind| entries.remove(&FileKey { segment, kind }))
                .collect()
        };
        drop(closed);
    }

    pub(in crate::storage) fn stats(&self) -> FileCacheStats {
        FileCacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
            open: self.entries.lock().len(),
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;

    fn open(cache: &FileCache, segment: u64) -> Arc<dyn File> {
        let key = FileKey {
            segment,
            kind: FileKind::SealedLog,
        };
        cache
            .open(key, || format!("f{segment}").into(), OpenMode::Create)
            .unwrap()
    }

    #[test]
    fn the_file_not_used_for_longest_is_closed_first() {
        let cache = FileCache::new(MemoryIo::shared(), 2);
        for segment in [1, 2, 1, 3] {
            open(&cache, segment);
        }
        open(&cache, 1);
        let stats = cache.stats();
        assert_eq!(
            (stats.hits, stats.misses, stats.evictions, stats.open),
            (2, 3, 1, 2)
        );
        open(&cache, 2);
        assert_eq!(cache.stats().misses, 4);
    }

    #[test]
    fn files_in_use_stay_open_beyond_the_bound() {
        let cache = FileCache::new(MemoryIo::shared(), 2);
        let held: Vec<_> = (0..5).map(|segment| open(&cache, segment)).collect();
        assert_eq!((cache.stats().open, cache.stats().evictions), (5, 0));
        drop(held);
        open(&cache, 9);
        assert_eq!(cache.stats().open, 2);
        cache.forget(9);
        assert_eq!(cache.stats().open, 1);
    }
}
