//! What a verification finds, and what it has nothing to say about.

use super::*;
use crate::batch::{Codec, Level};
use crate::io::{Io, MemoryIo, OpenMode};
use crate::storage::verify::{Finding, Meaning, Scope, Standing, Summary, VerifyError, verify};

/// Several segments, of a producer and of others, plain and compressed, in two leader epochs.
fn filled(bed: &Bed, clean: bool) -> i64 {
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for index in 0..30 {
        if index == 17 {
            partition.begin_epoch(LeaderEpoch(3));
        }
        let batch = match index % 3 {
            0 => sequenced(7, 0, index / 3, 1),
            1 => batch(&["plain", "records"]),
            _ => {
                let mut builder = BatchBuilder::new().compression(Codec::Lz4, Level::Default);
                for value in 0..5 {
                    builder.push(
                        Timestamp(NOW.0 + i64::from(index)),
                        None,
                        Some(&[value; 20]),
                    );
                }
                builder.build().unwrap()
            }
        };
        partition.append(batch, false).unwrap();
    }
    let end = partition.offsets().unwrap().log_end;
    wait_committed(&partition, end).unwrap();
    if clean {
        store.close().unwrap();
    }
    end.0
}

fn bed() -> Bed {
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    bed.config.segment_bytes = 900;
    bed.config.index_interval_bytes = 150;
    bed
}

fn verified(bed: &Bed, dir: &Path) -> (Vec<Finding>, Summary) {
    let mut findings = Vec::new();
    let summary = verify(&*bed.io, dir, Scope::All, &mut |finding| {
        findings.push(finding.clone());
    });
    (findings, summary.unwrap())
}

/// Every file below a directory.
fn files(io: &dyn Io, dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in io.read_dir(dir).unwrap() {
        match entry.is_dir {
            true => found.extend(files(io, &entry.path)),
            false => found.push(entry.path),
        }
    }
    found
}

fn overwrite(io: &dyn Io, path: &Path, content: &[u8]) {
    let file = io.open(path, OpenMode::Create).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(&[content], 0).unwrap();
}

#[test]
fn a_whole_directory_has_nothing_to_be_said_about() {
    for clean in [true, false] {
        let bed = bed();
        let end = filled(&bed, clean);
        for dir in [bed.dir.clone(), bed.dir.join("topic.1-0")] {
            let (findings, summary) = verified(&bed, &dir);
            assert_eq!(findings, []);
            assert!(summary.is_whole());
            assert_eq!(
                (summary.partitions, summary.batches, summary.records),
                (1, 30, end as u64)
            );
            assert!(summary.segments > 3, "{summary:?}");
        }
    }
}

#[test]
fn every_flipped_bit_that_means_something_is_found() {
    let bed = bed();
    let end = filled(&bed, true);
    for path in files(&*bed.io, &bed.dir) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let content = bed.io.read(&path).unwrap();
        // Kafka's formats have no checksums of these: any number may be the right one.
        let silent = [
            "meta.properties",
            ".kafka_cleanshutdown",
            "partition.metadata",
            // Of no one partition, and mostly room.
            "klamm-durable-offsets",
        ];
        if silent.contains(&name) || name.ends_with("-checkpoint") && !name.starts_with("leader") {
            continue;
        }
        for at in 0..content.len() {
            let mut flipped = content.clone();
            flipped[at] ^= 1 << (at % 8);
            overwrite(&*bed.io, &path, &flipped);
            let (findings, summary) = verified(&bed, &bed.dir);
            let damage: Vec<_> = findings
                .iter()
                .filter(|finding| finding.meaning.is_damage())
                .collect();
            assert!(!summary.is_whole(), "byte {at} of {name}");
            assert_eq!(damage.len(), 1, "byte {at} of {name}: {damage:?}");
            assert_eq!(damage[0].file, name, "byte {at}: {damage:?}");
            assert_eq!(damage[0].partition.as_deref(), Some("topic.1-0"));
            if let Some(bytes) = &damage[0].bytes {
                assert!(bytes.contains(&(at as u64)), "byte {at}: {damage:?}");
            }
            if name.ends_with(".log") {
                assert_eq!(damage[0].meaning, Meaning::RecordsLost);
                assert_eq!(damage[0].standing, Standing::Below);
                let lost = damage[0].offsets.clone().unwrap();
                assert_eq!(summary.records, (end - lost.end.0 + lost.start.0) as u64);
            } else {
                assert_eq!(damage[0].meaning, Meaning::Rebuildable);
            }
        }
        overwrite(&*bed.io, &path, &content);
    }
}

#[test]
fn a_torn_tail_is_told_from_lost_records() {
    let bed = bed();
    let end = filled(&bed, false);
    let logs: Vec<_> = files(&*bed.io, &bed.dir)
        .into_iter()
        .filter(|path| path.extension() == Some("log".as_ref()))
        .collect();
    let last = logs.last().unwrap();
    let content = bed.io.read(last).unwrap();
    for (tail, means) in [
        (vec![7; 50], Meaning::TornTail),
        (vec![0; 5_000], Meaning::TornTail),
    ] {
        overwrite(&*bed.io, last, &[content.as_slice(), &tail].concat());
        let (findings, summary) = verified(&bed, &bed.dir);
        assert!(summary.is_whole());
        assert_eq!(
            (findings.len(), findings[0].meaning),
            (1, means),
            "{findings:?}"
        );
        let bytes = content.len() as u64..(content.len() + tail.len()) as u64;
        assert_eq!(findings[0].bytes, Some(bytes));
    }
    // After a clean stop the end is known.
    let clean = self::bed();
    filled(&clean, true);
    overwrite(&*clean.io, last, &content[..content.len() - 1]);
    let (findings, summary) = verified(&clean, &clean.dir);
    assert_eq!(summary.damaged_ranges, 1, "{findings:?}");
    assert_eq!(findings[0].offsets.clone().unwrap().end, Offset(end));
}

#[test]
fn a_segment_that_is_missing_is_missed() {
    let bed = bed();
    filled(&bed, true);
    let logs: Vec<_> = files(&*bed.io, &bed.dir)
        .into_iter()
        .filter(|path| path.extension() == Some("log".as_ref()))
        .collect();
    bed.io.remove_file(&logs[1]).unwrap();
    let (findings, summary) = verified(&bed, &bed.dir);
    assert_eq!(summary.damaged_ranges, 1, "{findings:?}");
    let lost = findings
        .iter()
        .find(|finding| finding.meaning == Meaning::RecordsLost)
        .unwrap();
    assert_eq!(
        lost.file,
        logs[0].file_name().unwrap().to_str().unwrap(),
        "{lost:?}"
    );
    assert!(summary.records_lost > 0);
}

#[test]
fn the_segment_that_a_broker_writes_is_left_alone() {
    let bed = bed();
    filled(&bed, false);
    let logs: Vec<_> = files(&*bed.io, &bed.dir)
        .into_iter()
        .filter(|path| path.extension() == Some("log".as_ref()))
        .collect();
    overwrite(&*bed.io, logs.last().unwrap(), &[1; 500]);
    let summary = verify(&*bed.io, &bed.dir, Scope::Sealed, &mut |finding| {
        panic!("{finding:?}")
    });
    assert_eq!(summary.unwrap().segments, logs.len() as u64 - 1);
}

#[test]
fn a_place_without_logs_is_refused() {
    let bed = bed();
    bed.io.create_dir_all(Path::new("/elsewhere")).unwrap();
    for dir in ["/elsewhere", "/absent"] {
        let refused = verify(&*bed.io, Path::new(dir), Scope::All, &mut |_| {});
        assert!(matches!(
            refused,
            Err(VerifyError::NoData(_) | VerifyError::Io { .. })
        ));
    }
}

#[test]
fn records_of_the_metadata_log_that_make_no_sense_are_found() {
    let bed = bed();
    let (store, _) = bed.open();
    let partition = store.attach(PartitionSpec {
        topic_name: TopicName::cluster_metadata(),
        id: TopicPartition {
            topic: TopicId::METADATA,
            partition: PartitionId(0),
        },
        ..bed.spec(1)
    });
    partition.append(batch(&["no record"]), false).unwrap();
    wait_committed(&partition, Offset(1)).unwrap();
    store.close().unwrap();
    let name = "00000000000000000052-0000000002.checkpoint";
    let snapshot = bed.dir.join("__cluster_metadata-0").join(name);
    overwrite(&*bed.io, &snapshot, &batch(&["cut"]).bytes[..30]);
    let (findings, _) = verified(&bed, &bed.dir);
    let found: Vec<_> = findings
        .iter()
        .map(|finding| (finding.file.as_str(), finding.meaning))
        .collect();
    let log = "00000000000000000000.log";
    assert_eq!(found, [(name, Meaning::Primary), (log, Meaning::Malformed)]);
}

/// A file system that can be read.
#[derive(Debug)]
struct ReadOnlyIo(SharedIo);

impl Io for ReadOnlyIo {
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn crate::io::File>> {
        assert_eq!(mode, OpenMode::Read, "{}", path.display());
        self.0.open(path, mode)
    }
    fn read_dir(&self, path: &Path) -> std::io::Result<Vec<crate::io::DirEntry>> {
        self.0.read_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }
    fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        panic!("made {}", path.display())
    }
    fn rename(&self, from: &Path, _to: &Path) -> std::io::Result<()> {
        panic!("renamed {}", from.display())
    }
    fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        panic!("removed {}", path.display())
    }
    fn remove_dir_all(&self, path: &Path) -> std::io::Result<()> {
        panic!("removed {}", path.display())
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        panic!("synced {}", path.display())
    }
    fn lock(&self, path: &Path) -> std::io::Result<Arc<dyn crate::io::File>> {
        panic!("locked {}", path.display())
    }
}

#[test]
fn nothing_is_written_and_no_lock_is_taken() {
    let bed = bed();
    filled(&bed, false);
    let io = ReadOnlyIo(bed.io.clone());
    verify(&io, &bed.dir, Scope::All, &mut |_| {}).unwrap();
}
