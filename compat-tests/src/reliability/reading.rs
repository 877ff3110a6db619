//! Records to bytes, and a partition's log back to records: every checksum, offset and payload is
//! looked at.

use std::io;
use std::ops::Range;

use super::client::Client;
use super::ledger::Value;
use crate::records::{Batch, Record, decompress};

/// Bytes asked for at a time.
const FETCH_BYTES: i32 = 4 << 20;

/// Error code of a fetch of an offset that is not there.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// The code for a stretch that is damaged.
const CORRUPT_MESSAGE: i16 = 2;

/// Length of a batch's header.
const HEADER: usize = 61;

/// A batch of `count` records with the values from `first` on: producer id, epoch and first
/// sequence, then the time of all records.
#[must_use]
pub fn batch(first: Value, count: u32, producer: (i64, i16, i32), time: i64) -> Vec<u8> {
    encode(first, count, producer, time, |_| None)
}

/// As [`batch`], each value under its key.
#[must_use]
pub fn keyed_batch(first: Value, count: u32, producer: (i64, i16, i32), time: i64) -> Vec<u8> {
    encode(first, count, producer, time, |value| Some(value.key()))
}

fn encode(
    first: Value,
    count: u32,
    producer: (i64, i16, i32),
    time: i64,
    key: impl Fn(Value) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let values = (0..u64::from(count)).map(|number| first.plus(number));
    let records = values.map(|value| Record {
        key: key(value),
        value: Some(value.payload()),
        ..Record::default()
    });
    let (id, epoch, sequence) = producer;
    Batch {
        records: records.collect(),
        ..Batch::of(&[])
    }
    .at(time)
    .from_producer(id, epoch, sequence)
    .bytes()
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value, if it is one of ours and whole.
    pub value: Option<Value>,
    /// Whether it has no value at all: a tombstone.
    pub null: bool,
}

/// A partition's log, as it was read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The first offset that there is.
    pub log_start: i64,
    /// The offset after the last that may be read.
    pub end: i64,
    /// All records, in the log's order.
    pub records: Vec<ReadRecord>,
    /// Stretches that the broker refuses to read: damaged, as it says itself.
    pub refused: Vec<Range<i64>>,
    /// What was wrong beyond single values: checksums, undecodable batches, refused fetches.
    pub faults: Vec<String>,
}

/// Reads a partition from an offset, or from the log start if that is later, to the high watermark.
///
/// # Errors
/// If the connection is gone. A broker that refuses to read is a fault in the reading.
pub fn read(client: &mut Client, topic: &str, partition: i32, from: i64) -> io::Result<Reading> {
    let (code, log_start) = client.list_offset(topic, partition, -2)?;
    let (end_code, end) = client.list_offset(topic, partition, -1)?;
    let mut reading = Reading {
        log_start,
        end,
        ..Reading::default()
    };
    if (code, end_code) != (0, 0) {
        reading.faults.push(format!(
            "{topic}-{partition}: ListOffsets answers {code} and {end_code}"
        ));
        return Ok(reading);
    }
    let mut next = from.max(log_start);
    while next < end {
        let fetched = client.fetch(topic, partition, next, FETCH_BYTES)?;
        let before = next;
        match fetched.code {
            0 => next = reading.take(&fetched.records, next),
            CORRUPT_MESSAGE => {
                while next < end && client.fetch(topic, partition, next, 1)?.code == CORRUPT_MESSAGE
                {
                    next += 1;
                }
                reading.refused.push(before..next);
            }
            // Retention went on meanwhile: what is left is read as if that had been so at first. On
            // a topic without retention the ledger misses what is gone.
            OFFSET_OUT_OF_RANGE => {
                let (code, log_start) = client.list_offset(topic, partition, -2)?;
                if code == 0 && log_start > next {
                    (reading.log_start, next) = (log_start, log_start);
                    reading.records.clear();
                    reading.refused.clear();
                }
            }
            _ => {}
        }
        if next == before {
            reading.faults.push(format!(
                "{topic}-{partition}: a fetch at {next} of {end} answers code {} and {} bytes, which lead no further",
                fetched.code,
                fetched.records.len()
            ));
            break;
        }
    }
    reading.records.retain(|record| record.offset < end);
    Ok(reading)
}

impl Reading {
    /// The offset itself, or where reading can go on behind a stretch that is refused there.
    #[must_use]
    pub fn after_refused(&self, offset: i64) -> i64 {
        let mut refused = self.refused.iter();
        refused
            .find(|stretch| stretch.start == offset)
            .map_or(offset, |stretch| stretch.end)
    }

    /// Takes what a fetch at `next` gave, and tells where to go on.
    pub fn take(&mut self, mut bytes: &[u8], mut next: i64) -> i64 {
        while let Some(length) = whole_batch(bytes) {
            let (batch, rest) = bytes.split_at(length);
            bytes = rest;
            let base = i64_at(batch, 0);
            let last = base + i64::from(i32_at(batch, 23));
            let crc = u32::from_be_bytes(batch[17..21].try_into().expect("four bytes"));
            if crc != crc32c::crc32c(&batch[21..]) {
                self.faults
                    .push(format!("the batch at {base} has a wrong checksum"));
            } else if let Err(reason) = self.take_batch(batch, base, next) {
                self.faults
                    .push(format!("the batch at {base} cannot be decoded: {reason}"));
            }
            if last < next {
                self.faults.push(format!(
                    "the batch {base}..={last} was not asked for at {next}"
                ));
            }
            next = next.max(last + 1);
        }
        next
    }

    fn take_batch(&mut self, batch: &[u8], base: i64, from: i64) -> Result<(), String> {
        let attributes = i16::from_be_bytes([batch[21], batch[22]]);
        if attributes & 0x20 != 0 {
            return Ok(());
        }
        let payload = decompress(attributes & 7, &batch[HEADER..])?;
        let mut input = payload.as_slice();
        for _ in 0..i32_at(batch, 57) {
            let length = usize::try_from(varint(&mut input)?).map_err(|_| "negative length")?;
            let (mut record, rest) = input.split_at_checked(length).ok_or("a cut record")?;
            input = rest;
            // Attributes, which are not used.
            record = record.get(1..).ok_or("an empty record")?;
            varint(&mut record)?;
            let offset = base + varint(&mut record)?;
            let key = field(&mut record)?;
            let value = field(&mut record)?;
            if offset >= from {
                self.records.push(ReadRecord {
                    offset,
                    key: key.map(<[u8]>::to_vec),
                    value: value.and_then(Value::from_payload),
                    null: value.is_none(),
                });
            }
        }
        Ok(())
    }
}

/// Length of the batch at the front, if all of it is there.
fn whole_batch(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(8..12)?.try_into().ok()?;
    let length = 12 + usize::try_from(i32::from_be_bytes(length)).ok()?;
    (HEADER..=bytes.len()).contains(&length).then_some(length)
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn field<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    let Ok(length) = usize::try_from(varint(input)?) else {
        return Ok(None);
    };
    let (field, rest) = input.split_at_checked(length).ok_or("a cut field")?;
    *input = rest;
    Ok(Some(field))
}

fn varint(input: &mut &[u8]) -> Result<i64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or("a cut number")?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err("a number without end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(base: i64, first: u64, count: u32) -> Vec<u8> {
        let mut bytes = batch(Value::new(1, first), count, (7, 0, 0), 1);
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes
    }

    #[test]
    fn records_come_back_with_their_offsets_and_values() {
        let mut bytes = stored(10, 0, 2);
        bytes.extend(stored(12, 2, 1));
        bytes.extend(&stored(13, 3, 1)[..30]);
        let mut reading = Reading::default();
        assert_eq!(reading.take(&bytes, 11), 13);
        let got: Vec<_> = reading
            .records
            .iter()
            .map(|record| (record.offset, record.value))
            .collect();
        assert_eq!(
            got,
            [(11, Some(Value::new(1, 1))), (12, Some(Value::new(1, 2)))]
        );
        assert!(reading.faults.is_empty());
    }

    #[test]
    fn a_flipped_bit_is_a_fault() {
        let mut bytes = stored(0, 0, 2);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut reading = Reading::default();
        assert_eq!(reading.take(&bytes, 0), 2);
        assert!(reading.records.is_empty());
        assert_eq!(reading.faults.len(), 1);
    }

    #[test]
    fn a_batch_that_was_not_asked_for_is_a_fault() {
        let mut reading = Reading::default();
        assert_eq!(reading.take(&stored(0, 0, 2), 5), 5);
        assert_eq!(reading.faults.len(), 1);
    }
}
