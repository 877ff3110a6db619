//! Why bytes could not be read, or a value could not be written.

/// Why bytes do not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the value needs.
    #[error("{needed} more bytes are needed, but {left} are left")]
    Truncated {
        /// Bytes that the value needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A count that the bytes that follow cannot hold.
    #[error("an array of {count} elements cannot lie in the {left} bytes that are left")]
    Count {
        /// Elements announced.
        count: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A varint that does not end within its type's length.
    #[error("a varint does not end")]
    Varint,
    /// A negative length other than that of null.
    #[error("length {0} is negative")]
    NegativeLength(i64),
    /// Null where the schema wants a value.
    #[error("null in a field that may not be null")]
    Null,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A tagged field whose value is shorter than the size in front of it.
    #[error("tagged field {tag} has {left} bytes left over")]
    TaggedFieldSize {
        /// Its tag.
        tag: u32,
        /// Bytes left over.
        left: usize,
    },
    /// Bytes after the end of the record.
    #[error("{0} bytes of garbage after the record")]
    Garbage(usize),
    /// A frame version that is not known (`ApiMessageAndVersion` has 1).
    #[error("unknown frame version {0}")]
    FrameVersion(u32),
    /// A record type that is not known.
    #[error("unknown record type {0}")]
    RecordType(u32),
    /// A version of a known record that is not known.
    #[error("unknown version {version} of {record}")]
    RecordVersion {
        /// The record's name.
        record: &'static str,
        /// Its version.
        version: u32,
    },
}

/// Why a value does not encode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The schema has no such version.
    #[error("{record} has no version {version}")]
    Version {
        /// The record's name.
        record: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field has a value that the version cannot carry.
    #[error("{record}.{field} cannot be written in version {version}")]
    Field {
        /// The record's name.
        record: &'static str,
        /// The field's name.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, array or byte string longer than its length field can say.
    #[error("length {0} does not fit its field")]
    Length(usize),
}
