//! Looking for an entry in an index file.

use std::io;

use crate::io::{File, read_full_at};

/// Bytes that are read at once: of most files all that matters, at the cost of reading one entry.
const BLOCK_BYTES: usize = 1024;

/// The number of the entry, of `count` that lie evenly, at so much of a whole.
pub(super) fn likely(count: usize, (part, whole): (u64, u64)) -> usize {
    let number = u128::from(part) * count as u128 / u128::from(whole.max(1));
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The last of `count` entries for which `below` holds; it holds for a prefix of them, and it is
/// looked where that is `likely` to end before the rest is halved again and again.
pub(super) fn last_below<const N: usize>(
    file: &dyn File,
    count: usize,
    likely: usize,
    below: impl Fn(&[u8; N]) -> bool,
) -> io::Result<Option<[u8; N]>> {
    let (mut low, mut high, mut floor) = (0, count, None);
    let mut near = likely;
    while low < high {
        let wanted = (BLOCK_BYTES / N).min(high - low);
        let first = near.saturating_sub(wanted / 2).clamp(low, high - wanted);
        let mut block = [0; BLOCK_BYTES];
        let block = block.get_mut(..wanted * N).unwrap_or_default();
        if read_full_at(file, block, (first * N) as u64)? < block.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (entries, _) = block.as_chunks::<N>();
        let count_below = entries.partition_point(&below);
        match count_below.checked_sub(1) {
            Some(last) => {
                floor = entries.get(last).copied();
                low = first + count_below;
            }
            None => high = first,
        }
        if (1..wanted).contains(&count_below) {
            break;
        }
        near = low + (high - low) / 2;
    }
    Ok(floor)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::{MemoryIo, OpenMode};

    #[test]
    fn the_entry_is_found_wherever_it_is_looked_for_first() {
        let io = MemoryIo::shared();
        let file = io.open(Path::new("/index"), OpenMode::Create).unwrap();
        let bytes: Vec<u8> = (0..2_000_u64).flat_map(|n| (2 * n).to_be_bytes()).collect();
        file.write_all_at(&[&bytes], 0).unwrap();
        let below = |bound: u64| move |entry: &[u8; 8]| u64::from_be_bytes(*entry) < bound;
        for count in [0, 1, 2, 127, 128, 129, 500, 2_000] {
            for bound in (0..2 * count as u64 + 3).step_by(if count > 200 { 37 } else { 1 }) {
                let expected = bound.div_ceil(2).min(count as u64).checked_sub(1);
                let expected = expected.map(|number| (2 * number).to_be_bytes());
                let exact = likely(count, (bound, 2 * count as u64));
                for first in [0, exact, count / 2, count, usize::MAX] {
                    let found = last_below(&*file, count, first, below(bound)).unwrap();
                    assert_eq!(found, expected, "{count} {bound} {first}");
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        let io = MemoryIo::shared();
        let file = io.open(Path::new("/index"), OpenMode::Create).unwrap();
        file.write_all_at(&[&[0; 20]], 0).unwrap();
        let found = last_below::<8>(&*file, 3, 0, |_| true);
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_likely_is_a_share() {
        assert_eq!(likely(100, (1, 4)), 25);
        assert_eq!(likely(100, (7, 0)), 700);
        assert_eq!(likely(usize::MAX, (u64::MAX, 1)), usize::MAX);
    }
}
