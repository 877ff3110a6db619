//! Record batches of magic 2.
//!
//! *Owns:* the 61-byte header, validation, patching, record views, the builder of internal
//! batches, compression with a cap on output. *May use:* `wire`, `model`. *Must not know:* files.

use bytes::Bytes;

/// A batch that passed validation, ready to be appended.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    /// The bytes to store; base offset and leader epoch are patched at the append.
    pub bytes: Bytes,
}
