//! Everything in a data directory that is not batches: one row for each entry.

use std::io::Write;
use std::path::Path;

use super::{Dump, DumpError, Row};
use crate::model::Offset;
use crate::storage::format::names::SegmentFile;
use crate::storage::format::{
    Malformed, leader_epochs, offset_checkpoint, offset_index, producer_snapshot, time_index,
};
use crate::wire::{DecodeError, Reader};

/// Bytes of an entry of a transaction index: version `i16`, then producer id, first offset, last
/// offset and last stable offset of an aborted transaction, `i64` each (`AbortedTxn`).
const ABORTED_LENGTH: usize = 34;

impl<W: Write> Dump<W> {
    pub(super) fn offset_index(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        let base = base_offset(path);
        for entry in offset_index::decode(bytes) {
            let offset = base.plus(i64::from(entry.relative_offset));
            self.row(
                Row::new("offset")
                    .with("offset", offset.0)
                    .with("position", entry.position),
            )?;
        }
        Ok(())
    }

    pub(super) fn time_index(&mut self, path: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        let base = base_offset(path);
        for entry in time_index::decode(bytes) {
            let offset = base.plus(i64::from(entry.relative_offset));
            self.row(
                Row::new("time")
                    .with("timestamp", entry.timestamp.0)
                    .with("offset", offset.0),
            )?;
        }
        Ok(())
    }

    pub(super) fn transaction_index(&mut self, _: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        for entry in bytes.chunks(ABORTED_LENGTH) {
            let row = aborted(entry).map_err(|error| DumpError::Damaged(error.to_string()))?;
            self.row(row)?;
        }
        Ok(())
    }

    pub(super) fn producers(&mut self, _: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        for entry in producer_snapshot::decode(bytes).map_err(damaged)? {
            self.row(
                Row::new("producer")
                    .with("id", entry.producer_id)
                    .with("epoch", entry.epoch)
                    .with("last_sequence", entry.last_sequence)
                    .with("last_offset", entry.last_offset)
                    .with("offset_delta", entry.offset_delta)
                    .with("timestamp", entry.timestamp.0)
                    .with("coordinator_epoch", entry.coordinator_epoch)
                    .with_some("transaction_start", entry.transaction_start),
            )?;
        }
        Ok(())
    }

    pub(super) fn leader_epochs(&mut self, _: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        for entry in leader_epochs::decode(text(bytes)?).map_err(damaged)? {
            self.row(
                Row::new("epoch")
                    .with("epoch", entry.epoch.0)
                    .with("start", entry.start.0),
            )?;
        }
        Ok(())
    }

    pub(super) fn offsets(&mut self, _: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        for (partition, offset) in offset_checkpoint::decode(text(bytes)?).map_err(damaged)? {
            self.row(
                Row::new("partition")
                    .with("partition", partition)
                    .with("offset", offset.0),
            )?;
        }
        Ok(())
    }

    pub(super) fn lines(&mut self, _: &Path, bytes: &[u8]) -> Result<(), DumpError> {
        for line in text(bytes)?.lines() {
            self.row(Row::new("line").with("text", line))?;
        }
        Ok(())
    }
}

/// What offsets in the indexes of a segment are relative to: its name.
fn base_offset(path: &Path) -> Offset {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    SegmentFile::parse(&name).map_or(Offset(0), |(_, base)| base)
}

fn aborted(entry: &[u8]) -> Result<Row<'static>, DecodeError> {
    let mut entry = Reader::new(entry);
    Ok(Row::new("aborted")
        .with("version", entry.i16()?)
        .with("producer", entry.i64()?)
        .with("first_offset", entry.i64()?)
        .with("last_offset", entry.i64()?)
        .with("last_stable_offset", entry.i64()?))
}

fn text(bytes: &[u8]) -> Result<&str, DumpError> {
    std::str::from_utf8(bytes).map_err(|error| DumpError::Damaged(error.to_string()))
}

fn damaged(error: Malformed) -> DumpError {
    DumpError::Damaged(error.to_string())
}
