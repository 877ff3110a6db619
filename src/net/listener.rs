//! Listening sockets: bound before anybody is told that the broker is ready.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::limits::Limits;

/// Fewest connections that are asked of the system to queue: a peer beyond the queue tries again
/// only after a second, and a burst of clients fills 50 places (Kafka's default) before a thread
/// has woken up to accept them.
const BACKLOG_MIN: u32 = 1024;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address; empty for every address.
    pub host: String,
    /// Port; 0 for a free one.
    pub port: u16,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds and listens. Connections queue until [`super::serve`] accepts them.
    pub async fn bind(endpoint: &Endpoint, limits: &Limits) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for address in addresses(endpoint).await? {
            match listen(address, limits) {
                Ok(socket) => {
                    return Ok(Self {
                        address: socket.local_addr()?,
                        socket,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The address with the port that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Candidates in the order of Java: IPv4 before IPv6, where a name has both.
async fn addresses(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    if endpoint.host.is_empty() {
        let every = [
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        ];
        return Ok(every
            .map(|address| SocketAddr::new(address, endpoint.port))
            .to_vec());
    }
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let mut found: Vec<_> = tokio::net::lookup_host((host, endpoint.port))
        .await?
        .collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

fn listen(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Before listen: the window that a connection may grow to is settled when it is opened.
    if let Some(bytes) = limits.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&address.into())?;
    let backlog = limits.listen_backlog.max(BACKLOG_MIN);
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint {
            host: host.to_owned(),
            port,
        }
    }

    #[tokio::test]
    async fn port_zero_finds_a_free_port() {
        for host in ["127.0.0.1", "localhost", ""] {
            let listener = Listener::bind(&endpoint(host, 0), &Limits::default())
                .await
                .unwrap();
            assert_ne!(listener.address().port(), 0, "{host}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error() {
        let first = Listener::bind(&endpoint("127.0.0.1", 0), &Limits::default())
            .await
            .unwrap();
        let again = endpoint("127.0.0.1", first.address().port());
        let error = Listener::bind(&again, &Limits::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
