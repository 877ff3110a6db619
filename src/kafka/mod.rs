//! The protocol adapter: frames, headers, bounded decode, dispatch, one file per API, error
//! mapping, fetch sessions, and the small client that the command line uses.
//!
//! *Owns:* everything that names `kafka_protocol`. *May use:* `net`, `broker` and what they use.
//! *Must not know:* files.

pub mod api;
pub(crate) mod codec;
pub(crate) mod dispatch;
pub(crate) mod fetch_response;
pub(crate) mod fetch_session;
pub(crate) mod reply;
