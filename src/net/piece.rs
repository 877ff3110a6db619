//! What leaves through a socket.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::io::File;
use crate::storage::RecordBytes;

/// Bytes so few that they are kept in place: the head of an answer.
pub type Short = SmallVec<[u8; 16]>;

/// One piece of what is written, in order.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A few bytes.
    Short(Short),
    /// Memory that nobody else has.
    Own(Vec<u8>),
    /// Memory that others may have, too.
    Memory(Bytes),
    /// A region of a file, kept open until it has left.
    Region {
        /// The file.
        file: Arc<dyn File>,
        /// First byte.
        position: u64,
        /// Number of bytes.
        len: usize,
    },
}

impl Piece {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Short(bytes) => bytes.len(),
            Self::Own(bytes) => bytes.len(),
            Self::Memory(bytes) => bytes.len(),
            Self::Region { len, .. } => *len,
        }
    }

    /// The bytes, if they are in memory.
    pub fn as_memory(&self) -> Option<&[u8]> {
        match self {
            Self::Short(bytes) => Some(bytes),
            Self::Own(bytes) => Some(bytes),
            Self::Memory(bytes) => Some(bytes),
            Self::Region { .. } => None,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Short> for Piece {
    fn from(bytes: Short) -> Self {
        Self::Short(bytes)
    }
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl From<RecordBytes> for Piece {
    fn from(records: RecordBytes) -> Self {
        match records {
            RecordBytes::Memory(bytes) => Self::Memory(bytes),
            RecordBytes::Region {
                file,
                position,
                len,
            } => Self::Region {
                file,
                position,
                len,
            },
        }
    }
}
