//! Calls handlers as a connection does: encoded bytes in, encoded bytes out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use parking_lot::Mutex;

use super::codec;
use super::dispatch::{Connection, Context, Handler, api};
use super::fetch_session::FetchSessions;
use super::reply::{Body, Chunk, Close, Reply};
use crate::broker::Broker;
use crate::net::Frame;

/// One client's view of a broker.
pub(crate) struct Client {
    connection: Arc<Connection>,
    id: &'static str,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// No answer is sent.
    Silence,
    /// This is.
    Answer(T),
    /// The connection is closed.
    Closed(String),
}

impl<T> Outcome<T> {
    /// The answer.
    #[track_caller]
    pub(crate) fn answer(self) -> T {
        match self {
            Self::Answer(answer) => answer,
            Self::Silence => panic!("no answer"),
            Self::Closed(reason) => panic!("closed: {reason}"),
        }
    }
}

impl Client {
    pub(crate) fn of(broker: &Arc<Broker>) -> Self {
        let connection = Connection {
            broker: Arc::clone(broker),
            fetch_sessions: Arc::new(FetchSessions::new(10, 1)),
            id: 1,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 4000)),
            listener: "PLAINTEXT".to_owned(),
            advertised: ("broker".to_owned(), 9092),
            fetch_alarm: Mutex::default(),
        };
        Self {
            connection: Arc::new(connection),
            id: "tests",
        }
    }

    /// The same under another client id.
    pub(crate) fn named(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    fn context(&self, version: i16) -> Context {
        Context {
            connection: Arc::clone(&self.connection),
            version,
            client_id: Some(StrBytes::from_static_str(self.id)),
        }
    }

    /// Starts a request without waiting for its answer.
    pub(crate) fn start<H: Handler>(
        &self,
        version: i16,
        request: &impl Encodable,
    ) -> Result<Reply, Close> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes, version).unwrap();
        let row = api(H::KEY).unwrap();
        assert!(row.serves(version));
        codec::footprint(row.schema, version, &mut bytes).unwrap();
        row.start(self.context(version), Frame::from(bytes))
    }

    /// Sends a request and decodes the answer, which must have no bytes left.
    pub(crate) async fn call<H: Handler, T: Decodable>(
        &self,
        version: i16,
        request: &impl Encodable,
    ) -> Outcome<T> {
        let body = match self.start::<H>(version, request) {
            Ok(Reply::None) => return Outcome::Silence,
            Ok(Reply::Ready(body)) => Ok(body),
            Ok(Reply::Pending(body)) => body.await,
            Err(close) => Err(close),
        };
        match body {
            Ok(body) => {
                let mut bytes = flat(body);
                let answer = T::decode(&mut bytes, version).unwrap();
                assert!(
                    bytes.is_empty(),
                    "v{version}: {} bytes are left",
                    bytes.len()
                );
                Outcome::Answer(answer)
            }
            Err(Close(reason)) => Outcome::Closed(reason),
        }
    }
}

/// The answer to one request of a client that sends no other.
pub(crate) async fn ask<H, Q, R>(broker: &Arc<Broker>, version: i16, request: &Q) -> R
where
    H: Handler<Request = Q>,
    Q: Encodable,
    R: Decodable,
{
    Client::of(broker)
        .call::<H, R>(version, request)
        .await
        .answer()
}

/// The bytes of a body as they go over the wire.
pub(crate) fn flat(body: Body) -> Bytes {
    let mut bytes = BytesMut::new();
    for chunk in body.chunks {
        match chunk {
            Chunk::Bytes(chunk) => bytes.extend_from_slice(&chunk),
            Chunk::Records(records) => bytes.extend_from_slice(&records.to_bytes().unwrap()),
        }
    }
    bytes.freeze()
}
