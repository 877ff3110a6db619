//! The adapter of one broker, and its face on each listener.

use std::sync::Arc;

use parking_lot::Mutex;

use super::connection;
use super::dispatch::Connection;
use super::fetch_session::FetchSessions;
use crate::broker::Broker;
use crate::net::{Protocol, Socket};

/// What all Kafka connections of one broker share.
#[derive(Debug)]
pub struct Adapter {
    broker: Arc<Broker>,
    fetch_sessions: Arc<FetchSessions>,
}

impl Adapter {
    /// An adapter with room for so many fetch sessions
    /// (`max.incremental.fetch.session.cache.slots`); `seed` is for their ids.
    pub fn new(broker: Arc<Broker>, fetch_session_slots: usize, seed: u64) -> Arc<Self> {
        let fetch_sessions = Arc::new(FetchSessions::new(fetch_session_slots, seed));
        Arc::new(Self {
            broker,
            fetch_sessions,
        })
    }

    /// Its face on one listener: the listener's name, and what clients that came through it are
    /// told to connect to; `None` for the address that each of them dialled.
    pub fn listener(
        self: &Arc<Self>,
        name: impl Into<String>,
        advertised: Option<(String, u16)>,
    ) -> Arc<ListenerAdapter> {
        let adapter = Arc::clone(self);
        Arc::new(ListenerAdapter {
            adapter,
            name: name.into(),
            advertised,
        })
    }
}

/// Kafka's protocol on one listener.
#[derive(Debug)]
pub struct ListenerAdapter {
    adapter: Arc<Adapter>,
    name: String,
    advertised: Option<(String, u16)>,
}

impl Protocol for ListenerAdapter {
    async fn serve(self: Arc<Self>, socket: Socket) {
        let advertised = self.advertised.clone().unwrap_or_else(|| {
            let dialled = socket.local();
            (dialled.ip().to_canonical().to_string(), dialled.port())
        });
        let connection = Connection {
            broker: Arc::clone(&self.adapter.broker),
            fetch_sessions: Arc::clone(&self.adapter.fetch_sessions),
            id: socket.id(),
            peer: socket.peer(),
            listener: self.name.clone(),
            advertised,
            fetch_alarm: Mutex::default(),
        };
        connection::serve(Arc::new(connection), socket).await;
    }
}
