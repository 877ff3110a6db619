//! Decides whether a batch may be stored, in Kafka's order and with Kafka's outcomes.
//!
//! The order is that of `ProduceRequest.validateRecords` (framing), then
//! `UnifiedLog.analyzeAndValidateRecords` (base offset, size, checksum), then `LogValidator`
//! (batch, records, stamping, recompression). What depends on more than one batch (sequences,
//! transactions, segment size) is the log's to check.
//!
//! **Looking inside compressed batches.** Kafka decompresses every one. Here that happens only
//! where the answer depends on the records and the header cannot tell:
//!
//! | situation | decompressed |
//! | --- | --- |
//! | the topic is compacted: every record needs a key | yes |
//! | `message.timestamp.before.max.ms` is set: the oldest record decides | yes |
//! | the header's largest timestamp is later than `message.timestamp.after.max.ms` allows | yes, to name the records |
//! | the producer set LogAppendTime, and that is not allowed | yes, to name the records |
//! | `compression.type` asks for another codec | yes, to recompress |
//! | otherwise | no: the header's largest timestamp is believed |
//!
//! **What Kafka refuses or mends and this accepts as it is**, all in compressed batches that are
//! not looked into: a payload that its codec cannot read; records that are malformed, or not as
//! many as the header says; a record later than the header's largest timestamp (Kafka stores the
//! true one, and refuses one that is out of range); offset deltas with gaps.
//! Such a batch was made wrong by its producer, and its consumers see it as it was sent.
//!
//! **What this refuses otherwise than Kafka**: a record whose length is a varint of more than
//! five bytes is malformed, not an unknown server error; a compressed batch that yields more than
//! [`DECOMPRESSED_BATCH_BYTES_MAX`] ([`HELD_DECOMPRESSED_BYTES_MAX`] for snappy and zstd) is too
//! large, where Kafka has no bound.
//!
//! [`HELD_DECOMPRESSED_BYTES_MAX`]: crate::model::limits::HELD_DECOMPRESSED_BYTES_MAX
//! [`DECOMPRESSED_BATCH_BYTES_MAX`]: crate::model::limits::DECOMPRESSED_BATCH_BYTES_MAX

mod framing;
mod inspect;
mod rules;
mod stream;

use bytes::Bytes;

use crate::model::Timestamp;

use super::builder::{BuildError, seal};
use super::codec::{Codec, Level};
use super::header::{BatchHeader, ValidBatch, attribute};

use self::inspect::Inspector;
pub use self::rules::{
    BatchError, CompressionTarget, Origin, REJECTIONS_KEPT, RecordFault, RecordRejection,
    RecordRejections, RecordSizes, Rules, Unframed,
};
pub use self::stream::find_record;
use self::stream::{Offsets, Recompressor, stream};

/// A batch that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The batch as it is to be stored.
    pub batch: ValidBatch,
    /// The time that was stamped on it, where the topic has LogAppendTime.
    pub log_append_time: Option<Timestamp>,
}

/// Checks what a producer sent for one partition, and brings it into the form to be stored.
///
/// The bytes of the result are those given, shared, unless the batch is stamped, mended or
/// recompressed. Bytes behind the batch that are not a whole batch are dropped, as Kafka does.
pub fn validate(bytes: Bytes, rules: &Rules, now: Timestamp) -> Result<Validated, BatchError> {
    let (header, bytes) = framing::single_batch(bytes)?;
    if rules.origin == Origin::Client && header.base_offset.0 != 0 {
        return Err(BatchError::BaseOffset(header.base_offset.0));
    }
    if bytes.len() > rules.max_message_bytes {
        return Err(BatchError::TooLarge {
            size: bytes.len(),
            max: rules.max_message_bytes,
        });
    }
    if !header.crc_matches(&bytes) {
        return Err(BatchError::Checksum { stored: header.crc });
    }
    let codec = header.codec()?;
    if rules.origin == Origin::Client {
        check_clients_header(&header)?;
    }
    let mut inspector = Inspector::new(header, rules, now);
    let (target, level) = stored_codec(codec, &header, rules.compression);
    let batch = if target != codec {
        recompressed(inspector, &bytes, codec, (target, level), rules, now)?
    } else if codec == Codec::None {
        let max_timestamp = inspector.walk(&bytes)?;
        stamped(header, bytes, rules, now, max_timestamp)?
    } else if inspector.header_answers() {
        stamped(header, bytes, rules, now, header.max_timestamp)?
    } else {
        let offsets = stream(&mut inspector, &bytes, codec, None)?;
        let max_timestamp = inspector.finish()?;
        match offsets {
            Offsets::Contiguous => stamped(header, bytes, rules, now, max_timestamp)?,
            Offsets::WithGaps => return Err(BatchError::OffsetGaps),
        }
    };
    Ok(Validated {
        batch,
        log_append_time: rules.log_append_time.then_some(now),
    })
}

/// `LogValidator.validateBatch`, for clients.
fn check_clients_header(header: &BatchHeader) -> Result<(), BatchError> {
    let &BatchHeader {
        last_offset_delta,
        record_count,
        ..
    } = header;
    if last_offset_delta < 0 {
        return Err(BatchError::OffsetRange(last_offset_delta));
    }
    if record_count <= 0 {
        return Err(BatchError::RecordCount(record_count));
    }
    if last_offset_delta != record_count - 1 {
        return Err(BatchError::CountMismatch {
            last_offset_delta,
            record_count,
        });
    }
    if header.is_control() {
        return Err(BatchError::ControlBatch);
    }
    if header.producer_id >= 0 && header.base_sequence < 0 {
        return Err(BatchError::Sequence {
            sequence: header.base_sequence,
            producer_id: header.producer_id,
        });
    }
    Ok(())
}

/// The codec that a batch is stored with. Control records are never compressed.
fn stored_codec(
    codec: Codec,
    header: &BatchHeader,
    configured: CompressionTarget,
) -> (Codec, Level) {
    match configured {
        CompressionTarget::Fixed(target, level)
            if !(codec == Codec::None && header.is_control()) =>
        {
            (target, level)
        }
        CompressionTarget::Fixed(..) | CompressionTarget::Producer => (codec, Level::Default),
    }
}

/// The batch with the topic's type of timestamp and the largest timestamp, true or stamped; the
/// very bytes if they say so already.
fn stamped(
    mut header: BatchHeader,
    bytes: Bytes,
    rules: &Rules,
    now: Timestamp,
    max_timestamp: Timestamp,
) -> Result<ValidBatch, BatchError> {
    let max_timestamp = if rules.log_append_time {
        now
    } else {
        max_timestamp
    };
    if header.is_log_append_time() == rules.log_append_time && header.max_timestamp == max_timestamp
    {
        return Ok(ValidBatch { bytes, header });
    }
    stamp(&mut header, rules, max_timestamp);
    sealed(header, Vec::from(bytes), rules)
}

/// The batch with its records decompressed, checked, renumbered, and compressed with another
/// codec.
fn recompressed(
    mut inspector: Inspector,
    bytes: &Bytes,
    codec: Codec,
    (target, level): (Codec, Level),
    rules: &Rules,
    now: Timestamp,
) -> Result<ValidBatch, BatchError> {
    let mut header = *inspector.header();
    let mut output = Recompressor::new(target, level, rules.max_message_bytes)?;
    stream(&mut inspector, bytes, codec, Some(&mut output))?;
    let max_timestamp = inspector.finish()?;
    header.attributes = (header.attributes & !attribute::CODEC_MASK) | target.id();
    stamp(
        &mut header,
        rules,
        if rules.log_append_time {
            now
        } else {
            max_timestamp
        },
    );
    sealed(header, output.finish()?, rules)
}

fn stamp(header: &mut BatchHeader, rules: &Rules, max_timestamp: Timestamp) {
    header.max_timestamp = max_timestamp;
    header.attributes &= attribute::KNOWN & !attribute::LOG_APPEND_TIME;
    if rules.log_append_time {
        header.attributes |= attribute::LOG_APPEND_TIME;
    }
}

fn sealed(header: BatchHeader, bytes: Vec<u8>, rules: &Rules) -> Result<ValidBatch, BatchError> {
    let too_large = |size| BatchError::TooLarge {
        size,
        max: rules.max_message_bytes,
    };
    let batch = seal(header, bytes).map_err(|error| match error {
        BuildError::TooLarge(size) => too_large(size),
        BuildError::Compress(error) => BatchError::Compress(error.to_string()),
    })?;
    if batch.bytes.len() > rules.max_message_bytes {
        return Err(too_large(batch.bytes.len()));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests;
