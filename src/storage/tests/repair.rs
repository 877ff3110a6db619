//! Stepping over damage, with a power cut between any two system calls.

use super::*;
use crate::io::PowerCutIo;
use crate::io::{Io, MemoryIo, OpenMode};
use crate::storage::repair::{Mode, Remedy, RepairError, Repaired, repair};
use crate::storage::verify::{Finding, Scope, verify};

/// A few segments of batches of one to three records, in two leader epochs, after a clean stop.
fn filled(bed: &Bed) -> Vec<(i64, String)> {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for index in 0..20 {
        if index == 11 {
            partition.begin_epoch(LeaderEpoch(2));
        }
        let values: Vec<String> = (0..=index % 3).map(|n| format!("{index}.{n}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        partition.append(batch(&values), false).unwrap();
    }
    let end = partition.offsets().unwrap().log_end;
    wait_committed(&partition, end).unwrap();
    let all = read_all(&partition, 0, 1 << 20, Isolation::LogEnd);
    store.close().unwrap();
    all
}

fn bed_on(io: SharedIo) -> Bed {
    let mut bed = Bed::new(io, Path::new("/"));
    bed.config.segment_bytes = 700;
    bed.config.index_interval_bytes = 150;
    bed
}

fn overwrite(io: &dyn Io, path: &Path, content: &[u8]) {
    let file = io.open(path, OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&[content], 0).unwrap();
    file.sync_data().unwrap();
}

/// Base and bytes of each segment.
fn logs(bed: &Bed) -> Vec<(PathBuf, Vec<u8>)> {
    let mut entries = bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap();
    entries.retain(|entry| entry.path.extension() == Some("log".as_ref()));
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries
        .into_iter()
        .map(|entry| (entry.path.clone(), bed.io.read(&entry.path).unwrap()))
        .collect()
}

fn findings(bed: &Bed) -> Vec<Finding> {
    let mut findings = Vec::new();
    verify(&*bed.io, &bed.dir, Scope::All, &mut |finding| {
        findings.push(finding.clone());
    })
    .unwrap();
    findings
}

fn repaired(bed: &Bed, mode: Mode) -> Result<Vec<Repaired>, RepairError> {
    let mut done = Vec::new();
    repair(&*bed.io, &bed.dir, None, mode, NOW, &mut |repaired| {
        done.push(repaired.clone());
    })?;
    Ok(done)
}

/// Everything that a reader gets who reads from one batch to the next.
fn served(bed: &Bed) -> Vec<(i64, String)> {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    store.recover();
    read_all(&partition, 0, 90, Isolation::ReadUncommitted)
}

/// The positions at which the batches of a file begin.
fn batches(content: &[u8]) -> Vec<(usize, BatchHeader)> {
    let (mut position, mut found) = (0, Vec::new());
    while position < content.len() {
        let header = BatchHeader::parse(&content[position..]).unwrap();
        found.push((position, header));
        position += header.total_len();
    }
    found
}

#[test]
fn readers_step_over_what_was_damaged_and_every_other_batch_is_as_before() {
    let bed = bed_on(MemoryIo::shared());
    let all = filled(&bed);
    let pristine = image(&bed);
    for (path, content) in logs(&bed) {
        for (position, header) in batches(&content) {
            let mut flipped = content.clone();
            flipped[position + 40] ^= 4;
            overwrite(&*bed.io, &path, &flipped);
            let planned = repaired(&bed, Mode::DryRun).unwrap();
            assert_eq!(bed.io.read(&path).unwrap(), flipped, "nothing is written");
            assert_eq!(repaired(&bed, Mode::Write).unwrap(), planned);
            assert_eq!(planned.len(), 1);
            assert_eq!(planned[0].remedy, Remedy::SteppedOver);
            let lost = header.base_offset..header.next_offset();
            assert_eq!(planned[0].offsets, lost);
            assert_eq!(
                planned[0].records_lost(),
                u64::from(header.record_count as u32)
            );
            assert_eq!(findings(&bed), []);
            let kept = format!("{}.damaged-{}", path.display(), NOW.0);
            assert_eq!(bed.io.read(Path::new(&kept)).unwrap(), flipped);

            let mut good = all.clone();
            good.retain(|(offset, _)| !lost.contains(&Offset(*offset)));
            assert_eq!(served(&bed), good, "{position} of {}", path.display());
            assert!(repaired(&bed, Mode::Write).unwrap().is_empty());
            restore(&bed, &pristine);
        }
    }
}

/// All files of the data directory.
fn image(bed: &Bed) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |dir: &Path| {
        let mut entries = bed.io.read_dir(dir).unwrap();
        entries.retain(|entry| !entry.is_dir);
        entries
            .into_iter()
            .map(|entry| (entry.path.clone(), bed.io.read(&entry.path).unwrap()))
            .collect::<Vec<_>>()
    };
    [read(&bed.dir), read(&bed.dir.join("topic.1-0"))].concat()
}

fn restore(bed: &Bed, image: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in self::image(bed) {
        bed.io.remove_file(&path).unwrap();
    }
    for (path, content) in image {
        overwrite(&*bed.io, path, content);
    }
}

#[test]
fn what_lies_before_the_checksum_is_put_right() {
    let bed = bed_on(MemoryIo::shared());
    let all = filled(&bed);
    let pristine = image(&bed);
    for (path, content) in logs(&bed) {
        for (position, _) in batches(&content) {
            for byte in 0..17 {
                let mut flipped = content.clone();
                flipped[position + byte] ^= 1 << (byte % 8);
                overwrite(&*bed.io, &path, &flipped);
                let done = repaired(&bed, Mode::Write).unwrap();
                assert_eq!(done.len(), 1, "byte {byte} at {position} of {path:?}");
                assert_eq!(
                    (done[0].remedy, done[0].records_lost()),
                    (Remedy::Mended, 0)
                );
                assert_eq!(bed.io.read(&path).unwrap(), content);
                assert_eq!(findings(&bed), []);
                restore(&bed, &pristine);
            }
        }
    }
    assert_eq!(served(&bed), all);
}

#[test]
fn missing_batches_are_stepped_over() {
    let bed = bed_on(MemoryIo::shared());
    let all = filled(&bed);
    let pristine = image(&bed);
    let logs = logs(&bed);
    // A segment in the middle that is gone, with its end; and the end of the log.
    let (path, content) = &logs[1];
    let cut = batches(content)[1].0;
    let (last, last_content) = logs.last().unwrap();
    let last_cut = batches(last_content)[0].0 + 9;
    for (path, content) in [(path, &content[..cut]), (last, &last_content[..last_cut])] {
        overwrite(&*bed.io, path, content);
        let done = repaired(&bed, Mode::Write).unwrap();
        assert_eq!(done.len(), 1);
        assert_eq!(findings(&bed), []);
        let mut good = all.clone();
        good.retain(|(offset, _)| !done[0].offsets.contains(&Offset(*offset)));
        assert_eq!(served(&bed), good);
        let (store, _) = bed.open();
        let offsets = bed.attach(&store, 1).offsets().unwrap();
        assert_eq!(offsets.log_end, Offset(all.len() as i64));
        drop(store);
        restore(&bed, &pristine);
    }
    bed.io.remove_file(path).unwrap();
    assert_eq!(repaired(&bed, Mode::Write).unwrap().len(), 1);
    assert!(
        findings(&bed)
            .iter()
            .all(|finding| !finding.meaning.is_damage())
    );
}

#[test]
fn a_repair_waits_for_the_broker_to_stop() {
    let bed = bed_on(MemoryIo::shared());
    filled(&bed);
    let (store, _) = bed.open();
    assert!(matches!(
        repaired(&bed, Mode::DryRun),
        Err(RepairError::InUse(_))
    ));
    drop(store);
    repaired(&bed, Mode::DryRun).unwrap();
}

#[test]
fn a_partition_that_is_not_there_is_not_repaired() {
    let bed = bed_on(MemoryIo::shared());
    filled(&bed);
    let only = Some("topic.2-0");
    let refused = repair(&*bed.io, &bed.dir, only, Mode::Write, NOW, &mut |_| {});
    assert!(matches!(refused, Err(RepairError::NoPartition(_))));
}

#[test]
fn a_power_cut_at_any_call_leaves_the_damaged_segment_or_the_repaired_one() {
    let mut random = fastrand::Rng::with_seed(11);
    let disk = PowerCutIo::new();
    let bed = bed_on(disk.clone());
    let all = filled(&bed);
    let (path, content) = logs(&bed).swap_remove(1);
    let (position, header) = batches(&content)[2];
    let mut flipped = content.clone();
    flipped[position + 30] ^= 1;
    // All of it is on disk, what a stop leaves to the file system, too.
    restore(&bed, &image(&bed));
    overwrite(&*bed.io, &path, &flipped);
    for dir in [&bed.dir, &bed.dir.join("topic.1-0")] {
        bed.io.sync_dir(dir).unwrap();
    }
    let mut good = all.clone();
    good.retain(|(offset, _)| !(header.base_offset.0..header.next_offset().0).contains(offset));
    let pristine = disk.after_cut(&mut random);
    let (mut calls, mut outcomes) = (0, [0, 0]);
    loop {
        let disk = pristine.after_cut(&mut random);
        disk.cut_after(calls);
        let done = repaired(&bed_on(disk.clone()), Mode::Write);
        let finished = done.is_ok() && !disk.is_off();
        for _ in 0..4 {
            let after = bed_on(disk.after_cut(&mut random));
            let damaged = findings(&after)
                .iter()
                .any(|finding| finding.meaning.is_damage());
            outcomes[usize::from(damaged)] += 1;
            // It can be repaired as if nothing had been tried before, and then nothing else is lost.
            repaired(&after, Mode::Write).unwrap();
            assert_eq!(findings(&after), [], "cut after {calls} calls");
            assert_eq!(served(&after), good, "cut after {calls} calls");
        }
        if finished {
            break;
        }
        calls += 1;
    }
    assert!(
        calls > 10 && outcomes.iter().all(|count| *count > 5),
        "{calls} {outcomes:?}"
    );
}
