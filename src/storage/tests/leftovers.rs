//! Directories that deletions left, found at a start.

use super::*;

fn value_of(partition: &Partition) -> Vec<(i64, String)> {
    read_all(partition, 0, 1_000, Isolation::ReadUncommitted)
}

/// Deletes topic 1, which holds one record, and stops as by a power cut.
fn deleted(bed: &Bed) {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let done = partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, done.next_offset).unwrap();
    let _ = store.delete(&partition.id());
}

fn waiting(bed: &Bed) -> usize {
    let entries = bed.io.read_dir(&bed.dir).unwrap();
    let ends = |path: &Path| path.to_string_lossy().ends_with("-delete");
    entries.iter().filter(|entry| ends(&entry.path)).count()
}

fn bed(io: SharedIo, dir: &Path) -> Bed {
    let mut bed = Bed::new(io, dir);
    bed.config.file_delete_delay_ms = 60_000;
    bed
}

#[test]
fn a_deletion_that_was_not_durable_is_undone_with_all_records() {
    on_every_io(|io, dir| {
        for has_metadata in [true, false] {
            let dir = dir.join(format!("{has_metadata}"));
            let bed = bed(io.clone(), &dir);
            deleted(&bed);
            assert_eq!(waiting(&bed), 1);
            if !has_metadata {
                let entries = bed.io.read_dir(&bed.dir).unwrap();
                let left = entries.iter().find(|entry| entry.is_dir).unwrap();
                let metadata = left.path.join("partition.metadata");
                bed.io.remove_file(&metadata).unwrap();
            }
            let (store, opened) = bed.open();
            assert!(!opened.clean);
            let partition = bed.attach(&store, 1);
            store.recover();
            store.remove_strays();
            assert_eq!(value_of(&partition), [(0, "a".to_owned())]);
            assert_eq!(waiting(&bed), 0);
        }
    });
}

#[test]
fn what_belongs_to_nobody_any_more_is_removed() {
    on_every_io(|io, dir| {
        let bed = bed(io, dir);
        deleted(&bed);
        let (store, _) = bed.open();
        // A topic of the same name, but for its id.
        let again = store.attach(PartitionSpec {
            id: TopicPartition {
                topic: TopicId(uuid::Uuid::from_u128(77)),
                partition: PartitionId(0),
            },
            ..bed.spec(1)
        });
        store.recover();
        store.remove_strays();
        assert_eq!(value_of(&again), []);
        let patience = std::time::Instant::now();
        while waiting(&bed) > 0 {
            assert!(patience.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_topic_that_was_deleted_and_made_again_gets_the_old_one_back_if_neither_was_durable() {
    on_every_io(|io, dir| {
        let bed = bed(io, dir);
        deleted(&bed);
        {
            let (store, _) = bed.open();
            let again = store.attach(PartitionSpec {
                id: TopicPartition {
                    topic: TopicId(uuid::Uuid::from_u128(77)),
                    partition: PartitionId(0),
                },
                ..bed.spec(1)
            });
            let done = again.append(batch(&["b"]), false).unwrap();
            wait_committed(&again, done.next_offset).unwrap();
        }
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        store.recover();
        assert_eq!(value_of(&partition), [(0, "a".to_owned())]);
    });
}
