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

/// Pause after an accept that failed for want of something, e.g. descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is spoken on a listener.
pub trait Protocol: Send + Sync + 'static {
    /// Serves one connection until it ends.
    fn serve(self: Arc<Self>, socket: Socket) -> impl Future<Output = ()> + Send;
}

/// Accepts connections until `stopping` is true (or its sender is gone), then lets them finish
/// what they have read, for `drain_timeout` at most. Dropping the future closes all of them.
pub async fn serve<P: Protocol>(
    listener: Listener,
    protocol: Arc<P>,
    gate: Arc<Gate>,
    stopping: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    accept_all(listener, &protocol, &gate, &stopping, &mut tasks).await;
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

async fn accept_all<P: Protocol>(
    listener: Listener,
    protocol: &Arc<P>,
    gate: &Arc<Gate>,
    stopping: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    let mut stop = stopping.clone();
    // Kept over the turns of the loop, so that nobody loses a place that was waited for.
    let mut accepting = std::pin::pin!(accept(&listener, gate));
    loop {
        tokio::select! {
            biased;
            // The guard that it gives must not live across an await.
            () = async { drop(stop.wait_for(|stopping| *stopping).await) } => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
            accepted = accepting.as_mut() => {
                match accepted {
                    Ok(accepted) => admit(tasks, protocol, gate, stopping, accepted),
                    Err(error) => pause(&error).await,
                }
                accepting.set(accept(&listener, gate));
            }
        }
    }
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

async fn accept(listener: &Listener, gate: &Gate) -> io::Result<Accepted> {
    let slot = gate.slot().await.ok_or(io::ErrorKind::NotConnected)?;
    let (stream, peer) = listener.socket.accept().await?;
    Ok((stream, peer, slot))
}

fn admit<P: Protocol>(
    tasks: &mut JoinSet<()>,
    protocol: &Arc<P>,
    gate: &Arc<Gate>,
    stopping: &watch::Receiver<bool>,
    (stream, peer, slot): Accepted,
) {
    let Some(permit) = gate.admit(peer.ip(), slot) else {
        tracing::info!(%peer, "refused: the address has too many connections");
        return;
    };
    match Socket::new(stream, peer, permit, Arc::clone(gate), stopping.clone()) {
        Ok(socket) => {
            tasks.spawn(Arc::clone(protocol).serve(socket));
        }
        Err(error) => tracing::debug!(%peer, %error, "a connection ended at once"),
    }
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
