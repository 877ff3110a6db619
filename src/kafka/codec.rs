//! The only door to the generated codec.
//!
//! The codec trusts counts of the wire, so a request is walked with its schema first
//! ([`footprint`]); what the walk says is charged to the byte budget, and only then may
//! [`Request::decode`] run.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::reply::Close;
use super::schema::{self, Footprint, Schema};

/// First capacity of an encoded body; it grows from there.
const BODY_BYTES: usize = 256;

/// What decoding the body is going to cost, or why it must not be decoded.
pub(crate) fn footprint(
    schema: &Schema,
    version: i16,
    body: &mut [u8],
) -> Result<Footprint, schema::Refusal> {
    schema::walk(schema, version, body)
}

/// A request, as a handler takes it: what the generated codec makes of the body, or what is read
/// from it by hand where every consumer sends it all the time.
pub(crate) trait Request: Sized {
    /// Decodes a body whose [`footprint`] was taken and charged; how many of its bytes that took.
    /// What the request goes on using of them it shares.
    fn decode<B: AsRef<[u8]> + Into<Bytes>>(body: B, version: i16) -> Result<(Self, usize), Close>;
}

impl<T: Decodable> Request for T {
    fn decode<B: AsRef<[u8]> + Into<Bytes>>(body: B, version: i16) -> Result<(Self, usize), Close> {
        let mut rest: Bytes = body.into();
        let length = rest.len();
        let decoded = T::decode(&mut rest, version);
        decoded
            .map(|request| (request, length - rest.len()))
            .map_err(|error| Close(format!("the body does not parse: {error}")))
    }
}

/// Encodes a response body. An error is a bug of the handler: a field that the version lacks.
pub(crate) fn encode<T: Encodable>(response: &T, version: i16) -> Result<Vec<u8>, Close> {
    let mut body = Vec::with_capacity(BODY_BYTES);
    match response.encode(&mut body, version) {
        Ok(()) => Ok(body),
        Err(error) => {
            let response = std::any::type_name::<T>();
            tracing::error!(response, version, %error, "a response could not be encoded");
            Err(Close(format!("the response could not be encoded: {error}")))
        }
    }
}

/// A native text for the wire.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A `timeout_ms` of a request; less than nothing is nothing.
pub(crate) fn timeout(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
