//! The write half: memory by vectored sends, regions of files without a copy through user space.
//!
//! Sendfile costs a third of a read and a send, from about 16 KiB on; below that, and where the
//! file has no descriptor or the system no sendfile, the region is read in slices, each only when
//! the one before it has left, so that a slow peer holds one slice.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::piece::Piece;
use crate::io::File;
use crate::model::limits::SENDFILE_BYTES_MIN;

/// Most slices of memory in one send.
const SLICES_MAX: usize = 64;

/// Most bytes that are read from a file at once.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of one sendfile, so that other connections get their turn.
const SENDFILE_BYTES_MAX: usize = 1024 * 1024;

/// Writes all pieces. An error leaves the stream in the middle of a frame: close it.
pub(super) async fn write(
    stream: &TcpStream,
    pieces: Vec<Piece>,
    stall: Duration,
) -> io::Result<()> {
    let out = Out { stream, stall };
    let mut memory: Vec<Bytes> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Memory(bytes) => memory.push(bytes),
            Piece::Region {
                file,
                position,
                len,
            } => match file.shared(position, len) {
                Some(bytes) => memory.push(bytes),
                None => {
                    out.memory(&mut memory, len > 0).await?;
                    out.region(&file, position, len).await?;
                }
            },
        }
    }
    out.memory(&mut memory, false).await
}

struct Out<'a> {
    stream: &'a TcpStream,
    stall: Duration,
}

impl Out<'_> {
    /// Sends all of it and leaves `queue` empty. `more`: what follows belongs to the same packet.
    async fn memory(&self, queue: &mut Vec<Bytes>, more: bool) -> io::Result<()> {
        queue.retain(|bytes| !bytes.is_empty());
        let mut gone = 0;
        while let Some(rest) = queue.get_mut(gone..).filter(|rest| !rest.is_empty()) {
            let mut sent = self.ready(|| send(self.stream, rest, more)).await?;
            for bytes in rest {
                let part = sent.min(bytes.len());
                bytes.advance(part);
                sent -= part;
                gone += usize::from(bytes.is_empty());
            }
        }
        queue.clear();
        Ok(())
    }

    async fn region(&self, file: &Arc<dyn File>, position: u64, len: usize) -> io::Result<()> {
        if len >= SENDFILE_BYTES_MIN && self.sendfile(file, position, len).await? {
            return Ok(());
        }
        self.copy(file, position, len).await
    }

    /// Reads and sends slice by slice.
    async fn copy(&self, file: &Arc<dyn File>, position: u64, len: usize) -> io::Result<()> {
        let (mut position, mut left) = (position, len);
        while left > 0 {
            let mut slice = vec![0; left.min(READ_BYTES_MAX)];
            let read = file.read_at(&mut slice, position)?;
            if read == 0 {
                return Err(short_file());
            }
            slice.truncate(read);
            position += read as u64;
            left -= read;
            self.memory(&mut vec![Bytes::from(slice)], left > 0).await?;
        }
        Ok(())
    }

    /// Whether the region has left; not, if the file has no descriptor.
    #[cfg(target_os = "linux")]
    async fn sendfile(&self, file: &Arc<dyn File>, position: u64, len: usize) -> io::Result<bool> {
        if file.descriptor().is_none() {
            return Ok(false);
        }
        let (mut position, mut left) = (position, len);
        while left > 0 {
            let sent = self
                .ready(|| {
                    let file = file.descriptor().ok_or_else(short_file)?;
                    let count = left.min(SENDFILE_BYTES_MAX);
                    Ok(rustix::fs::sendfile(
                        self.stream,
                        file,
                        Some(&mut position),
                        count,
                    )?)
                })
                .await?;
            if sent == 0 {
                return Err(short_file());
            }
            left = left.saturating_sub(sent);
            tokio::task::consume_budget().await;
        }
        Ok(true)
    }

    /// Only Linux has a sendfile of this kind.
    #[cfg(not(target_os = "linux"))]
    async fn sendfile(&self, _: &Arc<dyn File>, _: u64, _: usize) -> io::Result<bool> {
        Ok(false)
    }

    /// Runs the call when the socket is writable, again while it would block.
    async fn ready<T>(&self, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match self.stream.try_io(Interest::WRITABLE, &mut call) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => return result,
            }
            tokio::time::timeout(self.stall, self.stream.writable())
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing"))??;
        }
    }
}

fn short_file() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "a file is shorter than the region to send",
    )
}

#[cfg(target_os = "linux")]
fn send(stream: &TcpStream, queue: &[Bytes], more: bool) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    let slices = slices(queue);
    let more = more || queue.len() > slices.len();
    let flags = if more {
        SendFlags::NOSIGNAL | SendFlags::MORE
    } else {
        SendFlags::NOSIGNAL
    };
    Ok(sendmsg(
        stream,
        &slices,
        &mut SendAncillaryBuffer::default(),
        flags,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn send(stream: &TcpStream, queue: &[Bytes], _more: bool) -> io::Result<usize> {
    stream.try_write_vectored(&slices(queue))
}

fn slices(queue: &[Bytes]) -> Vec<IoSlice<'_>> {
    queue
        .iter()
        .take(SLICES_MAX)
        .map(|bytes| IoSlice::new(bytes))
        .collect()
}
