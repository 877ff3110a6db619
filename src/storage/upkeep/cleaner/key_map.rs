//! The last offset of each key in the part of a log that is being compacted (Kafka's
//! `SkimpyOffsetMap`): 24 bytes a key, in memory that is set aside once.

use crate::model::Offset;

use super::hash::KeyHash;

/// Bytes of a slot: a hash of 128 bits, and an offset. As in Kafka, so that one setting means the
/// same number of keys.
const SLOT_BYTES: u64 = 24;

/// Kafka's bound for one thread's share of the memory.
const BYTES_MAX: u64 = i32::MAX as u64;

/// Offsets by the hashes of keys.
pub(super) struct KeyMap {
    hash: KeyHash,
    /// Two halves of a hash, and an offset plus one: 0 is an empty slot.
    slots: Vec<[u64; 3]>,
    keys: usize,
    keys_max: usize,
    /// Up to here, inclusive, the log is in the map; -1 for nowhere.
    latest: Offset,
}

impl std::fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyMap")
            .field("slots", &self.slots.len())
            .field("keys", &self.keys)
            .field("latest", &self.latest)
            .finish_non_exhaustive()
    }
}

impl KeyMap {
    /// An empty map within so many bytes, of which at most the share `load_factor` gets filled.
    /// The system gives the memory as it is touched. There is room for one key at least.
    pub(super) fn new(bytes: u64, load_factor: f64, secret: u128) -> Self {
        let slots = usize::try_from(bytes.min(BYTES_MAX) / SLOT_BYTES).unwrap_or(0);
        let slots = slots.max(2);
        let keys_max = (slots as f64 * load_factor.clamp(0.0, 1.0)) as usize;
        Self {
            hash: KeyHash::new(secret),
            slots: vec![[0; 3]; slots],
            keys: 0,
            keys_max: keys_max.clamp(1, slots),
            latest: Offset(-1),
        }
    }

    /// Bytes beyond which a map of so many keys gets no faster: it would be half empty at least.
    /// Keys lie all over a map, and a page or a line of the cache for each is most of what it costs.
    pub(super) fn bytes_for(keys: u64, load_factor: f64) -> u64 {
        let room = keys as f64 / load_factor.clamp(f64::MIN_POSITIVE, 0.5);
        // One slot more than fit, lest rounding takes one; what does not fit an integer is plenty.
        (room as u64).saturating_add(2).saturating_mul(SLOT_BYTES)
    }

    /// Notes a record of a key; `false` if there is no more room. As in Kafka a full map does not
    /// take newer offsets of keys that it has, either.
    #[must_use]
    pub(super) fn insert(&mut self, key: &[u8], offset: Offset) -> bool {
        if self.keys >= self.keys_max {
            return false;
        }
        let (slot, found) = self.probe(key);
        let Some(entry) = slot.and_then(|slot| self.slots.get_mut(slot)) else {
            return false;
        };
        let hash = found.hash;
        *entry = [hash as u64, (hash >> 64) as u64, stored(offset)];
        self.keys += usize::from(found.offset.is_none());
        self.latest = offset;
        true
    }

    /// The last offset of a key, if it is in the map.
    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        self.probe(key).1.offset
    }

    /// The slot of a key, or the empty one where it would be, and what is there. No slot, if the
    /// map is filled to the last and the key is not in it.
    fn probe(&self, key: &[u8]) -> (Option<usize>, Found) {
        let hash = self.hash.of(key);
        let (low, high) = (hash as u64, (hash >> 64) as u64);
        let count = self.slots.len();
        // The upper half of a product spreads the hash over the slots evenly.
        let first = ((u128::from(low) * count as u128) >> 64) as usize;
        let (before, from) = self.slots.split_at(first.min(count));
        let around = from.iter().chain(before).enumerate();
        for (step, [slot_low, slot_high, offset]) in around {
            let slot = match first + step {
                slot if slot < count => slot,
                beyond => beyond - count,
            };
            let found = |offset| (Some(slot), Found { hash, offset });
            if *offset == 0 {
                return found(None);
            }
            if (*slot_low, *slot_high) == (low, high) {
                return found(Some(Offset(i64::try_from(*offset - 1).unwrap_or(i64::MAX))));
            }
        }
        (None, Found { hash, offset: None })
    }

    /// Notes that the log is in the map up to `offset`, inclusive.
    pub(super) fn reach(&mut self, offset: Offset) {
        self.latest = self.latest.max(offset);
    }

    /// The last offset of the log that is in the map: a later record of the same key may be
    /// missing from it.
    pub(super) fn latest(&self) -> Offset {
        self.latest
    }

    /// Keys in it, and how many fit.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.keys, self.keys_max)
    }
}

/// What a probe came by.
struct Found {
    hash: u128,
    offset: Option<Offset>,
}

/// An offset in a slot: never 0. Offsets are not negative.
fn stored(offset: Offset) -> u64 {
    u64::try_from(offset.0).map_or(1, |offset| offset + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(slots: u64, load_factor: f64) -> KeyMap {
        KeyMap::new(slots * SLOT_BYTES, load_factor, 42)
    }

    #[test]
    fn the_last_offset_of_each_key_is_found() {
        let mut map = map(2_000, 0.9);
        for round in 0..3_i64 {
            for key in 0..600_i64 {
                let offset = Offset(round * 1_000 + key);
                assert!(map.insert(&key.to_be_bytes(), offset));
                assert_eq!(map.latest(), offset);
            }
        }
        for key in 0..600_i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(Offset(2_000 + key)));
        }
        assert_eq!(map.get(b"another"), None);
        assert_eq!(map.usage(), (600, 1_800));
    }

    #[test]
    fn it_takes_as_many_keys_as_the_setting_says_and_not_one_more() {
        for (slots, load_factor, expected) in [(10, 0.9, 9), (10, 1.0, 10), (10, 0.01, 1)] {
            let mut map = map(slots, load_factor);
            for key in 0..expected {
                assert!(map.insert(&[key], Offset(i64::from(key))));
            }
            assert!(!map.insert(&[expected], Offset(99)));
            assert!(!map.insert(&[0], Offset(99)), "nor a newer offset");
            assert_eq!(map.latest(), Offset(i64::from(expected) - 1));
            assert_eq!(map.get(&[0]), Some(Offset(0)));
            assert_eq!(map.get(&[expected]), None, "the search ends");
        }
    }

    #[test]
    fn a_map_for_so_many_keys_has_room_for_them() {
        for load_factor in [0.9, 0.5, 0.3, 0.01] {
            for keys in [0, 1, 7, 1_000] {
                let mut map = KeyMap::new(KeyMap::bytes_for(keys, load_factor), load_factor, 1);
                for key in 0..keys {
                    assert!(
                        map.insert(&key.to_be_bytes(), Offset(0)),
                        "{load_factor} {key}"
                    );
                }
            }
        }
        assert_eq!(KeyMap::bytes_for(u64::MAX, 0.0), u64::MAX);
    }

    #[test]
    fn memory_is_that_of_the_setting() {
        let map = KeyMap::new(128 * 1024 * 1024, 0.9, 1);
        assert_eq!(map.slots.len(), 5_592_405);
        assert_eq!(map.usage().1, 5_033_164, "as many as in Kafka");
        assert_eq!(size_of::<[u64; 3]>() as u64, SLOT_BYTES);
    }
}
