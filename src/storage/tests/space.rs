//! Disks that fill up: what goes on, what is refused, and how it begins again.

use super::*;
use crate::io::faulty::faulty;
use crate::io::{File, OpenMode};

const DISK: u64 = 8 * 1024 * 1024;

/// A quarter of the disk; the ballast is a quarter of that.
const RESERVE: u64 = 2 * 1024 * 1024;

/// A disk on which another program has a file, too.
struct SmallDisk {
    bed: Bed,
    store: Arc<Store>,
    other: Arc<dyn File>,
}

impl SmallDisk {
    fn new() -> Self {
        let (io, _) = faulty(DISK);
        let mut bed = Bed::new(io, Path::new("/"));
        bed.reserve_bytes = Some(RESERVE);
        let (store, _) = bed.open();
        let other = bed.io.open(Path::new("/other"), OpenMode::Create).unwrap();
        store.keep_room();
        Self { bed, store, other }
    }

    fn ballast(&self) -> u64 {
        self.bed
            .io
            .read(&self.bed.dir.join("klamm-reserve"))
            .unwrap()
            .len() as u64
    }

    /// The other program leaves this much free.
    fn leave(&self, bytes: u64) {
        let (_, usable) = self.bed.io.space(&self.bed.dir).unwrap();
        let len = (self.other.len().unwrap() + usable).saturating_sub(bytes);
        self.other.set_len(len).unwrap();
    }

    fn ordinary(&self) -> Arc<Partition> {
        self.bed.attach(&self.store, 1)
    }

    fn own(&self) -> Arc<Partition> {
        self.store.attach(PartitionSpec {
            may_use_reserve: true,
            ..self.bed.spec(2)
        })
    }

    fn tick(&self) {
        self.bed.clock.advance(Duration::from_secs(1));
    }
}

fn append(partition: &Partition) -> Result<(), AppendError> {
    let done = partition.append(batch(&["value"]), false)?;
    wait_committed(partition, done.next_offset)
}

fn refused(partition: &Partition) -> bool {
    matches!(append(partition), Err(AppendError::Storage(_)))
}

#[test]
fn below_the_reserve_clients_are_refused_and_the_broker_goes_on() {
    let disk = SmallDisk::new();
    assert_eq!(disk.ballast(), RESERVE / 4);
    append(&disk.ordinary()).unwrap();
    // What the ballast holds is free in this sense.
    disk.leave(RESERVE - disk.ballast() - 1);
    disk.tick();
    assert!(refused(&disk.ordinary()));
    append(&disk.own()).unwrap();
    assert_eq!(
        read_all(&disk.ordinary(), 0, 100, Isolation::ReadUncommitted).len(),
        1
    );
    // Not back and forth with every kilobyte.
    disk.leave(RESERVE - disk.ballast() + 1024);
    disk.tick();
    assert!(refused(&disk.ordinary()));
    disk.leave(RESERVE * 9 / 8);
    disk.tick();
    append(&disk.ordinary()).unwrap();
    // What a cleaner needs for a while is more than that.
    assert!(!disk.store.has_room_for(RESERVE));
    disk.leave(RESERVE * 3);
    assert!(disk.store.has_room_for(RESERVE));
}

#[test]
fn appends_alone_stop_at_the_reserve() {
    let disk = SmallDisk::new();
    let partition = disk.ordinary();
    let value = "x".repeat(10_000);
    while partition.append(batch(&[&value]), false).is_ok() {}
    let (_, usable) = disk.bed.io.space(&disk.bed.dir).unwrap();
    let free = usable + disk.ballast();
    // A look may come as late as a sixteenth of the reserve.
    assert!(free < RESERVE && free > RESERVE * 7 / 8, "{free}");
}

#[test]
fn on_a_disk_without_any_room_the_broker_writes_into_the_ballast() {
    let disk = SmallDisk::new();
    append(&disk.ordinary()).unwrap();
    disk.leave(0);
    disk.tick();
    assert!(refused(&disk.ordinary()));
    for _ in 0..100 {
        append(&disk.own()).unwrap();
    }
    disk.ordinary().delete_records(Offset(1)).unwrap();
    assert!(disk.ballast() < RESERVE / 4);
    // The store stops and starts on it.
    disk.leave(0);
    let SmallDisk { bed, store, other } = disk;
    store.close().unwrap();
    drop(store);
    let (store, opened) = bed.open();
    assert!(opened.clean);
    let disk = SmallDisk { bed, store, other };
    assert!(refused(&disk.ordinary()));
    append(&disk.own()).unwrap();
    assert_eq!(disk.ordinary().offsets().unwrap().log_start, Offset(1));
    // It is whole again when the other program goes.
    disk.leave(DISK / 2);
    disk.tick();
    append(&disk.ordinary()).unwrap();
    disk.store.keep_room();
    assert_eq!(disk.ballast(), RESERVE / 4);
}

#[test]
fn without_a_reserve_nothing_is_held_and_nothing_refused() {
    let (io, _) = faulty(DISK);
    let mut bed = Bed::new(io, Path::new("/"));
    bed.reserve_bytes = Some(0);
    let (store, _) = bed.open();
    store.keep_room();
    assert!(!bed.io.exists(&bed.dir.join("klamm-reserve")));
    let other = bed.io.open(Path::new("/other"), OpenMode::Create).unwrap();
    other.set_len(DISK - 10_000).unwrap();
    append(&bed.attach(&store, 1)).unwrap();
}

#[test]
fn what_is_deleted_while_room_is_low_is_freed_at_once() {
    let mut disk = SmallDisk::new();
    disk.bed.config.file_delete_delay_ms = 60_000;
    let value = "x".repeat(100_000);
    let fill = |partition: &Partition| {
        while partition.append(batch(&[&value]), false).is_ok() {}
        let end = partition.offsets().unwrap().log_end;
        wait_committed(partition, end).unwrap();
        end
    };
    let free = || disk.bed.io.space(&disk.bed.dir).unwrap().1;
    // All of it in one segment, which is the active one.
    let partition = disk.ordinary();
    let end = fill(&partition);
    partition.delete_records(end).unwrap();
    disk.store.keep_room();
    assert!(free() > DISK / 2);
    assert_eq!(
        partition.append(batch(&["v"]), false).unwrap().base_offset,
        end
    );

    fill(&partition);
    let remains = disk.store.delete(&partition.id()).into_iter();
    // A handle of the test's is none of the disk's.
    drop(partition);
    disk.store.free(&remains.collect::<Vec<_>>());
    let patience = std::time::Instant::now();
    while free() < DISK / 2 {
        assert!(patience.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    disk.tick();
    append(&disk.bed.attach(&disk.store, 3)).unwrap();
}

#[test]
fn what_finds_no_room_beside_the_batches_is_written_when_there_is_some() {
    let (io, _) = faulty(DISK);
    let mut bed = Bed::new(io, Path::new("/"));
    bed.reserve_bytes = Some(0);
    bed.config.segment_bytes = 100;
    let (store, _) = bed.open();
    let other = bed.io.open(Path::new("/other"), OpenMode::Create).unwrap();
    let disk = SmallDisk { bed, store, other };
    let partition = disk.ordinary();
    append(&partition).unwrap();
    let files = [".index", ".snapshot"].map(|ending| {
        let base = if ending == ".index" { 0 } else { 1 };
        disk.bed.dir.join(format!("topic.1-0/{base:020}{ending}"))
    });
    disk.leave(batch(&["value"]).bytes.len() as u64);
    // Rolls, and leaves no room for what a roll leaves behind.
    append(&partition).unwrap();
    assert!(!disk.bed.io.exists(&files[0]), "{files:?}");
    disk.leave(DISK / 2);
    let patience = std::time::Instant::now();
    let is_whole = |path| {
        disk.bed
            .io
            .read(path)
            .is_ok_and(|content| !content.is_empty())
    };
    while !files.iter().all(|path| disk.bed.io.exists(path)) || !is_whole(&files[1]) {
        assert!(patience.elapsed() < Duration::from_secs(20));
        disk.tick();
        std::thread::sleep(Duration::from_millis(5));
    }
    disk.store.close().unwrap();
}
