//! The indexes of a segment that is being written, in memory.

use crate::batch::BatchHeader;
use crate::model::Offset;

use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::storage::format::time_index::{self, TimeEntry};

/// The indexes of a segment that is being written.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct MemoryIndex {
    pub(in crate::storage) offsets: Vec<OffsetEntry>,
    pub(in crate::storage) times: Vec<TimeEntry>,
    /// The largest timestamp so far, and the last offset of the first batch that has it.
    pub(in crate::storage) largest: Option<TimeEntry>,
    bytes_since_entry: u64,
}

impl MemoryIndex {
    /// The indexes as their files have them, as far as the entries make sense. None of them is to
    /// be believed before [`forget_from`](Self::forget_from) and [`forget_tail`](Self::forget_tail).
    pub(in crate::storage) fn from_files(offsets: &[u8], times: &[u8]) -> Self {
        let times = time_index::decode(times);
        Self {
            offsets: offset_index::decode(offsets),
            largest: times.last().copied(),
            times,
            bytes_since_entry: 0,
        }
    }

    /// Forgets entries for batches that end at `offset` or beyond.
    pub(in crate::storage) fn forget_from(&mut self, base: Offset, offset: Offset) {
        let end = relative(base, offset);
        self.offsets.retain(|entry| entry.relative_offset < end);
    }

    /// Forgets what follows the last batch that has an entry in both indexes, as if that batch were
    /// to be noted next; its entries. The time index names a batch where it has the largest
    /// timestamp so far: from any other batch on nobody could tell what that is.
    pub(in crate::storage) fn forget_tail(&mut self) -> Option<(OffsetEntry, TimeEntry)> {
        let common = loop {
            match (self.offsets.last().copied(), self.times.last().copied()) {
                (Some(offset), Some(time)) => {
                    match time.relative_offset.cmp(&offset.relative_offset) {
                        std::cmp::Ordering::Equal => break Some((offset, time)),
                        std::cmp::Ordering::Greater => self.times.pop().map(drop),
                        std::cmp::Ordering::Less => self.offsets.pop().map(drop),
                    }
                }
                (None, _) | (_, None) => {
                    (self.offsets, self.times) = (Vec::new(), Vec::new());
                    break None;
                }
            };
        };
        self.largest = common.map(|(_, time)| time);
        self.bytes_since_entry = 0;
        common
    }

    /// Takes in the batch at `position`, whose offsets are final, as Kafka's `LogSegment.append`.
    pub(in crate::storage) fn note(
        &mut self,
        base: Offset,
        header: &BatchHeader,
        position: u64,
        interval_bytes: u64,
    ) {
        let relative_offset = relative(base, header.last_offset());
        if self
            .largest
            .is_none_or(|largest| header.max_timestamp > largest.timestamp)
        {
            self.largest = Some(TimeEntry {
                timestamp: header.max_timestamp,
                relative_offset,
            });
        }
        if self.bytes_since_entry > interval_bytes {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            if self
                .offsets
                .last()
                .is_none_or(|last| relative_offset > last.relative_offset)
            {
                self.offsets.push(OffsetEntry {
                    relative_offset,
                    position,
                });
            }
            self.note_largest();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry = self
            .bytes_since_entry
            .saturating_add(header.total_len() as u64);
    }

    /// Adds the largest timestamp to the time index, if it is not there.
    pub(in crate::storage) fn note_largest(&mut self) {
        let Some(largest) = self.largest.filter(|largest| largest.timestamp.0 >= 0) else {
            return;
        };
        if self
            .times
            .last()
            .is_none_or(|last| largest.timestamp > last.timestamp)
        {
            self.times.push(largest);
        }
    }

    /// The entries from these numbers on for batches that end below `offset`; `None` if there are
    /// not even so many.
    pub(in crate::storage) fn entries_between(
        &self,
        (offsets, times): (usize, usize),
        base: Offset,
        offset: Offset,
    ) -> Option<(Vec<OffsetEntry>, Vec<TimeEntry>)> {
        let end = relative(base, offset);
        let below = |entry: &&OffsetEntry| entry.relative_offset < end;
        let new_offsets = self.offsets.get(offsets..)?.iter().take_while(below);
        let below = |entry: &&TimeEntry| entry.relative_offset < end;
        let new_times = self.times.get(times..)?.iter().take_while(below);
        Some((new_offsets.copied().collect(), new_times.copied().collect()))
    }

    /// Takes in what a newer index says of batches from a position, and offset, on.
    pub(super) fn take_in(&mut self, newer: &Self, position: u64, relative_offset: u32) {
        let offsets = newer.offsets.iter();
        let later = offsets.filter(|entry| u64::from(entry.position) >= position);
        self.offsets.extend(later);
        let times = newer.times.iter().copied().chain(newer.largest);
        for entry in times.filter(|entry| entry.relative_offset >= relative_offset) {
            if self
                .largest
                .is_none_or(|largest| entry.timestamp > largest.timestamp)
            {
                self.largest = Some(entry);
            }
            if Some(entry) != newer.largest {
                self.note_largest();
            }
        }
        self.bytes_since_entry = newer.bytes_since_entry;
    }

    /// Whether another entry might not fit into `max_bytes` (`segment.index.bytes`).
    pub(in crate::storage) fn is_full(&self, max_bytes: u64) -> bool {
        let entries = |entry_length: usize| max_bytes / entry_length as u64;
        self.offsets.len() as u64 >= entries(offset_index::ENTRY_LENGTH)
            || self.times.len() as u64 >= entries(time_index::ENTRY_LENGTH).saturating_sub(1)
    }
}

pub(super) fn relative(base: Offset, offset: Offset) -> u32 {
    u32::try_from(offset.0.saturating_sub(base.0)).unwrap_or(0)
}
