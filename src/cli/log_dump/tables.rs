//! Everything in a data directory that is not batches: one row for each entry.

use std::io::Write;

use super::{Dump, DumpError, Row};
use crate::model::Offset;
use crate::storage::format::journal::{self, Area, Kind};
use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::storage::format::time_index::{self, TimeEntry};
use crate::storage::format::txn_index::{self, AbortedEntry};
use crate::storage::format::{
    Malformed, leader_epochs, offset_checkpoint, producer_snapshot, txn_indexes,
};

impl<W: Write> Dump<W> {
    pub(super) fn offset_index(
        &mut self,
        base: Option<Offset>,
        bytes: &[u8],
    ) -> Result<(), DumpError> {
        let base = base.unwrap_or(Offset(0));
        let entries = offset_index::decode(bytes);
        for OffsetEntry {
            relative_offset,
            position,
        } in &entries
        {
            self.row(
                Row::new("offset")
                    .with("offset", base.plus(i64::from(*relative_offset)).0)
                    .with("position", *position),
            )?;
        }
        self.rest_of_index(bytes, entries.len() * offset_index::ENTRY_LENGTH)
    }

    pub(super) fn time_index(
        &mut self,
        base: Option<Offset>,
        bytes: &[u8],
    ) -> Result<(), DumpError> {
        let base = base.unwrap_or(Offset(0));
        let entries = time_index::decode(bytes);
        for TimeEntry {
            timestamp,
            relative_offset,
        } in &entries
        {
            self.row(
                Row::new("time")
                    .with("timestamp", timestamp.0)
                    .with("offset", base.plus(i64::from(*relative_offset)).0),
            )?;
        }
        self.rest_of_index(bytes, entries.len() * time_index::ENTRY_LENGTH)
    }

    /// What stands behind the entries of an index that ascend: room taken in advance, as Kafka's
    /// active segments have it, or damage.
    fn rest_of_index(&mut self, bytes: &[u8], from: usize) -> Result<(), DumpError> {
        let rest = bytes.get(from..).unwrap_or_default();
        match rest.iter().position(|byte| *byte != 0) {
            None if rest.is_empty() => Ok(()),
            None => self.row(
                Row::new("zeros")
                    .with("position", from)
                    .with("bytes", rest.len()),
            ),
            Some(_) => Err(damaged_at(from, "the entries do not go on from here")),
        }
    }

    pub(super) fn transaction_index(
        &mut self,
        base: Option<Offset>,
        bytes: &[u8],
    ) -> Result<(), DumpError> {
        let (entries, cut) = bytes.as_chunks();
        let mut last = base.map(|base| base.plus(-1));
        for (number, entry) in entries.iter().enumerate() {
            let at = number * txn_index::ENTRY_LENGTH;
            let entry = AbortedEntry::decode(entry).map_err(|error| damaged_at(at, error))?;
            if last.is_some_and(|last| entry.last <= last) {
                let problem = format!("the marker at {} is not one that may come here", entry.last);
                return Err(damaged_at(at, problem));
            }
            last = Some(entry.last);
            self.row(
                Row::new("aborted")
                    .with("version", 0)
                    .with("producerId", entry.producer_id)
                    .with("firstOffset", entry.first.0)
                    .with("lastOffset", entry.last.0)
                    .with("lastStableOffset", entry.last_stable.0),
            )?;
        }
        match cut.is_empty() {
            true => Ok(()),
            false => Err(damaged_at(bytes.len() - cut.len(), "an entry is cut")),
        }
    }

    pub(super) fn producers(&mut self, _: Option<Offset>, bytes: &[u8]) -> Result<(), DumpError> {
        for entry in producer_snapshot::decode(bytes).map_err(damaged)? {
            let mut row = Row::new("producer")
                .with("producerId", entry.producer_id)
                .with("producerEpoch", entry.epoch)
                .with("coordinatorEpoch", entry.coordinator_epoch)
                .with_some("currentTxnFirstOffset", entry.transaction_start)
                .with("lastTimestamp", entry.timestamp.0);
            if entry.last_offset >= 0 {
                row = row
                    .with("lastSequence", entry.last_sequence)
                    .with("lastOffset", entry.last_offset)
                    .with("offsetDelta", entry.offset_delta);
            }
            self.row(row)?;
        }
        Ok(())
    }

    pub(super) fn leader_epochs(
        &mut self,
        _: Option<Offset>,
        bytes: &[u8],
    ) -> Result<(), DumpError> {
        for entry in leader_epochs::decode(text(bytes)?).map_err(damaged)? {
            self.row(
                Row::new("epoch")
                    .with("epoch", entry.epoch.0)
                    .with("startOffset", entry.start.0),
            )?;
        }
        Ok(())
    }

    pub(super) fn offsets(&mut self, _: Option<Offset>, bytes: &[u8]) -> Result<(), DumpError> {
        for (partition, offset) in offset_checkpoint::decode(text(bytes)?).map_err(damaged)? {
            self.row(
                Row::new("partition")
                    .with("partition", partition)
                    .with("offset", offset.0),
            )?;
        }
        Ok(())
    }

    pub(super) fn transaction_indexes(
        &mut self,
        _: Option<Offset>,
        bytes: &[u8],
    ) -> Result<(), DumpError> {
        let (partition, indexes) = txn_indexes::decode(text(bytes)?).map_err(damaged)?;
        self.row(
            Row::new("whose")
                .with("topicId", partition.topic.to_base64())
                .with("partition", partition.partition.0),
        )?;
        for index in indexes {
            self.row(
                Row::new("segment")
                    .with("baseOffset", index.base.0)
                    .with("endOffset", index.end.0)
                    .with("aborted", index.entries)
                    .with("crc", index.crc),
            )?;
        }
        Ok(())
    }

    /// The records of both areas; what counts is the newer chain.
    pub(super) fn durable_offsets(
        &mut self,
        _: Option<Offset>,
        bytes: &[u8],
    ) -> Result<(), DumpError> {
        let area_bytes = journal::area_bytes(bytes.len());
        let newest = journal::decode(bytes);
        for area in [Area::First, Area::Second] {
            let counts = newest.as_ref().is_some_and(|newest| newest.area == area);
            let start = match area {
                Area::First => 0,
                Area::Second => area_bytes,
            };
            let content = bytes.get(start..start + area_bytes).unwrap_or_default();
            for (position, record) in journal::records(content) {
                let kind = match record.kind {
                    Kind::Snapshot => "snapshot",
                    Kind::Change => "change",
                };
                self.row(
                    Row::new("journal")
                        .with("position", start + position)
                        .with("sequence", record.sequence)
                        .with("kind", kind)
                        .with("count", record.entries.len())
                        .with("newest", counts),
                )?;
                for (partition, point) in record.entries {
                    self.row(
                        Row::new("record")
                            .with("topicId", partition.topic.to_base64())
                            .with("partition", partition.partition.0)
                            .with("offset", point.offset.0)
                            .with("segment", point.segment.0)
                            .with("position", point.position),
                    )?;
                }
            }
        }
        match newest {
            Some(_) => Ok(()),
            None => Err(damaged_at(0, "no record begins here")),
        }
    }

    pub(super) fn lines(&mut self, _: Option<Offset>, bytes: &[u8]) -> Result<(), DumpError> {
        for line in text(bytes)?.lines() {
            self.row(Row::new("line").with("text", line))?;
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, DumpError> {
    std::str::from_utf8(bytes).map_err(|error| damaged_at(error.valid_up_to(), "this is no text"))
}

fn damaged(error: Malformed) -> DumpError {
    DumpError::Damaged(error.to_string())
}

fn damaged_at(position: usize, problem: impl std::fmt::Display) -> DumpError {
    DumpError::Damaged(format!("at byte {position}: {problem}"))
}
