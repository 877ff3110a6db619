//! Aborted transactions, segment by segment (Kafka's `TransactionIndex`): for `read_committed`
//! readers, who must drop their records, and for the cleaner.
//!
//! Entries of the active segment are in memory, and reach the `.txnindex` file in the round that
//! makes their markers durable. Those of a sealed segment are read from its file, which has no
//! checksum of its own: what it must contain is remembered. Whatever is not known, or turns out to
//! be otherwise, is found again in the control batches: they are the truth, the file is not.
//!
//! What one segment has is here; looking for it is `find`, and remembering it over a restart
//! `told`.

mod find;
mod told;

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::batch::EndMarker;
use crate::io::{File, OpenMode};
use crate::model::Offset;
use crate::wire;

use crate::storage::format::names::SegmentFile;
use crate::storage::format::txn_index::{self, AbortedEntry};
use crate::storage::log::file_cache::FileKind;
use crate::storage::log::producers::Step;
use crate::storage::log::read::read_exact;
use crate::storage::log::scan::Scanned;
use crate::storage::log::segment::{Files, Segment};

pub(in crate::storage) use told::recall;

/// Aborted transactions of one segment that are kept in memory: a segment that has more is ended.
const ENTRIES_MAX: usize = 65_536;

/// The largest batch that is looked at for a transaction marker; a marker is one small record.
const MARKER_BATCH_BYTES_MAX: usize = 4096;

/// The aborted transactions whose markers are in one segment.
#[derive(Debug)]
pub(in crate::storage) struct AbortedIndex(Mutex<State>);

#[derive(Debug)]
enum State {
    /// Those of the segment as it was found are not known. These were added since.
    Unknown { added: Vec<AbortedEntry> },
    /// All of them; the file has the first `written`.
    Memory {
        entries: Vec<AbortedEntry>,
        written: usize,
    },
    /// All of them are in the file.
    File(Summary),
}

/// What a transaction index file must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    /// How many entries.
    entries: usize,
    /// CRC-32C of their bytes.
    crc: u32,
}

impl Summary {
    fn of(entries: &[AbortedEntry]) -> Self {
        Self {
            entries: entries.len(),
            crc: wire::crc32c(&txn_index::encode(entries)),
        }
    }
}

/// The entries of one segment that a search is about.
#[derive(Debug, Default)]
struct Found {
    entries: Vec<AbortedEntry>,
    /// Whether no later segment has any.
    complete: bool,
}

impl AbortedIndex {
    /// Of a segment that this process writes from its first byte.
    pub(in crate::storage) fn empty() -> Self {
        Self(Mutex::new(State::Memory {
            entries: Vec::new(),
            written: 0,
        }))
    }

    /// Of a segment whose file has these.
    pub(in crate::storage) fn in_file(entries: &[AbortedEntry]) -> Self {
        Self(Mutex::new(State::File(Summary::of(entries))))
    }

    /// Of a segment that was found.
    pub(in crate::storage) fn unknown() -> Self {
        Self(Mutex::new(State::Unknown { added: Vec::new() }))
    }

    /// Whether it is known to have no entry.
    fn is_known_empty(&self) -> bool {
        match &*self.0.lock() {
            State::Unknown { .. } => false,
            State::Memory { entries, .. } => entries.is_empty(),
            State::File(summary) => summary.entries == 0,
        }
    }

    /// Whether transactions were aborted in a segment of which the rest is not known.
    fn is_known_in_part(&self) -> bool {
        matches!(&*self.0.lock(), State::Unknown { added } if !added.is_empty())
    }

    fn is_known(&self) -> bool {
        !matches!(&*self.0.lock(), State::Unknown { .. })
    }

    /// Whether the segment should be ended.
    pub(in crate::storage) fn is_full(&self) -> bool {
        match &*self.0.lock() {
            State::Unknown { added: entries } | State::Memory { entries, .. } => {
                entries.len() >= ENTRIES_MAX
            }
            State::File(_) => false,
        }
    }

    /// Adds a transaction whose marker was just appended.
    pub(in crate::storage) fn add(&self, entry: AbortedEntry) {
        let mut state = self.0.lock();
        match &mut *state {
            State::Unknown { added: entries } | State::Memory { entries, .. } => {
                entries.push(entry);
            }
            State::File(_) => *state = State::Unknown { added: vec![entry] },
        }
    }

    /// Takes in what a walk over the segment's batches below `end` found.
    fn learn(&self, mut entries: Vec<AbortedEntry>, end: Offset) {
        let mut state = self.0.lock();
        if let State::Unknown { added } = &mut *state {
            entries.extend(added.iter().filter(|entry| entry.last >= end));
            *state = State::Memory {
                entries,
                written: 0,
            };
        }
    }

    /// Takes in all entries, as a start found them.
    fn set_entries(&self, entries: Vec<AbortedEntry>) {
        *self.0.lock() = State::Memory {
            entries,
            written: 0,
        };
    }

    /// Leaves the entries in the file, which is expected to be so.
    fn set_file(&self, summary: Summary) {
        *self.0.lock() = State::File(summary);
    }

    /// What the file must contain for the markers below `end`, if that is known.
    fn summary(&self, end: Offset) -> Option<Summary> {
        match &*self.0.lock() {
            State::Unknown { .. } => None,
            State::Memory { entries, .. } => {
                let below = entries.partition_point(|entry| entry.last < end);
                entries.get(..below).map(Summary::of)
            }
            State::File(summary) => Some(*summary),
        }
    }

    /// Forgets everything: the file is not what it should be.
    fn forget(&self) {
        *self.0.lock() = State::Unknown { added: Vec::new() };
    }

    /// Entries that are not in the file yet, and how many are; `None` if there is nothing to
    /// write, or nothing is known.
    fn unwritten(&self) -> Option<(Vec<AbortedEntry>, usize)> {
        match &*self.0.lock() {
            State::Memory { entries, written } => {
                let rest = entries.get(*written..).filter(|rest| !rest.is_empty())?;
                Some((rest.to_vec(), *written))
            }
            State::Unknown { .. } | State::File(_) => None,
        }
    }

    /// Notes that the file has the first `count` entries. Where the segment is `sealed`, and these
    /// are all, they are read from there.
    fn set_written(&self, count: usize, sealed: bool) {
        let mut state = self.0.lock();
        if let State::Memory { entries, written } = &mut *state {
            *written = count;
            if sealed && entries.len() == count {
                *state = State::File(Summary::of(entries));
            }
        }
    }
}

impl Segment {
    /// Writes what is not in the transaction index file yet. The file, if there was something.
    /// Nothing, once the segment has left the log: its names may be another's.
    pub(in crate::storage) fn write_aborted(
        &self,
        files: Files<'_>,
    ) -> io::Result<Option<Arc<dyn File>>> {
        if self.is_gone() {
            return Ok(None);
        }
        let Some((entries, written)) = self.aborted.unwritten() else {
            return Ok(None);
        };
        let file = files
            .cache
            .create(&self.path(files.dir, SegmentFile::TxnIndex))?;
        let at = written * txn_index::ENTRY_LENGTH;
        // Nothing of an older file, or of a write that failed, may stay behind the entries.
        file.set_len(at as u64)?;
        file.write_all_at(&[&txn_index::encode(&entries)], at as u64)?;
        let sealed = self.sealed_len().is_some();
        self.aborted.set_written(written + entries.len(), sealed);
        Ok(Some(file))
    }

    /// The entries whose markers lie at or above `from`, of transactions that begin below `upper`;
    /// `None` if they are not known.
    fn aborted_between(
        &self,
        files: Files<'_>,
        from: Offset,
        upper: Offset,
    ) -> io::Result<Option<Found>> {
        let summary = match &*self.aborted.0.lock() {
            State::Unknown { .. } => return Ok(None),
            State::Memory { entries, .. } => return Ok(Some(search(entries, from, upper))),
            State::File(Summary { entries: 0, .. }) => return Ok(Some(Found::default())),
            State::File(summary) => *summary,
        };
        let found = match self.read_aborted(files, summary) {
            Ok(Some(entries)) => Some(search(&entries, from, upper)),
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if found.is_none() {
            // The open file may be one that has no name any more.
            files.cache.forget(self.number);
            self.aborted.forget();
        }
        Ok(found)
    }

    /// The entries that a start was told of, if the file has them in front.
    fn told_aborted(&self, files: Files<'_>, told: Summary) -> Option<Vec<AbortedEntry>> {
        if told.entries == 0 {
            return Some(Vec::new());
        }
        let path = self.path(files.dir, SegmentFile::TxnIndex);
        let file = files.cache.open_once(&path).ok()?;
        read_told(&*file, told).ok()?
    }

    /// The entries in the file, if it is as it should be.
    fn read_aborted(
        &self,
        files: Files<'_>,
        summary: Summary,
    ) -> io::Result<Option<Vec<AbortedEntry>>> {
        let (kind, name) = (FileKind::TxnIndex, SegmentFile::TxnIndex);
        let file = self.open(files, kind, name, OpenMode::Read)?;
        read_told(&*file, summary)
    }
}

/// The entries in front of a file, if they are those that are meant.
fn read_told(file: &dyn File, told: Summary) -> io::Result<Option<Vec<AbortedEntry>>> {
    let len = told.entries.saturating_mul(txn_index::ENTRY_LENGTH);
    if file.len()? < len as u64 {
        return Ok(None);
    }
    let bytes = read_exact(file, 0, len)?;
    let whole = wire::crc32c(&bytes) == told.crc;
    Ok(txn_index::decode(&bytes).ok().filter(|_| whole))
}

/// As `TransactionIndex.collectAbortedTxns`. The entries' markers ascend.
fn search(entries: &[AbortedEntry], from: Offset, upper: Offset) -> Found {
    let first = entries.partition_point(|entry| entry.last < from);
    let mut found = Found::default();
    for entry in entries.iter().skip(first) {
        if entry.first < upper {
            found.entries.push(*entry);
        }
        if entry.last_stable >= upper {
            found.complete = true;
            break;
        }
    }
    found
}

/// The transaction marker of a batch, if it is one and its bytes are whole.
pub(in crate::storage) fn marker_of(
    file: &dyn File,
    batch: &Scanned,
) -> io::Result<Option<EndMarker>> {
    let header = &batch.header;
    if !header.is_control() || header.total_len() > MARKER_BATCH_BYTES_MAX {
        return Ok(None);
    }
    let bytes = read_exact(file, batch.position, header.total_len())?;
    let whole = header.crc_matches(&bytes);
    Ok(whole.then(|| EndMarker::of(&bytes)).flatten())
}

impl Step {
    /// The entry for the index, if a transaction was aborted.
    pub(in crate::storage) fn aborted(&self) -> Option<AbortedEntry> {
        match self {
            Self::Ended(ended) if ended.aborted => Some(AbortedEntry {
                producer_id: ended.producer_id,
                first: ended.first,
                last: ended.last,
                last_stable: ended.last_stable,
            }),
            Self::Ended(_) | Self::Began(_) => None,
        }
    }
}
