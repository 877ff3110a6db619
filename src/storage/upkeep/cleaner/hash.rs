//! SipHash-2-4 with 128 bits: keys are told apart by their hashes alone.
//!
//! Two keys with one hash would cost the older of them its record. Kafka uses MD5, for which such
//! pairs can be made. A hash with a secret of its own for every cleaning lets nobody choose keys
//! that collide, and 128 bits make it a matter of 10^19 keys for it to happen by chance.

/// A keyed hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHash {
    secret: (u64, u64),
}

impl KeyHash {
    /// The hash with this secret.
    pub(super) fn new(secret: u128) -> Self {
        Self {
            secret: (secret as u64, (secret >> 64) as u64),
        }
    }

    /// The hash of a key.
    pub(super) fn of(self, key: &[u8]) -> u128 {
        let (k0, k1) = self.secret;
        let mut state = State([
            k0 ^ 0x736f_6d65_7073_6575,
            // 128 bits are asked for.
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = key.as_chunks();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let [low @ .., _] = last;
        let [a, b, c, d, e, f, g] = low;
        state.absorb(u64::from_le_bytes([a, b, c, d, e, f, g, key.len() as u8]));
        let low = state.squeeze(0xee);
        // The second half asks the state for more; it says so by another constant.
        let [v0, v1, v2, v3] = state.0;
        let mut state = State([v0, v1 ^ 0xdd, v2, v3]);
        let high = state.squeeze(0);
        u128::from(high) << 64 | u128::from(low)
    }
}

#[derive(Clone, Copy)]
struct State([u64; 4]);

impl State {
    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }

    fn absorb(&mut self, word: u64) {
        let [v0, v1, v2, v3] = self.0;
        self.0 = [v0, v1, v2, v3 ^ word];
        self.round();
        self.round();
        let [v0, v1, v2, v3] = self.0;
        self.0 = [v0 ^ word, v1, v2, v3];
    }

    fn squeeze(&mut self, mark: u64) -> u64 {
        let [v0, v1, v2, v3] = self.0;
        self.0 = [v0, v1, v2 ^ mark, v3];
        for _ in 0..4 {
            self.round();
        }
        let [v0, v1, v2, v3] = self.0;
        v0 ^ v1 ^ v2 ^ v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the reference implementation's test vectors: the bytes 0 to 15.
    const REFERENCE: u128 = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;

    #[test]
    fn hashes_are_those_of_the_reference_implementation() {
        let hash = |input: &[u8]| KeyHash::new(REFERENCE).of(input).to_le_bytes();
        let expected: [u8; 16] = [
            0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
            0x02, 0x93,
        ];
        assert_eq!(hash(&[]), expected);
        let expected: [u8; 16] = [
            0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
            0xfc, 0x45,
        ];
        assert_eq!(hash(&[0]), expected);
    }

    #[test]
    fn every_byte_of_key_and_secret_counts() {
        let key: Vec<u8> = (0..40).collect();
        let mut seen = std::collections::HashSet::new();
        for len in 0..=key.len() {
            assert!(seen.insert(KeyHash::new(REFERENCE).of(&key[..len])));
        }
        for at in 0..key.len() {
            let mut other = key.clone();
            other[at] ^= 1;
            assert!(seen.insert(KeyHash::new(REFERENCE).of(&other)));
        }
        for bit in 0..128 {
            assert!(seen.insert(KeyHash::new(REFERENCE ^ 1 << bit).of(&key)));
        }
    }
}
