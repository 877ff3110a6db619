//! Lookups by time and by epoch, and a log start that moves.

use super::*;
use crate::io::MemoryIo;

/// A log of one record a batch with these timestamps, in several segments.
fn with_times(bed: &mut Bed, times: &[i64]) -> (Arc<Store>, Arc<Partition>) {
    bed.config.segment_bytes = 600;
    bed.config.index_interval_bytes = 90;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for time in times {
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(*time), None, Some(b"value"));
        partition.append(builder.build().unwrap(), false).unwrap();
    }
    wait_committed(&partition, Offset(times.len() as i64)).unwrap();
    (store, partition)
}

fn check_times(partition: &Partition, times: &[i64], log_start: i64) {
    for at in -1..=times.iter().max().unwrap_or(&0) + 1 {
        let expected = times
            .iter()
            .enumerate()
            .find(|(offset, time)| *offset as i64 >= log_start && **time >= at.max(0))
            .map(|(offset, time)| (offset as i64, *time));
        let found = partition
            .first_at_or_after(Timestamp(at), Isolation::ReadUncommitted)
            .unwrap();
        let found = found.map(|found| (found.offset.0, found.timestamp.0));
        assert_eq!(found, expected, "at {at} of {times:?}");
    }
    let kept = times.iter().enumerate().skip(log_start as usize);
    let largest = kept.clone().map(|(_, time)| *time).max();
    let expected = kept.clone().find(|(_, time)| Some(**time) == largest);
    let found = partition.max_timestamp().unwrap();
    assert_eq!(
        found.map(|found| (found.offset.0, found.timestamp.0)),
        expected.map(|(offset, time)| (offset as i64, *time))
    );
}

#[test]
fn records_are_found_by_time_whatever_the_order_of_times() {
    let mut seed = 12345_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for round in 0..20 {
        let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        let times: Vec<i64> = (0..60)
            .map(|index| match round % 3 {
                0 => index,
                1 => random(40) as i64,
                _ => index / 7 * 3,
            })
            .collect();
        let (store, partition) = with_times(&mut bed, &times);
        check_times(&partition, &times, 0);
        assert_eq!(partition.delete_records(Offset(17)).unwrap(), Offset(17));
        check_times(&partition, &times, 17);
        if round % 2 == 0 {
            store.close().unwrap();
        }
        drop((store, partition));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        check_times(&partition, &times, 17);
    }
}

#[test]
fn the_record_within_a_batch_is_found_in_every_codec() {
    use crate::batch::{Codec, Level};
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let base = partition.offsets().unwrap().log_end;
        let start = base.0 * 100;
        let mut builder = BatchBuilder::new().compression(codec, Level::Default);
        for record in 0..10 {
            builder.push(Timestamp(start + record * 10), None, Some(b"value"));
        }
        let done = partition.append(builder.build().unwrap(), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        let found = partition
            .first_at_or_after(Timestamp(start + 41), Isolation::ReadUncommitted)
            .unwrap()
            .unwrap();
        assert_eq!(found.offset, base.plus(5), "{codec:?}");
        assert_eq!(found.timestamp, Timestamp(start + 50));
        assert_eq!(found.leader_epoch, Some(LeaderEpoch(0)));
        let latest = partition.max_timestamp().unwrap().unwrap();
        assert_eq!(latest.offset, base.plus(9));
    }
}

#[test]
fn nothing_is_found_beyond_the_high_watermark() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let at = Timestamp(0);
    assert_eq!(
        partition
            .first_at_or_after(at, Isolation::ReadUncommitted)
            .unwrap(),
        None
    );
    assert_eq!(partition.max_timestamp().unwrap(), None);
    let done = partition.append(batch(&["a"]), false).unwrap();
    assert!(
        partition
            .first_at_or_after(at, Isolation::LogEnd)
            .unwrap()
            .is_some()
    );
    wait_committed(&partition, done.next_offset).unwrap();
    assert!(
        partition
            .first_at_or_after(at, Isolation::ReadUncommitted)
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_new_log_start_is_there_after_every_kind_of_restart() {
    on_every_io(|io, dir| {
        for clean in [true, false] {
            let bed = Bed::new(io.clone(), &dir.join(format!("{clean}")));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for _ in 0..5 {
                partition.append(batch(&["a", "b"]), false).unwrap();
            }
            wait_committed(&partition, Offset(10)).unwrap();
            assert_eq!(partition.delete_records(Offset(3)).unwrap(), Offset(3));
            assert_eq!(
                partition.delete_records(Offset(1)).unwrap(),
                Offset(3),
                "never back"
            );
            for out in [-1, 11] {
                let refused = partition.delete_records(Offset(out));
                assert!(matches!(refused, Err(ReadError::OutOfRange { .. })));
            }
            let below = partition.read(Offset(2), 100, true, Isolation::LogEnd);
            assert!(matches!(
                below,
                Err(ReadError::OutOfRange {
                    log_start: Offset(3),
                    ..
                })
            ));
            assert_eq!(read_all(&partition, 3, 100, Isolation::LogEnd).len(), 7);
            if clean {
                store.close().unwrap();
            }
            drop((store, partition));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(partition.offsets().unwrap().log_start, Offset(3));
            assert_eq!(partition.epoch_at(Offset(3)).unwrap(), Some(LeaderEpoch(0)));
            assert_eq!(partition.delete_records(Offset(10)).unwrap(), Offset(10));
            assert_eq!(
                partition.append(batch(&["c"]), false).unwrap().base_offset,
                Offset(10)
            );
        }
    });
}

#[test]
fn epochs_end_where_the_next_begins() {
    on_every_io(|io, dir| {
        for clean in [true, false] {
            let bed = Bed::new(io.clone(), &dir.join(format!("{clean}")));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            partition.append(batch(&["a", "b"]), false).unwrap();
            partition.begin_epoch(LeaderEpoch(4));
            partition.begin_epoch(LeaderEpoch(2));
            assert_eq!(partition.leader_epoch(), LeaderEpoch(4));
            let done = partition.append(batch(&["c"]), false).unwrap();
            wait_committed(&partition, done.next_offset).unwrap();
            if clean {
                store.close().unwrap();
            }
            drop((store, partition));
            let (store, _) = bed.open();
            let spec = PartitionSpec {
                leader_epoch: LeaderEpoch(5),
                ..bed.spec(1)
            };
            let partition = store.attach(spec);
            let end = |epoch| partition.epoch_end(LeaderEpoch(epoch)).unwrap();
            assert_eq!(end(0), Some((LeaderEpoch(0), Offset(2))));
            assert_eq!(end(3), Some((LeaderEpoch(0), Offset(2))));
            assert_eq!(end(4), Some((LeaderEpoch(4), Offset(3))));
            assert_eq!(end(5), Some((LeaderEpoch(5), Offset(3))));
            assert_eq!(end(6), None);
            assert_eq!(partition.epoch_at(Offset(1)).unwrap(), Some(LeaderEpoch(0)));
            assert_eq!(partition.epoch_at(Offset(2)).unwrap(), Some(LeaderEpoch(4)));
            assert_eq!(partition.epoch_at(Offset(3)).unwrap(), Some(LeaderEpoch(5)));
        }
    });
}
