//! Starts after a crash, with every kind of damage that one leaves behind.

use super::*;
use crate::io::{Io, MemoryIo, OpenMode};

/// Values in the log, after some batches of different sizes; the stop was not clean, and nobody
/// knows what was on disk for certain.
fn crashed(bed: &Bed, batches: usize) -> Vec<(i64, String)> {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for index in 0..batches {
        let values: Vec<String> = (0..=index % 3).map(|n| format!("{index}.{n}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        partition.append(batch(&values), false).unwrap();
    }
    let end = partition.offsets().unwrap().log_end;
    wait_committed(&partition, end).unwrap();
    let all = read_all(&partition, 0, 1 << 20, Isolation::LogEnd);
    drop((partition, store));
    bed.forget_durable();
    all
}

fn recovered(bed: &Bed) -> Vec<(i64, String)> {
    let (store, opened) = bed.open();
    assert!(!opened.clean);
    let partition = bed.attach(&store, 1);
    assert_eq!(
        store.recover(),
        Recovered {
            partitions: 1,
            failed: 0
        }
    );
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.high_watermark, offsets.durable),
        (offsets.log_end, offsets.log_end)
    );
    let found = read_all(&partition, 0, 200, Isolation::ReadUncommitted);
    assert_eq!(
        offsets.log_end.0,
        found.last().map_or(0, |(offset, _)| offset + 1)
    );
    found
}

fn segment_path(bed: &Bed, name: &str) -> PathBuf {
    bed.dir.join("topic.1-0").join(name)
}

/// All files of the partition, by name.
fn image(bed: &Bed) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let entries = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
    entries
        .into_iter()
        .map(|entry| (entry.path.clone(), bed.io.read(&entry.path).unwrap()))
        .collect()
}

fn overwrite(io: &dyn Io, path: &Path, content: &[u8]) {
    let file = io.open(path, OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&[content], 0).unwrap();
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_batch_costs_that_batch_alone() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let all = crashed(&bed, 6);
    let log = segment_path(&bed, "00000000000000000000.log");
    let content = bed.io.read(&log).unwrap();
    let last_batch = content.len() - batch(&["5.0", "5.1", "5.2"]).bytes.len();
    for cut in last_batch..content.len() {
        // Cut, and filled up with zeros, as a file system does whose length was ahead of its data.
        for zeros in [0, 1, content.len() - cut, 5_000] {
            let mut torn = content[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            // The batch happens to end in zeros.
            if torn.starts_with(&content) {
                continue;
            }
            overwrite(&*bed.io, &log, &torn);
            assert_eq!(
                recovered(&bed),
                all[..all.len() - 3],
                "cut at {cut}, {zeros} zeros"
            );
            assert_eq!(bed.io.read(&log).unwrap(), content[..last_batch]);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_batch_costs_that_batch_alone() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let all = crashed(&bed, 4);
    let log = segment_path(&bed, "00000000000000000000.log");
    let content = bed.io.read(&log).unwrap();
    let last_batch = content.len() - batch(&["3.0"]).bytes.len();
    for byte in last_batch..content.len() {
        // The leader epoch is outside the checksum.
        if (12..16).contains(&(byte - last_batch)) {
            continue;
        }
        let mut flipped = content.clone();
        flipped[byte] ^= 0x80;
        overwrite(&*bed.io, &log, &flipped);
        assert_eq!(recovered(&bed), all[..all.len() - 1], "byte {byte}");
    }
}

#[test]
fn recovering_twice_gives_the_same_bytes() {
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    bed.config.segment_bytes = 700;
    bed.config.index_interval_bytes = 100;
    let all = crashed(&bed, 40);
    let logs: Vec<PathBuf> = image(&bed)
        .into_keys()
        .filter(|path| path.extension() == Some("log".as_ref()))
        .collect();
    let last = logs.last().unwrap();
    let content = bed.io.read(last).unwrap();
    overwrite(&*bed.io, last, &content[..content.len() - 7]);
    let once = recovered(&bed);
    assert!(once.len() < all.len() && once[..] == all[..once.len()]);
    let first = image(&bed);
    assert_eq!(recovered(&bed), once);
    assert_eq!(image(&bed), first);
}

#[test]
fn files_that_can_be_rebuilt_may_be_missing_short_or_rubbish() {
    for clean in [true, false] {
        let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        bed.config.segment_bytes = 1_500;
        bed.config.index_interval_bytes = 100;
        let all = crashed(&bed, 60);
        if clean {
            let (store, _) = bed.open();
            bed.attach(&store, 1).offsets().unwrap();
            store.close().unwrap();
        }
        let root = bed.io.read_dir(&bed.dir).unwrap();
        let root: Vec<_> = root
            .into_iter()
            .filter(|entry| !entry.is_dir)
            .map(|entry| (entry.path.clone(), bed.io.read(&entry.path).unwrap()))
            .collect();
        let pristine = image(&bed);
        let derived: Vec<&PathBuf> = pristine
            .keys()
            .filter(|path| path.extension() != Some("log".as_ref()))
            .collect();
        assert!(derived.len() > 6, "{derived:?}");
        for path in derived {
            let content = &pristine[path];
            let half = content[..content.len() / 2].to_vec();
            let rubbish = vec![0x5a; content.len()];
            let zeros = vec![0; content.len()];
            for damaged in [
                None,
                Some(Vec::new()),
                Some(half),
                Some(rubbish),
                Some(zeros),
            ] {
                match &damaged {
                    None => bed.io.remove_file(path).unwrap(),
                    Some(damaged) => overwrite(&*bed.io, path, damaged),
                }
                let (store, opened) = bed.open();
                assert_eq!(opened.clean, clean);
                let partition = bed.attach(&store, 1);
                store.recover();
                let case = format!("{clean} {} {damaged:?}", path.display());
                assert_eq!(
                    read_all(&partition, 0, 300, Isolation::ReadUncommitted),
                    all,
                    "{case}"
                );
                for offset in (0..all.len() as i64).step_by(7) {
                    let tail = read_all(&partition, offset, 90, Isolation::ReadUncommitted);
                    assert_eq!(tail, all[offset as usize..], "{case}");
                }
                let epoch = partition.epoch_end(LeaderEpoch(0)).unwrap();
                assert_eq!(
                    epoch,
                    Some((LeaderEpoch(0), Offset(all.len() as i64))),
                    "{case}"
                );
                drop((partition, store));
                for (path, content) in root
                    .iter()
                    .map(|(path, content)| (path, content))
                    .chain(&pristine)
                {
                    overwrite(&*bed.io, path, content);
                }
                for path in image(&bed)
                    .keys()
                    .filter(|path| !pristine.contains_key(*path))
                {
                    bed.io.remove_file(path).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_clean_log_that_rotted_is_refused_where_it_is_bad_and_served_where_it_is_good() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let all = crashed(&bed, 9);
    let (store, _) = bed.open();
    bed.attach(&store, 1).offsets().unwrap();
    store.close().unwrap();
    drop(store);
    let log = segment_path(&bed, "00000000000000000000.log");
    let mut content = bed.io.read(&log).unwrap();
    let bad = content
        .windows(3)
        .position(|window| window == b"4.0")
        .unwrap();
    content[bad] ^= 1;
    overwrite(&*bed.io, &log, &content);
    let (store, opened) = bed.open();
    assert!(opened.clean);
    let partition = bed.attach(&store, 1);
    let bad_offset = all.iter().find(|(_, value)| value == "4.0").unwrap().0;
    let read = |from: i64| partition.read(Offset(from), 1 << 20, true, Isolation::ReadUncommitted);
    let before = read(0).unwrap();
    let header_end = BatchHeader::parse(&bytes_of(&before.records))
        .unwrap()
        .next_offset();
    assert_eq!(header_end, Offset(1));
    assert!(matches!(read(bad_offset), Err(ReadError::Corrupt { .. })));
    assert_eq!(
        read_all(&partition, bad_offset + 2, 1 << 20, Isolation::LogEnd).len(),
        { all.len() - bad_offset as usize - 2 }
    );
}

#[test]
fn an_unclean_stop_is_noticed_only_where_there_is_something_to_recover() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    drop(store);
    let (store, opened) = bed.open();
    assert!(opened.clean, "no partition, nothing to recover");
    bed.attach(&store, 1).append(batch(&["a"]), false).unwrap();
    drop(store);
    assert!(!bed.open().1.clean);
}

#[test]
fn the_files_of_another_incarnation_of_a_topic_are_set_aside() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io, dir);
        let (store, _) = bed.open();
        let done = bed
            .attach(&store, 1)
            .append(batch(&["old"]), false)
            .unwrap();
        wait_committed(&bed.attach(&store, 1), done.next_offset).unwrap();
        store.close().unwrap();
        drop(store);
        let (store, _) = bed.open();
        let id = TopicPartition {
            topic: TopicId(uuid::Uuid::from_u128(2)),
            partition: PartitionId(0),
        };
        let partition = store.attach(PartitionSpec { id, ..bed.spec(1) });
        assert_eq!(partition.offsets().unwrap().log_end, Offset(0));
        partition.append(batch(&["new"]), false).unwrap();
        assert_eq!(
            read_all(&partition, 0, 1, Isolation::LogEnd),
            [(0, "new".to_owned())]
        );
    });
}

#[test]
fn directories_of_no_partition_are_set_aside_and_deleted_ones_removed() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io.clone(), dir);
        let (store, _) = bed.open();
        for topic in [1, 2] {
            let partition = bed.attach(&store, topic);
            let done = partition.append(batch(&["a"]), false).unwrap();
            wait_committed(&partition, done.next_offset).unwrap();
        }
        store.close().unwrap();
        drop(store);
        let deleted = bed
            .dir
            .join("gone-0.0123456789abcdef0123456789abcdef-delete");
        io.create_dir_all(&deleted).unwrap();
        let (store, _) = bed.open();
        let kept = bed.attach(&store, 1);
        store.remove_strays();
        assert_eq!(kept.offsets().unwrap().log_end, Offset(1));
        let names: Vec<String> = io
            .read_dir(&bed.dir)
            .unwrap()
            .into_iter()
            .filter(|entry| entry.is_dir)
            .map(|entry| entry.path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert!(names.contains(&"topic.1-0".to_owned()), "{names:?}");
        assert!(!names.contains(&"topic.2-0".to_owned()), "{names:?}");
        assert!(
            names
                .iter()
                .any(|name| name.starts_with("topic.2-0.") && name.ends_with("-stray"))
        );
        let patience = std::time::Instant::now();
        while io.exists(&deleted) && patience.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        assert!(!io.exists(&deleted));
    });
}

#[test]
fn damage_with_valid_batches_behind_it_costs_only_what_it_hit() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let all = crashed(&bed, 9);
    let log = segment_path(&bed, "00000000000000000000.log");
    let content = bed.io.read(&log).unwrap();
    let value = content
        .windows(3)
        .position(|window| window == b"4.0")
        .unwrap();
    let first_batch = batch(&["0.0"]).bytes.len();
    // In a record; in a length, so that nobody can hop over it; in the very first magic.
    for (bit, at, lost) in [
        (1, value, 7..9),
        (0x40, first_batch + 8, 1..3),
        (1, 16, 0..1),
    ] {
        let mut damaged = content.clone();
        damaged[at] ^= bit;
        overwrite(&*bed.io, &log, &damaged);
        for _again in 0..2 {
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(partition.offsets().unwrap().log_end.0, all.len() as i64);
            for (offset, _) in &all {
                let read = partition.read(Offset(*offset), 1 << 20, true, Isolation::LogEnd);
                assert_eq!(
                    read.is_err(),
                    lost.contains(offset),
                    "damage at {at}, offset {offset}"
                );
            }
            let behind = read_all(&partition, lost.end, 1 << 20, Isolation::LogEnd);
            assert_eq!(behind, all[lost.end as usize..]);
            assert_eq!(bed.io.read(&log).unwrap(), damaged, "nothing is deleted");
        }
    }
}

#[test]
fn what_the_recovery_point_promises_is_never_cut() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let all = crashed(&bed, 4);
    let log = segment_path(&bed, "00000000000000000000.log");
    let mut content = bed.io.read(&log).unwrap();
    let last = content.len() - 3;
    content[last] ^= 1;
    overwrite(&*bed.io, &log, &content);
    let points = format!("0\n1\ntopic.1 0 {}\n", all.len());
    overwrite(
        &*bed.io,
        &bed.dir.join("recovery-point-offset-checkpoint"),
        points.as_bytes(),
    );
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(bed.io.read(&log).unwrap(), content);
    let last_offset = Offset(all.len() as i64 - 1);
    let done = partition.append(batch(&["next"]), false).unwrap();
    assert_eq!(
        done.base_offset,
        last_offset.plus(1),
        "no offset is given twice"
    );
    let read = partition.read(last_offset, 100, true, Isolation::LogEnd);
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
}

#[test]
fn a_topic_that_is_made_again_does_not_find_the_offsets_of_the_old_one() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io, dir);
        let (store, _) = bed.open();
        let old = bed.attach(&store, 1);
        for _ in 0..9 {
            old.append(batch(&["old"]), false).unwrap();
        }
        wait_committed(&old, Offset(9)).unwrap();
        store.close().unwrap();
        drop((old, store));
        let (store, _) = bed.open();
        let old = bed.attach(&store, 1);
        assert_eq!(old.delete_records(Offset(4)).unwrap(), Offset(4));
        store.delete(&old.id());
        let id = TopicPartition {
            topic: TopicId(uuid::Uuid::from_u128(2)),
            ..old.id()
        };
        let again = store.attach(PartitionSpec { id, ..bed.spec(1) });
        let done = again.append(batch(&["new"]), false).unwrap();
        wait_committed(&again, done.next_offset).unwrap();
        drop((old, again, store));
        let (store, opened) = bed.open();
        assert!(!opened.clean);
        let again = store.attach(PartitionSpec { id, ..bed.spec(1) });
        assert_eq!(
            read_all(&again, 0, 1, Isolation::LogEnd),
            [(0, "new".to_owned())]
        );
        assert_eq!(again.offsets().unwrap().log_end, Offset(1));
    });
}

#[test]
fn a_base_offset_that_rotted_after_a_clean_stop_is_noticed() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let all = crashed(&bed, 6);
    let (store, _) = bed.open();
    bed.attach(&store, 1).offsets().unwrap();
    store.close().unwrap();
    drop(store);
    let log = segment_path(&bed, "00000000000000000000.log");
    let mut content = bed.io.read(&log).unwrap();
    let last_batch = content.len() - batch(&["5.0", "5.1", "5.2"]).bytes.len();
    content[last_batch + 6] ^= 1;
    overwrite(&*bed.io, &log, &content);
    let (store, opened) = bed.open();
    assert!(opened.clean);
    let partition = bed.attach(&store, 1);
    assert_eq!(
        partition.offsets().unwrap().log_end,
        Offset(all.len() as i64)
    );
    let read = partition.read(Offset(all.len() as i64 - 1), 100, true, Isolation::LogEnd);
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
}

#[test]
fn a_flipped_leader_epoch_costs_the_batch_that_has_it_and_no_other() {
    for clean in [true, false] {
        let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        let all = crashed(&bed, 9);
        if clean {
            let (store, _) = bed.open();
            bed.attach(&store, 1).offsets().unwrap();
            store.close().unwrap();
        }
        let root = bed.io.read_dir(&bed.dir).unwrap();
        let root: Vec<_> = root
            .into_iter()
            .filter(|entry| !entry.is_dir)
            .map(|entry| (entry.path.clone(), bed.io.read(&entry.path).unwrap()))
            .collect();
        let log = segment_path(&bed, "00000000000000000000.log");
        let content = bed.io.read(&log).unwrap();
        let mut position = 0;
        // The last one after an unclean stop may as well be of a new epoch.
        while position < content.len() - batch(&["8.0", "8.1", "8.2"]).bytes.len() {
            let header = BatchHeader::parse(&content[position..]).unwrap();
            for byte in 12..16 {
                let mut flipped = content.clone();
                flipped[position + byte] ^= 0x80;
                overwrite(&*bed.io, &log, &flipped);
                let (store, _) = bed.open();
                let partition = bed.attach(&store, 1);
                let read = |from: Offset| partition.read(from, 1, true, Isolation::ReadUncommitted);
                assert!(
                    matches!(read(header.base_offset), Err(ReadError::Corrupt { .. })),
                    "{clean} {position} {byte}"
                );
                for (offset, _) in &all {
                    let bad = (header.base_offset.0..=header.last_offset().0).contains(offset);
                    assert_eq!(read(Offset(*offset)).is_err(), bad, "{position} {offset}");
                }
                drop((partition, store));
                for (path, content) in &root {
                    overwrite(&*bed.io, path, content);
                }
            }
            position += header.total_len();
        }
    }
}
