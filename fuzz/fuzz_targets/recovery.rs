//! A start after a crash: the input becomes the files of a partition.
//!
//! The input is a list of batches to write and a list of damages: to the log, and to what can be
//! rebuilt from it.
//!
//! Properties:
//! 1. nothing panics;
//! 2. recovery invents nothing: every batch that can be read was written, byte for byte;
//! 3. offsets ascend, and end at the log end;
//! 4. recovery is idempotent: after another crash the same batches are there.
#![no_main]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm::batch::{BatchBuilder, BatchHeader};
use klamm::clock::ManualClock;
use klamm::io::{MemoryIo, OpenMode, SharedIo};
use klamm::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicName, TopicPartition,
};
use klamm::storage::{
    Durability, Isolation, LogConfig, Partition, PartitionSpec, Store, StoreOptions, Upkeep,
};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const FILES: [&str; 5] = [
    "00000000000000000000.log",
    "00000000000000000000.index",
    "00000000000000000000.timeindex",
    "00000000000000000000.snapshot",
    "leader-epoch-checkpoint",
];

fuzz_target!(|data: &[u8]| {
    let Some((&count, input)) = data.split_first() else {
        return;
    };
    let Some((shapes, damages)) = input.split_at_checked(usize::from(count % 16)) else {
        return;
    };
    let (log, written) = written(shapes);
    let io = MemoryIo::shared();
    let dir = PathBuf::from("/data");
    // The first start formats the directory.
    drop(open(&io, &dir));
    let partition = dir.join("topic-0");
    io.create_dir_all(&partition).expect("memory does not fail");
    let mut files = FILES.map(|_| Vec::new());
    files[0] = log;
    damage(&mut files, damages);
    for (name, content) in FILES.iter().zip(&files) {
        if !content.is_empty() {
            let file = io
                .open(&partition.join(name), OpenMode::Create)
                .expect("memory");
            file.write_all_at(&[content], 0)
                .expect("memory does not fail");
        }
    }
    let once = recovered(&io, &dir);
    for batch in once.iter().flatten() {
        assert!(written.contains(&batch[16..]), "a batch that nobody wrote");
    }
    let twice = recovered(&io, &dir);
    assert_eq!(once, twice, "a second recovery found something else");
});

/// Batches of these shapes as a log, and their bytes from the magic on.
fn written(shapes: &[u8]) -> (Vec<u8>, BTreeSet<Vec<u8>>) {
    let (mut log, mut written) = (Vec::new(), BTreeSet::new());
    let mut next = Offset(0);
    for (index, shape) in (0_i32..).zip(shapes) {
        let mut builder = BatchBuilder::new();
        if shape & 0x80 != 0 {
            builder = builder.producer(ProducerId(7), ProducerEpoch(0), index);
        }
        for record in 0..=shape & 3 {
            let value = vec![record; usize::from(shape >> 2 & 31) * 8];
            builder.push(NOW, Some(&index.to_be_bytes()), Some(&value));
        }
        let batch = builder.build().expect("a small batch");
        log.extend(batch.patched_prefix(next, LeaderEpoch(0)));
        log.extend_from_slice(&batch.bytes[16..]);
        written.insert(batch.bytes[16..].to_vec());
        next = next.plus(i64::from(batch.header.record_count));
    }
    (log, written)
}

/// Changes, cuts and extends files.
fn damage(files: &mut [Vec<u8>; 5], mut damages: &[u8]) {
    while let Some((&[kind, high, low, value], rest)) = damages.split_first_chunk() {
        damages = rest;
        let file = &mut files[usize::from(kind >> 4) % FILES.len()];
        let at = usize::from(u16::from_be_bytes([high, low]));
        match kind & 3 {
            0 if !file.is_empty() => {
                let at = at % file.len();
                file[at] ^= value;
            }
            1 if !file.is_empty() => file.truncate(at % file.len()),
            2 => file.extend(std::iter::repeat_n(value, at % 512)),
            _ => {
                let (more, left) = rest.split_at(at.min(rest.len()) % 64);
                file.extend_from_slice(more);
                damages = left;
            }
        }
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        segment_index_bytes: 1 << 16,
        index_interval_bytes: 256,
        preallocate: false,
        flush_messages: i64::MAX,
        flush_ms: i64::MAX,
        file_delete_delay_ms: 0,
        retention_ms: -1,
        durability: Durability::Fsync,
        ..LogConfig::default()
    }
}

fn open(io: &SharedIo, dir: &Path) -> Arc<Store> {
    let options = StoreOptions {
        io: io.clone(),
        dir: dir.to_owned(),
        clock: ManualClock::at(NOW),
        node_id: NodeId(1),
        cluster_id: None,
        open_files_max: 100,
        durability: Durability::Fsync,
        producer_id_expiration_ms: 86_400_000,
        reserve_bytes: Some(0),
        seed: 7,
        upkeep: Upkeep {
            retention_check_interval_ms: i64::MAX,
            ..Upkeep::default()
        },
    };
    Store::open(options)
        .expect("what is damaged is a partition's")
        .0
}

/// What can be read after a start, batch by batch; `None` where the log refuses.
fn recovered(io: &SharedIo, dir: &Path) -> Option<Vec<Vec<u8>>> {
    let store = open(io, dir);
    let partition = store.attach(PartitionSpec {
        topic_name: TopicName::new("topic").expect("a legal name"),
        id: TopicPartition {
            topic: TopicId(uuid::Uuid::from_u128(1)),
            partition: PartitionId(0),
        },
        leader_epoch: LeaderEpoch(0),
        config: Arc::new(config()),
        may_use_reserve: false,
    });
    store.recover();
    batches(&partition)
}

fn batches(partition: &Partition) -> Option<Vec<Vec<u8>>> {
    let end = partition.offsets().ok()?.log_end;
    let mut next = partition.offsets().ok()?.log_start;
    let mut found = Vec::new();
    while next < end {
        let outcome = partition
            .read(next, 1 << 20, true, Isolation::LogEnd)
            .ok()?;
        let bytes = outcome.records.to_bytes().expect("memory does not fail");
        let mut rest = &bytes[..];
        assert!(!rest.is_empty(), "nothing at {next}, and the end is {end}");
        while let Ok(header) = BatchHeader::parse(rest) {
            let (batch, behind) = rest.split_at(header.total_len());
            assert!(header.crc_matches(batch), "a damaged batch was served");
            assert!(header.last_offset() >= next, "offsets go back");
            found.push(batch.to_vec());
            next = header.next_offset();
            rest = behind;
        }
    }
    assert_eq!(next, end, "the last batch ends elsewhere");
    Some(found)
}
