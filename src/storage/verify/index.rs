//! Whether the indexes of a segment say what its batches say.
//!
//! Indexes are sparse, and how sparse was a setting at the time: nothing is wrong with an entry
//! that is not there. Every entry that is there must be what building the index again, with an
//! entry for every batch, would give.

use std::ops::Range;

use crate::model::{Offset, Timestamp};
use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::storage::format::time_index::{self, TimeEntry};
use crate::storage::log::scan::Scanned;

/// The first entry that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongEntry {
    /// Its bytes in the file; where bytes are missing, an empty range.
    pub(super) bytes: Range<u64>,
    /// What is wrong.
    pub(super) reason: String,
}

fn bytes_of(entry: usize, length: usize) -> Range<u64> {
    let start = (entry * length) as u64;
    start..start + length as u64
}

/// What does not fill an entry.
fn rest_of(content: &[u8], length: usize) -> Option<WrongEntry> {
    let whole = content.len() - content.len() % length;
    (whole < content.len()).then(|| WrongEntry {
        bytes: whole as u64..content.len() as u64,
        reason: "half an entry".to_owned(),
    })
}

/// Holds an `.index` against the batches of its segment, which come in order.
#[derive(Debug)]
pub(super) struct OffsetIndexCheck {
    entries: Vec<OffsetEntry>,
    next: usize,
    wrong: Option<WrongEntry>,
    rest: Option<WrongEntry>,
}

impl OffsetIndexCheck {
    pub(super) fn new(content: &[u8]) -> Self {
        let (chunks, _) = content.as_chunks();
        Self {
            entries: chunks
                .iter()
                .map(|chunk| OffsetEntry::decode(*chunk))
                .collect(),
            next: 0,
            wrong: None,
            rest: rest_of(content, offset_index::ENTRY_LENGTH),
        }
    }

    /// The next entry names no batch.
    fn refuse(&mut self, entry: OffsetEntry) {
        let (at, position) = (self.next, entry.position);
        self.wrong.get_or_insert_with(|| WrongEntry {
            bytes: bytes_of(at, offset_index::ENTRY_LENGTH),
            reason: format!(
                "entry {at} names position {position} for relative offset {}, where no such batch \
                 begins",
                entry.relative_offset
            ),
        });
        self.next += 1;
    }

    /// Takes in the next whole batch.
    pub(super) fn batch(&mut self, base: Offset, batch: &Scanned) {
        while let Some(entry) = self.entries.get(self.next).copied() {
            match u64::from(entry.position).cmp(&batch.position) {
                std::cmp::Ordering::Greater => return,
                std::cmp::Ordering::Less => self.refuse(entry),
                std::cmp::Ordering::Equal if entry.names(base, &batch.header) => self.next += 1,
                std::cmp::Ordering::Equal => self.refuse(entry),
            }
        }
    }

    /// Passes over entries that name damaged bytes: nobody can say whether they are right.
    pub(super) fn damage(&mut self, bytes: &Range<u64>) {
        while let Some(entry) = self.entries.get(self.next).copied() {
            match u64::from(entry.position) {
                position if position >= bytes.end => return,
                position if bytes.contains(&position) => self.next += 1,
                _ => self.refuse(entry),
            }
        }
    }

    /// The first wrong entry, once all batches were seen. `complete`: whether the file was written
    /// after them; else it may name batches that a crash took.
    pub(super) fn finish(mut self, complete: bool) -> Option<WrongEntry> {
        while let Some(entry) = self.entries.get(self.next).copied().filter(|_| complete) {
            self.refuse(entry);
        }
        self.wrong.or(self.rest)
    }
}

/// Holds a `.timeindex` against the batches of its segment, which come in order.
#[derive(Debug)]
pub(super) struct TimeIndexCheck {
    entries: Vec<TimeEntry>,
    next: usize,
    /// Largest timestamp so far.
    largest: Option<Timestamp>,
    /// Whether batches are missing from what was seen so far.
    blind: bool,
    wrong: Option<WrongEntry>,
    rest: Option<WrongEntry>,
}

impl TimeIndexCheck {
    pub(super) fn new(content: &[u8]) -> Self {
        let (chunks, _) = content.as_chunks();
        Self {
            entries: chunks
                .iter()
                .map(|chunk| TimeEntry::decode(*chunk))
                .collect(),
            next: 0,
            largest: None,
            blind: false,
            wrong: None,
            rest: rest_of(content, time_index::ENTRY_LENGTH),
        }
    }

    fn refuse(&mut self, entry: TimeEntry) {
        let at = self.next;
        self.wrong.get_or_insert_with(|| WrongEntry {
            bytes: bytes_of(at, time_index::ENTRY_LENGTH),
            reason: format!(
                "entry {at} names timestamp {} for relative offset {}, which is not the largest \
                 one up to there",
                entry.timestamp, entry.relative_offset
            ),
        });
        self.next += 1;
    }

    /// Takes in the next whole batch.
    pub(super) fn batch(&mut self, base: Offset, batch: &Scanned) {
        let header = &batch.header;
        let raises = self
            .largest
            .is_none_or(|largest| header.max_timestamp > largest);
        if raises {
            self.largest = Some(header.max_timestamp);
        }
        while let Some(entry) = self.entries.get(self.next).copied() {
            let named = base.plus(i64::from(entry.relative_offset));
            let right = match named.cmp(&header.last_offset()) {
                std::cmp::Ordering::Greater => return,
                // What it names may have been in a damaged batch.
                std::cmp::Ordering::Less => self.blind,
                std::cmp::Ordering::Equal => raises && entry.timestamp == header.max_timestamp,
            };
            match right {
                true => self.next += 1,
                false => self.refuse(entry),
            }
        }
    }

    /// Notes that batches are missing.
    pub(super) fn damage(&mut self) {
        self.blind = true;
    }

    /// The first wrong entry, once all batches were seen. `complete`: whether the file was written
    /// after them; then its last entry names the largest timestamp.
    pub(super) fn finish(mut self, complete: bool) -> Option<WrongEntry> {
        while let Some(entry) = self.entries.get(self.next).copied().filter(|_| complete) {
            match self.blind {
                true => self.next += 1,
                false => self.refuse(entry),
            }
        }
        let largest = self.largest.filter(|largest| largest.0 >= 0);
        let noted = self.entries.last().map(|entry| entry.timestamp);
        let end = (self.entries.len() * time_index::ENTRY_LENGTH) as u64;
        let incomplete = (complete && !self.blind && noted < largest).then(|| WrongEntry {
            bytes: end..end,
            reason: "the largest timestamp of the segment is missing at its end".to_owned(),
        });
        self.wrong.or(self.rest).or(incomplete)
    }
}
