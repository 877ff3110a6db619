//! Whether the records of a batch are what its header says.

use crate::batch::{BatchHeader, Codec, find_record, records};
use crate::model::Offset;

/// What is wrong with the records of a batch whose checksum holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    /// They make no sense, and a producer could not have sent them so.
    #[error("{0}")]
    Malformed(String),
    /// They cannot be decompressed, or not within bounds. Batches are stored without a look
    /// inside where Kafka's answer does not depend on it, so a producer may have sent them so.
    #[error("{0}")]
    Opaque(String),
}

/// Checks the records of a whole batch. `thinned`: whether the cleaner may have taken some.
pub(super) fn check(header: &BatchHeader, batch: &[u8], thinned: bool) -> Result<(), Flaw> {
    let malformed = |reason: String| Err(Flaw::Malformed(reason));
    let (count, room) = (
        i64::from(header.record_count),
        i64::from(header.last_offset_delta) + 1,
    );
    // What stands in the place of lost records has none.
    if count < 0 || count > room || (count < room && count > 0 && !thinned) {
        return malformed(format!("{count} records for {room} offsets"));
    }
    if count == 0 {
        return Ok(());
    }
    match header.codec() {
        Err(unknown) => Err(Flaw::Opaque(unknown.to_string())),
        Ok(Codec::None) => plain(header, batch),
        Ok(Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd) => compressed(header, batch),
    }
}

/// The offsets of records ascend, and lie in their batch.
#[derive(Debug)]
struct Order {
    next: Offset,
    last: Offset,
}

impl Order {
    fn of(header: &BatchHeader) -> Self {
        Self {
            next: header.base_offset,
            last: header.last_offset(),
        }
    }

    fn accepts(&mut self, offset: Offset) -> bool {
        let fits = offset >= self.next && offset <= self.last;
        self.next = offset.plus(1);
        fits
    }
}

fn plain(header: &BatchHeader, batch: &[u8]) -> Result<(), Flaw> {
    let malformed = |reason: String| Flaw::Malformed(reason);
    let opened = records(batch).map_err(|error| malformed(error.to_string()))?;
    let mut order = Order::of(header);
    for record in &opened {
        let record = record.map_err(|error| malformed(error.to_string()))?;
        if !order.accepts(record.offset) {
            return Err(malformed(format!(
                "a record with offset {} where {} should follow",
                record.offset, order.next
            )));
        }
    }
    Ok(())
}

fn compressed(header: &BatchHeader, batch: &[u8]) -> Result<(), Flaw> {
    let mut order = Order::of(header);
    let stray = find_record(header, batch, |_, offset| !order.accepts(offset));
    match stray {
        Ok(None) => Ok(()),
        Ok(Some((_, offset))) => Err(Flaw::Opaque(format!(
            "a record with offset {offset} is out of order"
        ))),
        Err(error) => Err(Flaw::Opaque(error.to_string())),
    }
}
