//! The store that a check is about, and what every check does with it.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::BatchHeader;
use crate::clock::ManualClock;
use crate::io::SharedIo;
use crate::model::{LeaderEpoch, NodeId, PartitionId, TopicId, TopicName, TopicPartition};

use crate::storage::{
    CleanerOptions, LogConfig, Offsets, Partition, PartitionSpec, Store, StoreOptions, Upkeep,
};

/// The wall clock at the start of a run.
pub(super) const NOW: i64 = 1_700_000_000_000;

/// Where the data is.
pub(super) const DIRECTORY: &str = "/data";

/// How often offsets are asked for that are waited for.
const PATIENCE: u32 = 200_000;

/// A store in which nothing is done but what is asked for, and one topic, `t`.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) io: SharedIo,
    pub(super) clock: Arc<ManualClock>,
    pub(super) config: LogConfig,
    pub(super) partitions: usize,
    pub(super) open_files_max: usize,
    pub(super) leader_epoch: i32,
    pub(super) seed: u64,
    /// It is not started, whatever this says.
    pub(super) cleaner: CleanerOptions,
}

impl Bed {
    /// Opens the store with its partitions, which are not recovered yet.
    pub(super) fn open(self) -> Result<(Arc<Store>, Vec<Arc<Partition>>), String> {
        let options = StoreOptions {
            io: self.io,
            dir: DIRECTORY.into(),
            clock: self.clock,
            node_id: NodeId(0),
            cluster_id: None,
            open_files_max: self.open_files_max,
            durability: self.config.durability,
            producer_id_expiration_ms: i64::MAX,
            seed: self.seed,
            reserve_bytes: Some(0),
            upkeep: Upkeep {
                retention_check_interval_ms: i64::MAX,
                cleaner: CleanerOptions {
                    enable: false,
                    ..self.cleaner
                },
                ..Upkeep::default()
            },
        };
        let (store, _) = Store::open(options).map_err(text)?;
        let config = Arc::new(self.config);
        let mut partitions = Vec::with_capacity(self.partitions);
        for partition in (0..).take(self.partitions) {
            partitions.push(store.attach(PartitionSpec {
                topic_name: TopicName::new("t").map_err(text)?,
                id: TopicPartition {
                    topic: TopicId::METADATA,
                    partition: PartitionId(partition),
                },
                leader_epoch: LeaderEpoch(self.leader_epoch),
                config: Arc::clone(&config),
                may_use_reserve: false,
            }));
        }
        Ok((store, partitions))
    }
}

/// An error as a check tells it.
pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Waits until a partition's offsets are as they should be.
pub(super) fn wait_until(
    partition: &Partition,
    settled: impl Fn(&Offsets) -> bool,
) -> Result<(), String> {
    for _ in 0..PATIENCE {
        if settled(&partition.offsets().map_err(text)?) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(20));
    }
    Err(format!("never settled: {:?}", partition.offsets()))
}

/// Calls `each` with every batch, which must be whole and have its checksum.
pub(super) fn each_batch(
    bytes: &[u8],
    mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).map_err(text)?;
        let batch = rest.get(..header.total_len()).ok_or("a cut batch")?;
        if !header.crc_matches(batch) {
            return Err(format!("a wrong checksum at {}", header.base_offset));
        }
        each(&header, batch)?;
        rest = rest.get(header.total_len()..).unwrap_or_default();
    }
    Ok(())
}
