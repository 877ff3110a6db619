//! Waits for sockets and for points in time, to the microsecond.
//!
//! The timeouts of epoll are whole milliseconds, and a thread's timers may be late by 50 µs by
//! default: both would be added to latencies.

use std::io;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::link::Link;

/// Events that are taken at once.
const EVENTS: usize = 1024;

/// A socket that can be read or written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// Whose.
    pub(super) token: usize,
    /// Whether the other side sends nothing more. This is told once, maybe along with the last bytes.
    pub(super) ends: bool,
}

/// The sockets of one thread.
#[derive(Debug)]
pub(super) struct Readiness {
    poll: Poll,
    events: Events,
}

impl Readiness {
    /// For the thread that calls this.
    pub(super) fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
        })
    }

    /// From now on tells when this connection can be read or written.
    pub(super) fn add(&self, link: &mut Link, token: usize) -> io::Result<()> {
        self.poll.registry().register(
            &mut link.stream,
            Token(token),
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Waits until something can be done, at most so long; what can be, in `ready`.
    pub(super) fn wait(&mut self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        if !timeout.is_zero() {
            // Timespecs of a bench are short.
            let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
            let mut fds = [PollFd::new(self.poll.registry(), PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        ready.extend(self.events.iter().map(|event| Ready {
            token: event.token().0,
            ends: event.is_read_closed(),
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn an_end_is_told_with_the_last_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = Link::open(listener.local_addr().unwrap()).unwrap();
        let mut readiness = Readiness::new().unwrap();
        readiness.add(&mut link, 7).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        other.write_all(b"last").unwrap();
        drop(other);
        let mut ready = Vec::new();
        // Writable at first, and closed some time after the bytes.
        while !ready.iter().any(|ready: &Ready| ready.ends) {
            let wait = Duration::from_secs(10);
            ready.clear();
            readiness.wait(wait, &mut ready).unwrap();
            assert!(!ready.is_empty(), "nothing was told in {wait:?}");
        }
        assert!(ready.iter().all(|ready| ready.token == 7));
    }
}
