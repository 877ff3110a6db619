//! Open files, sealed segments, and what a start reads.

use super::*;
use crate::io::tests::ScratchDirectory;
use crate::io::{MemoryIo, OpenMode, RealIo};

#[test]
fn many_segments_are_served_with_few_open_files() {
    on_every_io(|io, dir| {
        let mut bed = Bed::new(io, dir);
        bed.config.segment_bytes = 400;
        bed.open_files_max = 3;
        let (store, _) = bed.open();
        let partitions: Vec<_> = (0..6).map(|topic| bed.attach(&store, topic)).collect();
        for round in 0..20 {
            for partition in &partitions {
                partition
                    .append(batch(&[&format!("{round}")]), false)
                    .unwrap();
            }
        }
        for partition in &partitions {
            wait_committed(partition, Offset(20)).unwrap();
            let all = read_all(partition, 0, 150, Isolation::ReadUncommitted);
            assert_eq!(all.len(), 20);
        }
        let stats = store.file_cache_stats();
        assert!(stats.open <= stats.max + 1, "{stats:?}");
        assert!(
            stats.hits > 0 && stats.misses > 40 && stats.evictions > 40,
            "{stats:?}"
        );
    });
}

#[test]
fn a_region_outlives_the_cache_and_the_partition() {
    let scratch = ScratchDirectory::new();
    let mut bed = Bed::new(RealIo::shared(), scratch.path());
    bed.open_files_max = 1;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let value = "v".repeat(20_000);
    let done = partition.append(batch(&[&value]), false).unwrap();
    wait_committed(&partition, done.next_offset).unwrap();
    let outcome = partition
        .read(Offset(0), 1 << 20, true, Isolation::ReadUncommitted)
        .unwrap();
    assert!(matches!(outcome.records, RecordBytes::Region { .. }));
    store.delete(&partition.id());
    drop((partition, store));
    let bytes = bytes_of(&outcome.records);
    assert!(BatchHeader::parse(&bytes).unwrap().crc_matches(&bytes));
}

#[test]
fn readers_that_hold_too_many_files_get_copies_instead() {
    let scratch = ScratchDirectory::new();
    let mut bed = Bed::new(RealIo::shared(), scratch.path());
    bed.open_files_max = 3;
    let (store, _) = bed.open();
    let value = "v".repeat(20_000);
    let read = |topic: u128| {
        let partition = bed.attach(&store, topic);
        let done = partition.append(batch(&[&value]), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        let read = partition.read(Offset(0), 1 << 20, true, Isolation::ReadUncommitted);
        read.unwrap().records
    };
    let held: Vec<_> = (0..10).map(read).collect();
    let regions = held
        .iter()
        .filter(|records| matches!(records, RecordBytes::Region { .. }));
    assert_eq!(regions.count(), 3);
    assert!(store.file_cache_stats().open <= 4);
    drop(held);
    assert!(matches!(read(20), RecordBytes::Region { .. }));
}

#[test]
fn a_read_from_memory_shares_the_stored_bytes() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    partition
        .append(batch(&[&"v".repeat(20_000)]), false)
        .unwrap();
    let read = || match partition.read(Offset(0), 1 << 20, true, Isolation::LogEnd) {
        Ok(ReadOutcome {
            records: RecordBytes::Memory(bytes),
            ..
        }) => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(read().as_ptr(), read().as_ptr());
}

#[test]
fn attaching_touches_no_file_and_an_unused_partition_has_none() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io.clone(), dir);
        let (store, _) = bed.open();
        for topic in 0..50 {
            let partition = bed.attach(&store, topic);
            assert_eq!(partition.offsets().unwrap(), Offsets::default());
            assert_eq!(partition.max_timestamp().unwrap(), None);
        }
        assert!(
            io.read_dir(&bed.dir)
                .unwrap()
                .iter()
                .all(|entry| !entry.is_dir)
        );
        store.close().unwrap();
    });
}

#[test]
fn segments_roll_by_time_by_size_and_when_their_index_is_full() {
    let bases = |config: &dyn Fn(&mut LogConfig), step_ms: i64| {
        let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        config(&mut bed.config);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        for index in 0..12 {
            let mut builder = BatchBuilder::new();
            builder.push(Timestamp(NOW.0 + index * step_ms), None, Some(&[0; 100]));
            partition.append(builder.build().unwrap(), false).unwrap();
        }
        let entries = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
        let mut bases: Vec<i64> = entries
            .iter()
            .filter_map(|entry| {
                format::names::SegmentFile::parse(entry.path.file_name()?.to_str()?)
            })
            .filter(|(kind, _)| *kind == format::names::SegmentFile::Log)
            .map(|(_, base)| base.0)
            .collect();
        bases.sort_unstable();
        bases
    };
    assert_eq!(bases(&|_| {}, 10), [0]);
    // By the time of the records, from the first batch on (`LogSegment.timeWaitedForRoll`).
    assert_eq!(bases(&|config| config.segment_ms = 35, 10), [0, 4, 8]);
    // A batch is 170 bytes.
    assert_eq!(
        bases(&|config| config.segment_bytes = 3 * 170 + 100, 0),
        [0, 3, 6, 9]
    );
    // Four entries of 8 bytes; every batch but the first of a segment gets one.
    let small_index = |config: &mut LogConfig| {
        (config.segment_index_bytes, config.index_interval_bytes) = (36, 0);
    };
    assert_eq!(bases(&small_index, 0), [0, 5, 10]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_preallocated_segment_takes_its_room_at_once_and_gives_it_back() {
    use std::os::unix::fs::MetadataExt;
    let scratch = ScratchDirectory::new();
    let mut bed = Bed::new(RealIo::shared(), scratch.path());
    (bed.config.preallocate, bed.config.segment_bytes) = (true, 1 << 20);
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let done = partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, done.next_offset).unwrap();
    let log = bed.dir.join("topic.1-0").join("00000000000000000000.log");
    let metadata = std::fs::metadata(&log).unwrap();
    assert!(metadata.len() < 1_000, "the length is that of the records");
    assert!(
        metadata.blocks() * 512 >= 1 << 20,
        "{} blocks",
        metadata.blocks()
    );
    store.close().unwrap();
    let blocks = std::fs::metadata(&log).unwrap().blocks();
    assert!(blocks * 512 <= 16_384, "{blocks} blocks");
}

#[test]
fn snapshots_of_earlier_stops_do_not_pile_up() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    for round in 0..5 {
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        partition.append(sequenced(1, 0, round, 1), false).unwrap();
        store.close().unwrap();
    }
    let entries = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
    let snapshots = entries
        .iter()
        .filter(|entry| entry.path.extension() == Some("snapshot".as_ref()));
    assert_eq!(
        snapshots.count(),
        2,
        "the one that was loaded, and the newest"
    );
}

/// Prints what a start with many partitions costs after a clean stop.
#[test]
#[ignore = "a measurement"]
fn a_start_with_a_thousand_partitions() {
    let scratch = ScratchDirectory::new();
    let bed = Bed::new(RealIo::shared(), scratch.path());
    let (store, _) = bed.open();
    for topic in 0..1_000 {
        bed.attach(&store, topic)
            .append(batch(&["a"]), false)
            .unwrap();
    }
    let start = std::time::Instant::now();
    store.close().unwrap();
    println!("close: {:?}", start.elapsed());
    drop(store);
    for clean in [true, false] {
        let start = std::time::Instant::now();
        let (store, opened) = bed.open();
        assert_eq!(opened.clean, clean);
        let partitions: Vec<_> = (0..1_000).map(|topic| bed.attach(&store, topic)).collect();
        println!("open and attach, clean {clean}: {:?}", start.elapsed());
        println!("{:?} after {:?}", store.recover(), start.elapsed());
        let start = std::time::Instant::now();
        for partition in &partitions {
            assert_eq!(partition.offsets().unwrap().log_end, Offset(1));
        }
        println!("first use of all: {:?}", start.elapsed());
    }
}

#[test]
fn a_directory_whose_formatting_a_power_cut_ended_is_formatted_again_and_no_other() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let meta = bed.dir.join("meta.properties");
    let tear = || {
        let file = bed.io.open(&meta, OpenMode::Write).unwrap();
        file.set_len(0).unwrap();
        file.set_len(20).unwrap();
    };
    drop(bed.open());
    tear();
    // Nothing was made durable in it.
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, Offset(1)).unwrap();
    store.close().unwrap();
    drop((partition, store));
    tear();
    let refused = Store::open(bed.options()).unwrap_err();
    assert!(matches!(refused, OpenError::Metadata { .. }), "{refused}");
}
