//! What is known of a request before it is decoded.

use kafka_protocol::protocol::StrBytes;

use super::codec;
use super::dispatch::{self, Api};
use super::frame::{API_VERSIONS_KEY, HeaderError, RequestHeader, peek_key};
use super::schema::{Footprint, Refusal};
use crate::model::limits::NON_PRODUCE_FRAME_BYTES_MAX;

/// A request whose header was parsed and whose body was walked.
#[derive(Debug)]
pub(super) struct Examined {
    /// The row.
    pub(super) api: &'static Api,
    /// The header.
    pub(super) header: RequestHeader,
    /// What follows the header.
    pub(super) content: Content,
}

/// What follows the header of a request.
#[derive(Debug)]
pub(super) enum Content {
    /// A body.
    Body {
        /// Where it begins in the frame.
        start: usize,
        /// What decoding it is going to cost.
        footprint: Footprint,
    },
    /// A version of ApiVersions that is not served; nobody knows how to read it.
    UnsupportedVersion,
}

/// Why a request ends its connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    /// The header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// An API that there is not, or not in this version.
    #[error("api key {key} version {version} is not served")]
    NotServed {
        /// Key.
        key: i16,
        /// Version.
        version: i16,
    },
    /// A body that does not fit its schema.
    #[error("{api} v{version}: {refusal}")]
    Refused {
        /// API.
        api: &'static str,
        /// Version.
        version: i16,
        /// Reason.
        refusal: Refusal,
    },
}

/// How long a frame may be, from its first bytes.
pub(super) fn frame_bytes_max(prefix: &[u8]) -> usize {
    match peek_key(prefix).and_then(dispatch::api) {
        Some(api) if api.overlaps => usize::MAX,
        _ => NON_PRODUCE_FRAME_BYTES_MAX,
    }
}

/// Parses the header and walks the body, which it may rewrite for the codec. `client` is what the
/// client called itself before.
pub(super) fn examine(frame: &mut [u8], client: Option<&StrBytes>) -> Result<Examined, BadRequest> {
    let (key, version) = RequestHeader::key_and_version(frame)?;
    let not_served = BadRequest::NotServed { key, version };
    let Some(api) = dispatch::api(key) else {
        return Err(not_served);
    };
    if !api.serves(version) && key != API_VERSIONS_KEY {
        return Err(not_served);
    }
    let (header, start) = RequestHeader::parse(api.schema, frame, client)?;
    let content = if api.serves(version) {
        let body = frame.get_mut(start..).unwrap_or_default();
        let footprint =
            codec::footprint(api.schema, version, body).map_err(|refusal| BadRequest::Refused {
                api: api.name,
                version,
                refusal,
            })?;
        Content::Body { start, footprint }
    } else {
        Content::UnsupportedVersion
    };
    Ok(Examined {
        api,
        header,
        content,
    })
}
