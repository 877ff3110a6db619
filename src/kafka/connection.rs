//! The request loop of one connection.
//!
//! It reads ahead, so that many Produce requests share one round of the disk, but only Produce
//! overlaps Produce: any other request waits until everything before it is answered, and nothing
//! later starts before it is. Replies leave in the order of requests, whatever is ready first.
//! What is read ahead is bounded: by the number of requests in flight, and by
//! [`READ_AHEAD_BYTES_MAX`] while a request that does not overlap is at work.
//!
//! A request that cannot be read ends the connection, after the answers to those before it.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Sleep, sleep};

use super::api::api_versions;
use super::dispatch::{Connection, Context};
use super::in_flight::{InFlight, Written, guarded};
use super::reply::{Body, Close, Reply};
use super::request::{self, BadRequest, Content, Examined, examine};
use crate::net::{Frame, Piece, ReadError, Socket};

/// Requests that were started and not answered, at most.
const IN_FLIGHT_MAX: usize = 256;

/// Pieces of answers that are gathered before they are written, about.
const OUTBOX_PIECES_MAX: usize = 256;

/// Answers, and pieces of them, for which a connection keeps room that has nothing to write.
const KEPT: usize = 8;

/// Bytes of the next frame that are received while a request that does not overlap is at work.
const READ_AHEAD_BYTES_MAX: usize = 8 * 1024;

/// How long answers may take that nobody may wait for any more: the peer has finished, or its
/// last request cannot be read.
const GRACE: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The peer has finished, or the broker stops.
    #[error("finished")]
    Finished,
    /// The socket, or a frame.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An answer could not be written.
    #[error("write: {0}")]
    Write(std::io::Error),
    /// A request that cannot be read.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// A handler closed it.
    #[error(transparent)]
    Closed(#[from] Close),
}

/// Serves the connection until it ends.
pub(super) async fn serve(connection: Arc<Connection>, socket: Socket) {
    let session = Session {
        connection: Arc::clone(&connection),
        socket,
        in_flight: VecDeque::new(),
        overlapping: true,
        held: None,
        client_id: None,
        outbox: Vec::new(),
        end: None,
    };
    let Err(end) = session.run().await;
    let Connection {
        id, peer, listener, ..
    } = &*connection;
    tracing::debug!(connection = id, %peer, listener, %end, "closed");
}

/// A request that was read and not started.
struct Request {
    frame: Frame,
    examined: Examined,
}

struct Session {
    connection: Arc<Connection>,
    socket: Socket,
    /// In the order of requests. Only the first is waited for: nothing leaves before it does.
    in_flight: VecDeque<InFlight>,
    /// Whether everything in flight may overlap.
    overlapping: bool,
    /// A request that waits for those before it.
    held: Option<Request>,
    /// What the client called itself in its last request.
    client_id: Option<StrBytes>,
    outbox: Vec<Piece>,
    /// Set when nothing more is read: why, and how long answers may still take.
    end: Option<(End, Pin<Box<Sleep>>)>,
}

/// Ends when the time for answers has passed; never, while more is read.
async fn passed(end: &mut Option<(End, Pin<Box<Sleep>>)>) {
    match end {
        Some((_, grace)) => grace.await,
        None => std::future::pending().await,
    }
}

/// The first answer, when it is there.
async fn first(in_flight: &mut VecDeque<InFlight>) -> Result<Written, Close> {
    let written = poll_fn(|cx| match in_flight.front_mut() {
        Some(first) => Pin::new(first).poll(cx),
        None => Poll::Pending,
    });
    let written = written.await;
    in_flight.pop_front();
    written
}

impl Session {
    async fn run(mut self) -> Result<std::convert::Infallible, End> {
        let mut was_reading = true;
        loop {
            self.start_all().await;
            if !self.outbox.is_empty() {
                self.collect();
                let written = self.socket.write(&mut self.outbox).await;
                written.map_err(End::Write)?;
                if self.outbox.capacity() > KEPT {
                    self.outbox = Vec::new();
                }
                if self.in_flight.is_empty() && self.in_flight.capacity() > KEPT {
                    self.in_flight = VecDeque::new();
                }
                continue;
            }
            if self.in_flight.is_empty()
                && let Some((end, _)) = self.end.take()
            {
                return Err(end);
            }
            let reading = self.may_read();
            if reading && !was_reading {
                self.socket.resume();
            }
            was_reading = reading;
            let idle = self.in_flight.is_empty();
            let ahead = if idle || self.overlapping {
                usize::MAX
            } else {
                READ_AHEAD_BYTES_MAX
            };
            self.socket.limit_half_read(ahead);
            tokio::select! {
                biased;
                written = first(&mut self.in_flight), if !idle => self.answered(written),
                frame = self.socket.next(idle, request::frame_bytes_max), if reading => self.receive(frame),
                () = passed(&mut self.end) => {
                    return Err(self.end.take().map_or(End::Finished, |(end, _)| end));
                }
            }
        }
    }

    fn may_read(&self) -> bool {
        self.end.is_none() && self.held.is_none() && self.in_flight.len() < IN_FLIGHT_MAX
    }

    fn receive(&mut self, frame: Result<Option<Frame>, ReadError>) {
        let request = match frame {
            Ok(Some(mut frame)) => examine(frame.as_mut_slice(), self.client_id.as_ref())
                .map(|examined| Request { frame, examined })
                .map_err(End::Request),
            Ok(None) => Err(End::Finished),
            Err(error) => Err(End::Read(error)),
        };
        match request {
            Ok(request) => {
                let client_id = &request.examined.header.client_id;
                if self.client_id != *client_id {
                    self.client_id.clone_from(client_id);
                }
                self.held = Some(request);
            }
            Err(end) => self.finish(end),
        }
    }

    /// Nothing more is read; what was started is answered.
    fn finish(&mut self, end: End) {
        self.held = None;
        self.end
            .get_or_insert_with(|| (end, Box::pin(sleep(GRACE))));
    }

    /// Starts what has arrived, as far as it may start.
    async fn start_all(&mut self) {
        loop {
            if self.held.is_none()
                && self.end.is_none()
                && let Some(frame) = self.socket.arrived()
            {
                self.receive(Ok(Some(frame)));
            }
            let Some(request) = self.held.take_if(|request| {
                let after = self.in_flight.len();
                after == 0
                    || (after < IN_FLIGHT_MAX && self.overlapping && request.examined.api.overlaps)
            }) else {
                return;
            };
            if let Err(end) = self.start(request).await {
                self.finish(end);
            }
            if self.outbox.len() >= OUTBOX_PIECES_MAX {
                return;
            }
        }
    }

    async fn start(&mut self, request: Request) -> Result<(), End> {
        let Request {
            mut frame,
            examined,
        } = request;
        let Examined {
            api,
            mut header,
            content,
        } = examined;
        let (version, id) = (header.version, header.correlation_id);
        let client_id = header.client_id.as_deref();
        tracing::trace!(api = api.name, version, id, client_id, "request");
        let reply = match content {
            Content::UnsupportedVersion => {
                Reply::Ready(Body::from(api_versions::unsupported_version()?))
            }
            Content::Body { start, footprint } => {
                frame.charge(footprint.bytes).await;
                frame.advance(start);
                let context = Context {
                    connection: Arc::clone(&self.connection),
                    version: header.version,
                    client_id: header.client_id.take(),
                };
                guarded(api, &header, || api.start(context, frame))??
            }
        };
        self.overlapping = api.overlaps;
        let mut answer = InFlight::new(api, header, reply);
        // Most are there already; one that has to wait is looked at when nothing else is to be done.
        let answered = match self.in_flight.is_empty() && answer.is_there() {
            true => (&mut answer).now_or_never(),
            false => None,
        };
        match answered {
            Some(written) => self.answered(written),
            None => self.in_flight.push_back(answer),
        }
        Ok(())
    }

    /// Gathers the answers that are ready now and whose turn it is.
    fn collect(&mut self) {
        while let Some(written) = self.in_flight.front_mut().and_then(FutureExt::now_or_never) {
            self.in_flight.pop_front();
            self.answered(written);
        }
    }

    /// Takes the answer whose turn it is. If there is none, the later ones must not go out in
    /// its place.
    fn answered(&mut self, written: Result<Written, Close>) {
        match written {
            Ok(written) => self.outbox.extend(written.into_pieces()),
            Err(close) => {
                self.in_flight.clear();
                self.finish(End::Closed(close));
            }
        }
    }
}
