//! What every store promises.

use futures_util::FutureExt;

use super::*;

#[test]
fn what_is_appended_is_read_back_with_its_offsets() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io, dir);
        let (store, opened) = bed.open();
        assert!(opened.clean);
        let partition = bed.attach(&store, 1);
        assert_eq!(partition.offsets().unwrap(), Offsets::default());
        let first = partition.append(batch(&["a", "b"]), false).unwrap();
        assert_eq!(
            (first.base_offset, first.next_offset),
            (Offset(0), Offset(2))
        );
        let second = partition.append(batch(&["c"]), false).unwrap();
        assert_eq!(
            (second.base_offset, second.next_offset),
            (Offset(2), Offset(3))
        );
        wait_committed(&partition, second.next_offset).unwrap();
        let all = [
            (0, "a".to_owned()),
            (1, "b".to_owned()),
            (2, "c".to_owned()),
        ];
        for max_bytes in [0, 100, 1 << 20] {
            for isolation in [
                Isolation::ReadUncommitted,
                Isolation::ReadCommitted,
                Isolation::LogEnd,
            ] {
                assert_eq!(read_all(&partition, 0, max_bytes, isolation), all);
                assert_eq!(read_all(&partition, 1, max_bytes, isolation), all[1..]);
            }
        }
        let offsets = partition.offsets().unwrap();
        assert_eq!(offsets.high_watermark, Offset(3));
        assert_eq!(offsets.durable, Offset(3));
        assert!(partition.size().bytes > 0);
    });
}

#[test]
fn a_log_survives_a_clean_and_an_unclean_stop() {
    on_every_io(|io, dir| {
        for clean in [true, false] {
            let mut bed = Bed::new(io.clone(), &dir.join(format!("{clean}")));
            bed.config.segment_bytes = 2_000;
            bed.config.index_interval_bytes = 200;
            let mut expected = Vec::new();
            for run in 0..3 {
                let (store, opened) = bed.open();
                assert_eq!(opened.clean, clean || run == 0);
                let partition = bed.attach(&store, 1);
                store.recover();
                assert_eq!(
                    read_all(&partition, 0, 500, Isolation::ReadUncommitted),
                    expected
                );
                for index in 0..50 {
                    let value = format!("{run}-{index}");
                    let done = partition.append(batch(&[&value]), false).unwrap();
                    expected.push((done.base_offset.0, value));
                }
                wait_committed(&partition, Offset(expected.len() as i64)).unwrap();
                assert_eq!(
                    read_all(&partition, 0, 500, Isolation::ReadUncommitted),
                    expected
                );
                if clean {
                    store.close().unwrap();
                    assert!(matches!(
                        partition.append(batch(&["late"]), false),
                        Err(AppendError::Storage(_))
                    ));
                }
                drop(store);
            }
            let logs = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
            let logs = logs
                .iter()
                .filter(|entry| entry.path.extension() == Some("log".as_ref()));
            assert!(logs.count() > 3, "several segments");
        }
    });
}

#[test]
fn reads_respect_their_bounds() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io, dir);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        for index in 0..100 {
            partition
                .append(batch(&[&format!("{index}")]), false)
                .unwrap();
        }
        wait_committed(&partition, Offset(100)).unwrap();
        let size = batch(&["10"]).bytes.len();
        let read = |from, max_bytes, at_least_one| {
            partition.read(
                Offset(from),
                max_bytes,
                at_least_one,
                Isolation::ReadUncommitted,
            )
        };
        assert_eq!(read(10, size - 1, false).unwrap().records.len(), 0);
        assert_eq!(read(10, size - 1, true).unwrap().records.len(), size);
        assert_eq!(
            read(10, size * 3 - 1, false).unwrap().records.len(),
            size * 2
        );
        assert_eq!(read(10, size * 70, false).unwrap().records.len(), size * 70);
        assert_eq!(read(99, size * 70, false).unwrap().records.len(), size);
        assert_eq!(read(100, size * 70, true).unwrap().records.len(), 0);
        assert!(matches!(
            read(101, 1, true),
            Err(ReadError::OutOfRange {
                log_start: Offset(0),
                log_end: Offset(100),
                ..
            })
        ));
        assert!(matches!(
            read(-1, 1, true),
            Err(ReadError::OutOfRange { .. })
        ));
    });
}

#[test]
fn a_deleted_partition_answers_so_and_its_files_go() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io.clone(), dir);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let done = partition.append(batch(&["a"]), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        let changed = partition.changed(partition.changes());
        store.delete(&partition.id());
        assert!(changed.now_or_never().is_some(), "readers hear of it");
        assert!(store.partition(&partition.id()).is_none());
        assert_eq!(
            partition.append(batch(&["b"]), false),
            Err(AppendError::Deleted)
        );
        let read = partition.read(Offset(0), 10, true, Isolation::LogEnd);
        assert!(matches!(read, Err(ReadError::Deleted)));
        assert_eq!(
            wait_committed(&partition, Offset(9)),
            Err(AppendError::Deleted)
        );
        assert!(!io.exists(&bed.dir.join("topic.1-0")));
        // The same name again, with another id, starts empty.
        let again = store.attach(PartitionSpec {
            id: TopicPartition {
                topic: TopicId(uuid::Uuid::from_u128(9)),
                ..partition.id()
            },
            ..bed.spec(1)
        });
        assert_eq!(
            again.append(batch(&["c"]), false).unwrap().base_offset,
            Offset(0)
        );
        store.close().unwrap();
    });
}

#[tokio::test]
async fn readers_hear_of_commits() {
    let bed = Bed::new(crate::io::MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let before = partition.changes();
    assert!(partition.changed(before).now_or_never().is_none());
    partition.append(batch(&["a"]), false).unwrap();
    let changed = tokio::time::timeout(Duration::from_secs(20), partition.changed(before));
    changed.await.unwrap();
    assert_eq!(partition.offsets().unwrap().high_watermark, Offset(1));
}

#[test]
fn a_directory_has_one_broker_and_keeps_its_identity() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io, dir);
        let (store, opened) = bed.open();
        assert!(matches!(
            Store::open(bed.options()),
            Err(OpenError::Locked(_))
        ));
        store.close().unwrap();
        drop(store);
        let (store, again) = bed.open();
        assert_eq!(again.cluster_id, opened.cluster_id);
        assert_eq!(again.directory_id, opened.directory_id);
        drop(store);
        let other = StoreOptions {
            node_id: NodeId(2),
            ..bed.options()
        };
        assert!(matches!(
            Store::open(other),
            Err(OpenError::Metadata { .. })
        ));
        let other = StoreOptions {
            cluster_id: Some("other".to_owned()),
            ..bed.options()
        };
        assert!(matches!(
            Store::open(other),
            Err(OpenError::Metadata { .. })
        ));
    });
}

#[test]
fn a_read_says_whether_later_segments_hold_more() {
    on_every_io(|io, dir| {
        let mut bed = Bed::new(io, dir);
        bed.config.segment_bytes = 100;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        for value in ["a", "b"] {
            partition.append(batch(&[value]), false).unwrap();
        }
        wait_committed(&partition, Offset(2)).unwrap();
        for (from, older) in [(0, true), (1, false), (2, false)] {
            let read = partition.read(Offset(from), 1 << 20, true, Isolation::ReadUncommitted);
            assert_eq!(read.unwrap().of_older_segment, older, "{from}");
        }
    });
}

#[test]
fn a_topic_of_the_same_name_takes_nothing_from_checkpoints() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io.clone(), dir);
        io.create_dir_all(&bed.dir).unwrap();
        // What a crash leaves that comes between the two steps of a deletion.
        for name in [
            "log-start-offset-checkpoint",
            "recovery-point-offset-checkpoint",
        ] {
            let file = io.open(&bed.dir.join(name), crate::io::OpenMode::Create);
            file.unwrap()
                .write_all_at(&[b"0\n1\ntopic.1 0 70\n"], 0)
                .unwrap();
        }
        for values in [0, 1] {
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            let offsets = partition.offsets().unwrap();
            assert_eq!(
                (offsets.log_start, offsets.log_end),
                (Offset(0), Offset(values))
            );
            partition.append(batch(&["a"]), false).unwrap();
            wait_committed(&partition, Offset(values + 1)).unwrap();
        }
    });
}

#[test]
fn a_partition_that_was_deleted_leaves_no_log_start() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io.clone(), dir);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        partition.append(batch(&["a", "b"]), false).unwrap();
        wait_committed(&partition, Offset(2)).unwrap();
        store.delete(&partition.id());
        assert_eq!(partition.delete_records(Offset(1)), Err(ReadError::Deleted));
    });
}

#[test]
fn partition_metadata_that_a_crash_prevented_is_written_at_the_next_start() {
    on_every_io(|io, dir| {
        let bed = Bed::new(io.clone(), dir);
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        partition.append(batch(&["a"]), false).unwrap();
        wait_committed(&partition, Offset(1)).unwrap();
        drop((partition, store));
        let path = bed.dir.join("topic.1-0/partition.metadata");
        let before = io.read(&path).unwrap();
        io.remove_file(&path).unwrap();
        let (store, _) = bed.open();
        assert_eq!(bed.attach(&store, 1).offsets().unwrap().log_end, Offset(1));
        assert_eq!(io.read(&path).unwrap(), before);
    });
}
