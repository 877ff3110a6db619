//! Asking a handler without a socket, in encoded bytes both ways.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::dispatch::{Connection, Context, Handler, api};
use super::fetch_session::FetchSessions;
use super::reply::{Body, Chunk, Reply};
use super::schema;
use crate::broker::Broker;

/// A context as if a client had connected to `broker:9092` on listener `PLAINTEXT`.
pub(crate) fn context(broker: &Arc<Broker>, version: i16) -> Context {
    Context {
        broker: Arc::clone(broker),
        connection: Arc::new(Connection {
            id: 1,
            peer: ([127, 0, 0, 1], 40_000).into(),
            listener: "PLAINTEXT".to_owned(),
            advertised: ("broker".to_owned(), 9092),
        }),
        version,
        client_id: None,
        fetch_sessions: Arc::new(FetchSessions::new(10, 1)),
    }
}

/// Encodes the request, walks it, has it decoded and answered through the table of APIs, and
/// decodes the answer, of which no byte may be left.
pub(crate) async fn ask<H, Q, R>(broker: &Arc<Broker>, version: i16, request: &Q) -> R
where
    H: Handler<Request = Q>,
    Q: Encodable,
    R: Decodable,
{
    let row = api(H::KEY).unwrap();
    assert!(row.serves(version));
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    schema::walk(row.schema, version, &body).unwrap();
    let body = match row.start(context(broker, version), body.freeze()).unwrap() {
        Reply::Ready(body) => body,
        Reply::Pending(body) => body.await.unwrap(),
        Reply::None => panic!("no answer"),
    };
    let mut bytes = joined(&body);
    let response = R::decode(&mut bytes, version).unwrap();
    assert!(
        bytes.is_empty(),
        "{} v{version} leaves {} bytes",
        H::NAME,
        bytes.len()
    );
    response
}

fn joined(body: &Body) -> Bytes {
    let mut joined = BytesMut::new();
    for chunk in &body.chunks {
        match chunk {
            Chunk::Bytes(bytes) => joined.extend_from_slice(bytes),
            Chunk::Records(_) => panic!("records are not for these tests"),
        }
    }
    joined.freeze()
}
