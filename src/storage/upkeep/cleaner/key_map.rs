//! The last offset of each key in the part of a log that is being compacted (Kafka's
//! `SkimpyOffsetMap`): 24 bytes a key, in memory that is set aside once.
//!
//! Keys are told apart by their hashes alone: two with one hash would cost the older of them its
//! record. Kafka uses MD5, for which such pairs can be made. SipHash with a secret of its own for
//! every cleaning lets nobody choose keys that collide, and 128 bits make it a matter of 10^19 keys
//! for it to happen by chance.
//!
//! Keys lie all over that memory, and waiting for it is most of what a map costs. So keys are asked
//! for in groups: first one part of the slot of each is read, which the processor does for many of
//! them at a time, and then one after the other is looked at.

use std::ops::Range;

use siphasher::sip128::SipHasher13;

use crate::model::Offset;

use super::superseded::Superseded;

/// Bytes of a slot: a hash of 128 bits, and an offset. As in Kafka, so that one setting means the
/// same number of keys.
const SLOT_BYTES: u64 = 24;

/// Kafka's bound for one thread's share of the memory.
const BYTES_MAX: u64 = i32::MAX as u64;

/// Slots that may share a page of memory, about.
const SLOTS_PER_PAGE: usize = 4096 / SLOT_BYTES as usize;

/// Keys that are asked for together: more than a processor waits for at a time, and few enough for
/// their slots to stay with it until they are looked at.
pub(super) const GROUP: usize = 64;

/// Offsets by the hashes of keys.
pub(super) struct KeyMap {
    hasher: SipHasher13,
    /// Records that were noted and are not in the map yet: the hashes of their keys, and offsets.
    noted: Vec<(u128, Offset)>,
    /// Up to here the log is in the map once those are.
    reached: Offset,
    /// Two halves of a hash, and an offset plus one: 0 is an empty slot.
    slots: Vec<[u64; 3]>,
    /// In which pages of that memory something was written, about; bits.
    touched: Vec<u64>,
    keys: usize,
    keys_max: usize,
    /// Up to here, inclusive, the log is in the map; -1 for nowhere.
    latest: Offset,
    superseded: Superseded,
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
            hasher: SipHasher13::new_with_keys(secret as u64, (secret >> 64) as u64),
            noted: Vec::with_capacity(GROUP),
            reached: Offset(-1),
            slots: vec![[0; 3]; slots],
            touched: vec![0; slots / (SLOTS_PER_PAGE * 64) + 1],
            keys: 0,
            keys_max: keys_max.clamp(1, slots),
            latest: Offset(-1),
            superseded: Superseded::default(),
        }
    }

    /// Has it tell of the records at these offsets that are noted whether later ones of their keys
    /// are, too, without being asked for the keys.
    pub(super) fn telling(self, superseded: Superseded) -> Self {
        Self { superseded, ..self }
    }

    /// Bytes beyond which a map of so many keys gets no faster: it would be a quarter empty at least,
    /// so that keys are found where they should be or next to it. What is larger has more pages,
    /// each of which the system must give, and fits less into the cache.
    pub(super) fn bytes_for(keys: u64, load_factor: f64) -> u64 {
        let room = keys as f64 / load_factor.clamp(f64::MIN_POSITIVE, 0.75);
        // One slot more than fit, lest rounding takes one; what does not fit an integer is plenty.
        (room as u64).saturating_add(2).saturating_mul(SLOT_BYTES)
    }

    /// Notes a record of a key; `false` if there is no more room. As in Kafka a full map does not
    /// take newer offsets of keys that it has, either.
    ///
    /// A group of them is put into the map at once, the last one by [`settle`](Self::settle).
    #[must_use]
    pub(super) fn insert(&mut self, key: &[u8], offset: Offset) -> bool {
        self.noted.push((self.hash(key), offset));
        self.noted.len() < GROUP || self.settle()
    }

    /// Notes that the log is in the map up to `offset`, inclusive, once what was noted is.
    pub(super) fn reach(&mut self, offset: Offset) {
        self.reached = offset;
        if self.noted.is_empty() {
            self.latest = self.latest.max(offset);
        }
    }

    /// Puts into the map what was noted; `false` if there was no room for all of it.
    #[must_use]
    pub(super) fn settle(&mut self) -> bool {
        let noted = std::mem::take(&mut self.noted);
        for (hash, _) in &noted {
            self.touch(self.first_slot(*hash));
        }
        self.fetch(noted.iter().map(|(hash, _)| *hash));
        let settled = noted.iter().all(|(hash, offset)| self.put(*hash, *offset));
        if settled {
            self.latest = self.latest.max(self.reached);
        }
        self.noted = noted;
        self.noted.clear();
        settled
    }

    /// Has the memory around a slot come from the system by a write, if nothing there was written
    /// yet: a page that is read first comes twice.
    fn touch(&mut self, slot: usize) {
        let page = slot / SLOTS_PER_PAGE;
        let bit = 1_u64 << (page % 64);
        if let Some(touched) = self.touched.get_mut(page / 64)
            && *touched & bit == 0
            && let Some(entry) = self.slots.get_mut(slot)
        {
            *touched |= bit;
            *entry = [0; 3];
        }
    }

    fn put(&mut self, hash: u128, offset: Offset) -> bool {
        if self.keys >= self.keys_max {
            return false;
        }
        let (Some(slot), before) = self.probe(hash) else {
            return false;
        };
        self.touch(slot);
        let Some(entry) = self.slots.get_mut(slot) else {
            return false;
        };
        *entry = [hash as u64, (hash >> 64) as u64, stored(offset)];
        match before {
            Some(before) if before < offset => self.superseded.note(before),
            Some(_) => {}
            None => self.keys += 1,
        }
        self.latest = offset;
        true
    }

    /// Whether a record that was noted, and is in the map, is older than the last of its key; `None`
    /// if the key must be asked for.
    pub(super) fn is_superseded(&self, offset: Offset) -> Option<bool> {
        self.superseded.tells(offset)
    }

    /// Whether one of these is, of records all of which were noted; `None` if none is known to be.
    pub(super) fn is_any_superseded(&self, offsets: Range<Offset>) -> Option<bool> {
        self.superseded.any(offsets)
    }

    /// How many of these are; `None` if that is not known of all of them.
    pub(super) fn count_superseded(&self, offsets: Range<Offset>) -> Option<u64> {
        self.superseded.count(offsets)
    }

    /// What to ask for a key with.
    pub(super) fn hash(&self, key: &[u8]) -> u128 {
        self.hasher.hash(key).into()
    }

    /// Has what will be asked for come from memory.
    pub(super) fn fetch(&self, hashes: impl Iterator<Item = u128>) {
        let slots = hashes.filter_map(|hash| self.slots.get(self.first_slot(hash)));
        // A slot may lie across two lines of the cache.
        let seen = slots.fold(0, |seen, [low, _, offset]| seen ^ low ^ offset);
        std::hint::black_box(seen);
    }

    /// The last offset of a key, if it is in the map.
    pub(super) fn get(&self, hash: u128) -> Option<Offset> {
        self.probe(hash).1
    }

    /// The upper half of a product spreads the hash over the slots evenly.
    fn first_slot(&self, hash: u128) -> usize {
        let product = u128::from(hash as u64) * self.slots.len() as u128;
        (product >> 64) as usize
    }

    /// The slot of a key, or the empty one where it would be, and the offset that is there. No
    /// slot, if the map is filled to the last and the key is not in it.
    fn probe(&self, hash: u128) -> (Option<usize>, Option<Offset>) {
        let (low, high) = (hash as u64, (hash >> 64) as u64);
        let mut at = self.first_slot(hash);
        // One step more: it goes round the end.
        for _ in 0..=self.slots.len() {
            match self.slots.get(at) {
                Some([_, _, 0]) => return (Some(at), None),
                Some([slot_low, slot_high, offset]) if (*slot_low, *slot_high) == (low, high) => {
                    let offset = i64::try_from(*offset - 1).unwrap_or(i64::MAX);
                    return (Some(at), Some(Offset(offset)));
                }
                Some(_) => at += 1,
                None => at = 0,
            }
        }
        (None, None)
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

    fn get(map: &KeyMap, key: &[u8]) -> Option<Offset> {
        map.get(map.hash(key))
    }

    #[test]
    fn the_last_offset_of_each_key_is_found() {
        let mut map = map(2_000, 0.9);
        for round in 0..3_i64 {
            for key in 0..600_i64 {
                let offset = Offset(round * 1_000 + key);
                assert!(map.insert(&key.to_be_bytes(), offset));
            }
            assert!(map.settle());
            assert_eq!(map.latest(), Offset(round * 1_000 + 599));
        }
        for key in 0..600_i64 {
            assert_eq!(get(&map, &key.to_be_bytes()), Some(Offset(2_000 + key)));
        }
        assert_eq!(get(&map, b"another"), None);
        assert_eq!(map.usage(), (600, 1_800));
    }

    #[test]
    fn it_takes_as_many_keys_as_the_setting_says_and_not_one_more() {
        for (slots, load_factor, expected) in [(10, 0.9, 9), (10, 1.0, 10), (10, 0.01, 1)] {
            let mut map = map(slots, load_factor);
            for key in 0..expected {
                assert!(map.insert(&[key], Offset(i64::from(key))));
            }
            assert!(map.settle());
            for key in [expected, 0] {
                assert!(map.insert(&[key], Offset(99)), "it is not looked at yet");
                map.reach(Offset(100));
                assert!(!map.settle(), "nor a newer offset");
            }
            assert_eq!(map.latest(), Offset(i64::from(expected) - 1));
            assert_eq!(get(&map, &[0]), Some(Offset(0)));
            assert_eq!(get(&map, &[expected]), None, "the search ends");
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
                assert!(map.settle(), "{load_factor} {keys}");
            }
        }
        assert_eq!(KeyMap::bytes_for(u64::MAX, 0.0), u64::MAX);
    }

    #[test]
    fn records_that_newer_ones_supersede_are_known_by_their_offsets() {
        let range = Offset(10)..Offset(1_000);
        let mut map = map(100, 0.9).telling(Superseded::among(range, u64::MAX));
        for (offset, key) in [
            (10, b"a"),
            (11, b"b"),
            (500, b"a"),
            (501, b"c"),
            (900, b"a"),
        ] {
            assert!(map.insert(key, Offset(offset)));
        }
        // Nothing sorts what is damaged: the last that comes counts, and none older than it.
        assert!(map.insert(b"c", Offset(501)));
        assert!(map.insert(b"b", Offset(9)));
        assert!(map.settle());
        let told = [9, 10, 11, 500, 501, 900].map(|offset| map.is_superseded(Offset(offset)));
        let [yes, no] = [Some(true), Some(false)];
        assert_eq!(told, [None, yes, no, yes, no, no]);
    }

    #[test]
    fn what_the_log_reaches_counts_once_the_keys_before_are_in() {
        let mut map = map(100, 0.9);
        map.reach(Offset(3));
        assert_eq!(map.latest(), Offset(3));
        assert!(map.insert(b"a", Offset(4)));
        map.reach(Offset(9));
        assert_eq!(map.latest(), Offset(3));
        assert!(map.settle());
        assert_eq!(map.latest(), Offset(9));
    }

    #[test]
    fn memory_is_that_of_the_setting() {
        let map = KeyMap::new(128 * 1024 * 1024, 0.9, 1);
        assert_eq!(map.slots.len(), 5_592_405);
        assert_eq!(map.usage().1, 5_033_164, "as many as in Kafka");
        assert_eq!(size_of::<[u64; 3]>() as u64, SLOT_BYTES);
    }
}
