//! The journal of durable offsets: what is known to be on disk when nothing else is.
//!
//! Each round of syncs notes what the round before it made durable, while it syncs, so that no
//! acknowledgement waits for a second sync. So after a power cut the journal is at most two rounds
//! behind what was acknowledged, and never ahead of what was on disk. The file is written over in
//! place: all its blocks are there, so a record costs the file system no change of its own.
//!
//! Order, for each record: the logs' files are synced, then it is written, then synced, then the
//! next one is written. For a bigger file: written in full and synced under another name, renamed,
//! and the directory synced before the next record.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::io::{File, Io, OpenMode, SharedIo, read_full_at};
use crate::model::TopicPartition;

use crate::storage::format::journal::{
    self, Area, BLOCK_BYTES, Contents, DurablePoint, Kind, Record,
};
use crate::storage::format::names;

/// Where each log is known to be on disk, as the journal says.
pub(in crate::storage) type DurablePoints = HashMap<TopicPartition, DurablePoint>;

/// The smallest area.
const AREA_BYTES_MIN: usize = 16 * BLOCK_BYTES;

/// A new file's areas have room for so many snapshots, so that most records are no snapshots.
const AREA_SNAPSHOTS: usize = 2;

/// Why a record is not in the journal.
#[derive(Debug, thiserror::Error)]
pub(in crate::storage) enum NoteError {
    /// It could not be written; the journal says what it said before, and later records say this
    /// one's, too.
    #[error("cannot write the durable offsets: {0}")]
    Write(io::Error),
    /// It was not synced: final, as any sync.
    #[error("cannot sync the durable offsets: {0}")]
    Sync(io::Error),
}

/// The journal of a data directory.
#[derive(Debug)]
pub(in crate::storage) struct Journal {
    io: SharedIo,
    path: PathBuf,
    known: Mutex<Known>,
    /// Where the next record goes. Copied by the one that writes, so that no lock is held while
    /// it syncs: there is only one at a time.
    place: Mutex<Place>,
    /// Whether it was said that records cannot be written.
    complained: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    points: DurablePoints,
    /// What no record says yet.
    news: DurablePoints,
}

/// What a round made durable.
#[derive(Debug)]
pub(in crate::storage) struct News(DurablePoints);

#[derive(Clone, Debug)]
struct Place {
    /// The file, from the first record of this process on.
    file: Option<Arc<dyn File>>,
    /// Whether the file holds anything that can be believed.
    exists: bool,
    area_bytes: u64,
    area: Area,
    /// Where in the area the next record goes.
    next: u64,
    /// That of the last record.
    sequence: u64,
}

/// What the journal at `path` says; `None` if it is missing, or nothing in it can be believed.
/// Then no offset is known to be durable but what the recovery points say.
pub(in crate::storage) fn read(io: &dyn Io, path: &Path) -> Option<Contents> {
    let read = || {
        let file = io.open(path, OpenMode::Read)?;
        let len = file.len()?.min(journal::FILE_BYTES_MAX);
        let mut content = vec![0; usize::try_from(len).unwrap_or(0)];
        let filled = read_full_at(&*file, &mut content, 0)?;
        content.truncate(filled);
        io::Result::Ok(content)
    };
    let content = match read() {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "cannot read the durable offsets");
            return None;
        }
    };
    let contents = journal::decode(&content);
    if contents.is_none() {
        tracing::error!(path = %path.display(), "ignoring the durable offsets: damaged");
    }
    contents
}

impl Journal {
    /// The journal in `dir`, which said `found`. No file is touched before the first record.
    pub(in crate::storage) fn new(io: SharedIo, dir: &Path, found: Option<Contents>) -> Self {
        let place = Place {
            file: None,
            exists: found.is_some(),
            area_bytes: 0,
            area: found.as_ref().map_or(Area::Second, |found| found.area),
            next: 0,
            sequence: found.as_ref().map_or(0, |found| found.sequence),
        };
        let points = found.map(|found| found.points).unwrap_or_default();
        Self {
            io,
            path: dir.join(names::DURABLE_OFFSETS),
            known: Mutex::new(Known {
                points,
                news: DurablePoints::new(),
            }),
            place: Mutex::new(place),
            complained: AtomicBool::new(false),
        }
    }

    /// Notes that a log is on disk up to `point`, unless `is_gone`.
    pub(in crate::storage) fn note(
        &self,
        id: TopicPartition,
        point: DurablePoint,
        is_gone: impl FnOnce() -> bool,
    ) {
        let mut known = self.known.lock();
        // Under the lock: the deletion forgets it after it said that it deletes.
        if !is_gone() {
            known.points.insert(id, point);
            known.news.insert(id, point);
        }
    }

    /// Up to where a log is known to be on disk.
    pub(in crate::storage) fn point(&self, id: &TopicPartition) -> Option<DurablePoint> {
        self.known.lock().points.get(id).copied()
    }

    /// Forgets a deleted partition; the file does with its next snapshot.
    pub(in crate::storage) fn forget(&self, id: &TopicPartition) {
        let mut known = self.known.lock();
        known.points.remove(id);
        known.news.remove(id);
    }

    /// Forgets all partitions for which `is_known` does not hold.
    pub(in crate::storage) fn retain(&self, is_known: impl Fn(&TopicPartition) -> bool) {
        let mut known = self.known.lock();
        known.points.retain(|id, _| is_known(id));
        known.news.retain(|id, _| is_known(id));
    }

    /// Takes what no record says yet, for the next one.
    pub(in crate::storage) fn take_news(&self) -> Option<News> {
        let news = std::mem::take(&mut self.known.lock().news);
        (!news.is_empty()).then_some(News(news))
    }

    /// Whether there is anything that no record says yet.
    #[cfg(test)]
    pub(in crate::storage) fn has_news(&self) -> bool {
        !self.known.lock().news.is_empty()
    }

    /// Writes a record and syncs it. Only one caller at a time.
    pub(in crate::storage) fn write(&self, news: News) -> Result<(), NoteError> {
        let mut place = self.place.lock().clone();
        let written = self.write_at(&mut place, &news);
        *self.place.lock() = place;
        match &written {
            Ok(()) => self.complained.store(false, Ordering::Relaxed),
            Err(error) => {
                self.put_back(news);
                if !self.complained.swap(true, Ordering::Relaxed) {
                    tracing::error!(path = %self.path.display(), %error, "durable offsets stay behind");
                }
            }
        }
        written
    }

    /// What a record does not say after all; newer news stay.
    fn put_back(&self, news: News) {
        let mut known = self.known.lock();
        for (id, point) in news.0 {
            if known.points.contains_key(&id) {
                known.news.entry(id).or_insert(point);
            }
        }
    }

    fn write_at(&self, place: &mut Place, news: &News) -> Result<(), NoteError> {
        let len = (journal::blocks(news.0.len()) * BLOCK_BYTES) as u64;
        let Some(file) = place
            .file
            .clone()
            .filter(|_| place.next + len <= place.area_bytes)
        else {
            return self.begin_area(place);
        };
        let record = Record {
            sequence: place.sequence + 1,
            kind: Kind::Change,
            entries: news.0.iter().map(|(id, point)| (*id, *point)).collect(),
        };
        let at = place.area.start(place.area_bytes) + place.next;
        file.write_all_at(&[&record.encode()], at)
            .map_err(NoteError::Write)?;
        file.sync_data().map_err(NoteError::Sync)?;
        (place.sequence, place.next) = (record.sequence, place.next + len);
        Ok(())
    }

    /// Begins the area that does not hold the newest chain with a snapshot, or a bigger file.
    fn begin_area(&self, place: &mut Place) -> Result<(), NoteError> {
        let entries: Vec<_> = {
            let known = self.known.lock();
            let all = known.points.iter();
            all.map(|(id, point)| (*id, *point)).collect()
        };
        let record = Record {
            sequence: place.sequence + 1,
            kind: Kind::Snapshot,
            entries,
        };
        let snapshot = record.encode();
        let len = snapshot.len() as u64;
        if place.file.is_none() && place.exists {
            let file = self
                .io
                .open(&self.path, OpenMode::Write)
                .map_err(NoteError::Write)?;
            let file_len = file.len().map_err(NoteError::Write)?;
            let file_len = usize::try_from(file_len).unwrap_or(usize::MAX);
            place.area_bytes = journal::area_bytes(file_len) as u64;
            place.file = Some(file);
        }
        match place.file.clone() {
            Some(file) if len <= place.area_bytes => {
                let area = place.area.other();
                file.write_all_at(&[&snapshot], area.start(place.area_bytes))
                    .map_err(NoteError::Write)?;
                file.sync_data().map_err(NoteError::Sync)?;
                place.area = area;
            }
            Some(_) | None => {
                let area_bytes = (snapshot.len() * AREA_SNAPSHOTS)
                    .next_power_of_two()
                    .max(AREA_BYTES_MIN);
                place.file = Some(self.create(&snapshot, area_bytes)?);
                (place.area, place.area_bytes) = (Area::First, area_bytes as u64);
                place.exists = true;
            }
        }
        (place.sequence, place.next) = (record.sequence, len);
        Ok(())
    }

    /// Puts a file that begins with `snapshot` in the place of the one that is there, if any.
    fn create(&self, snapshot: &[u8], area_bytes: usize) -> Result<Arc<dyn File>, NoteError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = Path::new(&name);
        let written = || {
            let file = self.io.open(temporary, OpenMode::Create)?;
            file.set_len(0)?;
            // Zeros, not a hole: every later record then finds its blocks on the disk.
            let zeros = vec![0; (2 * area_bytes).saturating_sub(snapshot.len())];
            file.write_all_at(&[snapshot, &zeros], 0)?;
            io::Result::Ok(file)
        };
        let file = written().map_err(NoteError::Write)?;
        file.sync_data().map_err(NoteError::Sync)?;
        self.io
            .rename(temporary, &self.path)
            .map_err(NoteError::Write)?;
        if let Some(dir) = self.path.parent() {
            self.io.sync_dir(dir).map_err(NoteError::Sync)?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;
    use crate::storage::format::journal::tests::{id, point};

    const DIR: &str = "/d";

    fn path() -> PathBuf {
        Path::new(DIR).join(names::DURABLE_OFFSETS)
    }

    fn reopened(io: SharedIo) -> Journal {
        let found = read(&*io, &path());
        Journal::new(io, Path::new(DIR), found)
    }

    fn note(journal: &Journal, topic: u128, offset: i64) {
        journal.note(id(topic), point(offset), || false);
    }

    fn write(journal: &Journal) -> Result<(), NoteError> {
        journal.write(journal.take_news().unwrap())
    }

    fn offset_of(io: &dyn Io, topic: u128) -> Option<i64> {
        let found = read(io, &path())?;
        found.points.get(&id(topic)).map(|point| point.offset.0)
    }

    #[test]
    fn the_file_stays_small_however_many_records_there_are() {
        let io = MemoryIo::shared();
        io.create_dir_all(Path::new(DIR)).unwrap();
        let mut journal = reopened(io.clone());
        for offset in 1..200 {
            note(&journal, 1, offset);
            note(&journal, 2, offset * 2);
            assert!(journal.has_news());
            write(&journal).unwrap();
            assert!(!journal.has_news());
            assert_eq!(offset_of(&*io, 1), Some(offset));
            assert_eq!(offset_of(&*io, 2), Some(offset * 2));
            if offset % 17 == 0 {
                journal = reopened(io.clone());
            }
        }
        assert_eq!(io.read(&path()).unwrap().len(), 2 * AREA_BYTES_MIN);
    }

    #[test]
    fn the_file_grows_with_the_partitions_and_deleted_ones_leave() {
        let io = MemoryIo::shared();
        io.create_dir_all(Path::new(DIR)).unwrap();
        let journal = reopened(io.clone());
        for topic in 0..5_000 {
            note(&journal, topic, 7);
            if topic % 100 == 0 {
                write(&journal).unwrap();
            }
        }
        write(&journal).unwrap();
        let len = io.read(&path()).unwrap().len();
        let snapshot = journal::blocks(5_000) * BLOCK_BYTES;
        assert!((2 * snapshot..=8 * snapshot).contains(&len), "{len}");
        assert_eq!(read(&*io, &path()).unwrap().points.len(), 5_000);
        for topic in 1..5_000 {
            journal.forget(&id(topic));
        }
        journal.note(id(1), point(9), || true);
        for offset in 8..300 {
            note(&journal, 0, offset);
            write(&journal).unwrap();
        }
        let left = read(&*io, &path()).unwrap().points;
        assert_eq!(left, HashMap::from([(id(0), point(299))]));
        note(&journal, 3, 1);
        journal.retain(|known| *known == id(0));
        assert!(!journal.has_news());
    }

    #[test]
    fn a_damaged_journal_is_replaced_and_none_is_believed() {
        let io = MemoryIo::shared();
        io.create_dir_all(Path::new(DIR)).unwrap();
        let file = io.open(&path(), OpenMode::Create).unwrap();
        file.write_all_at(&[&[7; 10_000]], 0).unwrap();
        assert_eq!(offset_of(&*io, 1), None);
        let journal = reopened(io.clone());
        note(&journal, 1, 5);
        write(&journal).unwrap();
        assert_eq!(offset_of(&*io, 1), Some(5));
    }

    #[test]
    fn a_record_that_cannot_be_written_is_made_up_for_later() {
        let io = MemoryIo::bounded(2 * AREA_BYTES_MIN as u64 + 100);
        io.create_dir_all(Path::new(DIR)).unwrap();
        let other = io
            .open(&Path::new(DIR).join("other"), OpenMode::Create)
            .unwrap();
        other.set_len(200).unwrap();
        let journal = reopened(io.clone());
        note(&journal, 1, 5);
        assert!(matches!(write(&journal), Err(NoteError::Write(_))));
        assert!(journal.has_news());
        note(&journal, 1, 6);
        other.set_len(0).unwrap();
        write(&journal).unwrap();
        assert_eq!(offset_of(&*io, 1), Some(6));
    }
}
