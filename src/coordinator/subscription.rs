//! What a classic member of the consumer protocol subscribes to (`ConsumerProtocolSubscription`).

use crate::wire::{DecodeError, Reader};

/// The type of the protocols of consumers; other types keep their metadata to themselves.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics of a subscription. Every version begins with version and topics.
pub(crate) fn topics(metadata: &[u8]) -> Result<Vec<&str>, DecodeError> {
    let mut reader = Reader::new(metadata);
    let _version = reader.i16()?;
    let count = reader.i32()?;
    let mut topics = Vec::new();
    // Each takes bytes, so that a count that lies ends the loop early.
    for _ in 0..count {
        let length = reader.string_length(false)?.unwrap_or(0);
        let name = reader.take(length)?;
        topics.push(std::str::from_utf8(name).map_err(|_| DecodeError::Utf8)?);
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_a_subscription_are_read_and_lies_refused() {
        let bytes = [0, 3, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 9, 9];
        assert_eq!(topics(&bytes).unwrap(), ["a", "bc"]);
        assert!(topics(&[0, 3, 0x7f, 0xff, 0xff, 0xff]).is_err());
        assert!(topics(&[]).is_err());
    }
}
