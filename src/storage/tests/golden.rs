//! Files that Apache Kafka 4.1.2 left at a clean stop (`format/golden`): what is decoded from them
//! is what it was told to write, and what is written for the same batches are the same bytes.
//!
//! One idempotent and three transactional producers wrote to one partition, with
//! `index.interval.bytes=150` and `segment.ms=30000`: producer 1 aborted offsets 4 to 6 and, while
//! producer 2 had begun at 14, 15 and 21; producer 2 committed 7 to 11 and aborted from 14 on;
//! producer 3 left its transaction open at 26. Then offsets 0 and 1 were deleted.

use super::*;
use crate::batch::EndMarker;
use crate::io::{MemoryIo, OpenMode};
use crate::storage::format::leader_epochs::EpochEntry;
use crate::storage::format::txn_index::AbortedEntry;
use crate::storage::format::{
    clean_shutdown, leader_epochs, meta_properties, names, offset_checkpoint, offset_index,
    partition_metadata, producer_snapshot, time_index, txn_index,
};
use crate::storage::log::memory_index::MemoryIndex;
use crate::storage::log::producers::Producers;

macro_rules! golden {
    ($file:literal) => {
        include_bytes!(concat!("../format/golden/", $file)).as_slice()
    };
}

const TOPIC_ID: &str = "UIkEr1f3TsCRs02qbyFENA";
const INDEX_INTERVAL_BYTES: u64 = 150;

/// Files of a segment.
struct GoldenSegment {
    base: Offset,
    log: &'static [u8],
    offset_index: &'static [u8],
    time_index: &'static [u8],
    txn_index: &'static [u8],
    /// As of its end.
    snapshot: &'static [u8],
}

const SEGMENTS: [GoldenSegment; 2] = [
    GoldenSegment {
        base: Offset(0),
        log: golden!("golden-0/00000000000000000000.log"),
        offset_index: golden!("golden-0/00000000000000000000.index"),
        time_index: golden!("golden-0/00000000000000000000.timeindex"),
        txn_index: golden!("golden-0/00000000000000000000.txnindex"),
        snapshot: golden!("golden-0/00000000000000000014.snapshot"),
    },
    GoldenSegment {
        base: Offset(14),
        log: golden!("golden-0/00000000000000000014.log"),
        offset_index: golden!("golden-0/00000000000000000014.index"),
        time_index: golden!("golden-0/00000000000000000014.timeindex"),
        txn_index: golden!("golden-0/00000000000000000014.txnindex"),
        snapshot: golden!("golden-0/00000000000000000028.snapshot"),
    },
];

/// Header, bytes and position of each batch.
fn batches(log: &[u8]) -> Vec<(BatchHeader, &[u8], u64)> {
    let (mut rest, mut found) = (log, Vec::new());
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).unwrap();
        let (batch, after) = rest.split_at(header.total_len());
        assert!(header.crc_matches(batch));
        found.push((header, batch, (log.len() - rest.len()) as u64));
        rest = after;
    }
    found
}

#[test]
fn batches_are_built_as_kafkas_are() {
    let mut markers = 0;
    for segment in &SEGMENTS {
        for (header, bytes, _) in batches(segment.log) {
            let (id, epoch) = (
                ProducerId(header.producer_id),
                ProducerEpoch(header.producer_epoch),
            );
            let built = if header.is_control() {
                markers += 1;
                let marker = EndMarker::of(bytes).unwrap();
                marker.batch(id, epoch, header.max_timestamp).unwrap()
            } else {
                let mut builder = BatchBuilder::new().producer(id, epoch, header.base_sequence);
                if header.is_transactional() {
                    builder = builder.transactional();
                }
                for record in &records(bytes).unwrap() {
                    let record = record.unwrap();
                    builder.push(record.timestamp, record.key, record.value);
                }
                builder.build().unwrap()
            };
            let prefix = built.patched_prefix(header.base_offset, header.leader_epoch);
            let built = [&prefix, &built.bytes[prefix.len()..]].concat();
            assert_eq!(built, bytes, "at offset {}", header.base_offset);
        }
    }
    assert_eq!(markers, 5);
}

#[test]
fn indexes_and_snapshots_of_the_same_batches_are_the_same_bytes() {
    let mut producers = Producers::default();
    for segment in &SEGMENTS {
        let (mut index, mut aborted) = (MemoryIndex::default(), Vec::new());
        for (header, bytes, position) in batches(segment.log) {
            index.note(segment.base, &header, position, INDEX_INTERVAL_BYTES);
            let marker = header.is_control().then(|| EndMarker::of(bytes).unwrap());
            let step = producers.replay(&header, marker);
            aborted.extend(step.and_then(|step| step.aborted()));
        }
        index.note_largest();
        assert_eq!(
            offset_index::encode(&index.offset_entries()),
            segment.offset_index
        );
        assert_eq!(time_index::encode(&index.times), segment.time_index);
        assert_eq!(txn_index::encode(&aborted), segment.txn_index);
        let snapshot = producer_snapshot::encode(&producers.snapshot());
        assert_eq!(snapshot, segment.snapshot);
    }
}

#[test]
fn decoders_give_what_the_files_say() {
    let [_, second] = &SEGMENTS;
    let entry = |producer_id, first, last, last_stable| AbortedEntry {
        producer_id,
        first: Offset(first),
        last: Offset(last),
        last_stable: Offset(last_stable),
    };
    assert_eq!(
        txn_index::decode(second.txn_index).unwrap(),
        [
            entry(1, 15, 20, 14),
            entry(1, 21, 22, 14),
            entry(2, 14, 23, 24)
        ]
    );
    for segment in &SEGMENTS {
        let offsets = offset_index::decode(segment.offset_index);
        assert_eq!(offset_index::encode(&offsets), segment.offset_index);
        let times = time_index::decode(segment.time_index);
        assert_eq!(time_index::encode(&times), segment.time_index);
        let producers = producer_snapshot::decode(segment.snapshot).unwrap();
        assert_eq!(producer_snapshot::encode(&producers), segment.snapshot);
        let again = Producers::from_snapshot(&producers).snapshot();
        assert_eq!(producer_snapshot::encode(&again), segment.snapshot);
    }
    let open = producer_snapshot::decode(second.snapshot).unwrap();
    assert_eq!(open.last().unwrap().transaction_start, Some(26));

    let epochs = text(golden!("golden-0/leader-epoch-checkpoint"));
    let first = EpochEntry {
        epoch: LeaderEpoch(0),
        start: Offset(2),
    };
    assert_eq!(leader_epochs::decode(epochs).unwrap(), [first]);
    assert_eq!(leader_epochs::encode(&[first]), epochs);

    let metadata = text(golden!("golden-0/partition.metadata"));
    assert_eq!(partition_metadata::decode(metadata), Ok(TOPIC_ID));
    let topic = TopicId::from_base64(TOPIC_ID).unwrap();
    assert_eq!(partition_metadata::encode(topic), metadata);

    let meta = meta_properties::decode(text(golden!("meta.properties"))).unwrap();
    assert_eq!(meta.cluster_id, "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(meta.node_id, NodeId(1));
    assert_eq!(meta.directory_id.as_deref(), Some("HgiVHVgkQh8uuGzn1Omflw"));

    let marker: serde_json::Value =
        serde_json::from_slice(golden!(".kafka_cleanshutdown")).unwrap();
    let ours: serde_json::Value = serde_json::from_str(clean_shutdown::CONTENT).unwrap();
    assert_eq!(marker["version"], ours["version"]);
}

#[test]
fn checkpoints_of_offsets_are_the_same_but_for_the_order_of_lines() {
    let files = [
        (
            golden!("log-start-offset-checkpoint"),
            vec![("golden-0", 2)],
        ),
        (
            golden!("recovery-point-offset-checkpoint"),
            vec![("golden-0", 28), ("__transaction_state-0", 19)],
        ),
        (
            golden!("replication-offset-checkpoint"),
            vec![("golden-0", 28), ("__transaction_state-0", 19)],
        ),
        // As Kafka creates it.
        (golden!("cleaner-offset-checkpoint"), vec![]),
    ];
    for (content, expected) in files {
        let content = text(content);
        let offsets = offset_checkpoint::decode(content).unwrap();
        let expected = expected.iter();
        let expected: offset_checkpoint::Offsets = expected
            .map(|(name, offset)| ((*name).to_owned(), Offset(*offset)))
            .collect();
        assert_eq!(offsets, expected);
        let sorted = |content: &str| {
            let mut lines: Vec<_> = content.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        if !content.is_empty() {
            assert_eq!(
                sorted(&offset_checkpoint::encode(&offsets)),
                sorted(content)
            );
        }
    }
}

#[test]
fn a_directory_that_kafka_left_is_read_as_it_was_meant() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let place = |name: &str, content: &[u8]| {
        let path = bed.dir.join(name);
        bed.io.create_dir_all(path.parent().unwrap()).unwrap();
        let file = bed.io.open(&path, OpenMode::Create).unwrap();
        file.write_all_at(&[content], 0).unwrap();
    };
    for segment in &SEGMENTS {
        let base = segment.base;
        let end = match base {
            Offset(0) => Offset(14),
            _ => Offset(28),
        };
        for (kind, at, content) in [
            (names::SegmentFile::Log, base, segment.log),
            (names::SegmentFile::OffsetIndex, base, segment.offset_index),
            (names::SegmentFile::TimeIndex, base, segment.time_index),
            (names::SegmentFile::TxnIndex, base, segment.txn_index),
            (names::SegmentFile::Snapshot, end, segment.snapshot),
        ] {
            place(&format!("golden-0/{}", kind.name(at)), content);
        }
    }
    place(
        "golden-0/leader-epoch-checkpoint",
        golden!("golden-0/leader-epoch-checkpoint"),
    );
    place(
        "golden-0/partition.metadata",
        golden!("golden-0/partition.metadata"),
    );
    for (name, content) in [
        (names::META_PROPERTIES, golden!("meta.properties")),
        (names::LOG_STARTS, golden!("log-start-offset-checkpoint")),
        (
            names::RECOVERY_POINTS,
            golden!("recovery-point-offset-checkpoint"),
        ),
        (
            names::HIGH_WATERMARKS,
            golden!("replication-offset-checkpoint"),
        ),
        (names::CLEAN_SHUTDOWN, golden!(".kafka_cleanshutdown")),
    ] {
        place(name, content);
    }
    let (store, _) = bed.open();
    let partition = store.attach(PartitionSpec {
        topic_name: TopicName::new("golden").unwrap(),
        id: TopicPartition {
            topic: TopicId::from_base64(TOPIC_ID).unwrap(),
            partition: PartitionId(0),
        },
        ..bed.spec(1)
    });
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.log_start, offsets.last_stable, offsets.log_end),
        (Offset(2), Offset(26), Offset(28))
    );
    let aborted = |from, max_bytes| {
        let read = partition.read(Offset(from), max_bytes, true, Isolation::ReadCommitted);
        let aborted = read.unwrap().aborted;
        let aborted = aborted.iter();
        aborted
            .map(|each| (each.producer_id, each.first_offset.0))
            .collect::<Vec<_>>()
    };
    assert_eq!(aborted(2, usize::MAX), [(1, 4)]);
    assert_eq!(aborted(14, usize::MAX), [(1, 15), (1, 21), (2, 14)]);
    assert_eq!(aborted(14, 1), [(2, 14)]);
    // A producer goes on where it was.
    partition
        .append(sequenced(0, 0, 10, 1), false)
        .expect("the next sequence");
    let refused = partition.append(sequenced(3, 0, 2, 1), false).unwrap_err();
    assert!(matches!(refused, AppendError::OutsideTransaction { .. }));
}

fn text(content: &[u8]) -> &str {
    std::str::from_utf8(content).unwrap()
}
