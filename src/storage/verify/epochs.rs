//! Whether `leader-epoch-checkpoint` can be believed.
//!
//! Neither the file nor the epoch in a batch has a checksum. So where they disagree, the one that
//! stands alone is wrong: one batch between others, or the file against two batches in a row. After
//! a power cut the file may be older than the batches, and lack their newest epochs.

use std::io;

use crate::batch::BatchHeader;
use crate::io::OpenMode;
use crate::model::Offset;
use crate::storage::log::epochs::Epochs;
use crate::storage::log::scan::{Depth, Scan};

use super::Scope;
use super::partition::{Listing, PartitionCheck};

/// What a walk over headers goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Batch,
    Stop,
}

/// How the file stands to the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It may be believed.
    Yes,
    /// It lacks the newest epochs.
    Behind,
    /// It may not be believed.
    No,
}

impl PartitionCheck<'_> {
    /// Whether the epochs are those of the batches, but for single ones.
    ///
    /// Epochs rise. So if the first and the last batch of each stretch are of its epoch, those in
    /// between are, or are damaged; only where that is not so are all headers read.
    pub(super) fn fit(&self, epochs: &Epochs, listing: &Listing) -> io::Result<Fit> {
        let entries = epochs.entries();
        let log_start = self.known.log_start.unwrap_or(Offset(0));
        let mut fits = true;
        let ends = entries.iter().skip(1).map(|next| next.start);
        for (entry, end) in entries.iter().zip(ends.chain([Offset(i64::MAX)])) {
            let (before, first) = self.around(listing, Depth::Headers, entry.start)?;
            let stretch = |batch: &BatchHeader| batch.base_offset < end;
            fits &= first
                .filter(stretch)
                .is_none_or(|first| self.agrees(epochs, &first));
            // The log may begin amid a batch, but an epoch does not begin amid one.
            fits &= entry.start <= log_start
                || first.is_none_or(|first| first.base_offset >= entry.start);
            fits &= before
                .filter(|before| before.base_offset >= log_start)
                .is_none_or(|before| self.agrees(epochs, &before));
        }
        let (last, _) = self.around(listing, Depth::Headers, Offset(i64::MAX))?;
        fits &= last.is_none_or(|last| self.agrees(epochs, &last));
        match fits {
            true => Ok(Fit::Yes),
            false => self.fit_but_for_single_ones(epochs, listing, log_start),
        }
    }

    /// Whether a batch is of the epoch that is known for its offset, or may be of a newer one.
    fn agrees(&self, epochs: &Epochs, batch: &BatchHeader) -> bool {
        let may_be_newer = !self.known.clean
            && batch.base_offset >= self.known.on_disk.unwrap_or(Offset(0))
            && epochs.latest() < Some(batch.leader_epoch);
        may_be_newer || epochs.at(batch.base_offset) == Some(batch.leader_epoch)
    }

    fn fit_but_for_single_ones(
        &self,
        epochs: &Epochs,
        listing: &Listing,
        log_start: Offset,
    ) -> io::Result<Fit> {
        let (mut two_in_a_row, mut last_agreed, mut seen, mut strangers) = (false, true, 0, 0);
        let (mut older, latest) = (0, epochs.latest());
        self.each_header(listing, Depth::Checksums, Offset(0), &mut |batch| {
            if batch.last_offset() < log_start {
                return Next::Batch;
            }
            let agrees = self.agrees(epochs, batch);
            two_in_a_row |= !agrees && !last_agreed;
            (last_agreed, seen) = (agrees, seen + 1);
            strangers += u64::from(!agrees);
            older += u64::from(!agrees && Some(batch.leader_epoch) <= latest);
            Next::Batch
        })?;
        // Of the only batch of a log nobody can say; of an epoch that begins amid a batch one can.
        let begins = |start: Offset| -> io::Result<bool> {
            let (_, first) = self.around(listing, Depth::Checksums, start)?;
            let whole = first.is_none_or(|first| first.base_offset >= start);
            Ok(start <= log_start || whole)
        };
        for entry in epochs.entries() {
            if !begins(entry.start)? {
                return Ok(Fit::No);
            }
        }
        Ok(match two_in_a_row || (strangers == seen && seen > 0) {
            false => Fit::Yes,
            true if older == 0 && !self.known.clean => Fit::Behind,
            true => Fit::No,
        })
    }

    /// The last batch that ends before an offset, and the first that does not.
    fn around(
        &self,
        listing: &Listing,
        depth: Depth,
        offset: Offset,
    ) -> io::Result<(Option<BatchHeader>, Option<BatchHeader>)> {
        let (mut before, mut first) = (None, None);
        let from = listing.logs.range(..offset).next_back();
        let from = from.map_or(offset, |(base, _)| *base);
        self.each_header(listing, depth, from, &mut |batch| {
            if batch.last_offset() < offset {
                before = Some(*batch);
                return Next::Batch;
            }
            first = Some(*batch);
            Next::Stop
        })?;
        Ok((before, first))
    }

    /// Shows the headers of the segments from the one at `from` on, as far as they are whole.
    fn each_header(
        &self,
        listing: &Listing,
        depth: Depth,
        from: Offset,
        each: &mut dyn FnMut(&BatchHeader) -> Next,
    ) -> io::Result<()> {
        let last = listing.logs.last_key_value().map(|(base, _)| *base);
        let mut bases = listing.logs.range(from..).peekable();
        while let Some((&base, &len)) = bases.next() {
            if self.scope == Scope::Sealed && last == Some(base) {
                return Ok(());
            }
            let path = self.path.join(listing.log_name(base));
            let file = self.io.open(&path, OpenMode::Read)?;
            let mut scan = Scan::new(&*file, depth, base, 0, len).gaps_below(self.known.gaps_below);
            if let Some((next_base, _)) = bases.peek() {
                scan = scan.below(**next_base);
            }
            while let Some(batch) = scan.next_whole()? {
                if each(&batch.header) == Next::Stop {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
