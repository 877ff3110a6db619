//! Random valid request bodies made from a schema, with the places of all counts and lengths in
//! them: what tests and fuzzers start from.

use fastrand::Rng;

use super::field::{Element, Field, Kind, Schema};

/// How a count or length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// Variable, one more than the value.
    Compact,
    /// Variable, the value itself: tagged sections.
    Varint,
}

/// A place where the wire says how much follows.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Name of the field.
    pub field: &'static str,
    /// Offset of its first byte.
    pub at: usize,
    /// Bytes that it takes.
    pub len: usize,
    /// How it is written.
    pub width: Width,
    /// Whether it may say that there is nothing.
    pub nullable: bool,
}

/// How a sample is made.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// Lengths, nulls and tagged fields at random.
    Random,
    /// So many elements in every array, no nulls, every tagged field and an unknown one.
    Full(usize),
}

/// A valid body.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its bytes.
    pub body: Vec<u8>,
    /// Everything that says how much follows, in order.
    pub counts: Vec<Count>,
}

/// Tag of fields that no schema knows, and from which on they are numbered.
const UNKNOWN_TAG: u32 = 1000;

/// Makes a body.
pub(crate) fn sample(schema: &Schema, version: i16, style: Style, seed: u64) -> Sample {
    let mut maker = Maker {
        version,
        flexible: version >= schema.flexible,
        style,
        random: Rng::with_seed(seed),
        sample: Sample {
            body: Vec::new(),
            counts: Vec::new(),
        },
    };
    maker.fields(schema.fields);
    maker.sample
}

struct Maker {
    version: i16,
    flexible: bool,
    style: Style,
    random: Rng,
    sample: Sample,
}

impl Maker {
    fn fields(&mut self, fields: &'static [Field]) {
        let here = |field: &&Field| field.versions.contains(self.version);
        let (tagged, plain): (Vec<_>, Vec<_>) = fields
            .iter()
            .filter(here)
            .partition(|field| field.tag.is_some());
        for field in plain {
            self.field(field);
        }
        if self.flexible {
            self.tagged(tagged);
        }
    }

    fn field(&mut self, field: &'static Field) {
        let nullable = field.nullable.contains(self.version);
        let null = nullable && matches!(self.style, Style::Random) && self.random.u8(..4) == 0;
        let first = self.sample.counts.len();
        match &field.kind {
            Kind::Fixed(size) => self.bytes(*size),
            Kind::String => self.string(field.name, null),
            Kind::Bytes if null => self.null(field.name),
            Kind::Bytes => {
                let length = self.random.usize(..100);
                self.length(field.name, length);
                self.bytes(length);
            }
            Kind::Array { .. } if null => self.null(field.name),
            Kind::Array { element, .. } => self.array(field.name, element),
            Kind::Struct(_) if null => self.sample.body.push(0xff),
            Kind::Struct(fields) => {
                if nullable {
                    self.sample.body.push(1);
                }
                return self.fields(fields);
            }
        }
        if let Some(count) = self.sample.counts.get_mut(first) {
            count.nullable = nullable;
        }
    }

    fn array(&mut self, name: &'static str, element: &'static Element) {
        let count = match self.style {
            Style::Random => self.random.usize(..4),
            Style::Full(count) => count,
        };
        self.length(name, count);
        for _ in 0..count {
            match element {
                Element::Fixed(size) => self.bytes(*size),
                Element::String => self.string(name, false),
                Element::Struct(fields) => self.fields(fields),
            }
        }
    }

    fn string(&mut self, name: &'static str, null: bool) {
        if null {
            return match self.flexible {
                true => self.null(name),
                false => self.put(name, Width::Short, &(-1i16).to_be_bytes()),
            };
        }
        let length = self.random.usize(..12);
        match i16::try_from(length) {
            Ok(short) if !self.flexible => self.put(name, Width::Short, &short.to_be_bytes()),
            _ => self.length(name, length),
        }
        for _ in 0..length {
            let letter = self.random.alphanumeric();
            self.sample.body.push(letter as u8);
        }
    }

    fn tagged(&mut self, known: Vec<&'static Field>) {
        let all = matches!(self.style, Style::Full(_));
        let known: Vec<_> = known
            .into_iter()
            .filter(|_| all || self.random.bool())
            .collect();
        let unknown = if all { 1 } else { self.random.u32(..3) };
        self.varint("tagged fields", known.len() as u32 + unknown);
        for field in known {
            // The content of a known field is parsed for its length; nobody reads the size.
            self.raw_varint(field.tag.unwrap_or_default());
            self.raw_varint(0);
            self.field(field);
        }
        for tag in 0..unknown {
            self.raw_varint(UNKNOWN_TAG + tag);
            let size = self.random.u32(..5);
            self.varint("tagged field", size);
            self.bytes(size as usize);
        }
    }

    fn bytes(&mut self, count: usize) {
        for _ in 0..count {
            let byte = self.random.u8(..);
            self.sample.body.push(byte);
        }
    }

    fn length(&mut self, name: &'static str, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match self.flexible {
            true => self.put(name, Width::Compact, &varint(length + 1)),
            false => self.put(name, Width::Int, &length.to_be_bytes()),
        }
    }

    fn null(&mut self, name: &'static str) {
        match self.flexible {
            true => self.put(name, Width::Compact, &[0]),
            false => self.put(name, Width::Int, &(-1i32).to_be_bytes()),
        }
    }

    fn varint(&mut self, name: &'static str, value: u32) {
        self.put(name, Width::Varint, &varint(value));
    }

    fn raw_varint(&mut self, value: u32) {
        self.sample.body.extend(varint(value));
    }

    fn put(&mut self, field: &'static str, width: Width, bytes: &[u8]) {
        let at = self.sample.body.len();
        self.sample.counts.push(Count {
            field,
            at,
            len: bytes.len(),
            width,
            nullable: false,
        });
        self.sample.body.extend_from_slice(bytes);
    }
}

/// An unsigned varint.
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5);
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
