//! The idempotent producers of a log: from a snapshot, and from the batches around it.
//!
//! A snapshot has a checksum, but may be that of another segment or partition. So it is held
//! against the batches just below its offset, and against those that it names; one that does not
//! fit gives way to an older one, or to the batches from the first on.

use std::io;
use std::sync::Arc;

use crate::batch::BatchHeader;
use crate::io::File;
use crate::model::Offset;
use crate::storage::format::names::SegmentFile;
use crate::storage::format::producer_snapshot::{self, SnapshotEntry};
use crate::storage::log::aborted::{marker_of, recall};
use crate::storage::log::offsets::Mark;
use crate::storage::log::producers::Producers;
use crate::storage::log::segment::Segment;

use super::Loader;

/// How far back the batches of producers are read that a snapshot does not hold.
const READ_BACK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much of that is read at a time.
const READ_BACK_STEP_BYTES: u64 = 256 * 1024;

/// Producers of a snapshot whose last batches are looked for: another partition's are all wrong.
const PRODUCERS_PROVEN: usize = 4;

impl Loader<'_> {
    /// The producers at the log end: the newest snapshot that can be used, what was written after
    /// it, and before it as far as retries may need it.
    pub(super) fn load_producers(
        &self,
        snapshots: &[Offset],
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Producers> {
        let usable = |offset: &&Offset| **offset <= end.offset;
        let mut newest = None;
        for offset in snapshots.iter().filter(usable) {
            if let Some(entries) = self.read_snapshot(*offset, segments, end)? {
                newest = Some((*offset, Producers::from_snapshot(&entries)));
                break;
            }
        }
        // One a segment is kept, as in Kafka; those of earlier stops would pile up.
        let newest_at = newest.as_ref().map(|(offset, _)| *offset);
        let io = &self.context.core.io;
        let mut beyond_end = false;
        for offset in snapshots
            .iter()
            .filter(|offset| Some(**offset) != newest_at)
        {
            if !segments.iter().any(|segment| segment.base == *offset) {
                let path = self.context.path.join(SegmentFile::Snapshot.name(*offset));
                io.remove_file(&path)?;
                beyond_end |= *offset > end.offset;
            }
        }
        if beyond_end {
            // It must not come back once other batches stand below its offset.
            io.sync_dir(&self.context.path)?;
        }
        let (from, mut producers) = newest.unwrap_or((Offset(0), Producers::default()));
        self.read_back(&mut producers, from, segments, end)?;
        let mut aborted = Vec::new();
        self.each_batch(segments, from, end, |batch, file| {
            let step = producers.replay(&batch.header, marker_of(file, batch)?);
            aborted.extend(step.and_then(|step| step.aborted()));
            Ok(())
        })?;
        recall(self.context, segments, end.offset, from, &aborted);
        Ok(producers)
    }

    /// The producers of a snapshot, if it is whole and that of this offset.
    fn read_snapshot(
        &self,
        offset: Offset,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<Option<Vec<SnapshotEntry>>> {
        let path = self.context.path.join(SegmentFile::Snapshot.name(offset));
        let Ok(content) = self.context.core.io.read(&path) else {
            return Ok(None);
        };
        match producer_snapshot::decode(&content) {
            Ok(entries) if self.snapshot_fits(offset, &entries, segments, end)? => {
                return Ok(Some(entries));
            }
            Ok(_) => {
                let reason = "its producers are not those of the batches";
                tracing::warn!(path = %path.display(), reason, "ignoring a producer snapshot");
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "ignoring a producer snapshot");
            }
        }
        Ok(None)
    }

    /// Whether a snapshot says what the batches just below its offset say, and the batches that it
    /// names are there. Batches that cannot be read, or were deleted, say nothing.
    fn snapshot_fits(
        &self,
        offset: Offset,
        entries: &[SnapshotEntry],
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<bool> {
        if entries.iter().any(|entry| entry.last_offset >= offset.0) {
            return Ok(false);
        }
        let before = segments.partition_point(|segment| segment.base < offset);
        let Some(segment) = before.checked_sub(1).and_then(|at| segments.get(at)) else {
            return Ok(true);
        };
        let file = self.open_log(segment.base)?;
        let stop = self.position_of(offset, segment, end)?;
        let (_, headers) = self.headers_before(segment, &*file, stop)?;
        let known = |header: &BatchHeader| {
            let same = |entry: &&SnapshotEntry| entry.producer_id == header.producer_id;
            match entries.iter().find(same) {
                Some(entry) if entry.epoch == header.producer_epoch => {
                    header.is_control() || entry.last_offset >= header.last_offset().0
                }
                Some(entry) => entry.epoch > header.producer_epoch,
                None => self.is_expired(header),
            }
        };
        let idempotent = |header: &&BatchHeader| header.producer().is_some();
        let below = |header: &&BatchHeader| header.base_offset < offset;
        if !headers.iter().filter(idempotent).filter(below).all(known) {
            return Ok(false);
        }
        let first = segments.first().map_or(offset, |first| first.base);
        let mut named: Vec<&SnapshotEntry> = entries
            .iter()
            .filter(|entry| entry.last_offset >= first.0)
            .collect();
        named.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.last_offset));
        for entry in named.into_iter().take(PRODUCERS_PROVEN) {
            let last = Offset(entry.last_offset);
            if let Some(batch) = self.batch_at(last, segments, end)?
                && batch.header.base_offset <= last
                && (batch.header.producer_id, batch.header.last_offset())
                    != (entry.producer_id, last)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the producer of a batch may be forgotten.
    fn is_expired(&self, header: &BatchHeader) -> bool {
        let core = &self.context.core;
        let expiration = core
            .producer_id_expiration_ms
            .load(std::sync::atomic::Ordering::Relaxed);
        core.clock.wall().0.saturating_sub(header.max_timestamp.0) >= expiration
    }

    /// Reads the headers below `offset`, newest first, until every producer has the batches that
    /// a retry may ask for.
    fn read_back(
        &self,
        producers: &mut Producers,
        offset: Offset,
        segments: &[Arc<Segment>],
        end: Mark,
    ) -> io::Result<()> {
        let mut budget = READ_BACK_BYTES_MAX;
        for segment in segments
            .iter()
            .rev()
            .filter(|segment| segment.base < offset)
        {
            if !producers.wants_older() || budget == 0 {
                return Ok(());
            }
            let mut stop = self.position_of(offset, segment, end)?;
            let file = self.open_log(segment.base)?;
            while stop > 0 {
                if !producers.wants_older() || budget == 0 {
                    return Ok(());
                }
                let (start, headers) = self.headers_before(segment, &*file, stop)?;
                headers
                    .iter()
                    .rev()
                    .for_each(|header| producers.replay_older(header));
                budget = budget.saturating_sub(stop - start);
                stop = start;
            }
        }
        Ok(())
    }

    /// The headers of the batches of producers in a stretch that ends at a position, and where the
    /// stretch begins.
    fn headers_before(
        &self,
        segment: &Segment,
        file: &dyn File,
        stop: u64,
    ) -> io::Result<(u64, Vec<BatchHeader>)> {
        let back = stop.saturating_sub(READ_BACK_STEP_BYTES);
        let entry = segment.entry_at_or_before(self.context.files(), back);
        let mut scan = self.scan_from(segment, file, entry.ok().flatten(), stop);
        let start = scan.position();
        let mut headers = Vec::new();
        while let Some(batch) = scan.next_whole()? {
            if batch.header.producer_id >= 0 {
                headers.push(batch.header);
            }
        }
        Ok((start, headers))
    }
}
