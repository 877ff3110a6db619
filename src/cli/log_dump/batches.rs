//! Batches and records of segments and of snapshots of the metadata log.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use super::{Decoder, Dump, DumpError, Row, groups};
use crate::batch::{BatchHeader, Codec, ControlType, EndMarker, RecordView, records};
use crate::cli::output::{bytes_as_json, headers_as_json};
use crate::model::Offset;
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::wire::control::ControlRecord;
use crate::wire::metadata::MetadataRecord;

/// The directory of the metadata log.
const METADATA_LOG: &str = "__cluster_metadata-0";

/// How the directories of the partitions of groups begin.
const OFFSETS_TOPIC: &str = "__consumer_offsets-";

impl<W: Write> Dump<W> {
    /// Prints the batches of a file, one at a time.
    pub(super) fn batches(&mut self, path: &Path, base: Option<Offset>) -> Result<(), DumpError> {
        let unreadable = |error: std::io::Error| DumpError::Unreadable(error.to_string());
        let file = File::open(path).map_err(unreadable)?;
        let mut left = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::new(file);
        let decoder = self.decoder.unwrap_or_else(|| decoder_of(path));
        if let Some(base) = base {
            self.row(Row::new("start").with("logStartOffset", base.0))?;
        }
        let mut position = 0_u64;
        while left > 0 {
            let damaged = |what: String| DumpError::Damaged(format!("at byte {position}: {what}"));
            // The file may grow or shrink meanwhile: what counts is what can be read.
            let mut batch = Vec::new();
            (&mut file)
                .take(BATCH_HEADER_LENGTH as u64)
                .read_to_end(&mut batch)
                .map_err(unreadable)?;
            if batch.iter().all(|&byte| byte == 0) {
                return self.zeros(&mut file, position, left);
            }
            let header = BatchHeader::parse(&batch).map_err(|error| damaged(error.to_string()))?;
            let size = header.total_len() as u64;
            if size > left {
                return Err(damaged(format!("a batch of {size} bytes is cut to {left}")));
            }
            (&mut file)
                .take(size - BATCH_HEADER_LENGTH as u64)
                .read_to_end(&mut batch)
                .map_err(unreadable)?;
            let intact = header.crc_matches(&batch);
            self.row(batch_row(&header, position, intact))?;
            if !intact {
                return Err(damaged("the checksum does not match".to_owned()));
            }
            if self.records {
                self.records_of(&batch, decoder)
                    .map_err(|error| match error {
                        DumpError::Damaged(what) => damaged(what),
                        error @ (DumpError::Output(_) | DumpError::Unreadable(_)) => error,
                    })?;
            }
            position += size;
            left -= size;
        }
        Ok(())
    }

    /// A tail of zeros is room that was taken in advance, if it is zeros to the end.
    fn zeros(
        &mut self,
        rest: &mut impl BufRead,
        position: u64,
        count: u64,
    ) -> Result<(), DumpError> {
        loop {
            let bytes = rest
                .fill_buf()
                .map_err(|error| DumpError::Unreadable(error.to_string()))?;
            if bytes.iter().any(|&byte| byte != 0) {
                return Err(DumpError::Damaged(format!("at byte {position}: zeros")));
            }
            let count = bytes.len();
            if count == 0 {
                break;
            }
            rest.consume(count);
        }
        self.row(
            Row::new("zeros")
                .with("position", position)
                .with("bytes", count),
        )
    }

    fn records_of(&mut self, batch: &[u8], decoder: Decoder) -> Result<(), DumpError> {
        let opened = records(batch).map_err(|error| DumpError::Damaged(error.to_string()))?;
        let control = opened.header().is_control();
        for record in &opened {
            let record = record.map_err(|error| DumpError::Damaged(error.to_string()))?;
            let size = |field: Option<&[u8]>| {
                field.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            };
            let row = Row::new("record")
                .with("offset", record.offset.0)
                .with(timestamp_type(opened.header()), record.timestamp.0)
                .with("keySize", size(record.key))
                .with("valueSize", size(record.value));
            self.row(match (control, decoder) {
                (true, _) => control_fields(row, &record),
                (false, Decoder::Metadata) => row.with("payload", metadata_as_text(&record)),
                (false, Decoder::Groups) => groups::fields(row, &record),
                (false, Decoder::Bytes) => row
                    .with("headers", headers_as_json(&record))
                    .with_some("key", record.key.map(|key| bytes_as_json(Some(key))))
                    .with_some(
                        "payload",
                        record.value.map(|value| bytes_as_json(Some(value))),
                    ),
            })?;
        }
        Ok(())
    }
}

/// What the records of a file are, by its name and that of its directory.
fn decoder_of(path: &Path) -> Decoder {
    let directory = path.parent().and_then(Path::file_name);
    let directory = directory.map(|name| name.to_string_lossy());
    let is_snapshot = path
        .extension()
        .is_some_and(|extension| extension == "checkpoint");
    match directory.as_deref() {
        Some(METADATA_LOG) => Decoder::Metadata,
        _ if is_snapshot => Decoder::Metadata,
        Some(name) if name.starts_with(OFFSETS_TOPIC) => Decoder::Groups,
        Some(_) | None => Decoder::Bytes,
    }
}

fn timestamp_type(header: &BatchHeader) -> &'static str {
    match header.is_log_append_time() {
        true => "LogAppendTime",
        false => "CreateTime",
    }
}

fn batch_row(header: &BatchHeader, position: u64, intact: bool) -> Row<'static> {
    let codec = header.codec().map_or("unknown", Codec::name);
    let last_sequence = header.producer().map_or(-1, |stamp| stamp.last_sequence);
    let horizon = header
        .has_delete_horizon()
        .then_some(header.base_timestamp.0);
    Row::new("batch")
        .with("baseOffset", header.base_offset.0)
        .with("lastOffset", header.last_offset().0)
        .with("count", header.record_count)
        .with("baseSequence", header.base_sequence)
        .with("lastSequence", last_sequence)
        .with("producerId", header.producer_id)
        .with("producerEpoch", header.producer_epoch)
        .with("partitionLeaderEpoch", header.leader_epoch.0)
        .with("isTransactional", header.is_transactional())
        .with("isControl", header.is_control())
        .with_some("deleteHorizonMs", horizon)
        .with("position", position)
        .with(timestamp_type(header), header.max_timestamp.0)
        .with("size", header.total_len())
        .with("magic", 2)
        .with("compresscodec", codec)
        .with("crc", header.crc)
        .with("isvalid", intact)
}

fn control_fields<'a>(row: Row<'a>, record: &RecordView<'_>) -> Row<'a> {
    if let Some(marker) = EndMarker::of_record(record.key, record.value) {
        let ended = match marker.committed {
            true => "COMMIT",
            false => "ABORT",
        };
        return row
            .with("endTxnMarker", ended)
            .with("coordinatorEpoch", marker.coordinator_epoch);
    }
    let (key, value) = (
        record.key.unwrap_or_default(),
        record.value.unwrap_or_default(),
    );
    let text = match (
        ControlRecord::decode(key, value),
        ControlType::from_key(key),
    ) {
        (Ok(record), _) => format!("{record:?}"),
        (Err(_), Some(kind)) => format!("{kind:?}"),
        (Err(error), None) => error.to_string(),
    };
    row.with("control", text)
}

fn metadata_as_text(record: &RecordView<'_>) -> String {
    match MetadataRecord::decode(record.value.unwrap_or_default()) {
        Ok((record, version)) => format!("v{version} {record:?}"),
        Err(error) => error.to_string(),
    }
}
