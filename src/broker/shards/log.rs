//! Records of machines in the log of their partition.

use super::Unavailable;
use super::transactions::Transactions;
use crate::batch::{
    BatchBuilder, BatchHeader, Codec, EndMarker, HeaderError, Level, ValidBatch, records,
};
use crate::coordinator::LogRecord;
use crate::model::{Offset, ProducerId, Timestamp};
use crate::storage::{Isolation, Partition, ReadError};

/// The records as one batch.
pub(super) fn batch<R: LogRecord>(
    records: &[R],
    at: Timestamp,
    (codec, level): (Codec, Level),
) -> Result<ValidBatch, Unavailable> {
    let unwritable = |reason: String| Unavailable::Unwritable(reason);
    let mut batch = BatchBuilder::new().compression(codec, level);
    for record in records {
        let bytes = record.to_bytes();
        let (key, value) = bytes.map_err(|error| unwritable(error.to_string()))?;
        batch.push(at, Some(&key), value.as_deref());
    }
    batch.build().map_err(|error| unwritable(error.to_string()))
}

/// How many records of a log are noted one by one; there may be millions.
const NOTED_MAX: u64 = 10;

/// Tells of what is stepped over.
struct Notes<'a> {
    log: &'a Partition,
    count: u64,
}

impl Notes<'_> {
    fn add(&mut self, what: &dyn std::fmt::Display) {
        self.count += 1;
        if self.count <= NOTED_MAX {
            tracing::warn!(partition = ?self.log.id(), error = %what, "a record is stepped over");
        }
    }

    fn finish(&self) {
        if self.count > NOTED_MAX {
            tracing::warn!(partition = ?self.log.id(), count = self.count, "records were stepped over");
        }
    }
}

/// Reads a log from its start to its end, so many bytes at a time, and gives every record that can
/// be understood; the offset after the last one.
///
/// As in Kafka's `CoordinatorLoaderImpl`, what cannot be understood is noted and stepped over: a
/// newer broker may have written it, or somebody with a tool. Records of transactions are given
/// when these are committed.
pub(super) fn read_all<R: LogRecord>(
    log: &Partition,
    read_bytes: usize,
    mut give: impl FnMut(R),
) -> Result<Offset, ReadError> {
    let offsets = log.offsets()?;
    let (mut next, end) = (offsets.log_start, offsets.log_end);
    let mut notes = Notes { log, count: 0 };
    let mut transactions = Transactions::new();
    while next < end {
        let read = log.read(next, read_bytes, true, Isolation::LogEnd)?;
        let bytes = read.records.to_bytes();
        let mut bytes = bytes.map_err(|error| ReadError::Storage(error.to_string()))?;
        if bytes.is_empty() {
            break;
        }
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes).map_err(|error| damaged(&error))?;
            let batch = bytes.split_to(header.total_len().min(bytes.len()));
            let producer = ProducerId(header.producer_id);
            if !header.is_control() {
                let producer = header.is_transactional().then_some(producer);
                give_records(&batch, producer, &mut transactions, &mut give, &mut notes);
            } else if let Some(marker) = EndMarker::of(&batch) {
                let ended = transactions.end(producer, marker.committed);
                ended.into_iter().for_each(&mut give);
            }
            next = next.max(header.next_offset());
        }
    }
    notes.finish();
    let open = transactions.held();
    if open > 0 {
        tracing::warn!(partition = ?log.id(), count = open, "records of open transactions do not count");
    }
    Ok(end)
}

/// Gives the records of a batch, or holds them back if a transaction of `producer` wrote them.
fn give_records<R: LogRecord>(
    batch: &[u8],
    producer: Option<ProducerId>,
    transactions: &mut Transactions<R>,
    give: &mut impl FnMut(R),
    notes: &mut Notes<'_>,
) {
    let opened = match records(batch) {
        Ok(opened) => opened,
        Err(error) => return notes.add(&error),
    };
    for record in &opened {
        let record = match record {
            Ok(record) => record,
            Err(error) => return notes.add(&error),
        };
        let (offset, key) = (record.offset, record.key.unwrap_or_default());
        match (R::from_bytes(key, record.value), producer) {
            (Ok(read), Some(producer)) => transactions.hold(producer, offset, key, read),
            (Ok(read), None) => {
                if record.value.is_some() {
                    transactions.replaced(offset, key);
                }
                give(read);
            }
            (Err(error), _) => notes.add(&format_args!("offset {offset}: {error}")),
        }
    }
}

fn damaged(error: &HeaderError) -> ReadError {
    ReadError::Storage(error.to_string())
}
