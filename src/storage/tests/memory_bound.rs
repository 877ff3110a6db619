//! Logs in memory stay within their bound, and appends succeed as long as something may go.

use super::*;
use crate::io::MemoryIo;

const BOUND: u64 = 64 << 20;

fn bed() -> Bed {
    let mut bed = Bed::new(MemoryIo::bounded(BOUND), Path::new("/"));
    bed.config.durability = Durability::Memory;
    bed
}

/// A batch of one record of so many bytes, younger the larger `number` is.
fn record(number: i64, bytes: usize) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(NOW.0 + number), None, Some(&vec![b'v'; bytes]));
    builder.build().unwrap()
}

fn used(bed: &Bed) -> u64 {
    bed.io.memory().unwrap().used
}

#[test]
fn sixteen_times_the_bound_goes_through_without_an_error() {
    let bed = bed();
    let (store, _) = bed.open();
    let partitions: Vec<_> = (1..=8).map(|topic| bed.attach(&store, topic)).collect();
    std::thread::scope(|scope| {
        for pair in partitions.chunks(2) {
            let bed = &bed;
            scope.spawn(move || {
                for number in 0..256 {
                    for partition in pair {
                        partition.append(record(number, 512 << 10), false).unwrap();
                        assert!(used(bed) <= BOUND);
                    }
                }
            });
        }
    });
    // Nothing leaves any more while it is counted.
    store.close().unwrap();
    for partition in &partitions {
        let offsets = partition.offsets().unwrap();
        assert_eq!(offsets.log_end, Offset(256));
        // No log has more than the whole memory: another's may have come and gone before it.
        assert!(offsets.log_start >= Offset(128), "{offsets:?}");
        let old = partition.read(Offset(0), 100, true, Isolation::ReadUncommitted);
        assert!(matches!(old, Err(ReadError::OutOfRange { .. })), "{old:?}");
        let left = read_all(partition, offsets.log_start.0, 1 << 20, Isolation::LogEnd);
        assert_eq!(left.len() as i64, 256 - offsets.log_start.0);
    }
    assert!(used(&bed) > BOUND / 2, "{}", used(&bed));
}

#[test]
fn what_is_oldest_goes_first_of_all_partitions() {
    let bed = bed();
    let (store, _) = bed.open();
    let (old, young) = (bed.attach(&store, 1), bed.attach(&store, 2));
    for number in 0..40 {
        old.append(record(number, 512 << 10), false).unwrap();
        young
            .append(record(1_000_000 + number, 512 << 10), false)
            .unwrap();
    }
    for number in 40..140 {
        young
            .append(record(1_000_000 + number, 512 << 10), false)
            .unwrap();
    }
    let gone = old.offsets().unwrap().log_start;
    assert!(gone >= Offset(39), "{gone}");
    assert!(young.offsets().unwrap().log_start > Offset(0));
}

#[test]
fn what_may_not_go_fills_the_memory_and_appends_fail() {
    let mut bed = bed();
    (bed.config.delete, bed.config.compact) = (false, true);
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let appended = (0..200)
        .map(|number| partition.append(record(number, 1 << 20), false))
        .take_while(Result::is_ok)
        .count();
    assert!((55..64).contains(&appended), "{appended}");
    let refused = partition.append(record(0, 1 << 20), false);
    assert!(
        matches!(refused, Err(AppendError::Storage(_))),
        "{refused:?}"
    );
    assert_eq!(partition.offsets().unwrap().log_start, Offset(0));
    // Another topic finds room once it has something to give.
    bed.config.delete = true;
    partition.reconfigure(Arc::new(bed.config.clone()));
    partition.append(record(0, 1 << 20), false).unwrap();
    assert!(partition.offsets().unwrap().log_start > Offset(0));
}

#[test]
fn active_segments_are_rolled_when_there_is_nothing_else() {
    let bed = bed();
    let (store, _) = bed.open();
    // Each log stays below the length at which it would be rolled.
    for topic in 1..=200 {
        let partition = bed.attach(&store, topic);
        partition
            .append(record(topic as i64, 900 << 10), false)
            .unwrap();
        assert!(used(&bed) <= BOUND);
    }
    assert_eq!(
        bed.attach(&store, 1).offsets().unwrap().log_start,
        Offset(1)
    );
    assert_eq!(
        bed.attach(&store, 200).offsets().unwrap().log_start,
        Offset(0)
    );
}
