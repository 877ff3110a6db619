//! Reading everything after a flip, and holding it against what was there.

use std::collections::BTreeSet;

use super::images::{Log, StoredBatch};

/// What a read at an offset gave.
pub(super) enum Answer {
    /// Whole batches.
    Batches(Vec<u8>),
    /// CORRUPT_MESSAGE.
    Corrupt,
    /// Anything else.
    Other(String),
}

/// What became of the batches of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Batches that came as they were written.
    pub(super) served: BTreeSet<usize>,
    /// Batches that were refused.
    pub(super) refused: BTreeSet<usize>,
    /// What came and was never written, or in place of which batch something else came.
    pub(super) wrong: Vec<(usize, String)>,
}

/// Reads a log from its first offset to its last.
pub(super) fn read(log: &Log, mut ask: impl FnMut(i64) -> Answer) -> Reading {
    let mut reading = Reading::default();
    let mut next = 0;
    // Between batches that were cleaned away, a read gives what is behind.
    while let Some((number, batch)) = from(log, next) {
        match ask(next) {
            // Whether the offsets before this batch were cleaned away or damaged, nobody knows.
            Answer::Corrupt if next < batch.base => next = batch.base,
            Answer::Corrupt => {
                reading.refused.insert(number);
                next = batch.end;
            }
            Answer::Other(what) => {
                reading.wrong.push((number, what));
                next = batch.end;
            }
            Answer::Batches(bytes) => next = take(log, &bytes, next, &mut reading),
        }
    }
    reading
}

/// The first batch that ends behind an offset.
fn from(log: &Log, offset: i64) -> Option<(usize, &StoredBatch)> {
    let number = log.batches.partition_point(|batch| batch.end <= offset);
    Some((number, log.batches.get(number)?))
}

/// Takes batches of an answer; the offset to go on at.
fn take(log: &Log, mut bytes: &[u8], asked: i64, reading: &mut Reading) -> i64 {
    let mut next = asked;
    let mut first = true;
    while !bytes.is_empty() {
        let Some((expected, batch)) = from(log, next) else {
            reading
                .wrong
                .push((log.batches.len(), "bytes behind the end".to_owned()));
            return next;
        };
        first = false;
        // Whole batches alone, of which each has to be one that was written.
        let found = log
            .batches
            .iter()
            .enumerate()
            .skip(expected)
            .find(|(_, candidate)| bytes.starts_with(&candidate.bytes));
        match found {
            // A batch that was passed over is neither served nor refused.
            Some((number, batch)) => {
                reading.served.insert(number);
                next = batch.end;
                bytes = &bytes[batch.bytes.len()..];
            }
            None => {
                let what = "a batch that was not written so".to_owned();
                reading.wrong.push((expected, what));
                return batch.end;
            }
        }
    }
    if first {
        let (number, end) =
            from(log, asked).map_or((0, asked + 1), |(number, batch)| (number, batch.end));
        reading.wrong.push((number, "nothing came".to_owned()));
        return end;
    }
    next
}
