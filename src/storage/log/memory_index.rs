//! The indexes of a segment that is being written, in memory.

use crate::batch::BatchHeader;
use crate::model::Offset;

use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::storage::format::time_index::{self, TimeEntry};

/// An entry of the offset index, and what its file does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    entry: OffsetEntry,
    /// Where the batch ends; 0 where the entry was read from a file.
    end: u32,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Place {
    /// Its first byte.
    pub(in crate::storage) position: u64,
    /// The byte after its last.
    pub(in crate::storage) end: u64,
    /// Its first offset.
    pub(in crate::storage) base_offset: Offset,
    /// The offset after its last.
    pub(in crate::storage) next_offset: Offset,
}

impl Place {
    /// That of a batch with this header.
    pub(in crate::storage) fn of(header: &BatchHeader, position: u64) -> Self {
        Self {
            position,
            end: position + header.total_len() as u64,
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
        }
    }
}

/// How far indexes were, to go back to.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct IndexMark {
    offsets: usize,
    times: usize,
    largest: Option<TimeEntry>,
    bytes_since_entry: u64,
}

/// The indexes of a segment that is being written.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct MemoryIndex {
    offsets: Vec<Known>,
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
        let offsets = offset_index::decode(offsets).into_iter();
        Self {
            offsets: offsets.map(|entry| Known { entry, end: 0 }).collect(),
            largest: times.last().copied(),
            times,
            bytes_since_entry: 0,
        }
    }

    /// Forgets entries for batches that end at `offset` or beyond.
    pub(in crate::storage) fn forget_from(&mut self, base: Offset, offset: Offset) {
        let end = relative(base, offset);
        self.offsets
            .retain(|known| known.entry.relative_offset < end);
    }

    /// How far they are.
    pub(in crate::storage) fn mark(&self) -> IndexMark {
        IndexMark {
            offsets: self.offsets.len(),
            times: self.times.len(),
            largest: self.largest,
            bytes_since_entry: self.bytes_since_entry,
        }
    }

    /// Forgets everything that was taken in after a mark.
    pub(in crate::storage) fn back_to(&mut self, mark: IndexMark) {
        self.offsets.truncate(mark.offsets);
        self.times.truncate(mark.times);
        (self.largest, self.bytes_since_entry) = (mark.largest, mark.bytes_since_entry);
    }

    /// How many entries the offset index has.
    pub(in crate::storage) fn offset_count(&self) -> usize {
        self.offsets.len()
    }

    /// The offset index.
    pub(in crate::storage) fn offset_entries(&self) -> Vec<OffsetEntry> {
        self.offsets.iter().map(|known| known.entry).collect()
    }

    /// The last entry of the offset index for which `below` holds; it holds for a prefix of them.
    pub(super) fn floor_offset(&self, below: impl Fn(&OffsetEntry) -> bool) -> Option<OffsetEntry> {
        self.floor(below).map(|known| known.entry)
    }

    fn floor(&self, below: impl Fn(&OffsetEntry) -> bool) -> Option<&Known> {
        let after = self.offsets.partition_point(|known| below(&known.entry));
        self.offsets.get(after.checked_sub(1)?)
    }

    /// The first batch that ends at or after `offset`, if it and the one before it have entries,
    /// as batches have that are larger than the interval: then nothing is between them, and no look
    /// into the file is needed to tell which batch it is.
    pub(super) fn batch_from(&self, base: Offset, offset: Offset) -> Option<Place> {
        let target = relative(base, offset);
        let after = (self.offsets).partition_point(|known| known.entry.relative_offset < target);
        let (before, batch) = (
            self.offsets.get(after.checked_sub(1)?)?,
            self.offsets.get(after)?,
        );
        if before.end != batch.entry.position || batch.end == 0 {
            return None;
        }
        let behind = |known: &Known| base.plus(i64::from(known.entry.relative_offset) + 1);
        Some(Place {
            position: u64::from(batch.entry.position),
            end: u64::from(batch.end),
            base_offset: behind(before),
            next_offset: behind(batch),
        })
    }

    /// The last batch boundary at or before a position, if it is one of a batch that has an entry.
    pub(super) fn boundary_before(&self, position: u64) -> Option<u64> {
        let known = self.floor(|entry| u64::from(entry.position) <= position)?;
        let (start, end) = (u64::from(known.entry.position), u64::from(known.end));
        match end.cmp(&position) {
            std::cmp::Ordering::Greater => Some(start),
            std::cmp::Ordering::Equal => Some(end),
            // Others may be between; or the entry was read, and may lie.
            std::cmp::Ordering::Less => None,
        }
    }

    /// Forgets what follows the last batch that has an entry in both indexes, as if that batch were
    /// to be noted next; its entries. The time index names a batch where it has the largest
    /// timestamp so far: from any other batch on nobody could tell what that is.
    pub(in crate::storage) fn forget_tail(&mut self) -> Option<(OffsetEntry, TimeEntry)> {
        let common = loop {
            match (self.offsets.last().copied(), self.times.last().copied()) {
                (Some(Known { entry, .. }), Some(time)) => {
                    match time.relative_offset.cmp(&entry.relative_offset) {
                        std::cmp::Ordering::Equal => break Some((entry, time)),
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
            let end = position + header.total_len() as u64;
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            if self
                .offsets
                .last()
                .is_none_or(|last| relative_offset > last.entry.relative_offset)
            {
                self.offsets.push(Known {
                    entry: OffsetEntry {
                        relative_offset,
                        position,
                    },
                    end: u32::try_from(end).unwrap_or(0),
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
        let below = |known: &&Known| known.entry.relative_offset < end;
        let new_offsets = self.offsets.get(offsets..)?.iter().take_while(below);
        let new_offsets = new_offsets.map(|known| known.entry).collect();
        let below = |entry: &&TimeEntry| entry.relative_offset < end;
        let new_times = self.times.get(times..)?.iter().take_while(below);
        Some((new_offsets, new_times.copied().collect()))
    }

    /// Takes in what a newer index says of batches from a position, and offset, on.
    pub(super) fn take_in(&mut self, newer: &Self, position: u64, relative_offset: u32) {
        let offsets = newer.offsets.iter();
        let later = offsets.filter(|known| u64::from(known.entry.position) >= position);
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
        self.offset_count() as u64 >= entries(offset_index::ENTRY_LENGTH)
            || self.times.len() as u64 >= entries(time_index::ENTRY_LENGTH).saturating_sub(1)
    }
}

pub(super) fn relative(base: Offset, offset: Offset) -> u32 {
    u32::try_from(offset.0.saturating_sub(base.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use crate::model::Timestamp;

    const INTERVAL: u64 = 100;

    /// Notes batches of one record each, from offset 0 on, with values of these sizes; where they
    /// are.
    fn noted(sizes: &[usize]) -> (MemoryIndex, Vec<Place>) {
        let (mut index, mut places, mut position) = (MemoryIndex::default(), Vec::new(), 0);
        for (offset, size) in (0..).zip(sizes) {
            let mut builder = BatchBuilder::new().base_offset(Offset(offset));
            builder.push(Timestamp(0), None, Some(&vec![b'v'; *size]));
            let header = builder.build().unwrap().header;
            index.note(Offset(0), &header, position, INTERVAL);
            places.push(Place::of(&header, position));
            position += header.total_len() as u64;
        }
        (index, places)
    }

    #[test]
    fn a_large_batch_behind_a_large_one_is_known_without_a_look_at_the_file() {
        let (index, places) = noted(&[200; 5]);
        // The first has no entry, and so nobody knows what is before the second.
        for offset in [0, 1] {
            assert_eq!(index.batch_from(Offset(0), Offset(offset)), None);
        }
        for place in &places[2..] {
            let found = index.batch_from(Offset(0), place.base_offset);
            assert_eq!(found, Some(*place));
        }
        assert_eq!(index.batch_from(Offset(0), Offset(5)), None);
    }

    #[test]
    fn what_may_be_a_small_batch_between_large_ones_is_not_known() {
        let (index, places) = noted(&[200, 200, 200, 10, 200, 200]);
        let known = (0..6).map(|offset| index.batch_from(Offset(0), Offset(offset)));
        let known: Vec<_> = known.collect();
        // The small one has an entry, since a large one is before it; the next one has none.
        let expected = [None, None, Some(places[2]), Some(places[3]), None, None];
        assert_eq!(known, expected);
    }

    #[test]
    fn a_boundary_is_known_within_and_at_the_ends_of_batches_that_have_entries() {
        let (index, places) = noted(&[200, 200, 200, 10, 10, 200]);
        let boundary = |position| index.boundary_before(position);
        assert_eq!(boundary(places[0].end - 1), None);
        for place in &places[1..4] {
            assert_eq!(boundary(place.position), Some(place.position));
            assert_eq!(boundary(place.end - 1), Some(place.position));
        }
        assert_eq!(boundary(places[3].end), Some(places[3].end));
        assert_eq!(boundary(places[3].end + 1), None);
        assert_eq!(boundary(places[4].end), Some(places[5].position));
    }

    #[test]
    fn entries_that_were_read_are_not_believed() {
        let (index, places) = noted(&[200; 4]);
        let read = MemoryIndex::from_files(&offset_index::encode(&index.offset_entries()), &[]);
        assert_eq!(read.offset_entries(), index.offset_entries());
        assert_eq!(read.batch_from(Offset(0), Offset(2)), None);
        assert_eq!(read.boundary_before(places[2].position), None);
        assert_eq!(read.boundary_before(places[2].end - 1), None);
    }
}
