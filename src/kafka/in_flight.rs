//! A request that was started and not answered yet.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::dispatch::Api;
use super::frame::{RequestHeader, response_head};
use super::reply::{Body, Chunk, Close, PendingBody, Reply};
use crate::net::{Piece, Short};

/// What has to be written: head and body, or nothing at all.
#[derive(Debug, Default)]
pub(super) struct Written {
    head: Short,
    body: Body,
}

impl Written {
    /// In the order in which it leaves.
    pub(super) fn into_pieces(self) -> impl Iterator<Item = Piece> {
        let chunks = self.body.chunks.into_iter().map(|chunk| match chunk {
            Chunk::Bytes(bytes) => Piece::from(bytes),
            Chunk::Records(records) => Piece::from(records),
        });
        let head = (!self.head.is_empty()).then(|| Piece::from(self.head));
        head.into_iter().chain(chunks)
    }
}

/// Resolves to what has to be written.
pub(super) struct InFlight {
    api: &'static Api,
    header: RequestHeader,
    answer: Answer,
}

enum Answer {
    Nothing,
    Ready(Body),
    Pending(PendingBody),
}

impl InFlight {
    pub(super) fn new(api: &'static Api, header: RequestHeader, reply: Reply) -> Self {
        let answer = match reply {
            Reply::None => Answer::Nothing,
            Reply::Ready(body) => Answer::Ready(body),
            Reply::Pending(body) => Answer::Pending(body),
        };
        Self {
            api,
            header,
            answer,
        }
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_there(&self) -> bool {
        match self.answer {
            Answer::Nothing | Answer::Ready(_) => true,
            Answer::Pending(_) => false,
        }
    }

    fn with_head(&self, body: Body) -> Result<Written, Close> {
        let head = response_head(self.api.schema, &self.header, body.len())
            .ok_or_else(|| Close("the response is longer than a frame may be".to_owned()))?;
        Ok(Written { head, body })
    }
}

impl Future for InFlight {
    type Output = Result<Written, Close>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let body = match &mut this.answer {
            Answer::Nothing => return Poll::Ready(Ok(Written::default())),
            Answer::Ready(body) => Ok(std::mem::take(body)),
            Answer::Pending(pending) => {
                let poll = guarded(this.api, &this.header, || pending.as_mut().poll(cx));
                match poll {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(body)) => body,
                    Err(close) => Err(close),
                }
            }
        };
        Poll::Ready(body.and_then(|body| this.with_head(body)))
    }
}

/// Runs a part of a handler; a panic closes the connection of its request and no other.
pub(super) fn guarded<T>(
    api: &Api,
    header: &RequestHeader,
    work: impl FnOnce() -> T,
) -> Result<T, Close> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let (version, correlation_id) = (header.version, header.correlation_id);
        let panic = panic_text(&*panic);
        tracing::error!(
            api = api.name,
            version,
            correlation_id,
            panic,
            "a handler panicked"
        );
        Close(format!("{} v{version} panicked", api.name))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::dispatch::api;
    use crate::kafka::frame::API_VERSIONS_KEY;
    use futures_util::FutureExt;

    fn in_flight(reply: Reply) -> InFlight {
        let header = RequestHeader {
            key: API_VERSIONS_KEY,
            version: 0,
            correlation_id: 7,
            client_id: None,
        };
        InFlight::new(api(API_VERSIONS_KEY).unwrap(), header, reply)
    }

    fn bytes(written: Written) -> Vec<u8> {
        let pieces = written.into_pieces();
        pieces
            .flat_map(|piece| piece.as_memory().unwrap().to_vec())
            .collect()
    }

    #[test]
    fn an_answer_is_its_head_and_its_body() {
        let body = || Body::from(b"ab".to_vec());
        for reply in [
            Reply::Ready(body()),
            Reply::pending(async move { Ok(body()) }).unwrap(),
        ] {
            let written = in_flight(reply).now_or_never().unwrap().unwrap();
            assert_eq!(bytes(written), b"\0\0\0\x06\0\0\0\x07ab");
        }
    }

    #[test]
    fn no_answer_is_nothing_to_write() {
        let written = in_flight(Reply::None).now_or_never().unwrap().unwrap();
        assert_eq!(written.into_pieces().count(), 0);
    }

    #[test]
    fn a_panic_while_an_answer_waits_closes_the_connection() {
        let reply = Reply::pending(async { panic!("a bug") }).unwrap();
        let close = in_flight(reply).now_or_never().unwrap().unwrap_err();
        assert_eq!(close.to_string(), "ApiVersions v0 panicked");
    }

    #[test]
    fn a_panic_when_the_work_starts_closes_the_connection() {
        let api = api(API_VERSIONS_KEY).unwrap();
        let header = in_flight(Reply::None).header;
        let close = guarded(api, &header, || panic!("{} bugs", 2))
            .map(|(): ()| ())
            .unwrap_err();
        assert_eq!(close.to_string(), "ApiVersions v0 panicked");
    }
}
