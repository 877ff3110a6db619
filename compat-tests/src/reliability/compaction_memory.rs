//! Twenty million keys, compacted within the memory and the rate that the settings allow.
//!
//! The keys are four times as many as fit into the cleaner's map, so it takes several passes. What
//! they read and write is counted by the system (`/proc/self/io`), and so is what of the process is
//! in memory: neither is told by the cleaner.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use klamm::batch::BatchBuilder;
use klamm::clock::SystemClock;
use klamm::io::RealIo;
use klamm::model::{
    LeaderEpoch, NodeId, PartitionId, Timestamp, TopicId, TopicName, TopicPartition,
};
use klamm::storage::{
    CleanerOptions, Durability, LogConfig, Partition, PartitionSpec, Store, StoreOptions, Upkeep,
};

use super::{Entry, Figure, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "compaction-20m-keys",
    about: "20 million distinct keys within the cleaner's buffer + 32 MiB and its rate +- 10 %",
    run: measure,
};

const MIB: u64 = 1024 * 1024;

/// What the process may grow by beyond the buffer for keys.
const GROWTH_MIB_MAX: u64 = 32;

/// How far the rate may be off.
const RATE_TOLERANCE: f64 = 0.1;

/// Records of a batch.
const BATCH_RECORDS: u64 = 500;

/// How often the memory is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How much is cleaned, and with what.
struct Plan {
    keys: u64,
    dedupe_buffer_bytes: u64,
    segment_bytes: u64,
    bytes_per_second: u64,
}

const FULL: Plan = Plan {
    keys: 20_000_000,
    dedupe_buffer_bytes: 128 * MIB,
    segment_bytes: 64 * MIB,
    bytes_per_second: 20 * MIB,
};

/// A twentieth of it.
const QUICK: Plan = Plan {
    keys: 1_000_000,
    dedupe_buffer_bytes: 128 * MIB / 20,
    segment_bytes: 4 * MIB,
    bytes_per_second: 12 * MIB,
};

fn measure(options: &Options) -> Figure {
    let plan = if options.quick { QUICK } else { FULL };
    let mut figure = Figure::new();
    if let Err(reason) = clean(&plan, &options.scratch, &mut figure) {
        figure.fail(reason);
    }
    figure
}

fn clean(plan: &Plan, dir: &Path, figure: &mut Figure) -> Result<(), String> {
    {
        let (store, partition) = open(plan, dir)?;
        fill(plan, &partition)?;
        drop(partition);
        store.close().map_err(|error| error.to_string())?;
    }
    let (store, partition) = open(plan, dir)?;
    let end = partition
        .offsets()
        .map_err(|error| error.to_string())?
        .log_end;
    let before_bytes = partition.size().bytes;
    let (memory_before, io_before, begin) = (resident(), moved(), Instant::now());
    let (peak, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let cleanings = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(LOOK_INTERVAL);
            }
        });
        let mut cleanings = Vec::new();
        while let Some(cleaned) = store.clean_once() {
            cleanings.push(cleaned);
        }
        over.store(true, Ordering::Relaxed);
        cleanings
    });
    let took = begin.elapsed();
    let bytes = moved().saturating_sub(io_before);
    let growth = peak.into_inner().saturating_sub(memory_before);
    let cleaned_to = cleanings.last().map(|cleaned| cleaned.to);
    figure.set("keys", plan.keys);
    figure.set("passes", cleanings.len());
    figure.set("log_mib", before_bytes / MIB);
    figure.set("moved_mib", bytes / MIB);
    let limit = plan.dedupe_buffer_bytes + GROWTH_MIB_MAX * MIB;
    figure.at_most(
        "resident_growth_mib",
        growth as f64 / MIB as f64,
        limit as f64 / MIB as f64,
    );
    let rate = bytes as f64 / took.as_secs_f64() / plan.bytes_per_second as f64;
    figure.set("rate_mib_s", plan.bytes_per_second / MIB);
    figure.set("rate_share", (rate * 1000.0).round() / 1000.0);
    if (rate - 1.0).abs() > RATE_TOLERANCE {
        figure.fail(format!("{rate:.3} of the rate is not within a tenth of it"));
    }
    // All keys are distinct: no record goes, and what was sealed is clean.
    if cleaned_to.is_none_or(|to| end.0 - to.0 > i64::try_from(BATCH_RECORDS).unwrap_or(0)) {
        figure.fail(format!("clean to {cleaned_to:?} of {end}"));
    }
    if partition.size().bytes != before_bytes {
        figure.fail("records went that nothing made obsolete");
    }
    Ok(())
}

fn open(plan: &Plan, dir: &Path) -> Result<(Arc<Store>, Arc<Partition>), String> {
    let options = StoreOptions {
        io: RealIo::shared(),
        dir: dir.join("data"),
        clock: SystemClock::shared(),
        node_id: NodeId(1),
        cluster_id: None,
        open_files_max: 100,
        durability: Durability::Os,
        producer_id_expiration_ms: i64::MAX,
        seed: 1,
        reserve_bytes: Some(0),
        upkeep: Upkeep {
            cleaner: CleanerOptions {
                // It is asked to, here.
                enable: false,
                dedupe_buffer_bytes: plan.dedupe_buffer_bytes,
                io_max_bytes_per_second: plan.bytes_per_second as f64,
                ..CleanerOptions::default()
            },
            ..Upkeep::default()
        },
    };
    let (store, _) = Store::open(options).map_err(|error| error.to_string())?;
    let partition = store.attach(PartitionSpec {
        topic_name: TopicName::new("keys").map_err(|error| error.to_string())?,
        id: TopicPartition {
            topic: TopicId::METADATA,
            partition: PartitionId(0),
        },
        leader_epoch: LeaderEpoch(0),
        config: Arc::new(LogConfig {
            segment_bytes: plan.segment_bytes,
            durability: Durability::Os,
            delete: false,
            compact: true,
            min_cleanable_dirty_ratio: 0.0,
            ..LogConfig::default()
        }),
        may_use_reserve: false,
    });
    Ok((store, partition))
}

/// Appends every key once, and one more batch, that begins the active segment.
fn fill(plan: &Plan, partition: &Partition) -> Result<(), String> {
    for first in (0..plan.keys).step_by(usize::try_from(BATCH_RECORDS).unwrap_or(1)) {
        let mut batch = BatchBuilder::new();
        for key in first..(first + BATCH_RECORDS).min(plan.keys) {
            let value = key.to_le_bytes();
            batch.push(Timestamp(1), Some(&key.to_be_bytes()), Some(&value));
        }
        let batch = batch.build().map_err(|error| error.to_string())?;
        partition
            .append(batch, false)
            .map_err(|error| error.to_string())?;
    }
    let roll = LogConfig {
        segment_bytes: 1 << 20,
        durability: Durability::Os,
        delete: false,
        compact: true,
        ..LogConfig::default()
    };
    partition.reconfigure(Arc::new(roll));
    let mut batch = BatchBuilder::new();
    batch.push(Timestamp(1), Some(b"the last one"), Some(b"x"));
    let batch = batch.build().map_err(|error| error.to_string())?;
    partition
        .append(batch, false)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    number_in("/proc/self/status", "VmRSS:") * 1024
}

/// Bytes that this process has read and written.
fn moved() -> u64 {
    number_in("/proc/self/io", "rchar:") + number_in("/proc/self/io", "wchar:")
}

/// The number in a line of a file of the system.
fn number_in(path: &str, name: &str) -> u64 {
    let content = std::fs::read_to_string(path).unwrap_or_default();
    let line = content.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.and_then(|line| line.split_whitespace().next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
