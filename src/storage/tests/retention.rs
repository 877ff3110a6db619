//! Old data leaves by Kafka's rules, and nothing else does.

use super::*;
use crate::io::{MemoryIo, OpenMode};

const DAY: Duration = Duration::from_secs(86_400);

/// A batch of one record of `bytes` bytes, at a time.
fn batch_at(timestamp: i64, bytes: usize) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(timestamp), None, Some(&vec![b'v'; bytes]));
    builder.build().unwrap()
}

/// A bed in which every batch has a segment of its own.
fn bed(io: SharedIo, dir: &Path) -> Bed {
    let mut bed = Bed::new(io, dir);
    bed.config.segment_bytes = 400;
    bed.config.retention_ms = -1;
    bed
}

fn in_memory() -> Bed {
    bed(MemoryIo::shared(), Path::new("/"))
}

/// Appends batches of one record at these times, each a segment, and waits for them.
fn append_at(partition: &Partition, times: &[i64]) {
    for time in times {
        let done = partition
            .append(batch_at(NOW.0 + time, 300), false)
            .unwrap();
        wait_committed(partition, done.next_offset).unwrap();
    }
}

fn start(partition: &Partition) -> i64 {
    partition.offsets().unwrap().log_start.0
}

fn files(bed: &Bed) -> Vec<String> {
    let mut names: Vec<String> = bed
        .io
        .read_dir(&bed.dir.join("topic.1-0"))
        .unwrap()
        .iter()
        .map(|entry| entry.path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_segment_goes_when_its_largest_timestamp_is_more_than_retention_ms_ago() {
    on_every_io(|io, dir| {
        let mut bed = bed(io, dir);
        bed.config.retention_ms = 1_000;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        append_at(&partition, &[0, 100, 300]);
        for (ms, expected) in [(1_000, 0), (1, 1), (99, 1), (1, 2), (199, 2), (1, 3)] {
            bed.clock.advance(Duration::from_millis(ms));
            store.apply_retention(Haste::Usual);
            assert_eq!(start(&partition), expected, "after {ms} ms more");
        }
        let offsets = partition.offsets().unwrap();
        assert_eq!((offsets.log_end, partition.size().bytes), (Offset(3), 0));
        append_at(&partition, &[5_000]);
        drop((partition, store));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        assert_eq!(start(&partition), 3);
        assert_eq!(read_all(&partition, 3, 1_000, Isolation::LogEnd).len(), 1);
    });
}

#[test]
fn a_younger_segment_holds_what_lies_behind_it() {
    let mut bed = in_memory();
    bed.config.retention_ms = 1_000;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0, 9_000, 0, 0]);
    bed.clock.advance(Duration::from_secs(5));
    store.apply_retention(Haste::Usual);
    assert_eq!(start(&partition), 1);
    bed.clock.advance(Duration::from_secs(6));
    store.apply_retention(Haste::Usual);
    assert_eq!(start(&partition), 4);
}

#[test]
fn segments_go_as_long_as_the_rest_has_retention_bytes() {
    on_every_io(|io, dir| {
        let size = batch_at(NOW.0, 300).bytes.len() as i64;
        // Five segments: which bound leaves how many.
        for (bytes, expected) in [
            (-1, 0),
            (size * 5, 0),
            (size * 4 + 1, 0),
            (size * 4, 1),
            (size * 2 + 1, 2),
            (1, 4),
            (0, 5),
        ] {
            let mut bed = bed(io.clone(), &dir.join(bytes.to_string()));
            bed.config.retention_bytes = bytes;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            append_at(&partition, &[0; 5]);
            store.apply_retention(Haste::Usual);
            assert_eq!(start(&partition), expected, "retention.bytes={bytes}");
            store.apply_retention(Haste::Usual);
            assert_eq!(start(&partition), expected, "once more changes nothing");
        }
    });
}

#[test]
fn without_the_policy_delete_only_the_log_start_counts() {
    let mut bed = in_memory();
    (bed.config.delete, bed.config.compact) = (false, true);
    (bed.config.retention_ms, bed.config.retention_bytes) = (0, 0);
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0; 5]);
    bed.clock.advance(DAY);
    store.apply_retention(Haste::Usual);
    assert_eq!((start(&partition), files(&bed).len() > 10), (0, true));
    partition.delete_records(Offset(2)).unwrap();
    store.apply_retention(Haste::Usual);
    assert_eq!(
        partition.size().bytes,
        3 * batch_at(NOW.0, 300).bytes.len() as u64
    );
}

#[test]
fn an_active_segment_below_the_log_start_goes_when_room_is_needed() {
    let bed = in_memory();
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0]);
    partition.delete_records(Offset(1)).unwrap();
    store.apply_retention(Haste::Usual);
    assert!(partition.size().bytes > 0);
    let freed = store.apply_retention(Haste::AtOnce);
    assert_eq!((freed.segments, partition.size().bytes), (1, 0));
    append_at(&partition, &[0]);
    assert_eq!(start(&partition), 1);
}

#[test]
fn files_keep_for_file_delete_delay_ms_unless_room_is_needed() {
    on_every_io(|io, dir| {
        for haste in [Haste::Usual, Haste::AtOnce] {
            let mut bed = bed(io.clone(), &dir.join(format!("{haste:?}")));
            bed.config.file_delete_delay_ms = 60_000;
            bed.config.retention_bytes = 0;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            append_at(&partition, &[0; 3]);
            let freed = store.apply_retention(haste);
            assert_eq!(freed.segments, 3);
            let left = files(&bed);
            let deleted = left.iter().filter(|name| name.ends_with(".deleted"));
            let logs = |ending: &str| left.iter().filter(|name| name.ends_with(ending)).count();
            assert_eq!(logs(".log"), 1, "{left:?}");
            assert_eq!(
                (deleted.count() > 0, logs(".log.deleted")),
                (
                    haste == Haste::Usual,
                    if haste == Haste::Usual { 3 } else { 0 }
                ),
                "{left:?}"
            );
            if haste == Haste::Usual {
                store.apply_retention(Haste::AtOnce);
                assert_eq!(
                    files(&bed)
                        .iter()
                        .filter(|n| n.ends_with(".deleted"))
                        .count(),
                    0
                );
            }
        }
    });
}

#[test]
fn an_index_that_makes_a_segment_old_is_not_believed() {
    // A time index that a power cut left full of zeroes says 1970 (KAFKA-10207); one that was cut
    // short says what the first batches did.
    for damage in ["zeroes", "cut", "empty", "missing"] {
        let mut bed = in_memory();
        bed.config.segment_bytes = 4_000;
        bed.config.index_interval_bytes = 1;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        append_at(&partition, &[0; 10]);
        append_at(
            &partition,
            &[0, 1_000, 2_000, 3_000, 900_000, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        store.close().unwrap();
        drop((partition, store));
        let path = bed.dir.join("topic.1-0/00000000000000000010.timeindex");
        let file = bed.io.open(&path, OpenMode::Write).unwrap();
        let len = file.len().unwrap();
        assert!(len > 24, "{len}");
        match damage {
            "zeroes" => file.write_all_at(&[&vec![0; len as usize]], 0).unwrap(),
            "cut" => file.set_len(24).unwrap(),
            "empty" => file.set_len(0).unwrap(),
            _ => bed.io.remove_file(&path).unwrap(),
        }
        bed.config.retention_ms = 600_000;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        bed.clock.advance(Duration::from_millis(1_000_000));
        store.apply_retention(Haste::Usual);
        assert_eq!(start(&partition), 10, "{damage}");
        bed.clock.advance(Duration::from_millis(600_000));
        store.apply_retention(Haste::Usual);
        assert_eq!(start(&partition), 23, "{damage}");
    }
}

#[test]
fn a_segment_without_timestamps_is_as_old_as_its_last_append() {
    let mut bed = in_memory();
    bed.config.retention_ms = 1_000;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for _ in 0..2 {
        let done = partition.append(batch_at(-1, 300), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        bed.clock.advance(Duration::from_millis(600));
    }
    for (expected, ms) in [(1, 500), (2, 0)] {
        store.apply_retention(Haste::Usual);
        assert_eq!(start(&partition), expected);
        bed.clock.advance(Duration::from_millis(ms));
    }
}

#[test]
fn after_the_wall_clock_jumped_nothing_goes_by_time_for_ten_minutes() {
    let mut bed = in_memory();
    bed.config.retention_ms = 1_000;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0; 3]);
    bed.clock.jump(DAY * 365);
    for _ in 0..10 {
        store.apply_retention(Haste::Usual);
        assert_eq!(start(&partition), 0);
        bed.clock.advance(Duration::from_secs(60));
    }
    store.apply_retention(Haste::Usual);
    assert_eq!(start(&partition), 3);
}

#[test]
fn a_restart_is_no_jump_of_the_wall_clock() {
    let mut bed = in_memory();
    bed.config.retention_ms = 1_000;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0; 3]);
    store.close().unwrap();
    drop((partition, store));
    bed.clock.jump(DAY);
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    store.apply_retention(Haste::Usual);
    assert_eq!(start(&partition), 3);
}

#[test]
fn producers_and_epochs_outlive_their_batches() {
    on_every_io(|io, dir| {
        for clean in [true, false] {
            let mut bed = bed(io.clone(), &dir.join(clean.to_string()));
            bed.config.retention_bytes = 0;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for sequence in 0..4 {
                let done = partition
                    .append(sequenced(7, 0, sequence, 1), true)
                    .unwrap();
                wait_committed(&partition, done.next_offset).unwrap();
                partition.begin_epoch(LeaderEpoch(sequence + 1));
            }
            store.apply_retention(Haste::Usual);
            assert_eq!((start(&partition), partition.size().bytes), (4, 0));
            if clean {
                store.close().unwrap();
            }
            drop((partition, store));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(
                (start(&partition), partition.offsets().unwrap().log_end.0),
                (4, 4)
            );
            let retry = partition.append(sequenced(7, 0, 3, 1), true).unwrap();
            assert_eq!((retry.duplicate, retry.base_offset), (true, Offset(3)));
            let next = partition.append(sequenced(7, 0, 4, 1), true).unwrap();
            assert_eq!((next.duplicate, next.base_offset), (false, Offset(4)));
        }
    });
}

#[test]
fn many_partitions_cost_one_write_of_the_log_starts() {
    let mut bed = in_memory();
    bed.config.retention_bytes = 0;
    let (store, _) = bed.open();
    let partitions: Vec<_> = (1..50).map(|topic| bed.attach(&store, topic)).collect();
    for partition in &partitions {
        append_at(partition, &[0; 2]);
    }
    let wanted: Vec<_> = partitions
        .iter()
        .map(|partition| (partition.clone(), Offset(1)))
        .collect();
    for deleted in store.delete_records(&wanted) {
        assert_eq!(deleted, Ok(Offset(1)));
    }
    let freed = store.apply_retention(Haste::Usual);
    assert_eq!(freed.segments, 2 * partitions.len());
    for partition in &partitions {
        assert_eq!(start(partition), 2);
    }
}

#[test]
fn a_reader_of_what_goes_is_told_that_it_is_out_of_range() {
    on_every_io(|io, dir| {
        let mut bed = bed(io, dir);
        bed.open_files_max = 1;
        bed.config.retention_bytes = 700;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let done = &std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let partition = partition.clone();
                scope.spawn(move || {
                    while !done.load(std::sync::atomic::Ordering::SeqCst) {
                        let from = partition.offsets().unwrap().log_start;
                        match partition.read(from, 1 << 20, true, Isolation::LogEnd) {
                            Ok(_) | Err(ReadError::OutOfRange { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                        let found = partition.first_at_or_after(NOW, Isolation::LogEnd).unwrap();
                        assert!(found.is_none_or(|found| found.offset >= from));
                        partition.max_timestamp().unwrap();
                    }
                });
            }
            for _ in 0..100 {
                append_at(&partition, &[0]);
                store.apply_retention(Haste::AtOnce);
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        assert!(start(&partition) >= 97);
    });
}

/// What a power cut within a pass must leave alone.
struct CutCase {
    retention_bytes: i64,
    /// Where the log starts when the pass is through.
    target: i64,
    /// Whether records are deleted on request before the pass, and up to where.
    delete_before: Option<i64>,
}

/// A bed like another, on what a cut left.
fn again(io: SharedIo, before: &Bed) -> Bed {
    let mut bed = Bed::new(io, Path::new("/"));
    (bed.config, bed.clock) = (before.config.clone(), before.clock.clone());
    bed
}

/// Cuts the power after the `cut`-th call that changes anything; whether the pass came through.
fn cut_within_a_pass(case: &CutCase, cut: usize) -> bool {
    const RECORDS: i64 = 6;
    let io = crate::io::PowerCutIo::new();
    let mut bed = bed(io.clone(), Path::new("/"));
    bed.config.segment_bytes = 150;
    bed.config.retention_bytes = case.retention_bytes;
    let (store, _) = bed.open();
    let partitions: Vec<_> = (1..=2).map(|topic| bed.attach(&store, topic)).collect();
    for partition in &partitions {
        for sequence in 0..RECORDS as i32 {
            if sequence == 3 {
                partition.begin_epoch(LeaderEpoch(5));
            }
            let done = partition
                .append(sequenced(7, 0, sequence, 1), true)
                .unwrap();
            wait_committed(partition, done.next_offset).unwrap();
        }
    }
    io.cut_after(cut);
    let mut told = vec![0; partitions.len()];
    if let Some(before) = case.delete_before {
        let wanted: Vec<_> = partitions
            .iter()
            .map(|partition| (partition.clone(), Offset(before)))
            .collect();
        for (told, deleted) in told.iter_mut().zip(store.delete_records(&wanted)) {
            *told = deleted.map_or(0, |start| start.0);
        }
    }
    store.apply_retention(Haste::Usual);
    for (told, partition) in told.iter_mut().zip(&partitions) {
        *told = start(partition).max(*told);
    }
    let whole = !io.is_off();
    drop((partitions, store));
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut io = io.after_cut(&mut random);
        for round in 0..2 {
            let bed = again(io.clone(), &bed);
            let context = format!("cut {cut}, seed {seed}, round {round}");
            let (store, _) = bed.open();
            store.apply_retention(Haste::Usual);
            for (topic, told) in (1..).zip(&told) {
                let partition = bed.attach(&store, topic);
                let offsets = partition.offsets().unwrap();
                let found = offsets.log_start.0;
                assert!(
                    found >= *told,
                    "{context}: the log start went back to {found}"
                );
                assert!(
                    found <= case.target.max(case.delete_before.unwrap_or(0)),
                    "{context}: {found} starts too late"
                );
                assert_eq!(offsets.log_end, Offset(RECORDS), "{context}");
                let all = read_all(&partition, found, 1 << 20, Isolation::LogEnd);
                let numbers: Vec<i64> = all.iter().map(|(offset, _)| *offset).collect();
                assert_eq!(numbers, (found..RECORDS).collect::<Vec<_>>(), "{context}");
                let epoch =
                    |offset: i64| (found <= offset).then_some(if offset < 3 { 0 } else { 5 });
                for offset in found..RECORDS {
                    let told = partition.epoch_at(Offset(offset)).unwrap();
                    assert_eq!(told.map(|epoch| epoch.0), epoch(offset), "{context}");
                }
                let end = partition.epoch_end(LeaderEpoch(5)).unwrap();
                assert_eq!(end, Some((LeaderEpoch(5), Offset(RECORDS))), "{context}");
                // The producer is known, whether or not its batches are still there.
                let retry = partition.append(sequenced(7, 0, 5, 1), true);
                let retry = retry.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(
                    (retry.duplicate, retry.base_offset),
                    (true, Offset(5)),
                    "{context}"
                );
            }
            // Once more, after a cut within what the first start did.
            store.apply_retention(Haste::Usual);
            drop(store);
            io = io.after_cut(&mut random);
        }
        // A log that came back takes the next batch.
        let bed = again(io, &bed);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        store.apply_retention(Haste::Usual);
        let latest = case.target.max(case.delete_before.unwrap_or(0));
        let reached = case.target.max(told[0])..=latest;
        assert!(reached.contains(&start(&partition)), "the pass ends");
        let next = partition.append(sequenced(7, 0, 6, 1), true).unwrap();
        assert_eq!((next.duplicate, next.base_offset), (false, Offset(RECORDS)));
        wait_committed(&partition, next.next_offset).unwrap();
    }
    whole
}

#[test]
fn a_power_cut_within_a_pass_takes_nothing_else_and_brings_nothing_back() {
    let size = sequenced(7, 0, 0, 1).bytes.len() as i64;
    let cases = [
        CutCase {
            retention_bytes: 0,
            target: 6,
            delete_before: None,
        },
        CutCase {
            retention_bytes: size * 2,
            target: 4,
            delete_before: None,
        },
        CutCase {
            retention_bytes: -1,
            target: 0,
            delete_before: Some(5),
        },
        CutCase {
            retention_bytes: size * 4,
            target: 2,
            delete_before: Some(1),
        },
    ];
    for case in &cases {
        let cuts = (0..).find(|cut| cut_within_a_pass(case, *cut)).unwrap();
        assert!(cuts > 5, "{cuts}");
    }
}

#[test]
fn any_sequence_of_operations_leaves_what_kafkas_rules_leave() {
    let mut all = crate::storage::checks::retention::Checked::default();
    for seed in 0..200 {
        all += crate::storage::checks::retention::check_retention(seed, 60).unwrap();
    }
    assert!(all.segments > 800 && all.restarts > 200, "{all:?}");
}

#[test]
fn a_thread_looks_for_old_segments_and_soon_after_records_were_deleted() {
    let mut bed = in_memory();
    bed.config.retention_bytes = 0;
    let mut options = bed.options();
    options.clock = crate::clock::SystemClock::shared();
    options.upkeep.initial_task_delay_ms = 50;
    options.upkeep.retention_check_interval_ms = 50;
    let (store, _) = Store::open(options.clone()).unwrap();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0; 3]);
    let patience = std::time::Instant::now();
    let wait_for = |partition: &Partition, bytes: u64| {
        while partition.size().bytes > bytes {
            assert!(patience.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for(&partition, 0);
    assert_eq!(start(&partition), 3);
    store.close().unwrap();
    drop((partition, store));
    // The next look is far away.
    bed.config.retention_bytes = -1;
    options.upkeep.initial_task_delay_ms = 3_600_000;
    let (store, _) = Store::open(options).unwrap();
    let partition = bed.attach(&store, 1);
    append_at(&partition, &[0; 3]);
    partition.delete_records(Offset(5)).unwrap();
    wait_for(&partition, batch_at(NOW.0, 300).bytes.len() as u64);
    assert_eq!(start(&partition), 5);
}
