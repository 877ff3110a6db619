//! Holds every batch of a partition against what must be there.
//!
//! | fault | what is wrong |
//! | --- | --- |
//! | `checksum` | the bytes are not those that the checksum was made of |
//! | `malformed` | no header of a batch, or one whose count is not that of its offsets |
//! | `gap` | offsets are missing |
//! | `overlap` | an offset came before |
//! | `repeated` | a batch of a producer came before |
//! | `missing` | a batch of a producer that was not refused did not come |
//! | `short` | an acknowledged end was not reached |
//!
//! Topics that are compacted have gaps by right: this is for topics that are not.

use std::collections::{BTreeMap, HashMap, HashSet};

use parking_lot::Mutex;

use super::stamp::{NUMBERS, Stamp};
use crate::batch::BatchHeader;

/// How many faults are told in words.
const TOLD_MAX: usize = 10;

/// How many batches in one row are looked up one by one among the refused ones.
const MISSING_RUN_MAX: u32 = 1 << 16;

/// Batches that a broker refused, or of which nothing was heard: they may be there or not.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<(i32, u16), HashSet<u32>>>);

impl Refused {
    /// Notes one.
    pub(super) fn note(&self, partition: i32, producer: u16, number: u32) {
        let mut refused = self.0.lock();
        refused
            .entry((partition, producer))
            .or_default()
            .insert(number);
    }

    fn has(&self, partition: i32, producer: u16, number: u32) -> bool {
        let refused = self.0.lock();
        refused
            .get(&(partition, producer))
            .is_some_and(|numbers| numbers.contains(&number))
    }
}

/// What was found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// How many, by kind.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub(crate) told: Vec<String>,
}

impl Faults {
    /// How many of all kinds.
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(super) fn add(&mut self, kind: &'static str, count: u64, what: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += count;
        if self.told.len() < TOLD_MAX {
            self.told.push(format!("{kind}: {}", what()));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        let room = TOLD_MAX.saturating_sub(self.told.len());
        self.told.extend(other.told.into_iter().take(room));
    }
}

/// What is known about the producers before the first batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Reading begins before they do: each begins with 0.
    BeforeProducers,
    /// Anything may have happened: the first number that is seen is taken, and a 0 is another run.
    Anywhere,
}

/// Checks one partition, batch by batch in the order of offsets.
#[derive(Debug)]
pub(super) struct Verifier {
    partition: i32,
    begin: Begin,
    /// The next offset; reading may begin within a batch.
    next: i64,
    first: bool,
    /// The next number of each producer.
    producers: HashMap<u16, u32>,
    /// Batches that did not come: producer, first number, how many.
    missing: Vec<(u16, u32, u32)>,
    /// Everything that was found.
    pub(super) faults: Faults,
}

impl Verifier {
    /// For a partition that is read from `from` on.
    pub(super) fn new(partition: i32, from: i64, begin: Begin) -> Self {
        Self {
            partition,
            begin,
            next: from,
            first: true,
            producers: HashMap::new(),
            missing: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// Checks a batch, the bytes of which must all be there; its stamp, if it is whole and has one.
    pub(super) fn check(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<Stamp> {
        let (partition, base) = (self.partition, header.base_offset.0);
        let whole = header.crc_matches(batch);
        if !whole {
            self.faults.add("checksum", 1, || {
                format!("partition {partition}, batch at offset {base}")
            });
        }
        if header.last_offset_delta.checked_add(1) != Some(header.record_count)
            || header.record_count < 1
        {
            self.faults.add("malformed", 1, || {
                let (count, delta) = (header.record_count, header.last_offset_delta);
                format!("partition {partition}, offset {base}: {count} records, last at +{delta}")
            });
        }
        self.check_offsets(header);
        if !whole || header.is_control() {
            return None;
        }
        let stamp = Stamp::of(header)?;
        self.check_number(stamp, base);
        Some(stamp)
    }

    fn check_offsets(&mut self, header: &BatchHeader) {
        let (partition, expected) = (self.partition, self.next);
        let (base, next) = (header.base_offset.0, header.next_offset().0);
        let within = std::mem::take(&mut self.first) && next > expected;
        if base > expected {
            let missing = base.abs_diff(expected);
            self.faults.add("gap", missing, || {
                format!("partition {partition}, offsets {expected} to {}", base - 1)
            });
        } else if base < expected && !within {
            self.faults.add("overlap", 1, || {
                format!("partition {partition}, offset {base} where {expected} was due")
            });
        }
        self.next = next.max(expected);
    }

    fn check_number(&mut self, stamp: Stamp, base: i64) {
        let (partition, producer) = (self.partition, stamp.producer);
        let expected = match (self.producers.get(&producer), self.begin) {
            (Some(_), Begin::Anywhere) if stamp.number == 0 => 0,
            (Some(&next), _) => next,
            (None, Begin::BeforeProducers) => 0,
            (None, Begin::Anywhere) => stamp.number,
        };
        let ahead = stamp.number.wrapping_sub(expected) % NUMBERS;
        if ahead >= NUMBERS / 2 {
            self.faults.add("repeated", 1, || {
                let number = stamp.number;
                format!(
                    "partition {partition}, offset {base}: batch {number} of producer {producer} \
                     where {expected} was due"
                )
            });
            return;
        }
        if ahead > 0 {
            self.missing.push((producer, expected, ahead));
        }
        self.producers
            .insert(producer, (stamp.number + 1) % NUMBERS);
    }

    /// The end: batches that did not come are faults unless they were refused, and so is an end
    /// that was not reached.
    pub(super) fn finish(mut self, refused: &Refused, end: Option<i64>) -> Faults {
        let partition = self.partition;
        for (producer, first, count) in std::mem::take(&mut self.missing) {
            let excused = (0..count.min(MISSING_RUN_MAX))
                .filter(|ahead| refused.has(partition, producer, (first + ahead) % NUMBERS))
                .count();
            let missing = u64::from(count).saturating_sub(excused as u64);
            if missing > 0 {
                self.faults.add("missing", missing, || {
                    format!(
                        "partition {partition}: {missing} of {count} batches of producer \
                         {producer} from number {first} on"
                    )
                });
            }
        }
        if let Some(end) = end
            && self.next < end
        {
            let next = self.next;
            self.faults.add("short", end.abs_diff(next), || {
                format!("partition {partition} ends at {next}, acknowledged is {end}")
            });
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchBuilder;
    use crate::model::{LeaderEpoch, Offset, Timestamp};
    use crate::wire;

    /// Batch `number` of producer 1, with two records, at this offset.
    fn batch(offset: i64, number: u32) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(0), None, Some(b"one"));
        builder.push(Timestamp(0), None, Some(b"two"));
        let mut built = builder.build().expect("a batch");
        let stamp = Stamp {
            producer: 1,
            number,
            due_us: 0,
        };
        stamp.put(&mut built.header);
        let mut bytes = built.bytes.to_vec();
        bytes[..61].copy_from_slice(&built.header.encode());
        built.header.crc = wire::crc32c(&bytes[21..]);
        bytes[..61].copy_from_slice(&built.header.encode());
        bytes[..16].copy_from_slice(&built.patched_prefix(Offset(offset), LeaderEpoch(0)));
        bytes
    }

    fn feed(verifier: &mut Verifier, bytes: &[u8]) {
        let header = BatchHeader::parse(bytes).expect("a header");
        verifier.check(&header, bytes);
    }

    fn verifier() -> Verifier {
        let mut verifier = Verifier::new(0, 10, Begin::BeforeProducers);
        for number in 0..3 {
            feed(&mut verifier, &batch(10 + 2 * i64::from(number), number));
        }
        verifier
    }

    fn kinds(verifier: Verifier, refused: &Refused, end: i64) -> Vec<(&'static str, u64)> {
        let faults = verifier.finish(refused, Some(end));
        faults.counts.into_iter().collect()
    }

    #[test]
    fn what_was_sent_passes() {
        assert_eq!(kinds(verifier(), &Refused::default(), 16), []);
    }

    #[test]
    fn a_planted_duplicate_is_caught() {
        let mut stored_twice = verifier();
        feed(&mut stored_twice, &batch(16, 2));
        assert_eq!(
            kinds(stored_twice, &Refused::default(), 18),
            [("repeated", 1)]
        );
        let mut served_twice = verifier();
        feed(&mut served_twice, &batch(14, 2));
        assert_eq!(
            kinds(served_twice, &Refused::default(), 16),
            [("overlap", 1), ("repeated", 1)]
        );
    }

    #[test]
    fn a_planted_gap_is_caught() {
        let mut hole = verifier();
        feed(&mut hole, &batch(18, 3));
        assert_eq!(kinds(hole, &Refused::default(), 20), [("gap", 2)]);
        let mut lost = verifier();
        feed(&mut lost, &batch(16, 5));
        assert_eq!(kinds(lost, &Refused::default(), 18), [("missing", 2)]);
    }

    #[test]
    fn what_was_refused_may_be_missing() {
        let refused = Refused::default();
        refused.note(0, 1, 3);
        let mut verifier = verifier();
        feed(&mut verifier, &batch(16, 4));
        assert_eq!(kinds(verifier, &refused, 18), []);
    }

    #[test]
    fn a_planted_flipped_byte_is_caught_wherever_it_is() {
        let good = batch(16, 3);
        for at in 17..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let mut verifier = verifier();
            feed(&mut verifier, &bad);
            let found = kinds(verifier, &Refused::default(), 0);
            assert!(found.contains(&("checksum", 1)), "byte {at}: {found:?}");
        }
    }

    #[test]
    fn a_count_that_is_not_that_of_the_offsets_is_caught() {
        let good = batch(16, 3);
        let mut header = BatchHeader::parse(&good).expect("a header");
        header.record_count = 3;
        let mut bad = good;
        bad[..61].copy_from_slice(&header.encode());
        header.crc = wire::crc32c(&bad[21..]);
        bad[..61].copy_from_slice(&header.encode());
        let mut verifier = verifier();
        feed(&mut verifier, &bad);
        assert_eq!(kinds(verifier, &Refused::default(), 18), [("malformed", 1)]);
    }

    #[test]
    fn an_end_that_was_acknowledged_must_be_reached() {
        assert_eq!(kinds(verifier(), &Refused::default(), 18), [("short", 2)]);
    }

    #[test]
    fn reading_may_begin_within_a_batch_and_after_others() {
        let mut verifier = Verifier::new(0, 11, Begin::Anywhere);
        feed(&mut verifier, &batch(10, 7));
        feed(&mut verifier, &batch(12, 8));
        // Another run.
        feed(&mut verifier, &batch(14, 0));
        feed(&mut verifier, &batch(16, 1));
        assert_eq!(kinds(verifier, &Refused::default(), 18), []);
    }

    #[test]
    fn numbers_go_on_after_the_largest() {
        let mut verifier = Verifier::new(0, 10, Begin::Anywhere);
        feed(&mut verifier, &batch(10, NUMBERS - 1));
        feed(&mut verifier, &batch(12, 0));
        feed(&mut verifier, &batch(14, 1));
        assert_eq!(kinds(verifier, &Refused::default(), 16), []);
    }
}
