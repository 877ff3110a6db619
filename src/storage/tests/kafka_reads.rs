//! Apache Kafka's own `kafka-dump-log` reads what the store wrote.
//!
//! Needs a Kafka installation, so it is not run by default:
//! `KAFKA_HOME=… cargo test --lib kafka_reads -- --ignored`. Without one, files of Kafka's are
//! compared with ours (`golden`).

use std::collections::BTreeMap;

use super::*;
use crate::batch::{Codec, EndMarker, Level};
use crate::io::RealIo;
use crate::io::tests::ScratchDirectory;
use crate::storage::format::names::SegmentFile;
use crate::storage::format::{producer_snapshot, txn_index};

/// What the tool says about files.
fn dump(home: &str, arguments: &[&str], files: &[PathBuf]) -> String {
    let tool = Path::new(home).join("bin").join("kafka-dump-log.sh");
    let names: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let output = std::process::Command::new(tool)
        .args(arguments)
        .arg("--files")
        .arg(names.join(","))
        .output()
        .expect("the tool runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{files:?} {text:?}");
    text.concat()
}

/// The files of a partition, by kind, as far as `wanted` is true of their base offset.
fn files(bed: &Bed, wanted: impl Fn(Offset) -> bool) -> BTreeMap<&'static str, Vec<PathBuf>> {
    let mut kinds: BTreeMap<&'static str, Vec<PathBuf>> = BTreeMap::new();
    for entry in bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap() {
        let name = entry.path.file_name().unwrap().to_str().unwrap();
        if let Some((kind, base)) = SegmentFile::parse(name)
            && wanted(base)
        {
            kinds.entry(kind.extension()).or_default().push(entry.path);
        }
    }
    kinds.values_mut().for_each(|paths| paths.sort());
    kinds
}

/// Has the tool read all of these files, and holds what it says against what is in them. All that
/// it said.
fn check(home: &str, bed: &Bed, kinds: &BTreeMap<&'static str, Vec<PathBuf>>) -> String {
    let mut said = String::new();
    for (kind, paths) in kinds {
        match *kind {
            ".log" => said += &dump(home, &["--print-data-log", "--deep-iteration"], paths),
            ".index" | ".timeindex" => {
                let sane = dump(home, &["--index-sanity-check"], paths);
                let passed = sane.matches("passed sanity check.").count();
                let empty = sane.matches(" is empty.").count();
                assert_eq!(passed + empty, paths.len(), "{sane}");
                said += &dump(home, &["--verify-index-only"], paths);
            }
            ".txnindex" => {
                let text = dump(home, &[], paths);
                for path in paths {
                    for entry in txn_index::decode(&bed.io.read(path).unwrap()).unwrap() {
                        let line = format!(
                            "version: 0 producerId: {} firstOffset: {} lastOffset: {} \
                             lastStableOffset: {}\n",
                            entry.producer_id, entry.first, entry.last, entry.last_stable
                        );
                        assert!(text.contains(&line), "{line}{text}");
                    }
                }
                said += &text;
            }
            ".snapshot" => {
                let text = dump(home, &[], paths);
                for path in paths {
                    for entry in producer_snapshot::decode(&bed.io.read(path).unwrap()).unwrap() {
                        let open = match entry.transaction_start {
                            Some(start) => format!("OptionalLong[{start}]"),
                            None => "OptionalLong.empty".to_owned(),
                        };
                        let line = format!(
                            "producerId: {} producerEpoch: {} coordinatorEpoch: {} \
                             currentTxnFirstOffset: {open} lastTimestamp: {} ",
                            entry.producer_id,
                            entry.epoch,
                            entry.coordinator_epoch,
                            entry.timestamp.0
                        );
                        assert!(text.contains(&line), "{line}\n{text}");
                    }
                }
                said += &text;
            }
            other => panic!("{other}"),
        }
    }
    for complaint in [
        "ismatch",
        "corrupt",
        "not a valid",
        "isvalid: false",
        "Exception",
    ] {
        assert!(!said.contains(complaint), "{said}");
    }
    said
}

/// Plain, idempotent and transactional batches in every codec, over several segments; producer 80
/// leaves its transaction open.
fn fill(partition: &Partition) {
    let mut sequences = [0; 4];
    for round in 0..160_i64 {
        let codec = [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ][round as usize % 5];
        let mut builder = BatchBuilder::new().compression(codec, Level::Default);
        let producer = usize::try_from(round % 5).unwrap();
        if let Some(sequence) = sequences.get_mut(producer) {
            let id = ProducerId(77 + round % 5);
            builder = builder.producer(id, ProducerEpoch(0), *sequence);
            *sequence += 5;
            if producer > 0 {
                builder = builder.transactional();
            }
        }
        for record in 0..5_i64 {
            // Timestamps that now and then go back.
            let timestamp = NOW.0 + round * 10 + record - (round % 7) * 30;
            let value = format!("{round} {record} ").repeat(40);
            builder.push(Timestamp(timestamp), None, Some(value.as_bytes()));
        }
        partition.append(builder.build().unwrap(), false).unwrap();
        // Transactions of 78 and 79 overlap.
        let ended = match round % 10 {
            7 => Some(78),
            9 => Some(79),
            _ => None,
        };
        if let Some(id) = ended {
            let marker = EndMarker {
                committed: round % 20 < 10,
                coordinator_epoch: 2,
            };
            let now = Timestamp(NOW.0 + round * 10);
            let marker = marker.batch(ProducerId(id), ProducerEpoch(0), now).unwrap();
            partition.append(marker, false).unwrap();
        }
        if round == 60 {
            partition.begin_epoch(LeaderEpoch(3));
        }
    }
}

fn small_segments() -> (ScratchDirectory, Bed) {
    let scratch = ScratchDirectory::new();
    let mut bed = Bed::new(RealIo::shared(), scratch.path());
    bed.config.segment_bytes = 12_000;
    bed.config.index_interval_bytes = 1_000;
    (scratch, bed)
}

#[test]
#[ignore = "needs KAFKA_HOME"]
fn kafkas_dump_log_reads_every_file_after_a_clean_stop() {
    let home = std::env::var("KAFKA_HOME").expect("KAFKA_HOME");
    let (_scratch, bed) = small_segments();
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    fill(&partition);
    store.close().unwrap();
    let kinds = files(&bed, |_| true);
    let count = |kind: &str| kinds.get(kind).map_or(0, Vec::len);
    assert!(count(".log") > 2 && count(".index") == count(".log"));
    assert!(count(".timeindex") == count(".log") && count(".snapshot") >= count(".log"));
    assert!(count(".txnindex") > 2, "{kinds:?}");
    let said = check(&home, &bed, &kinds);
    assert!(!said.contains("Non-consecutive"), "{said}");
}

#[test]
#[ignore = "needs KAFKA_HOME"]
fn kafkas_dump_log_reads_sealed_segments_while_the_store_runs() {
    let home = std::env::var("KAFKA_HOME").expect("KAFKA_HOME");
    let (_scratch, bed) = small_segments();
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    fill(&partition);
    wait_committed(&partition, partition.offsets().unwrap().log_end).unwrap();
    let active = partition.log().unwrap().published().load().end.segment;
    let kinds = files(&bed, |base| base < active);
    assert!(kinds.get(".log").is_some_and(|sealed| sealed.len() > 2));
    assert!(
        kinds
            .get(".txnindex")
            .is_some_and(|sealed| sealed.len() > 1)
    );
    let said = check(&home, &bed, &kinds);
    assert!(!said.contains("Non-consecutive"), "{said}");
}

#[test]
#[ignore = "needs KAFKA_HOME"]
fn kafkas_dump_log_reads_compacted_segments() {
    let home = std::env::var("KAFKA_HOME").expect("KAFKA_HOME");
    let (_scratch, mut bed) = small_segments();
    (bed.config.compact, bed.config.delete) = (true, false);
    bed.config.min_cleanable_dirty_ratio = 0.0;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let mut sequence = 0;
    for round in 0..120_i64 {
        let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
        let codec = if round % 2 == 0 {
            Codec::None
        } else {
            Codec::Lz4
        };
        let mut builder = BatchBuilder::new()
            .compression(codec, Level::Default)
            .producer(id, epoch, sequence)
            .transactional();
        sequence += 5;
        for record in 0..5 {
            let key = format!("key {}", (round * 5 + record) % 150);
            let value = format!("{round} {record} ").repeat(30);
            // Some keys end in a tombstone.
            let value = (record != 3).then_some(value.as_bytes());
            builder.push(Timestamp(NOW.0 + round), Some(key.as_bytes()), value);
        }
        partition.append(builder.build().unwrap(), false).unwrap();
        if round % 4 == 3 {
            let marker = EndMarker {
                committed: round % 8 == 3,
                coordinator_epoch: 0,
            };
            let marker = marker.batch(id, epoch, NOW).unwrap();
            partition.append(marker, false).unwrap();
        }
    }
    wait_committed(&partition, partition.offsets().unwrap().log_end).unwrap();
    let before = partition.size();
    store.clean_once().expect("it is dirty");
    assert!(partition.size().bytes < before.bytes / 2);
    store.close().unwrap();
    let said = check(&home, &bed, &files(&bed, |_| true));
    assert!(said.contains("deleteHorizonMs: OptionalLong["), "{said}");
}
