//! One partition: its segments one after another, and what was derived from all of them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::batch::BatchHeader;
use crate::io::{Io, OpenMode};
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::model::{LeaderEpoch, Offset};
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::{leader_epochs, partition_metadata, producer_snapshot, txn_indexes};
use crate::storage::log::epochs::Epochs;
use crate::storage::log::producers::Producers;
use crate::storage::log::read::read_exact;

use super::epochs::Fit;
use super::segment::{SegmentCheck, Walked};
use super::{Finding, Meaning, Out, Scope, Standing};

/// Largest file of a few lines that is looked at.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What other files say of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Whether the last stop was clean: then its files are complete.
    pub(super) clean: bool,
    /// Where the log begins, if it is not at the first segment.
    pub(super) log_start: Option<Offset>,
    /// Below this offset the log was on disk.
    pub(super) on_disk: Option<Offset>,
    /// Below this offset the cleaner may have taken batches.
    pub(super) gaps_below: Offset,
}

impl Known {
    /// Where an offset stands to what was on disk.
    pub(super) fn standing(&self, offset: Offset) -> Standing {
        match self.on_disk {
            Some(end) if offset < end => Standing::Below,
            Some(_) => Standing::Above,
            None => Standing::Unknown,
        }
    }
}

/// Verifies one partition.
pub(super) struct PartitionCheck<'a> {
    pub(super) io: &'a dyn Io,
    pub(super) path: &'a Path,
    pub(super) name: &'a str,
    pub(super) scope: Scope,
    pub(super) known: Known,
}

/// What is carried from segment to segment.
pub(super) struct Carried {
    /// The offset after the last batch.
    pub(super) next: Option<Offset>,
    /// Which leader epoch offsets belong to, where that can be believed.
    pub(super) epochs: Option<Epochs>,
    pub(super) producers: Producers,
    /// From here on every batch was seen.
    pub(super) seen_from: Offset,
    /// Whether every batch was seen, or what came before the first is known.
    pub(super) complete: bool,
}

/// The files of the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Lengths of `.log` files, by base offset.
    pub(super) logs: BTreeMap<Offset, u64>,
    /// Ends of the segments that are to replace others, by base offset: that is decided, and they
    /// have another name until the next start.
    swaps: BTreeMap<Offset, Offset>,
    /// Everything else that belongs to a segment.
    others: Vec<(SegmentFile, Offset)>,
}

impl Listing {
    /// The name that the log of the segment at `base` has now.
    pub(super) fn log_name(&self, base: Offset) -> String {
        match self.swaps.get(&base) {
            Some(end) => names::swap_name(base, *end),
            None => SegmentFile::Log.name(base),
        }
    }
}

impl PartitionCheck<'_> {
    /// Verifies everything in the directory.
    pub(super) fn run(&self, out: &mut Out<'_>) {
        out.summary.partitions += 1;
        let listing = match self.list(out) {
            Ok(listing) => listing,
            // Deleted since the data directory was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.say(out, ".", Meaning::Unreadable, error.to_string()),
        };
        self.topic_id(out);
        if self.is_metadata() {
            self.snapshots(out);
        }
        self.transaction_indexes(out);
        let mut carried = Carried {
            next: None,
            epochs: self.epochs(&listing, out),
            producers: Producers::default(),
            seen_from: Offset(0),
            complete: listing
                .logs
                .first_key_value()
                .is_some_and(|(first, _)| *first == Offset(0)),
        };
        let mut bases = listing.logs.iter().peekable();
        if let Some((&first, _)) = listing.logs.first_key_value()
            && let Some(snapshot) = self.first_snapshot(&listing)
        {
            carried.producers = snapshot;
            (carried.seen_from, carried.complete) = (first, true);
        }
        while let Some((&base, &len)) = bases.next() {
            let next_base = bases.peek().map(|(base, _)| **base);
            if next_base.is_none() && self.scope == Scope::Sealed {
                break;
            }
            self.snapshot_at(base, &listing, &carried, out);
            let walked = SegmentCheck {
                partition: self,
                base,
                name: listing.log_name(base),
                swapped: listing.swaps.contains_key(&base),
                epoch_behind: next_base.and_then(|base| self.first_epoch(&listing, base)),
                len,
                next_base,
            }
            .run(&mut carried, out);
            match walked {
                Walked::Seen => {}
                Walked::Damaged { seen_from } => {
                    (carried.seen_from, carried.complete) = (seen_from, false);
                }
                Walked::Gone => return,
            }
        }
        if self.scope == Scope::All {
            self.end(&listing, &mut carried, out);
        }
    }

    /// Lists the directory, telling of what does not belong there.
    fn list(&self, out: &mut Out<'_>) -> io::Result<Listing> {
        let mut listing = Listing::default();
        let mut swapped = Vec::new();
        let mut entries = self.io.read_dir(self.path)?;
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        for entry in &entries {
            let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            match SegmentFile::parse(name) {
                Some((SegmentFile::Log, base)) => {
                    listing.logs.insert(base, entry.len);
                }
                Some((kind, base)) => listing.others.push((kind, base)),
                None => {
                    let reason = match name.rsplit_once('.').map(|(_, ending)| ending) {
                        Some("deleted") => "was to be removed",
                        Some("cleaned" | "tmp") => "was never put in its place",
                        Some("swap") => "was about to be put in its place",
                        _ => continue,
                    };
                    if let Some((base, end)) = names::parse_swap(name) {
                        listing.swaps.insert(base, end);
                        swapped.push((base, entry.len));
                    }
                    // A running broker has such files for a while.
                    if self.scope == Scope::All {
                        self.say(out, name, Meaning::Leftover, reason.to_owned());
                    }
                }
            }
        }
        for (base, len) in swapped {
            let end = listing.swaps.get(&base).copied().unwrap_or(base);
            listing
                .logs
                .retain(|other, _| *other < base || *other >= end);
            listing.logs.insert(base, len);
        }
        for (kind, base) in &listing.others {
            // Until a swap is finished, its files are named anyhow.
            if *kind != SegmentFile::Snapshot
                && listing.swaps.is_empty()
                && !listing.logs.contains_key(base)
            {
                let reason = "belongs to no segment".to_owned();
                self.say(out, &kind.name(*base), Meaning::Leftover, reason);
            }
        }
        Ok(listing)
    }

    /// `partition.metadata`: which topic's files these are.
    fn topic_id(&self, out: &mut Out<'_>) {
        let name = names::PARTITION_METADATA;
        let content = match self.io.read(&self.path.join(name)) {
            Ok(content) => content,
            // It is written when the log is next used.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.say(out, name, Meaning::Unreadable, error.to_string()),
        };
        let decoded = std::str::from_utf8(&content)
            .map_err(|error| error.to_string())
            .and_then(|text| {
                partition_metadata::decode(text)
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            });
        if let Err(reason) = decoded {
            self.say(out, name, Meaning::Rebuildable, reason);
        }
    }

    /// The epochs of the partition, as far as they can be believed.
    pub(super) fn believed_epochs(&self, out: &mut Out<'_>) -> Option<Epochs> {
        let listing = self.list(out).ok()?;
        self.epochs(&listing, out)
    }

    /// What the transaction indexes must contain.
    fn transaction_indexes(&self, out: &mut Out<'_>) {
        let name = names::TXN_INDEXES;
        let Some(content) = self.content(name, SMALL_FILE_BYTES_MAX, out) else {
            return;
        };
        let decoded = std::str::from_utf8(&content)
            .map_err(|error| error.to_string())
            .and_then(|text| txn_indexes::decode(text).map_err(|error| error.to_string()));
        if let Err(reason) = decoded {
            self.say(out, name, Meaning::Rebuildable, reason);
        }
    }

    /// `leader-epoch-checkpoint`, if it is there and agrees with the batches.
    fn epochs(&self, listing: &Listing, out: &mut Out<'_>) -> Option<Epochs> {
        let name = names::LEADER_EPOCHS;
        let content = match self.io.read(&self.path.join(name)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.say(out, name, Meaning::Unreadable, error.to_string());
                return None;
            }
        };
        let decoded = std::str::from_utf8(&content)
            .map_err(|error| error.to_string())
            .and_then(|text| leader_epochs::decode(text).map_err(|error| error.to_string()));
        let epochs = match decoded {
            Ok(entries) => Epochs::new(entries),
            Err(reason) => {
                self.say(out, name, Meaning::Rebuildable, reason);
                return None;
            }
        };
        match self.fit(&epochs, listing) {
            Ok(Fit::Yes) => Some(epochs),
            Ok(Fit::Behind) => {
                let reason = "it lacks the newest epochs".to_owned();
                self.say(out, name, Meaning::Leftover, reason);
                None
            }
            Ok(Fit::No) => {
                let reason = "its epochs are not those of the batches".to_owned();
                self.say(out, name, Meaning::Rebuildable, reason);
                None
            }
            // The walk over the batches tells of it.
            Err(_) => None,
        }
    }

    /// Leader epoch of the first batch of the segment at `base`.
    fn first_epoch(&self, listing: &Listing, base: Offset) -> Option<LeaderEpoch> {
        let path = self.path.join(listing.log_name(base));
        let file = self.io.open(&path, OpenMode::Read).ok()?;
        let header = read_exact(&*file, 0, BATCH_HEADER_LENGTH).ok()?;
        let header = BatchHeader::parse(&header).ok()?;
        (header.base_offset == base).then_some(header.leader_epoch)
    }

    /// The producers at the start of the log, where what was before is gone.
    fn first_snapshot(&self, listing: &Listing) -> Option<Producers> {
        let (&first, _) = listing.logs.first_key_value()?;
        let path = self.path.join(SegmentFile::Snapshot.name(first));
        let entries = producer_snapshot::decode(&self.io.read(&path).ok()?).ok()?;
        Some(Producers::from_snapshot(&entries))
    }

    /// Holds the snapshot at an offset, if there is one, against the batches before it.
    fn snapshot_at(&self, offset: Offset, listing: &Listing, carried: &Carried, out: &mut Out<'_>) {
        if !listing.others.contains(&(SegmentFile::Snapshot, offset)) {
            return;
        }
        let name = SegmentFile::Snapshot.name(offset);
        let content = match self.io.read(&self.path.join(&name)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.say(out, &name, Meaning::Unreadable, error.to_string()),
        };
        let entries = match producer_snapshot::decode(&content) {
            Ok(entries) => entries,
            Err(error) => return self.say(out, &name, Meaning::Rebuildable, error.to_string()),
        };
        // Those that expired may be missing. Where the cleaner was, a batch may be gone that was
        // a producer's last one then.
        let seen_from = carried.seen_from.max(self.known.gaps_below).0;
        let replayed = carried.producers.snapshot();
        for entry in entries
            .iter()
            .filter(|entry| entry.last_offset >= seen_from)
        {
            let found = replayed
                .binary_search_by_key(&entry.producer_id, |found| found.producer_id)
                .ok()
                .and_then(|at| replayed.get(at));
            let agrees = found.is_some_and(|found| {
                (found.epoch, found.last_sequence, found.last_offset)
                    == (entry.epoch, entry.last_sequence, entry.last_offset)
                    && found.offset_delta == entry.offset_delta
            });
            if !agrees {
                let reason = format!(
                    "the last batch of producer {} before offset {offset} is another one",
                    entry.producer_id
                );
                return self.say(out, &name, Meaning::Rebuildable, reason);
            }
        }
    }

    /// The end of the log: whether all of it is there that was on disk, and the last snapshots.
    fn end(&self, listing: &Listing, carried: &mut Carried, out: &mut Out<'_>) {
        let Some((&last, &len)) = listing.logs.last_key_value() else {
            return;
        };
        let end = carried.next.unwrap_or(last);
        let start = self.known.log_start.unwrap_or(last);
        if let Some(on_disk) = self
            .known
            .on_disk
            .filter(|on_disk| *on_disk > end.max(start))
        {
            out.say(Finding {
                partition: Some(self.name.to_owned()),
                file: SegmentFile::Log.name(last),
                bytes: Some(len..len),
                offsets: Some(end.max(start)..on_disk),
                standing: Standing::Below,
                meaning: Meaning::RecordsLost,
                reason: format!("the log ends at offset {end}, and was on disk up to {on_disk}"),
            });
        }
        if end > last {
            self.snapshot_at(end, listing, carried, out);
        }
        let between = |offset: &Offset| *offset != end && !listing.logs.contains_key(offset);
        for (_, offset) in listing
            .others
            .iter()
            .filter(|(kind, offset)| *kind == SegmentFile::Snapshot && between(offset))
        {
            self.snapshot_form(*offset, out);
        }
    }

    /// A snapshot at an offset where nothing begins or ends: its form alone can be judged.
    fn snapshot_form(&self, offset: Offset, out: &mut Out<'_>) {
        let name = SegmentFile::Snapshot.name(offset);
        if let Ok(content) = self.io.read(&self.path.join(&name))
            && let Err(error) = producer_snapshot::decode(&content)
        {
            self.say(out, &name, Meaning::Rebuildable, error.to_string());
        }
    }

    /// The content of a file of a segment; `None` if there is none.
    pub(super) fn content(&self, name: &str, max: u64, out: &mut Out<'_>) -> Option<Vec<u8>> {
        let path = self.path.join(name);
        let read = self
            .io
            .open(&path, OpenMode::Read)
            .and_then(|file| file.len())
            .and_then(|len| match len > max {
                true => Err(io::Error::other(format!("{len} bytes are too many"))),
                false => self.io.read(&path),
            });
        match read {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.say(out, name, Meaning::Unreadable, error.to_string());
                None
            }
        }
    }

    /// Tells of something about a whole file.
    pub(super) fn say(&self, out: &mut Out<'_>, file: &str, meaning: Meaning, reason: String) {
        out.say(Finding {
            partition: Some(self.name.to_owned()),
            ..Finding::about(file, meaning, reason)
        });
    }
}
