//! Apache Kafka's own `kafka-dump-log` reads what the store wrote.
//!
//! Needs a Kafka installation, so it is not run by default:
//! `KAFKA_HOME=… cargo test --lib kafka_reads -- --ignored`.

use super::*;
use crate::batch::{Codec, Level};
use crate::io::RealIo;
use crate::io::tests::ScratchDirectory;
use crate::storage::format::names::SegmentFile;

/// What the tool says about a file.
fn dump(home: &str, arguments: &[&str], file: &Path) -> String {
    let tool = Path::new(home).join("bin").join("kafka-dump-log.sh");
    let output = std::process::Command::new(tool)
        .args(arguments)
        .arg("--files")
        .arg(file)
        .output()
        .expect("the tool runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{} {text:?}", file.display());
    text.concat()
}

#[test]
#[ignore = "needs KAFKA_HOME"]
fn kafkas_dump_log_reads_every_file_after_a_clean_stop() {
    let home = std::env::var("KAFKA_HOME").expect("KAFKA_HOME");
    let scratch = ScratchDirectory::new();
    let mut bed = Bed::new(RealIo::shared(), scratch.path());
    bed.config.segment_bytes = 20_000;
    bed.config.index_interval_bytes = 1_000;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let mut next_sequence = 0;
    for round in 0..120_i64 {
        let codec = [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ][round as usize % 5];
        let mut builder = BatchBuilder::new().compression(codec, Level::Default);
        if round % 2 == 0 {
            builder = builder.producer(ProducerId(77), ProducerEpoch(0), next_sequence);
            next_sequence += 5;
        }
        for record in 0..5_i64 {
            // Timestamps that now and then go back.
            let timestamp = NOW.0 + round * 10 + record - (round % 7) * 30;
            let value = format!("{round} {record} ").repeat(40);
            builder.push(Timestamp(timestamp), None, Some(value.as_bytes()));
        }
        partition.append(builder.build().unwrap(), false).unwrap();
        if round == 60 {
            partition.begin_epoch(LeaderEpoch(3));
        }
    }
    store.close().unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    for entry in bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap() {
        let name = entry.path.file_name().unwrap().to_str().unwrap();
        let Some((kind, _)) = SegmentFile::parse(name) else {
            continue;
        };
        *kinds.entry(kind.extension()).or_insert(0) += 1;
        let said = match kind {
            SegmentFile::Log => dump(
                &home,
                &["--print-data-log", "--deep-iteration"],
                &entry.path,
            ),
            SegmentFile::OffsetIndex | SegmentFile::TimeIndex => {
                let said = dump(&home, &["--index-sanity-check"], &entry.path);
                assert!(said.contains("passed sanity check."), "{said}");
                dump(&home, &["--verify-index-only"], &entry.path)
            }
            SegmentFile::Snapshot | SegmentFile::TxnIndex => dump(&home, &[], &entry.path),
        };
        for complaint in [
            "ismatch",
            "corrupt",
            "not a valid",
            "isvalid: false",
            "Non-consecutive",
        ] {
            assert!(!said.contains(complaint), "{name}: {said}");
        }
        if kind == SegmentFile::Snapshot && !name.starts_with("00000000000000000000") {
            assert!(said.contains("producerId: 77"), "{said}");
        }
    }
    assert!(
        kinds[".log"] > 2 && kinds[".index"] == kinds[".log"],
        "{kinds:?}"
    );
    assert!(kinds[".timeindex"] == kinds[".log"] && kinds[".snapshot"] >= kinds[".log"]);
}
