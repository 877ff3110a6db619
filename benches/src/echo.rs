//! Floors that store nothing.

use std::io;

use klamm::wire::{DecodeError, Reader, crc32c};

use crate::protocol::{self, Produce};
use crate::serve::{Floor, Peer};

/// Where the header of a batch has what, and where its records begin (Kafka's `DefaultRecordBatch`).
pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const COVERED_AT: usize = 21;
pub(crate) const LAST_DELTA_AT: usize = 23;
const COUNT_AT: usize = 57;
const RECORDS_AT: usize = 61;
const CODEC_BITS: u16 = 7;

/// Looks at nothing, and says that partition 0 has it at offset 0.
#[derive(Debug, Default)]
pub struct PingPong;

impl Floor for PingPong {
    fn produce(&mut self, frame: &mut [u8], peer: &mut Peer) -> io::Result<()> {
        let request = Produce {
            correlation: protocol::correlation(frame)?,
            partition: 0,
            batch: 0..0,
        };
        peer.answer(&request, 0);
        Ok(())
    }
}

/// Looks at everything, and says that it has it at offset 0.
#[derive(Debug, Default)]
pub struct Null;

impl Floor for Null {
    fn produce(&mut self, frame: &mut [u8], peer: &mut Peer) -> io::Result<()> {
        let request = protocol::produce(frame).map_err(protocol::malformed)?;
        let batch = frame.get(request.batch.clone()).unwrap_or_default();
        check(batch)?;
        peer.answer(&request, 0);
        Ok(())
    }
}

/// A number in the header of a batch; 0 where it has no such byte.
pub(crate) fn field<const N: usize>(batch: &[u8], at: usize) -> [u8; N] {
    let found = batch.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().unwrap_or([0; N])
}

/// Whether the checksum of a batch is that of its bytes.
pub(crate) fn check_crc(batch: &[u8]) -> io::Result<()> {
    let covered = batch.get(COVERED_AT..).unwrap_or_default();
    let stored = u32::from_be_bytes(field(batch, CRC_AT));
    sound(crc32c(covered) == stored, "checksum")
}

fn sound(holds: bool, what: &str) -> io::Result<()> {
    match holds {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, what)),
    }
}

/// What a broker checks of one batch: header, checksum, and where it is not compressed the framing
/// of its records.
fn check(batch: &[u8]) -> io::Result<()> {
    let length = u32::from_be_bytes(field(batch, LENGTH_AT));
    sound(length as usize + 12 == batch.len(), "length")?;
    sound(field(batch, MAGIC_AT) == [2], "magic")?;
    check_crc(batch)?;
    let count = i32::from_be_bytes(field(batch, COUNT_AT));
    let last = i32::from_be_bytes(field(batch, LAST_DELTA_AT));
    sound(last.checked_add(1) == Some(count), "count")?;
    let attributes = u16::from_be_bytes(field(batch, COVERED_AT));
    match attributes & CODEC_BITS {
        0 => {
            let records = batch.get(RECORDS_AT..).unwrap_or_default();
            walk(records, count).map_err(protocol::malformed)
        }
        codec => sound(codec <= 4, "codec"),
    }
}

/// Reads all of every record but key, value and headers.
fn walk(records: &[u8], count: i32) -> Result<(), DecodeError> {
    let mut from = Reader::new(records);
    for _ in 0..count {
        let length = size(from.varint()?);
        let mut record = Reader::new(from.take(length)?);
        record.i8()?;
        record.varlong()?;
        record.varint()?;
        for _ in ["key", "value"] {
            let length = size(record.varint()?);
            record.take(length)?;
        }
        for _ in 0..record.varint()? {
            for _ in ["key", "value"] {
                let length = size(record.varint()?);
                record.take(length)?;
            }
        }
        record.finish()?;
    }
    from.finish()
}

/// A length, of which -1 is null.
fn size(length: i32) -> usize {
    usize::try_from(length).unwrap_or(0)
}
