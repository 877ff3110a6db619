//! The journal of durable offsets, when the power is cut.

use super::*;
use crate::io::Io;
use crate::io::PowerCutIo;
use crate::storage::durability::journal::{Journal, read};
use crate::storage::format::journal::tests::{id, point};
use crate::storage::format::names;

/// Topics come while the power is cut between any two calls, and again after that.
#[test]
fn a_power_cut_never_costs_more_than_the_record_that_is_being_written() {
    let dir = Path::new("/d");
    let path = dir.join(names::DURABLE_OFFSETS);
    for seed in 0..100 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let mut io = PowerCutIo::new();
        io.create_dir_all(dir).unwrap();
        io.sync_dir(Path::new("/")).unwrap();
        let (mut synced, mut offset, mut topics) = (0, 0, 2);
        for _ in 0..4 {
            let journal = Journal::new(io.clone(), dir, read(&*io, &path));
            io.cut_after(random.usize(1..120));
            loop {
                offset += 1;
                journal.note(id(1), point(offset), || false);
                if random.u8(..4) == 0 {
                    topics += random.u128(1..40);
                }
                for topic in 2..topics {
                    journal.note(id(topic), point(offset), || false);
                }
                match journal.write(journal.take_news().unwrap()) {
                    Ok(()) => synced = offset,
                    Err(_) => break,
                }
            }
            assert!(io.is_off());
            io = io.after_cut(random);
            let found = read(&*io, &path).map_or(0, |found| found.points[&id(1)].offset.0);
            let expected = synced..=offset;
            assert!(
                expected.contains(&found),
                "seed {seed}: {found} not in {expected:?}"
            );
        }
    }
}
