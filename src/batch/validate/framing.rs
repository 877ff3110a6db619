//! Finds the one batch that a produce request may carry for a partition.

use bytes::Bytes;

use super::super::header::{BatchHeader, HeaderError, LENGTH_OVERHEAD, MAGIC, MAGIC_AT};
use super::rules::{BatchError, Unframed};

/// Smallest length that any format of records had (`LegacyRecord.RECORD_OVERHEAD_V0`).
const LENGTH_MIN: i32 = 14;

/// The first batch and nothing else, with its header.
///
/// As `ByteBufferLogInputStream` and `ProduceRequest.validateRecords` have it: bytes that are too
/// few to be a batch are no batch, at the start and behind the first one.
pub(super) fn single_batch(bytes: Bytes) -> Result<(BatchHeader, Bytes), BatchError> {
    let (magic, total) = match next_batch(&bytes).map_err(BatchError::Unframed)? {
        Some(found) => found,
        None => return Err(BatchError::NoBatch),
    };
    if magic != MAGIC {
        return Err(BatchError::OldMagic(magic));
    }
    let tail = bytes.get(total..).unwrap_or_default();
    if next_batch(tail)
        .map_err(BatchError::UnframedTail)?
        .is_some()
    {
        return Err(BatchError::MoreThanOneBatch);
    }
    let batch = bytes.slice(..total);
    match BatchHeader::parse(&batch) {
        Ok(header) => Ok((header, batch)),
        // Kafka finds out when it looks for the checksum.
        Err(HeaderError::Truncated(_) | HeaderError::Length(_)) => {
            Err(BatchError::Checksum { stored: 0 })
        }
        Err(HeaderError::Magic(magic)) => Err(BatchError::OldMagic(magic)),
    }
}

/// Magic and size of the batch at the start of `bytes`, if all of it is there.
fn next_batch(bytes: &[u8]) -> Result<Option<(i8, usize)>, Unframed> {
    let Some(length) = bytes
        .get(8..LENGTH_OVERHEAD)
        .and_then(<[u8]>::first_chunk)
        .map(|length| i32::from_be_bytes(*length))
    else {
        return Ok(None);
    };
    if length < LENGTH_MIN {
        return Err(Unframed::Length(length));
    }
    let Some(magic) = bytes.get(MAGIC_AT).map(|magic| magic.cast_signed()) else {
        return Ok(None);
    };
    if !(0..=MAGIC).contains(&magic) {
        return Err(Unframed::Magic(magic));
    }
    let total = LENGTH_OVERHEAD + usize::try_from(length).unwrap_or(usize::MAX - LENGTH_OVERHEAD);
    Ok((total <= bytes.len()).then_some((magic, total)))
}
