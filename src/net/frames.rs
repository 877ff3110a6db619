//! The read half: frames, in memory that follows what has arrived.
//!
//! A connection that waits has no buffer. What comes is first read onto the stack; a frame that
//! is larger than that gets a buffer that never holds more than twice what has arrived, or 80 KiB,
//! and the length that its peer announced costs nothing. Behind a frame that was as large another
//! one is expected, and what comes is read where it would stay. Reading can be cancelled at any
//! await: all state is in the reader.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::budget::{Budget, Lease};
use super::limits::Limits;
use crate::wake::Alarm;

/// Bytes of the length before a frame.
const HEAD_BYTES: usize = 4;

/// Bytes of a frame that say how long it may be.
const PREFIX_BYTES: usize = 2;

/// Bytes read onto the stack: a request with one batch of the default size of Kafka's producers
/// comes in one read.
const CHUNK_BYTES: usize = 20 * 1024;

/// Room of a frame that did not come in one read: a batch of 64 KiB takes one more.
const LARGE_BYTES: usize = 80 * 1024;

/// Whole frames for which a connection keeps room while it has none.
const WHOLE_KEPT: usize = 8;

/// Most bytes of one read into a frame's buffer.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Why nothing more is read from a connection.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The length of a frame is negative.
    #[error("a frame of {0} bytes")]
    Negative(i32),
    /// The frame is longer than its kind may be.
    #[error("a frame of {length} bytes where {max} are allowed")]
    TooLong {
        /// Announced.
        length: usize,
        /// Allowed.
        max: usize,
    },
    /// A frame was not finished in time.
    #[error("a frame of {length} bytes stopped after {received}")]
    HalfSent {
        /// Announced; 0 if not even the length is complete.
        length: usize,
        /// Arrived.
        received: usize,
    },
    /// Nothing came for a long time.
    #[error("idle")]
    Idle,
}

/// A whole frame, without its length. Its bytes are counted in the budget until the last
/// reference to them is dropped.
#[derive(Debug)]
pub struct Frame {
    buffer: Vec<u8>,
    /// Where it begins in its buffer: its length may be there, too.
    start: usize,
    lease: Lease,
}

impl Frame {
    /// The bytes, to be read and rewritten while nobody else has them.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Counts `bytes` more, that working on the frame is going to take; waits for the budget.
    pub async fn charge(&mut self, bytes: usize) {
        if bytes > 0 {
            self.lease.wait_for(bytes).await;
            self.lease.take(bytes);
        }
    }

    /// Drops bytes at its beginning.
    pub fn advance(&mut self, bytes: usize) {
        self.start += bytes.min(self.len());
    }
}

/// A frame that is counted nowhere.
#[cfg(test)]
impl From<Vec<u8>> for Frame {
    fn from(buffer: Vec<u8>) -> Self {
        let lease = Budget::new(0).lease();
        Self {
            buffer,
            start: 0,
            lease,
        }
    }
}

/// To be shared.
impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        Self::from_owner(frame)
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

/// Cuts what arrives into frames.
#[derive(Debug)]
pub(super) struct FrameReader {
    budget: Arc<Budget>,
    frame_bytes_max: usize,
    frame_timeout: Duration,
    idle_timeout: Duration,
    head: [u8; HEAD_BYTES],
    head_len: usize,
    body: Option<Partial>,
    /// Bytes of the frame that is expected, with its length; 0 if it is not expected to be large.
    expected: usize,
    whole: VecDeque<Frame>,
    deadline: Deadline,
    /// Bytes of a half-read frame from which on nothing more is read.
    pub(super) half_read_max: usize,
}

/// A frame of which something is missing.
#[derive(Debug)]
struct Partial {
    length: usize,
    frame: Frame,
}

#[derive(Clone, Copy, Debug)]
enum Deadline {
    /// Nothing is half-read.
    Idle { since: Instant },
    /// A frame is.
    Frame { since: Instant },
}

impl FrameReader {
    pub(super) fn new(budget: Arc<Budget>, limits: &Limits) -> Self {
        Self {
            budget,
            frame_bytes_max: limits.frame_bytes_max,
            frame_timeout: limits.frame_timeout,
            idle_timeout: limits.idle_timeout,
            head: [0; HEAD_BYTES],
            head_len: 0,
            body: None,
            expected: 0,
            whole: VecDeque::new(),
            deadline: Deadline::Idle {
                since: Instant::now(),
            },
            half_read_max: usize::MAX,
        }
    }

    /// A frame that has arrived already.
    pub(super) fn arrived(&mut self) -> Option<Frame> {
        let frame = self.whole.pop_front();
        if self.whole.is_empty() && self.whole.capacity() > WHOLE_KEPT {
            self.whole = VecDeque::new();
        }
        frame
    }

    /// Bytes of the frame that is half-read.
    fn half_read(&self) -> usize {
        self.body
            .as_ref()
            .map_or(self.head_len, |partial| partial.frame.len())
    }

    /// Whether the next read is worth room for all of the frame that is expected.
    fn expects_large(&self) -> bool {
        self.expected > 0 && self.half_read() == 0 && self.half_read_max == usize::MAX
    }

    /// Starts the time of the peer anew, after a while in which nothing was read for reasons of
    /// our own.
    pub(super) fn resume(&mut self) {
        let since = Instant::now();
        self.deadline = match self.deadline {
            Deadline::Idle { .. } => Deadline::Idle { since },
            Deadline::Frame { .. } => Deadline::Frame { since },
        };
    }

    /// An answer has left: the connection was not idle until now.
    pub(super) fn answered(&mut self) {
        if let Deadline::Idle { since } = &mut self.deadline {
            *since = Instant::now();
        }
    }

    /// The next frame; `None` when the peer has finished. `limit` says from its first bytes how
    /// long a frame may be. Fails as [`ReadError::Idle`] only if `may_idle`.
    pub(super) async fn next(
        &mut self,
        stream: &mut TcpStream,
        alarm: &mut Alarm,
        may_idle: bool,
        limit: impl Fn(&[u8]) -> usize,
    ) -> Result<Option<Frame>, ReadError> {
        loop {
            if let Some(frame) = self.arrived() {
                return Ok(Some(frame));
            }
            if self.half_read() >= self.half_read_max {
                // Whoever set the bound cancels this when it is lifted.
                std::future::pending::<()>().await;
            }
            self.wait_for_budget(alarm, may_idle).await?;
            let expires = self.expires(may_idle);
            let read = poll_fn(|cx| self.poll_read(cx, stream, &limit));
            let read = alarm.before(expires, read).await;
            match read.unwrap_or_else(|_| Err(self.expired())) {
                Ok(0) => return self.finished(),
                Ok(_) => tokio::task::consume_budget().await,
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the budget allows to read; the time of the peer runs on.
    async fn wait_for_budget(
        &mut self,
        alarm: &mut Alarm,
        may_idle: bool,
    ) -> Result<(), ReadError> {
        if self.budget.has_some() {
            return Ok(());
        }
        let expires = self.expires(may_idle);
        let wait = async {
            match &mut self.body {
                Some(partial) => partial.frame.lease.wait_for(1).await,
                None => self.budget.wait_for_some().await,
            }
        };
        let waited = alarm.before(expires, wait).await;
        waited.map_err(|_| self.expired())
    }

    /// Reads once; how many bytes. The chunk is on the stack of this call alone, so that it is no
    /// part of what a waiting connection keeps.
    ///
    /// Behind a whole frame there is mostly nothing, and the system is not asked again before it
    /// says so; the rest of a frame is mostly there already.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        limit: &impl Fn(&[u8]) -> usize,
    ) -> Poll<Result<usize, ReadError>> {
        let Some(partial) = self.body.as_mut().filter(|partial| partial.is_large()) else {
            if self.expects_large() {
                let mut buffer = Vec::with_capacity(self.expected);
                let mut room = (&mut buffer).limit(self.expected);
                let read = ready!(poll_rest(cx, stream, &mut room))?;
                self.take_over(buffer, limit)?;
                return Poll::Ready(Ok(read));
            }
            let mut chunk = [MaybeUninit::uninit(); CHUNK_BYTES];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            if self.half_read() == 0 {
                ready!(Pin::new(stream).poll_read(cx, &mut chunk))?;
            } else {
                ready!(poll_rest(cx, stream, &mut chunk))?;
            }
            self.feed(chunk.filled(), limit)?;
            return Poll::Ready(Ok(chunk.filled().len()));
        };
        let room = partial.room();
        let mut buffer = (&mut partial.frame.buffer).limit(room);
        let read = ready!(poll_rest(cx, stream, &mut buffer))?;
        partial.frame.lease.take(read);
        self.check(limit)?;
        if self.complete() {
            self.mark();
        }
        Poll::Ready(Ok(read))
    }

    /// Takes in what was read where a large frame was expected: as it is, if it begins one.
    fn take_over(
        &mut self,
        buffer: Vec<u8>,
        limit: &impl Fn(&[u8]) -> usize,
    ) -> Result<(), ReadError> {
        if buffer.len() <= CHUNK_BYTES {
            // Little is copied, and does not keep all that room.
            return self.feed(&buffer, limit);
        }
        let rest = self.feed_head(&buffer)?.len();
        let start = buffer.len() - rest;
        let Some(partial) = self.body.as_mut().filter(|partial| partial.length >= rest) else {
            return self.feed(buffer.get(start..).unwrap_or_default(), limit);
        };
        partial.frame.buffer = buffer;
        partial.frame.start = start;
        partial.frame.lease.take(rest);
        self.check(limit)?;
        self.complete();
        self.mark();
        Ok(())
    }

    /// Takes bytes in.
    fn feed(&mut self, mut bytes: &[u8], limit: &impl Fn(&[u8]) -> usize) -> Result<(), ReadError> {
        let whole = self.whole.len();
        while !bytes.is_empty() {
            if self.body.is_none() {
                bytes = self.feed_head(bytes)?;
            }
            let Some(partial) = &mut self.body else {
                continue;
            };
            let part = bytes.len().min(partial.missing());
            let (part, rest) = bytes.split_at_checked(part).unwrap_or((bytes, &[]));
            partial.take(part);
            bytes = rest;
            self.check(limit)?;
            self.complete();
        }
        if self.whole.len() > whole || matches!(self.deadline, Deadline::Idle { .. }) {
            self.mark();
        }
        Ok(())
    }

    fn feed_head<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], ReadError> {
        for slot in self.head.iter_mut().skip(self.head_len) {
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(bytes);
            };
            *slot = byte;
            self.head_len += 1;
            bytes = rest;
        }
        let length = i32::from_be_bytes(self.head);
        let length = usize::try_from(length).map_err(|_| ReadError::Negative(length))?;
        if length > self.frame_bytes_max {
            return Err(ReadError::TooLong {
                length,
                max: self.frame_bytes_max,
            });
        }
        self.head_len = 0;
        let frame = Frame {
            buffer: Vec::new(),
            start: 0,
            lease: self.budget.lease(),
        };
        self.body = Some(Partial { length, frame });
        if length == 0 {
            self.complete();
        }
        Ok(bytes)
    }

    /// Refuses a frame that is longer than its kind may be as soon as its kind is known.
    fn check(&self, limit: &impl Fn(&[u8]) -> usize) -> Result<(), ReadError> {
        let Some(Partial { length, frame }) = &self.body else {
            return Ok(());
        };
        match frame
            .as_ref()
            .first_chunk::<PREFIX_BYTES>()
            .map(|prefix| limit(prefix))
        {
            Some(max) if *length > max => Err(ReadError::TooLong {
                length: *length,
                max,
            }),
            _ => Ok(()),
        }
    }

    /// Takes the frame that is being read for a whole one, if it is.
    fn complete(&mut self) -> bool {
        let partial = self.body.take_if(|partial| partial.missing() == 0);
        let is_complete = partial.is_some();
        if let Some(Partial { length, .. }) = partial {
            let is_large = length > CHUNK_BYTES;
            self.expected = if is_large {
                (HEAD_BYTES + length).min(LARGE_BYTES)
            } else {
                0
            };
        }
        self.whole.extend(partial.map(|partial| partial.frame));
        is_complete
    }

    /// Starts the deadline that belongs to the state.
    fn mark(&mut self) {
        let since = Instant::now();
        self.deadline = match (&self.body, self.head_len) {
            (None, 0) => Deadline::Idle { since },
            _ => Deadline::Frame { since },
        };
    }

    fn expires(&self, may_idle: bool) -> Option<Instant> {
        match self.deadline {
            Deadline::Idle { since } if may_idle => since.checked_add(self.idle_timeout),
            Deadline::Idle { .. } => None,
            Deadline::Frame { since } => {
                let grace = self.half_read() as u64 / Limits::FRAME_BYTES_PER_SECOND_MIN;
                since.checked_add(self.frame_timeout + Duration::from_secs(grace))
            }
        }
    }

    fn expired(&self) -> ReadError {
        match self.deadline {
            Deadline::Idle { .. } => ReadError::Idle,
            Deadline::Frame { .. } => self.half_sent(),
        }
    }

    fn half_sent(&self) -> ReadError {
        let length = self.body.as_ref().map_or(0, |partial| partial.length);
        ReadError::HalfSent {
            length,
            received: self.half_read(),
        }
    }

    fn finished(&self) -> Result<Option<Frame>, ReadError> {
        match self.deadline {
            Deadline::Idle { .. } => Ok(None),
            Deadline::Frame { .. } => Err(self.half_sent()),
        }
    }
}

/// Reads what is likely to be there: asks first, and waits only if it is not.
fn poll_rest(
    cx: &mut Context<'_>,
    stream: &TcpStream,
    buffer: &mut impl BufMut,
) -> Poll<io::Result<usize>> {
    loop {
        match stream.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready!(stream.poll_read_ready(cx))?;
            }
            read => return Poll::Ready(read),
        }
    }
}

impl Partial {
    fn missing(&self) -> usize {
        self.length - self.frame.len()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.frame.buffer.extend_from_slice(bytes);
        self.frame.lease.take(bytes.len());
    }

    /// Whether it is worth a read into its own buffer.
    fn is_large(&self) -> bool {
        self.frame.len() >= CHUNK_BYTES && self.missing() > CHUNK_BYTES
    }

    /// Room for the next read of a large frame.
    fn room(&mut self) -> usize {
        let first = LARGE_BYTES.saturating_sub(self.frame.len());
        self.reserve(first.max(CHUNK_BYTES));
        let buffer = &self.frame.buffer;
        (buffer.capacity() - buffer.len())
            .min(self.missing())
            .min(READ_BYTES_MAX)
    }

    /// Makes room for `more` bytes, and if the buffer has to grow, for as many again as there are.
    fn reserve(&mut self, more: usize) {
        let buffer = &mut self.frame.buffer;
        let needed = buffer.len() + more;
        if needed > buffer.capacity() {
            let wanted = needed
                .max(2 * buffer.len())
                .min(self.frame.start + self.length);
            buffer.reserve_exact(wanted.saturating_sub(buffer.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const BUDGET: usize = 64 * 1024 * 1024;

    /// Frames of these lengths, sent in pieces of these lengths by turns, as they are read.
    async fn read_back(lengths: &[usize], pieces: &[usize]) -> Vec<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        sender.set_nodelay(true).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let bytes: Vec<u8> = sent(lengths).into_iter().flatten().collect();
        let pieces = pieces.to_vec();
        tokio::spawn(async move {
            let mut rest = bytes.as_slice();
            for piece in pieces.into_iter().cycle() {
                let (now, later) = rest.split_at(piece.min(rest.len()));
                sender.write_all(now).await.unwrap();
                rest = later;
                if rest.is_empty() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let budget = Budget::new(BUDGET);
        let mut reader = FrameReader::new(Arc::clone(&budget), &Limits::default());
        let (mut alarm, mut frames) = (Alarm::default(), Vec::new());
        while let Some(frame) = reader
            .next(&mut stream, &mut alarm, true, |_| usize::MAX)
            .await
            .unwrap()
        {
            let (length, room) = (frame.len(), frame.buffer.capacity());
            assert!(
                room <= (2 * length).max(HEAD_BYTES + LARGE_BYTES),
                "{room} for {length}"
            );
            frames.push(frame.as_ref().to_vec());
        }
        assert!(budget.holds(BUDGET as i64), "every byte was given back");
        frames
    }

    /// Frames with their lengths before them.
    fn sent(lengths: &[usize]) -> Vec<Vec<u8>> {
        let frame = |(index, length): (usize, &usize)| {
            let head = u32::try_from(*length).unwrap().to_be_bytes();
            let body = (0..*length).map(|at| (at * 7 + index) as u8);
            head.into_iter().chain(body).collect()
        };
        lengths.iter().enumerate().map(frame).collect()
    }

    #[tokio::test]
    async fn frames_of_all_lengths_come_whole_however_they_were_cut() {
        let even = [65_600; 8];
        let mixed = [
            70_000, 70_000, 5, 70_000, 0, 30_000, 90_000, 20_480, 20_481, 1_000_000, 3, 25_000,
            25_004, 24_996, 400_000, 21_000, 2,
        ];
        for lengths in [&even[..], &mixed] {
            for pieces in [
                &[3_000_000][..],
                &[65_604],
                &[1, 65_603],
                &[20_000, 3, 1],
                &[81_924, 7],
            ] {
                let expected: Vec<_> = sent(lengths)
                    .iter()
                    .map(|frame| frame[4..].to_vec())
                    .collect();
                let frames = read_back(lengths, pieces).await;
                assert!(frames == expected, "{lengths:?} in {pieces:?}");
            }
        }
    }
}
