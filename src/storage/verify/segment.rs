//! One segment: every byte of its batches, and its indexes.

use std::io;
use std::ops::Range;

use crate::batch::{BatchHeader, EndMarker};
use crate::io::{File, OpenMode, read_full_at};
use crate::model::{LeaderEpoch, Offset};
use crate::storage::format::names::SegmentFile;
use crate::storage::format::txn_index::{self, AbortedEntry};
use crate::storage::log::scan::{Depth, Scan, ScanError, Scanned};
use crate::storage::recovery::damage::Lost;

use super::index::{OffsetIndexCheck, TimeIndexCheck, WrongEntry};
use super::metadata;
use super::partition::{Carried, PartitionCheck};
use super::records::{self, Flaw};
use super::{Finding, Meaning, Out, Standing};

/// Largest index file that is looked at: hundreds of times what `segment.index.bytes` is.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// Bytes that are read together where zeros are expected.
const ZEROS_BYTES: usize = 64 * 1024;

/// Verifies one segment.
pub(super) struct SegmentCheck<'a> {
    pub(super) partition: &'a PartitionCheck<'a>,
    pub(super) base: Offset,
    /// Name of its `.log` file: another one, while it is about to replace other segments.
    pub(super) name: String,
    /// Whether it is.
    pub(super) swapped: bool,
    /// Leader epoch of the first batch of the segment after it.
    pub(super) epoch_behind: Option<LeaderEpoch>,
    /// Length of its `.log` file.
    pub(super) len: u64,
    /// First offset of the segment after it; `None` for the last one.
    pub(super) next_base: Option<Offset>,
}

/// How far a segment could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// Every batch.
    Seen,
    /// Batches are missing; from this offset on all were seen.
    Damaged {
        /// That offset.
        seen_from: Offset,
    },
    /// It was removed meanwhile.
    Gone,
}

/// What is held against the batches on the way.
#[derive(Default)]
struct Checks {
    offsets: Option<OffsetIndexCheck>,
    times: Option<TimeIndexCheck>,
    /// The transactions that were aborted in the segment.
    aborted: Vec<AbortedEntry>,
}

impl SegmentCheck<'_> {
    /// Verifies everything that belongs to the segment.
    pub(super) fn run(&self, carried: &mut Carried, out: &mut Out<'_>) -> Walked {
        let name = &self.name;
        let path = self.partition.path.join(name);
        let file = match self.partition.io.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Walked::Gone,
            Err(error) => {
                let (meaning, reason) = (Meaning::Unreadable, error.to_string());
                self.partition.say(out, name, meaning, reason);
                carried.next = self.next_base;
                return Walked::Damaged {
                    seen_from: self.next_base.unwrap_or(self.base),
                };
            }
        };
        out.summary.segments += 1;
        out.summary.bytes += self.len;
        let mut checks = match self.swapped {
            true => Checks::default(),
            false => self.indexes(out),
        };
        let walked = match self.walk(&*file, &mut checks, carried, out) {
            Ok(walked) => walked,
            Err((position, error)) => {
                out.say(Finding {
                    bytes: Some(position..self.len),
                    ..self.finding(Meaning::Unreadable, error.to_string())
                });
                carried.next = self.next_base;
                // What the indexes name cannot be judged.
                return Walked::Damaged {
                    seen_from: self.next_base.unwrap_or(self.base),
                };
            }
        };
        // Its indexes are under other names, and are built again if they are not found.
        if self.swapped {
            return walked;
        }
        let complete = carried.complete
            && walked == Walked::Seen
            && self.base >= self.partition.known.gaps_below;
        self.judge_aborted(&checks.aborted, complete, out);
        self.judge_indexes(checks, out);
        walked
    }

    /// A finding about this segment's batches, to be completed.
    fn finding(&self, meaning: Meaning, reason: String) -> Finding {
        Finding {
            partition: Some(self.partition.name.to_owned()),
            ..Finding::about(&self.name, meaning, reason)
        }
    }

    /// Walks the batches; where the disk failed, if it did.
    fn walk(
        &self,
        file: &dyn File,
        checks: &mut Checks,
        carried: &mut Carried,
        out: &mut Out<'_>,
    ) -> Result<Walked, (u64, io::Error)> {
        let known = &self.partition.known;
        let mut scan =
            Scan::new(file, Depth::Checksums, self.base, 0, self.len).gaps_below(known.gaps_below);
        if let Some(next_base) = self.next_base {
            scan = scan.below(next_base);
        }
        let epochs = carried.epochs.clone();
        if let Some(epochs) = &epochs {
            scan = scan.with_epochs(epochs);
        }
        if !known.clean {
            // What was not on disk may be of an epoch that was not noted.
            scan = scan.with_newer_epochs_from(known.on_disk.unwrap_or(Offset(0)));
        }
        scan = scan.before_epoch(self.epoch_behind);
        let mut seen_from = None;
        loop {
            let (position, from) = (scan.position(), scan.next_offset());
            let reason = match scan.next() {
                Ok(Some(batch)) => {
                    self.batch(&mut scan, &batch, checks, carried, out)
                        .map_err(|error| (position, error))?;
                    continue;
                }
                Ok(None) => break,
                Err(ScanError::Damaged { reason, .. }) => reason,
                Err(ScanError::Io(error)) => return Err((position, error)),
            };
            let island = scan.step_over_damage().map_err(|error| (position, error))?;
            let Some(Lost { bytes, offsets }) = island else {
                let lost = self
                    .tail(file, position, from, reason, carried, out)
                    .map_err(|error| (position, error))?;
                if lost {
                    self.note_damage(&(position..self.len), checks);
                    seen_from = Some(carried.next.unwrap_or(from));
                }
                return Ok(walked(seen_from));
            };
            self.note_damage(&bytes, checks);
            seen_from = Some(scan.next_offset());
            out.say(Finding {
                bytes: Some(bytes),
                offsets: Some(offsets),
                standing: known.standing(from),
                ..self.finding(Meaning::RecordsLost, reason)
            });
        }
        let next = scan.next_offset();
        carried.next = Some(next);
        if let Some(next_base) = self.next_base
            && next < next_base
            && next_base > known.gaps_below
        {
            seen_from = Some(next_base);
            out.say(Finding {
                bytes: Some(self.len..self.len),
                offsets: Some(next..next_base),
                standing: Standing::Below,
                ..self.finding(
                    Meaning::RecordsLost,
                    format!("it ends at offset {next}, and the next segment begins at {next_base}"),
                )
            });
        }
        Ok(walked(seen_from))
    }

    fn note_damage(&self, bytes: &Range<u64>, checks: &mut Checks) {
        if let Some(offsets) = &mut checks.offsets {
            offsets.damage(bytes);
        }
        if let Some(times) = &mut checks.times {
            times.damage();
        }
    }

    /// Takes in a whole batch.
    fn batch(
        &self,
        scan: &mut Scan<'_>,
        batch: &Scanned,
        checks: &mut Checks,
        carried: &mut Carried,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let header = &batch.header;
        out.summary.batches += 1;
        out.summary.records += u64::try_from(header.record_count).unwrap_or(0);
        if let Some(offsets) = &mut checks.offsets {
            offsets.batch(self.base, batch);
        }
        if let Some(times) = &mut checks.times {
            times.batch(self.base, batch);
        }
        let thinned = header.base_offset < self.partition.known.gaps_below;
        let bytes = scan.bytes_of(batch)?;
        let flaw = records::check(header, bytes, thinned).and_then(|()| {
            match self.partition.is_metadata() {
                true => metadata::check(header, bytes).map_err(Flaw::Malformed),
                false => Ok(()),
            }
        });
        if let Err(flaw) = flaw {
            let meaning = match &flaw {
                Flaw::Malformed(_) => Meaning::Malformed,
                Flaw::Opaque(_) => Meaning::Unjudged,
            };
            out.say(Finding {
                bytes: Some(batch.position..batch.end()),
                offsets: Some(offsets_of(header)),
                standing: self.partition.known.standing(header.base_offset),
                ..self.finding(meaning, flaw.to_string())
            });
        }
        let marker = match header.is_control() {
            true => EndMarker::of(scan.bytes_of(batch)?),
            false => None,
        };
        if header.record_count == 0 && header.producer_id < 0 {
            // It stands in the place of batches that nobody knows any more.
            (carried.seen_from, carried.complete) = (header.next_offset(), false);
        }
        let step = carried.producers.replay(header, marker);
        checks.aborted.extend(step.and_then(|step| step.aborted()));
        Ok(())
    }

    /// Judges what lies behind the last whole batch: whether records are lost.
    fn tail(
        &self,
        file: &dyn File,
        position: u64,
        from: Offset,
        reason: String,
        carried: &mut Carried,
        out: &mut Out<'_>,
    ) -> io::Result<bool> {
        let known = &self.partition.known;
        let on_disk = known.on_disk.unwrap_or(Offset(0));
        let lost_to = match self.next_base {
            Some(next_base) => Some(next_base),
            None => (on_disk > from).then_some(on_disk),
        };
        carried.next = Some(lost_to.unwrap_or(from));
        let bytes = Some(position..self.len);
        match lost_to {
            Some(to) => out.say(Finding {
                bytes,
                offsets: Some(from..to),
                standing: match self.next_base {
                    Some(_) => Standing::Below,
                    None => known.standing(from),
                },
                ..self.finding(Meaning::RecordsLost, reason)
            }),
            // Room that was made in advance looks like this, too.
            None => {
                let zeros = only_zeros(file, position, self.len)?;
                let reason = match zeros {
                    true => "nothing but zeros follows the last batch".to_owned(),
                    false => reason,
                };
                out.say(Finding {
                    bytes,
                    standing: known.standing(from),
                    ..self.finding(Meaning::TornTail, reason)
                });
            }
        }
        Ok(lost_to.is_some())
    }

    /// Opens the indexes. Those of the last segment are complete only after a clean stop.
    fn indexes(&self, out: &mut Out<'_>) -> Checks {
        let partition = self.partition;
        let mut read = |kind: SegmentFile| {
            let name = kind.name(self.base);
            let content = partition.content(&name, INDEX_BYTES_MAX, out);
            if content.is_none() && self.is_sealed() && self.len > 0 {
                let reason = "it is missing".to_owned();
                partition.say(out, &name, Meaning::Rebuildable, reason);
            }
            content
        };
        Checks {
            offsets: read(SegmentFile::OffsetIndex).map(|bytes| OffsetIndexCheck::new(&bytes)),
            times: read(SegmentFile::TimeIndex).map(|bytes| TimeIndexCheck::new(&bytes)),
            aborted: Vec::new(),
        }
    }

    fn is_sealed(&self) -> bool {
        self.next_base.is_some()
    }

    /// The transaction index against the markers of the segment. `complete`: whether all batches
    /// of all transactions were seen; else its form alone can be judged.
    fn judge_aborted(&self, aborted: &[AbortedEntry], complete: bool, out: &mut Out<'_>) {
        let name = SegmentFile::TxnIndex.name(self.base);
        let content = self.partition.content(&name, INDEX_BYTES_MAX, out);
        let missing = content.is_none();
        // The last segment's has what was there at the last sync.
        let written = self.is_sealed() || self.partition.known.clean;
        let length = txn_index::ENTRY_LENGTH;
        let content = content.unwrap_or_default();
        let wrong = match txn_index::decode(&content) {
            Err(error) => Some((0, error.to_string())),
            Ok(_) if !content.len().is_multiple_of(length) => {
                Some((content.len() / length, "half an entry".to_owned()))
            }
            Ok(_) if !complete => None,
            Ok(entries) => {
                let differs = entries
                    .iter()
                    .zip(aborted)
                    .position(|(one, other)| one != other);
                let (noted, found) = (entries.len(), aborted.len());
                match differs {
                    Some(entry) => Some((entry, "it is another transaction".to_owned())),
                    None if noted > found || (written && noted < found) => Some((
                        noted.min(found),
                        match missing {
                            true => "it is missing".to_owned(),
                            false => format!("{noted} entries for {found} aborted transactions"),
                        },
                    )),
                    None => None,
                }
            }
        };
        if let Some((entry, reason)) = wrong {
            let start = (entry * length) as u64;
            let end = (start + length as u64).min(content.len() as u64);
            out.say(Finding {
                partition: Some(self.partition.name.to_owned()),
                bytes: (!missing).then_some(start..end.max(start)),
                ..Finding::about(&name, Meaning::Rebuildable, reason)
            });
        }
    }

    fn judge_indexes(&self, checks: Checks, out: &mut Out<'_>) {
        let complete = self.is_sealed() || self.partition.known.clean;
        let offsets = checks.offsets.and_then(|offsets| offsets.finish(complete));
        let times = checks.times.and_then(|times| times.finish(complete));
        for (kind, wrong) in [
            (SegmentFile::OffsetIndex, offsets),
            (SegmentFile::TimeIndex, times),
        ] {
            if let Some(WrongEntry { bytes, reason }) = wrong {
                out.say(Finding {
                    partition: Some(self.partition.name.to_owned()),
                    bytes: Some(bytes),
                    ..Finding::about(&kind.name(self.base), Meaning::Rebuildable, reason)
                });
            }
        }
    }
}

fn walked(seen_from: Option<Offset>) -> Walked {
    match seen_from {
        None => Walked::Seen,
        Some(seen_from) => Walked::Damaged { seen_from },
    }
}

fn offsets_of(header: &BatchHeader) -> Range<Offset> {
    header.base_offset..header.next_offset()
}

/// Whether there is nothing but zeros between two positions.
fn only_zeros(file: &dyn File, from: u64, to: u64) -> io::Result<bool> {
    let mut window = vec![0; ZEROS_BYTES];
    let mut position = from;
    while position < to {
        let filled = read_full_at(file, &mut window, position)?;
        let wanted = usize::try_from(to - position).unwrap_or(usize::MAX);
        let window = window.get(..filled.min(wanted)).unwrap_or_default();
        if window.is_empty() || window.iter().any(|byte| *byte != 0) {
            return Ok(window.is_empty());
        }
        position += window.len() as u64;
    }
    Ok(true)
}
