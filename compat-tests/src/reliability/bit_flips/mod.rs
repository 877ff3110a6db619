//! Single flipped bits below the durable offset: no wrong byte is served, no good batch is refused,
//! and whoever runs the broker hears of it, from the broker and from `klamm log verify`.
//!
//! The images are what a real broker left: several segments, idempotent producers, all codecs, two
//! leader epochs, after a kill and after a clean stop. Each flip starts a broker's store on a copy
//! in memory; some start the real binary, and are read over the wire. Half of the flips hit headers
//! of batches, where most of a batch's meaning is in few bytes.
//!
//! In a log that was compacted a batch may begin at any offset behind the one before, and base
//! offsets are outside of checksums: such flips are counted apart where nothing noticed them, or
//! where the batch behind was refused with it. So is an epoch in `leader-epoch-checkpoint` in which
//! nothing was written.

mod images;
mod judge;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use klamm::clock::SystemClock;
use klamm::io::{Io, SharedIo};
use klamm::model::{LeaderEpoch, NodeId, Offset, TopicName};
use klamm::storage::format::leader_epochs::{self, EpochEntry};
use klamm::storage::verify::{Finding, Meaning, Scope, verify};
use klamm::storage::{
    Durability, Isolation, LogConfig, PartitionSpec, ReadError, Store, StoreOptions, Upkeep,
};

use self::images::{Image, Log, StoredBatch};
use self::judge::{Answer, Reading};
use super::client::Client;
use super::figure::Figure;
use super::node::Launch;
use super::{Entry, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "bit-flips",
    about: "bits flipped in durable batches: wrong bytes served, good batches refused, unreported",
    run,
};

/// Kafka's CORRUPT_MESSAGE.
const CORRUPT_MESSAGE: i16 = 2;

/// Bytes of a batch's header, and of its base offset.
const HEADER: usize = 61;
const BASE_OFFSET: std::ops::Range<usize> = 0..8;

/// Faults that are told in full.
const EXAMPLES: usize = 20;

/// How many bits are flipped.
struct Size {
    in_batches: usize,
    /// Of those, with the real binary.
    over_the_wire: usize,
    in_other_files: usize,
}

const FULL: Size = Size {
    in_batches: 1_000,
    over_the_wire: 60,
    in_other_files: 200,
};

const QUICK: Size = Size {
    in_batches: 100,
    over_the_wire: 8,
    in_other_files: 40,
};

/// A bit in a stored batch.
#[derive(Clone, Copy, Debug)]
struct Flip {
    log: usize,
    batch: usize,
    /// Byte of the batch.
    byte: usize,
    mask: u8,
}

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    flips: u64,
    over_the_wire: u64,
    wrong: u64,
    dropped: u64,
    unreported: u64,
    unverified: u64,
    unseeable: u64,
    other_files: u64,
    other_files_wrong: u64,
    other_files_unverified: u64,
    told: usize,
}

impl Counts {
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told < EXAMPLES {
            eprintln!("  {}", what());
        }
        self.told += 1;
    }
}

fn run(options: &Options) -> Figure {
    let size = if options.quick { QUICK } else { FULL };
    let mut figure = Figure::new();
    let images = match images::make(options) {
        Ok(images) => images,
        Err(reason) => {
            figure.fail(format!("making the images: {reason}"));
            return figure;
        }
    };
    let mut counts = Counts::default();
    for image in &images {
        unchanged(image, &mut counts);
    }
    let mut random = fastrand::Rng::with_seed(options.seed);
    let every = size.in_batches / size.over_the_wire;
    for number in 0..size.in_batches {
        let image = &images[number % images.len()];
        let flip = choose(image, &mut random);
        match number % every == 0 {
            true => on_the_wire(options, image, flip, &mut counts),
            false => in_process(image, flip, &mut counts),
        }
    }
    for number in 0..size.in_other_files {
        in_another_file(&images[number % images.len()], &mut random, &mut counts);
    }
    figure.at_least("flips", counts.flips as f64, size.in_batches as f64);
    figure.set("over_the_wire", counts.over_the_wire);
    figure.none("wrong_bytes_served", counts.wrong);
    figure.none("good_batches_dropped", counts.dropped);
    figure.none("unreported_by_broker", counts.unreported);
    figure.none("unreported_by_verify", counts.unverified);
    figure.set("unseeable", counts.unseeable);
    figure.set("flips_in_other_files", counts.other_files);
    figure.none("other_files_answers_changed", counts.other_files_wrong);
    figure.none("other_files_unreported", counts.other_files_unverified);
    figure
}

/// A bit of a batch below the durable offset.
fn choose(image: &Image, random: &mut fastrand::Rng) -> Flip {
    let log = random.usize(..image.logs.len());
    let batches = &image.logs[log].batches;
    let durable = batches.partition_point(|batch| batch.end <= image.logs[log].durable);
    let batch = random.usize(..durable);
    let byte = match random.bool() {
        true => random.usize(..HEADER),
        false => random.usize(..batches[batch].bytes.len()),
    };
    Flip {
        log,
        batch,
        byte,
        mask: 1 << random.u8(..8),
    }
}

impl Flip {
    /// File, byte and mask.
    fn place(&self, image: &Image) -> (usize, usize, u8) {
        let batch = &image.logs[self.log].batches[self.batch];
        (batch.file, batch.position + self.byte, self.mask)
    }

    fn describe(&self, image: &Image) -> String {
        let (file, at, mask) = self.place(image);
        format!(
            "{}: bit {mask:#04x} of byte {at} of {} (byte {} of a batch)",
            image.name,
            image.files[file].0.display(),
            self.byte
        )
    }
}

/// A store on a data directory in memory.
fn open(io: &SharedIo) -> Result<Arc<Store>, String> {
    Store::open(StoreOptions {
        io: io.clone(),
        dir: "/data".into(),
        clock: SystemClock::shared(),
        node_id: node_id(io)?,
        cluster_id: None,
        open_files_max: 100,
        durability: Durability::Fsync,
        producer_id_expiration_ms: i64::MAX,
        reserve_bytes: None,
        seed: 1,
        upkeep: Upkeep::default(),
    })
    .map(|(store, _)| store)
    .map_err(|error| error.to_string())
}

fn node_id(io: &SharedIo) -> Result<NodeId, String> {
    use klamm::storage::format::{meta_properties, names};
    let path = Path::new("/data").join(names::META_PROPERTIES);
    let content = io.read(&path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&content);
    let meta = meta_properties::decode(&text).map_err(|error| error.to_string())?;
    Ok(meta.node_id)
}

/// Reads every log of an image with the library; what each gave, and what the store reported.
fn read_all(
    image: &Image,
    io: &SharedIo,
) -> Result<(Vec<Reading>, Vec<klamm::storage::Damage>), String> {
    let store = open(io)?;
    let attached: Vec<_> = image
        .logs
        .iter()
        .map(|log| {
            store.attach(PartitionSpec {
                topic_name: TopicName::new(&log.topic).expect("a topic's name"),
                id: log.id,
                leader_epoch: LeaderEpoch(image.epoch),
                config: Arc::new(LogConfig {
                    // Records of long ago stay.
                    retention_ms: -1,
                    ..LogConfig::default()
                }),
                may_use_reserve: false,
            })
        })
        .collect();
    store.recover();
    let readings = image.logs.iter().zip(&attached).map(|(log, partition)| {
        judge::read(log, |offset| {
            let isolation = Isolation::ReadUncommitted;
            match partition.read(Offset(offset), 8 * 1024, true, isolation) {
                Ok(outcome) => {
                    let bytes = outcome.records.to_bytes().expect("memory does not fail");
                    Answer::Batches(bytes.to_vec())
                }
                Err(ReadError::Corrupt { .. }) => Answer::Corrupt,
                Err(error) => Answer::Other(error.to_string()),
            }
        })
    });
    let readings = readings.collect();
    Ok((readings, store.damage()))
}

fn findings(io: &dyn Io) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    verify(io, Path::new("/data"), Scope::All, &mut |finding| {
        if finding.meaning.is_damage() {
            findings.push(finding.clone());
        }
    })
    .map_err(|error| error.to_string())?;
    Ok(findings)
}

/// An image as it is: everything is served, and nothing is said.
fn unchanged(image: &Image, counts: &mut Counts) {
    let io = image.in_memory((usize::MAX, 0, 0));
    match findings(&*io) {
        Ok(findings) if findings.is_empty() => {}
        found => {
            counts.unverified += 1;
            counts.tell(|| format!("{}, unchanged: {found:?}", image.name));
        }
    }
    match read_all(image, &io) {
        Ok((readings, damage)) => {
            let whole = image.logs.iter().zip(&readings).all(|(log, reading)| {
                reading.served.len() == log.batches.len() && reading.wrong.is_empty()
            });
            if !whole || !damage.is_empty() {
                counts.dropped += 1;
                counts.tell(|| format!("{}, unchanged: {damage:?} {readings:?}", image.name));
            }
        }
        Err(error) => {
            counts.dropped += 1;
            counts.tell(|| format!("{}, unchanged: {error}", image.name));
        }
    }
}

fn in_process(image: &Image, flip: Flip, counts: &mut Counts) {
    let io = image.in_memory(flip.place(image));
    let found = findings(&*io).unwrap_or_default();
    let verified = found.iter().map(|finding| Said {
        partition: finding.partition.clone().unwrap_or_default(),
        file: finding.file.clone(),
        bytes: finding.bytes.clone().unwrap_or(0..u64::MAX),
        lost: finding.meaning == Meaning::RecordsLost,
    });
    let verified: Vec<Said> = verified.collect();
    match read_all(image, &io) {
        Ok((readings, damage)) => {
            let lost = &image.logs[flip.log].batches[flip.batch];
            let reported = damage.iter().any(|damage| {
                damage.directory == image.logs[flip.log].directory
                    && damage.offsets.start.0 < lost.end
                    && damage.offsets.end.0 > lost.base
            });
            judge(image, flip, &readings, reported, &verified, counts);
        }
        Err(error) => {
            counts.flips += 1;
            counts.dropped += 1;
            counts.tell(|| format!("{}: {error}", flip.describe(image)));
        }
    }
}

/// What `klamm log verify` said.
#[derive(Debug)]
struct Said {
    partition: String,
    file: String,
    bytes: std::ops::Range<u64>,
    lost: bool,
}

fn judge(
    image: &Image,
    flip: Flip,
    readings: &[Reading],
    reported: bool,
    verified: &[Said],
    counts: &mut Counts,
) {
    counts.flips += 1;
    let (file, at, _) = flip.place(image);
    let log = &image.logs[flip.log];
    let good = |number: usize, batch: usize| (number, batch) != (flip.log, flip.batch);
    let (mut wrong, mut dropped, mut others) = (0, 0, 0);
    for (number, (log, reading)) in image.logs.iter().zip(readings).enumerate() {
        for batch in 0..log.batches.len() {
            if good(number, batch) && !reading.served.contains(&batch) {
                dropped += 1;
            }
        }
        for (batch, _) in &reading.wrong {
            // What came there may be the batch itself, from the offset that it has now.
            others += u64::from(number != flip.log || *batch < flip.batch);
            wrong += 1;
        }
        if !good(number, flip.batch) && reading.served.contains(&flip.batch) {
            wrong += 1;
        }
    }
    let (path, _) = &image.files[file];
    let position = at as u64;
    let seen = verified.iter().any(|said| {
        said.lost
            && Path::new(&said.partition).join(&said.file) == *path
            && said.bytes.contains(&position)
    });
    let stray = verified.len() > usize::from(seen);
    // Where batches may begin at any offset behind the one before, nobody can tell whether one is
    // where it was, or, of two that overlap, which one is not. No other bytes may be wrong.
    let elsewhere = log.compacted && BASE_OFFSET.contains(&flip.byte);
    if elsewhere && others == 0 && (wrong > 0 || dropped > 0 || !seen) {
        counts.unseeable += 1;
        return;
    }
    counts.wrong += wrong;
    counts.dropped += dropped;
    counts.unreported += u64::from(!reported);
    counts.unverified += u64::from(!seen || stray);
    if wrong > 0 || dropped > 0 || !reported || !seen || stray {
        let readings: Vec<_> = readings
            .iter()
            .map(|reading| (&reading.refused, &reading.wrong))
            .collect();
        counts.tell(|| {
            format!(
                "{}, batch {} at offset {}: wrong {wrong}, dropped {dropped}, reported \
                 {reported}, verified {verified:?}, refused and wrong {readings:?}",
                flip.describe(image),
                flip.batch,
                log.batches[flip.batch].base,
            )
        });
    }
}

/// The same with the real binary.
fn on_the_wire(options: &Options, image: &Image, flip: Flip, counts: &mut Counts) {
    let data = options.scratch.join("flipped");
    let log_file = options.scratch.join("flipped.log");
    let _ = std::fs::remove_file(&log_file);
    image.on_disk(&data, flip.place(image));
    let outcome = verify_with_binary(&options.klamm, &data).and_then(|verified| {
        let node = Launch::new(&options.klamm, &data, &log_file).start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        let readings = image.logs.iter().map(|log| fetch_all(&mut client, log));
        let readings: Vec<Reading> = readings.collect();
        drop(client);
        node.terminate(Duration::from_secs(30));
        Ok((verified, readings))
    });
    counts.over_the_wire += 1;
    match outcome {
        Ok((verified, readings)) => {
            let said = std::fs::read_to_string(&log_file).unwrap_or_default();
            let directory = &image.logs[flip.log].directory;
            let reported = said.lines().any(|line| {
                line.contains("ERROR") && line.contains("damaged") && line.contains(directory)
            });
            judge(image, flip, &readings, reported, &verified, counts);
        }
        Err(error) => {
            counts.flips += 1;
            counts.dropped += 1;
            counts.tell(|| format!("{}: {error}", flip.describe(image)));
        }
    }
}

fn fetch_all(client: &mut Client, log: &Log) -> Reading {
    judge::read(log, |offset| {
        match client.fetch(&log.topic, log.id.partition.0, offset, 8 * 1024) {
            Ok(fetched) if fetched.code == 0 => Answer::Batches(fetched.records),
            Ok(fetched) if fetched.code == CORRUPT_MESSAGE => Answer::Corrupt,
            Ok(fetched) => Answer::Other(format!("code {}", fetched.code)),
            Err(error) => Answer::Other(error.to_string()),
        }
    })
}

fn verify_with_binary(klamm: &PathBuf, data: &Path) -> Result<Vec<Said>, String> {
    let output = Command::new(klamm)
        .args(["log", "verify", "--format", "json"])
        .arg(data)
        .output()
        .map_err(|error| error.to_string())?;
    let rows: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|row: &serde_json::Value| row["damage"] == true)
        .collect();
    // 0 says whole, 1 damaged.
    let expected = if rows.is_empty() { 0 } else { 1 };
    if output.status.code() != Some(expected) {
        return Err(format!(
            "log verify ended as {:?} after {rows:?}",
            output.status
        ));
    }
    let said = rows.iter().map(|row| {
        let position = row["position"].as_u64().unwrap_or(0);
        Said {
            partition: row["partition"].as_str().unwrap_or_default().to_owned(),
            file: row["file"].as_str().unwrap_or_default().to_owned(),
            bytes: position..position + row["bytes"].as_u64().unwrap_or(u64::MAX - position),
            lost: row["meaning"] == "records-lost",
        }
    });
    Ok(said.collect())
}

/// Whether nobody can tell that leader epochs were flipped: they say the same of every batch that
/// there is, as of an epoch in which nothing was written, or one that begins where the cleaner left
/// nothing; or they differ in a single batch, and it may as well be that batch which was flipped.
fn cannot_be_told(image: &Image, path: &Path, content: &[u8], flip: (usize, usize, u8)) -> bool {
    let log = image
        .logs
        .iter()
        .find(|log| path.ends_with("leader-epoch-checkpoint") && path.starts_with(&log.directory));
    let mut flipped = content.to_vec();
    flipped[flip.1] ^= flip.2;
    let decode = |content: &[u8]| leader_epochs::decode(std::str::from_utf8(content).ok()?).ok();
    let (Some(log), Some(before), Some(after)) = (log, decode(content), decode(&flipped)) else {
        return false;
    };
    let at = |entries: &[EpochEntry], base: i64| {
        let after = entries.partition_point(|entry| entry.start.0 <= base);
        after.checked_sub(1).map(|entry| entries[entry].epoch)
    };
    let differs = |batch: &&StoredBatch| at(&before, batch.base) != at(&after, batch.base);
    log.batches.iter().filter(differs).count() <= 1
}

/// A bit of a file that is made from batches: nothing that is served changes, and verify says so.
fn in_another_file(image: &Image, random: &mut fastrand::Rng, counts: &mut Counts) {
    let derived = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let named = path
            .file_name()
            .is_some_and(|name| name == "leader-epoch-checkpoint");
        let of_a_log = image
            .logs
            .iter()
            .any(|log| path.starts_with(&log.directory));
        of_a_log
            && (named
                || matches!(
                    ending,
                    Some("index" | "timeindex" | "txnindex" | "snapshot")
                ))
    };
    let files: Vec<usize> = (0..image.files.len())
        .filter(|file| derived(&image.files[*file].0) && !image.files[*file].1.is_empty())
        .collect();
    let file = files[random.usize(..files.len())];
    let (path, content) = &image.files[file];
    let at = random.usize(..content.len());
    let flip = (file, at, 1 << random.u8(..8));
    let io = image.in_memory(flip);
    if cannot_be_told(image, path, content, flip) {
        counts.unseeable += 1;
        return;
    }
    counts.other_files += 1;
    let found = findings(&*io).unwrap_or_default();
    let seen = found.iter().any(|finding| {
        let partition = finding.partition.as_deref().unwrap_or_default();
        Path::new(partition).join(&finding.file) == *path
    });
    if !seen {
        counts.other_files_unverified += 1;
        counts.tell(|| format!("{}: byte {at} of {}: unseen", image.name, path.display()));
    }
    let whole = read_all(image, &io).is_ok_and(|(readings, damage)| {
        let served = image.logs.iter().zip(&readings).all(|(log, reading)| {
            reading.served.len() == log.batches.len() && reading.wrong.is_empty()
        });
        served && damage.is_empty()
    });
    if !whole {
        counts.other_files_wrong += 1;
        counts.tell(|| {
            let (file, content) = (path.display(), String::from_utf8_lossy(content));
            format!(
                "{}: bit {:#04x} of byte {at} of {file}: {content:?}",
                image.name, flip.2
            )
        });
    }
}
