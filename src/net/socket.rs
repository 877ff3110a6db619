//! One accepted connection, as a [`Protocol`](super::Protocol) sees it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::frames::{Frame, FrameReader, ReadError};
use super::gate::{Gate, Permit};
use super::piece::Piece;
use super::stop::Stop;
use super::write::write;
use crate::wake::Alarm;

/// A connection: frames come in, pieces go out. Dropping it closes it.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    reader: FrameReader,
    gate: Arc<Gate>,
    permit: Permit,
    peer: SocketAddr,
    local: SocketAddr,
    /// Of the peer's deadlines.
    alarm: Alarm,
    stop: Stop,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        gate: Arc<Gate>,
        stopping: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let options = socket2::SockRef::from(&stream);
        options.set_keepalive(true)?;
        if let Some(bytes) = gate.limits.send_buffer_bytes {
            options.set_send_buffer_size(bytes)?;
        }
        let local = stream.local_addr()?;
        let reader = FrameReader::new(Arc::clone(&gate.budget), &gate.limits);
        Ok(Self {
            stream,
            reader,
            gate,
            permit,
            peer,
            local,
            alarm: Alarm::default(),
            stop: Stop::new(stopping),
        })
    }

    /// Number of the connection, unique within the broker.
    pub fn id(&self) -> u64 {
        self.permit.id
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This end: the address that the peer dialled.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// A frame that is here already.
    pub fn arrived(&mut self) -> Option<Frame> {
        self.reader.arrived()
    }

    /// The next frame, or `None` when the peer has finished or the broker stops; cancelling it
    /// loses nothing. `limit` says from the first two bytes of a frame how long it may be. The
    /// idle deadline counts only if `may_idle`.
    pub async fn next(
        &mut self,
        may_idle: bool,
        limit: impl Fn(&[u8]) -> usize,
    ) -> Result<Option<Frame>, ReadError> {
        let Self {
            stream,
            reader,
            alarm,
            stop,
            ..
        } = self;
        if let Some(frame) = reader.arrived() {
            return Ok(Some(frame));
        }
        if stop.is_told() {
            return Ok(None);
        }
        tokio::select! {
            biased;
            frame = reader.next(stream, alarm, may_idle, limit) => frame,
            () = stop.wait() => Ok(None),
        }
    }

    /// From now on, no more is read of a frame of which so many bytes are here.
    pub fn limit_half_read(&mut self, bytes: usize) {
        self.reader.half_read_max = bytes;
    }

    /// Gives the peer its full time for what it is sending: nothing was read for a while.
    pub fn resume(&mut self) {
        self.reader.resume();
    }

    /// Writes all pieces, and leaves none. After an error the connection is of no use.
    pub async fn write(&mut self, pieces: &mut Vec<Piece>) -> io::Result<()> {
        write(&self.stream, pieces, self.gate.limits.write_stall_timeout).await?;
        pieces.clear();
        self.reader.answered();
        Ok(())
    }
}
