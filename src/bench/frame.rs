//! What the frames of all flexible requests and answers have in common.

use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Where the correlation id is, behind length, key and version.
pub(super) const CORRELATION_AT: usize = 8;

/// Header version 2 of a request, with room for the length in front.
pub(super) fn request(key: i16, version: i16, client: &str) -> Result<Writer, EncodeError> {
    let mut out = Writer::new();
    out.i32(0);
    out.i16(key);
    out.i16(version);
    out.i32(0);
    out.string_length(Some(client.len()), false)?;
    out.raw(client.as_bytes());
    // No tagged fields.
    out.uvarint(0);
    Ok(out)
}

/// Writes the length of a frame that has so many bytes in all.
pub(super) fn finish(frame: &mut [u8], length: usize) -> Result<(), EncodeError> {
    let length = length.saturating_sub(4);
    let length = i32::try_from(length).map_err(|_| EncodeError::Length(length))?;
    if let Some(prefix) = frame.first_chunk_mut() {
        *prefix = length.to_be_bytes();
    }
    Ok(())
}

/// Steps over a string.
pub(super) fn skip_string(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    let length = from.string_length(true)?.unwrap_or(0);
    from.take(length).map(|_| ())
}

/// Steps over tagged fields.
pub(super) fn skip_tags(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..from.uvarint()? {
        from.uvarint()?;
        let length = from.uvarint()?;
        from.take(length as usize)?;
    }
    Ok(())
}
