//! Files that can be rebuilt, deleted, emptied, cut, zeroed or exchanged with others of their kind,
//! alone and two at a time, after a clean stop and after a kill: no answer changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use klamm::batch::BatchHeader;
use klamm::model::{LeaderEpoch, Timestamp};
use klamm::storage::{Isolation, Partition};

use super::super::{Entry, Figure, Options};
use super::{Image, NOW, append, batch, batches, directory, image, open, placed};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "derived-files",
    about: "about 200 harms to files that can be rebuilt change no answer of any reader",
    run,
};

/// Batches of each partition; the leader epoch rises after so many.
const BATCHES: i32 = 150;
const EPOCH_EVERY: i32 = 40;

/// Harms to two files at a time, beside all those to one.
const PAIRS: usize = 60;

/// Files of the data directory that can be rebuilt.
const OF_DIRECTORY: [&str; 5] = [
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
    "klamm-compacted-offset-checkpoint",
    "klamm-durable-offsets",
    ".kafka_cleanshutdown",
];

/// And of a partition, by their endings.
const OF_PARTITION: [&str; 6] = [
    ".index",
    ".timeindex",
    ".txnindex",
    ".snapshot",
    "leader-epoch-checkpoint",
    "partition.metadata",
];

fn run(options: &Options) -> Figure {
    let mut rng = Rng::with_seed(options.seed);
    let mut figure = Figure::new();
    let (mut cases, mut changed) = (0, 0);
    for clean in [true, false] {
        let (original, expected) = original(clean);
        let harms = harms(&original, options.quick, &mut rng);
        cases += harms.len();
        for harm in harms {
            let mut harmed = original.clone();
            for (path, kind) in &harm {
                kind.apply(&mut harmed, path, &original);
            }
            let judged = std::panic::catch_unwind(|| answers(&harmed));
            let answers = judged.unwrap_or_else(|_| Err("it panicked".to_owned()));
            let wrong = match answers {
                Ok(answers) => expected.difference(&answers),
                Err(reason) => Some(reason),
            };
            if let Some(wrong) = wrong {
                changed += 1;
                eprintln!("clean {clean}, {harm:?}: {wrong}");
            }
        }
    }
    figure.set("cases", cases);
    figure.none("answers_changed", changed);
    figure
}

/// What is done to a file.
#[derive(Clone, Debug)]
enum Harm {
    Deleted,
    Emptied,
    Half,
    /// Without its last bytes.
    Shorter(usize),
    Zeroed,
    /// Zeros behind it.
    Padded,
    /// Another of its kind in its place.
    Swapped(PathBuf),
}

impl Harm {
    fn apply(&self, image: &mut Image, path: &Path, original: &Image) {
        if let Self::Deleted = self {
            image.remove(path);
            return;
        }
        let Some(content) = image.get_mut(path) else {
            return;
        };
        let len = content.len();
        match self {
            Self::Deleted => {}
            Self::Emptied => content.clear(),
            Self::Half => content.truncate(len / 2),
            Self::Shorter(bytes) => content.truncate(len.saturating_sub(*bytes)),
            Self::Zeroed => content.fill(0),
            Self::Padded => content.resize(len + 240, 0),
            Self::Swapped(other) => *content = original[other].clone(),
        }
    }
}

/// All harms to one file of the first partition or the directory, and some to two.
fn harms(image: &Image, quick: bool, rng: &mut Rng) -> Vec<Vec<(PathBuf, Harm)>> {
    let ending = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.map_or(String::new(), |name| {
            let dot = name.rfind('.').filter(|dot| *dot > 0);
            name[dot.unwrap_or(0)..].to_owned()
        })
    };
    let rebuildable: Vec<&PathBuf> = image
        .keys()
        .filter(|path| match path.parent() {
            Some(parent) if parent == directory(0) => {
                let name = path.file_name().and_then(|name| name.to_str());
                OF_PARTITION
                    .iter()
                    .any(|end| name.is_some_and(|name| name.ends_with(end)))
            }
            Some(parent) if parent == Path::new(super::DIR) => {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| OF_DIRECTORY.contains(&name))
            }
            _ => false,
        })
        .collect();
    let mut singles = Vec::new();
    for path in &rebuildable {
        let mut kinds = vec![
            Harm::Deleted,
            Harm::Emptied,
            Harm::Half,
            Harm::Zeroed,
            Harm::Padded,
        ];
        kinds.extend([8, 12].map(Harm::Shorter));
        let alike: Vec<&PathBuf> = image
            .keys()
            .filter(|other| ending(other) == ending(path) && other != path)
            .filter(|other| image[*other] != image[*path])
            .collect();
        if !alike.is_empty() {
            kinds.push(Harm::Swapped(alike[rng.usize(..alike.len())].clone()));
            kinds.push(Harm::Swapped(alike[rng.usize(..alike.len())].clone()));
        }
        // The marker is only there or not: its content says nothing. Another topic's id makes
        // the directory another topic's.
        let name = ending(path);
        if name == ".kafka_cleanshutdown" {
            kinds.truncate(1);
        }
        singles.extend(kinds.into_iter().map(|kind| ((*path).clone(), kind)));
    }
    let mut harms: Vec<Vec<_>> = singles.iter().map(|single| vec![single.clone()]).collect();
    for _ in 0..PAIRS {
        let pair = [
            &singles[rng.usize(..singles.len())],
            &singles[rng.usize(..singles.len())],
        ];
        harms.push(pair.map(Clone::clone).to_vec());
    }
    if quick {
        rng.shuffle(&mut harms);
        harms.truncate(120);
    }
    harms
}

/// Two partitions, and what readers are told before anything is harmed.
fn original(clean: bool) -> (Image, Answers) {
    let io = placed(&Image::new());
    let opened = open(&io, 0).expect("an empty directory");
    for number in 0..BATCHES {
        if number % EPOCH_EVERY == EPOCH_EVERY - 1 {
            let epoch = LeaderEpoch(number / EPOCH_EVERY + 1);
            opened
                .partitions
                .iter()
                .for_each(|partition| partition.begin_epoch(epoch));
        }
        append(&opened.partitions[0], batch(number));
        append(&opened.partitions[1], batch(number + 3));
    }
    if clean {
        opened.store.close().expect("it stops");
    }
    drop(opened);
    let left = image(&io);
    let expected = answers(&left).expect("it is sound");
    (left, expected)
}

/// All that readers may ask.
#[derive(Debug, PartialEq)]
struct Answers {
    batches: BTreeMap<i64, Vec<u8>>,
    refused: u64,
    offsets: [i64; 3],
    /// Offset, time and epoch of the first record at or after some times.
    by_time: Vec<Option<(i64, i64, Option<i32>)>>,
    newest: Option<(i64, i64)>,
    epochs: Vec<Option<(i32, i64)>>,
    aborted: Vec<(i64, Vec<(i64, i64)>)>,
    retries: Vec<String>,
}

impl Answers {
    /// Which answer is another, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        let differing = [
            ("batches", self.batches != other.batches),
            ("refused", self.refused != other.refused),
            ("offsets", self.offsets != other.offsets),
            ("by_time", self.by_time != other.by_time),
            ("newest", self.newest != other.newest),
            ("epochs", self.epochs != other.epochs),
            ("aborted", self.aborted != other.aborted),
            ("retries", self.retries != other.retries),
        ];
        let names: Vec<&str> = differing
            .iter()
            .filter_map(|(name, differs)| differs.then_some(*name))
            .collect();
        (!names.is_empty()).then(|| {
            let epochs = (&self.epochs, &other.epochs);
            let retries = (&self.retries, &other.retries);
            format!("other {names:?}: {epochs:?} {retries:?}")
        })
    }
}

fn answers(image: &Image) -> Result<Answers, String> {
    let io = placed(image);
    let opened = open(&io, 10)?;
    let partition = &opened.partitions[0];
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let (found, refused) = batches(partition)?;
    let offsets = partition.offsets().map_err(|error| said(&error))?;
    let mut by_time = Vec::new();
    for step in 0..300 {
        let at = Timestamp(NOW.0 - 1_000_100 + step * 7);
        let record = partition
            .first_at_or_after(at, Isolation::ReadUncommitted)
            .map_err(|error| said(&error))?;
        by_time.push(record.map(|record| {
            let epoch = record.leader_epoch.map(|epoch| epoch.0);
            (record.offset.0, record.timestamp.0, epoch)
        }));
    }
    let newest = partition.max_timestamp().map_err(|error| said(&error))?;
    let mut epochs = Vec::new();
    for epoch in 0..12 {
        let end = partition
            .epoch_end(LeaderEpoch(epoch))
            .map_err(|error| said(&error))?;
        epochs.push(end.map(|(epoch, end)| (epoch.0, end.0)));
    }
    Ok(Answers {
        batches: found,
        refused,
        offsets: [
            offsets.log_start.0,
            offsets.last_stable.0,
            offsets.log_end.0,
        ],
        by_time,
        newest: newest.map(|newest| (newest.offset.0, newest.timestamp.0)),
        epochs,
        aborted: aborted(partition)?,
        retries: retries(partition),
    })
}

/// Aborted transactions as a reader is told of them: its offset, then producers with their first
/// offsets.
type Aborted = Vec<(i64, Vec<(i64, i64)>)>;

/// Aborted transactions as readers of committed records hear of them, piece by piece.
fn aborted(partition: &Partition) -> Result<Aborted, String> {
    let offsets = partition.offsets().map_err(|error| error.to_string())?;
    let (mut from, mut told) = (offsets.log_start, Vec::new());
    while from < offsets.last_stable {
        let read = partition
            .read(from, 1_500, true, Isolation::ReadCommitted)
            .map_err(|error| error.to_string())?;
        let aborted = read
            .aborted
            .iter()
            .map(|each| (each.producer_id, each.first_offset.0));
        told.push((from.0, aborted.collect()));
        let bytes = read.records.to_bytes().map_err(|error| error.to_string())?;
        let mut rest = &bytes[..];
        let before = from;
        while let Ok(header) = BatchHeader::parse(rest) {
            from = header.next_offset();
            rest = rest.get(header.total_len()..).unwrap_or_default();
        }
        if from == before {
            return Err(format!("nothing at {from}"));
        }
    }
    Ok(told)
}

/// What the idempotent producer is told that sends its last batches again.
fn retries(partition: &Partition) -> Vec<String> {
    let numbers = (0..BATCHES).filter(|number| number % 5 == 2).rev().take(5);
    numbers
        .map(|number| match partition.append(batch(number), false) {
            Ok(appended) => format!("{} {}", appended.duplicate, appended.base_offset),
            Err(error) => error.to_string(),
        })
        .collect()
}
