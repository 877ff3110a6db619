//! The records of a batch, as views into its bytes.
//!
//! ```text
//! record: length varint │ attributes i8 │ timestamp delta varlong │ offset delta varint
//!         │ key length varint (-1: null) │ key │ value length varint (-1: null) │ value
//!         │ header count varint │ header*
//! header: key length varint │ key (UTF-8) │ value length varint (-1: null) │ value
//! ```
//!
//! Follows `DefaultRecord.readFrom` and the checks of `DefaultRecordBatch`'s iterators. Headers
//! are a list: a key may occur more than once (KIP-82).

use std::borrow::Cow;

use crate::model::limits::{BATCH_HEADER_LENGTH, DECOMPRESSED_BATCH_BYTES_MAX};
use crate::model::{Offset, Timestamp};

use super::codec::{Codec, DecompressError, UnknownCodec, decompress};
use super::header::{BatchHeader, HeaderError};
use super::varint::Cursor;

/// Why bytes are not the records that their header promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFormatError {
    /// A field reaches past the end.
    #[error("a record ends too early")]
    Truncated,
    /// More bytes than the number can have.
    #[error("a varint is too long")]
    VarintTooLong,
    /// The fields of a record do not fill its length.
    #[error("a record's length is not that of its fields")]
    SizeMismatch,
    /// A negative number of headers, or more than there are bytes.
    #[error("a record cannot have {0} headers")]
    HeaderCount(i32),
    /// A header without key.
    #[error("a header's key has a negative length")]
    NullHeaderKey,
    /// A negative number of records.
    #[error("a batch cannot have {0} records")]
    RecordCount(i32),
    /// Bytes behind the last record.
    #[error("{0} bytes follow the last record")]
    TrailingBytes(usize),
}

/// Why the records of a batch cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// Not a batch.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The batch is longer than the bytes.
    #[error("a batch of {expected} bytes was cut to {got}")]
    Truncated {
        /// By its header.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// No such codec.
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    /// The payload cannot be decompressed.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// Opens the batch at the start of `batch`, decompressing it if need be.
///
/// The checksum is not looked at: [`BatchHeader::crc_matches`] does that.
pub fn records(batch: &[u8]) -> Result<Records<'_>, RecordsError> {
    let header = BatchHeader::parse(batch)?;
    let payload =
        batch
            .get(BATCH_HEADER_LENGTH..header.total_len())
            .ok_or(RecordsError::Truncated {
                expected: header.total_len(),
                got: batch.len(),
            })?;
    let payload = match header.codec()? {
        // What the cleaner leaves of a batch may have no records, hence nothing compressed. As in
        // Kafka, what stands there instead does not matter.
        _ if header.record_count == 0 => Cow::Borrowed(&[][..]),
        Codec::None => Cow::Borrowed(payload),
        codec @ (Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd) => {
            Cow::Owned(decompress(codec, payload, DECOMPRESSED_BATCH_BYTES_MAX)?)
        }
    };
    Ok(Records { header, payload })
}

/// A batch whose records can be read.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: BatchHeader,
    payload: Cow<'a, [u8]>,
}

impl Records<'_> {
    /// The header of the batch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records, in order. Ends at the first that is malformed, with the error.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter::new(&self.header, &self.payload)
    }

    /// Those of the records for which `wanted`, one by one, says so. That they are well formed is
    /// known from an earlier reading: it is not looked at what follows their offsets.
    pub(super) fn encoded(
        &self,
        wanted: impl Iterator<Item = bool>,
    ) -> impl Iterator<Item = EncodedRecord<'_>> {
        let mut records = self.iter();
        wanted
            .map_while(move |wanted| records.next_encoded(wanted).ok())
            .flatten()
    }
}

impl<'a> IntoIterator for &'a Records<'_> {
    type Item = Result<RecordView<'a>, RecordFormatError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its offset, as far as the batch's base offset is right.
    pub offset: Offset,
    /// Its timestamp; that of the append, in a batch with LogAppendTime.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// The headers of a record, already found to be well formed.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    count: usize,
    encoded: Cursor<'a>,
}

impl<'a> Headers<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut encoded = self.encoded;
        (0..self.count).map_while(move |_| read_header(&mut encoded).ok())
    }
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key, which should be UTF-8.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// What a record says, and what was made of its key and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a, T> {
    /// As [`RecordView::offset`].
    pub(super) offset: Offset,
    /// As [`RecordView::timestamp`].
    pub(super) timestamp: Timestamp,
    /// Of its key.
    pub(super) key: Option<T>,
    /// Of its value.
    pub(super) value: Option<T>,
    headers: Headers<'a>,
}

/// One record that is only carried on.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncodedRecord<'a> {
    /// Its timestamp; that of the append, in a batch with LogAppendTime.
    pub(super) timestamp: Timestamp,
    /// Its offset, from the base of its batch on.
    pub(super) offset_delta: i32,
    /// What follows: key, value and headers, as they are encoded.
    pub(super) rest: &'a [u8],
}

/// Reads record after record from an uncompressed payload.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    payload: Cursor<'a>,
    base_offset: Offset,
    base_timestamp: i64,
    log_append_time: Option<Timestamp>,
    /// Records still to come, by the header.
    left: i32,
    finished: bool,
}

impl<'a> RecordIter<'a> {
    pub(super) fn new(header: &BatchHeader, payload: &'a [u8]) -> Self {
        Self {
            payload: Cursor::new(payload),
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp.0,
            log_append_time: header.is_log_append_time().then_some(header.max_timestamp),
            left: header.record_count,
            finished: false,
        }
    }

    /// The fields of the next record.
    #[inline]
    fn next_body(&mut self) -> Result<Option<Cursor<'a>>, RecordFormatError> {
        if self.left < 0 {
            return Err(RecordFormatError::RecordCount(self.left));
        }
        if self.left == 0 {
            return match self.payload.remaining() {
                0 => Ok(None),
                trailing => Err(RecordFormatError::TrailingBytes(trailing)),
            };
        }
        self.left -= 1;
        let length =
            usize::try_from(self.payload.varint()?).map_err(|_| RecordFormatError::SizeMismatch)?;
        Ok(Some(Cursor::new(self.payload.bytes(length)?)))
    }

    fn timestamp(&self, delta: i64) -> Timestamp {
        self.log_append_time
            // Java's addition wraps.
            .unwrap_or(Timestamp(self.base_timestamp.wrapping_add(delta)))
    }

    #[inline]
    fn next_record(&mut self) -> Result<Option<RecordView<'a>>, RecordFormatError> {
        let fields = self.next_fields(Cursor::nullable_bytes)?;
        Ok(fields.map(|fields| RecordView {
            offset: fields.offset,
            timestamp: fields.timestamp,
            key: fields.key,
            value: fields.value,
            headers: fields.headers,
        }))
    }

    /// The next record, of whose key and value the lengths are enough: a view of them costs more.
    #[inline]
    pub(super) fn next_lengths(&mut self) -> Result<Option<Fields<'a, usize>>, RecordFormatError> {
        self.next_fields(Cursor::skip_nullable)
    }

    /// The next record, all of whose fields are read, key and value by `read`.
    #[inline]
    fn next_fields<T>(
        &mut self,
        read: impl Fn(&mut Cursor<'a>) -> Result<Option<T>, RecordFormatError>,
    ) -> Result<Option<Fields<'a, T>>, RecordFormatError> {
        let Some(mut body) = self.next_body()? else {
            return Ok(None);
        };
        let _attributes = body.byte()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = read(&mut body)?;
        let value = read(&mut body)?;
        let headers = read_headers(&mut body)?;
        if !body.is_empty() {
            return Err(RecordFormatError::SizeMismatch);
        }
        Ok(Some(Fields {
            offset: self.base_offset.plus(i64::from(offset_delta)),
            timestamp: self.timestamp(timestamp_delta),
            key,
            value,
            headers,
        }))
    }

    /// The next record, if it is `wanted`.
    #[inline]
    fn next_encoded(
        &mut self,
        wanted: bool,
    ) -> Result<Option<EncodedRecord<'a>>, RecordFormatError> {
        let Some(mut body) = self.next_body()?.filter(|_| wanted) else {
            return Ok(None);
        };
        let _attributes = body.byte()?;
        let timestamp_delta = body.varlong()?;
        Ok(Some(EncodedRecord {
            timestamp: self.timestamp(timestamp_delta),
            offset_delta: body.varint()?,
            rest: body.rest(),
        }))
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, RecordFormatError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let next = self.next_record().transpose();
        self.finished = !matches!(next, Some(Ok(_)));
        next
    }
}

#[inline]
fn read_headers<'a>(body: &mut Cursor<'a>) -> Result<Headers<'a>, RecordFormatError> {
    let claimed = body.varint()?;
    let count = usize::try_from(claimed)
        .ok()
        // A header has at least two bytes; Kafka's own bound is one byte each.
        .filter(|&count| count <= body.remaining())
        .ok_or(RecordFormatError::HeaderCount(claimed))?;
    let encoded = *body;
    for _ in 0..count {
        read_header(body)?;
    }
    Ok(Headers { count, encoded })
}

fn read_header<'a>(body: &mut Cursor<'a>) -> Result<Header<'a>, RecordFormatError> {
    let key = body
        .nullable_bytes()?
        .ok_or(RecordFormatError::NullHeaderKey)?;
    let value = body.nullable_bytes()?;
    Ok(Header { key, value })
}
