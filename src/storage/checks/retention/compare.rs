//! What can be seen, against the model.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::Offset;

use super::super::{DIRECTORY, each_batch, text};
use super::Run;
use super::model::{ModelBatch, ModelLog};
use crate::storage::format::names::SegmentFile;
use crate::storage::{Isolation, Partition};

impl Run {
    /// Compares everything that can be seen with the model.
    pub(super) fn compare(&self) -> Result<(), String> {
        for (partition, log) in self.partitions.iter().zip(&self.logs) {
            let offsets = partition.offsets().map_err(text)?;
            let found = (offsets.log_start.0, offsets.log_end.0);
            if found != (log.start, log.end) {
                return Err(format!("offsets are {offsets:?}, not {log:?}"));
            }
            let bytes = partition.size().bytes;
            if bytes != log.bytes() {
                return Err(format!("{bytes} bytes, not {} of {log:?}", log.bytes()));
            }
            compare_batches(partition, log)?;
            self.compare_files(partition, log)?;
        }
        Ok(())
    }

    /// The logs on disk are those of the segments; of an empty active one there may be none.
    fn compare_files(&self, partition: &Partition, log: &ModelLog) -> Result<(), String> {
        let dir = Path::new(DIRECTORY).join(format!("t-{}", partition.number().0));
        let entries = self.io.read_dir(&dir).unwrap_or_default();
        let on_disk: BTreeSet<i64> = entries
            .iter()
            .filter_map(|entry| SegmentFile::parse(entry.path.file_name()?.to_str()?))
            .filter(|(kind, _)| *kind == SegmentFile::Log)
            .map(|(_, base)| base.0)
            .collect();
        let all: BTreeSet<i64> = log.segments.iter().map(|segment| segment.base).collect();
        let filled: BTreeSet<i64> = log
            .segments
            .iter()
            .filter(|segment| !segment.batches.is_empty())
            .map(|segment| segment.base)
            .collect();
        match on_disk.is_superset(&filled) && on_disk.is_subset(&all) {
            true => Ok(()),
            false => Err(format!("segments on disk are {on_disk:?}, not {all:?}")),
        }
    }
}

/// Reads everything from the log start on.
fn compare_batches(partition: &Partition, log: &ModelLog) -> Result<(), String> {
    let mut expected = log
        .segments
        .iter()
        .flat_map(|segment| &segment.batches)
        .filter(|batch| batch.next > log.start);
    let mut from = log.start;
    while from < log.end {
        let read = partition.read(Offset(from), 4_096, true, Isolation::LogEnd);
        let read = read.map_err(|error| format!("reading {from}: {error}"))?;
        let bytes = read.records.to_bytes().map_err(text)?;
        if bytes.is_empty() {
            return Err(format!("nothing at {from}"));
        }
        each_batch(&bytes, |header, _| {
            let found = ModelBatch {
                base: header.base_offset.0,
                next: header.next_offset().0,
                bytes: header.total_len() as u64,
                timestamp: header.max_timestamp.0,
            };
            from = found.next;
            match expected.next() {
                Some(batch) if *batch == found => Ok(()),
                batch => Err(format!("read {found:?}, not {batch:?}")),
            }
        })?;
    }
    match log.start > 0
        && partition
            .read(Offset(log.start - 1), 100, true, Isolation::LogEnd)
            .is_ok()
    {
        true => Err("what was deleted can be read".to_owned()),
        false => Ok(()),
    }
}
