//! A connection that never blocks: what is on its way out, and what came in.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a buffer has at least: most answers, and a good read, fit.
const BUFFER_BYTES: usize = 64 * 1024;

/// The length in front of every frame.
const PREFIX_BYTES: usize = 4;

/// So many bytes may gather before they are written.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

/// Records up to this size are copied behind their header, so that several requests leave with one
/// system call; larger ones are written from where they are.
const COPIED_BYTES_MAX: usize = 4 * 1024;

/// A connection to a broker.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) out: Outbox,
    pub(super) input: Input,
}

impl Link {
    /// Connects, and waits for that alone.
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            out: Outbox::default(),
            input: Input::default(),
        })
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.write_to(&mut self.stream)
    }
}

/// Bytes on their way out: gathered ones, and behind them at most one shared piece with its end.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    gathered: Vec<u8>,
    written: usize,
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes: Arc<[u8]>,
    written: usize,
}

impl Outbox {
    /// Whether another frame may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.shared.is_none() && self.gathered.len() < GATHERED_BYTES_MAX
    }

    /// Whether everything has left.
    pub(super) fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.shared.is_none()
    }

    /// Adds a frame; `shared` is its end. Only while there is room.
    pub(super) fn push(&mut self, head: &[u8], shared: &Arc<[u8]>) {
        self.gathered.extend_from_slice(head);
        if shared.len() <= COPIED_BYTES_MAX {
            self.gathered.extend_from_slice(shared);
        } else {
            self.shared = Some(Shared {
                bytes: Arc::clone(shared),
                written: 0,
            });
        }
    }

    /// Adds a whole frame.
    pub(super) fn push_all(&mut self, frame: &[u8]) {
        self.gathered.extend_from_slice(frame);
    }

    fn write_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        while !self.is_empty() {
            let gathered = self.gathered.get(self.written..).unwrap_or_default();
            let shared = self.shared.as_ref().map_or(&[][..], |shared| {
                shared.bytes.get(shared.written..).unwrap_or_default()
            });
            let outcome = out.write_vectored(&[IoSlice::new(gathered), IoSlice::new(shared)]);
            match outcome {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, count: usize) {
        let gathered = count.min(self.gathered.len() - self.written);
        self.written += gathered;
        if self.written == self.gathered.len() {
            self.gathered.clear();
            self.written = 0;
        }
        if let Some(shared) = &mut self.shared {
            shared.written += count - gathered;
            if shared.written == shared.bytes.len() {
                self.shared = None;
            }
        }
    }
}

/// Buffers that wait for the next answer. A connection holds one only while it is in the middle of
/// an answer, so that a thousand connections need a few.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<u8>>);

/// What came in and was not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Bytes, initialised to its end.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Whether the other side sends nothing more behind what is there.
    ends: bool,
}

impl Input {
    /// The other side has said its last: it is read, and not waited for, which nobody would end.
    pub(super) fn will_end(&mut self) {
        self.ends = true;
    }

    /// Reads what is there; whether the connection goes on. As the readiness of a socket is told
    /// once, this reads until the socket has no more.
    pub(super) fn fill(&mut self, from: &mut impl Read, buffers: &mut Buffers) -> io::Result<bool> {
        if self.buffer.is_empty() {
            self.buffer = buffers.0.pop().unwrap_or_else(|| vec![0; BUFFER_BYTES]);
        }
        loop {
            self.make_room()?;
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            let space = room.len();
            match from.read(room) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.end += count;
                    if count < space && !self.ends {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the next whole frame is, without its length; it counts as looked at.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Range<usize>>> {
        let Some(length) = self.frame_length()? else {
            return Ok(None);
        };
        let begin = self.begin + PREFIX_BYTES;
        if self.end - begin < length {
            return Ok(None);
        }
        self.begin = begin + length;
        Ok(Some(begin..begin + length))
    }

    /// The bytes of a frame.
    pub(super) fn frame(&self, at: Range<usize>) -> &[u8] {
        self.buffer.get(at).unwrap_or_default()
    }

    /// Gives the buffer back if nothing is in it.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        if self.begin == self.end {
            self.begin = 0;
            self.end = 0;
            if !self.buffer.is_empty() {
                buffers.0.push(std::mem::take(&mut self.buffer));
            }
        }
    }

    fn frame_length(&self) -> io::Result<Option<usize>> {
        let unread = self.buffer.get(self.begin..self.end).unwrap_or_default();
        let Some(prefix) = unread.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*prefix);
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= ANSWER_BYTES_MAX)
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("a frame of {length} bytes")))
    }

    /// Room for the rest of the frame that is being read, and a byte more: a read that does not
    /// fill the room has emptied the socket.
    fn make_room(&mut self) -> io::Result<()> {
        let needed = match self.frame_length()? {
            Some(length) => PREFIX_BYTES + length + 1,
            None => PREFIX_BYTES + 1,
        };
        if self.begin + needed > self.buffer.len() && self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        let needed = needed.max(self.end + 1);
        if needed > self.buffer.len() {
            self.buffer.resize(needed.next_multiple_of(BUFFER_BYTES), 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes and gives at most so many bytes at a time, and says that there is no more between.
    struct Slow<'a> {
        bytes: &'a [u8],
        step: usize,
        blocked: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.blocked = !self.blocked;
            if self.blocked {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let count = self.step.min(into.len()).min(self.bytes.len());
            let (head, rest) = self.bytes.split_at(count);
            into[..count].copy_from_slice(head);
            self.bytes = rest;
            Ok(count)
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_came_in() {
        let mut wire = Vec::new();
        let frames: Vec<Vec<u8>> = [0, 1, 5, 70_000, 3, 200_000, 9]
            .iter()
            .map(|&length| vec![u8::try_from(length % 251).unwrap(); length])
            .collect();
        for frame in &frames {
            wire.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
            wire.extend_from_slice(frame);
        }
        for step in [1, 3, 4096, 64 * 1024, usize::MAX] {
            let mut from = Slow {
                bytes: &wire,
                step,
                blocked: false,
            };
            let (mut input, mut buffers) = (Input::default(), Buffers::default());
            let mut seen = Vec::new();
            while seen.len() < frames.len() {
                input.fill(&mut from, &mut buffers).unwrap();
                while let Some(at) = input.next_frame().unwrap() {
                    seen.push(input.frame(at).to_vec());
                }
                input.release(&mut buffers);
            }
            assert!(seen == frames, "step {step}");
            assert_eq!(buffers.0.len(), 1);
        }
    }

    #[test]
    fn an_end_that_came_with_the_last_bytes_is_seen_behind_them() {
        let mut from: &[u8] = &[0, 0, 0, 1, 7];
        let (mut input, mut buffers) = (Input::default(), Buffers::default());
        input.will_end();
        assert!(!input.fill(&mut from, &mut buffers).unwrap());
        let at = input.next_frame().unwrap().unwrap();
        assert_eq!(input.frame(at), [7]);
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused() {
        let mut from: &[u8] = &[0x7f, 0xff, 0xff, 0xff, 0];
        let (mut input, mut buffers) = (Input::default(), Buffers::default());
        assert!(input.fill(&mut from, &mut buffers).is_ok());
        assert!(input.next_frame().is_err());
    }

    #[derive(Default)]
    struct Narrow(Vec<u8>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(7);
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn shared_pieces_leave_in_their_place() {
        let large: Arc<[u8]> = vec![7; COPIED_BYTES_MAX + 1].into();
        let small: Arc<[u8]> = vec![8; 10].into();
        let (mut out, mut wire) = (Outbox::default(), Narrow::default());
        out.push(b"ab", &small);
        assert!(out.has_room());
        out.push(b"cd", &large);
        assert!(!out.has_room());
        out.write_to(&mut wire).unwrap();
        assert!(out.is_empty());
        let expected = [b"ab", &small[..], b"cd", &large[..]].concat();
        assert_eq!(wire.0, expected);
    }
}
