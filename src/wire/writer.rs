//! Writes Kafka's primitive types.

use uuid::Uuid;

use super::EncodeError;

/// Bytes under construction.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Nothing yet, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `int8`.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// `uint16`.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// `int16`.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// `int32`.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// `int64`.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// `float64`.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// `uuid`: 16 bytes, most significant first.
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(value.as_bytes());
    }

    /// Unsigned varint.
    pub fn uvarint(&mut self, value: u32) {
        self.base128(u64::from(value));
    }

    /// Zigzag varint.
    pub fn varint(&mut self, value: i32) {
        self.base128(u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
    }

    /// Zigzag varlong.
    pub fn varlong(&mut self, value: i64) {
        self.base128(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn base128(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// The length in front of a string; see [`super::Reader::string_length`].
    pub fn string_length(&mut self, len: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.compact_length(len);
        }
        self.i16(match len {
            None => -1,
            Some(len) => i16::try_from(len).map_err(|_| EncodeError::Length(len))?,
        });
        Ok(())
    }

    /// The length in front of bytes or an array; see [`super::Reader::length`].
    pub fn length(&mut self, len: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            return self.compact_length(len);
        }
        self.i32(match len {
            None => -1,
            Some(len) => i32::try_from(len).map_err(|_| EncodeError::Length(len))?,
        });
        Ok(())
    }

    fn compact_length(&mut self, len: Option<usize>) -> Result<(), EncodeError> {
        self.uvarint(match len {
            None => 0,
            Some(len) => {
                i32::try_from(len)
                    .map_err(|_| EncodeError::Length(len))?
                    .cast_unsigned()
                    + 1
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{DecodeError, Reader};

    #[test]
    fn varints_have_kafkas_bytes() {
        let encoded = |write: fn(&mut Writer)| {
            let mut writer = Writer::new();
            write(&mut writer);
            writer.into_bytes()
        };
        assert_eq!(encoded(|w| w.uvarint(300)), [0xac, 0x02]);
        assert_eq!(
            encoded(|w| w.uvarint(u32::MAX)),
            [0xff, 0xff, 0xff, 0xff, 0x0f]
        );
        assert_eq!(encoded(|w| w.varint(-1)), [0x01]);
        assert_eq!(
            encoded(|w| w.varint(i32::MIN)),
            [0xff, 0xff, 0xff, 0xff, 0x0f]
        );
        assert_eq!(
            encoded(|w| w.varlong(i64::MIN)),
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        assert_eq!(Reader::new(&[0x80; 5]).uvarint(), Err(DecodeError::Varint));
        assert_eq!(Reader::new(&[0x80; 10]).varlong(), Err(DecodeError::Varint));
        assert!(matches!(
            Reader::new(&[0x80; 4]).varint(),
            Err(DecodeError::Truncated { .. })
        ));
    }

    #[test]
    fn lengths_know_null_and_refuse_what_is_negative() {
        assert_eq!(Reader::new(&[0]).length(true), Ok(None));
        assert_eq!(Reader::new(&[3]).length(true), Ok(Some(2)));
        assert_eq!(Reader::new(&[0xff, 0xff]).string_length(false), Ok(None));
        assert_eq!(
            Reader::new(&[0xff, 0xfe]).string_length(false),
            Err(DecodeError::NegativeLength(-2))
        );
        assert_eq!(
            Writer::new().string_length(Some(40_000), false),
            Err(EncodeError::Length(40_000))
        );
    }

    proptest! {
        #[test]
        fn varints_come_back(signed in any::<i32>(), long in any::<i64>(), unsigned in any::<u32>()) {
            let mut writer = Writer::new();
            writer.varint(signed);
            writer.varlong(long);
            writer.uvarint(unsigned);
            let bytes = writer.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(signed));
            prop_assert_eq!(reader.varlong(), Ok(long));
            prop_assert_eq!(reader.uvarint(), Ok(unsigned));
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }
}
