//! The protocol adapter: frames, headers, bounded decode, dispatch, one file per API, error
//! mapping, fetch sessions, and the small client that the command line uses.
//!
//! *Owns:* everything that names `kafka_protocol`. *May use:* `net`, `broker` and what they use.
//! *Must not know:* files.
//!
//! *Invariants:* nothing is decoded before its schema was walked; replies leave in the order of
//! the requests; only Produce overlaps Produce on a connection; what a client may be told is a
//! code in a response, and everything else closes the connection.

mod adapter;
pub mod api;
pub(crate) mod client;
pub(crate) mod codec;
mod connection;
pub(crate) mod dispatch;
pub(crate) mod error;
pub(crate) mod fetch_request;
pub(crate) mod fetch_response;
pub(crate) mod fetch_session;
pub(crate) mod frame;
#[doc(hidden)]
pub mod hostile;
mod in_flight;
pub(crate) mod produce_response;
pub(crate) mod reply;
mod request;
pub(crate) mod schema;
#[cfg(test)]
pub(crate) mod testing;

pub use adapter::{Adapter, ListenerAdapter};
pub use dispatch::{SupportedApi, supported_apis};
