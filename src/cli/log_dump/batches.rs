//! Batches and records of segments and of snapshots of the metadata log.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::{Dump, DumpError, Row};
use crate::batch::{BatchHeader, Codec, ControlType, RecordView, records};
use crate::cli::output::{bytes_as_json, headers_as_json};
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::wire::control::ControlRecord;
use crate::wire::metadata::MetadataRecord;

/// The directory of the metadata log.
const METADATA_LOG: &str = "__cluster_metadata-0";

impl<W: Write> Dump<W> {
    /// Prints the batches of a file, one at a time.
    pub(super) fn batches(&mut self, path: &Path) -> Result<(), DumpError> {
        let unreadable = |error: std::io::Error| DumpError::Unreadable(error.to_string());
        let file = File::open(path).map_err(unreadable)?;
        let mut left = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::new(file);
        let metadata = path
            .extension()
            .is_some_and(|extension| extension == "checkpoint")
            || path
                .parent()
                .is_some_and(|directory| directory.ends_with(METADATA_LOG));
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
                self.records_of(&batch, metadata)
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

    fn records_of(&mut self, batch: &[u8], metadata: bool) -> Result<(), DumpError> {
        let opened = records(batch).map_err(|error| DumpError::Damaged(error.to_string()))?;
        let control = opened.header().is_control();
        for record in &opened {
            let record = record.map_err(|error| DumpError::Damaged(error.to_string()))?;
            let row = Row::new("record")
                .with("offset", record.offset.0)
                .with("timestamp", record.timestamp.0);
            self.row(match (control, metadata) {
                (true, _) => row.with("control", control_as_text(&record)),
                (false, true) => row.with("metadata", metadata_as_text(&record)),
                (false, false) => row
                    .with("key", bytes_as_json(record.key))
                    .with("value", bytes_as_json(record.value))
                    .with("headers", headers_as_json(&record)),
            })?;
        }
        Ok(())
    }
}

fn batch_row(header: &BatchHeader, position: u64, intact: bool) -> Row<'static> {
    let codec = header.codec().map_or("unknown", Codec::name);
    let timestamp_type = match header.is_log_append_time() {
        true => "LogAppendTime",
        false => "CreateTime",
    };
    let producer = header.producer().map(|producer| {
        json!({
            "id": producer.id.0,
            "epoch": producer.epoch.0,
            "sequences": [producer.first_sequence, producer.last_sequence],
        })
    });
    let flags = [
        (header.is_transactional(), "transactional"),
        (header.is_control(), "control"),
        (header.has_delete_horizon(), "delete-horizon"),
    ];
    let flags: Vec<_> = flags
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| Value::from(*name))
        .collect();
    Row::new("batch")
        .with(
            "offsets",
            json!([header.base_offset.0, header.last_offset().0]),
        )
        .with("position", position)
        .with("bytes", header.total_len())
        .with("records", header.record_count)
        .with("leader_epoch", header.leader_epoch.0)
        .with("codec", codec)
        .with("timestamp_type", timestamp_type)
        .with("base_timestamp", header.base_timestamp.0)
        .with("max_timestamp", header.max_timestamp.0)
        .with_some("producer", producer)
        .with_some("flags", (!flags.is_empty()).then_some(flags))
        .with("crc", header.crc)
        .with("intact", intact)
}

fn control_as_text(record: &RecordView<'_>) -> String {
    let (key, value) = (
        record.key.unwrap_or_default(),
        record.value.unwrap_or_default(),
    );
    match (
        ControlRecord::decode(key, value),
        ControlType::from_key(key),
    ) {
        (Ok(record), _) => format!("{record:?}"),
        (Err(_), Some(kind)) => format!("{kind:?}"),
        (Err(error), None) => error.to_string(),
    }
}

fn metadata_as_text(record: &RecordView<'_>) -> String {
    match MetadataRecord::decode(record.value.unwrap_or_default()) {
        Ok((record, version)) => format!("v{version} {record:?}"),
        Err(error) => error.to_string(),
    }
}
