//! The entry for fuzzing: bytes through every decoder of this room.

use super::control::ControlRecord;
use super::metadata::MetadataRecord;

/// Reads `data` as every type and version that is known, and returns how many of them it is.
///
/// What must hold for any input: no panic, and a record that was read is written again and read
/// back as the same record.
pub fn decode_any(data: &[u8]) -> usize {
    let mut understood = 0;
    let mut metadata = |frame: &[u8]| {
        if let Ok((record, version)) = MetadataRecord::decode(frame) {
            understood += 1;
            let again = record
                .encode_as(version)
                .map(|bytes| MetadataRecord::decode(&bytes));
            debug_assert_eq!(
                again,
                Ok(Ok((record, version))),
                "a record changed on its way"
            );
        }
    };
    metadata(data);
    for &(key, _, newest) in MetadataRecord::TYPES {
        for version in 0..=newest {
            let mut frame = vec![1, key as u8, version as u8];
            frame.extend_from_slice(data);
            metadata(&frame);
        }
    }
    for kind in 2..=5 {
        if let Ok(record) = ControlRecord::decode(&[0, 0, 0, kind], data) {
            understood += 1;
            let again = record
                .encode()
                .map(|(key, value)| ControlRecord::decode(&key, &value));
            debug_assert_eq!(again, Ok(Ok(record)), "a record changed on its way");
        }
    }
    understood
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode_any(&data);
        }

        /// Small numbers make counts, lengths and tags that fit, so that decoding goes deep.
        #[test]
        fn small_bytes_decode_without_a_panic(data in proptest::collection::vec(0_u8..6, 0..120)) {
            decode_any(&data);
        }
    }
}
