//! Data directories in memory, which a broker that died, or anything worse, left behind: figures
//! change their bytes and look at what a start makes of them.

pub mod derived_files;
pub mod torn_tails;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm::batch::{BatchBuilder, BatchHeader, EndMarker, ValidBatch};
use klamm::clock::ManualClock;
use klamm::io::{MemoryIo, OpenMode, SharedIo};
use klamm::model::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicName, TopicPartition,
};
use klamm::storage::{
    Durability, Isolation, LogConfig, Partition, PartitionSpec, ReadError, Store, StoreOptions,
    Upkeep,
};

/// The data directory.
pub const DIR: &str = "/data";

/// The wall clock.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// All files, by path.
pub type Image = BTreeMap<PathBuf, Vec<u8>>;

/// The files of a data directory.
#[must_use]
pub fn image(io: &SharedIo) -> Image {
    let mut image = Image::new();
    let mut directories = vec![PathBuf::from(DIR)];
    while let Some(directory) = directories.pop() {
        for entry in io.read_dir(&directory).expect("a directory") {
            match entry.is_dir {
                true => directories.push(entry.path),
                false => {
                    let content = io.read(&entry.path).expect("a file");
                    image.insert(entry.path, content);
                }
            }
        }
    }
    image
}

/// A file system with these files.
#[must_use]
pub fn placed(image: &Image) -> SharedIo {
    let io = MemoryIo::shared();
    for (path, content) in image {
        let directory = path.parent().expect("a directory");
        io.create_dir_all(directory).expect("memory");
        let file = io.open(path, OpenMode::Create).expect("memory");
        file.write_all_at(&[content], 0).expect("memory");
    }
    io
}

/// The partition of this number, of the one topic.
#[must_use]
pub fn id(number: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicId::from_base64("AAAAAAAAAAAAAAAAAAAAAg").expect("an id"),
        partition: PartitionId(number),
    }
}

/// A partition's directory.
#[must_use]
pub fn directory(number: i32) -> PathBuf {
    Path::new(DIR).join(format!("t-{number}"))
}

/// A store over such files, and two partitions.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<Store>,
    /// Its partitions.
    pub partitions: Vec<Arc<Partition>>,
}

/// Opens the store, and recovers.
///
/// # Errors
/// If it does not open.
pub fn open(io: &SharedIo, epoch: i32) -> Result<Opened, String> {
    let options = StoreOptions {
        io: io.clone(),
        dir: DIR.into(),
        clock: ManualClock::at(NOW),
        node_id: NodeId(1),
        cluster_id: None,
        open_files_max: 50,
        durability: Durability::Fsync,
        producer_id_expiration_ms: i64::MAX,
        reserve_bytes: Some(0),
        seed: 1,
        upkeep: Upkeep {
            retention_check_interval_ms: i64::MAX,
            ..Upkeep::default()
        },
    };
    let (store, _) = Store::open(options).map_err(|error| error.to_string())?;
    let config = Arc::new(LogConfig {
        segment_bytes: 9_000,
        index_interval_bytes: 300,
        retention_ms: -1,
        durability: Durability::Fsync,
        ..LogConfig::default()
    });
    let partitions = (0..2).map(|number| {
        store.attach(PartitionSpec {
            topic_name: TopicName::new("t").expect("a name"),
            id: id(number),
            leader_epoch: LeaderEpoch(epoch),
            config: config.clone(),
            may_use_reserve: false,
        })
    });
    let partitions = partitions.collect();
    store.recover();
    Ok(Opened { store, partitions })
}

/// Appends, and waits until it is on disk.
///
/// # Panics
/// If it is refused.
pub fn append(partition: &Partition, batch: ValidBatch) {
    let done = partition.append(batch, false).expect("it is appended");
    let patience = Instant::now();
    while partition.offsets().expect("offsets").high_watermark < done.next_offset {
        assert!(patience.elapsed() < Duration::from_secs(20), "no commit");
        std::thread::yield_now();
    }
}

/// A batch of this number: plain ones, idempotent ones, and transactions of which some are aborted.
#[must_use]
pub fn batch(number: i32) -> ValidBatch {
    let time = |record: i64| {
        // Not in order.
        let jitter = i64::from(number * 37 % 11) * 3;
        Timestamp(NOW.0 - 1_000_000 + i64::from(number) * 10 + jitter + record)
    };
    let plain = BatchBuilder::new();
    let mut builder = match number % 5 {
        0 | 1 => plain,
        2 => plain.producer(ProducerId(7), ProducerEpoch(0), number / 5),
        3 => plain
            .producer(ProducerId(8), ProducerEpoch(0), number / 5)
            .transactional(),
        _ => {
            let marker = EndMarker {
                committed: number % 3 == 0,
                coordinator_epoch: 0,
            };
            return marker
                .batch(ProducerId(8), ProducerEpoch(0), time(0))
                .expect("a marker");
        }
    };
    let records = match number % 5 {
        2 | 3 => 1,
        _ => 1 + number % 3,
    };
    for record in 0..records {
        let value = vec![b'a' + (number % 26) as u8; (number * 53 % 300) as usize + 20];
        builder.push(time(i64::from(record)), Some(b"key"), Some(&value));
    }
    builder.build().expect("a batch")
}

/// Every batch that can be read, by its first offset, and how many offsets are refused.
///
/// # Errors
/// If anything is read that is no whole batch, or reading fails otherwise.
pub fn batches(partition: &Partition) -> Result<(BTreeMap<i64, Vec<u8>>, u64), String> {
    let offsets = partition.offsets().map_err(|error| error.to_string())?;
    let (mut from, mut found, mut refused) = (offsets.log_start, BTreeMap::new(), 0);
    while from < offsets.log_end {
        let outcome = match partition.read(from, 2_000, true, Isolation::LogEnd) {
            Ok(outcome) => outcome,
            Err(ReadError::Corrupt { .. }) => {
                refused += 1;
                from = Offset(from.0 + 1);
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        let bytes = outcome.records.to_bytes();
        let bytes = bytes.map_err(|error| error.to_string())?;
        let mut rest = &bytes[..];
        if rest.is_empty() {
            return Err(format!("nothing at {from}, and the end is {offsets:?}"));
        }
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).map_err(|error| error.to_string())?;
            if !header.crc_matches(rest) || header.last_offset() < from {
                return Err(format!("at {from} something else: {header:?}"));
            }
            let (batch, behind) = rest.split_at(header.total_len());
            found.insert(header.base_offset.0, batch.to_vec());
            (from, rest) = (header.next_offset(), behind);
        }
    }
    Ok((found, refused))
}
