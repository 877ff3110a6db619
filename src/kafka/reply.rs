//! What a handler gives back.

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt;
use kafka_protocol::protocol::Encodable;
use smallvec::{SmallVec, smallvec};

use super::codec;
use super::dispatch::Context;
use crate::storage::RecordBytes;

/// The connection has to be closed without an answer; the reason is logged at debug level.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Close(pub(crate) String);

/// An encoded response body (after the response header), in pieces that are written in order.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// The pieces.
    pub(crate) chunks: SmallVec<[Chunk; 1]>,
}

/// One piece of a response.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Encoded fields.
    Bytes(Vec<u8>),
    /// Stored batches, not copied.
    Records(RecordBytes),
}

impl Body {
    /// Encodes a response in the version of its request.
    pub(crate) fn encode<T: Encodable>(context: &Context, response: &T) -> Result<Self, Close> {
        Ok(Self::from(codec::encode(response, context.version)?))
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        let len = |chunk: &Chunk| match chunk {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::Records(records) => records.len(),
        };
        self.chunks.iter().map(len).sum()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            chunks: smallvec![Chunk::Bytes(bytes)],
        }
    }
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
    ///
    /// What has to happen in the order of requests must have happened before this is returned:
    /// of the futures of a connection the first is polled, then the next, and all are dropped when
    /// it is closed.
    Pending(PendingBody),
}

impl Reply {
    /// An answer that is there, encoded in the version of its request.
    pub(crate) fn ready<T: Encodable>(context: &Context, response: &T) -> Result<Self, Close> {
        Ok(Self::Ready(Body::encode(context, response)?))
    }

    /// An answer that has to wait; the future ends with [`Body::encode`].
    pub(crate) fn pending(
        body: impl Future<Output = Result<Body, Close>> + Send + 'static,
    ) -> Result<Self, Close> {
        Ok(Self::Pending(Box::pin(body)))
    }

    /// Starts the future: an answer that is there without waiting is [`Self::Ready`].
    pub(crate) fn begin(
        body: impl Future<Output = Result<Body, Close>> + Send + 'static,
    ) -> Result<Self, Close> {
        let mut body: PendingBody = Box::pin(body);
        match body.as_mut().now_or_never() {
            Some(body) => Ok(Self::Ready(body?)),
            None => Ok(Self::Pending(body)),
        }
    }
}
