//! The walk over a request's bytes before the codec sees them.
//!
//! It allocates nothing and follows Kafka's own reader: lengths and counts come before what they
//! announce, null is negative (compact: 0), known tags are read by their type and unknown ones
//! skipped by their size. Every count and length is compared with the bytes that remain, so that
//! a lie ends the walk before anybody allocates for it.
//!
//! Where Kafka reads more kindly than the codec, the walk rewrites what it passes: any negative
//! length of a nullable field becomes -1, any marker of a struct that is there becomes 1, and
//! bytes of a text that are not UTF-8 become `?` (Java has U+FFFD, which would not fit).

use super::field::{Element, Field, Kind, Schema};
use crate::model::limits::REQUEST_ELEMENTS_MAX;

/// Longest string (`Short.MAX_VALUE`), compact or not.
const STRING_BYTES_MAX: usize = 0x7fff;

/// Bytes that a map of unknown tagged fields takes beside those of its entries.
const TAG_MAP_BYTES: usize = 512;

/// Bytes that an unknown tagged field takes in such a map, whose nodes may be half empty.
const TAG_ENTRY_BYTES: usize = 112;

/// The section of tagged fields, in errors.
const TAGGED_FIELDS: &str = "tagged fields";

/// What a request is going to cost when the codec decodes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Bytes of the body that the request takes; what follows is ignored, as Kafka does.
    pub(crate) consumed: usize,
    /// Elements of all arrays, and unknown tagged fields.
    pub(crate) elements: usize,
    /// Bytes that the codec allocates for them.
    pub(crate) bytes: usize,
}

/// Why a request was refused before it was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The frame ends inside a field.
    #[error("the frame ends within {0}")]
    Truncated(&'static str),
    /// A null where none is allowed, or a negative length or count.
    #[error("{0} has no valid length")]
    Length(&'static str),
    /// A length or count that the rest of the frame cannot hold.
    #[error("{field} claims {claimed} where {remaining} bytes remain")]
    Lie {
        /// The field.
        field: &'static str,
        /// What it claims.
        claimed: usize,
        /// What there is.
        remaining: usize,
    },
    /// A tag that the version does not know as tagged field of this type.
    #[error("{0} is not valid in this version")]
    Tag(&'static str),
    /// More elements than a request may have.
    #[error("more than {REQUEST_ELEMENTS_MAX} elements")]
    Elements,
}

/// Walks the body of a request.
pub(crate) fn walk(schema: &Schema, version: i16, body: &mut [u8]) -> Result<Footprint, Refusal> {
    let length = body.len();
    let mut walk = Walk {
        rest: body,
        version,
        flexible: version >= schema.flexible,
        elements: 0,
        bytes: 0,
    };
    walk.fields(schema.fields)?;
    Ok(Footprint {
        consumed: length - walk.rest.len(),
        elements: walk.elements,
        bytes: walk.bytes,
    })
}

/// Walks a section of tagged fields none of which is known, and says how many bytes it has.
pub(crate) fn tagged_fields(bytes: &mut [u8]) -> Result<usize, Refusal> {
    let length = bytes.len();
    let mut walk = Walk {
        rest: bytes,
        version: 0,
        flexible: true,
        elements: 0,
        bytes: 0,
    };
    walk.tagged(&[])?;
    Ok(length - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a mut [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    bytes: usize,
}

impl<'a> Walk<'a> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), Refusal> {
        // Most fields have a size of their own; those that follow each other are skipped at once.
        let mut fixed = 0;
        for field in fields {
            if field.tag.is_some() || !field.versions.contains(self.version) {
                continue;
            }
            if let Kind::Fixed(size) = field.kind {
                fixed += size;
                if fixed > self.rest.len() {
                    return Err(Refusal::Truncated(field.name));
                }
                continue;
            }
            self.skip(field.name, std::mem::take(&mut fixed))?;
            self.field(field)?;
        }
        self.skip(TAGGED_FIELDS, fixed)?;
        if self.flexible {
            self.tagged(fields)
        } else {
            Ok(())
        }
    }

    fn field(&mut self, field: &'static Field) -> Result<(), Refusal> {
        let name = field.name;
        let version = self.version;
        let nullable = || field.nullable.contains(version);
        match &field.kind {
            Kind::Fixed(size) => self.skip(name, *size),
            Kind::String => self.string(name, nullable()),
            Kind::Bytes => match self.length(name, nullable())? {
                Some(length) => self.skip(name, length),
                None => Ok(()),
            },
            Kind::Array { size, element } => match self.length(name, nullable())? {
                Some(count) => self.array(name, count, *size, element),
                None => Ok(()),
            },
            Kind::Struct(fields) => {
                // A nullable struct begins with a byte that is negative for null (KIP-893); the
                // codec knows 1 for the rest.
                let marker = if nullable() {
                    self.take::<1>(name)?
                } else {
                    &mut [1]
                };
                match marker {
                    [0x80..=0xff] => Ok(()),
                    [present] => {
                        *present = 1;
                        self.fields(fields)
                    }
                }
            }
        }
    }

    fn array(
        &mut self,
        name: &'static str,
        count: usize,
        size: usize,
        element: &'static Element,
    ) -> Result<(), Refusal> {
        // Every element takes a byte at least.
        if count > self.rest.len() {
            return Err(Refusal::Lie {
                field: name,
                claimed: count,
                remaining: self.rest.len(),
            });
        }
        self.charge(count, count * size)?;
        match element {
            Element::Fixed(size) => self.skip(name, count * size),
            Element::String => (0..count).try_for_each(|_| self.string(name, false)),
            Element::Struct(fields) => (0..count).try_for_each(|_| self.fields(fields)),
        }
    }

    fn string(&mut self, name: &'static str, nullable: bool) -> Result<(), Refusal> {
        let length = if self.flexible {
            self.length(name, nullable)?
        } else {
            let length = self.take(name)?;
            match i16::from_be_bytes(*length) {
                negative if negative < 0 && nullable => {
                    *length = (-1i16).to_be_bytes();
                    None
                }
                length => Some(usize::try_from(length).map_err(|_| Refusal::Length(name))?),
            }
        };
        match length {
            Some(length) if length > STRING_BYTES_MAX => Err(Refusal::Length(name)),
            Some(length) => {
                replace_what_is_not_utf8(self.part(name, length)?);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A length or count of 32 bits, or compact.
    fn length(&mut self, name: &'static str, nullable: bool) -> Result<Option<usize>, Refusal> {
        if self.flexible {
            return match self.varint(name)? {
                0 if nullable => Ok(None),
                0 => Err(Refusal::Length(name)),
                plus_one => Ok(Some(plus_one as usize - 1)),
            };
        }
        let length = self.take(name)?;
        match i32::from_be_bytes(*length) {
            negative if negative < 0 && nullable => {
                *length = (-1i32).to_be_bytes();
                Ok(None)
            }
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| Refusal::Length(name)),
        }
    }

    fn tagged(&mut self, known: &'static [Field]) -> Result<(), Refusal> {
        let count = self.varint(TAGGED_FIELDS)? as usize;
        // Each has a tag and a size.
        if count > self.rest.len() / 2 {
            return Err(Refusal::Lie {
                field: TAGGED_FIELDS,
                claimed: count,
                remaining: self.rest.len(),
            });
        }
        let mut unknown = 0;
        for _ in 0..count {
            let tag = self.varint(TAGGED_FIELDS)?;
            let size = self.varint(TAGGED_FIELDS)? as usize;
            match known.iter().find(|field| field.tag == Some(tag)) {
                Some(field) if field.versions.contains(self.version) => self.field(field)?,
                Some(field) => return Err(Refusal::Tag(field.name)),
                None => {
                    unknown += 1;
                    self.skip(TAGGED_FIELDS, size)?;
                }
            }
        }
        match unknown {
            0 => Ok(()),
            _ => self.charge(unknown, TAG_MAP_BYTES + unknown * TAG_ENTRY_BYTES),
        }
    }

    fn charge(&mut self, elements: usize, bytes: usize) -> Result<(), Refusal> {
        self.elements += elements;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.elements > REQUEST_ELEMENTS_MAX {
            Err(Refusal::Elements)
        } else {
            Ok(())
        }
    }

    /// At most 32 bits in at most five bytes; bits beyond are dropped, as the codec drops them.
    fn varint(&mut self, name: &'static str) -> Result<u32, Refusal> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte(name)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Refusal::Length(name))
    }

    fn byte(&mut self, name: &'static str) -> Result<u8, Refusal> {
        let [byte] = *self.take(name)?;
        Ok(byte)
    }

    fn take<const N: usize>(&mut self, name: &'static str) -> Result<&'a mut [u8; N], Refusal> {
        let taken = self.rest.split_off_mut(..N);
        taken
            .and_then(|taken| taken.as_mut_array())
            .ok_or(Refusal::Truncated(name))
    }

    fn part(&mut self, name: &'static str, length: usize) -> Result<&'a mut [u8], Refusal> {
        match self.rest.split_off_mut(..length) {
            Some(part) => Ok(part),
            None => Err(Refusal::Lie {
                field: name,
                claimed: length,
                remaining: self.rest.len(),
            }),
        }
    }

    fn skip(&mut self, name: &'static str, length: usize) -> Result<(), Refusal> {
        self.part(name, length).map(drop)
    }
}

/// Makes a text of any bytes.
fn replace_what_is_not_utf8(mut text: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(text) {
        let bad = error
            .error_len()
            .unwrap_or(text.len() - error.valid_up_to());
        let Some(rest) = text.get_mut(error.valid_up_to()..) else {
            return;
        };
        let Some((bad, rest)) = rest.split_at_mut_checked(bad) else {
            return;
        };
        bad.fill(b'?');
        text = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::schema::{CREATE_TOPICS, DESCRIBE_TOPIC_PARTITIONS, FETCH, METADATA};

    fn walked(schema: &Schema, version: i16, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        let footprint = walk(schema, version, &mut body).unwrap();
        assert_eq!(footprint.consumed, body.len());
        body
    }

    #[test]
    fn any_negative_count_of_a_nullable_array_is_null() {
        for count in [-1, -2, i32::MIN] {
            let body = walked(&METADATA, 1, &i32::to_be_bytes(count));
            assert_eq!(body, (-1i32).to_be_bytes());
            let mut body = count.to_be_bytes();
            assert_eq!(
                walk(&METADATA, 0, &mut body),
                Err(Refusal::Length("topics"))
            );
        }
    }

    #[test]
    fn the_field_is_told_that_the_frame_ends_in() {
        let fields = ["replica_id", "max_wait_ms", "min_bytes", "max_bytes"];
        for (bytes, field) in (0..4).flat_map(|byte| fields.map(|field| (byte, field))) {
            let before = 4 * fields.iter().position(|name| *name == field).unwrap();
            let mut body = vec![0; before + bytes];
            let refused = walk(&FETCH, 4, &mut body);
            assert_eq!(refused, Err(Refusal::Truncated(field)));
        }
    }

    #[test]
    fn any_negative_length_of_a_nullable_string_is_null() {
        // One topic "t", -1 partitions, -1 replicas, no assignments, one config "c" that is null.
        let body = |null: &[u8]| {
            let mut body = b"\0\0\0\x01\0\x01t\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec();
            body.extend(b"\0\0\0\x01\0\x01c");
            body.extend(null);
            body.extend(b"\0\0\0\0\0");
            body
        };
        assert_eq!(
            walked(&CREATE_TOPICS, 2, &body(b"\x80\x05")),
            body(b"\xff\xff")
        );
    }

    #[test]
    fn any_marker_that_is_not_negative_stands_for_a_struct() {
        let body = |marker: u8| [&b"\x01\0\0\0\x01"[..], &[marker], b"\x02a\0\0\0\0\0\0"].concat();
        for marker in [0, 1, 2, 0x7f] {
            assert_eq!(
                walked(&DESCRIBE_TOPIC_PARTITIONS, 0, &body(marker)),
                body(1)
            );
        }
        let null = b"\x01\0\0\0\x01\x80\0";
        assert_eq!(walked(&DESCRIBE_TOPIC_PARTITIONS, 0, null), null);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        for (bytes, text) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"\xff\xfe", b"??"),
            (b"a\xffb", b"a?b"),
            ("ä€".as_bytes(), "ä€".as_bytes()),
            (b"a\xe2\x82", b"a??"),
            (b"\xe2\x28\xa1", b"?(?"),
        ] {
            let mut replaced = bytes.to_vec();
            replace_what_is_not_utf8(&mut replaced);
            assert_eq!(replaced, text, "{bytes:x?}");
        }
    }
}
