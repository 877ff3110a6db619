//! What consumers read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::batch::{ControlType, records};
use crate::model::Offset;

use super::super::{each_batch, text};
use super::model::{Fate, Record};
use crate::storage::{AbortedTransaction, Isolation, Partition};

/// Every record from the log start to the log end.
pub(super) fn read_all(
    partition: &Partition,
    log_start: i64,
    log_end: i64,
) -> Result<BTreeMap<i64, Record>, String> {
    let mut there = BTreeMap::new();
    let mut next = log_start;
    while next < log_end {
        let read = partition.read(Offset(next), 700, true, Isolation::LogEnd);
        let read = read.map_err(|error| format!("at {next}: {error}"))?;
        let bytes = read.records.to_bytes().map_err(text)?;
        if bytes.is_empty() {
            break;
        }
        each_batch(&bytes, |header, batch| {
            if header.last_offset().0 < next || header.next_offset().0 > log_end {
                return Err(format!("offset {} after {next}", header.last_offset()));
            }
            next = header.next_offset().0;
            if header.is_control() {
                return Ok(());
            }
            for record in &records(batch).map_err(text)? {
                let record = record.map_err(text)?;
                let read = Record {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.0,
                    fate: Fate::Committed,
                    attempts_before: 0,
                };
                if record.offset.0 >= log_start && there.insert(record.offset.0, read).is_some() {
                    return Err(format!("offset {} twice", record.offset));
                }
            }
            Ok(())
        })?;
    }
    Ok(there)
}

/// Reads as a consumer does that wants committed records only; what it knows of every key.
pub(super) fn consume_committed(
    partition: &Partition,
    log_start: i64,
    stable: i64,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let mut seen: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
    let mut next = log_start;
    let mut aborting: BTreeSet<i64> = BTreeSet::new();
    while next < stable {
        let read = partition.read(Offset(next), 900, true, Isolation::ReadCommitted);
        let read = read.map_err(|error| format!("committed at {next}: {error}"))?;
        let bytes = read.records.to_bytes().map_err(text)?;
        if bytes.is_empty() {
            break;
        }
        let mut ahead: VecDeque<AbortedTransaction> = {
            let mut list = read.aborted.clone();
            list.sort_by_key(|transaction| transaction.first_offset);
            list.into()
        };
        aborting.clear();
        each_batch(&bytes, |header, batch| {
            next = header.next_offset().0;
            while let Some(first) = ahead.front().copied()
                && first.first_offset <= header.last_offset()
            {
                aborting.insert(first.producer_id);
                ahead.pop_front();
            }
            let opened = records(batch).map_err(text)?;
            if header.is_control() {
                let record = opened.iter().next().and_then(Result::ok);
                let kind = record.and_then(|record| ControlType::from_key(record.key?));
                if kind == Some(ControlType::Abort) {
                    aborting.remove(&header.producer_id);
                }
                return Ok(());
            }
            if header.is_transactional() && aborting.contains(&header.producer_id) {
                return Ok(());
            }
            for record in &opened {
                let record = record.map_err(text)?;
                // The last stable offset may have risen since.
                if let Some(key) = record.key
                    && (log_start..stable).contains(&record.offset.0)
                {
                    seen.insert(key.to_vec(), record.value.map(<[u8]>::to_vec));
                }
            }
            Ok(())
        })?;
    }
    let known = seen.into_iter();
    Ok(known
        .filter_map(|(key, value)| Some((key, value?)))
        .collect())
}
