//! Disks that fill up and syncs that fail.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::io::hooked::{Hooks, hooked};
use crate::io::{File, MemoryIo};

/// What a file system is told to fail at.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Writes stop half-way, as on a full disk.
    full: AtomicBool,
    /// What follows a failed write fails, too.
    cut_fails: AtomicBool,
    pub(super) syncs_fail: AtomicBool,
    pub(super) syncs: AtomicUsize,
}

impl Hooks for Faults {
    fn write(
        &self,
        _path: &Path,
        file: &dyn File,
        slices: &[&[u8]],
        position: u64,
    ) -> io::Result<()> {
        if !self.full.load(Ordering::SeqCst) {
            return file.write_all_at(slices, position);
        }
        let all = slices.concat();
        file.write_all_at(&[&all[..all.len() / 2]], position)?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn set_len(&self, file: &dyn File, len: u64) -> io::Result<()> {
        match self.cut_fails.load(Ordering::SeqCst) {
            true => Err(io::Error::other("injected")),
            false => file.set_len(len),
        }
    }

    fn sync(&self, _path: &Path) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        match self.syncs_fail.load(Ordering::SeqCst) {
            true => Err(io::Error::other("injected")),
            false => Ok(()),
        }
    }

    fn syncs_as_a_whole(&self) -> bool {
        true
    }
}

/// A file system in memory that can be told to fail.
pub(super) fn failing() -> (SharedIo, Arc<Faults>) {
    let faults = Arc::<Faults>::default();
    (hooked(MemoryIo::shared(), &faults), faults)
}

fn values(partition: &Partition) -> Vec<String> {
    let all = read_all(partition, 0, 1 << 20, Isolation::LogEnd);
    all.into_iter().map(|(_, value)| value).collect()
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_resumes_by_itself() {
    for cut_fails in [false, true] {
        let (io, faults) = failing();
        let bed = Bed::new(io, Path::new("/"));
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let done = partition.append(sequenced(1, 0, 0, 1), false).unwrap();
        wait_committed(&partition, done.next_offset).unwrap();
        faults.cut_fails.store(cut_fails, Ordering::SeqCst);
        faults.full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let refused = partition.append(sequenced(1, 0, 1, 1), false);
            assert!(
                matches!(refused, Err(AppendError::Storage(_))),
                "{refused:?}"
            );
            assert_eq!(values(&partition), ["value"]);
        }
        assert_eq!(partition.offsets().unwrap().log_end, Offset(1));
        faults.full.store(false, Ordering::SeqCst);
        faults.cut_fails.store(false, Ordering::SeqCst);
        // The refused batch left no trace in the producer's state, nor in the file.
        let done = partition.append(sequenced(1, 0, 1, 1), false).unwrap();
        assert_eq!((done.base_offset, done.duplicate), (Offset(1), false));
        wait_committed(&partition, done.next_offset).unwrap();
        assert_eq!(values(&partition), ["value", "value"]);
        drop((partition, store));
        let (store, _) = bed.open();
        assert_eq!(values(&bed.attach(&store, 1)), ["value", "value"]);
    }
}

#[test]
fn a_failed_sync_is_final_and_nothing_after_it_is_acknowledged() {
    let (io, faults) = failing();
    let bed = Bed::new(io, Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let done = partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, done.next_offset).unwrap();
    faults.syncs_fail.store(true, Ordering::SeqCst);
    let done = partition.append(batch(&["b"]), false).unwrap();
    let waited = wait_committed(&partition, done.next_offset);
    assert!(matches!(waited, Err(AppendError::Storage(_))), "{waited:?}");
    faults.syncs_fail.store(false, Ordering::SeqCst);
    let syncs = faults.syncs.load(Ordering::SeqCst);
    for other in [&partition, &bed.attach(&store, 2)] {
        let refused = other.append(batch(&["c"]), false);
        assert!(
            matches!(refused, Err(AppendError::Storage(_))),
            "{refused:?}"
        );
    }
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.durable, offsets.high_watermark),
        (Offset(1), Offset(1))
    );
    assert_eq!(
        read_all(&partition, 0, 100, Isolation::ReadUncommitted),
        [(0, "a".to_owned())],
        "what is durable is served"
    );
    assert!(store.close().is_err(), "no clean stop");
    assert_eq!(
        faults.syncs.load(Ordering::SeqCst),
        syncs,
        "no sync is tried again"
    );
}

#[test]
fn in_fsync_mode_nothing_is_visible_before_it_is_durable() {
    let (io, faults) = failing();
    let bed = Bed::new(io, Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(
        faults.syncs.load(Ordering::SeqCst),
        0,
        "opening waits for no sync"
    );
    let done = partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, done.next_offset).unwrap();
    // The file, its directory, the data directory, and what formatting wrote.
    assert!(faults.syncs.load(Ordering::SeqCst) >= 4);
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.durable, offsets.high_watermark),
        (Offset(1), Offset(1))
    );
}

#[test]
fn in_os_mode_appends_are_committed_at_once_and_synced_soon() {
    let (io, _) = failing();
    let mut bed = Bed::new(io, Path::new("/"));
    bed.config.durability = Durability::Os;
    bed.config.flush_messages = 3;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for _ in 0..2 {
        partition.append(batch(&["a"]), false).unwrap();
    }
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.durable, offsets.high_watermark),
        (Offset(0), Offset(2))
    );
    // The third unsynced record makes the append wait for the disk (`flush.messages`).
    partition.append(batch(&["a"]), false).unwrap();
    wait_committed(&partition, Offset(3)).unwrap();
    assert_eq!(partition.offsets().unwrap().durable, Offset(3));
    partition.append(batch(&["a"]), false).unwrap();
    let patience = std::time::Instant::now();
    while partition.offsets().unwrap().durable < Offset(4) {
        assert!(
            patience.elapsed() < Duration::from_secs(20),
            "synced within a second"
        );
        bed.clock.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn in_memory_mode_nothing_is_ever_synced() {
    let (io, faults) = failing();
    let mut bed = Bed::new(io, Path::new("/"));
    bed.config.durability = Durability::Memory;
    bed.config.segment_bytes = 500;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for index in 0..50 {
        let done = partition.append(batch(&["a"]), false).unwrap();
        let offsets = partition.offsets().unwrap();
        assert_eq!(done.next_offset, Offset(index + 1));
        assert_eq!(
            (offsets.durable, offsets.high_watermark),
            (done.next_offset, done.next_offset)
        );
    }
    store.close().unwrap();
    assert_eq!(values(&partition).len(), 50);
    // The data directory is formatted once: its file, its names, its own name.
    assert!(faults.syncs.load(Ordering::SeqCst) <= 3);
}
