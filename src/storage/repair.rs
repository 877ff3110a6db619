//! Stepping over damage: so that readers get on, and no other byte changes.
//!
//! | damage | what takes its place |
//! | --- | --- |
//! | of the bytes before the checksum alone | the batch, with these put right: nothing is lost |
//! | of anything else | a batch without records for each leader epoch, over the same offsets |
//! | batches that are missing | the same |
//! | a torn tail | nothing: the next start cuts it |
//!
//! So offsets stay without gaps. A batch without records has no timestamp, since there is nothing
//! that a search by time could find, and no producer.
//!
//! A segment is written anew beside its place and takes it as `swap` has it, so a
//! crash leaves the old or the new one; before that, the damaged file gets a second name, which
//! neither Kafka's loader nor ours looks at: `<base>.log.damaged-<time>`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{BatchBuilder, BatchHeader, ValidBatch};
use crate::io::{File, Io, OpenMode};
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::model::{LeaderEpoch, Offset, Timestamp};

use super::format::names::{self, SegmentFile};
use super::format::txn_index;
use super::verify::{self, Finding, Meaning, Scope, Target, VerifyError};
use crate::storage::log::epochs::Epochs;
use crate::storage::log::read::read_exact;
use crate::storage::log::scan::{Depth, Scan, ScanError, Scanned};
use crate::storage::upkeep::rewrite::SegmentWriter;
use crate::storage::upkeep::swap::{Swap, finish_interrupted, is_leftover};

/// Between entries of an index that is built again (the default of `index.interval.bytes`).
const INDEX_INTERVAL_BYTES: u64 = 4096;

/// Bytes that are written together.
const WRITE_BYTES: usize = 1024 * 1024;

/// The largest stretch in which one whole batch is looked for.
const MENDED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What a repair does about one damaged stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Directory of the partition.
    pub partition: String,
    /// The `.log` file.
    pub file: String,
    /// The damaged bytes; empty where bytes are missing.
    pub bytes: Range<u64>,
    /// The offsets that cannot be read, the end exclusive.
    pub offsets: Range<Offset>,
    /// What is wrong.
    pub reason: String,
    /// What is done.
    pub remedy: Remedy,
}

impl Repaired {
    /// Records that are lost, at most.
    pub fn records_lost(&self) -> u64 {
        match self.remedy {
            Remedy::Mended => 0,
            Remedy::SteppedOver => {
                let lost = self.offsets.end.0.saturating_sub(self.offsets.start.0);
                u64::try_from(lost).unwrap_or(0)
            }
        }
    }
}

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The batch is put right: its checksum holds.
    Mended,
    /// A batch without records takes its place.
    SteppedOver,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is: it is only said what would be.
    DryRun,
    /// It is repaired.
    Write,
}

/// Why a repair ended.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// A broker runs on the directory.
    #[error("{0} is in use by a broker: stop it first")]
    InUse(PathBuf),
    /// Not a place that holds logs.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// There is no such partition.
    #[error("there is no partition {0}")]
    NoPartition(String),
    /// Something that an earlier start left half done has to be finished, which only a repair, not
    /// a dry run, or a start of the broker may do.
    #[error(
        "{0} holds a replacement of segments that was interrupted: it has to be finished first"
    )]
    Unfinished(PathBuf),
    /// What was good at first is not any more.
    #[error("{path}: {reason}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// More offsets are missing than a segment can hold.
    #[error("{path}: {reason}")]
    TooMany {
        /// The file.
        path: PathBuf,
        /// What cannot be done.
        reason: String,
    },
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Repairs a data directory, or one partition of it: `dir` may be the directory of either, and
/// `partition` the name of one within a data directory. `report` is told of every stretch, in
/// [`Mode::Write`] when it is repaired. `now` names the files that are kept.
pub fn repair(
    io: &dyn Io,
    dir: &Path,
    partition: Option<&str>,
    mode: Mode,
    now: Timestamp,
    report: &mut dyn FnMut(&Repaired),
) -> Result<(), RepairError> {
    let (data, partitions) = match verify::target(io, dir)? {
        Target::Data(partitions) => (dir.to_owned(), partitions),
        Target::Partition => {
            let name = dir.file_name().and_then(|name| name.to_str());
            let parent = dir.parent().unwrap_or(Path::new("."));
            let partitions = name.map(str::to_owned).into_iter().collect();
            (parent.to_owned(), partitions)
        }
    };
    let wanted: Vec<&String> = partitions
        .iter()
        .filter(|name| partition.is_none_or(|partition| partition == name.as_str()))
        .collect();
    if let (Some(partition), true) = (partition, wanted.is_empty()) {
        return Err(RepairError::NoPartition(partition.to_owned()));
    }
    let lock = data.join(names::LOCK);
    let _held = io.lock(&lock).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => RepairError::InUse(data.clone()),
        _ => RepairError::Io { path: lock, source },
    })?;
    for name in wanted {
        PartitionRepair {
            io,
            dir: &data.join(name),
            name,
            now,
        }
        .run(mode, report)?;
    }
    Ok(())
}

/// Repairs one partition.
struct PartitionRepair<'a> {
    io: &'a dyn Io,
    dir: &'a Path,
    name: &'a str,
    now: Timestamp,
}

/// A segment with damage, and what is done about each stretch of it.
struct Plan {
    base: Offset,
    stretches: Vec<Stretch>,
}

/// A damaged stretch, and what takes its place.
struct Stretch {
    repaired: Repaired,
    instead: Vec<ValidBatch>,
}

impl PartitionRepair<'_> {
    fn run(&self, mode: Mode, report: &mut dyn FnMut(&Repaired)) -> Result<(), RepairError> {
        match mode {
            Mode::Write => finish_interrupted(self.io, self.dir).map_err(at(self.dir))?,
            Mode::DryRun if self.has_leftovers()? => {
                return Err(RepairError::Unfinished(self.dir.to_owned()));
            }
            Mode::DryRun => {}
        }
        for (base, findings) in self.damage()? {
            let plan = self.plan(base, findings)?;
            if mode == Mode::Write {
                self.rewrite(&plan)?;
            }
            for stretch in &plan.stretches {
                report(&stretch.repaired);
            }
        }
        Ok(())
    }

    fn has_leftovers(&self) -> Result<bool, RepairError> {
        let entries = self.io.read_dir(self.dir).map_err(at(self.dir))?;
        Ok(entries.iter().any(|entry| {
            let name = entry.path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| is_leftover(name) && name.ends_with(names::SWAP_SUFFIX))
        }))
    }

    /// What cannot be read, by segment.
    fn damage(&self) -> Result<BTreeMap<Offset, Vec<Finding>>, RepairError> {
        let mut damage: BTreeMap<Offset, Vec<Finding>> = BTreeMap::new();
        verify::verify(self.io, self.dir, Scope::All, &mut |finding| {
            if let (Meaning::RecordsLost, Some((SegmentFile::Log, base))) =
                (finding.meaning, SegmentFile::parse(&finding.file))
            {
                damage.entry(base).or_default().push(finding.clone());
            }
        })?;
        Ok(damage)
    }

    fn log_path(&self, base: Offset) -> PathBuf {
        self.dir.join(SegmentFile::Log.name(base))
    }

    fn open(&self, base: Offset) -> Result<Arc<dyn File>, RepairError> {
        let path = self.log_path(base);
        self.io.open(&path, OpenMode::Read).map_err(at(&path))
    }

    /// Decides what takes the place of each damaged stretch of a segment.
    fn plan(&self, base: Offset, findings: Vec<Finding>) -> Result<Plan, RepairError> {
        let (path, file) = (self.log_path(base), self.open(base)?);
        let epochs = verify::believed_epochs(self.io, self.dir);
        let mut stretches = Vec::with_capacity(findings.len());
        for finding in findings {
            let (Some(bytes), Some(offsets)) = (finding.bytes, finding.offsets) else {
                continue;
            };
            let neighbours = Neighbours {
                epochs: epochs.as_ref(),
                before: self.epoch_before(&*file, base, bytes.start)?,
                after: header_at(&*file, bytes.end).map_err(at(&path))?,
            };
            let mended = mend(&*file, &bytes, &offsets, &neighbours).map_err(at(&path))?;
            let (remedy, instead) = match mended {
                Some(batch) => (Remedy::Mended, vec![batch]),
                None => {
                    let vacant = vacant(&offsets, &neighbours);
                    let reason = "more offsets are missing than a segment can hold".to_owned();
                    let path = path.clone();
                    let vacant = vacant.ok_or(RepairError::TooMany { path, reason })?;
                    (Remedy::SteppedOver, vacant)
                }
            };
            stretches.push(Stretch {
                repaired: Repaired {
                    partition: self.name.to_owned(),
                    file: finding.file,
                    bytes,
                    offsets,
                    reason: finding.reason,
                    remedy,
                },
                instead,
            });
        }
        Ok(Plan { base, stretches })
    }

    /// Leader epoch of the last batch that ends at or before a position.
    fn epoch_before(
        &self,
        file: &dyn File,
        base: Offset,
        position: u64,
    ) -> Result<Option<LeaderEpoch>, RepairError> {
        let path = self.log_path(base);
        let mut scan = Scan::new(file, Depth::Headers, base, 0, position);
        let mut epoch = None;
        loop {
            match scan.next() {
                Ok(Some(batch)) => epoch = Some(batch.header.leader_epoch),
                Ok(None) => return Ok(epoch),
                Err(ScanError::Io(error)) => return Err(at(&path)(error)),
                Err(ScanError::Damaged { .. }) => {
                    if scan.step_over_damage().map_err(at(&path))?.is_none() {
                        return Ok(epoch);
                    }
                }
            }
        }
    }

    /// Writes a segment anew, and puts it in the place of the damaged one.
    fn rewrite(&self, plan: &Plan) -> Result<(), RepairError> {
        let path = self.log_path(plan.base);
        let swap = Swap {
            base: plan.base,
            // This one alone: the others keep their files.
            end: plan.base.plus(1),
        };
        SegmentWriter::remove(self.io, self.dir, swap).map_err(at(self.dir))?;
        let written = self.write(plan, swap)?;
        let kept = format!(
            "{}.damaged-{}",
            SegmentFile::Log.name(plan.base),
            self.now.0
        );
        self.io
            .link_or_copy(&path, &self.dir.join(kept))
            .map_err(at(&path))?;
        // The new bytes and all names are on disk before the decision, and that before anything
        // follows from it.
        for file in written {
            file.sync_data().map_err(at(&path))?;
        }
        self.io.sync_dir(self.dir).map_err(at(self.dir))?;
        swap.decide(self.io, self.dir).map_err(at(self.dir))?;
        self.io.sync_dir(self.dir).map_err(at(self.dir))?;
        finish_interrupted(self.io, self.dir).map_err(at(self.dir))
    }

    /// Writes the files of the new segment, and reads them once more.
    fn write(&self, plan: &Plan, swap: Swap) -> Result<Vec<Arc<dyn File>>, RepairError> {
        let (path, file) = (self.log_path(plan.base), self.open(plan.base)?);
        let len = file.len().map_err(at(&path))?;
        let mut writer =
            SegmentWriter::create(self.io, self.dir, swap, INDEX_INTERVAL_BYTES, WRITE_BYTES)
                .map_err(at(self.dir))?;
        // Where there is none, or one that makes no sense, the next start is to judge that, too.
        let aborted = self.aborted(plan.base);
        if aborted.is_some() {
            writer = writer
                .with_txn_index(self.io, self.dir)
                .map_err(at(self.dir))?;
        }
        let mut position = 0;
        for stretch in &plan.stretches {
            let bytes = &stretch.repaired.bytes;
            let end = self.copy(&*file, position..bytes.start, plan.base, &mut writer)?;
            if end != bytes.start {
                let reason = format!("no valid batch at position {end}");
                return Err(RepairError::Changed { path, reason });
            }
            for batch in &stretch.instead {
                writer
                    .append(&batch.header, &batch.bytes)
                    .map_err(at(&path))?;
            }
            position = bytes.end;
        }
        // Whatever lies behind the last batch is for the next start to judge.
        let end = self.copy(&*file, position..len, plan.base, &mut writer)?;
        for entry in aborted.iter().flatten() {
            writer.add_aborted(*entry);
        }
        let new_len = writer.len();
        let written = writer.finish(0).map_err(at(&path))?;
        if let (Some(log), true) = (written.files.first(), end < len) {
            let tail = usize::try_from(len - end).map_err(io::Error::other);
            let tail = tail.and_then(|tail| read_exact(&*file, end, tail));
            tail.and_then(|tail| log.write_all_at(&[&tail], new_len))
                .map_err(at(&path))?;
        }
        self.check(swap, plan.base, new_len)?;
        Ok(written.files)
    }

    /// Copies batches verbatim; where the last whole one ends.
    fn copy(
        &self,
        file: &dyn File,
        bytes: Range<u64>,
        base: Offset,
        writer: &mut SegmentWriter,
    ) -> Result<u64, RepairError> {
        let path = self.log_path(base);
        let mut scan = Scan::new(file, Depth::Checksums, base, bytes.start, bytes.end);
        loop {
            let batch: Scanned = match scan.next() {
                Ok(Some(batch)) => batch,
                Ok(None) | Err(ScanError::Damaged { .. }) => return Ok(scan.position()),
                Err(ScanError::Io(error)) => return Err(at(&path)(error)),
            };
            let bytes = scan.bytes_of(&batch).map_err(at(&path))?;
            writer.append(&batch.header, bytes).map_err(at(&path))?;
        }
    }

    /// The transactions that were aborted in the segment, if its index makes sense.
    fn aborted(&self, base: Offset) -> Option<Vec<txn_index::AbortedEntry>> {
        let path = self.dir.join(SegmentFile::TxnIndex.name(base));
        txn_index::decode(&self.io.read(&path).ok()?).ok()
    }

    /// Reads what was written: the decision for it cannot be taken back.
    fn check(&self, swap: Swap, base: Offset, len: u64) -> Result<(), RepairError> {
        let path = swap.cleaned_path(self.dir, SegmentFile::Log);
        let file = self.io.open(&path, OpenMode::Read).map_err(at(&path))?;
        let mut scan = Scan::new(&*file, Depth::Checksums, base, 0, len);
        loop {
            match scan.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(ScanError::Io(error)) => return Err(at(&path)(error)),
                Err(error @ ScanError::Damaged { .. }) => {
                    let reason = error.to_string();
                    return Err(RepairError::Changed { path, reason });
                }
            }
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RepairError {
    let path = path.to_owned();
    move |source| RepairError::Io { path, source }
}

/// What stands around a damaged stretch.
struct Neighbours<'a> {
    epochs: Option<&'a Epochs>,
    before: Option<LeaderEpoch>,
    after: Option<BatchHeader>,
}

impl Neighbours<'_> {
    /// The leader epoch that an offset belongs to.
    fn epoch(&self, offset: Offset) -> LeaderEpoch {
        let known = self.epochs.and_then(|epochs| epochs.at(offset));
        let after = self.after.map(|header| header.leader_epoch);
        known.or(self.before).or(after).unwrap_or(LeaderEpoch(0))
    }

    /// Whether a batch may be of this epoch.
    fn allow(&self, epoch: LeaderEpoch, offset: Offset) -> bool {
        match self.epochs.and_then(|epochs| epochs.at(offset)) {
            Some(known) => epoch == known,
            None => {
                let after = self.after.map(|header| header.leader_epoch);
                self.before.is_none_or(|before| epoch >= before)
                    && after.is_none_or(|after| epoch <= after)
            }
        }
    }

    /// The offsets, apart where an epoch begins.
    fn by_epoch(&self, offsets: &Range<Offset>) -> Vec<(Range<Offset>, LeaderEpoch)> {
        let entries = self.epochs.map(Epochs::entries).unwrap_or_default();
        let starts = entries
            .iter()
            .map(|entry| entry.start)
            .filter(|start| *start > offsets.start && *start < offsets.end);
        let mut from = offsets.start;
        let mut parts = Vec::new();
        for to in starts.chain([offsets.end]) {
            parts.push((from..to, self.epoch(from)));
            from = to;
        }
        parts
    }
}

fn header_at(file: &dyn File, position: u64) -> io::Result<Option<BatchHeader>> {
    match read_exact(file, position, BATCH_HEADER_LENGTH) {
        Ok(bytes) => Ok(BatchHeader::parse(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The batch that the bytes were, if only what lies before its checksum is wrong: base offset,
/// length, leader epoch and magic follow from what stands around them, and the checksum says
/// whether the rest is whole.
fn mend(
    file: &dyn File,
    bytes: &Range<u64>,
    offsets: &Range<Offset>,
    neighbours: &Neighbours<'_>,
) -> io::Result<Option<ValidBatch>> {
    let len = bytes.end - bytes.start;
    if len < BATCH_HEADER_LENGTH as u64 || len > MENDED_BYTES_MAX || offsets.is_empty() {
        return Ok(None);
    }
    let Ok(len) = usize::try_from(len) else {
        return Ok(None);
    };
    let damaged = read_exact(file, bytes.start, len)?;
    let found = damaged.get(12..16).and_then(<[u8]>::first_chunk);
    let found = found.map(|epoch| LeaderEpoch(i32::from_be_bytes(*epoch)));
    let epoch = found
        .filter(|epoch| neighbours.allow(*epoch, offsets.start))
        .unwrap_or(neighbours.epoch(offsets.start));
    let batch = ValidBatch::put_right(&damaged, offsets.start, epoch);
    Ok(batch.filter(|batch| batch.header.next_offset() == offsets.end))
}

/// Batches without records over the offsets; `None` if these are more than batches can span.
fn vacant(offsets: &Range<Offset>, neighbours: &Neighbours<'_>) -> Option<Vec<ValidBatch>> {
    if offsets.is_empty() {
        return Some(Vec::new());
    }
    let vacant = |(offsets, epoch): (Range<Offset>, LeaderEpoch)| {
        let last = i32::try_from(offsets.end.0 - 1 - offsets.start.0).ok()?;
        BatchBuilder::new()
            .base_offset(offsets.start)
            .last_offset_delta(last)
            .leader_epoch(epoch)
            .build()
            .ok()
    };
    neighbours
        .by_epoch(offsets)
        .into_iter()
        .map(vacant)
        .collect()
}
