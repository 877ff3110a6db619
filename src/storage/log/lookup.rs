//! Finding records by time.

use std::ops::Range;

use crate::batch::{self, BatchHeader};
use crate::io::File;
use crate::model::{Offset, Timestamp};

use crate::storage::format::time_index::TimeEntry;
use crate::storage::log::partition_log::Log;
use crate::storage::log::read::{read_exact, storage};
use crate::storage::log::scan::{Depth, ScanError, Scanned};
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::outcome::{Isolation, ReadError, TimestampOffset};

impl Log {
    /// The first record below the bound whose timestamp is at least `at`.
    pub(in crate::storage) fn first_at_or_after(
        &self,
        at: Timestamp,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        self.in_newest_view(|view| self.first_at_or_after_in(view, at, isolation))
    }

    fn first_at_or_after_in(
        &self,
        view: &View,
        at: Timestamp,
        isolation: Isolation,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let bound = view.bound(isolation);
        for segment in view.segments_from(view.log_start) {
            if segment.is_known_to_be_older(at) {
                continue;
            }
            let limit = view.limit(segment, bound);
            if limit == 0 {
                continue;
            }
            let file = self.log_file(segment)?;
            let largest = self.largest_time(segment, &*file)?;
            if largest.is_none_or(|largest| largest.timestamp < at) {
                continue;
            }
            let start = self.start_for_time(segment, &*file, at, limit)?;
            let found = self.first_from(segment, &*file, start..limit, at, view.log_start)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of the log.
    pub(in crate::storage) fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        self.in_newest_view(|view| self.max_timestamp_in(view))
    }

    fn max_timestamp_in(&self, view: &View) -> Result<Option<TimestampOffset>, ReadError> {
        let mut largest: Option<(&Segment, TimeEntry)> = None;
        for segment in view.segments_from(view.log_start) {
            let limit = view.limit(segment, view.end);
            if limit == 0 {
                continue;
            }
            let file = self.log_file(segment)?;
            let candidate = match segment.base < view.log_start {
                // The index counts records that were deleted, too.
                true => self.largest_time_from(segment, &*file, view.log_start, limit)?,
                false => self.largest_time(segment, &*file)?,
            };
            let Some(candidate) = candidate else { continue };
            if largest.is_none_or(|(_, entry)| candidate.timestamp > entry.timestamp) {
                largest = Some((segment, candidate));
            }
        }
        let Some((segment, entry)) = largest else {
            return Ok(None);
        };
        let file = self.log_file(segment)?;
        let limit = view.limit(segment, view.end);
        let offset = segment.base.plus(i64::from(entry.relative_offset));
        let Some(batch) = self.find(segment, &*file, offset, limit)? else {
            return Ok(None);
        };
        let wanted = |record: &TimestampOffset| {
            record.timestamp == entry.timestamp && record.offset >= view.log_start
        };
        match first_record(&*file, &batch, wanted).map_err(storage)? {
            Found::Record(record) => Ok(Some(record)),
            Found::None | Found::Damage => Ok(Some(TimestampOffset {
                timestamp: entry.timestamp,
                offset: batch.header.base_offset.max(view.log_start),
                leader_epoch: Some(batch.header.leader_epoch),
            })),
        }
    }

    /// The first record between two positions of a segment, of which the first is a batch boundary,
    /// that is neither before `log_start` nor older than `at`.
    fn first_from(
        &self,
        segment: &Segment,
        file: &dyn File,
        bytes: Range<u64>,
        at: Timestamp,
        log_start: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let wanted =
            |record: &TimestampOffset| record.timestamp >= at && record.offset >= log_start;
        'again: loop {
            let mut scan = self.scan(segment, file, Depth::Headers, bytes.start, bytes.end);
            let mut sound = (0, segment.base);
            loop {
                let batch = match scan.next() {
                    Ok(Some(batch)) => batch,
                    Ok(None) => return Ok(None),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    // Damage must not stand in the way of what lies behind it.
                    Err(ScanError::Damaged { .. }) => match scan.step_over_known() {
                        Some(_) => continue,
                        None if self.find_damage(segment, file, sound, bytes.end)? => {
                            continue 'again;
                        }
                        None => return Ok(None),
                    },
                };
                if batch.position == bytes.start {
                    sound = (batch.position, batch.header.base_offset);
                }
                if batch.header.max_timestamp < at || batch.header.last_offset() < log_start {
                    continue;
                }
                match first_record(file, &batch, wanted).map_err(storage)? {
                    Found::Record(record) => return Ok(Some(record)),
                    Found::None => {}
                    Found::Damage if self.find_damage(segment, file, sound, bytes.end)? => {
                        continue 'again;
                    }
                    Found::Damage => return Ok(None),
                }
            }
        }
    }

    /// Where the search for a time begins: no batch before it has a timestamp of `at` or later.
    fn start_for_time(
        &self,
        segment: &Segment,
        file: &dyn File,
        at: Timestamp,
        limit: u64,
    ) -> Result<u64, ReadError> {
        let Some(entry) = segment
            .time_before(self.context().files(), at)
            .map_err(storage)?
        else {
            return Ok(0);
        };
        let offset = segment.base.plus(i64::from(entry.relative_offset));
        match self.find(segment, file, offset, limit)? {
            Some(batch) if names(&entry, offset, &batch.header) => Ok(batch.position),
            // Beyond the bound, or an entry that lies.
            Some(_) | None => Ok(0),
        }
    }

    /// The largest timestamp of a segment, by its index, which is that of its batches.
    fn largest_time(
        &self,
        segment: &Segment,
        file: &dyn File,
    ) -> Result<Option<TimeEntry>, ReadError> {
        let files = self.context().files();
        self.prove_times(segment, file)?;
        match segment.largest_time(files) {
            Ok(largest) => Ok(largest),
            Err(_) => {
                self.rebuild_index(segment, file)?;
                segment.largest_time(files).map_err(storage)
            }
        }
    }

    /// Sees to it that the time index of a segment can be believed: it has no checksum, and one
    /// that was cut, zeroed or is of another segment hides records from a search by time, or has a
    /// segment go before its time. An index that a process found is looked at once: its entries
    /// must ascend, the last one must name a batch, and no batch behind that may be newer. One
    /// that fails is built again.
    pub(in crate::storage) fn prove_times(
        &self,
        segment: &Segment,
        file: &dyn File,
    ) -> Result<(), ReadError> {
        if segment.times_are_proven() {
            return Ok(());
        }
        // What is appended from here on is noted by this process.
        let len = match segment.sealed_len() {
            Some(len) => len,
            None => self.published().load().end.position,
        };
        let times = segment.all_times(self.context().files()).ok().flatten();
        if let Some(times) = times
            && self.ends_with_newest(segment, file, times.last(), len)?
        {
            segment.set_times_proven();
            return Ok(());
        }
        self.rebuild_index(segment, file)?;
        segment.set_times_proven();
        Ok(())
    }

    /// Whether the last entry of a time index names a batch of the segment, and no batch behind it
    /// is newer. Without entries there is no batch with a timestamp.
    fn ends_with_newest(
        &self,
        segment: &Segment,
        file: &dyn File,
        last: Option<&TimeEntry>,
        len: u64,
    ) -> Result<bool, ReadError> {
        let (start, newest) = match last {
            None => (0, -1),
            Some(entry) => {
                let offset = segment.base.plus(i64::from(entry.relative_offset));
                match self.find(segment, file, offset, len) {
                    Ok(Some(batch)) if names(entry, offset, &batch.header) => {
                        (batch.position, entry.timestamp.0)
                    }
                    Ok(_) | Err(ReadError::Corrupt { .. }) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        };
        let mut scan = self.scan(segment, file, Depth::Headers, start, len);
        loop {
            match scan.next() {
                Ok(Some(batch)) if batch.header.max_timestamp.0 > newest => return Ok(false),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(true),
                Err(ScanError::Io(error)) => return Err(storage(error)),
                // Building it again finds what is there.
                Err(ScanError::Damaged { .. }) => match scan.step_over_known() {
                    Some(_) => {}
                    None => return Ok(false),
                },
            }
        }
    }

    /// The largest timestamp of the batches of a segment that reach beyond `from`.
    fn largest_time_from(
        &self,
        segment: &Segment,
        file: &dyn File,
        from: Offset,
        limit: u64,
    ) -> Result<Option<TimeEntry>, ReadError> {
        let Some(first) = self.find(segment, file, from, limit)? else {
            return Ok(None);
        };
        let mut scan = self.scan(segment, file, Depth::Headers, first.position, limit);
        let mut largest: Option<TimeEntry> = None;
        while let Ok(Some(batch)) = scan.next() {
            let timestamp = batch.header.max_timestamp;
            if timestamp.0 >= 0 && largest.is_none_or(|largest| timestamp > largest.timestamp) {
                let relative = batch.header.last_offset().0 - segment.base.0;
                let relative_offset = u32::try_from(relative).unwrap_or(0);
                largest = Some(TimeEntry {
                    timestamp,
                    relative_offset,
                });
            }
        }
        Ok(largest)
    }
}

/// Whether a time index entry for `offset` describes the batch found there.
pub(in crate::storage) fn names(entry: &TimeEntry, offset: Offset, header: &BatchHeader) -> bool {
    header.last_offset() == offset && header.max_timestamp == entry.timestamp
}

/// What was found in a batch.
enum Found {
    /// A record that is wanted, the first.
    Record(TimestampOffset),
    /// None, or the batch cannot be decoded: it must not stand in the way of a search.
    None,
    /// The batch is not what was written.
    Damage,
}

/// The first record of a batch that is wanted.
fn first_record(
    file: &dyn File,
    batch: &Scanned,
    wanted: impl Fn(&TimestampOffset) -> bool,
) -> std::io::Result<Found> {
    let bytes = read_exact(file, batch.position, batch.header.total_len())?;
    if !batch.header.crc_matches(&bytes) {
        return Ok(Found::Damage);
    }
    let leader_epoch = Some(batch.header.leader_epoch);
    let found = |(timestamp, offset)| TimestampOffset {
        timestamp,
        offset,
        leader_epoch,
    };
    let record = batch::find_record(&batch.header, &bytes, |timestamp, offset| {
        wanted(&found((timestamp, offset)))
    });
    Ok(record
        .ok()
        .flatten()
        .map_or(Found::None, |record| Found::Record(found(record))))
}
