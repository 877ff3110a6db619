//! Bounded reads of Kafka's primitive types (`ByteBufferAccessor`, `ByteUtils`).

use uuid::Uuid;

use super::DecodeError;

/// Reads primitives off the front of a slice; never beyond it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that were not read yet.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let short = DecodeError::Truncated {
            needed: count,
            left: self.rest.len(),
        };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let short = DecodeError::Truncated {
            needed: N,
            left: self.rest.len(),
        };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// `int8`.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// `uint16`.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// `int16`.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// `int32`.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// `int64`.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// `float64`.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_be_bytes)
    }

    /// `uuid`: 16 bytes, most significant first.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    /// Unsigned varint of at most 5 bytes. As in Kafka, bits of the fifth byte that do not fit
    /// are dropped.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// Zigzag varint of at most 5 bytes.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// Zigzag varlong of at most 10 bytes.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let mut raw = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(DecodeError::Varint)
    }

    /// The length in front of a string: `None` for null. Flexible formats have length + 1 as an
    /// unsigned varint, the others an `int16`.
    pub fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            self.compact_length()
        } else {
            nullable(i64::from(self.i16()?))
        }
    }

    /// The length in front of bytes or an array: `None` for null. Flexible formats have length + 1
    /// as an unsigned varint, the others an `int32`.
    pub fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            self.compact_length()
        } else {
            nullable(i64::from(self.i32()?))
        }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.uvarint()?.checked_sub(1).map(|length| length as usize))
    }

    /// An error if anything is left.
    pub const fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Garbage(self.rest.len()))
        }
    }
}

fn nullable(length: i64) -> Result<Option<usize>, DecodeError> {
    if length == -1 {
        return Ok(None);
    }
    usize::try_from(length)
        .map(Some)
        .map_err(|_| DecodeError::NegativeLength(length))
}
