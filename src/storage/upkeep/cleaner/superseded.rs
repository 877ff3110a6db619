//! Which records a later one of their key makes obsolete, as far as that is found out while the
//! keys are put into the map: a bit for each offset. Whoever reads these records again need not
//! look for their keys.

use std::ops::Range;

use crate::model::Offset;

const BITS: usize = u64::BITS as usize;

/// Bits by offset. By default none.
#[derive(Clone, Debug, Default)]
pub(super) struct Superseded {
    first: Offset,
    bits: Vec<u64>,
}

impl Superseded {
    /// Bits for the offsets of a range, as many as fit into so many bytes; none is set.
    pub(super) fn among(offsets: Range<Offset>, bytes_max: u64) -> Self {
        let count = u64::try_from(offsets.end.0.saturating_sub(offsets.start.0)).unwrap_or(0);
        let words = count.div_ceil(u64::BITS.into()).min(bytes_max / 8);
        Self {
            first: offsets.start,
            bits: vec![0; usize::try_from(words).unwrap_or(0)],
        }
    }

    /// Notes that there is a later record of the key of the one at `offset`.
    pub(super) fn note(&mut self, offset: Offset) {
        if let Some((word, bit)) = self.place(offset)
            && let Some(bits) = self.bits.get_mut(word)
        {
            *bits |= bit;
        }
    }

    /// Whether that was noted; `None` where there is no bit.
    pub(super) fn tells(&self, offset: Offset) -> Option<bool> {
        let (word, bit) = self.place(offset)?;
        Some(self.bits.get(word)? & bit != 0)
    }

    /// Whether that was noted of an offset of a range; `None` where it was of none, and not all of
    /// them have a bit.
    pub(super) fn any(&self, offsets: Range<Offset>) -> Option<bool> {
        let any = self.words(&offsets).any(|word| word != 0);
        (any || self.covers(&offsets)).then_some(any)
    }

    /// Of how many offsets of a range that was noted; `None` where not all of them have a bit.
    pub(super) fn count(&self, offsets: Range<Offset>) -> Option<u64> {
        let count = || {
            self.words(&offsets)
                .map(|word| u64::from(word.count_ones()))
        };
        self.covers(&offsets).then(|| count().sum())
    }

    /// Whether all offsets of a range have a bit.
    fn covers(&self, offsets: &Range<Offset>) -> bool {
        offsets.start >= self.first && self.index(offsets.end) <= self.bits.len() * BITS
    }

    /// The bits of the offsets of a range that have one, in words in which the others are not set.
    fn words(&self, offsets: &Range<Offset>) -> impl Iterator<Item = u64> {
        let (from, to) = (self.index(offsets.start), self.index(offsets.end));
        let words = from / BITS..to.div_ceil(BITS).min(self.bits.len());
        words.map(move |word| {
            let below = |bit: usize| match bit.saturating_sub(word * BITS) {
                bit if bit < BITS => (1_u64 << bit) - 1,
                _ => u64::MAX,
            };
            self.bits.get(word).unwrap_or(&0) & below(to) & !below(from)
        })
    }

    /// The number of an offset's bit, as if there were one for each; 0 for those before the first.
    fn index(&self, offset: Offset) -> usize {
        let index = offset.0.saturating_sub(self.first.0).max(0);
        usize::try_from(index).unwrap_or(usize::MAX)
    }

    fn place(&self, offset: Offset) -> Option<(usize, u64)> {
        let index = u64::try_from(offset.0.checked_sub(self.first.0)?).ok()?;
        let word = usize::try_from(index / u64::from(u64::BITS)).ok()?;
        Some((word, 1 << (index % u64::from(u64::BITS))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_bits_for_the_offsets_of_the_range_within_the_memory_that_is_allowed() {
        let tells = |bytes: u64, offset: i64| {
            let superseded = Superseded::among(Offset(100)..Offset(300), bytes);
            superseded.tells(Offset(offset))
        };
        assert_eq!(
            [99, 100, 299].map(|offset| tells(1_000, offset)),
            [None, Some(false), Some(false)]
        );
        assert_eq!(
            [163, 164].map(|offset| tells(8, offset)),
            [Some(false), None]
        );
        assert_eq!([tells(7, 100), tells(0, 100)], [None, None]);
        assert_eq!(Superseded::default().tells(Offset(0)), None);
        let none = Superseded::among(Offset(7)..Offset(3), 1_000);
        assert_eq!(none.tells(Offset(7)), None);
    }

    #[test]
    fn a_range_has_what_an_offset_of_it_has() {
        let range = Offset(5)..Offset(500);
        for noted in [5, 68, 69, 132, 133, 300, 499] {
            let mut superseded = Superseded::among(range.clone(), 1_000);
            assert_eq!(superseded.any(range.clone()), Some(false));
            superseded.note(Offset(noted));
            for (from, to) in [(5, 69), (69, 70), (70, 133), (132, 301), (133, 500)] {
                let expected = Some((from..to).contains(&noted));
                let any = superseded.any(Offset(from)..Offset(to));
                assert_eq!(any, expected, "{noted} {from}");
            }
            let beyond = |from, to| superseded.any(Offset(from)..Offset(to));
            assert_eq!(beyond(4, 6), (noted == 5).then_some(true));
            assert_eq!(beyond(499, 9_999), (noted == 499).then_some(true));
        }
        let all = Offset(i64::MIN)..Offset(i64::MAX);
        assert_eq!(Superseded::default().any(all), None);
    }

    #[test]
    fn those_of_a_range_are_counted_where_all_of_it_has_bits() {
        let mut superseded = Superseded::among(Offset(5)..Offset(500), 1_000);
        for offset in (5..500).step_by(5) {
            superseded.note(Offset(offset));
        }
        let count = |from, to| superseded.count(Offset(from)..Offset(to));
        assert_eq!([count(5, 500), count(5, 5)], [Some(99), Some(0)]);
        assert_eq!([count(6, 10), count(10, 11)], [Some(0), Some(1)]);
        assert_eq!([count(64, 128), count(69, 133)], [Some(13), Some(13)]);
        assert_eq!([count(4, 100), count(5, 9_999)], [None, None]);
    }

    #[test]
    fn each_offset_has_a_bit_of_its_own() {
        let mut superseded = Superseded::among(Offset(5)..Offset(205), 1_000);
        for offset in (5..205).step_by(3) {
            superseded.note(Offset(offset));
        }
        for lost in [-1, 4, i64::MIN, i64::MAX] {
            superseded.note(Offset(lost));
        }
        for offset in 5..205 {
            let expected = Some((offset - 5) % 3 == 0);
            assert_eq!(superseded.tells(Offset(offset)), expected, "{offset}");
        }
    }
}
