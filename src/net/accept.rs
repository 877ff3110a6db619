//! The accept loop: one task per connection, and an end that waits for them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::gate::Gate;
use super::listener::Listener;
use super::socket::Socket;
use super::workers::Workers;

/// Pause after an accept that failed for want of something, e.g. descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is spoken on a listener.
pub trait Protocol: Send + Sync + 'static {
    /// Serves one connection until it ends.
    fn serve(self: Arc<Self>, socket: Socket) -> impl Future<Output = ()> + Send;
}

/// Accepts connections until `stopping` is true (or its sender is gone), then lets them finish
/// what they have read, for `drain_timeout` at most. Connections are served by the `workers`. Dropping the future closes all of them.
pub async fn serve<P: Protocol>(
    listener: Listener,
    protocol: Arc<P>,
    gate: Arc<Gate>,
    workers: Arc<Workers>,
    stopping: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let serving = Serving {
        protocol,
        gate: Arc::clone(&gate),
        workers,
        stopping,
    };
    serving.accept_all(listener, &mut tasks).await;
    let drained = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if timeout(gate.limits.drain_timeout, drained).await.is_err() {
        tracing::debug!(
            connections = gate.connections(),
            "connections did not finish in time"
        );
    }
}

/// What every connection of a listener gets.
struct Serving<P> {
    protocol: Arc<P>,
    gate: Arc<Gate>,
    workers: Arc<Workers>,
    stopping: watch::Receiver<bool>,
}

impl<P: Protocol> Serving<P> {
    async fn accept_all(&self, listener: Listener, tasks: &mut JoinSet<()>) {
        let mut stop = self.stopping.clone();
        // Kept over the turns of the loop, so that nobody loses a place that was waited for.
        let mut accepting = std::pin::pin!(accept(&listener, &self.gate));
        loop {
            tokio::select! {
                biased;
                // The guard that it gives must not live across an await.
                () = async { drop(stop.wait_for(|stopping| *stopping).await) } => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
                accepted = accepting.as_mut() => {
                    match accepted {
                        Ok(accepted) => self.admit(tasks, accepted),
                        Err(error) => pause(&error).await,
                    }
                    accepting.set(accept(&listener, &self.gate));
                }
            }
        }
    }

    fn admit(&self, tasks: &mut JoinSet<()>, (stream, peer, slot): Accepted) {
        let Some(permit) = self.gate.admit(peer.ip(), slot) else {
            tracing::info!(%peer, "refused: the address has too many connections");
            return;
        };
        let (gate, stopping) = (Arc::clone(&self.gate), self.stopping.clone());
        let protocol = Arc::clone(&self.protocol);
        let serve = async move {
            // Its thread is the one that polls it.
            let socket = TcpStream::from_std(stream)
                .and_then(|stream| Socket::new(stream, peer, permit, gate, stopping));
            match socket {
                Ok(socket) => protocol.serve(socket).await,
                Err(error) => tracing::debug!(%peer, %error, "a connection ended at once"),
            }
        };
        tasks.spawn_on(serve, &self.workers.next());
    }
}

type Accepted = (std::net::TcpStream, SocketAddr, OwnedSemaphorePermit);

async fn accept(listener: &Listener, gate: &Gate) -> io::Result<Accepted> {
    let slot = gate.slot().await.ok_or(io::ErrorKind::NotConnected)?;
    let (stream, peer) = listener.socket.accept().await?;
    Ok((stream.into_std()?, peer, slot))
}

/// A peer that gave up before it was accepted is no reason to wait; everything else that an
/// accept may say (no descriptors, no memory) passes only with time.
async fn pause(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::warn!(%error, "cannot accept connections, trying again");
        sleep(ACCEPT_PAUSE).await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection was closed by a panic");
    }
}
