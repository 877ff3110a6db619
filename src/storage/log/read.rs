//! Reading whole batches, from the published view alone.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::io::{File, read_full_at};
use crate::model::Offset;
use crate::model::limits::SENDFILE_BYTES_MIN;

use crate::storage::log::memory_index::{MemoryIndex, Place};
use crate::storage::log::offsets::Mark;
use crate::storage::log::partition_log::Log;
use crate::storage::log::scan::{Depth, Scan, ScanError, Scanned};
use crate::storage::log::segment::Segment;
use crate::storage::log::shared_reads::Key;
use crate::storage::log::view::View;
use crate::storage::outcome::{AbortedTransaction, Isolation, ReadError, ReadOutcome, RecordBytes};
use crate::storage::recovery::damage::Lost;

impl View {
    /// Where a reader must stop.
    pub(in crate::storage) fn bound(&self, isolation: Isolation) -> Mark {
        match isolation {
            Isolation::ReadUncommitted => self.committed,
            Isolation::ReadCommitted => self.last_stable,
            Isolation::LogEnd => self.end,
        }
    }

    /// Bytes of a segment before the bound.
    pub(in crate::storage) fn limit(&self, segment: &Segment, bound: Mark) -> u64 {
        match segment.base.cmp(&bound.segment) {
            std::cmp::Ordering::Greater => 0,
            std::cmp::Ordering::Equal => bound.position,
            // Before the bound's segment there are sealed ones alone.
            std::cmp::Ordering::Less => segment.sealed_len().unwrap_or(0),
        }
    }

    /// The segments from the one that may hold `offset`.
    pub(in crate::storage) fn segments_from(&self, offset: Offset) -> &[Arc<Segment>] {
        let after = self
            .segments
            .partition_point(|segment| segment.base <= offset);
        self.segments
            .get(after.saturating_sub(1)..)
            .unwrap_or_default()
    }
}

/// What the system said, as the answer to a reader.
pub(in crate::storage) fn storage(error: io::Error) -> ReadError {
    ReadError::Storage(error.to_string())
}

/// Bytes of a file, and where they begin.
type Nearby = (u64, Vec<u8>);

/// Where a search by offset ended.
enum Seek {
    /// At the first batch that ends at or after the offset; with it what was read on the way.
    Batch(Scanned, Nearby),
    /// Behind the last batch, which ends before this offset.
    End(Offset),
}

impl Log {
    /// What `look` finds in the newest view. It looks again where segments were replaced under its
    /// eyes: files of theirs that are not open yet cannot be opened any more.
    pub(in crate::storage) fn in_newest_view<T>(
        &self,
        look: impl Fn(&View) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            let view = self.published().load();
            let found = look(&view);
            let outdated = || view.segments.iter().any(|segment| segment.is_gone());
            if found.is_ok() || !outdated() {
                return found;
            }
        }
    }

    /// Reads whole batches from the one that contains `from`, all of one segment.
    pub(in crate::storage) fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        self.in_newest_view(|view| self.read_in(view, from, max_bytes, at_least_one, isolation))
    }

    fn read_in(
        &self,
        view: &View,
        from: Offset,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<ReadOutcome, ReadError> {
        let offsets = view.offsets();
        if self.context().is_deleted() {
            return Err(ReadError::Deleted);
        }
        if from < view.log_start || from > view.end.offset {
            let (log_start, log_end) = (view.log_start, view.end.offset);
            return Err(ReadError::OutOfRange {
                offset: from,
                log_start,
                log_end,
            });
        }
        let bound = view.bound(isolation);
        let nothing = ReadOutcome {
            records: RecordBytes::EMPTY,
            offsets,
            aborted: Vec::new(),
            of_older_segment: false,
        };
        if from >= bound.offset {
            return Ok(nothing);
        }
        for segment in view.segments_from(from) {
            let limit = view.limit(segment, bound);
            if limit == 0 {
                self.expect_no_loss(segment, segment.base..from, limit, bound)?;
                continue;
            }
            let may_have_aborted =
                isolation == Isolation::ReadCommitted && view.may_have_aborted(from);
            let shared = &self.context().core.shared_reads;
            // What others who waited for the same records have just read.
            let key = (segment.base == bound.segment).then_some(Key {
                segment: segment.number,
                from,
                end: limit,
            });
            if let Some(bytes) = key.and_then(|key| shared.get(key))
                && bytes.len() <= max_bytes
                && !may_have_aborted
            {
                return Ok(ReadOutcome {
                    records: RecordBytes::Memory(bytes),
                    ..nothing
                });
            }
            let file = match self.log_file(segment) {
                // Its records were deleted since the view was loaded.
                Err(_) if self.published().load().log_start > from => {
                    let newest = self.published().load().offsets();
                    let (log_start, log_end) = (newest.log_start, newest.log_end);
                    return Err(ReadError::OutOfRange {
                        offset: from,
                        log_start,
                        log_end,
                    });
                }
                file => file?,
            };
            // Damage that the first look at some bytes brings to light is noted, and then it is
            // clear what is behind it.
            loop {
                // Offsets that the cleaner took are passed over: the next batch may be in the next
                // segment.
                let (first, nearby) = match segment.known_batch(from, limit) {
                    Some(place) => (place, Nearby::default()),
                    None => match self.seek(segment, &*file, from, limit)? {
                        Seek::Batch(Scanned { header, position }, nearby) => {
                            (Place::of(&header, position), nearby)
                        }
                        Seek::End(end) => {
                            self.expect_no_loss(segment, end..from, limit, bound)?;
                            break;
                        }
                    },
                };
                let wanted = first.position.saturating_add(max_bytes as u64);
                let end = match first.end > wanted {
                    true if at_least_one => first.end,
                    true => return Ok(nothing),
                    false if wanted >= limit => limit,
                    false => match segment.known_boundary(first.end, wanted) {
                        Some(end) => end,
                        None => self.last_boundary(segment, &*file, first.end, wanted, limit)?,
                    },
                };
                if let Some(end) = self.verify(segment, &*file, &first, end, limit)? {
                    let crowded = self.context().core.files.is_crowded();
                    let records = take(&file, first.position, end, crowded, nearby);
                    let records = records.map_err(storage)?;
                    // A log in memory shares its bytes as it is, and wants them back.
                    if let (Some(key), RecordBytes::Memory(bytes)) = (key, &records)
                        && end == limit
                        && file.descriptor().is_some()
                    {
                        shared.put(key, bytes);
                    }
                    let aborted = match may_have_aborted {
                        true => {
                            let upper = self.offset_at(segment, &*file, &first, end, bound)?;
                            self.aborted_between(from, upper)?
                        }
                        false => Vec::new(),
                    };
                    return Ok(ReadOutcome {
                        records,
                        aborted: aborted.iter().map(AbortedTransaction::from).collect(),
                        of_older_segment: segment.base < bound.segment,
                        ..nothing
                    });
                }
            }
        }
        Ok(nothing)
    }

    /// A walk over the batches of a segment, which knows where offsets must not be missing.
    pub(in crate::storage) fn scan<'a>(
        &self,
        segment: &'a Segment,
        file: &'a dyn File,
        depth: Depth,
        start: u64,
        limit: u64,
    ) -> Scan<'a> {
        segment
            .scan(file, depth, start, limit)
            .gaps_below(self.context().gaps_allowed_below())
    }

    /// The batches of the segment, up to the limit, end at the first of these offsets, and the
    /// second is asked for: looks whether there should be more, because the segment after it, or
    /// the bound, begins beyond, and nothing was cleaned there.
    fn expect_no_loss(
        &self,
        segment: &Segment,
        offsets: Range<Offset>,
        limit: u64,
        bound: Mark,
    ) -> Result<(), ReadError> {
        let next = match segment.base == bound.segment {
            true => bound.offset,
            false => segment.end().unwrap_or(bound.offset),
        };
        if offsets.end >= next || next <= self.context().gaps_allowed_below() {
            return Ok(());
        }
        let lost = Lost {
            bytes: limit..limit,
            offsets: offsets.start..next,
        };
        self.note_damage(segment, lost, "the batches at its end are missing");
        Err(ReadError::Corrupt {
            offset: offsets.end,
        })
    }

    fn note_damage(&self, segment: &Segment, lost: Lost, reason: &str) -> bool {
        self.context().report_damage(segment.base, &lost, reason);
        segment.add_damage(lost)
    }

    /// The `.log` file of a segment; an error if the partition was deleted meanwhile, since then
    /// its name may be that of another partition's file.
    pub(in crate::storage) fn log_file(
        &self,
        segment: &Segment,
    ) -> Result<Arc<dyn File>, ReadError> {
        let file = segment.log_file(self.context().files());
        match self.context().is_deleted() {
            true => Err(ReadError::Deleted),
            false => file.map_err(storage),
        }
    }

    /// The first batch of a segment that ends at or after `offset`.
    pub(in crate::storage) fn find(
        &self,
        segment: &Segment,
        file: &dyn File,
        offset: Offset,
        limit: u64,
    ) -> Result<Option<Scanned>, ReadError> {
        match self.seek(segment, file, offset, limit)? {
            Seek::Batch(batch, _) => Ok(Some(batch)),
            Seek::End(_) => Ok(None),
        }
    }

    fn seek(
        &self,
        segment: &Segment,
        file: &dyn File,
        offset: Offset,
        limit: u64,
    ) -> Result<Seek, ReadError> {
        let files = self.context().files();
        // An index has no checksum: its entry must name a batch that is there. One that does not,
        // or that cannot be read, is built again, once.
        let mut rebuilt = false;
        loop {
            let entry = match segment.entry_before(files, offset) {
                Ok(entry) => entry,
                Err(error) if rebuilt => return Err(storage(error)),
                Err(_) => {
                    rebuilt = self.rebuild_index(segment, file)?;
                    continue;
                }
            };
            let start = entry.map_or(0, |entry| u64::from(entry.position));
            let mut scan = self.scan(segment, file, Depth::Headers, start, limit);
            let mut next = scan.next();
            if let Some(entry) = entry
                && !rebuilt
                && !matches!(&next, Ok(Some(batch)) if entry.names(segment.base, &batch.header))
            {
                rebuilt = self.rebuild_index(segment, file)?;
                continue;
            }
            // Where a search for damage begins.
            let sound = match &next {
                Ok(Some(batch)) => (start, batch.header.base_offset),
                Ok(None) | Err(_) => (0, segment.base),
            };
            loop {
                match next {
                    Ok(Some(batch)) if batch.header.last_offset() >= offset => {
                        return Ok(Seek::Batch(batch, scan.into_window()));
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(Seek::End(scan.next_offset())),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    Err(ScanError::Damaged { .. }) => match scan.step_over_known() {
                        Some(lost) if offset < lost.offsets.end => {
                            return Err(ReadError::Corrupt { offset });
                        }
                        Some(_) => {}
                        None if self.find_damage(segment, file, sound, limit)? => break,
                        None => return Err(ReadError::Corrupt { offset }),
                    },
                }
                next = scan.next();
            }
        }
    }

    /// Looks for damage that is not known yet, from a position on where a batch with an offset
    /// begins, and notes the first that it finds; whether there was any. A hop from header to header stumbles over
    /// it, but may do so only behind the batch that is to blame.
    pub(in crate::storage) fn find_damage(
        &self,
        segment: &Segment,
        file: &dyn File,
        from: (u64, Offset),
        limit: u64,
    ) -> Result<bool, ReadError> {
        let view = self.published().load();
        let limit = match view.end.segment == segment.base {
            true => limit.max(view.end.position),
            false => segment.sealed_len().unwrap_or(limit),
        };
        let mut scan = self
            .scan(segment, file, Depth::Checksums, from.0, limit)
            .expecting(from.1)
            .with_epochs(&view.epochs);
        loop {
            let reason = match scan.next() {
                Ok(Some(_)) => continue,
                Ok(None) => return Ok(false),
                Err(ScanError::Io(error)) => return Err(storage(error)),
                Err(ScanError::Damaged { reason, .. }) => reason,
            };
            if scan.step_over_known().is_some() {
                continue;
            }
            let (position, next_offset) = (scan.position(), scan.next_offset());
            let lost = match scan.step_over_damage().map_err(storage)? {
                Some(lost) => lost,
                // Nothing behind it, up to the end of what may be read now.
                None => Lost {
                    bytes: position..limit,
                    offsets: next_offset..segment.end().unwrap_or(view.end.offset),
                },
            };
            return Ok(self.note_damage(segment, lost, &reason));
        }
    }

    /// Builds the indexes of a segment from its batches' headers; true, for the caller's memory.
    pub(in crate::storage) fn rebuild_index(
        &self,
        segment: &Segment,
        file: &dyn File,
    ) -> Result<bool, ReadError> {
        let partition = &self.context().directory;
        tracing::warn!(partition, segment = segment.base.0, "rebuilding an index");
        let interval = self.context().config.load().index_interval_bytes;
        let active_len = self.published().load().end.position;
        let limit = segment.sealed_len().unwrap_or(active_len);
        let (index, next_offset) = 'again: loop {
            let mut index = MemoryIndex::default();
            let mut scan = self.scan(segment, file, Depth::Headers, 0, limit);
            loop {
                match scan.next() {
                    Ok(Some(batch)) => {
                        index.note(segment.base, &batch.header, batch.position, interval);
                    }
                    Ok(None) => break 'again (index, scan.next_offset()),
                    Err(ScanError::Damaged { .. }) => {
                        if scan.step_over_known().is_some() {
                            continue;
                        }
                        match self.find_damage(segment, file, (0, segment.base), limit)? {
                            true => continue 'again,
                            false => break 'again (index, scan.next_offset()),
                        }
                    }
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                }
            }
        };
        segment.replace_index(index, limit, next_offset);
        // It serves from memory as well. Where segments are being replaced its name may soon be
        // another's.
        if segment.sealed_len().is_some()
            && let Some(_name_is_its_own) = self.try_stop_upkeep()
            && !segment.is_gone()
            && !segment.is_arriving()
            && let Err(error) = segment.write_indexes(self.context().files())
        {
            tracing::warn!(partition, %error, "cannot write a rebuilt index");
        }
        Ok(true)
    }

    /// The last batch boundary at or before `wanted`, which lies between the boundary `from` and
    /// the limit.
    fn last_boundary(
        &self,
        segment: &Segment,
        file: &dyn File,
        from: u64,
        wanted: u64,
        limit: u64,
    ) -> Result<u64, ReadError> {
        let files = self.context().files();
        let known = segment.entry_at_or_before(files, wanted).ok().flatten();
        let known = known.filter(|entry| u64::from(entry.position) >= from);
        for entry in [known, None] {
            let start = entry.map_or(from, |entry| u64::from(entry.position));
            let mut scan = self.scan(segment, file, Depth::Headers, start, limit);
            let (mut end, mut lies) = (start, false);
            loop {
                match scan.next() {
                    // Indexes have no checksum.
                    Ok(Some(batch))
                        if end == start
                            && entry
                                .is_some_and(|entry| !entry.names(segment.base, &batch.header)) =>
                    {
                        lies = true;
                        break;
                    }
                    Ok(Some(batch)) if batch.end() <= wanted => end = batch.end(),
                    Ok(_) => return Ok(end),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    // Whoever reads on will meet it.
                    Err(ScanError::Damaged { .. }) => break,
                }
            }
            if !lies && (end > start || entry.is_none()) {
                return Ok(end);
            }
        }
        Ok(from)
    }

    /// The offset after the last batch that ends at or before `end`, which is at or behind the end
    /// of `first`. It does not depend on how dense the index is.
    fn offset_at(
        &self,
        segment: &Segment,
        file: &dyn File,
        first: &Place,
        end: u64,
        bound: Mark,
    ) -> Result<Offset, ReadError> {
        if end <= first.end {
            return Ok(first.next_offset);
        }
        let files = self.context().files();
        let known = segment.entry_at_or_before(files, end - 1).ok().flatten();
        let known = known.map_or(0, |entry| u64::from(entry.position));
        for start in [known.max(first.position), first.position] {
            let mut scan = self.scan(segment, file, Depth::Headers, start, end);
            loop {
                match scan.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(scan.next_offset()),
                    Err(ScanError::Io(error)) => return Err(storage(error)),
                    // The index lied.
                    Err(ScanError::Damaged { .. }) => break,
                }
            }
        }
        Ok(bound.offset)
    }

    /// Checks every byte, from the first batch to a boundary, that this process neither wrote nor
    /// checked. The end of what may be served: the damage, if there is some behind the first
    /// batch. `None` if the first batch is not what it says: the damage is noted now, and what is
    /// to be read has to be found again.
    fn verify(
        &self,
        segment: &Segment,
        file: &dyn File,
        first: &Place,
        end: u64,
        limit: u64,
    ) -> Result<Option<u64>, ReadError> {
        let (start, base_offset) = (first.position, first.base_offset);
        if segment.is_verified(start, end) {
            return Ok(Some(end));
        }
        let epochs = self.published().load().epochs.clone();
        let mut scan = self
            .scan(segment, file, Depth::Checksums, start, end)
            .expecting(base_offset)
            .with_epochs(&epochs);
        let valid_end = loop {
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => break end,
                Err(ScanError::Damaged { position, .. }) if position > start => break position,
                Err(ScanError::Damaged { .. }) => {
                    let noted = self.find_damage(segment, file, (start, base_offset), limit)?;
                    return match noted {
                        true => Ok(None),
                        false => Err(ReadError::Corrupt {
                            offset: base_offset,
                        }),
                    };
                }
                Err(ScanError::Io(error)) => return Err(storage(error)),
            }
        };
        segment.set_verified(start, valid_end);
        Ok(Some(valid_end))
    }
}

/// The bytes between two positions: shared memory, what was read already, a region to send, or a
/// copy, where that costs less, or where too many files are held already: a slow reader holds the
/// file of a region.
fn take(
    file: &Arc<dyn File>,
    start: u64,
    end: u64,
    crowded: bool,
    (nearby_start, nearby): Nearby,
) -> io::Result<RecordBytes> {
    let len = usize::try_from(end - start).map_err(io::Error::other)?;
    if let Some(bytes) = file.shared(start, len) {
        return Ok(RecordBytes::Memory(bytes));
    }
    if let Some(from) = start.checked_sub(nearby_start)
        && let Ok(from) = usize::try_from(from)
        && from.checked_add(len).is_some_and(|to| to <= nearby.len())
    {
        return Ok(RecordBytes::Memory(
            Bytes::from(nearby).slice(from..from + len),
        ));
    }
    if len >= SENDFILE_BYTES_MIN && !crowded && file.descriptor().is_some() {
        return Ok(RecordBytes::Region {
            file: file.clone(),
            position: start,
            len,
        });
    }
    read_exact(&**file, start, len).map(|bytes| RecordBytes::Memory(bytes.into()))
}

/// `len` bytes at `start`, which must be there.
pub(in crate::storage) fn read_exact(
    file: &dyn File,
    start: u64,
    len: usize,
) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    match read_full_at(file, &mut bytes, start)? {
        filled if filled == len => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
