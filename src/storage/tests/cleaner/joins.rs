//! How many segments there are after a cleaning, and how large they are.

use std::collections::BTreeMap;

use super::*;

/// Lengths of the sealed segments.
fn sealed(partition: &Partition) -> Vec<u64> {
    let view = partition.log().unwrap().published().load().kept();
    let sealed = view.segments.iter();
    sealed.filter_map(|segment| segment.sealed_len()).collect()
}

#[test]
fn a_log_of_which_little_stays_becomes_one_segment_at_once() {
    let mut bed = compacted(MemoryIo::shared());
    bed.config.segment_bytes = 700;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for number in 0..8 {
        let number = number.to_string();
        let mut list = vec![("a", Some("of which only the last stays")); 14];
        list.push((&number, Some("stays")));
        put(&partition, keyed(&bed, &list));
    }
    put(&partition, keyed(&bed, &[("b", None)]));
    let before = sealed(&partition);
    assert!(before.len() == 8 && before.iter().all(|bytes| *bytes > 400));
    let cleaned = store.clean_once().unwrap();
    assert_eq!(cleaned.counts.segments, 1);
    let read: u64 = before.iter().sum();
    assert_eq!(cleaned.counts.bytes_read, 2 * read, "nothing in vain");
    let after = sealed(&partition);
    assert_eq!(after, [cleaned.counts.bytes_written]);
    assert!(after[0] <= 700);
    let mut expected: Vec<_> = (0..8)
        .map(|number| is(number * 15 + 14, &number.to_string(), Some("stays")))
        .collect();
    let last = is(118, "a", Some("of which only the last stays"));
    expected.insert(7, last);
    expected.push(is(120, "b", None));
    assert_eq!(left(&partition), expected);
    drop((partition, store));
    let (store, _) = bed.open();
    assert_eq!(left(&bed.attach(&store, 1)), expected);
}

#[test]
fn no_segment_is_too_large_where_more_stays_than_the_number_of_records_promised() {
    let mut bed = compacted(MemoryIo::shared());
    bed.config.segment_bytes = 1_450;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
    let large = "v".repeat(500);
    let mut expected = Vec::new();
    for number in 0..9_i32 {
        // Of twenty records one stays: nearly all of the bytes.
        let key = number.to_string();
        let mut list = vec![("a", Some("1")); 19];
        list.push((&key, Some(&large)));
        put(&partition, keyed(&bed, &list));
        let mut data = BatchBuilder::new()
            .producer(id, epoch, number)
            .transactional();
        fill(&mut data, &bed, &[("aborted", Some("x"))]);
        let marker = EndMarker {
            committed: false,
            coordinator_epoch: 1,
        };
        partition.append(data.build().unwrap(), false).unwrap();
        let marker = marker.batch(id, epoch, NOW).unwrap();
        let end = partition.append(marker, false).unwrap().next_offset;
        wait_committed(&partition, end).unwrap();
        expected.push(is(end.0 - 3, &key, Some(&large)));
    }
    expected.insert(8, is(8 * 22 + 18, "a", Some("1")));
    put(&partition, keyed(&bed, &[("b", None)]));
    expected.push(is(9 * 22, "b", None));
    let before = sealed(&partition);
    assert_eq!(before.len(), 9);
    let cleaned = store.clean_once().unwrap();
    let after = sealed(&partition);
    assert!(after.iter().all(|bytes| *bytes <= 1_450), "{after:?}");
    assert_eq!(after.len(), 5, "{after:?}");
    let read: u64 = before.iter().sum();
    assert!(
        cleaned.counts.bytes_read > 2 * read,
        "some was read in vain"
    );
    assert_eq!(cleaned.counts.bytes_written, after.iter().sum::<u64>());
    let kept = |found: &[Stored]| -> Vec<_> {
        let records = found.iter().flat_map(|(header, list)| {
            let is_data = !header.is_control();
            list.iter().filter(move |_| is_data).cloned()
        });
        records.collect()
    };
    let found = stored(&partition);
    assert_eq!(kept(&found), expected);
    // What was judged twice counted once: each transaction has its marker and its entry.
    let markers: Vec<i64> = found
        .iter()
        .filter(|(header, _)| header.is_control())
        .map(|(header, _)| header.base_offset.0)
        .collect();
    assert_eq!(
        markers,
        Vec::from_iter((0..9).map(|number| number * 22 + 21))
    );
    let aborted = |partition: &Partition| {
        let log = partition.log().unwrap();
        let aborted = log.aborted_between(Offset(0), Offset(9 * 22)).unwrap();
        Vec::from_iter(aborted.iter().map(|each| each.first.0))
    };
    let transactions = Vec::from_iter((0..9).map(|number| number * 22 + 20));
    assert_eq!(aborted(&partition), transactions);
    store.close().unwrap();
    drop((partition, store));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(stored(&partition), found);
    assert_eq!(aborted(&partition), transactions);
}

#[test]
fn whatever_records_take_segments_are_within_their_bound_and_the_last_of_each_key_stay() {
    let mut read_in_vain = 0;
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bed = compacted(MemoryIo::shared());
        bed.config.segment_bytes = 3_300;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let (mut newest, mut next) = (BTreeMap::new(), 0);
        for _ in 0..random.usize(10..60) {
            // Each segment loses something, and is read twice.
            let mut list = vec![("x".to_owned(), String::new()); 2];
            let many =
                (0..random.usize(1..20)).map(|_| (random.u8(..9).to_string(), "v".to_owned()));
            list.extend(many);
            // Some have a key that comes once, and is as large as many others together.
            if random.bool() {
                list.push((
                    random.u32(..).to_string(),
                    "v".repeat(random.usize(..1_500)),
                ));
            }
            let lent: Vec<_> = list
                .iter()
                .map(|(key, value)| (key.as_str(), Some(value.as_str())))
                .collect();
            put(&partition, keyed(&bed, &lent));
            for (key, value) in list {
                newest.insert(key, (next, value));
                next += 1;
            }
        }
        put(&partition, keyed(&bed, &[("last", None)]));
        let before: u64 = sealed(&partition).iter().sum();
        let cleaned = store.clean_once().unwrap();
        read_in_vain += usize::from(cleaned.counts.bytes_read > 2 * before);
        let after = sealed(&partition);
        assert!(
            after.iter().all(|bytes| *bytes <= 3_300),
            "{seed} {after:?}"
        );
        let mut expected = Vec::from_iter(newest);
        expected.sort_by_key(|(_, (offset, _))| *offset);
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, (offset, value))| is(*offset, key, Some(value)))
            .chain([is(next, "last", None)])
            .collect();
        assert_eq!(left(&partition), expected, "{seed}");
    }
    assert!(read_in_vain > 5, "{read_in_vain}");
}
