//! Walks the records of a compressed batch while they come out of the decompressor, and may
//! recompress them on the way: neither the payload nor a record is ever in memory as a whole.

use std::io::{BufRead, BufReader, Write};

use crate::model::limits::{
    BATCH_HEADER_LENGTH, DECOMPRESSED_BATCH_BYTES_MAX, HELD_DECOMPRESSED_BYTES_MAX,
};
use crate::model::{Offset, Timestamp};

use super::super::codec::{Codec, Decoder, DecompressError, Encoder, Level, at_end};
use super::super::header::BatchHeader;
use super::super::records::RecordFormatError;
use super::super::varint::{put_varint, read_varint, read_varlong, varint_len};
use super::inspect::{Inspector, RecordFacts};
use super::rules::{BatchError, RecordSizes};

/// Bytes that are collected before they are handed to an encoder, and read from a decoder.
const CHUNK_BYTES: usize = 32 * 1024;

/// Whether the offsets in a batch count from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offsets {
    /// They do, as Kafka demands of compressed batches.
    Contiguous,
    /// They do not.
    WithGaps,
}

/// Shows every record of `batch` to the inspector; writes them, numbered without gaps, to
/// `output`.
pub(super) fn stream(
    inspector: &mut Inspector,
    batch: &[u8],
    codec: Codec,
    mut output: Option<&mut Recompressor>,
) -> Result<Offsets, BatchError> {
    let header = *inspector.header();
    let payload = batch.get(BATCH_HEADER_LENGTH..).unwrap_or_default();
    let mut input = decompressing(codec, payload)?;
    if header.record_count < 0 {
        return Err(RecordFormatError::RecordCount(header.record_count).into());
    }
    let stamped = header.is_log_append_time().then_some(header.max_timestamp);
    let mut offsets = Offsets::Contiguous;
    for index in 0..header.record_count {
        let fields = read_record(&mut input, i64::from(index), output.as_deref_mut())?;
        if fields.offset_delta != index {
            offsets = Offsets::WithGaps;
        }
        inspector.check(RecordFacts {
            timestamp: stamped.unwrap_or(fields.timestamp(&header)),
            offset: header.base_offset.plus(i64::from(fields.offset_delta)).0,
            sizes: fields.sizes,
        });
    }
    if header.record_count > 0 && !at_end(&mut input).map_err(DecompressError::from)? {
        return Err(RecordFormatError::TrailingBytes(input.buffer().len()).into());
    }
    Ok(offsets)
}

/// The records' bytes, up to a cap that bounds what the codec holds, too.
fn decompressing(codec: Codec, payload: &[u8]) -> Result<BufReader<Decoder<'_>>, DecompressError> {
    let cap = match codec {
        Codec::None | Codec::Gzip | Codec::Lz4 => DECOMPRESSED_BATCH_BYTES_MAX,
        Codec::Snappy | Codec::Zstd => HELD_DECOMPRESSED_BYTES_MAX,
    };
    let decoder = Decoder::new(codec, payload, cap.max(payload.len()))?;
    Ok(BufReader::with_capacity(CHUNK_BYTES, decoder))
}

/// The first record of a batch whose timestamp and offset are wanted, read only as far as it.
///
/// For batches that are stored: the checksum is not looked at.
pub fn find_record(
    header: &BatchHeader,
    batch: &[u8],
    mut wanted: impl FnMut(Timestamp, Offset) -> bool,
) -> Result<Option<(Timestamp, Offset)>, BatchError> {
    let payload = batch
        .get(BATCH_HEADER_LENGTH..header.total_len())
        .ok_or(RecordFormatError::Truncated)?;
    if header.record_count <= 0 {
        return Ok(None);
    }
    let mut input = decompressing(header.codec()?, payload)?;
    let stamped = header.is_log_append_time().then_some(header.max_timestamp);
    for _ in 0..header.record_count {
        let fields = read_record(&mut input, 0, None)?;
        let timestamp = stamped.unwrap_or(fields.timestamp(header));
        let offset = header.base_offset.plus(i64::from(fields.offset_delta));
        if wanted(timestamp, offset) {
            return Ok(Some((timestamp, offset)));
        }
    }
    Ok(None)
}

/// The fields of a record that decide about it.
struct Fields {
    timestamp_delta: i64,
    offset_delta: i32,
    sizes: RecordSizes,
}

impl Fields {
    /// Java's addition wraps.
    fn timestamp(&self, header: &BatchHeader) -> Timestamp {
        Timestamp(header.base_timestamp.0.wrapping_add(self.timestamp_delta))
    }
}

/// Reads one record; with an output, writes it there with offset delta `renumbered`.
fn read_record(
    input: &mut impl BufRead,
    renumbered: i64,
    mut output: Option<&mut Recompressor>,
) -> Result<Fields, BatchError> {
    let length = read_varint(|| next_byte(input))?;
    let length = usize::try_from(length).map_err(|_| RecordFormatError::SizeMismatch)?;
    let mut body = Body {
        input,
        left: length,
        copy: None,
    };
    let _attributes = body.byte()?;
    let timestamp_delta = read_varlong(|| body.byte())?;
    let offset_delta = read_varint(|| body.byte())?;
    if let Some(output) = output.as_deref_mut() {
        // The fields up to here are written anew, the rest of the record as it is.
        let start = 1 + varint_len(timestamp_delta) + varint_len(renumbered);
        output.varint(i64::try_from(start.saturating_add(body.left)).unwrap_or(i64::MAX))?;
        output.bytes(&[0])?;
        output.varint(timestamp_delta)?;
        output.varint(renumbered)?;
    }
    let skipped = output.is_none();
    body.copy = output;
    let key = body.skip_nullable()?;
    let value = body.skip_nullable()?;
    let sizes = RecordSizes {
        key,
        value,
        skipped,
    };
    let headers = read_varint(|| body.byte())?;
    let count = usize::try_from(headers)
        .ok()
        .filter(|&count| count <= body.left)
        .ok_or(RecordFormatError::HeaderCount(headers))?;
    for _ in 0..count {
        body.skip_nullable()?
            .ok_or(RecordFormatError::NullHeaderKey)?;
        body.skip_nullable()?;
    }
    if body.left > 0 {
        return Err(RecordFormatError::SizeMismatch.into());
    }
    Ok(Fields {
        timestamp_delta,
        offset_delta,
        sizes,
    })
}

/// What is left of a record, read from a stream and copied to an output if there is one.
struct Body<'a, R> {
    input: &'a mut R,
    left: usize,
    copy: Option<&'a mut Recompressor>,
}

impl<R: BufRead> Body<'_, R> {
    #[inline]
    fn byte(&mut self) -> Result<u8, BatchError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(RecordFormatError::Truncated)?;
        let byte = next_byte(self.input)?;
        if let Some(copy) = self.copy.as_deref_mut() {
            copy.bytes(&[byte])?;
        }
        Ok(byte)
    }

    /// Passes over a length and that many bytes; the length, unless it is negative.
    fn skip_nullable(&mut self) -> Result<Option<usize>, BatchError> {
        let Ok(length) = usize::try_from(read_varint(|| self.byte())?) else {
            return Ok(None);
        };
        self.left = self
            .left
            .checked_sub(length)
            .ok_or(RecordFormatError::Truncated)?;
        let mut missing = length;
        while missing > 0 {
            let available = self.input.fill_buf().map_err(DecompressError::from)?;
            if available.is_empty() {
                return Err(RecordFormatError::Truncated.into());
            }
            let (taken, _) = available
                .split_at_checked(missing)
                .unwrap_or((available, &[]));
            if let Some(copy) = self.copy.as_deref_mut() {
                copy.bytes(taken)?;
            }
            let taken = taken.len();
            self.input.consume(taken);
            missing -= taken;
        }
        Ok(Some(length))
    }
}

#[inline]
fn next_byte(input: &mut impl BufRead) -> Result<u8, BatchError> {
    let &byte = input
        .fill_buf()
        .map_err(DecompressError::from)?
        .first()
        .ok_or(RecordFormatError::Truncated)?;
    input.consume(1);
    Ok(byte)
}

/// Compresses records behind room for a header, up to a size.
pub(super) struct Recompressor {
    encoder: Encoder,
    pending: Vec<u8>,
    max: usize,
}

impl Recompressor {
    pub(super) fn new(codec: Codec, level: Level, max: usize) -> Result<Self, BatchError> {
        let encoder = Encoder::new(codec, level, vec![0; BATCH_HEADER_LENGTH])
            .map_err(|error| BatchError::Compress(error.to_string()))?;
        Ok(Self {
            encoder,
            pending: Vec::with_capacity(CHUNK_BYTES),
            max,
        })
    }

    fn varint(&mut self, value: i64) -> Result<(), BatchError> {
        put_varint(&mut self.pending, value);
        self.drain_above(CHUNK_BYTES)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BatchError> {
        self.pending.extend_from_slice(bytes);
        self.drain_above(CHUNK_BYTES)
    }

    fn drain_above(&mut self, kept: usize) -> Result<(), BatchError> {
        if self.pending.len() <= kept {
            return Ok(());
        }
        self.encoder
            .write_all(&self.pending)
            .map_err(|error| BatchError::Compress(error.to_string()))?;
        self.pending.clear();
        match self.encoder.written() {
            size if size > self.max => Err(BatchError::TooLarge {
                size,
                max: self.max,
            }),
            _ => Ok(()),
        }
    }

    /// The batch, with 61 bytes still to be filled in.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, BatchError> {
        self.drain_above(0)?;
        self.encoder
            .finish()
            .map_err(|error| BatchError::Compress(error.to_string()))
    }
}
