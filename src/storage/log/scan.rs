//! Walking the batches of a `.log` file, one after another.

use std::io;
use std::sync::Arc;

use crate::batch::{BatchHeader, HeaderError};
use crate::io::{File, read_full_at};
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::model::{LeaderEpoch, Offset};

use crate::storage::log::epochs::Epochs;
use crate::storage::recovery::damage::Lost;

/// How much of each batch is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Depth {
    /// The header: form, and offsets that ascend.
    Headers,
    /// Every byte: the checksum, too.
    Checksums,
}

impl Depth {
    /// Bytes read at once. A hop from header to header wants little, a pass over every byte much.
    const fn window(self) -> usize {
        match self {
            Self::Headers => 4 * 1024,
            Self::Checksums => 256 * 1024,
        }
    }
}

/// Where the magic is in a batch, and what it is.
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Bytes that a search for the next batch looks at together.
const SEARCH_BYTES: usize = 4 * 1024;

/// Why a walk ended before its limit.
#[derive(Debug, thiserror::Error)]
pub(in crate::storage) enum ScanError {
    /// The bytes at this position are not the next batch.
    #[error("no valid batch at position {position}: {reason}")]
    Damaged {
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A walk over the batches between two positions of a file.
///
/// Memory is bounded by the window and by the largest batch that really is there: a length that
/// reaches past the limit is damage, not a reason to allocate.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Scan<'a> {
    file: &'a dyn File,
    depth: Depth,
    position: u64,
    limit: u64,
    /// The offset that the next batch begins with, or the smallest that it may have.
    next_offset: Offset,
    /// Whether it is known where the next batch begins: not at a start amid a segment.
    exact: bool,
    /// Below it offsets may be missing between batches, as the cleaner leaves it.
    gaps_below: Offset,
    /// Below it every batch was there once: what is missing was lost, and what follows it was
    /// written to follow it.
    whole_below: Offset,
    /// Leader epoch of the batch before.
    epoch: LeaderEpoch,
    /// Which leader epoch an offset belongs to, where that is known.
    epochs: Option<&'a Epochs>,
    /// From here on later epochs than these may have begun.
    newer_epochs_from: Offset,
    /// Leader epoch of the batch behind the limit, if it is known.
    epoch_behind: Option<LeaderEpoch>,
    /// Stretches that are known to be damaged, ascending.
    damage: Arc<[Lost]>,
    /// Offsets beyond this one cannot stand in this segment.
    offset_limit: Offset,
    /// Where the next segment begins, if there is one.
    end: Option<Offset>,
    /// Bytes read at once, unless a batch has more.
    window_bytes: usize,
    window: Vec<u8>,
    window_start: u64,
}

/// A batch that a walk came by.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Scanned {
    /// Its header.
    pub(in crate::storage) header: BatchHeader,
    /// Where it begins.
    pub(in crate::storage) position: u64,
}

impl Scanned {
    /// Where it ends.
    pub(in crate::storage) fn end(&self) -> u64 {
        self.position + self.header.total_len() as u64
    }
}

impl<'a> Scan<'a> {
    /// The bytes that were read last, and where they begin.
    pub(in crate::storage) fn into_window(self) -> (u64, Vec<u8>) {
        (self.window_start, self.window)
    }

    /// A walk from `position`, where a batch begins, to `limit`. No batch may hold offsets below
    /// the segment's `base`, nor any that lie `i32::MAX` or more beyond it. Until it is told more,
    /// a walk takes no missing offset for damage.
    pub(in crate::storage) fn new(
        file: &'a dyn File,
        depth: Depth,
        base: Offset,
        position: u64,
        limit: u64,
    ) -> Self {
        Self {
            file,
            depth,
            position,
            limit,
            next_offset: base,
            exact: position == 0,
            gaps_below: Offset(i64::MAX),
            whole_below: Offset(i64::MAX),
            damage: Arc::default(),
            epoch: LeaderEpoch(-1),
            epochs: None,
            newer_epochs_from: Offset(i64::MAX),
            epoch_behind: None,
            offset_limit: base.plus(i64::from(i32::MAX)),
            end: None,
            window_bytes: depth.window(),
            window: Vec::new(),
            window_start: 0,
        }
    }

    /// Reads so many bytes at once, into the memory that another walk had.
    pub(in crate::storage) fn with_window(mut self, bytes: usize, mut memory: Vec<u8>) -> Self {
        self.window_bytes = bytes.max(BATCH_HEADER_LENGTH);
        memory.clear();
        self.window = memory;
        self
    }

    /// Takes a missing offset for damage, except before a batch that begins at `offset` or below.
    pub(in crate::storage) fn gaps_below(mut self, offset: Offset) -> Self {
        self.gaps_below = offset;
        self
    }

    /// The first batch begins with this offset.
    pub(in crate::storage) fn expecting(mut self, offset: Offset) -> Self {
        (self.next_offset, self.exact) = (offset, true);
        self
    }

    /// Nothing is known about what follows `offset`: a crash may have left it there.
    pub(in crate::storage) fn whole_below(mut self, offset: Offset) -> Self {
        self.whole_below = offset;
        self
    }

    /// Takes a leader epoch other than the one known for the offset for damage. Epochs lie outside
    /// the checksum; without this, all that can be seen is one that goes back, or is out of line
    /// with the batch behind it.
    pub(in crate::storage) fn with_epochs(mut self, epochs: &'a Epochs) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// The epochs that are known may lack the newest, of batches from `offset` on: a crash came
    /// between these and the file.
    pub(in crate::storage) fn with_newer_epochs_from(mut self, offset: Offset) -> Self {
        self.newer_epochs_from = offset;
        self
    }

    /// The batch behind the limit, in the next segment, is of this epoch.
    pub(in crate::storage) fn before_epoch(mut self, epoch: Option<LeaderEpoch>) -> Self {
        self.epoch_behind = epoch;
        self
    }

    /// Takes these stretches for damaged, whatever their bytes look like now.
    pub(in crate::storage) fn with_damage(mut self, damage: Arc<[Lost]>) -> Self {
        self.damage = damage;
        self
    }

    /// The next segment begins at `end`: offsets from there on are damage.
    pub(in crate::storage) fn below(mut self, end: Offset) -> Self {
        self.offset_limit = self.offset_limit.min(end.plus(-1));
        self.end = Some(end);
        self
    }

    /// Where the next batch begins, or the walk ended.
    pub(in crate::storage) fn position(&self) -> u64 {
        self.position
    }

    /// The offset after the last batch.
    pub(in crate::storage) fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The next batch; `None` at the limit.
    pub(in crate::storage) fn next(&mut self) -> Result<Option<Scanned>, ScanError> {
        let position = self.position;
        if position >= self.limit {
            return Ok(None);
        }
        let damaged = |reason: String| ScanError::Damaged { position, reason };
        if self.is_damaged(position) {
            return Err(damaged("it was found damaged before".to_owned()));
        }
        let header = BatchHeader::parse(self.bytes(position, BATCH_HEADER_LENGTH)?)
            .map_err(|error| damaged(error.to_string()))?;
        let len = header.total_len();
        if len as u64 > self.limit - position {
            return Err(damaged(format!("its {len} bytes reach past the end")));
        }
        if !self.follows(&header)
            || header.last_offset_delta < 0
            || header.last_offset() > self.offset_limit
        {
            return Err(damaged(format!(
                "offsets {} to {} do not follow {}",
                header.base_offset,
                header.last_offset(),
                self.next_offset
            )));
        }
        if let Some(reason) = self.wrong_offset(&header)? {
            return Err(damaged(reason));
        }
        if self.depth == Depth::Checksums {
            if !header.crc_matches(self.bytes(position, len)?) {
                return Err(damaged("its checksum does not match".to_owned()));
            }
            if let Some(reason) = self.wrong_epoch(position, &header)? {
                return Err(damaged(reason));
            }
        }
        self.epoch = header.leader_epoch;
        self.position += len as u64;
        (self.next_offset, self.exact) = (header.next_offset(), true);
        Ok(Some(Scanned { header, position }))
    }

    /// Whether a batch with this header may come next, as far as its base offset says.
    fn follows(&self, header: &BatchHeader) -> bool {
        header.base_offset == self.next_offset
            || (header.base_offset > self.next_offset
                && (!self.exact || header.base_offset <= self.gaps_below))
    }

    /// What is wrong with the leader epoch of a batch at `position`, whose checksum holds.
    ///
    /// Epochs never go back. Where one seems to, the batch that raised it is the odd one out, if
    /// the batch behind it is in line with what was before: so the one behind is looked at, too,
    /// and one flipped bit costs one batch.
    fn wrong_epoch(&mut self, position: u64, header: &BatchHeader) -> io::Result<Option<String>> {
        let (got, before) = (header.leader_epoch, self.epoch);
        if got < before {
            return Ok(Some(format!("leader epoch {got} follows {before}")));
        }
        let newest = self.epochs.and_then(Epochs::latest);
        let newer = header.base_offset >= self.newer_epochs_from
            && newest.is_some_and(|newest| got > newest);
        let known = self
            .epochs
            .and_then(|epochs| epochs.at(header.base_offset))
            .filter(|_| !newer);
        if let Some(known) = known {
            return Ok((got != known).then(|| format!("leader epoch {got} instead of {known}")));
        }
        if got == before {
            return Ok(None);
        }
        let behind = position + header.total_len() as u64;
        let after = match self.header_at(behind)? {
            Some(behind) if behind.base_offset >= header.next_offset() => Some(behind.leader_epoch),
            None if behind >= self.limit => self.epoch_behind,
            Some(_) | None => None,
        };
        let odd = after.filter(|after| *after >= before && *after < got);
        Ok(odd.map(|after| format!("leader epoch {got} between {before} and {after}")))
    }

    /// What is wrong with the base offset of the batch where the walk stands, which begins behind
    /// missing offsets, and may.
    ///
    /// If it reaches into the batch behind it, one of both is in the wrong place: this one, as long
    /// as the other may follow what was before.
    fn wrong_offset(&mut self, header: &BatchHeader) -> io::Result<Option<String>> {
        if !self.exact || header.base_offset == self.next_offset {
            return Ok(None);
        }
        let behind = self.position + header.total_len() as u64;
        let overlaps = self.header_at(behind)?.filter(|behind| {
            behind.base_offset < header.next_offset() && behind.base_offset >= self.next_offset
        });
        Ok(overlaps.map(|behind| {
            format!(
                "offsets {} to {} reach into those of the batch behind, from {}",
                header.base_offset,
                header.last_offset(),
                behind.base_offset
            )
        }))
    }

    /// The bytes of a batch that this walk just came by.
    pub(in crate::storage) fn bytes_of(&mut self, batch: &Scanned) -> io::Result<&[u8]> {
        self.bytes(batch.position, batch.header.total_len())
    }

    /// The header at a position below the limit, if there is one.
    fn header_at(&mut self, position: u64) -> io::Result<Option<BatchHeader>> {
        if position >= self.limit {
            return Ok(None);
        }
        Ok(BatchHeader::parse(self.bytes(position, BATCH_HEADER_LENGTH)?).ok())
    }

    fn is_damaged(&self, position: u64) -> bool {
        self.damage
            .iter()
            .any(|lost| lost.bytes.contains(&position))
    }

    /// Whether the bytes where the walk stands begin a batch that fits and would end beyond the
    /// limit: what a write leaves that was cut short.
    pub(in crate::storage) fn stands_at_cut_batch(&mut self) -> io::Result<bool> {
        let (position, rest) = (self.position, self.limit - self.position);
        let header = match BatchHeader::parse(self.bytes(position, BATCH_HEADER_LENGTH)?) {
            Ok(header) => header,
            Err(HeaderError::Truncated(_)) => return Ok(true),
            Err(HeaderError::Length(_) | HeaderError::Magic(_)) => return Ok(false),
        };
        Ok(header.base_offset == self.next_offset
            && header.leader_epoch >= self.epoch
            && header.total_len() as u64 > rest)
    }

    /// Steps over damage that is known; `None` if the walk does not stand at any.
    pub(in crate::storage) fn step_over_known(&mut self) -> Option<Lost> {
        let here = |lost: &&Lost| {
            // Where no bytes are lost the batch itself is sound.
            lost.bytes.start == self.position
                && (!lost.bytes.is_empty() || lost.offsets.end > self.next_offset)
        };
        let lost = self.damage.iter().find(here)?.clone();
        self.stand_behind(&lost);
        Some(lost)
    }

    fn stand_behind(&mut self, lost: &Lost) {
        self.position = lost.bytes.end;
        (self.next_offset, self.exact) = (self.next_offset.max(lost.offsets.end), true);
    }

    /// The next batch that is whole, over damage; `None` where no other follows.
    pub(in crate::storage) fn next_whole(&mut self) -> io::Result<Option<Scanned>> {
        loop {
            match self.next() {
                Ok(found) => return Ok(found),
                Err(ScanError::Io(error)) => return Err(error),
                Err(ScanError::Damaged { .. }) if self.step_over_damage()?.is_none() => {
                    return Ok(None);
                }
                Err(ScanError::Damaged { .. }) => {}
            }
        }
    }

    /// Steps over damage: goes to the next whole batch, with its checksum, that can stand there.
    /// What was stepped over, or `None` if there is no such batch.
    ///
    /// A batch takes a byte for each record at least, so the lost records are at most as many as
    /// the lost bytes: a stray old batch, or one that a client put into a record, seldom fits.
    pub(in crate::storage) fn step_over_damage(&mut self) -> io::Result<Option<Lost>> {
        if let Some(lost) = self.step_over_known() {
            return Ok(Some(lost));
        }
        let from = self.next_offset;
        let lost = |bytes, to| Lost {
            bytes,
            offsets: from..to,
        };
        let damage = self.position;
        if let Some(next) = self.batch_behind_missing_ones()? {
            let lost = lost(damage..damage, next);
            self.stand_behind(&lost);
            return Ok(Some(lost));
        }
        // First where the damaged batch says that it ends: most damage is within a batch.
        let claimed = BatchHeader::parse(self.bytes(damage, BATCH_HEADER_LENGTH)?)
            .map_or(damage, |header| {
                damage.saturating_add(header.total_len() as u64)
            });
        let mut candidate = claimed;
        if !self.batch_can_stand_at(claimed)? {
            candidate = damage;
            loop {
                candidate = match self.next_magic(candidate + 1)? {
                    None => return Ok(None),
                    Some(next) => next,
                };
                if self.batch_can_stand_at(candidate)? {
                    break;
                }
            }
        }
        let header = BatchHeader::parse(self.bytes(candidate, BATCH_HEADER_LENGTH)?);
        let Ok(header) = header else { return Ok(None) };
        let lost = lost(damage..candidate, header.base_offset);
        self.stand_behind(&lost);
        Ok(Some(lost))
    }

    /// Where the batch at which the walk stands is whole, and it is those before it that are
    /// missing, the offset that it begins with. What comes after it has to follow it: else it is
    /// its own base offset that is wrong.
    fn batch_behind_missing_ones(&mut self) -> io::Result<Option<Offset>> {
        let position = self.position;
        if self.next_offset >= self.whole_below || self.is_damaged(position) {
            return Ok(None);
        }
        let Some(header) = self.header_at(position)? else {
            return Ok(None);
        };
        let behind = position.saturating_add(header.total_len() as u64);
        let fits = self.exact
            && behind <= self.limit
            && header.base_offset > self.next_offset
            && !self.follows(&header)
            && header.last_offset_delta >= 0
            && header.last_offset() <= self.offset_limit;
        if !fits || !header.crc_matches(self.bytes(position, header.total_len())?) {
            return Ok(None);
        }
        let followed = match self.header_at(behind)? {
            Some(next) => next.base_offset == header.next_offset(),
            None => behind == self.limit && self.end == Some(header.next_offset()),
        };
        Ok(followed.then_some(header.base_offset))
    }

    /// The next position from `from` on where the magic of a batch would be right.
    fn next_magic(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut from = from;
        while from + (BATCH_HEADER_LENGTH as u64) <= self.limit {
            let window = self.bytes(from, SEARCH_BYTES)?;
            let magics = window.get(MAGIC_AT..).unwrap_or_default();
            if magics.is_empty() {
                return Ok(None);
            }
            if let Some(found) = magics.iter().position(|byte| *byte == MAGIC) {
                return Ok(Some(from + found as u64));
            }
            from += magics.len() as u64;
        }
        Ok(None)
    }

    fn batch_can_stand_at(&mut self, position: u64) -> io::Result<bool> {
        if position <= self.position || position >= self.limit || self.is_damaged(position) {
            return Ok(false);
        }
        let Ok(header) = BatchHeader::parse(self.bytes(position, BATCH_HEADER_LENGTH)?) else {
            return Ok(false);
        };
        let len = header.total_len();
        let lost = header.base_offset.0.saturating_sub(self.next_offset.0);
        let fits = len as u64 <= self.limit - position
            && u64::try_from(lost).is_ok_and(|lost| {
                header.base_offset <= self.gaps_below || lost <= position - self.position
            })
            && header.last_offset_delta >= 0
            && header.last_offset() <= self.offset_limit
            && header.leader_epoch >= self.epoch;
        // One that the walk would refuse for its epoch must not end the damage: a recovery that
        // cuts there would leave the damage behind nothing, and the next one would cut that, too.
        Ok(fits
            && header.crc_matches(self.bytes(position, len)?)
            && self.wrong_epoch(position, &header)?.is_none())
    }

    /// `len` bytes at `position`, or fewer at the end of the file.
    fn bytes(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let rest = usize::try_from(self.limit.saturating_sub(position)).unwrap_or(usize::MAX);
        let wanted = len.min(rest);
        let inside = |start: u64, window: &[u8]| {
            position >= start && position + wanted as u64 <= start + window.len() as u64
        };
        if !inside(self.window_start, &self.window) {
            self.move_window(position, self.window_bytes.max(wanted).min(rest))?;
        }
        let from = usize::try_from(position - self.window_start).unwrap_or(usize::MAX);
        let window = self.window.get(from..).unwrap_or_default();
        Ok(window.get(..wanted).unwrap_or(window))
    }

    /// Has the window begin at `position`, with `len` bytes, or fewer at the end of the file. What
    /// it has of them is not read again.
    fn move_window(&mut self, position: u64, len: usize) -> io::Result<()> {
        let had = position
            .checked_sub(self.window_start)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| *start < self.window.len());
        let kept = had.map_or(0, |start| {
            self.window.copy_within(start.., 0);
            (self.window.len() - start).min(len)
        });
        self.window.resize(len, 0);
        self.window_start = position;
        let room = self.window.get_mut(kept..).unwrap_or_default();
        let read = read_full_at(self.file, room, position + kept as u64);
        self.window.truncate(kept + read.as_ref().unwrap_or(&0));
        read.map(drop)
    }
}
