//! CRC-32C, the checksum of record batches and of what is stored beside them.

/// The CRC-32C (Castagnoli, RFC 3720 appendix B.4) of some bytes.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 3720, appendix B.4, and the check value of CRC catalogues.
    #[test]
    fn checksums_are_those_of_the_specification() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        for (bytes, expected) in [
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (&descending, 0x113f_db5c),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ] {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
    }

    /// There are several ways to it, by how many bytes there are and where they begin.
    #[test]
    fn every_length_and_place_has_the_checksum_that_is_made_bit_by_bit() {
        let bytes: Vec<u8> = (0..9_000_u32).map(|i| (i * i % 251) as u8).collect();
        let bit_by_bit = |bytes: &[u8]| {
            !bytes.iter().fold(u32::MAX, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
                })
            })
        };
        for len in (0..600).chain([1_023, 1_024, 4_095, 4_097, 8_900]) {
            for start in [0, 1, 7, 64] {
                let bytes = &bytes[start..start + len];
                assert_eq!(crc32c(bytes), bit_by_bit(bytes), "{start} {len}");
            }
        }
    }
}
