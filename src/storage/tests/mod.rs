//! The store as a whole, on every file system.

mod any_bytes;
mod cleaner;
mod contract;
mod cost;
mod damage;
mod durable_point;
mod epochs;
mod faults;
mod files;
mod golden;
mod idempotence;
mod journal;
mod kafka_reads;
mod leftovers;
mod lookup;
mod memory_bound;
mod model;
mod names_again;
mod offline;
mod progress;
mod recovery;
mod repair;
mod retention;
mod rounds;
mod space;
mod swap;
mod transactions;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{BatchBuilder, BatchHeader, ValidBatch, records};
use crate::clock::ManualClock;
use crate::io::tests::on_every_io;
use crate::io::{SharedIo, read_full_at};
use crate::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicName, TopicPartition,
};

use super::*;

/// The wall clock at the start of a test.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A store in an empty directory, that can be stopped in several ways and opened again.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) io: SharedIo,
    pub(super) dir: PathBuf,
    pub(super) clock: Arc<ManualClock>,
    pub(super) config: LogConfig,
    pub(super) open_files_max: usize,
    pub(super) reserve_bytes: Option<u64>,
    pub(super) upkeep: Upkeep,
}

impl Bed {
    pub(super) fn new(io: SharedIo, dir: &Path) -> Self {
        Self {
            io,
            dir: dir.join("data"),
            clock: ManualClock::at(NOW),
            config: config(),
            open_files_max: 100,
            reserve_bytes: None,
            upkeep: Upkeep {
                // Tests say when: a thread that starts late must not find that its time has come.
                initial_task_delay_ms: 100 * 365 * 86_400_000,
                cleaner: CleanerOptions {
                    enable: false,
                    ..CleanerOptions::default()
                },
                ..Upkeep::default()
            },
        }
    }

    pub(super) fn options(&self) -> StoreOptions {
        StoreOptions {
            io: self.io.clone(),
            dir: self.dir.clone(),
            clock: self.clock.clone(),
            node_id: NodeId(1),
            cluster_id: None,
            open_files_max: self.open_files_max,
            durability: self.config.durability,
            producer_id_expiration_ms: 86_400_000,
            reserve_bytes: self.reserve_bytes,
            seed: 7,
            upkeep: self.upkeep.clone(),
        }
    }

    pub(super) fn open(&self) -> (Arc<Store>, Opened) {
        Store::open(self.options()).unwrap()
    }

    /// Has the next start not know what was on disk for certain.
    pub(super) fn forget_durable(&self) {
        for name in ["klamm-durable-offsets", "recovery-point-offset-checkpoint"] {
            let _ = self.io.remove_file(&self.dir.join(name));
        }
    }

    pub(super) fn attach(&self, store: &Store, topic: u128) -> Arc<Partition> {
        store.attach(self.spec(topic))
    }

    pub(super) fn spec(&self, topic: u128) -> PartitionSpec {
        PartitionSpec {
            topic_name: TopicName::new(&format!("topic.{topic}")).unwrap(),
            id: TopicPartition {
                topic: TopicId(uuid::Uuid::from_u128(topic)),
                partition: PartitionId(0),
            },
            leader_epoch: LeaderEpoch(0),
            config: Arc::new(self.config.clone()),
            may_use_reserve: false,
        }
    }
}

pub(super) fn config() -> LogConfig {
    LogConfig {
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

/// A batch of records with these values, a millisecond apart from `NOW` on.
pub(super) fn batch(values: &[&str]) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for (delta, value) in values.iter().enumerate() {
        let timestamp = Timestamp(NOW.0 + delta as i64);
        builder.push(timestamp, Some(b"key"), Some(value.as_bytes()));
    }
    builder.build().unwrap()
}

/// A batch of `count` records of an idempotent producer.
pub(super) fn sequenced(id: i64, epoch: i16, first_sequence: i32, count: usize) -> ValidBatch {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), first_sequence);
    for _ in 0..count {
        builder.push(NOW, None, Some(b"value"));
    }
    builder.build().unwrap()
}

/// The bytes of an answer, wherever they are.
pub(super) fn bytes_of(records: &RecordBytes) -> Vec<u8> {
    records.to_bytes().unwrap().to_vec()
}

/// Every record from `from` to the bound: offset and value.
pub(super) fn read_all(
    partition: &Partition,
    from: i64,
    max_bytes: usize,
    isolation: Isolation,
) -> Vec<(i64, String)> {
    let (mut next, mut found) = (Offset(from), Vec::new());
    loop {
        let outcome = partition.read(next, max_bytes, true, isolation).unwrap();
        let bytes = bytes_of(&outcome.records);
        if bytes.is_empty() {
            return found;
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap();
            assert!(
                header.crc_matches(rest),
                "whole batches with their checksums"
            );
            let records = records(&rest[..header.total_len()]).unwrap();
            for record in records.iter() {
                let record = record.unwrap();
                if record.offset.0 >= from {
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    found.push((record.offset.0, value));
                }
            }
            next = header.next_offset();
            rest = &rest[header.total_len()..];
        }
    }
}

/// Waits for a commit, without a runtime of its own.
pub(super) fn wait_committed(partition: &Partition, offset: Offset) -> Result<(), AppendError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), partition.committed(offset))
            .await
            .expect("committed in time")
    })
}
