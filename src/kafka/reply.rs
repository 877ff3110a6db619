//! What a handler gives back.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::storage::RecordBytes;

/// The connection has to be closed without an answer; the reason is logged at debug level.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Close(pub(crate) String);

/// An encoded response body (after the response header), in pieces that are written in order.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// The pieces.
    pub(crate) chunks: Vec<Chunk>,
}

/// One piece of a response.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Encoded fields.
    Bytes(Bytes),
    /// Stored batches, not copied.
    Records(RecordBytes),
}

/// The future of an answer that has to wait.
pub(crate) type PendingBody = Pin<Box<dyn Future<Output = Result<Body, Close>> + Send>>;

/// A handler's answer.
pub(crate) enum Reply {
    /// Nothing is sent (Produce with acks=0).
    None,
    /// Ready to be sent.
    Ready(Body),
    /// Sent when the future is done; replies keep the order of requests all the same.
    Pending(PendingBody),
}
