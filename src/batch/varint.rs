//! Zigzag varints of record fields, read from a slice.
//!
//! Kafka's `ByteUtils` is followed to the letter: an `int` has at most five bytes and a `long` at
//! most ten, and bits beyond the width of the last byte are dropped, not refused.

use super::records::RecordFormatError;

/// Reads from the front of a slice; fails where bytes run out, never reads past the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, RecordFormatError> {
        let (&byte, rest) = self
            .rest
            .split_first()
            .ok_or(RecordFormatError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], RecordFormatError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(RecordFormatError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Most numbers of a record have one byte or two: those are read without a loop.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<i32, RecordFormatError> {
        match self.short() {
            Some(value) => Ok(value),
            None => self.long_varint(),
        }
    }

    #[inline]
    pub(super) fn varlong(&mut self) -> Result<i64, RecordFormatError> {
        match self.short() {
            Some(value) => Ok(value.into()),
            None => self.long_varlong(),
        }
    }

    /// A number of one byte or two.
    #[inline]
    fn short(&mut self) -> Option<i32> {
        let (value, rest) = match self.rest {
            [one @ ..0x80, rest @ ..] => (u32::from(*one), rest),
            [low, high @ ..0x80, rest @ ..] => {
                (u32::from(low & 0x7f) | u32::from(*high) << 7, rest)
            }
            _ => return None,
        };
        self.rest = rest;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    #[cold]
    fn long_varint(&mut self) -> Result<i32, RecordFormatError> {
        read_varint(|| self.byte())
    }

    #[cold]
    fn long_varlong(&mut self) -> Result<i64, RecordFormatError> {
        read_varlong(|| self.byte())
    }

    /// A length, and over that many bytes; `None` for a negative length.
    #[inline]
    pub(super) fn skip_nullable(&mut self) -> Result<Option<usize>, RecordFormatError> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.bytes(len).map(|_| Some(len)),
            Err(_) => Ok(None),
        }
    }

    /// A length and that many bytes; `None` for a negative length.
    #[inline]
    pub(super) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, RecordFormatError> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.bytes(len).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// Reads a zigzag `int` byte by byte.
#[inline]
pub(super) fn read_varint<E: From<RecordFormatError>>(
    mut byte: impl FnMut() -> Result<u8, E>,
) -> Result<i32, E> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let next = byte()?;
        value |= u32::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err(RecordFormatError::VarintTooLong.into())
}

/// Reads a zigzag `long` byte by byte.
#[inline]
pub(super) fn read_varlong<E: From<RecordFormatError>>(
    mut byte: impl FnMut() -> Result<u8, E>,
) -> Result<i64, E> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28, 35, 42, 49, 56, 63] {
        let next = byte()?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err(RecordFormatError::VarintTooLong.into())
}

/// Appends a zigzag varint. One function serves both widths: an `int` and the same number as a
/// `long` have the same bytes.
pub(super) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Bytes that [`put_varint`] appends.
pub(super) fn varint_len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = (u64::BITS - zigzag.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        out
    }

    #[test]
    fn the_encoding_is_kafkas() {
        // From Kafka's ByteUtilsTest.
        for (value, bytes) in [
            (0, vec![0x00]),
            (-1, vec![0x01]),
            (1, vec![0x02]),
            (63, vec![0x7e]),
            (-64, vec![0x7f]),
            (64, vec![0x80, 0x01]),
            (i64::from(i32::MAX), vec![0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
            (
                i64::MAX,
                vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
        ] {
            assert_eq!(encoded(value), bytes, "{value}");
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        let mut cursor = Cursor::new(&[0xff; 5]);
        assert_eq!(cursor.varint(), Err(RecordFormatError::VarintTooLong));
        let mut cursor = Cursor::new(&[0xff; 10]);
        assert_eq!(cursor.varlong(), Err(RecordFormatError::VarintTooLong));
        let mut cursor = Cursor::new(&[0xff; 4]);
        assert_eq!(cursor.varint(), Err(RecordFormatError::Truncated));
    }

    proptest! {
        #[test]
        fn every_long_comes_back(value: i64) {
            let bytes = encoded(value);
            prop_assert_eq!(bytes.len(), varint_len(value));
            prop_assert_eq!(Cursor::new(&bytes).varlong(), Ok(value));
        }

        #[test]
        fn every_int_comes_back(value: i32) {
            prop_assert_eq!(Cursor::new(&encoded(i64::from(value))).varint(), Ok(value));
        }
    }
}
