//! The vocabulary of a schema.

/// Versions of a request, from the first to the last: two numbers, since an inclusive range of the
/// library also knows whether it is used up, which every field of every request would be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    first: i16,
    last: i16,
}

impl Versions {
    /// Whether that version is one of them.
    pub(crate) fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }
}

/// Every version.
pub(super) const ALL: Versions = since(0);
/// No version of any request.
pub(super) const NEVER: Versions = between(-1, -1);

/// From one version to another.
pub(super) const fn between(first: i16, last: i16) -> Versions {
    Versions { first, last }
}

/// That version and later ones.
pub(super) const fn since(version: i16) -> Versions {
    between(version, i16::MAX)
}

/// That version and earlier ones.
pub(super) const fn until(version: i16) -> Versions {
    between(0, version)
}

/// One request message.
#[derive(Debug)]
pub(crate) struct Schema {
    /// First version with compact lengths and tagged fields (KIP-482).
    pub(crate) flexible: i16,
    /// The top-level fields.
    pub(crate) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Name, for error messages.
    pub(crate) name: &'static str,
    /// Versions that carry it.
    pub(crate) versions: Versions,
    /// Versions in which it may be null.
    pub(crate) nullable: Versions,
    /// Its tag, if it travels in the tagged section.
    pub(crate) tag: Option<u32>,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// Text after its length.
    String,
    /// Bytes after their length.
    Bytes,
    /// Elements after their number.
    Array {
        /// Bytes that the codec keeps for one element.
        size: usize,
        /// The element.
        element: Element,
    },
    /// One struct, of these fields.
    Struct(&'static [Field]),
}

/// What an array holds.
#[derive(Debug)]
pub(crate) enum Element {
    /// So many bytes each.
    Fixed(usize),
    /// Texts.
    String,
    /// Structs of these fields.
    Struct(&'static [Field]),
}

/// One byte of truth.
pub(super) const BOOL: Kind = Kind::Fixed(1);
/// One byte.
pub(super) const INT8: Kind = Kind::Fixed(1);
/// Two bytes.
pub(super) const INT16: Kind = Kind::Fixed(2);
/// Four bytes.
pub(super) const INT32: Kind = Kind::Fixed(4);
/// Eight bytes.
pub(super) const INT64: Kind = Kind::Fixed(8);
/// Sixteen bytes.
pub(super) const UUID: Kind = Kind::Fixed(16);
/// An array of 8-bit integers.
pub(super) const INT8_ARRAY: Kind = Kind::Array {
    size: size_of::<i8>(),
    element: Element::Fixed(1),
};
/// An array of 32-bit integers.
pub(super) const INT32_ARRAY: Kind = Kind::Array {
    size: size_of::<i32>(),
    element: Element::Fixed(4),
};
/// An array of strings.
pub(super) const STRING_ARRAY: Kind = Kind::Array {
    size: size_of::<kafka_protocol::protocol::StrBytes>(),
    element: Element::String,
};

/// An array of structs that the codec keeps as `T`.
pub(super) const fn array_of<T>(fields: &'static [Field]) -> Kind {
    Kind::Array {
        size: size_of::<T>(),
        element: Element::Struct(fields),
    }
}

/// A field that is never null.
pub(super) const fn field(name: &'static str, versions: Versions, kind: Kind) -> Field {
    Field {
        name,
        versions,
        nullable: NEVER,
        tag: None,
        kind,
    }
}

impl Field {
    /// The field, null being a value in these versions.
    pub(super) const fn nullable(self, versions: Versions) -> Self {
        Self {
            nullable: versions,
            ..self
        }
    }

    /// The field, in the tagged section.
    pub(super) const fn tag(self, tag: u32) -> Self {
        Self {
            tag: Some(tag),
            ..self
        }
    }
}
