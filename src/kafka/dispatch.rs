//! The table of APIs: dispatch, ApiVersions, metric labels and the support matrix read it, and
//! nothing else lists APIs.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::protocol::{Decodable, StrBytes};

use super::fetch_session::FetchSessions;
use super::reply::{Close, Reply};
use crate::broker::Broker;

/// Who asks, in which version.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// The connection.
    pub(crate) connection: Arc<Connection>,
    /// Version of the request, within the row's range.
    pub(crate) version: i16,
    /// Client id of the header.
    pub(crate) client_id: Option<StrBytes>,
    /// The broker's fetch sessions, shared by all of its connections.
    pub(crate) fetch_sessions: Arc<FetchSessions>,
}

/// What a handler may know of its connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Number, unique within the broker.
    pub(crate) id: u64,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The listener that accepted it, e.g. `PLAINTEXT`.
    pub(crate) listener: String,
    /// What clients of this listener are told to connect to.
    pub(crate) advertised: (String, u16),
}

/// One API: implemented by a unit struct in each file of `api/`.
pub(crate) trait Handler {
    /// The decoded request.
    type Request: Decodable;
    /// `api_key`.
    const KEY: i16;
    /// Kafka's name of it.
    const NAME: &'static str;
    /// Versions that are served.
    const VERSIONS: std::ops::RangeInclusive<i16>;
    /// Starts the work. `Err` closes the connection; whatever a client may be told is a code in
    /// the response.
    fn start(context: Context, request: Self::Request) -> Result<Reply, Close>;
}
