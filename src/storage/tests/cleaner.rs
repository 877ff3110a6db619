//! Compaction, case by case.

use super::*;
use crate::batch::{Codec, EndMarker, Level};
use crate::io::{MemoryIo, OpenMode};

mod joins;

/// A compacted log that is due whenever something of it is dirty.
fn compacted(io: SharedIo) -> Bed {
    let mut bed = Bed::new(io, Path::new("/"));
    bed.config.compact = true;
    bed.config.delete = false;
    bed.config.segment_bytes = 150;
    bed.config.min_cleanable_dirty_ratio = 0.0;
    bed.config.delete_retention_ms = 1_000;
    bed
}

/// A batch of records with these keys and values, now.
fn keyed(bed: &Bed, records: &[(&str, Option<&str>)]) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    fill(&mut builder, bed, records);
    builder.build().unwrap()
}

fn fill(builder: &mut BatchBuilder, bed: &Bed, records: &[(&str, Option<&str>)]) {
    use crate::clock::Clock;
    for (key, value) in records {
        builder.push(
            bed.clock.wall(),
            Some(key.as_bytes()),
            value.map(str::as_bytes),
        );
    }
}

/// Appends a batch, alone in its segment, and waits until it is committed.
fn put(partition: &Partition, batch: ValidBatch) {
    let log = partition.log().unwrap();
    if log.published().load().end.position > 0 {
        log.roll(&mut log.stop_writer(), NOW);
    }
    let end = partition.append(batch, false).unwrap().next_offset;
    wait_committed(partition, end).unwrap();
}

/// A batch with its records: offset, key, value.
type Stored = (BatchHeader, Vec<(i64, String, Option<String>)>);

/// Headers of all batches, and their records: offset, key, value.
fn stored(partition: &Partition) -> Vec<Stored> {
    let (mut next, mut found) = (partition.offsets().unwrap().log_start, Vec::new());
    loop {
        let outcome = partition
            .read(next, 1 << 20, true, Isolation::LogEnd)
            .unwrap();
        let bytes = bytes_of(&outcome.records);
        if bytes.is_empty() {
            return found;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap();
            assert!(header.crc_matches(rest));
            let text =
                |bytes: Option<&[u8]>| bytes.map(|it| String::from_utf8_lossy(it).into_owned());
            let opened = records(&rest[..header.total_len()]).unwrap();
            let list = opened.iter().map(|record| {
                let record = record.unwrap();
                (
                    record.offset.0,
                    text(record.key).unwrap_or_default(),
                    text(record.value),
                )
            });
            found.push((header, list.collect()));
            next = header.next_offset();
            rest = &rest[header.total_len()..];
        }
    }
}

/// The records that are left.
fn left(partition: &Partition) -> Vec<(i64, String, Option<String>)> {
    stored(partition)
        .into_iter()
        .flat_map(|(_, list)| list)
        .collect()
}

fn is(offset: i64, key: &str, value: Option<&str>) -> (i64, String, Option<String>) {
    (offset, key.to_owned(), value.map(str::to_owned))
}

#[test]
fn the_last_record_of_each_key_stays_with_its_offset() {
    for codec in Codec::ALL {
        let bed = compacted(MemoryIo::shared());
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let lists: [&[(&str, Option<&str>)]; 4] = [
            &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))],
            &[("b", Some("2"))],
            &[("a", Some("3")), ("d", Some("3"))],
            &[("c", Some("4"))],
        ];
        for list in lists {
            let mut builder = BatchBuilder::new().compression(codec, Level::Default);
            fill(&mut builder, &bed, list);
            put(&partition, builder.build().unwrap());
        }
        let cleaned = store.clean_once().unwrap();
        assert_eq!((cleaned.from, cleaned.to), (Offset(0), Offset(6)));
        let expected = [
            is(2, "c", Some("1")),
            is(3, "b", Some("2")),
            is(4, "a", Some("3")),
            is(5, "d", Some("3")),
            is(6, "c", Some("4")),
        ];
        assert_eq!(left(&partition), expected, "{codec:?}");
        let (header, _) = stored(&partition)[0].clone();
        assert_eq!(
            (header.base_offset, header.last_offset_delta),
            (Offset(0), 2)
        );
        assert_eq!(header.codec(), Ok(codec));
        assert_eq!(store.clean_once(), None, "there is nothing left to do");
        drop((partition, store));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        assert_eq!(left(&partition), expected);
        assert_eq!(store.clean_once(), None, "and that is remembered");
        put(&partition, keyed(&bed, &[("d", Some("5"))]));
        assert_eq!(store.clean_once().map(|done| done.to), Some(Offset(7)));
        assert_eq!(left(&partition).len(), 5, "the last c is not doubly there");
    }
}

#[test]
fn segments_that_stay_as_they_are_are_read_once_and_written_never() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    // Too long for two to become one.
    let value = "v".repeat(60);
    let written = ["a", "b", "a", "c", "d"].map(|key| {
        let batch = keyed(&bed, &[(key, Some(&value))]);
        let bytes = batch.bytes.len() as u64;
        put(&partition, batch);
        bytes
    });
    let cleaned = store.clean_once().unwrap();
    assert_eq!((cleaned.from, cleaned.to), (Offset(0), Offset(4)));
    let dirty: u64 = written[..4].iter().sum();
    assert_eq!(cleaned.counts.bytes_read, dirty + written[0]);
    assert_eq!(cleaned.counts.segments, 1);
    put(&partition, keyed(&bed, &[("b", Some(&value))]));
    put(&partition, keyed(&bed, &[("e", None)]));
    put(&partition, keyed(&bed, &[("f", None)]));
    let cleaned = store.clean_once().unwrap();
    assert_eq!((cleaned.from, cleaned.to), (Offset(4), Offset(7)));
    let offsets: Vec<i64> = left(&partition)
        .iter()
        .map(|(offset, ..)| *offset)
        .collect();
    assert_eq!(offsets, [2, 3, 4, 5, 6, 7]);
    assert!(
        stored(&partition)
            .iter()
            .any(|(header, _)| header.has_delete_horizon())
    );
    let unchanged = stored(&partition);
    bed.clock.advance(Duration::from_millis(1));
    put(&partition, keyed(&bed, &[("g", None)]));
    store.clean_once().unwrap();
    assert_eq!(stored(&partition)[..5], unchanged[..5]);
}

#[test]
fn a_marker_is_needed_though_its_segment_is_looked_through_before_it_is_written() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
    let mut data = BatchBuilder::new().producer(id, epoch, 0).transactional();
    fill(&mut data, &bed, &[("a", Some("1"))]);
    let marker = EndMarker {
        committed: true,
        coordinator_epoch: 1,
    };
    let mut without_key = BatchBuilder::new();
    without_key.push(NOW, None, Some(b"v"));
    put(&partition, data.build().unwrap());
    put(&partition, marker.batch(id, epoch, NOW).unwrap());
    // In the segment of the marker: nothing is known to go, and something does.
    partition
        .append(without_key.build().unwrap(), false)
        .unwrap();
    put(&partition, keyed(&bed, &[("b", Some("1"))]));
    assert_eq!(store.clean_once().unwrap().counts.segments, 1);
    let found = stored(&partition);
    let counts: Vec<i32> = found
        .iter()
        .map(|(header, _)| header.record_count)
        .collect();
    assert_eq!(counts, [1, 1, 0, 1]);
    assert!(found[1].0.is_control() && !found[1].0.has_delete_horizon());
}

#[test]
fn a_tombstone_stays_until_its_horizon_and_takes_older_records_with_it() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    put(
        &partition,
        keyed(&bed, &[("a", Some("1")), ("b", Some("1"))]),
    );
    put(&partition, keyed(&bed, &[("a", None)]));
    put(&partition, keyed(&bed, &[("x", Some("1"))]));
    store.clean_once().unwrap();
    let found = stored(&partition);
    assert_eq!(found[1].1, [is(2, "a", None)]);
    assert!(found[1].0.has_delete_horizon());
    assert_eq!(found[1].0.base_timestamp, Timestamp(NOW.0 + 1_000));
    assert_eq!(found[1].0.max_timestamp, NOW);
    let found = partition.first_at_or_after(NOW, Isolation::LogEnd).unwrap();
    assert_eq!(found.map(|found| found.timestamp), Some(NOW));
    bed.clock.advance(Duration::from_millis(999));
    put(&partition, keyed(&bed, &[("x", Some("2"))]));
    store.clean_once().unwrap();
    assert!(
        left(&partition).contains(&is(2, "a", None)),
        "it is not time yet"
    );
    bed.clock.advance(Duration::from_millis(1));
    put(&partition, keyed(&bed, &[("x", Some("3"))]));
    store.clean_once().unwrap();
    assert_eq!(
        left(&partition)[..2],
        [is(1, "b", Some("1")), is(4, "x", Some("2"))]
    );
}

#[test]
fn records_without_keys_go_and_the_end_of_the_cleaned_part_stays_known() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let mut builder = BatchBuilder::new();
    builder.push(NOW, None, Some(b"v"));
    put(&partition, keyed(&bed, &[("a", Some("1"))]));
    put(&partition, builder.build().unwrap());
    put(&partition, keyed(&bed, &[("a", Some("2"))]));
    store.clean_once().unwrap();
    let found = stored(&partition);
    let (empty, records) = &found[1];
    assert_eq!(
        (empty.base_offset, empty.record_count, records.len()),
        (Offset(1), 0, 0)
    );
    assert_eq!(found.len(), 3);
    put(&partition, keyed(&bed, &[("b", Some("1"))]));
    store.clean_once().unwrap();
    let bases: Vec<i64> = stored(&partition)
        .iter()
        .map(|(header, _)| header.base_offset.0)
        .collect();
    assert_eq!(bases, [2, 3], "a later one says so now");
}

#[test]
fn the_active_segment_and_what_is_too_young_are_not_touched() {
    let mut bed = compacted(MemoryIo::shared());
    bed.config.min_compaction_lag_ms = 10_000;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    put(&partition, keyed(&bed, &[("a", Some("1"))]));
    put(&partition, keyed(&bed, &[("a", Some("2"))]));
    bed.clock.advance(Duration::from_secs(10));
    put(&partition, keyed(&bed, &[("a", Some("3"))]));
    put(&partition, keyed(&bed, &[("b", Some("1"))]));
    assert_eq!(store.clean_once().map(|done| done.to), Some(Offset(2)));
    let expected = [
        is(1, "a", Some("2")),
        is(2, "a", Some("3")),
        is(3, "b", Some("1")),
    ];
    assert_eq!(left(&partition), expected);
}

#[test]
fn a_log_is_due_by_its_ratio_or_by_the_age_of_its_oldest_dirty_segment() {
    let mut bed = compacted(MemoryIo::shared());
    bed.config.min_cleanable_dirty_ratio = 0.7;
    bed.config.max_compaction_lag_ms = 60_000;
    bed.config.segment_bytes = 100;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for number in 0..6 {
        put(&partition, keyed(&bed, &[(&number.to_string(), Some("1"))]));
    }
    assert_eq!(
        store.clean_once().map(|done| done.to),
        Some(Offset(5)),
        "all is dirty"
    );
    for _ in 0..4 {
        put(&partition, keyed(&bed, &[("x", Some("1"))]));
    }
    assert_eq!(store.clean_once(), None, "four of nine segments");
    bed.clock.advance(Duration::from_millis(60_001));
    assert_eq!(store.clean_once().map(|done| done.to), Some(Offset(9)));
}

#[test]
fn aborted_records_go_and_markers_outlive_their_transactions_by_the_horizon() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
    let data = |sequence: i32, list: &[(&str, Option<&str>)]| {
        let mut builder = BatchBuilder::new()
            .producer(id, epoch, sequence)
            .transactional();
        fill(&mut builder, &bed, list);
        builder.build().unwrap()
    };
    let end = |committed: bool| {
        let marker = EndMarker {
            committed,
            coordinator_epoch: 1,
        };
        marker.batch(id, epoch, NOW).unwrap()
    };
    put(&partition, keyed(&bed, &[("a", Some("0"))]));
    put(&partition, data(0, &[("a", Some("aborted"))]));
    put(&partition, end(false));
    put(&partition, data(1, &[("b", Some("committed"))]));
    put(&partition, end(true));
    put(&partition, data(2, &[("c", Some("open"))]));
    put(&partition, keyed(&bed, &[("b", Some("6"))]));
    store.clean_once().unwrap();
    assert_eq!(partition.offsets().unwrap().last_stable, Offset(5));
    let controls = |found: &[Stored]| -> Vec<i64> {
        let controls = found.iter().filter(|(header, _)| header.is_control());
        controls.map(|(header, _)| header.base_offset.0).collect()
    };
    let found = stored(&partition);
    assert_eq!(
        found[0].1,
        [is(0, "a", Some("0"))],
        "the abort takes nothing else"
    );
    assert_eq!(
        found[1].0.record_count, 0,
        "the aborted batch has the producer's sequence"
    );
    assert_eq!(
        found[3].1,
        [is(3, "b", Some("committed"))],
        "b is not stable yet"
    );
    assert_eq!(controls(&found), [2, 4]);
    // The producer writes on, and its old batches do not matter any more.
    put(&partition, end(true));
    for sequence in 3..10 {
        put(&partition, data(sequence, &[("d", Some("x"))]));
        put(&partition, end(true));
    }
    for _ in 0..3 {
        bed.clock.advance(Duration::from_millis(2_000));
        put(&partition, keyed(&bed, &[("e", Some("x"))]));
        store.clean_once().unwrap();
    }
    let found = stored(&partition);
    let offsets: Vec<i64> = found
        .iter()
        .flat_map(|(_, list)| list)
        .map(|record| record.0)
        .collect();
    assert_eq!(offsets[0], 0);
    assert!(
        !offsets.contains(&2) && !offsets.contains(&4),
        "{offsets:?}"
    );
    assert!(offsets.contains(&6) && offsets.contains(&5), "{offsets:?}");
    let read = partition
        .read(Offset(0), 1 << 20, true, Isolation::ReadCommitted)
        .unwrap();
    assert!(read.aborted.is_empty());
}

#[test]
fn a_producers_last_batches_stay_though_empty_and_retries_are_told_by_them() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let batch = |sequence: i32| {
        let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
        fill(&mut builder, &bed, &[("a", Some("x"))]);
        builder.build().unwrap()
    };
    for sequence in 0..8 {
        put(&partition, batch(sequence));
    }
    put(&partition, keyed(&bed, &[("a", Some("last"))]));
    store.clean_once().unwrap();
    let expected = [is(7, "a", Some("x")), is(8, "a", Some("last"))];
    assert_eq!(left(&partition), expected);
    let bases: Vec<i64> = stored(&partition)
        .iter()
        .map(|(header, _)| header.base_offset.0)
        .collect();
    assert_eq!(bases, [3, 4, 5, 6, 7, 8]);
    drop((partition, store));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for sequence in 3..8 {
        let again = partition.append(batch(sequence), false).unwrap();
        assert!(again.duplicate);
        assert_eq!(again.base_offset, Offset(i64::from(sequence)));
    }
}

#[test]
fn keys_that_do_not_fit_take_more_than_one_pass() {
    let mut bed = compacted(MemoryIo::shared());
    bed.config.segment_bytes = 400;
    bed.upkeep.cleaner.dedupe_buffer_bytes = 24 * 10;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for round in 0..3 {
        for key in 0..20 {
            let (key, value) = (key.to_string(), round.to_string());
            put(&partition, keyed(&bed, &[(&key, Some(&value))]));
        }
    }
    put(&partition, keyed(&bed, &[("20", Some("x"))]));
    let mut passes = 0;
    while let Some(cleaned) = store.clean_once() {
        assert!(cleaned.counts.keys <= 9);
        passes += 1;
        assert!(passes < 50);
    }
    assert!(passes >= 6);
    let found = left(&partition);
    let old: Vec<_> = found
        .iter()
        .filter(|(_, _, value)| value.as_deref() == Some("0"))
        .collect();
    assert!(old.is_empty(), "{found:?}");
}

#[test]
fn a_damaged_log_stays_as_it_is_and_others_go_on() {
    let bed = compacted(MemoryIo::shared());
    let (store, _) = bed.open();
    let partitions = [bed.attach(&store, 1), bed.attach(&store, 2)];
    for partition in &partitions {
        for value in ["1", "2", "3", "4"] {
            put(
                partition,
                keyed(&bed, &[("a", Some(value)), ("b", Some(value))]),
            );
        }
    }
    let path = bed.dir.join("topic.1-0/00000000000000000002.log");
    let file = bed.io.open(&path, OpenMode::Write).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, 70).unwrap();
    file.write_all_at(&[&[byte[0] ^ 1]], 70).unwrap();
    let before = bed.io.read(&path).unwrap();
    let cleaned = store.clean_once().unwrap();
    assert_eq!(cleaned.partition, partitions[1].id());
    assert_eq!(store.clean_once(), None);
    assert_eq!(bed.io.read(&path).unwrap(), before);
    let entries = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| !entry.path.to_string_lossy().ends_with("cleaned"))
    );
}
