//! What is printed of files that were written for the purpose.

use super::*;
use crate::batch::{BatchBuilder, ControlType, Header};
use crate::model::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicId, TopicPartition};
use crate::storage::format::journal::{DurablePoint, Kind, Record};
use crate::storage::format::leader_epochs::{self, EpochEntry};
use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::storage::format::txn_indexes::{self, IndexSummary};
use crate::wire::groups::{GroupKey, GroupRecord};
use crate::wire::metadata::{MetadataRecord, TopicRecord};

fn dumped(path: &Path, format: Format) -> (String, usize) {
    let mut dump = Dump {
        out: Vec::new(),
        format,
        records: true,
        decoder: None,
    };
    let damaged = dump.paths(&[path.to_owned()]).unwrap();
    let text = String::from_utf8(dump.out).unwrap();
    (text.replace(path.to_str().unwrap(), "DIR"), damaged)
}

fn two_batches() -> Vec<u8> {
    let mut data = BatchBuilder::new().leader_epoch(LeaderEpoch(3));
    let headers = [Header {
        key: b"h",
        value: Some(&[0xff]),
    }];
    data.push_with_headers(Timestamp(5), Some(b"k"), Some(b"v"), &headers);
    let mut marker = BatchBuilder::new().base_offset(Offset(1)).control();
    marker.push(Timestamp(6), Some(&ControlType::Abort.key()), Some(&[0; 6]));
    [data.build().unwrap().bytes, marker.build().unwrap().bytes].concat()
}

#[test]
fn a_directory_is_printed_with_everything_that_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("00000000000000000007.log", &two_batches());
    let entry = OffsetEntry {
        relative_offset: 1,
        position: 77,
    };
    write(
        "00000000000000000007.index",
        &offset_index::encode(&[entry]),
    );
    let epoch = EpochEntry {
        epoch: LeaderEpoch(3),
        start: Offset(7),
    };
    write(
        "leader-epoch-checkpoint",
        leader_epochs::encode(&[epoch]).as_bytes(),
    );
    write("notes.txt", b"not ours");
    let (text, damaged) = dumped(folder.path(), Format::Text);
    assert_eq!(damaged, 0);
    let expected = [
        "Dumping DIR/00000000000000000007.index",
        "offset: 8 position: 77",
        "Dumping DIR/00000000000000000007.log",
        "Log starting offset: 7",
        r#"| offset: 0 CreateTime: 5 keySize: 1 valueSize: 1 headers: [["h",{"hex":"ff"}]] key: k payload: v"#,
        "| offset: 1 CreateTime: 6 keySize: 4 valueSize: 6 endTxnMarker: ABORT coordinatorEpoch: 0",
        "Dumping DIR/leader-epoch-checkpoint",
        "epoch: 3 startOffset: 7",
    ];
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("baseOffset: "))
        .collect();
    assert_eq!(lines, expected);
    assert!(
        text.contains("baseOffset: 0 lastOffset: 0 count: 1 "),
        "{text}"
    );
    assert!(text.contains(" isControl: true "), "{text}");
}

#[test]
fn json_has_one_object_on_each_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("00000000000000000000.log"),
        two_batches(),
    )
    .unwrap();
    let (text, _) = dumped(folder.path(), Format::Json);
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[2]["row"], "batch");
    assert_eq!(rows[2]["partitionLeaderEpoch"], 3);
    assert_eq!(rows[3]["payload"], "v");
}

#[test]
fn the_metadata_log_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("__cluster_metadata-0");
    std::fs::create_dir(&directory).unwrap();
    let topic = TopicRecord {
        name: "news".to_owned(),
        ..TopicRecord::default()
    };
    let mut builder = BatchBuilder::new();
    builder.push(
        Timestamp(1),
        None,
        Some(&MetadataRecord::from(topic).encode().unwrap()),
    );
    let bytes = builder.build().unwrap().bytes;
    std::fs::write(directory.join("00000000000000000000.log"), bytes).unwrap();
    let (text, _) = dumped(folder.path(), Format::Text);
    assert!(
        text.contains("Topic(TopicRecord") && text.contains("news"),
        "{text}"
    );
}

#[test]
fn the_records_of_groups_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("__consumer_offsets-28");
    std::fs::create_dir(&directory).unwrap();
    let key = GroupKey {
        group: "readers".to_owned(),
    };
    let (key, value) = GroupRecord::ConsumerGroup(key, None).encode().unwrap();
    let mut builder = BatchBuilder::new();
    builder.push(Timestamp(1), Some(&key), value.as_deref());
    builder.push(Timestamp(1), Some(b"nonsense"), None);
    let bytes = builder.build().unwrap().bytes;
    std::fs::write(directory.join("00000000000000000000.log"), bytes).unwrap();
    let (text, damaged) = dumped(folder.path(), Format::Text);
    assert_eq!(damaged, 0);
    let decoded = r#"key: {"data":{"groupId":"readers"},"type":"3"} payload: <DELETE>"#;
    assert!(text.contains(decoded), "{text}");
    assert!(
        text.contains(r#"key: {"hex":"6e6f6e73656e7365"} error: "#),
        "{text}"
    );
}

#[test]
fn a_file_is_printed_up_to_its_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("00000000000000000000.log");
    let whole = two_batches();
    for damage in [whole[..whole.len() - 1].to_vec(), {
        let mut flipped = whole.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        flipped
    }] {
        std::fs::write(&path, damage).unwrap();
        let (text, damaged) = dumped(folder.path(), Format::Text);
        assert_eq!(damaged, 1);
        assert!(text.contains("| offset: 0 "), "{text}");
        assert!(!text.contains("| offset: 1 "), "{text}");
    }
}

#[test]
fn room_taken_in_advance_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("00000000000000000000.log");
    let padded = [two_batches(), vec![0; 1000]].concat();
    std::fs::write(&path, &padded).unwrap();
    let (text, damaged) = dumped(folder.path(), Format::Text);
    assert_eq!(damaged, 0);
    assert!(text.ends_with("bytes: 1000\n"), "{text}");
    std::fs::write(&path, [padded, vec![1]].concat()).unwrap();
    assert_eq!(dumped(folder.path(), Format::Text).1, 1);
}

#[test]
fn a_file_that_says_nothing_by_its_name_is_an_error_if_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "").unwrap();
    assert_eq!(dumped(&path, Format::Text).1, 1);
    assert_eq!(dumped(&folder.path().join("absent.log"), Format::Text).1, 1);
}

/// Every kind of file, by name and content, whole.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    macro_rules! golden {
        ($file:literal) => {
            include_bytes!(concat!("../../storage/format/golden/", $file)).to_vec()
        };
    }
    let topic = TopicPartition {
        topic: TopicId(uuid::Uuid::from_u128(7)),
        partition: PartitionId(3),
    };
    let point = DurablePoint {
        offset: Offset(20),
        segment: Offset(10),
        position: 400,
    };
    let record = |sequence, kind| {
        let entries = vec![(topic, point)];
        Record {
            sequence,
            kind,
            entries,
        }
        .encode()
    };
    let first = [record(7, Kind::Snapshot), record(8, Kind::Change)].concat();
    let second = [record(4, Kind::Snapshot), vec![0; 4096]].concat();
    let told = IndexSummary {
        base: Offset(0),
        end: Offset(20),
        entries: 1,
        crc: 5,
    };
    vec![
        (
            "00000000000000000014.log",
            golden!("golden-0/00000000000000000014.log"),
        ),
        (
            "00000000000000000014.index",
            golden!("golden-0/00000000000000000014.index"),
        ),
        (
            "00000000000000000014.timeindex",
            golden!("golden-0/00000000000000000014.timeindex"),
        ),
        (
            "00000000000000000014.txnindex",
            golden!("golden-0/00000000000000000014.txnindex"),
        ),
        (
            "00000000000000000028.snapshot",
            golden!("golden-0/00000000000000000028.snapshot"),
        ),
        (
            "leader-epoch-checkpoint",
            golden!("golden-0/leader-epoch-checkpoint"),
        ),
        (
            "replication-offset-checkpoint",
            golden!("replication-offset-checkpoint"),
        ),
        (
            "klamm-compacted-offset-checkpoint",
            golden!("recovery-point-offset-checkpoint"),
        ),
        (
            "klamm-transaction-indexes",
            txn_indexes::encode(topic, &[told]).into_bytes(),
        ),
        ("klamm-durable-offsets", [first, second].concat()),
        ("partition.metadata", golden!("golden-0/partition.metadata")),
        ("meta.properties", golden!("meta.properties")),
        (".kafka_cleanshutdown", golden!(".kafka_cleanshutdown")),
        (
            "00000000000000000052-0000000002.checkpoint",
            include_bytes!(
                "../../catalog/golden/kafka-4.1.2-00000000000000000052-0000000002.checkpoint"
            )
            .to_vec(),
        ),
    ]
}

#[test]
fn every_kind_of_file_is_printed_in_kafkas_words() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in every_kind() {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let (text, damaged) = dumped(folder.path(), Format::Text);
    assert_eq!(damaged, 0, "{text}");
    for line in [
        "Log starting offset: 14\nbaseOffset: 14 lastOffset: 14 count: 1 baseSequence: 0 \
         lastSequence: 0 producerId: 2 producerEpoch: 1 partitionLeaderEpoch: 0 \
         isTransactional: true isControl: false position: 0 CreateTime: 1795244030749 size: 91 \
         magic: 2 compresscodec: none crc: ",
        "endTxnMarker: ABORT coordinatorEpoch: 0\n",
        "version: 0 producerId: 1 firstOffset: 15 lastOffset: 20 lastStableOffset: 14\n",
        "producerId: 1 producerEpoch: 3 coordinatorEpoch: 0 lastTimestamp: 1795243993788\n",
        "producerId: 3 producerEpoch: 0 coordinatorEpoch: -1 currentTxnFirstOffset: 26 \
         lastTimestamp: 1795244030819 lastSequence: 1 lastOffset: 27 offsetDelta: 1\n",
        "epoch: 0 startOffset: 2\n",
        "partition: golden-0 offset: 28\n",
        "baseOffset: 0 endOffset: 20 aborted: 1 crc: 5\n",
        "position: 4096 sequence: 8 kind: change count: 1 newest: true\n",
        "position: 8192 sequence: 4 kind: snapshot count: 1 newest: false\n",
        "partition: 3 offset: 20 segment: 10 position: 400\n",
        "topic_id: UIkEr1f3TsCRs02qbyFENA\n",
        "control: SnapshotHeader(",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn harm_to_any_kind_of_file_is_told_with_its_place_or_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (name, whole) in every_kind() {
        let path = folder.path().join(name);
        let mut harmed: Vec<Vec<u8>> = vec![
            whole[..whole.len() - 1].to_vec(),
            vec![0xff; whole.len()],
            [&whole[..], &[0xfe; 7]].concat(),
        ];
        harmed.extend((0..whole.len().min(512)).map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x81;
            flipped
        }));
        for content in harmed {
            std::fs::write(&path, content).unwrap();
            dumped(&path, Format::Text);
        }
        std::fs::write(&path, vec![0xff; whole.len()]).unwrap();
        let (_, damaged) = dumped(&path, Format::Text);
        assert_eq!(damaged, 1, "{name}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn files_out_of_use_are_printed_as_those_in_use() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "00000000000000000000.log.deleted",
        "00000000000000000000.log.cleaned",
        "00000000000000000000.log.00000000000000000020.swap",
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, two_batches()).unwrap();
        let (text, damaged) = dumped(&path, Format::Text);
        assert_eq!(damaged, 0, "{name}");
        assert!(text.contains("Log starting offset: 0\n"), "{text}");
    }
}
