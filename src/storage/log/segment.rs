//! One segment of a log: its indexes, and what is known about its bytes.
//!
//! The indexes of an active segment live in memory; they reach their files when the segment is
//! sealed, or at a clean stop, in one write each and off the append path. Those of a sealed one
//! are read from their files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use crate::io::{File, OpenMode, read_full_at};
use crate::model::{Offset, Timestamp};

use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::storage::format::time_index::{self, TimeEntry};
use crate::storage::log::aborted::AbortedIndex;
use crate::storage::log::file_cache::{FileCache, FileKey, FileKind};
use crate::storage::log::index_file::{last_below, likely};
use crate::storage::log::memory_index::{MemoryIndex, Place, relative};
use crate::storage::log::scan::{Depth, Scan};
use crate::storage::log::verified::Verified;
use crate::storage::recovery::damage::Lost;
use crate::storage::upkeep::retention::Touched;

/// Where the files of a log are, and the cache that opens them.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Files<'a> {
    pub(in crate::storage) cache: &'a FileCache,
    pub(in crate::storage) dir: &'a Path,
}

/// Newer than any batch.
const NEWEST_UNKNOWN: i64 = i64::MAX;

/// One segment.
#[derive(Debug)]
pub(in crate::storage) struct Segment {
    /// Unlike that of any other segment of the store, now or earlier.
    pub(in crate::storage) number: u64,
    /// First offset that it may hold, and its name.
    pub(in crate::storage) base: Offset,
    /// Its length in bytes, from the moment it is sealed.
    sealed_len: OnceLock<u64>,
    /// The base of the segment after it, once there is one: no offset from there on is in it.
    end: OnceLock<Offset>,
    /// Stretches that were found damaged, ascending.
    damage: RwLock<Arc<[Lost]>>,
    index: RwLock<Index>,
    /// Whether the time index is known to be that of the batches.
    times_proven: AtomicBool,
    /// No batch of it is newer, in milliseconds; [`NEWEST_UNKNOWN`] until it is sealed and that was
    /// read from a proven time index. What is found damaged later makes it no newer.
    newest: AtomicI64,
    /// The aborted transactions whose markers are in it.
    pub(in crate::storage) aborted: AbortedIndex,
    verified: Verified,
    /// Whether it left the log: nothing is written under its names any more.
    gone: AtomicBool,
    /// Whether its files may still have the names that they were written under.
    arriving: AtomicBool,
    /// When a batch without timestamp was last appended by this process.
    touched: Touched,
}

#[derive(Debug)]
enum Index {
    Memory(MemoryIndex),
    Files {
        offsets: usize,
        times: usize,
    },
    /// There are no files that can be used: whoever needs them builds them again.
    Missing,
}

impl Segment {
    /// A segment that this process writes from its first byte.
    pub(in crate::storage) fn fresh(number: u64, base: Offset) -> Self {
        Self {
            number,
            base,
            sealed_len: OnceLock::new(),
            end: OnceLock::new(),
            damage: RwLock::default(),
            index: RwLock::new(Index::Memory(MemoryIndex::default())),
            times_proven: AtomicBool::new(true),
            newest: AtomicI64::new(NEWEST_UNKNOWN),
            aborted: AbortedIndex::empty(),
            verified: Verified::from(0),
            gone: AtomicBool::new(false),
            arriving: AtomicBool::new(false),
            touched: Touched::default(),
        }
    }

    /// The active segment as it was found, checked up to where `verified_from` begins.
    pub(in crate::storage) fn reopened(
        number: u64,
        base: Offset,
        index: MemoryIndex,
        verified_from: u64,
    ) -> Self {
        Self {
            number,
            base,
            sealed_len: OnceLock::new(),
            end: OnceLock::new(),
            damage: RwLock::default(),
            times_proven: AtomicBool::new(true),
            newest: AtomicI64::new(NEWEST_UNKNOWN),
            index: RwLock::new(Index::Memory(index)),
            aborted: AbortedIndex::unknown(),
            verified: Verified::from(verified_from),
            gone: AtomicBool::new(false),
            arriving: AtomicBool::new(false),
            touched: Touched::default(),
        }
    }

    /// A sealed segment whose index files hold so many `entries` (of the offset index, of the time
    /// index); `None` if they cannot be used.
    pub(in crate::storage) fn sealed(
        number: u64,
        base: Offset,
        len: u64,
        entries: Option<(usize, usize)>,
    ) -> Self {
        let index = match entries {
            Some((offsets, times)) => Index::Files { offsets, times },
            None => Index::Missing,
        };
        Self {
            number,
            base,
            sealed_len: OnceLock::from(len),
            end: OnceLock::new(),
            damage: RwLock::default(),
            index: RwLock::new(index),
            times_proven: AtomicBool::new(false),
            newest: AtomicI64::new(NEWEST_UNKNOWN),
            aborted: AbortedIndex::unknown(),
            verified: Verified::from(len),
            gone: AtomicBool::new(false),
            arriving: AtomicBool::new(false),
            touched: Touched::default(),
        }
    }

    /// A sealed segment that this process wrote to replace those from `base` to `end`, whose index
    /// files hold so many `entries` (of the offset index, of the time index) and these aborted
    /// transactions. Its files have the names of [`arriving_path`](Self::arriving_path).
    pub(in crate::storage) fn replacement(
        number: u64,
        base: Offset,
        end: Offset,
        len: u64,
        entries: (usize, usize),
        aborted: AbortedIndex,
    ) -> Self {
        let (offsets, times) = entries;
        Self {
            number,
            base,
            sealed_len: OnceLock::from(len),
            end: OnceLock::from(end),
            damage: RwLock::default(),
            index: RwLock::new(Index::Files { offsets, times }),
            times_proven: AtomicBool::new(true),
            newest: AtomicI64::new(NEWEST_UNKNOWN),
            aborted,
            verified: Verified::from(0),
            gone: AtomicBool::new(false),
            arriving: AtomicBool::new(true),
            touched: Touched::default(),
        }
    }

    /// Notes that its files have their final names.
    pub(in crate::storage) fn set_arrived(&self) {
        self.arriving.store(false, Ordering::SeqCst);
    }

    /// Whether its files may still have the names that they were written under.
    pub(in crate::storage) fn is_arriving(&self) -> bool {
        self.arriving.load(Ordering::SeqCst)
    }

    /// The length of a sealed segment.
    pub(in crate::storage) fn sealed_len(&self) -> Option<u64> {
        self.sealed_len.get().copied()
    }

    /// Notes that it leaves the log, before its files are renamed or others take their names.
    /// Under the lock of those who write by name.
    pub(in crate::storage) fn set_gone(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// Whether it left the log.
    pub(in crate::storage) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Notes that a batch without timestamp is appended.
    pub(in crate::storage) fn touch(&self, now: Timestamp) {
        self.touched.at(now);
    }

    /// When a batch without timestamp was last appended by this process.
    pub(in crate::storage) fn touched(&self) -> Option<Timestamp> {
        self.touched.get()
    }

    /// How many entries its indexes have: the offset index, and the time index.
    pub(in crate::storage) fn index_entries(&self) -> (usize, usize) {
        match &*self.index.read() {
            Index::Memory(index) => (index.offset_count(), index.times.len()),
            Index::Files { offsets, times } => (*offsets, *times),
            Index::Missing => (0, 0),
        }
    }

    /// Notes where the segment after it begins.
    pub(in crate::storage) fn set_end(&self, end: Offset) {
        let _ = self.end.set(end);
    }

    /// Where the segment after it begins, if there is one.
    pub(in crate::storage) fn end(&self) -> Option<Offset> {
        self.end.get().copied()
    }

    /// Notes that a stretch is damaged, which takes in what was found within it before. Whether
    /// that was news.
    pub(in crate::storage) fn add_damage(&self, lost: Lost) -> bool {
        let mut damage = self.damage.write();
        if damage.contains(&lost) {
            return false;
        }
        let apart = |known: &&Lost| {
            known.bytes.end <= lost.bytes.start || known.bytes.start >= lost.bytes.end
        };
        let mut stretches: Vec<Lost> = damage.iter().filter(apart).cloned().collect();
        let at = stretches.partition_point(|known| known.bytes.start < lost.bytes.start);
        stretches.insert(at, lost);
        *damage = stretches.into();
        true
    }

    /// What is known to be damaged.
    pub(in crate::storage) fn damage(&self) -> Arc<[Lost]> {
        self.damage.read().clone()
    }

    /// A walk over its batches, which knows what cannot be in it.
    pub(in crate::storage) fn scan<'a>(
        &'a self,
        file: &'a dyn File,
        depth: Depth,
        start: u64,
        limit: u64,
    ) -> Scan<'a> {
        let scan = Scan::new(file, depth, self.base, start, limit).with_damage(self.damage());
        match self.end.get() {
            Some(end) => scan.below(*end),
            None => scan,
        }
    }

    /// Ends the segment at `len`. Its indexes stay in memory until they are written.
    pub(in crate::storage) fn seal(&self, len: u64) {
        self.change_index(MemoryIndex::note_largest);
        let _ = self.sealed_len.set(len);
    }

    /// Changes the indexes in memory; nothing, if they are in files.
    pub(in crate::storage) fn change_index<T>(
        &self,
        change: impl FnOnce(&mut MemoryIndex) -> T,
    ) -> Option<T> {
        match &mut *self.index.write() {
            Index::Memory(index) => Some(change(index)),
            Index::Files { .. } | Index::Missing => None,
        }
    }

    /// Puts indexes that were built again, up to a position and the offset there, in the place of
    /// those that are there. What was appended meanwhile stays.
    pub(in crate::storage) fn replace_index(
        &self,
        mut rebuilt: MemoryIndex,
        to: u64,
        next_offset: Offset,
    ) {
        let mut index = self.index.write();
        if let (Index::Memory(current), None) = (&*index, self.sealed_len()) {
            rebuilt.take_in(current, to, relative(self.base, next_offset));
        }
        if self.sealed_len().is_some() {
            rebuilt.note_largest();
        }
        *index = Index::Memory(rebuilt);
        self.times_proven.store(true, Ordering::SeqCst);
    }

    /// Whether the time index is known to be that of the batches.
    pub(in crate::storage) fn times_are_proven(&self) -> bool {
        self.times_proven.load(Ordering::SeqCst)
    }

    /// Notes that it is.
    pub(in crate::storage) fn set_times_proven(&self) {
        self.times_proven.store(true, Ordering::SeqCst);
    }

    /// The whole time index, if every entry makes sense.
    pub(in crate::storage) fn all_times(
        &self,
        files: Files<'_>,
    ) -> io::Result<Option<Vec<TimeEntry>>> {
        let count = match &*self.index.read() {
            Index::Memory(index) => {
                let mut all = index.clone();
                all.note_largest();
                return Ok(Some(all.times));
            }
            Index::Files { times, .. } => *times,
            Index::Missing => return Ok(None),
        };
        if count == 0 {
            return Ok(Some(Vec::new()));
        }
        let file = self.open(
            files,
            FileKind::TimeIndex,
            SegmentFile::TimeIndex,
            OpenMode::Read,
        )?;
        let mut content = vec![0; count * time_index::ENTRY_LENGTH];
        let filled = read_full_at(&*file, &mut content, 0)?;
        let times = time_index::decode(&content);
        Ok((filled == content.len() && times.len() == count).then_some(times))
    }

    pub(in crate::storage) fn path(&self, dir: &Path, kind: SegmentFile) -> PathBuf {
        dir.join(kind.name(self.base))
    }

    /// The name of a file until the segment has taken the place of others.
    fn arriving_path(&self, dir: &Path, kind: SegmentFile) -> PathBuf {
        dir.join(match (kind, self.end.get()) {
            (SegmentFile::Log, Some(end)) => names::swap_name(self.base, *end),
            _ => kind.name(self.base) + names::CLEANED_SUFFIX,
        })
    }

    /// The `.log` file, for reading.
    pub(in crate::storage) fn log_file(&self, files: Files<'_>) -> io::Result<Arc<dyn File>> {
        let (kind, mode) = match self.sealed_len() {
            Some(_) => (FileKind::SealedLog, OpenMode::Read),
            None => (FileKind::ActiveLog, OpenMode::Write),
        };
        self.open(files, kind, SegmentFile::Log, mode)
    }

    /// The `.log` file, for appending; created if the segment is `new`, and else it must be there.
    pub(in crate::storage) fn writable_log_file(
        &self,
        files: Files<'_>,
        new: bool,
    ) -> io::Result<Arc<dyn File>> {
        let mode = if new {
            OpenMode::Create
        } else {
            OpenMode::Write
        };
        self.open(files, FileKind::ActiveLog, SegmentFile::Log, mode)
    }

    /// A file of it, or an error once it has left the log.
    pub(in crate::storage) fn open(
        &self,
        files: Files<'_>,
        kind: FileKind,
        file: SegmentFile,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn File>> {
        let key = FileKey {
            segment: self.number,
            kind,
        };
        let by_name = || files.cache.open(key, || self.path(files.dir, file), mode);
        let opened = match self.is_arriving() {
            true => match files
                .cache
                .open(key, || self.arriving_path(files.dir, file), mode)
            {
                // It has arrived: what has its final name now is no older file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => by_name(),
                opened => opened,
            },
            false => by_name(),
        };
        // Looked at after the open: what was opened before the name changed hands is its own.
        if self.is_gone() {
            files.cache.forget(self.number);
            return Err(io::Error::other("the segment left the log"));
        }
        opened
    }

    /// The last entry of the offset index for a batch that ends at or before `offset`.
    pub(in crate::storage) fn entry_before(
        &self,
        files: Files<'_>,
        offset: Offset,
    ) -> io::Result<Option<OffsetEntry>> {
        let target = relative(self.base, offset);
        let last = self.end().map_or(0, |end| relative(self.base, end));
        let below = |entry: &OffsetEntry| entry.relative_offset <= target;
        self.floor_offset_entry(files, (target.into(), last.into()), below)
    }

    /// The last entry of the offset index for a batch that begins at or before `position`.
    pub(in crate::storage) fn entry_at_or_before(
        &self,
        files: Files<'_>,
        position: u64,
    ) -> io::Result<Option<OffsetEntry>> {
        let len = self.sealed_len().unwrap_or(0);
        let below = |entry: &OffsetEntry| u64::from(entry.position) <= position;
        self.floor_offset_entry(files, (position, len), below)
    }

    /// The first batch that ends at or after `offset`, if the index in memory knows it, it ends at
    /// or before the limit, and this process wrote or checked it: then there is no need to look at
    /// its header.
    pub(in crate::storage) fn known_batch(&self, offset: Offset, limit: u64) -> Option<Place> {
        match &*self.index.read() {
            Index::Memory(index) => index.batch_from(self.base, offset),
            Index::Files { .. } | Index::Missing => None,
        }
        .filter(|batch| batch.end <= limit && self.is_trusted(batch.position, batch.end))
    }

    /// The last batch boundary at or before `wanted`, which is at or behind the boundary `from`, if
    /// the index in memory knows it.
    pub(in crate::storage) fn known_boundary(&self, from: u64, wanted: u64) -> Option<u64> {
        match &*self.index.read() {
            Index::Memory(index) => index.boundary_before(wanted),
            Index::Files { .. } | Index::Missing => None,
        }
        .filter(|boundary| *boundary >= from && self.is_trusted(from, *boundary))
    }

    /// Whether the bytes between two boundaries are what this process wrote or checked, and nothing
    /// was found wrong with the segment since.
    fn is_trusted(&self, from: u64, to: u64) -> bool {
        self.verified.covers(from, to) && self.damage.read().is_empty()
    }

    /// `at` is how far into the segment the entry is likely to be: that much of so much.
    fn floor_offset_entry(
        &self,
        files: Files<'_>,
        at: (u64, u64),
        below: impl Fn(&OffsetEntry) -> bool,
    ) -> io::Result<Option<OffsetEntry>> {
        let count = match &*self.index.read() {
            Index::Memory(index) => return Ok(index.floor_offset(below)),
            Index::Files { offsets, .. } => *offsets,
            Index::Missing => return Err(io::ErrorKind::NotFound.into()),
        };
        let kinds = (FileKind::OffsetIndex, SegmentFile::OffsetIndex);
        let extent = (count, likely(count, at));
        self.floor_in_file(files, kinds, extent, OffsetEntry::decode, below)
    }

    /// The last entry of the time index with a timestamp of at most `at`.
    pub(in crate::storage) fn time_before(
        &self,
        files: Files<'_>,
        at: Timestamp,
    ) -> io::Result<Option<TimeEntry>> {
        let below = |entry: &TimeEntry| entry.timestamp <= at;
        let count = match &*self.index.read() {
            Index::Memory(index) => return Ok(floor(&index.times, below)),
            Index::Files { times, .. } => *times,
            Index::Missing => return Err(io::ErrorKind::NotFound.into()),
        };
        let kinds = (FileKind::TimeIndex, SegmentFile::TimeIndex);
        let extent = (count, count / 2);
        self.floor_in_file(files, kinds, extent, TimeEntry::decode, below)
    }

    /// The last of the `count` entries of an index file for which `below` holds; it holds for a
    /// prefix of them, which is likely to end at the one with that number.
    fn floor_in_file<const N: usize, E>(
        &self,
        files: Files<'_>,
        (kind, name): (FileKind, SegmentFile),
        (count, likely): (usize, usize),
        decode: impl Fn([u8; N]) -> E,
        below: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        if count == 0 {
            return Ok(None);
        }
        let file = self.open(files, kind, name, OpenMode::Read)?;
        let floor = last_below(&*file, count, likely, |bytes| below(&decode(*bytes)))?;
        Ok(floor.map(decode))
    }

    /// The largest timestamp of the segment, with the last offset of the first batch that has it;
    /// `None` if no batch has one.
    pub(in crate::storage) fn largest_time(
        &self,
        files: Files<'_>,
    ) -> io::Result<Option<TimeEntry>> {
        match &*self.index.read() {
            Index::Memory(index) => {
                return Ok(index.largest.filter(|entry| entry.timestamp.0 >= 0));
            }
            Index::Files { times: 0, .. } => return Ok(None),
            Index::Files { .. } | Index::Missing => {}
        }
        let proven = self.times_are_proven();
        let found = self.time_before(files, Timestamp(i64::MAX))?;
        if let (true, Some(found), Some(_)) = (proven, found, self.sealed_len()) {
            self.newest.store(found.timestamp.0, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Whether all that is in it is known to be older than `at`, without a look at any file: a
    /// search by time asks this of every segment before the one that it is for.
    pub(in crate::storage) fn is_known_to_be_older(&self, at: Timestamp) -> bool {
        self.newest.load(Ordering::Relaxed) < at.0
    }

    /// Writes the indexes to their files, if they are in memory: the files, to be synced, and what
    /// is in them.
    pub(in crate::storage) fn write_indexes(
        &self,
        files: Files<'_>,
    ) -> io::Result<Option<WrittenIndexes>> {
        let (offsets, times) = match &*self.index.read() {
            Index::Memory(index) => (index.offset_entries(), index.times.clone()),
            Index::Files { .. } | Index::Missing => return Ok(None),
        };
        let write = |kind: SegmentFile, content: Vec<u8>| {
            let file = files.cache.create(&self.path(files.dir, kind))?;
            file.set_len(0)?;
            file.write_all_at(&[&content], 0)?;
            io::Result::Ok(file)
        };
        let written = [
            write(SegmentFile::OffsetIndex, offset_index::encode(&offsets))?,
            write(SegmentFile::TimeIndex, time_index::encode(&times))?,
        ];
        let entries = IndexEntries {
            offsets: offsets.len(),
            times: times.len(),
        };
        Ok(Some((written, entries)))
    }

    /// Reads indexes from files from now on: they are written, and the segment is sealed.
    pub(in crate::storage) fn use_index_files(&self, entries: IndexEntries) {
        let mut index = self.index.write();
        if let Index::Memory(_) = &*index {
            let IndexEntries { offsets, times } = entries;
            *index = Index::Files { offsets, times };
        }
    }

    /// Whether every byte between two batch boundaries was written or checked by this process.
    pub(in crate::storage) fn is_verified(&self, from: u64, to: u64) -> bool {
        self.verified.covers(from, to)
    }

    /// Notes that the bytes between two batch boundaries were checked.
    pub(in crate::storage) fn set_verified(&self, from: u64, to: u64) {
        self.verified.add(from, to);
    }
}

/// Index files that were just written, and what is in them.
pub(in crate::storage) type WrittenIndexes = ([Arc<dyn File>; 2], IndexEntries);

/// How many entries index files have that were just written.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct IndexEntries {
    offsets: usize,
    times: usize,
}

/// The last of ascending entries that is below.
fn floor<E: Copy>(entries: &[E], below: impl Fn(&E) -> bool) -> Option<E> {
    let after = entries.partition_point(below);
    entries.get(after.checked_sub(1)?).copied()
}
