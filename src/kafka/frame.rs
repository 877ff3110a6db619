//! Request and response headers, parsed and written by us.
//!
//! ```text
//! request : key i16, version i16, correlation id i32, client id nullable string (16-bit length
//!           in every version), from header v2 on tagged fields; then the body
//! response: correlation id i32, from header v1 on tagged fields (none); then the body
//! ```
//! Header v2 and v1 belong to flexible versions of an API. The answer to ApiVersions has header
//! v0 always, because a client that asks does not know yet what the broker speaks (KIP-511).

use kafka_protocol::protocol::StrBytes;

use super::schema::{self, Schema};
use crate::net::Short;

/// Bytes of key and version.
pub(crate) const KEY_AND_VERSION_BYTES: usize = 4;

/// Bytes before the client id.
const FIXED_BYTES: usize = 8;

/// Key of ApiVersions, which has rules of its own for headers and versions.
pub(crate) const API_VERSIONS_KEY: i16 = 18;

/// The key, if so many bytes of the frame are there.
pub(crate) fn peek_key(frame: &[u8]) -> Option<i16> {
    frame.first_chunk().map(|&key| i16::from_be_bytes(key))
}

/// A request header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHeader {
    /// API key.
    pub(crate) key: i16,
    /// Version of the API.
    pub(crate) version: i16,
    /// Echoed in the answer.
    pub(crate) correlation_id: i32,
    /// Name that the client gave itself.
    pub(crate) client_id: Option<StrBytes>,
}

/// Why a header was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The frame is shorter than its header.
    #[error("a frame of {0} bytes is too short for a request header")]
    Short(usize),
    /// The tagged fields make no sense.
    #[error("request header: {0}")]
    TaggedFields(#[from] schema::Refusal),
}

impl RequestHeader {
    /// Key and version, which say how to go on.
    pub(crate) fn key_and_version(frame: &[u8]) -> Result<(i16, i16), HeaderError> {
        match frame.first_chunk() {
            Some(&[k0, k1, v0, v1]) => {
                Ok((i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1])))
            }
            None => Err(HeaderError::Short(frame.len())),
        }
    }

    /// Parses the header of a request of that schema, and says where the body begins. `client` is
    /// what the client called itself before, and is likely to again.
    pub(crate) fn parse(
        schema: &Schema,
        frame: &mut [u8],
        client: Option<&StrBytes>,
    ) -> Result<(Self, usize), HeaderError> {
        let length = frame.len();
        let short = || HeaderError::Short(length);
        let (key, version) = Self::key_and_version(frame)?;
        let correlation_id = frame
            .get(KEY_AND_VERSION_BYTES..)
            .and_then(|rest| rest.first_chunk())
            .map(|&id| i32::from_be_bytes(id))
            .ok_or_else(short)?;
        let rest = frame.get(FIXED_BYTES..).ok_or_else(short)?;
        let (&id_length, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (client_id, rest) = match usize::try_from(i16::from_be_bytes(id_length)) {
            // Any negative length is null, as in Kafka's reader.
            Err(_) => (None, rest),
            Ok(length) => {
                let (id, rest) = rest.split_at_checked(length).ok_or_else(short)?;
                (Some(client_id(id, client)), rest)
            }
        };
        let mut body = frame.len() - rest.len();
        if version >= schema.flexible {
            body += schema::tagged_fields(frame.get_mut(body..).unwrap_or_default())?;
        }
        let header = Self {
            key,
            version,
            correlation_id,
            client_id,
        };
        Ok((header, body))
    }
}

/// Copied, because it outlives the frame; bytes that are not UTF-8 are replaced, as in Java.
fn client_id(bytes: &[u8], before: Option<&StrBytes>) -> StrBytes {
    if let Some(before) = before.filter(|before| before.as_bytes() == bytes) {
        return before.clone();
    }
    StrBytes::from_string(String::from_utf8_lossy(bytes).into_owned())
}

/// Length prefix and header of a response whose body has `body_len` bytes; `None` if a frame
/// cannot be so long.
pub(crate) fn response_head(
    schema: &Schema,
    header: &RequestHeader,
    body_len: usize,
) -> Option<Short> {
    let tagged = header.version >= schema.flexible && header.key != API_VERSIONS_KEY;
    let length = i32::try_from(4 + usize::from(tagged) + body_len).ok()?;
    let mut head = Short::new();
    head.extend_from_slice(&length.to_be_bytes());
    head.extend_from_slice(&header.correlation_id.to_be_bytes());
    if tagged {
        head.push(0);
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::schema::{API_VERSIONS, METADATA};

    #[test]
    fn a_flexible_header_has_an_old_client_id_and_tagged_fields() {
        // Metadata v12, correlation id 7, client id "ab", one unknown tagged field of 1 byte.
        let mut frame = *b"\0\x03\0\x0c\0\0\0\x07\0\x02ab\x01\x05\x01x\x2a";
        let (header, body) = RequestHeader::parse(&METADATA, &mut frame, None).unwrap();
        assert_eq!(
            (header.key, header.version, header.correlation_id),
            (3, 12, 7)
        );
        assert_eq!(header.client_id.as_deref(), Some("ab"));
        assert_eq!(&frame[body..], b"\x2a");
    }

    #[test]
    fn every_negative_client_id_length_is_null() {
        for length in [-1i16, -2, i16::MIN] {
            let mut bytes = b"\0\x03\0\x01\0\0\0\x07".to_vec();
            bytes.extend(length.to_be_bytes());
            let (header, body) = RequestHeader::parse(&METADATA, &mut bytes, None).unwrap();
            assert_eq!(header.client_id, None);
            assert_eq!(body, bytes.len());
        }
    }

    #[test]
    fn a_header_that_is_cut_short_is_refused_at_every_length() {
        let mut whole = *b"\0\x03\0\x0c\0\0\0\x07\0\x02ab\x00";
        assert!(RequestHeader::parse(&METADATA, &mut whole, None).is_ok());
        for length in 0..whole.len() {
            assert!(
                RequestHeader::parse(&METADATA, &mut whole[..length], None).is_err(),
                "{length}"
            );
        }
    }

    #[test]
    fn the_answer_to_api_versions_never_has_tagged_fields_in_its_header() {
        let header = |key| RequestHeader {
            key,
            version: 12,
            correlation_id: 7,
            client_id: None,
        };
        let head = response_head(&METADATA, &header(3), 1).unwrap();
        assert_eq!(&head[..], b"\0\0\0\x06\0\0\0\x07\0");
        let head = response_head(&API_VERSIONS, &header(18), 1).unwrap();
        assert_eq!(&head[..], b"\0\0\0\x05\0\0\0\x07");
    }
}
