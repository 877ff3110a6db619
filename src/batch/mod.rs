//! Record batches of magic 2: what clients send is what the log stores and what readers get.
//!
//! *Owns:* the 61-byte header, validation, patching, record views, the builder of batches that
//! the broker makes, compression with a cap on output.
//!
//! *May use:* `wire`, `model`.
//!
//! *Must not know:* files, topics' names, Kafka's error codes.
//!
//! *Invariants:*
//! - No count or length in a batch is believed before the bytes it speaks of are there: memory
//!   grows with the input, and with what a decompressor really yields up to a cap.
//! - A [`ValidBatch`] is exactly one whole batch whose checksum holds.
//! - Between validation and disk only bytes 0..16 change; the checksum begins at byte 21.

mod builder;
mod codec;
mod control;
mod header;
mod records;
mod retain;
#[cfg(test)]
mod testing;
mod validate;
mod varint;

pub use builder::{BatchBuilder, BuildError};
pub use codec::{Codec, DecompressError, Level, UnknownCodec, compress, decompress};
pub use control::{ControlType, EndMarker};
pub use header::{BatchHeader, HeaderError, NO_SEQUENCE, NO_TIMESTAMP, ProducerStamp, ValidBatch};
pub use records::{
    Header, Headers, RecordFormatError, RecordIter, RecordView, Records, RecordsError, records,
};
pub use retain::{emptied, retain};
pub use validate::{
    BatchError, CompressionTarget, Origin, REJECTIONS_KEPT, RecordFault, RecordRejection,
    RecordRejections, RecordSizes, Rules, Unframed, Validated, find_record, validate,
};
