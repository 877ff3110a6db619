//! Rounds of syncs: what must be on disk before somebody is told, and what a round may cost.

use std::sync::atomic::Ordering;

use super::faults::failing;
use super::*;
use crate::io::MemoryIo;
use crate::io::PowerCutIo;
use crate::storage::durability::commit::ROUNDS_UNNOTED_MAX;
use crate::storage::durability::journal;
use crate::storage::format::names;

/// Appends one record after another to two logs that roll often, until the power is cut; the next
/// offsets of both that were acknowledged.
fn produce_until_the_cut(bed: &Bed) -> [i64; 2] {
    let mut acknowledged = [0; 2];
    let Ok((store, _)) = Store::open(bed.options()) else {
        return acknowledged;
    };
    store.recover();
    let logs = [1, 2].map(|topic| bed.attach(&store, topic));
    for (log, acknowledged) in logs.iter().zip(&mut acknowledged) {
        *acknowledged = committed(log);
    }
    for round in 0..12 {
        for (log, acknowledged) in logs.iter().zip(&mut acknowledged) {
            let value = acknowledged.to_string();
            let Ok(done) = log.append(batch(&[&value]), false) else {
                return [logs[0].clone(), logs[1].clone()].map(|log| committed(&log));
            };
            if wait_committed(log, done.next_offset).is_ok() {
                assert_eq!(done.next_offset.0, *acknowledged + 1, "round {round}");
                *acknowledged = done.next_offset.0;
            }
        }
    }
    acknowledged
}

/// Its high watermark; 0 if it cannot be opened.
fn committed(log: &Partition) -> i64 {
    log.offsets().map_or(0, |offsets| offsets.high_watermark.0)
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut_at_any_call() {
    for seed in 0..150 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let mut io = PowerCutIo::new();
        let mut bed = Bed::new(io.clone(), Path::new("/new/directories"));
        bed.config.segment_bytes = 250;
        let mut acknowledged = [0; 2];
        for _ in 0..3 {
            io.cut_after(random.usize(1..200));
            let now = produce_until_the_cut(&bed);
            io.cut_after(0);
            acknowledged = [0, 1].map(|log| now[log].max(acknowledged[log]));
            io = io.after_cut(random);
            let noted = journal::read(&*io, &bed.dir.join(names::DURABLE_OFFSETS));
            bed.io = io.clone();
            let (store, _) = bed.open();
            for (topic, acknowledged) in (1..).zip(acknowledged) {
                let log = bed.attach(&store, topic);
                let end = committed(&log);
                assert!(end >= acknowledged, "seed {seed}: {end} < {acknowledged}");
                let read = read_all(&log, 0, 1 << 20, Isolation::ReadUncommitted);
                let expected: Vec<_> = (0..end)
                    .map(|offset| (offset, offset.to_string()))
                    .collect();
                assert_eq!(read, expected, "seed {seed}");
                let points = noted.iter().flat_map(|found| found.points.get(&log.id()));
                let noted = points.map(|point| point.offset.0).next().unwrap_or(0);
                // Each record is a round: those of the note that the cut met, and as many that
                // ended meanwhile.
                let unnoted_max = 2 * ROUNDS_UNNOTED_MAX as i64 + 2;
                assert!(
                    noted <= end && noted + unnoted_max >= acknowledged,
                    "seed {seed}: {noted}"
                );
            }
            acknowledged = [1, 2].map(|topic| committed(&bed.attach(&store, topic)));
        }
    }
}

/// Logs of topics 1 to `count`, each with a record that awaits its sync.
fn dirty_logs(bed: &Bed, store: &Store, count: u128) -> Vec<Arc<Partition>> {
    let logs: Vec<_> = (1..=count).map(|topic| bed.attach(store, topic)).collect();
    for log in &logs {
        log.append(batch(&["a"]), false).unwrap();
    }
    logs
}

fn wait_durable(bed: &Bed, logs: &[Arc<Partition>]) {
    let patience = std::time::Instant::now();
    let durable = |log: &Arc<Partition>| log.offsets().unwrap().durable == Offset(1);
    while !logs.iter().all(durable) {
        assert!(patience.elapsed() < Duration::from_secs(20));
        bed.clock.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn more_dirty_logs_than_files_may_be_open_are_synced_with_the_file_system() {
    let io = PowerCutIo::new();
    let mut bed = Bed::new(io.clone(), Path::new("/"));
    bed.config.durability = Durability::Os;
    bed.open_files_max = 8;
    let (store, _) = bed.open();
    let logs = dirty_logs(&bed, &store, 50);
    let stats = store.file_cache_stats();
    assert!(stats.open <= 8 + 16, "{stats:?}");
    wait_durable(&bed, &logs);
    assert!(io.file_system_syncs() > 0);
    io.cut_after(0);
    drop((logs, store));
    bed.io = io.after_cut(&mut fastrand::Rng::with_seed(1));
    let (store, _) = bed.open();
    for topic in 1..=50 {
        assert_eq!(committed(&bed.attach(&store, topic)), 1);
    }
}

#[test]
fn the_stop_syncs_what_is_not_held_open() {
    let io = PowerCutIo::new();
    let mut bed = Bed::new(io.clone(), Path::new("/"));
    bed.config.durability = Durability::Os;
    bed.open_files_max = 8;
    let (store, _) = bed.open();
    let logs = dirty_logs(&bed, &store, 40);
    store.close().unwrap();
    io.cut_after(0);
    drop((logs, store));
    bed.io = io.after_cut(&mut fastrand::Rng::with_seed(1));
    let (store, opened) = bed.open();
    assert!(opened.clean);
    for topic in 1..=40 {
        assert_eq!(committed(&bed.attach(&store, topic)), 1);
    }
}

#[test]
fn many_dirty_logs_on_a_file_system_of_their_own_are_synced_at_once() {
    let (io, faults) = failing();
    let mut bed = Bed::new(io, Path::new("/"));
    bed.config.durability = Durability::Os;
    bed.open_files_max = 1_000;
    let (store, _) = bed.open();
    let logs = dirty_logs(&bed, &store, 200);
    wait_durable(&bed, &logs);
    assert!(faults.syncs.load(Ordering::SeqCst) < 50);
}

#[test]
fn a_failed_sync_of_the_file_system_is_final() {
    let (io, faults) = failing();
    let mut bed = Bed::new(io, Path::new("/"));
    bed.open_files_max = 1_000;
    bed.config.durability = Durability::Os;
    let (store, _) = bed.open();
    let logs = dirty_logs(&bed, &store, 100);
    faults.syncs_fail.store(true, Ordering::SeqCst);
    bed.clock.advance(Duration::from_secs(2));
    let patience = std::time::Instant::now();
    while logs[0].append(batch(&["b"]), false).is_ok() {
        assert!(patience.elapsed() < Duration::from_secs(20));
        bed.clock.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(5));
    }
    let durable = |log: &Arc<Partition>| log.offsets().unwrap().durable;
    assert!(logs.iter().all(|log| durable(log) == Offset(0)));
}

#[test]
fn flush_settings_bring_a_sync_forward_and_never_put_it_off() {
    for (flush_ms, within) in [(50, 60), (3_600_000, 1_000), (i64::MAX, 1_000)] {
        let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        bed.config.durability = Durability::Os;
        bed.config.flush_ms = flush_ms;
        let (store, _) = bed.open();
        let logs = dirty_logs(&bed, &store, 1);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(logs[0].offsets().unwrap().durable, Offset(0), "{flush_ms}");
        bed.clock.advance(Duration::from_millis(within));
        // Nobody wakes the commit thread when a test's clock jumps.
        logs[0].append(batch(&["b"]), false).unwrap();
        let patience = std::time::Instant::now();
        while logs[0].offsets().unwrap().durable < Offset(1) {
            assert!(patience.elapsed() < Duration::from_secs(20), "{flush_ms}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // What is synced before it is answered stays so, whatever the settings say.
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    (bed.config.flush_messages, bed.config.flush_ms) = (1_000, 3_600_000);
    let (store, _) = bed.open();
    let logs = dirty_logs(&bed, &store, 1);
    wait_committed(&logs[0], Offset(1)).unwrap();
    assert_eq!(logs[0].offsets().unwrap().durable, Offset(1));
}

#[test]
fn what_rounds_made_durable_is_noted_although_no_other_follows() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let log = bed.attach(&store, 1);
    for _ in 0..3 {
        let done = log.append(batch(&["a", "b"]), false).unwrap();
        wait_committed(&log, done.next_offset).unwrap();
    }
    let path = bed.dir.join(names::DURABLE_OFFSETS);
    let noted = || {
        journal::read(&*bed.io, &path)?
            .points
            .get(&log.id())
            .copied()
    };
    let patience = std::time::Instant::now();
    while noted().is_none_or(|point| point.offset < Offset(6)) {
        assert!(patience.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    let size = log.size().bytes;
    assert_eq!(noted().unwrap().position, size);
    store.delete(&log.id());
    let other = bed.attach(&store, 2);
    let done = other.append(batch(&["a"]), false).unwrap();
    wait_committed(&other, done.next_offset).unwrap();
    store.close().unwrap();
    drop((log, other, store));
    let (store, _) = bed.open();
    // Nothing is known of a partition that is not there any more.
    store.remove_strays();
    let point = |topic| {
        journal::read(&*bed.io, &path).map(|found| found.points.contains_key(&bed.spec(topic).id))
    };
    assert_eq!(point(2), Some(true));
}
