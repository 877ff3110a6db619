//! The table that describes a record once: fields, versions, defaults and tags.
//!
//! One entry makes the struct, its default, and its encoding in every version:
//!
//! ```text
//! schema! {
//!     /// What it is.
//!     pub Name [versions 0..=3, flexible from 0] {
//!         /// What the field is.
//!         plain: i32 = -1, since 0;
//!         gone_again: i64 = -1, since 1, until 1;
//!         tagged: Vec<Uuid> = Vec::new(), since 3, tag 0;
//!     }
//! }
//! ```
//!
//! The rules are those of Kafka's message generator: a field outside its versions is not written
//! and reads as its default; a tagged field is written only when it differs from its default; to
//! write a value that the version cannot carry is an error. Tagged fields stand in order of tag.
//! Unknown tagged fields are stepped over.

use std::ops::RangeInclusive;

use super::{DecodeError, EncodeError, Field, Reader, Writer};

/// The format of one version of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The version.
    pub version: i16,
    /// Whether lengths are compact and tagged fields follow (KIP-482).
    pub flexible: bool,
}

/// A record or message that has versions of its own.
pub trait Schema: Field + Default {
    /// Kafka's name of it.
    const NAME: &'static str;
    /// Versions that are known.
    const VERSIONS: RangeInclusive<i16>;
    /// First flexible version.
    const FLEXIBLE_FROM: i16;

    /// Writes the value in `version`.
    fn write(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(EncodeError::Version {
                record: Self::NAME,
                version,
            });
        }
        self.encode(
            writer,
            Format {
                version,
                flexible: version >= Self::FLEXIBLE_FROM,
            },
        )
    }

    /// Reads a value of `version`. The version is what the wire says, so it may be anything.
    fn read(reader: &mut Reader<'_>, version: u32) -> Result<Self, DecodeError> {
        let unknown = DecodeError::RecordVersion {
            record: Self::NAME,
            version,
        };
        match i16::try_from(version) {
            Ok(version) if Self::VERSIONS.contains(&version) => Self::decode(
                reader,
                Format {
                    version,
                    flexible: version >= Self::FLEXIBLE_FROM,
                },
            ),
            Ok(_) | Err(_) => Err(unknown),
        }
    }
}

/// Writes one tagged field: tag, size, value.
pub(crate) fn encode_tagged(
    writer: &mut Writer,
    tag: u32,
    value: &impl Field,
    format: Format,
) -> Result<(), EncodeError> {
    let mut nested = Writer::new();
    value.encode(&mut nested, format)?;
    let bytes = nested.into_bytes();
    let size = u32::try_from(bytes.len()).map_err(|_| EncodeError::Length(bytes.len()))?;
    writer.uvarint(tag);
    writer.uvarint(size);
    writer.raw(&bytes);
    Ok(())
}

/// Reads the tagged fields at the end of a flexible struct; `known` takes those that it knows.
pub(crate) fn decode_tagged<T>(
    reader: &mut Reader<'_>,
    mut record: T,
    mut known: impl FnMut(&mut T, u32, &mut Reader<'_>) -> Result<bool, DecodeError>,
) -> Result<T, DecodeError> {
    for _ in 0..reader.uvarint()? {
        let tag = reader.uvarint()?;
        let size = reader.uvarint()? as usize;
        let mut value = Reader::new(reader.take(size)?);
        if known(&mut record, tag, &mut value)? && value.remaining() > 0 {
            return Err(DecodeError::TaggedFieldSize {
                tag,
                left: value.remaining(),
            });
        }
    }
    Ok(record)
}

/// A size that arrays may divide by.
pub(crate) const fn at_least_one(size: usize) -> usize {
    if size == 0 { 1 } else { size }
}

/// Whether a field has another value than its default.
pub(crate) fn differs<T: PartialEq>(value: &T, default: &T) -> bool {
    value != default
}

/// 1 for a tagged field that is written.
pub(crate) fn counted(_tag: u32, present: bool) -> u32 {
    u32::from(present)
}

/// Describes records; see the module.
macro_rules! schema {
    ($(
        $(#[$doc:meta])*
        $vis:vis $name:ident [versions $low:literal..=$high:literal, flexible from $flexible:literal] {$(
            $(#[$field_doc:meta])*
            $field:ident: $type:ty = $default:expr, since $since:literal
                $(, until $until:literal)? $(, tag $tag:literal)?;
        )*}
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {$(
            $(#[$field_doc])*
            pub $field: $type,
        )*}

        impl Default for $name {
            fn default() -> Self {
                Self {$($field: $default,)*}
            }
        }

        impl $crate::wire::Schema for $name {
            const NAME: &'static str = stringify!($name);
            const VERSIONS: std::ops::RangeInclusive<i16> = $low..=$high;
            const FLEXIBLE_FROM: i16 = $flexible;
        }

        impl $crate::wire::Field for $name {
            // Fields that stand in every version; a flexible struct ends in a count of tags.
            const SIZE_MIN: usize = $crate::wire::schema::at_least_one(
                ($flexible <= $low) as usize
                $(+ if $since <= $low && !schema!(@any $($until)? $($tag)?) {
                    <$type as $crate::wire::Field>::SIZE_MIN
                } else {
                    0
                })*
            );

            fn encode(
                &self,
                writer: &mut $crate::wire::Writer,
                format: $crate::wire::Format,
            ) -> Result<(), $crate::wire::EncodeError> {
                $(if schema!(@within format, $since $(, $until)?) {
                    if !schema!(@any $($tag)?) {
                        $crate::wire::Field::encode(&self.$field, writer, format)?;
                    }
                } else if $crate::wire::schema::differs::<$type>(&self.$field, &$default) {
                    return Err($crate::wire::EncodeError::Field {
                        record: stringify!($name),
                        field: stringify!($field),
                        version: format.version,
                    });
                })*
                if format.flexible {
                    let tagged = 0 $($(+ $crate::wire::schema::counted(
                        $tag,
                        $crate::wire::schema::differs::<$type>(&self.$field, &$default),
                    ))?)*;
                    writer.uvarint(tagged);
                    $($(
                        if $crate::wire::schema::differs::<$type>(&self.$field, &$default) {
                            $crate::wire::schema::encode_tagged(
                                writer, $tag, &self.$field, format,
                            )?;
                        }
                    )?)*
                }
                Ok(())
            }

            fn decode(
                reader: &mut $crate::wire::Reader<'_>,
                format: $crate::wire::Format,
            ) -> Result<Self, $crate::wire::DecodeError> {
                let record = Self {$(
                    $field: if !schema!(@any $($tag)?)
                        && schema!(@within format, $since $(, $until)?)
                    {
                        $crate::wire::Field::decode(reader, format)?
                    } else {
                        $default
                    },
                )*};
                if !format.flexible {
                    return Ok(record);
                }
                $crate::wire::schema::decode_tagged(reader, record, |record, tag, value| {
                    match tag {
                        $($($tag if format.version >= $since => {
                            record.$field = $crate::wire::Field::decode(value, format)?;
                            Ok(true)
                        })?)*
                        _ => {
                            let _ = (record, value);
                            Ok(false)
                        }
                    }
                })
            }
        }
    )*};
    (@any) => { false };
    (@any $($some:literal)+) => { true };
    (@within $format:ident, $since:literal) => { $format.version >= $since };
    (@within $format:ident, $since:literal, $until:literal) => {
        ($since..=$until).contains(&$format.version)
    };
}
pub(crate) use schema;

#[cfg(test)]
mod tests {
    use super::*;

    schema! {
        /// An element, as arrays have them.
        Element [versions 0..=4, flexible from 4] {
            /// Name.
            name: String = String::new(), since 0;
        }

        /// The kinds of fields that internal topics have.
        Sample [versions 0..=4, flexible from 4] {
            /// In all versions.
            first: i64 = 0, since 0;
            /// In one version only.
            passing: i64 = -1, since 1, until 1;
            /// Nullable.
            text: Option<String> = None, since 3;
            /// Tagged.
            tagged: Vec<i32> = Vec::new(), since 4, tag 0;
            /// Array of structs.
            elements: Vec<Element> = Vec::new(), since 0;
        }
    }

    fn written(sample: &Sample, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        sample.write(&mut writer, version)?;
        Ok(writer.into_bytes())
    }

    fn read(bytes: &[u8], version: u32) -> Result<Sample, DecodeError> {
        let mut reader = Reader::new(bytes);
        let sample = Sample::read(&mut reader, version)?;
        reader.finish().map(|()| sample)
    }

    #[test]
    fn each_version_has_its_own_bytes() {
        let element = Element {
            name: "e".to_owned(),
        };
        let mut sample = Sample {
            first: 1,
            elements: vec![element],
            ..Sample::default()
        };
        let old = written(&sample, 0).unwrap();
        assert_eq!(old, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b'e']);
        assert_eq!(read(&old, 0), Ok(sample.clone()));

        sample.passing = 7;
        assert_eq!(read(&written(&sample, 1).unwrap(), 1), Ok(sample.clone()));

        sample.passing = -1;
        sample.text = Some("t".to_owned());
        sample.tagged = vec![5];
        let new = written(&sample, 4).unwrap();
        assert_eq!(
            new,
            [
                0, 0, 0, 0, 0, 0, 0, 1, // first
                2, b't', // text
                2, 2, b'e', 0, // one element, without tags
                1, 0, 5, 2, 0, 0, 0, 5, // one tag: 0, of 5 bytes
            ]
        );
        assert_eq!(read(&new, 4), Ok(sample));
    }

    #[test]
    fn what_a_version_cannot_carry_is_not_dropped_in_silence() {
        let sample = Sample {
            passing: 7,
            ..Sample::default()
        };
        assert_eq!(
            written(&sample, 2),
            Err(EncodeError::Field {
                record: "Sample",
                field: "passing",
                version: 2
            })
        );
        assert_eq!(
            written(&sample, 5),
            Err(EncodeError::Version {
                record: "Sample",
                version: 5
            })
        );
        assert_eq!(
            read(&[], 5),
            Err(DecodeError::RecordVersion {
                record: "Sample",
                version: 5
            })
        );
    }

    #[test]
    fn unknown_tags_are_stepped_over() {
        let mut bytes = written(&Sample::default(), 4).unwrap();
        *bytes.last_mut().unwrap() = 1;
        bytes.extend([99, 2, 0xff, 0xff]);
        assert_eq!(read(&bytes, 4), Ok(Sample::default()));
    }

    #[test]
    fn a_count_that_cannot_be_there_is_refused_before_anything_is_allocated() {
        let mut bytes = vec![0; 8];
        bytes.extend(i32::MAX.to_be_bytes());
        bytes.extend([0; 100]);
        let count = i32::MAX as usize;
        assert_eq!(
            read(&bytes, 0),
            Err(DecodeError::Count { count, left: 100 })
        );
    }

    #[test]
    fn a_tagged_field_fills_its_size() {
        let mut bytes = written(&Sample::default(), 4).unwrap();
        *bytes.last_mut().unwrap() = 1;
        bytes.extend([0, 2, 1, 0]);
        assert_eq!(
            read(&bytes, 4),
            Err(DecodeError::TaggedFieldSize { tag: 0, left: 1 })
        );
    }
}
