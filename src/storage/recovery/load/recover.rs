//! Recovery of one log after an unclean stop: what is kept, what is cut, what is refused.
//!
//! *Trusted* is what was on disk for certain: below the newer of the durable offset that the
//! journal knows and the recovery point. It is believed until somebody reads it; only what comes
//! after it is checked, byte by byte, so that a start costs what was not flushed. The way there is
//! found through the indexes that were written before, as far as they name batches.
//!
//! | what is found | what becomes of it |
//! | --- | --- |
//! | no batch begins where the trusted bytes end, or with another offset | the whole segment is checked |
//! | damage, and a valid batch that can follow it | both are kept, the damage is refused to readers and reported |
//! | damage at or above the trusted offset in the last segment, nothing valid behind it: a torn batch, zeros, old bytes | a torn tail: cut, the cut is logged |
//! | damage below the trusted offset, nothing valid behind it | kept, refused, reported; the log goes on in a new segment at the trusted offset |
//! | the file ends before the trusted offset | the same, with no bytes to keep |
//! | segments at the end, from the trusted offset on, without a valid batch: a roll that was not finished, zeros | removed; the one before is the last |
//! | a segment ends before the next begins, and nothing was cleaned there | the offsets between are refused and reported |
//! | an index that is missing, short, zeroed or of another segment | built again from there on |
//!
//! Nothing below the trusted offset is ever cut, and no offset below it is given out twice. What
//! is kept is synced before anybody is told of it. A second recovery finds the same.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::io::{File, read_full_at};
use crate::model::Offset;

use super::epochs::EpochsSeen;
use super::{Found, FoundSegment, Loader, Taken, current_epoch};
use crate::storage::format::names::SegmentFile;
use crate::storage::log::epochs::Epochs;
use crate::storage::log::memory_index::MemoryIndex;
use crate::storage::log::offsets::Mark;
use crate::storage::log::scan::{Depth, Scan, ScanError};
use crate::storage::log::segment::Segment;
use crate::storage::recovery::damage::Lost;

/// Bytes that are written again at a time.
const WRITE_AGAIN_BYTES: usize = 1024 * 1024;

/// Up to where a log was on disk for certain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trusted {
    pub(super) offset: Offset,
    /// Segment and position of that offset, where the journal says it.
    place: Option<(Offset, u64)>,
}

impl Trusted {
    /// Up to which position a segment's bytes were whole.
    fn position_in(self, base: Offset) -> Option<u64> {
        self.place
            .filter(|(segment, _)| *segment == base)
            .map(|(_, position)| position)
    }
}

/// Where an approach along the headers ended: at a batch boundary.
pub(super) struct Approach {
    pub(super) index: MemoryIndex,
    pub(super) position: u64,
    /// The offset there.
    pub(super) offset: Offset,
    /// The epochs on the way.
    pub(super) epochs: Epochs,
}

impl Approach {
    /// At the first byte of a segment.
    fn at_start(base: Offset) -> Self {
        Self {
            index: MemoryIndex::default(),
            position: 0,
            offset: base,
            epochs: Epochs::default(),
        }
    }
}

/// What the check of one segment gave.
struct Checked {
    segment: Segment,
    len: u64,
    next_offset: Offset,
}

/// Whether a valid batch ends where the file does, when the walk goes on as recovery itself would:
/// over damage, too. So a second recovery, of the file that the first one cut, judges alike.
fn leads_to_end(mut scan: Scan<'_>) -> io::Result<bool> {
    loop {
        match scan.next() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(ScanError::Damaged { .. }) if scan.step_over_damage()?.is_some() => {}
            Err(ScanError::Damaged { .. }) => return Ok(false),
            Err(ScanError::Io(error)) => return Err(error),
        }
    }
}

impl Loader<'_> {
    /// Up to where this log was on disk for certain.
    pub(super) fn trusted(&self, recovery_point: Offset) -> Trusted {
        let durable = self.context.durable_point();
        match durable.filter(|durable| durable.offset >= recovery_point) {
            Some(durable) => Trusted {
                offset: durable.offset,
                place: Some((durable.segment, durable.position)),
            },
            None => Trusted {
                offset: recovery_point,
                place: None,
            },
        }
    }

    /// Takes up a log after an unclean stop.
    pub(super) fn recover_all(
        &self,
        found: &mut Found,
        recovery_point: Offset,
        epochs: &mut Epochs,
    ) -> io::Result<Taken> {
        let trusted = self.trusted(recovery_point);
        self.remove_unwritten(found, trusted)?;
        let mut segments = Vec::with_capacity(found.segments.len());
        let mut end = Mark {
            offset: Offset(0),
            segment: Offset(0),
            position: 0,
        };
        let mut bases = found.segments.iter().peekable();
        while let Some((&base, files)) = bases.next() {
            let next_base = bases.peek().map(|(base, _)| **base);
            if next_base.is_some_and(|next| next <= trusted.offset) {
                segments.push(Arc::new(self.take_sealed(base, files)));
                continue;
            }
            let checked = self.recover_segment(base, files, next_base, trusted, epochs)?;
            end = Mark {
                offset: checked.next_offset,
                segment: base,
                position: checked.len,
            };
            segments.push(Arc::new(checked.segment));
        }
        Ok(Taken { segments, end })
    }

    /// Removes segments at the end of the log in which nothing was ever acknowledged and no batch
    /// is whole: a roll whose first batch did not reach the disk.
    fn remove_unwritten(&self, found: &mut Found, trusted: Trusted) -> io::Result<()> {
        let (io, dir) = (&self.context.core.io, &self.context.path);
        let mut removed = false;
        while let Some((&base, files)) = found.segments.last_key_value()
            && found.segments.len() > 1
            && base >= trusted.offset
        {
            let len = files.log.unwrap_or(0);
            let file = self.open_log(base)?;
            let mut scan = Scan::new(&*file, Depth::Checksums, base, 0, len)
                .gaps_below(self.context.gaps_allowed_below())
                .whole_below(trusted.offset);
            match scan.next() {
                Ok(Some(_)) => break,
                Ok(None) => {}
                Err(ScanError::Io(error)) => return Err(error),
                Err(ScanError::Damaged { .. }) if scan.step_over_damage()?.is_some() => break,
                Err(ScanError::Damaged { .. }) => {}
            }
            tracing::warn!(
                partition = self.context.directory,
                segment = base.0,
                cut_bytes = len,
                "removing a segment in which nothing was written"
            );
            let (kinds, log) = (SegmentFile::ALL.into_iter(), SegmentFile::Log);
            // The log last: without it a crash would leave files that nobody looks for.
            for kind in kinds.filter(|kind| *kind != log).chain([log]) {
                // Snapshots are looked after where producers are loaded.
                if kind != SegmentFile::Snapshot {
                    match io.remove_file(&dir.join(kind.name(base))) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        Ok(()) | Err(_) => {}
                    }
                }
            }
            found.segments.remove(&base);
            removed = true;
        }
        // It must not come back behind batches that are appended to the one before.
        if removed { io.sync_dir(dir) } else { Ok(()) }
    }

    /// Finds the way from the last batch that an index names to where `arrived` (by position and
    /// offset) says so, along the headers, noting them. `None` if it leads elsewhere.
    pub(super) fn approach(
        &self,
        base: Offset,
        file: &dyn File,
        mut index: MemoryIndex,
        arrived: impl Fn(u64, Offset) -> bool,
    ) -> io::Result<Option<Approach>> {
        let len = file.len()?;
        let gaps_below = self.context.gaps_allowed_below();
        let scan = |start| Scan::new(file, Depth::Headers, base, start, len).gaps_below(gaps_below);
        let start = index.forget_tail();
        let mut walk = scan(start.map_or(0, |(entry, _)| u64::from(entry.position)));
        if let Some((entry, time)) = start {
            match walk.clone().next() {
                Ok(Some(batch))
                    if entry.names(base, &batch.header)
                        && batch.header.max_timestamp == time.timestamp =>
                {
                    walk = walk.expecting(batch.header.base_offset);
                }
                Err(ScanError::Io(error)) => return Err(error),
                Ok(_) | Err(ScanError::Damaged { .. }) => {
                    (index, walk) = (MemoryIndex::default(), scan(0));
                }
            }
        }
        let mut epochs = EpochsSeen::default();
        loop {
            let (position, offset) = (walk.position(), walk.next_offset());
            if arrived(position, offset) {
                return Ok(Some(Approach {
                    index,
                    position,
                    offset,
                    epochs: epochs.finish_part(current_epoch(self.context)),
                }));
            }
            match walk.next() {
                Ok(Some(batch)) => {
                    index.note(base, &batch.header, batch.position, self.index_interval());
                    epochs.note(batch.header.leader_epoch, batch.header.base_offset);
                }
                Ok(None) | Err(ScanError::Damaged { .. }) => return Ok(None),
                Err(ScanError::Io(error)) => return Err(error),
            }
        }
    }

    /// Checks what is above the trusted offset in a segment that reaches beyond it.
    fn recover_segment(
        &self,
        base: Offset,
        files: &FoundSegment,
        next_base: Option<Offset>,
        trusted: Trusted,
        epochs: &mut Epochs,
    ) -> io::Result<Checked> {
        let file = self.open_log(base)?;
        let place = trusted.position_in(base);
        let start = match trusted.offset > base {
            true => {
                let mut index = self.read_indexes(base, files).unwrap_or_default();
                index.forget_from(base, trusted.offset);
                self.approach(base, &*file, index, |position, offset| {
                    offset == trusted.offset && place.is_none_or(|place| place == position)
                })?
            }
            false => Some(Approach::at_start(base)),
        };
        let start = start.unwrap_or_else(|| {
            tracing::warn!(
                partition = self.context.directory,
                segment = base.0,
                offset = trusted.offset.0,
                "no batch begins at the durable offset: checking the whole segment"
            );
            Approach::at_start(base)
        });
        self.check(base, &*file, next_base, trusted, start, epochs)
    }

    /// Checks every byte of a segment from a batch boundary on, as the table at the top says.
    fn check(
        &self,
        base: Offset,
        file: &dyn File,
        next_base: Option<Offset>,
        trusted: Trusted,
        start: Approach,
        epochs: &mut Epochs,
    ) -> io::Result<Checked> {
        let len = file.len()?;
        let Approach {
            mut index,
            position: from,
            offset: mut next_offset,
            epochs: known,
        } = start;
        epochs.assign_all(&known);
        let mut scan = Scan::new(file, Depth::Checksums, base, from, len)
            .expecting(next_offset)
            .gaps_below(self.context.gaps_allowed_below())
            .whole_below(trusted.offset);
        if let Some(next) = next_base {
            scan = scan.below(next);
        }
        let (mut good, mut good_from): (Vec<Range<u64>>, u64) = (Vec::new(), from);
        let mut damaged: Vec<Lost> = Vec::new();
        let (mut end, mut accounted_to) = (len, Offset(0));
        loop {
            let reason = match scan.next() {
                Ok(Some(batch)) => {
                    index.note(base, &batch.header, batch.position, self.index_interval());
                    next_offset = batch.header.next_offset();
                    epochs.assign(batch.header.leader_epoch, batch.header.base_offset);
                    continue;
                }
                Ok(None) => break,
                Err(ScanError::Damaged { reason, .. }) => reason,
                Err(ScanError::Io(error)) => return Err(error),
            };
            let damage = scan.position();
            good.push(good_from..damage);
            let may_be_torn = next_base.is_none() && next_offset >= trusted.offset;
            let cut_short = may_be_torn && scan.stands_at_cut_batch()?;
            let mut island = scan.step_over_damage()?;
            // Within a batch that was cut short there may be, in a record, what looks like one.
            // It does not lead to the end of the file, as batches behind a damaged length do.
            if island.is_some() && cut_short && !leads_to_end(scan.clone())? {
                island = None;
            }
            match island {
                Some(lost) => {
                    self.context.report_damage(base, &lost, &reason);
                    good_from = lost.bytes.end;
                    next_offset = lost.offsets.end;
                    damaged.push(lost);
                }
                None if may_be_torn => {
                    tracing::warn!(
                        partition = self.context.directory,
                        segment = base.0,
                        from = damage,
                        cut_bytes = len - damage,
                        next_offset = next_offset.0,
                        reason,
                        "cutting a torn tail"
                    );
                    file.set_len(damage)?;
                    (end, good_from) = (damage, damage);
                    break;
                }
                None => {
                    let lost_to = next_base.unwrap_or(trusted.offset);
                    let lost = Lost {
                        bytes: damage..len,
                        offsets: next_offset..lost_to.max(next_offset),
                    };
                    self.context.report_damage(base, &lost, &reason);
                    good_from = len;
                    accounted_to = lost.offsets.end;
                    damaged.push(lost);
                    break;
                }
            }
        }
        good.push(good_from..end);
        let follows = next_base.unwrap_or(trusted.offset);
        let from_offset = next_offset.max(accounted_to);
        if from_offset < follows && follows > self.context.gaps_allowed_below() {
            let lost = Lost {
                bytes: end..end,
                offsets: from_offset..follows,
            };
            let reason = "the batches at its end are missing";
            self.context.report_damage(base, &lost, reason);
            damaged.push(lost);
        }
        // What is kept must be on disk before anybody is told of it. What is trusted is.
        if end > from || end < len {
            if self.context.core.sync_failed {
                write_again(file, from, end)?;
            }
            file.sync_data()?;
        }
        let segment = self.checked_segment(base, next_base.is_some(), index, end)?;
        for lost in damaged {
            segment.add_damage(lost);
        }
        for stretch in good {
            segment.set_verified(stretch.start, stretch.end);
        }
        Ok(Checked {
            segment,
            len: end,
            next_offset,
        })
    }

    fn checked_segment(
        &self,
        base: Offset,
        sealed: bool,
        mut index: MemoryIndex,
        end: u64,
    ) -> io::Result<Segment> {
        let number = self.next_number();
        if !sealed {
            return Ok(Segment::reopened(number, base, index, end));
        }
        index.note_largest();
        let counts = (index.offset_count(), index.times.len());
        let in_memory = Segment::reopened(number, base, index, end);
        let written = in_memory.write_indexes(self.context.files())?;
        for file in written.into_iter().flat_map(|(files, _)| files) {
            file.sync_data()?;
        }
        Ok(Segment::sealed(number, base, end, Some(counts)))
    }
}

/// Writes bytes of a file over themselves, so that the sync that follows has them written.
///
/// A sync that failed in an earlier process leaves pages in memory that count as written and are
/// not on disk: reading finds them, and a sync does nothing about them.
fn write_again(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut buffer = vec![0; WRITE_AGAIN_BYTES.min(usize::try_from(to - from).unwrap_or(0))];
    let mut position = from;
    while position < to {
        let rest = usize::try_from(to - position).unwrap_or(usize::MAX);
        let len = buffer.len().min(rest);
        let Some(part) = buffer.get_mut(..len) else {
            break;
        };
        let filled = read_full_at(file, part, position)?;
        match part.get(..filled) {
            Some(part) if filled > 0 => file.write_all_at(&[part], position)?,
            Some(_) | None => break,
        }
        position += filled as u64;
    }
    Ok(())
}
