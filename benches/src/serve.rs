//! Connections: whole frames in, answers out.
//!
//! One thread serves all of them, told by epoll which have something. A blocking thread for each was
//! tried and took more processor time (4 connections, two cores): 1.5x for ping-pong, 1.2x for
//! receive and for sendfile; it was no quicker with one connection. Sockets block: they are read when
//! they are known to have something, and whoever sends requests is taken to read the answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::protocol::{self, Answers, Produce, Topic};

/// What is read at once: two frames of 64 KiB, and still in the second-level cache when it is
/// looked at.
const READ_BYTES: usize = 136 * 1024;

const EVENTS: usize = 256;

/// The work that is measured.
pub trait Floor: Send + 'static {
    /// Does the work of a Produce request; what is pushed to the peer's answers leaves when all that
    /// was read is done.
    ///
    /// # Errors
    /// If the connection is to be closed.
    fn produce(&mut self, frame: &mut [u8], peer: &mut Peer) -> io::Result<()>;

    /// Answers a Fetch request, or wants to be asked again after the next Produce, or at that time,
    /// when it must answer: then `waited` is true.
    ///
    /// # Errors
    /// If the connection is to be closed.
    fn fetch(
        &mut self,
        _frame: &[u8],
        _peer: &mut Peer,
        _waited: bool,
    ) -> io::Result<Option<Instant>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The end of a partition.
    fn end(&self, _partition: i32) -> i64 {
        0
    }
}

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) answers: Arc<Answers>,
    /// Answers that have not left yet.
    pub(crate) out: Vec<u8>,
}

impl Peer {
    /// Has the answer to a Produce request leave soon.
    pub(crate) fn answer(&mut self, request: &Produce, base_offset: i64) {
        self.answers.produced(request, base_offset, &mut self.out);
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            (&*self.stream).write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}

/// Listens, and serves whoever connects for as long as the process lives; where it listens.
///
/// # Errors
/// If it cannot listen.
pub fn start(floor: Box<dyn Floor>, topic: &Topic, listen: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let mut server = Server {
        floor,
        answers: Arc::new(Answers::new(topic)?),
        address,
        connections: Vec::new(),
        waiting: Vec::new(),
        appended: false,
    };
    std::thread::Builder::new().spawn(move || {
        if let Err(error) = server.serve(&listener) {
            eprintln!("{error}");
        }
    })?;
    Ok(address)
}

struct Server {
    floor: Box<dyn Floor>,
    answers: Arc<Answers>,
    address: SocketAddr,
    /// By token; closed ones are `None`, which takes them out of epoll.
    connections: Vec<Option<Connection>>,
    /// Places of connections that wait for news, and until when.
    waiting: Vec<(usize, Instant)>,
    /// Whether there are news.
    appended: bool,
}

/// The token that is no connection's.
const LISTENER: u64 = u64::MAX;

impl Server {
    fn serve(&mut self, listener: &TcpListener) -> io::Result<()> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let token = EventData::new_u64(LISTENER);
        epoll::add(&poll, listener, token, EventFlags::IN)?;
        let mut events = Vec::<Event>::with_capacity(EVENTS);
        loop {
            events.clear();
            let timeout = self.timeout()?;
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&poll, room, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => {
                        let connection = self.connection(listener.accept()?.0)?;
                        let token = EventData::new_u64(self.connections.len() as u64);
                        epoll::add(&poll, &*connection.peer.stream, token, EventFlags::IN)?;
                        self.connections.push(Some(connection));
                    }
                    token => self.turn(usize::try_from(token).unwrap_or(usize::MAX), true),
                }
            }
            self.retry();
        }
    }

    /// How long to wait for sockets.
    fn timeout(&self) -> io::Result<Option<Timespec>> {
        let Some(first) = self.waiting.iter().map(|(_, until)| *until).min() else {
            return Ok(None);
        };
        let left = first.saturating_duration_since(Instant::now());
        Timespec::try_from(left).map(Some).map_err(io::Error::other)
    }

    /// Has those who wait look again.
    fn retry(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (appended, now) = (std::mem::take(&mut self.appended), Instant::now());
        for (place, until) in std::mem::take(&mut self.waiting) {
            match appended || until <= now {
                true => self.turn(place, false),
                false => self.waiting.push((place, until)),
            }
        }
    }

    fn connection(&self, stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        Ok(Connection {
            peer: Peer {
                stream: Arc::new(stream),
                answers: Arc::clone(&self.answers),
                out: Vec::new(),
            },
            input: Input {
                buffer: vec![0; READ_BYTES],
                begin: 0,
                end: 0,
            },
            until: None,
        })
    }

    /// Reads once if there is something, and does all that came in whole.
    fn turn(&mut self, place: usize, readable: bool) {
        let slot = self.connections.get_mut(place);
        let Some(mut connection) = slot.and_then(Option::take) else {
            return;
        };
        let outcome = match readable {
            true => connection.input.read(&connection.peer.stream),
            false => Ok(true),
        };
        let outcome = outcome.and_then(|open| {
            self.work(&mut connection, place)?;
            connection.peer.flush()?;
            Ok(open)
        });
        let open = match outcome {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => {
                eprintln!("connection closed: {error}");
                false
            }
        };
        if open && let Some(slot) = self.connections.get_mut(place) {
            *slot = Some(connection);
        }
    }

    fn work(&mut self, connection: &mut Connection, place: usize) -> io::Result<()> {
        let Connection { peer, input, until } = connection;
        while let Some(at) = input.next_frame() {
            let begin = at.start;
            let frame = input.buffer.get_mut(at).unwrap_or_default();
            match protocol::key(frame)? {
                protocol::PRODUCE => {
                    self.appended = true;
                    self.floor.produce(frame, peer)?;
                }
                protocol::FETCH => {
                    let waited = until.is_some_and(|until| until <= Instant::now());
                    if let Some(at) = self.floor.fetch(frame, peer, waited)? {
                        // The first answer to this says until when.
                        let until = *until.get_or_insert(at);
                        self.waiting.push((place, until));
                        input.put_back(begin);
                        return Ok(());
                    }
                    *until = None;
                }
                key => {
                    let answer = self.describe(key, frame)?;
                    peer.out.extend(answer);
                }
            }
        }
        Ok(())
    }

    fn describe(&self, key: i16, frame: &[u8]) -> io::Result<Vec<u8>> {
        let correlation = protocol::correlation(frame)?;
        match key {
            protocol::API_VERSIONS => self.answers.api_versions(correlation),
            protocol::METADATA => self.answers.metadata(correlation, self.address),
            protocol::LIST_OFFSETS => {
                let (_, asked) = protocol::list_offsets(frame).map_err(protocol::malformed)?;
                let offset = |(partition, first)| match first {
                    true => (partition, 0),
                    false => (partition, self.floor.end(partition)),
                };
                let all: Vec<_> = asked.into_iter().map(offset).collect();
                self.answers.offsets(correlation, &all)
            }
            key => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("API {key} is not spoken here"),
            )),
        }
    }
}

struct Connection {
    peer: Peer,
    input: Input,
    /// How long its first request may wait.
    until: Option<Instant>,
}

/// Bytes that came in.
struct Input {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Input {
    /// Reads once; whether there is more to come.
    fn read(&mut self, mut from: &TcpStream) -> io::Result<bool> {
        if self.begin > 0 {
            // Most often nothing is left, and the buffer that is still in the cache serves again.
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        let needed = self.frame_length().map_or(0, |length| length + 4);
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = from.read(room)?;
        self.end += count;
        Ok(count > 0)
    }

    fn frame_length(&self) -> Option<usize> {
        let unread = self.buffer.get(self.begin..self.end)?;
        let prefix = unread.first_chunk()?;
        Some(u32::from_be_bytes(*prefix) as usize)
    }

    /// Where the next whole frame is, without its length.
    fn next_frame(&mut self) -> Option<Range<usize>> {
        let begin = self.begin + 4;
        let end = begin + self.frame_length()?;
        if end > self.end {
            return None;
        }
        self.begin = end;
        Some(begin..end)
    }

    /// Undoes the last [`next_frame`](Self::next_frame), which began there.
    fn put_back(&mut self, begin: usize) {
        self.begin = begin - 4;
    }
}
