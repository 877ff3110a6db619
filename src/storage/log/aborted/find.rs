//! Finding aborted transactions: in the indexes, and where these are not known, in the batches.

use std::io;
use std::sync::Arc;

use crate::io::File;
use crate::model::Offset;

use crate::storage::format::names::SegmentFile;
use crate::storage::format::producer_snapshot;
use crate::storage::format::txn_index::AbortedEntry;
use crate::storage::log::partition_log::Log;
use crate::storage::log::producers::Producers;
use crate::storage::log::read::storage;
use crate::storage::log::scan::Depth;
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::outcome::ReadError;

use super::marker_of;

/// How often a search is repeated because segments went or came while it ran.
const ATTEMPTS_MAX: usize = 3;

impl View {
    /// Whether there may be aborted transactions whose markers lie at or above `from`.
    pub(in crate::storage) fn may_have_aborted(&self, from: Offset) -> bool {
        let segments = self.segments_from(from);
        segments.iter().any(|each| !each.aborted.is_known_empty())
    }
}

impl Log {
    /// The aborted transactions that overlap the offsets from `from` to below `upper`, in the
    /// order of their markers.
    pub(in crate::storage) fn aborted_between(
        &self,
        from: Offset,
        upper: Offset,
    ) -> Result<Vec<AbortedEntry>, ReadError> {
        let mut failure = None;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(found) = self.known_aborted_between(from, upper)? {
                return Ok(found);
            }
            failure = self.find_aborted().err();
        }
        let unsettled = || ReadError::Storage("transaction indexes change as they are read".into());
        Err(failure.unwrap_or_else(unsettled))
    }

    fn known_aborted_between(
        &self,
        from: Offset,
        upper: Offset,
    ) -> Result<Option<Vec<AbortedEntry>>, ReadError> {
        let view = self.published().load();
        let (mut overlapping, mut known) = (Vec::new(), true);
        for segment in view.segments_from(from) {
            let found = segment.aborted_between(self.context().files(), from, upper);
            let Some(mut found) = found.map_err(storage)? else {
                // The rest is looked at, too: all that is missing is found together.
                known = false;
                continue;
            };
            overlapping.append(&mut found.entries);
            if found.complete {
                break;
            }
        }
        Ok(known.then_some(overlapping))
    }

    /// Finds the aborted transactions of all segments where they are not known, in their control
    /// batches, and writes the files again. Reads the headers of all batches of these segments.
    pub(super) fn find_aborted(&self) -> Result<(), ReadError> {
        let _one_at_a_time = self.finding_aborted.lock();
        let view = self.published().load().kept();
        let unknown = |segment: &&Arc<Segment>| !segment.aborted.is_known();
        let Some(first) = view.segments.iter().position(|each| unknown(&each)) else {
            return Ok(());
        };
        let partition = &self.context().directory;
        let (start, mut producers) = self.producers_before(&view, first);
        for (number, segment) in view.segments.iter().enumerate().skip(start) {
            let mut entries = Vec::new();
            let limit = view.limit(segment, view.end);
            if limit > 0 {
                let file = self.log_file(segment)?;
                self.replay_transactions(segment, &*file, limit, &mut producers, &mut entries)?;
            }
            if unknown(&segment) {
                tracing::debug!(
                    partition,
                    segment = segment.base.0,
                    aborted = entries.len(),
                    "looked for aborted transactions"
                );
                let next = view.segments.get(number + 1);
                let end = next.map_or(view.end.offset, |next| next.base);
                segment.aborted.learn(entries, end);
            }
        }
        let _no_others = self.stop_naming();
        if self.context().is_deleted() {
            return Err(ReadError::Deleted);
        }
        // They serve from memory as well.
        if let Err(error) = self.write_found(&view) {
            tracing::warn!(partition, %error, "cannot write a transaction index");
        }
        Ok(())
    }

    fn write_found(&self, view: &View) -> io::Result<()> {
        for segment in view.segments.iter() {
            segment.write_aborted(self.context().files())?;
        }
        self.tell(view)
    }

    /// The producers at the base of a segment: the given one, or one before it.
    fn producers_before(&self, view: &View, segment: usize) -> (usize, Producers) {
        let context = self.context();
        for (number, segment) in view.segments.iter().enumerate().take(segment + 1).rev() {
            let path = segment.path(&context.path, SegmentFile::Snapshot);
            let snapshot = context.core.io.read(&path).ok();
            if let Some(entries) = snapshot.and_then(|bytes| producer_snapshot::decode(&bytes).ok())
            {
                return (number, Producers::from_snapshot(&entries));
            }
        }
        (0, Producers::default())
    }

    fn replay_transactions(
        &self,
        segment: &Segment,
        file: &dyn File,
        limit: u64,
        producers: &mut Producers,
        aborted: &mut Vec<AbortedEntry>,
    ) -> Result<(), ReadError> {
        let mut scan = segment.scan(file, Depth::Headers, 0, limit);
        while let Some(batch) = scan.next_whole().map_err(storage)? {
            let marker = marker_of(file, &batch).map_err(storage)?;
            let step = producers.replay(&batch.header, marker);
            aborted.extend(step.and_then(|step| step.aborted()));
        }
        Ok(())
    }
}
