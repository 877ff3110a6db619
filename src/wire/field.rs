//! How each type of a schema's field is written.

use bytes::Bytes;
use uuid::Uuid;

use super::{DecodeError, EncodeError, Format, Reader, Writer};

/// Most bytes that an element of an array takes in memory for one byte on the wire: what bounds
/// the memory that a decode may ask for.
const EXPANSION_MAX: usize = 32;

/// A type that a field of a schema may have.
pub trait Field: Sized {
    /// Fewest bytes that a value takes in any version; at least 1. Bounds what an array's count
    /// may claim.
    const SIZE_MIN: usize;

    /// Writes the value.
    fn encode(&self, writer: &mut Writer, format: Format) -> Result<(), EncodeError>;

    /// Reads a value.
    fn decode(reader: &mut Reader<'_>, format: Format) -> Result<Self, DecodeError>;
}

macro_rules! fixed_size {
    ($($type:ty, $method:ident;)*) => {$(
        impl Field for $type {
            const SIZE_MIN: usize = size_of::<$type>();

            fn encode(&self, writer: &mut Writer, _: Format) -> Result<(), EncodeError> {
                writer.$method(*self);
                Ok(())
            }

            fn decode(reader: &mut Reader<'_>, _: Format) -> Result<Self, DecodeError> {
                reader.$method()
            }
        }
    )*};
}

fixed_size! {
    i8, i8;
    u16, u16;
    i16, i16;
    i32, i32;
    i64, i64;
    f64, f64;
    Uuid, uuid;
}

impl Field for bool {
    const SIZE_MIN: usize = 1;

    fn encode(&self, writer: &mut Writer, _: Format) -> Result<(), EncodeError> {
        writer.i8(i8::from(*self));
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>, _: Format) -> Result<Self, DecodeError> {
        Ok(reader.i8()? != 0)
    }
}

/// A type that has a length in front of it, which null can take the place of.
trait Prefixed: Sized {
    fn encode_nullable(
        value: Option<&Self>,
        writer: &mut Writer,
        format: Format,
    ) -> Result<(), EncodeError>;
    fn decode_nullable(
        reader: &mut Reader<'_>,
        format: Format,
    ) -> Result<Option<Self>, DecodeError>;
}

impl Prefixed for String {
    fn encode_nullable(
        value: Option<&Self>,
        writer: &mut Writer,
        format: Format,
    ) -> Result<(), EncodeError> {
        writer.string_length(value.map(String::len), format.flexible)?;
        writer.raw(value.map_or(&[], |value| value.as_bytes()));
        Ok(())
    }

    fn decode_nullable(
        reader: &mut Reader<'_>,
        format: Format,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(length) = reader.string_length(format.flexible)? else {
            return Ok(None);
        };
        let bytes = reader.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?;
        Ok(Some(text.to_owned()))
    }
}

impl Prefixed for Bytes {
    fn encode_nullable(
        value: Option<&Self>,
        writer: &mut Writer,
        format: Format,
    ) -> Result<(), EncodeError> {
        writer.length(value.map(Bytes::len), format.flexible)?;
        writer.raw(value.map_or(&[], |value| value));
        Ok(())
    }

    fn decode_nullable(
        reader: &mut Reader<'_>,
        format: Format,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(length) = reader.length(format.flexible)? else {
            return Ok(None);
        };
        Ok(Some(Self::copy_from_slice(reader.take(length)?)))
    }
}

impl<T: Field> Prefixed for Vec<T> {
    fn encode_nullable(
        value: Option<&Self>,
        writer: &mut Writer,
        format: Format,
    ) -> Result<(), EncodeError> {
        writer.length(value.map(Vec::len), format.flexible)?;
        value
            .into_iter()
            .flatten()
            .try_for_each(|element| element.encode(writer, format))
    }

    fn decode_nullable(
        reader: &mut Reader<'_>,
        format: Format,
    ) -> Result<Option<Self>, DecodeError> {
        const {
            assert!(
                size_of::<T>() <= EXPANSION_MAX * T::SIZE_MIN,
                "allocates too much per byte"
            );
        }
        let Some(count) = reader.length(format.flexible)? else {
            return Ok(None);
        };
        let left = reader.remaining();
        if count > left / T::SIZE_MIN {
            return Err(DecodeError::Count { count, left });
        }
        let mut elements = Self::with_capacity(count);
        for _ in 0..count {
            elements.push(T::decode(reader, format)?);
        }
        Ok(Some(elements))
    }
}

macro_rules! nullable {
    ($($type:ty $(, $parameter:ident)?;)*) => {$(
        impl $(<$parameter: Field>)? Field for $type {
            const SIZE_MIN: usize = 1;

            fn encode(&self, writer: &mut Writer, format: Format) -> Result<(), EncodeError> {
                Prefixed::encode_nullable(Some(self), writer, format)
            }

            fn decode(reader: &mut Reader<'_>, format: Format) -> Result<Self, DecodeError> {
                <Self as Prefixed>::decode_nullable(reader, format)?.ok_or(DecodeError::Null)
            }
        }

        impl $(<$parameter: Field>)? Field for Option<$type> {
            const SIZE_MIN: usize = 1;

            fn encode(&self, writer: &mut Writer, format: Format) -> Result<(), EncodeError> {
                Prefixed::encode_nullable(self.as_ref(), writer, format)
            }

            fn decode(reader: &mut Reader<'_>, format: Format) -> Result<Self, DecodeError> {
                <$type as Prefixed>::decode_nullable(reader, format)
            }
        }
    )*};
}

nullable! {
    String;
    Bytes;
    Vec<T>, T;
}
