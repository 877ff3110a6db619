//! Writing out the indexes of the active segment now and then.
//!
//! A start after a crash looks for the batch up to which the log was on disk: with the entries of
//! before, it walks along a few MiB of headers, and not along all of the segment. Nothing of it is
//! synced, and nothing is believed before it was held against the batches, so it may be lost or
//! torn. But it never speaks of batches that are not on disk: those might be others after a power
//! cut.

use std::io;

use crate::io::OpenMode;
use crate::model::Offset;

use crate::storage::format::names::SegmentFile;
use crate::storage::format::{offset_index, time_index};
use crate::storage::log::partition_log::Log;
use crate::storage::log::segment::Segment;
use crate::storage::options::Durability;

/// How many times `index.interval.bytes` a log grows until its entries are written: with Kafka's
/// default, 4 MiB.
const INDEX_INTERVALS: u64 = 1024;

/// What was written of the active segment's indexes.
#[derive(Debug, Default)]
pub(in crate::storage) struct Progress {
    /// Which segment that is, if anything was.
    segment: Option<Offset>,
    /// Entries of the offset index and of the time index in its files.
    written: (usize, usize),
    /// Where in the segment the log ended then.
    position: u64,
}

impl Log {
    /// Writes new entries of the active segment's indexes, if the log grew enough. For whoever
    /// synced it.
    pub(in crate::storage) fn keep_progress(&self) {
        let config = self.context().config.load();
        if config.durability == Durability::Memory {
            return;
        }
        let Some(mut progress) = self.progress.try_lock() else {
            return;
        };
        let view = self.published().load();
        let since = match progress.segment == Some(view.end.segment) {
            true => progress.position,
            false => 0,
        };
        let step = config.index_interval_bytes.saturating_mul(INDEX_INTERVALS);
        if view.end.position.saturating_sub(since) < step {
            return;
        }
        if let Some(active) = view.segments.last()
            && let Err(error) = self.write_entries(&mut progress, active, view.durable)
        {
            // The next start reads more.
            let partition = &self.context().directory;
            tracing::debug!(partition, %error, "cannot write an index");
        }
        progress.position = view.end.position;
    }

    /// Appends the entries for batches below the durable offset that the files lack.
    fn write_entries(
        &self,
        progress: &mut Progress,
        segment: &Segment,
        durable: Offset,
    ) -> io::Result<()> {
        let _no_others = self.stop_naming();
        // The indexes of a sealed segment are written in full by who seals it, under this lock.
        if self.context().is_deleted() || segment.sealed_len().is_some() {
            return Ok(());
        }
        let (offsets, times) = match progress.segment == Some(segment.base) {
            true => progress.written,
            false => (0, 0),
        };
        // Until all of it is there nothing is known about the files.
        progress.segment = None;
        let news = segment
            .change_index(|index| index.entries_between((offsets, times), segment.base, durable));
        // None if they were built again meanwhile: the files begin anew the next time.
        let Some(Some((new_offsets, new_times))) = news else {
            return Ok(());
        };
        let written = (offsets + new_offsets.len(), times + new_times.len());
        self.append_entries(
            segment,
            SegmentFile::OffsetIndex,
            offsets * offset_index::ENTRY_LENGTH,
            &offset_index::encode(&new_offsets),
        )?;
        self.append_entries(
            segment,
            SegmentFile::TimeIndex,
            times * time_index::ENTRY_LENGTH,
            &time_index::encode(&new_times),
        )?;
        (progress.segment, progress.written) = (Some(segment.base), written);
        Ok(())
    }

    /// Writes entries behind those that the file of an index has.
    fn append_entries(
        &self,
        segment: &Segment,
        kind: SegmentFile,
        position: usize,
        entries: &[u8],
    ) -> io::Result<()> {
        let path = segment.path(&self.context().path, kind);
        let file = self.context().core.io.open(&path, OpenMode::Create)?;
        if position == 0 {
            file.set_len(0)?;
        }
        file.write_all_at(&[entries], position as u64)
    }
}
