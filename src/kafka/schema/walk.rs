//! The walk over a request's bytes before the codec sees them.
//!
//! It allocates nothing and follows Kafka's own reader: lengths and counts come before what they
//! announce, null is -1 (compact: 0), known tags are read by their type and unknown ones skipped
//! by their size. Every count and length is compared with the bytes that remain, so that a lie
//! ends the walk before anybody allocates for it.

use super::field::{Element, Field, Kind, Schema};
use crate::model::limits::REQUEST_ELEMENTS_MAX;

/// Longest string (`Short.MAX_VALUE`), compact or not.
const STRING_BYTES_MAX: usize = 0x7fff;

/// Bytes that a map of unknown tagged fields takes beside those of its entries.
const TAG_MAP_BYTES: usize = 512;

/// Bytes that an unknown tagged field takes in such a map, whose nodes may be half empty.
const TAG_ENTRY_BYTES: usize = 112;

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
pub(crate) fn walk(schema: &Schema, version: i16, body: &[u8]) -> Result<Footprint, Refusal> {
    let mut walk = Walk {
        rest: body,
        version,
        flexible: version >= schema.flexible,
        elements: 0,
        bytes: 0,
    };
    walk.fields(schema.fields)?;
    Ok(Footprint {
        consumed: body.len() - walk.rest.len(),
        elements: walk.elements,
        bytes: walk.bytes,
    })
}

/// Walks a section of tagged fields none of which is known, and returns what follows it.
pub(crate) fn tagged_fields(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let mut walk = Walk {
        rest: bytes,
        version: 0,
        flexible: true,
        elements: 0,
        bytes: 0,
    };
    walk.tagged(&[])?;
    Ok(walk.rest)
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
    bytes: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), Refusal> {
        for field in fields {
            if field.tag.is_none() && field.versions.contains(&self.version) {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tagged(fields)
        } else {
            Ok(())
        }
    }

    fn field(&mut self, field: &'static Field) -> Result<(), Refusal> {
        let name = field.name;
        let nullable = field.nullable.contains(&self.version);
        match &field.kind {
            Kind::Fixed(size) => self.skip(name, *size),
            Kind::String => self.string(name, nullable),
            Kind::Bytes => match self.length(name, nullable)? {
                Some(length) => self.skip(name, length),
                None => Ok(()),
            },
            Kind::Array { size, element } => match self.length(name, nullable)? {
                Some(count) => self.array(name, count, *size, element),
                None => Ok(()),
            },
            Kind::Struct(fields) => {
                // A nullable struct begins with a byte: 1, or negative for null. The codec takes
                // every other value for null and then reads on at the wrong place.
                match if nullable { self.byte(name)? } else { 1 } {
                    1 => self.fields(fields),
                    0x80.. => Ok(()),
                    _ => Err(Refusal::Length(name)),
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
            let [high, low] = self.take(name)?;
            self.signed(name, i32::from(i16::from_be_bytes([high, low])), nullable)?
        };
        match length {
            Some(length) if length > STRING_BYTES_MAX => Err(Refusal::Length(name)),
            Some(length) => self.skip(name, length),
            None => Ok(()),
        }
    }

    /// A length or count of 32 bits, or compact.
    fn length(&mut self, name: &'static str, nullable: bool) -> Result<Option<usize>, Refusal> {
        if self.flexible {
            match self.varint(name)? {
                0 if nullable => Ok(None),
                0 => Err(Refusal::Length(name)),
                plus_one => Ok(Some(plus_one as usize - 1)),
            }
        } else {
            let length = i32::from_be_bytes(self.take(name)?);
            self.signed(name, length, nullable)
        }
    }

    fn signed(
        &self,
        name: &'static str,
        length: i32,
        nullable: bool,
    ) -> Result<Option<usize>, Refusal> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 && nullable => Ok(None),
            Err(_) => Err(Refusal::Length(name)),
        }
    }

    fn tagged(&mut self, known: &'static [Field]) -> Result<(), Refusal> {
        const SECTION: &str = "tagged fields";
        let count = self.varint(SECTION)? as usize;
        // Each has a tag and a size.
        if count > self.rest.len() / 2 {
            return Err(Refusal::Lie {
                field: SECTION,
                claimed: count,
                remaining: self.rest.len(),
            });
        }
        let mut unknown = 0;
        for _ in 0..count {
            let tag = self.varint(SECTION)?;
            let size = self.varint(SECTION)? as usize;
            match known.iter().find(|field| field.tag == Some(tag)) {
                Some(field) if field.versions.contains(&self.version) => self.field(field)?,
                Some(field) => return Err(Refusal::Tag(field.name)),
                None => {
                    unknown += 1;
                    self.skip(SECTION, size)?;
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
        let [byte] = self.take(name)?;
        Ok(byte)
    }

    fn take<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Refusal> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(Refusal::Truncated(name)),
        }
    }

    fn skip(&mut self, name: &'static str, length: usize) -> Result<(), Refusal> {
        match self.rest.get(length..) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(Refusal::Lie {
                field: name,
                claimed: length,
                remaining: self.rest.len(),
            }),
        }
    }
}
