//! Syncs that fail: whatever is synced, the first failure is final.

use std::io::ErrorKind;

use super::*;
use crate::io::faulty::{Faults, faulty};

const DISK: u64 = 64 * 1024 * 1024;

/// The ways in which a sync fails.
const ERRORS: [ErrorKind; 2] = [ErrorKind::Other, ErrorKind::StorageFull];

/// Nothing is written, synced or promised any more, and the stop says so.
fn assert_offline(store: &Store, partition: &Partition, faults: &Faults, told: &str) {
    let failure = store.failure().expect("offline");
    assert!(failure.contains(told), "{failure}");
    faults.mend();
    let syncs = faults.syncs();
    for _ in 0..2 {
        let refused = partition.append(batch(&["later"]), false);
        assert!(
            matches!(refused, Err(AppendError::Storage(_))),
            "{refused:?}"
        );
    }
    assert!(store.close().is_err(), "{told}: a clean stop");
    assert_eq!(faults.syncs(), syncs, "{told}: no sync after a failed one");
}

fn has_marker(bed: &Bed) -> bool {
    bed.io.exists(&bed.dir.join(".kafka_cleanshutdown"))
}

#[test]
fn whatever_a_round_syncs_a_failure_is_final_and_tells_all_who_wait() {
    let kinds = [
        "topic.2-0/00000000000000000000.log",
        "topic.2-0",
        "meta.properties",
        "data",
    ];
    for (told, error) in kinds
        .iter()
        .flat_map(|kind| ERRORS.map(|error| (*kind, error)))
    {
        let (io, faults) = faulty(DISK);
        let bed = Bed::new(io, Path::new("/"));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 2);
        faults.break_syncs_of(told, error);
        let done = partition.append(batch(&["a"]), false).unwrap();
        let waited = wait_committed(&partition, done.next_offset);
        assert!(matches!(waited, Err(AppendError::Storage(_))), "{waited:?}");
        let offsets = partition.offsets().unwrap();
        assert_eq!(
            (offsets.durable, offsets.high_watermark),
            (Offset(0), Offset(0))
        );
        assert_offline(&store, &partition, &faults, told);
        assert!(!has_marker(&bed));
    }
}

#[test]
fn an_index_or_a_snapshot_that_cannot_be_synced_takes_the_directory_offline() {
    for told in [".index", ".timeindex", ".snapshot"] {
        let (io, faults) = faulty(DISK);
        let mut bed = Bed::new(io, Path::new("/"));
        bed.config.segment_bytes = 200;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let done = partition.append(batch(&["a"]), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        faults.break_syncs_of(told, ErrorKind::Other);
        // Rolls, so that the round has something beside batches to sync.
        let big = "x".repeat(100);
        let done = partition.append(batch(&[&big]), false).unwrap();
        let waited = wait_committed(&partition, done.next_offset);
        assert!(matches!(waited, Err(AppendError::Storage(_))), "{waited:?}");
        assert_eq!(
            read_all(&partition, 0, 1_000, Isolation::ReadUncommitted),
            [(0, "a".to_owned())],
            "what is durable is served"
        );
        assert_offline(&store, &partition, &faults, told);
        assert!(!has_marker(&bed));
    }
}

#[test]
fn a_log_start_that_cannot_be_synced_deletes_nothing() {
    for error in ERRORS {
        let (io, faults) = faulty(DISK);
        let bed = Bed::new(io, Path::new("/"));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let done = partition.append(batch(&["a", "b"]), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        faults.break_syncs_of("log-start-offset-checkpoint", error);
        let deleted = partition.delete_records(Offset(1));
        assert!(matches!(deleted, Err(ReadError::Storage(_))), "{deleted:?}");
        assert_eq!(partition.offsets().unwrap().log_start, Offset(0));
        assert_eq!(read_all(&partition, 0, 100, Isolation::LogEnd).len(), 2);
        assert_offline(&store, &partition, &faults, "log-start-offset-checkpoint");
    }
}

#[test]
fn a_stop_that_cannot_sync_leaves_no_marker() {
    for told in ["recovery-point", ".kafka_cleanshutdown"] {
        let (io, faults) = faulty(DISK);
        let bed = Bed::new(io, Path::new("/"));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let done = partition.append(batch(&["a"]), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        faults.break_syncs_of(told, ErrorKind::Other);
        assert!(store.close().is_err(), "{told}");
        assert!(!has_marker(&bed), "{told}");
        faults.mend();
        drop((partition, store));
        let (store, opened) = bed.open();
        assert!(!opened.clean);
        let partition = bed.attach(&store, 1);
        assert_eq!(read_all(&partition, 0, 100, Isolation::LogEnd).len(), 1);
    }
}

#[test]
fn a_log_whose_recovery_cannot_be_synced_is_not_served_and_not_tried_again() {
    let (io, faults) = faulty(DISK);
    let bed = Bed::new(io, Path::new("/"));
    let (store, _) = bed.open();
    for topic in [1, 2] {
        let partition = bed.attach(&store, topic);
        let done = partition.append(batch(&["a"]), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
    }
    drop(store);
    // Without the journal nobody knows that there is nothing to sync.
    bed.forget_durable();
    faults.break_syncs_of("topic.2-0", ErrorKind::Other);
    let (store, opened) = bed.open();
    assert!(!opened.clean);
    let (good, bad) = (bed.attach(&store, 1), bed.attach(&store, 2));
    assert_eq!(good.offsets().unwrap().high_watermark, Offset(1));
    assert!(matches!(bad.offsets(), Err(ReadError::Storage(_))));
    let syncs = faults.syncs();
    faults.mend();
    assert!(matches!(bad.offsets(), Err(ReadError::Storage(_))));
    assert_eq!(faults.syncs(), syncs);
    assert_eq!(read_all(&good, 0, 100, Isolation::ReadUncommitted).len(), 1);
    assert_offline(&store, &good, &faults, "topic.2-0");
}

#[test]
fn an_append_that_waits_elsewhere_hears_of_the_failure_at_once() {
    let (io, faults) = faulty(DISK);
    let mut bed = Bed::new(io, Path::new("/"));
    let (store, _) = bed.open();
    bed.config.durability = Durability::Os;
    let lazy = bed.attach(&store, 1);
    lazy.append(batch(&["a"]), false).unwrap();
    bed.config.durability = Durability::Fsync;
    let broken = bed.attach(&store, 2);
    faults.break_syncs_of("topic.2-0", ErrorKind::Other);
    std::thread::scope(|scope| {
        // Nobody is going to sync it: it waits for an offset that is not there yet.
        let waiting = scope.spawn(|| wait_committed(&lazy, Offset(5)));
        std::thread::sleep(Duration::from_millis(50));
        let started = std::time::Instant::now();
        broken.append(batch(&["b"]), false).unwrap();
        let waited = waiting.join().unwrap();
        assert!(matches!(waited, Err(AppendError::Storage(_))), "{waited:?}");
        assert!(started.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn what_recovery_keeps_after_a_failed_sync_is_written_again_before_it_is_synced() {
    let (io, faults) = faulty(DISK);
    let bed = Bed::new(io, Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let done = partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, done.next_offset).unwrap();
    faults.break_syncs_of("topic.1-0", ErrorKind::Other);
    let done = partition.append(batch(&["b"]), false).unwrap();
    assert!(wait_committed(&partition, done.next_offset).is_err());
    drop((partition, store));
    let note = bed.dir.join("klamm-sync-failed");
    assert!(bed.io.exists(&note));
    faults.mend();
    let log = "topic.1-0/00000000000000000000.log";
    let written = faults.writes_to(log);
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    store.recover();
    // As the system has it: a sync alone would do nothing for the record that it once failed for.
    assert!(faults.writes_to(log) > written);
    assert!(!bed.io.exists(&note));
    assert_eq!(
        read_all(&partition, 0, 100, Isolation::ReadUncommitted).len(),
        2
    );
    drop((partition, store));
    let written = faults.writes_to(log);
    let (store, _) = bed.open();
    bed.attach(&store, 1);
    store.recover();
    assert_eq!(faults.writes_to(log), written, "only after a failed sync");
}
