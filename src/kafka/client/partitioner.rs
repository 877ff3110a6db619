//! Puts keys where other clients put them.
//!
//! | name | with a key | without |
//! | --- | --- | --- |
//! | `murmur2` | Java's default: `murmur2(key) & 0x7fffffff` modulo partitions | sticky |
//! | `crc32` | librdkafka's default (`consistent_random`): CRC-32 modulo partitions | random |
//! | `round-robin` | one partition after the other | the same |
//! | `sticky` | one partition per batch | the same |
//! | `random` | any | the same |
//!
//! librdkafka's `consistent_random` treats an empty key like none; Java hashes it.

use crate::model::PartitionId;

/// How records are spread over partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// As Java.
    Murmur2,
    /// As librdkafka.
    Crc32,
    /// In turn.
    RoundRobin,
    /// One partition for a batch.
    Sticky,
    /// Anywhere.
    Random,
}

/// Chooses partitions of one topic.
#[derive(Debug)]
pub(crate) struct Partitioner {
    strategy: Strategy,
    /// At least 1.
    partitions: u32,
    next: u32,
    random: fastrand::Rng,
}

impl Partitioner {
    /// For a topic of that many partitions. The seed makes choices repeatable.
    pub(crate) fn new(strategy: Strategy, partitions: u32, seed: u64) -> Self {
        let partitions = partitions.max(1);
        let mut random = fastrand::Rng::with_seed(seed);
        let next = random.u32(..partitions);
        Self {
            strategy,
            partitions,
            next,
            random,
        }
    }

    /// The partition for a record.
    pub(crate) fn choose(&mut self, key: Option<&[u8]>) -> PartitionId {
        let partition = match (self.strategy, key) {
            (Strategy::Murmur2, Some(key)) => (murmur2(key) & 0x7fff_ffff) % self.partitions,
            (Strategy::Crc32, Some(key)) if !key.is_empty() => crc32(key) % self.partitions,
            (Strategy::Crc32, _) | (Strategy::Random, _) => self.random.u32(..self.partitions),
            (Strategy::Murmur2, None) | (Strategy::Sticky, _) => self.next,
            (Strategy::RoundRobin, _) => {
                let chosen = self.next;
                self.next = (chosen + 1) % self.partitions;
                chosen
            }
        };
        // A topic has less than 2^31 partitions.
        PartitionId(partition.cast_signed())
    }

    /// Says that a batch was closed: what sticks moves on, to a random partition.
    pub(crate) fn batch_closed(&mut self) {
        if matches!(self.strategy, Strategy::Murmur2 | Strategy::Sticky) {
            self.next = self.random.u32(..self.partitions);
        }
    }
}

/// The 32-bit MurmurHash2 of Java's client (`Utils.murmur2`, seed 0x9747b28c).
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Java's length is an `int`, too.
    let mut hash = SEED ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(M);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// CRC-32 of IEEE 802.3, which librdkafka hashes keys with; not the CRC-32C of batches.
fn crc32(key: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(key);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_javas() {
        // From Kafka's UtilsTest.testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn crc32_is_librdkafkas() {
        // The check value of the algorithm, and the hashes of librdkafka's own test of its
        // partitioners (0048-partitioner).
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b"23456"), 0xb1b4_51d7);
        assert_eq!(
            crc32(b"this is another string with more length to it perhaps"),
            0xb015_0df7
        );
    }

    #[test]
    fn keys_stay_where_they_are() {
        for strategy in [Strategy::Murmur2, Strategy::Crc32] {
            let mut one = Partitioner::new(strategy, 12, 1);
            let mut two = Partitioner::new(strategy, 12, 2);
            for key in 0..100_u32 {
                let key = key.to_string();
                assert_eq!(
                    one.choose(Some(key.as_bytes())),
                    two.choose(Some(key.as_bytes()))
                );
                one.batch_closed();
            }
        }
    }

    #[test]
    fn round_robin_visits_every_partition_in_turn() {
        let mut partitioner = Partitioner::new(Strategy::RoundRobin, 3, 9);
        let first = partitioner.choose(None).0;
        let rest: Vec<_> = (0..3).map(|_| partitioner.choose(Some(b"k")).0).collect();
        assert_eq!(rest, [(first + 1) % 3, (first + 2) % 3, first]);
    }

    #[test]
    fn what_sticks_moves_on_with_the_batch_only() {
        let mut partitioner = Partitioner::new(Strategy::Sticky, 1000, 7);
        let first = partitioner.choose(None);
        assert!((0..50).all(|_| partitioner.choose(None) == first));
        partitioner.batch_closed();
        assert_ne!(partitioner.choose(None), first);
    }
}
