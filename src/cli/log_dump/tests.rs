//! What is printed of files that were written for the purpose.

use super::*;
use crate::batch::{BatchBuilder, ControlType, Header};
use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::format::leader_epochs::{self, EpochEntry};
use crate::storage::format::offset_index::{self, OffsetEntry};
use crate::wire::metadata::{MetadataRecord, TopicRecord};

fn dumped(path: &Path, format: Format) -> (String, usize) {
    let mut dump = Dump {
        out: Vec::new(),
        format,
        records: true,
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
        r#"file path="DIR/00000000000000000007.index""#,
        "offset offset=8 position=77",
        r#"file path="DIR/00000000000000000007.log""#,
        r#"record offset=0 timestamp=5 key="k" value="v" headers=[["h",{"hex":"ff"}]]"#,
        r#"record offset=1 timestamp=6 control="Abort""#,
        r#"file path="DIR/leader-epoch-checkpoint""#,
        "epoch epoch=3 start=7",
    ];
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("batch "))
        .collect();
    assert_eq!(lines, expected);
    assert!(text.contains("batch offsets=[0,0] position=0"), "{text}");
    assert!(text.contains(r#"flags=["control"]"#), "{text}");
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
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[1]["row"], "batch");
    assert_eq!(rows[1]["leader_epoch"], 3);
    assert_eq!(rows[2]["value"], "v");
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
        assert!(text.contains("record offset=0"), "{text}");
        assert!(!text.contains("record offset=1"), "{text}");
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
    assert!(text.ends_with("bytes=1000\n"), "{text}");
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
