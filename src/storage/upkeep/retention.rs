//! Which segments are old enough to go (Kafka's `UnifiedLog.deleteOldSegments`), and a pass over
//! all partitions that has them go.
//!
//! | rule | applies | a segment goes when |
//! | --- | --- | --- |
//! | log start | always | the next one begins at or below the log start |
//! | size | `cleanup.policy` has `delete`, `retention.bytes` ≥ 0 | the rest still has `retention.bytes` |
//! | time | `cleanup.policy` has `delete`, `retention.ms` ≥ 0, the wall clock is believed | its largest timestamp is more than `retention.ms` ago |
//!
//! In this order, each over what the one before it left, and each only from the oldest segment on
//! up to the first that stays. No segment goes that reaches beyond the last stable offset. (Kafka
//! stops at the high watermark here, and lets a transaction's open records go.) An active segment
//! with records goes like any other: a new one is begun first. An empty active one stays.
//!
//! A segment's largest timestamp is that of its batches; where none has one, the time at which its
//! file changed last (`LogSegment.largestTimestamp`). The time index is asked, and not believed
//! when it says that a segment is old: it is rebuildable, and what it costs to be wrong is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::{Offset, Timestamp, TopicName};

use crate::storage::core::Core;
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::time_index::TimeEntry;
use crate::storage::log::lookup;
use crate::storage::log::partition_log::Log;
use crate::storage::log::scan::{Depth, ScanError};
use crate::storage::log::segment::Segment;
use crate::storage::log::view::View;
use crate::storage::options::{Durability, LogConfig};
use crate::storage::outcome::ReadError;
use crate::storage::partition::Partition;
use crate::storage::upkeep::trim::{Cut, Freed, Haste};

/// What a pass goes by.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Rules {
    /// The wall clock; `None` while it is not believed.
    pub(in crate::storage) now: Option<Timestamp>,
    /// Whether files are freed at once, and an active segment goes that lies wholly below the log
    /// start.
    pub(in crate::storage) haste: Haste,
}

/// How many segments go, by rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Deletable {
    by_log_start: usize,
    by_size: usize,
    by_time: usize,
}

impl Deletable {
    fn count(self) -> usize {
        self.by_log_start + self.by_size + self.by_time
    }
}

/// A log as the rules see it.
struct Survey<'a> {
    view: &'a View,
}

impl Survey<'_> {
    fn segment(&self, index: usize) -> Option<&Arc<Segment>> {
        self.view.segments.get(index)
    }

    /// Its bytes.
    fn len(&self, segment: &Segment) -> u64 {
        segment.sealed_len().unwrap_or(self.view.end.position)
    }

    /// The end of the segment at `index`, where there is one after it.
    fn next_base(&self, index: usize) -> Option<Offset> {
        self.segment(index + 1).map(|next| next.base)
    }

    /// How many segments from `from` on go by a rule (`UnifiedLog.deletableSegments`).
    fn run(
        &self,
        from: usize,
        mut rule: impl FnMut(usize, &Segment) -> Result<bool, ReadError>,
    ) -> Result<usize, ReadError> {
        let stable = self.view.offsets().last_stable;
        let mut index = from;
        while let Some(segment) = self.segment(index) {
            let next = self.next_base(index);
            let end = next.unwrap_or(self.view.end.offset);
            let is_empty_active = next.is_none() && self.len(segment) == 0;
            if is_empty_active || end > stable || !rule(index, segment)? {
                break;
            }
            index += 1;
        }
        Ok(index - from)
    }
}

impl Log {
    /// How many of the oldest segments go.
    fn deletable(
        &self,
        view: &View,
        config: &LogConfig,
        rules: Rules,
    ) -> Result<Deletable, ReadError> {
        let survey = Survey { view };
        let mut deletable = Deletable {
            by_log_start: survey.run(0, |index, _| {
                let end = survey.next_base(index).or(match rules.haste {
                    Haste::AtOnce => Some(view.end.offset),
                    Haste::Usual => None,
                });
                Ok(end.is_some_and(|end| end <= view.log_start))
            })?,
            ..Deletable::default()
        };
        if !config.delete {
            return Ok(deletable);
        }
        let kept = view.segments.iter().skip(deletable.count());
        let size: u64 = kept.map(|segment| survey.len(segment)).sum();
        let bound = u64::try_from(config.retention_bytes).ok();
        if let Some(mut excess) = bound.and_then(|bound| size.checked_sub(bound)) {
            deletable.by_size = survey.run(deletable.count(), |_, segment| {
                let rest = excess.checked_sub(survey.len(segment));
                excess = rest.unwrap_or(excess);
                Ok(rest.is_some())
            })?;
        }
        if let (Some(now), 0..) = (rules.now, config.retention_ms) {
            let old = |at: Timestamp| now.0.saturating_sub(at.0) > config.retention_ms;
            deletable.by_time = survey.run(deletable.count(), |_, segment| {
                let len = survey.len(segment);
                let told = self.told_timestamp(segment)?;
                Ok(old(self.or_changed(segment, told))
                    && old(self.or_changed(segment, self.found_timestamp(segment, len)?)))
            })?;
        }
        Ok(deletable)
    }

    /// The largest timestamp of a segment, as its index tells.
    pub(in crate::storage) fn told_timestamp(
        &self,
        segment: &Segment,
    ) -> Result<Option<TimeEntry>, ReadError> {
        let files = self.context().files();
        match segment.largest_time(files) {
            Ok(largest) => Ok(largest),
            Err(_) => {
                self.rebuild_index(segment, &*self.log_file(segment)?)?;
                segment
                    .largest_time(files)
                    .map_err(crate::storage::log::read::storage)
            }
        }
    }

    /// The largest timestamp of a segment, as its batches have it: from the one on that the index
    /// names, which is one of the last. An index that names none is built again.
    fn found_timestamp(&self, segment: &Segment, len: u64) -> Result<Option<TimeEntry>, ReadError> {
        if len == 0 {
            return Ok(None);
        }
        let file = self.log_file(segment)?;
        let told = self.told_timestamp(segment)?;
        let mut start = None;
        if let Some(entry) = told {
            let offset = segment.base.plus(i64::from(entry.relative_offset));
            match self.find(segment, &*file, offset, len) {
                Ok(Some(batch)) if lookup::names(&entry, offset, &batch.header) => {
                    start = Some(batch.position);
                }
                Ok(_) | Err(ReadError::Corrupt { .. }) => {
                    self.rebuild_index(segment, &*file)?;
                }
                Err(error) => return Err(error),
            }
        }
        let mut largest: Option<TimeEntry> = None;
        let mut scan = segment.scan(&*file, Depth::Headers, start.unwrap_or(0), len);
        loop {
            match scan.next() {
                Ok(Some(batch)) => {
                    let timestamp = batch.header.max_timestamp;
                    if timestamp.0 >= 0 && largest.is_none_or(|entry| timestamp > entry.timestamp) {
                        largest = Some(TimeEntry {
                            timestamp,
                            relative_offset: 0,
                        });
                    }
                }
                Ok(None) => break,
                Err(ScanError::Io(error)) => return Err(crate::storage::log::read::storage(error)),
                Err(ScanError::Damaged { .. }) => {
                    if scan
                        .step_over_damage()
                        .map_err(crate::storage::log::read::storage)?
                        .is_none()
                    {
                        break;
                    }
                }
            }
        }
        if start.is_some()
            && largest.map(|entry| entry.timestamp) > told.map(|entry| entry.timestamp)
        {
            self.rebuild_index(segment, &*file)?;
        }
        Ok(largest)
    }

    /// The time by which a segment's age is counted.
    pub(in crate::storage) fn or_changed(
        &self,
        segment: &Segment,
        largest: Option<TimeEntry>,
    ) -> Timestamp {
        let changed = || {
            let path = segment.path(&self.context().path, SegmentFile::Log);
            let known = self.context().core.io.modified(&path);
            known.or(segment.touched()).unwrap_or(self.opened())
        };
        largest.map_or_else(changed, |entry| entry.timestamp)
    }

    /// Where the log is to be cut; `None` where nothing goes. Begins a new segment where all go.
    pub(in crate::storage) fn cut(&self, rules: Rules) -> Result<Option<Cut>, ReadError> {
        let context = self.context();
        let config = context.config.load();
        let view = self.published().load().kept();
        let deletable = self.deletable(&view, &config, rules)?;
        let count = deletable.count();
        if count == 0 {
            return Ok(None);
        }
        let at = |index: usize| {
            let base = view.segments.get(index).map(|segment| segment.base);
            base.map(|start| Cut {
                start,
                snapshot: None,
            })
        };
        let cut = match at(count) {
            Some(cut) => Some(cut),
            None => {
                let mut writer = self.stop_writer();
                let now = self.published().load();
                if now.end != view.end || context.is_deleted() {
                    // Something was appended: it stays, and its segment with it.
                    at(count - 1).filter(|_| count > 1)
                } else {
                    let snapshot = self.roll(&mut writer, context.core.clock.wall());
                    Some(Cut {
                        start: view.end.offset,
                        snapshot: Some(snapshot),
                    })
                }
            }
        };
        if let Some(cut) = &cut {
            tracing::info!(
                partition = context.directory,
                by_log_start = deletable.by_log_start,
                by_size = deletable.by_size,
                by_time = deletable.by_time,
                start = cut.start.0,
                "old segments go"
            );
        }
        Ok(cut)
    }
}

/// One pass over partitions. `pace` is called after each with work on the disk, and says whether
/// to go on.
pub(in crate::storage) fn pass(
    core: &Core,
    partitions: &[Arc<Partition>],
    rules: Rules,
    mut pace: impl FnMut() -> bool,
) -> Freed {
    let mut cuts: Vec<(&Log, Offset)> = Vec::new();
    // Its snapshots say what goes of it.
    let metadata = names::partition_directory(&TopicName::cluster_metadata(), 0);
    for partition in partitions {
        if partition.context().directory == metadata {
            continue;
        }
        if core.refusal().is_some() {
            return Freed::default();
        }
        match secure(core, partition, rules) {
            Ok(Some(cut)) => cuts.push(cut),
            Ok(None) => {}
            Err(error) => {
                let partition = &partition.context().directory;
                tracing::warn!(partition, %error, "cannot remove old segments");
            }
        }
        if !pace() {
            break;
        }
    }
    let mut freed = Freed::default();
    cuts.retain(|(log, start)| core.log_starts.raise(log.context(), *start));
    if cuts.is_empty() {
        return freed;
    }
    if core.durability != Durability::Memory
        && let Err(error) = core.write_log_starts(crate::io::Persist::Durable)
    {
        tracing::warn!(%error, "cannot write the log starts: old segments stay");
        return freed;
    }
    for (log, start) in cuts {
        match log.leave(start, rules.haste) {
            Ok(left) => freed += left,
            Err(error) => {
                let partition = &log.context().directory;
                tracing::warn!(partition, %error, "cannot remove files of old segments");
            }
        }
        pace();
    }
    freed
}

/// Where a partition's log is cut; what is needed for it is durable but the log start.
fn secure<'a>(
    core: &Core,
    partition: &'a Partition,
    rules: Rules,
) -> Result<Option<(&'a Log, Offset)>, ReadError> {
    let context = partition.context();
    // A log without directory is empty.
    if !core.directories.lock().contains(&context.directory) {
        return Ok(None);
    }
    let log = match partition.log() {
        Ok(log) => log,
        Err(ReadError::Deleted) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(cut) = log.cut(rules)? else {
        return Ok(None);
    };
    log.secure(&cut)
        .map_err(crate::storage::log::read::storage)?;
    Ok(Some((log, cut.start)))
}

/// When something was last appended that says nothing of its time.
#[derive(Debug)]
pub(in crate::storage) struct Touched(AtomicI64);

impl Default for Touched {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Touched {
    pub(in crate::storage) fn at(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    pub(in crate::storage) fn get(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            i64::MIN => None,
            at => Some(Timestamp(at)),
        }
    }
}
