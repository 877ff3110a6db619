//! The promises of log recovery, checked on any bytes: for the fuzzer, and for the tests.

use std::path::Path;

use crate::batch::BatchHeader;
use crate::clock::ManualClock;
use crate::io::{MemoryIo, OpenMode, SharedIo};
use crate::model::{Offset, Timestamp};

use super::{Bed, DIRECTORY, each_batch, text};
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::{
    CleanerOptions, Durability, Isolation, LogConfig, Partition, ReadError, RecordBytes,
};

/// The files of a partition with one segment, as a crash, or anything worse, left them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentImage<'a> {
    /// `.log`.
    pub log: &'a [u8],
    /// `.index`.
    pub offset_index: &'a [u8],
    /// `.timeindex`.
    pub time_index: &'a [u8],
    /// `.txnindex`.
    pub txn_index: &'a [u8],
    /// `.snapshot`.
    pub snapshot: &'a [u8],
    /// `leader-epoch-checkpoint`.
    pub leader_epochs: &'a [u8],
    /// `klamm-transaction-indexes`.
    pub txn_indexes: &'a [u8],
}

/// Recovers the image twice and reads all of it. The `.log` file afterwards; an error names the
/// promise that was broken:
///
/// 1. what is kept is a prefix of what was there, byte for byte;
/// 2. recovering it again changes nothing;
/// 3. every offset below the log end is served or refused, never skipped in silence: what is
///    served are whole batches with their checksums, whose offsets ascend, at most to the log end,
///    or for those who read what is committed, to the last stable offset, below which nothing is
///    served where the next batch stands behind it;
/// 4. nothing panics.
pub fn check_recovery(image: SegmentImage<'_>) -> Result<Vec<u8>, String> {
    let io = MemoryIo::shared();
    let broken = |what: &str| Err(what.to_owned());
    let place = |error: std::io::Error| format!("cannot place the image: {error}");
    let dir = Path::new(DIRECTORY).join("t-0");
    io.create_dir_all(&dir).map_err(place)?;
    let base = Offset(0);
    let files = [
        (SegmentFile::Log.name(base), image.log),
        (SegmentFile::OffsetIndex.name(base), image.offset_index),
        (SegmentFile::TimeIndex.name(base), image.time_index),
        (SegmentFile::TxnIndex.name(base), image.txn_index),
        (SegmentFile::Snapshot.name(base), image.snapshot),
        (names::LEADER_EPOCHS.to_owned(), image.leader_epochs),
        (names::TXN_INDEXES.to_owned(), image.txn_indexes),
    ];
    for (name, content) in files {
        let file = io.open(&dir.join(name), OpenMode::Create).map_err(place)?;
        file.write_all_at(&[content], 0).map_err(place)?;
    }
    let log = dir.join(SegmentFile::Log.name(base));
    recover_and_read(&io)?;
    let once = io.read(&log).map_err(place)?;
    if !image.log.starts_with(&once) {
        return broken("recovery invented bytes");
    }
    recover_and_read(&io)?;
    match io.read(&log).map_err(place)? {
        twice if twice == once => Ok(once),
        _ => broken("recovering again changed the log"),
    }
}

fn recover_and_read(io: &SharedIo) -> Result<(), String> {
    let bed = Bed {
        io: io.clone(),
        clock: ManualClock::at(Timestamp(0)),
        config: LogConfig {
            segment_ms: i64::MAX,
            index_interval_bytes: 256,
            file_delete_delay_ms: 0,
            durability: Durability::Fsync,
            ..LogConfig::default()
        },
        partitions: 1,
        open_files_max: 16,
        leader_epoch: i32::MAX,
        seed: 0,
        cleaner: CleanerOptions::default(),
    };
    let (_store, partitions) = bed.open()?;
    let partition = partitions.first().ok_or("no partition")?;
    let offsets = partition.offsets().map_err(text)?;
    let bounds = [
        (Isolation::LogEnd, offsets.log_end),
        (Isolation::ReadCommitted, offsets.last_stable),
    ];
    for (isolation, end) in bounds {
        let mut from = offsets.log_start;
        while from < end {
            match partition.read(from, 4096, true, isolation) {
                Ok(outcome) if outcome.records.is_empty() && is_gap(partition, from, end) => {
                    from = end;
                }
                Ok(outcome) => from = after(&outcome.records, from, end)?,
                // Damage may span any number of offsets, of which a hostile header names
                // billions: try the next, and then ever farther.
                Err(ReadError::Corrupt { .. }) => from = from.plus((from.0 / 64).max(1)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    // Lookups go through the indexes and through every batch.
    for at in [0, 1, i64::MAX] {
        let _ = partition.first_at_or_after(Timestamp(at), Isolation::LogEnd);
    }
    let _ = partition.max_timestamp();
    Ok(())
}

/// Whether the next batch at `from` lies at `end` or behind: what was between was cleaned away.
fn is_gap(partition: &Partition, from: Offset, end: Offset) -> bool {
    let read = partition.read(from, 1, true, Isolation::LogEnd).ok();
    let bytes = read.and_then(|outcome| outcome.records.to_bytes().ok());
    let next = bytes.and_then(|bytes| BatchHeader::parse(&bytes).ok());
    next.is_some_and(|next| next.base_offset >= end)
}

/// Checks what a read from `from` gave; the offset after it.
fn after(records: &RecordBytes, from: Offset, log_end: Offset) -> Result<Offset, String> {
    let bytes = records.to_bytes().map_err(text)?;
    if bytes.is_empty() {
        return Err(format!(
            "offset {from} is below the log end, and nothing is there"
        ));
    }
    let mut next = from;
    each_batch(&bytes, |header, _| {
        if header.last_offset() < next || header.next_offset() > log_end {
            return Err(format!(
                "served offset {} after {next}",
                header.last_offset()
            ));
        }
        next = header.next_offset();
        Ok(())
    })?;
    Ok(next)
}
