//! Damage that is found when somebody reads: what is bad is refused, what is good is served.

use super::*;
use crate::io::{MemoryIo, OpenMode};

/// A log of `batches` batches, each with an offset and its value, closed cleanly.
fn written(bed: &Bed, batches: i64) {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for number in 0..batches {
        partition
            .append(batch(&[&format!("value {number}")]), false)
            .unwrap();
    }
    wait_committed(&partition, Offset(batches)).unwrap();
    store.close().unwrap();
}

/// Bytes of a batch of [`written`].
fn batch_len() -> usize {
    batch(&["value 1"]).bytes.len()
}

fn change(bed: &Bed, segment: i64, change: impl FnOnce(&mut Vec<u8>)) {
    let path = bed.dir.join("topic.1-0").join(format!("{segment:020}.log"));
    let mut content = bed.io.read(&path).unwrap();
    change(&mut content);
    let file = bed.io.open(&path, OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&[&content], 0).unwrap();
}

/// Which offsets below `end` cannot be read, and that all others give their values.
fn refused(partition: &Partition, end: i64) -> Vec<i64> {
    let mut refused = Vec::new();
    for offset in 0..end {
        match partition.read(Offset(offset), 1, true, Isolation::LogEnd) {
            Ok(outcome) => {
                let bytes = bytes_of(&outcome.records);
                let header = BatchHeader::parse(&bytes).unwrap();
                assert_eq!(header.base_offset, Offset(offset));
                let value = format!("value {offset}");
                let holds_value = bytes.windows(value.len()).any(|at| at == value.as_bytes());
                assert!(holds_value, "offset {offset}");
            }
            Err(ReadError::Corrupt { .. }) => refused.push(offset),
            Err(error) => panic!("{error}"),
        }
    }
    refused
}

#[test]
fn a_base_offset_that_rotted_costs_its_batch_alone() {
    for (byte, bit) in [(7, 1), (7, 0x80), (0, 0x40), (5, 1)] {
        let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        written(&bed, 9);
        change(&bed, 0, |log| log[4 * batch_len() + byte] ^= bit);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        assert_eq!(refused(&partition, 9), [4], "byte {byte}");
        let damage = store.damage();
        assert_eq!(store.damage_count(), 1, "{damage:?}");
        let len = batch_len() as u64;
        assert_eq!(damage[0].bytes, 4 * len..5 * len);
        assert_eq!(damage[0].offsets, Offset(4)..Offset(5));
        assert_eq!(damage[0].directory, "topic.1-0");
    }
}

#[test]
fn a_batch_that_is_not_there_is_refused_and_those_around_it_are_served() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    written(&bed, 9);
    change(&bed, 0, |log| {
        log.drain(3 * batch_len()..5 * batch_len());
    });
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(refused(&partition, 9), [3, 4]);
    assert_eq!(refused(&partition, 9), [3, 4], "the second time, too");
    assert_eq!(store.damage_count(), 1);
}

#[test]
fn batches_missing_at_the_end_of_a_segment_are_refused_by_it() {
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    bed.config.segment_bytes = 3 * batch_len() as u64;
    written(&bed, 9);
    change(&bed, 3, |log| log.truncate(2 * batch_len()));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(refused(&partition, 9), [5]);
    assert_eq!(store.damage()[0].offsets, Offset(5)..Offset(6));
}

#[test]
fn a_flipped_bit_costs_its_batch_alone_wherever_it_is() {
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    bed.config.index_interval_bytes = 100;
    written(&bed, 9);
    let len = batch_len();
    for bit in 0..len * 8 {
        let flip = |log: &mut Vec<u8>| log[4 * len + bit / 8] ^= 1 << (bit % 8);
        change(&bed, 0, flip);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        // Whether a reader comes by hopping or straight.
        let straight = partition.read(Offset(5), 1, true, Isolation::LogEnd);
        assert!(straight.is_ok(), "bit {bit}: {straight:?}");
        assert_eq!(refused(&partition, 9), [4], "bit {bit}");
        store.close().unwrap();
        drop((partition, store));
        change(&bed, 0, flip);
    }
}

#[test]
fn where_a_log_was_cleaned_missing_offsets_are_passed_over() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    written(&bed, 9);
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    partition.context().allow_gaps_below(Offset(5)).unwrap();
    store.close().unwrap();
    drop((partition, store));
    change(&bed, 0, |log| {
        log.drain(7 * batch_len()..8 * batch_len());
        log.drain(3 * batch_len()..5 * batch_len());
    });
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(partition.context().gaps_allowed_below(), Offset(5));
    let outcome = partition.read(Offset(3), 1, true, Isolation::LogEnd);
    let header = BatchHeader::parse(&bytes_of(&outcome.unwrap().records)).unwrap();
    assert_eq!(header.base_offset, Offset(5));
    let lost = partition.read(Offset(7), 1, true, Isolation::LogEnd);
    assert!(matches!(lost, Err(ReadError::Corrupt { .. })), "{lost:?}");
}

#[test]
fn without_its_file_a_log_may_have_gaps_up_to_where_it_ends() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    written(&bed, 4);
    let path = bed.dir.join("klamm-compacted-offset-checkpoint");
    bed.io.remove_file(&path).unwrap();
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(partition.context().gaps_allowed_below(), Offset(i64::MAX));
    partition.append(batch(&["value 4"]), false).unwrap();
    assert_eq!(partition.context().gaps_allowed_below(), Offset(4));
    let other = bed.attach(&store, 2);
    assert_eq!(other.context().gaps_allowed_below(), Offset(0));
}
