//! The write half: memory by vectored sends, regions of files without a copy through user space.
//!
//! Sendfile costs a third of a read and a send, from about 16 KiB on; below that, and where the
//! file has no descriptor or the system no sendfile, the region is read in slices, each only when
//! the one before it has left, so that a slow peer holds one slice.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
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
    pieces: &mut [Piece],
    stall: Duration,
) -> io::Result<()> {
    let out = Out { stream, stall };
    for piece in &mut *pieces {
        if let Piece::Region {
            file,
            position,
            len,
        } = piece
            && let Some(bytes) = file.shared(*position, *len)
        {
            *piece = Piece::Memory(bytes);
        }
    }
    let mut rest = &*pieces;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|piece| piece.as_memory().is_some());
        let (memory, regions) = rest.split_at_checked(run.count()).unwrap_or((rest, &[]));
        let region = regions.first().filter(|region| !region.is_empty());
        out.memory(memory, region.is_some()).await?;
        if let Some(Piece::Region {
            file,
            position,
            len,
        }) = region
        {
            out.region(file, *position, *len).await?;
        }
        rest = regions.get(1..).unwrap_or_default();
    }
    Ok(())
}

struct Out<'a> {
    stream: &'a TcpStream,
    stall: Duration,
}

impl Out<'_> {
    /// Sends pieces of memory. `more`: what follows belongs to the same packet.
    async fn memory(&self, mut pieces: &[Piece], more: bool) -> io::Result<()> {
        // Bytes of the first piece that have left.
        let mut gone = 0;
        loop {
            while let Some((first, rest)) = pieces.split_first()
                && gone >= first.len()
            {
                gone -= first.len();
                pieces = rest;
            }
            if pieces.is_empty() {
                return Ok(());
            }
            gone += self.ready(|| send(self.stream, pieces, gone, more)).await?;
        }
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
            self.memory(&[Piece::from(slice)], left > 0).await?;
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
fn send(stream: &TcpStream, pieces: &[Piece], gone: usize, more: bool) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    let slices = slices(pieces, gone);
    let more = more || pieces.len() > slices.len();
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
fn send(stream: &TcpStream, pieces: &[Piece], gone: usize, _more: bool) -> io::Result<usize> {
    stream.try_write_vectored(&slices(pieces, gone))
}

/// What is sent at once: the pieces behind the first `gone` bytes of the first one.
fn slices(pieces: &[Piece], gone: usize) -> SmallVec<[IoSlice<'_>; 8]> {
    let mut slices = SmallVec::new();
    let mut gone = gone;
    for bytes in pieces.iter().take(SLICES_MAX).filter_map(Piece::as_memory) {
        slices.extend(bytes.get(gone..).map(IoSlice::new));
        gone = 0;
    }
    slices
}
