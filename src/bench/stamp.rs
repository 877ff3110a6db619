//! Who sent a batch, which of its batches it is, and when it should have left: in the header, so
//! that the records need not be looked at, whatever their codec.
//!
//! A batch without a producer id has two fields that brokers store and nobody reads, both under the
//! checksum; the time stands where times stand:
//!
//! ```text
//!  base timestamp   wall clock, ms
//!  base sequence    bits 0-9: microseconds within that ms · bits 10-30: number, modulo 2^21
//!  producer epoch   bits 0-14: producer
//! ```
//!
//! Clients without idempotence send -1 in both, which is no stamp.

use crate::batch::BatchHeader;
use crate::model::Timestamp;

/// How many producers can be told apart.
pub(super) const PRODUCERS: u16 = 1 << 15;

/// Numbers begin again after so many.
pub(super) const NUMBERS: u32 = 1 << 21;

const MICROS_BITS: u32 = 10;
const NO_PRODUCER_ID: i64 = -1;

/// What a batch of the generator says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Below [`PRODUCERS`].
    pub(super) producer: u16,
    /// Which batch of that producer for that partition, below [`NUMBERS`].
    pub(super) number: u32,
    /// When it should have left, in microseconds since the epoch of Unix.
    pub(super) due_us: i64,
}

impl Stamp {
    /// Writes the stamp into the fields of a header.
    pub(super) fn put(self, header: &mut BatchHeader) {
        let time = Timestamp(self.due_us.div_euclid(1000));
        header.base_timestamp = time;
        header.max_timestamp = time;
        let micros = u32::try_from(self.due_us.rem_euclid(1000)).unwrap_or(0);
        let sequence = ((self.number % NUMBERS) << MICROS_BITS) | micros;
        // 21 + 10 bits.
        header.base_sequence = sequence.cast_signed();
        header.producer_epoch = (self.producer % PRODUCERS).cast_signed();
    }

    /// The stamp in a header; `None` if the batch is not the generator's.
    pub(super) fn of(header: &BatchHeader) -> Option<Self> {
        if header.producer_id != NO_PRODUCER_ID {
            return None;
        }
        let producer = u16::try_from(header.producer_epoch).ok()?;
        let sequence = u32::try_from(header.base_sequence).ok()?;
        let micros = i64::from(sequence & ((1 << MICROS_BITS) - 1));
        Some(Self {
            producer,
            number: sequence >> MICROS_BITS,
            due_us: header
                .base_timestamp
                .0
                .saturating_mul(1000)
                .saturating_add(micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;

    fn header() -> BatchHeader {
        let mut batch = BatchBuilder::new();
        batch.push(Timestamp(5), None, Some(b"v"));
        batch.build().expect("a batch").header
    }

    #[test]
    fn a_stamp_survives_the_header() {
        let stamp = Stamp {
            producer: PRODUCERS - 1,
            number: NUMBERS - 1,
            due_us: 1_700_000_000_123_999,
        };
        let mut header = header();
        stamp.put(&mut header);
        assert_eq!(Stamp::of(&header), Some(stamp));
        assert_eq!(header.max_timestamp, Timestamp(1_700_000_000_123));
        assert!(header.producer().is_none());
    }

    #[test]
    fn other_peoples_batches_have_no_stamp() {
        assert_eq!(Stamp::of(&header()), None);
        let idempotent = BatchHeader {
            producer_id: 7,
            producer_epoch: 0,
            base_sequence: 0,
            ..header()
        };
        assert_eq!(Stamp::of(&idempotent), None);
    }
}
