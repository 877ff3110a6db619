//! Tails that a crash tore, in every way that disks know: cut, zeroed, overwritten with old bytes
//! or bytes of another file, sectors lost or exchanged. Whatever the tail is, what was on disk for
//! certain is served, nothing is invented, and a second recovery finds what the first one left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use klamm::model::Offset;
use klamm::storage::format::journal::{self, DurablePoint};

use super::super::{Entry, Figure, Options};
use super::{Image, append, batch, batches, directory, id, image, open, placed};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "torn-tails",
    about: "2,000 torn tails: no panic, nothing durable lost, recovering again changes nothing",
    run,
};

const CASES: usize = 2_000;
const QUICK_CASES: usize = 400;

/// Batches before the durable offset is noted for the last time, and after it.
const BATCHES: [i32; 2] = [61, 17];

fn run(options: &Options) -> Figure {
    let cases = if options.quick { QUICK_CASES } else { CASES };
    let mut rng = Rng::with_seed(options.seed);
    let mut figure = Figure::new();
    let (mut lost, mut invented, mut changed, mut broken, mut torn) = (0, 0, 0, 0, 0);
    let mut foreign = 0;
    let images: Vec<Original> = (0..8).map(original).collect();
    for number in 0..cases {
        let original = &images[number % images.len()];
        let (mutated, how) = original.tear(number, &mut rng);
        let judged = std::panic::catch_unwind(|| original.judge(&mutated));
        let verdict = judged.unwrap_or_else(|_| Err("it panicked".to_owned()));
        let verdict = verdict.unwrap_or_else(|reason| {
            broken += 1;
            eprintln!("case {number}, {how}: {reason}");
            Verdict::default()
        });
        if verdict.lost + verdict.invented + verdict.changed > 0 {
            eprintln!("case {number}, {how}: {verdict:?}");
        }
        lost += verdict.lost;
        invented += verdict.invented;
        changed += verdict.changed;
        torn += verdict.torn;
        foreign += verdict.foreign;
    }
    figure.set("images", cases);
    figure.set("with_something_torn", torn);
    figure.set("batches_of_another_partition_that_fit", foreign);
    figure.none("durable_batches_lost", lost);
    figure.none("batches_invented", invented);
    figure.none("changed_by_recovering_again", changed);
    figure.none("failures", broken);
    figure
}

/// A directory after a kill, and what was on disk for certain.
struct Original {
    image: Image,
    durable: DurablePoint,
    /// The batches, by first offset.
    batches: BTreeMap<i64, Vec<u8>>,
    /// Bytes of the other partition's log.
    foreign: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    lost: u64,
    invented: u64,
    changed: u64,
    torn: u64,
    /// Batches of the other partition whose offsets happen to fit: nothing tells them apart.
    foreign: u64,
}

fn journal_path() -> PathBuf {
    Path::new(super::DIR).join("klamm-durable-offsets")
}

/// Written by the store itself; its journal is that of an earlier moment, so that the tail is one
/// of which nobody knows whether it was on disk.
fn original(number: i32) -> Original {
    let io = placed(&Image::new());
    let opened = open(&io, 0).expect("an empty directory");
    let partition = &opened.partitions[0];
    let noted = BATCHES[0] + number;
    for batch_number in 0..noted {
        append(partition, batch(batch_number));
        append(&opened.partitions[1], batch(batch_number + 1));
    }
    // The journal of a round says what the one before made durable.
    let journal = image(&io)
        .remove(&journal_path())
        .expect("there is a journal");
    let points = journal::decode(&journal).expect("it is sound").points;
    let durable = *points.get(&id(0)).expect("the partition is in it");
    for batch_number in noted..noted + BATCHES[1] {
        append(partition, batch(batch_number));
    }
    let (found, refused) = batches(partition).expect("it is sound");
    assert_eq!(refused, 0);
    drop(opened);
    let mut left = image(&io);
    left.insert(journal_path(), journal);
    left.remove(&Path::new(super::DIR).join("recovery-point-offset-checkpoint"));
    let foreign = logs(&left, 1)
        .into_iter()
        .flat_map(|path| left[&path].clone());
    Original {
        foreign: foreign.collect(),
        image: left,
        durable,
        batches: found,
    }
}

/// The log files of a partition, ascending.
fn logs(image: &Image, number: i32) -> Vec<PathBuf> {
    let of = directory(number);
    let is_log = |path: &&PathBuf| {
        path.parent() == Some(&of) && path.extension().is_some_and(|ending| ending == "log")
    };
    image.keys().filter(is_log).cloned().collect()
}

impl Original {
    /// The segments that reach beyond the durable point, with the bytes that are certain.
    fn uncertain(&self) -> Vec<(PathBuf, usize)> {
        let base = |path: &PathBuf| {
            let name = path.file_stem().and_then(|name| name.to_str());
            name.and_then(|name| name.parse::<i64>().ok())
                .expect("digits")
        };
        let logs = logs(&self.image, 0).into_iter();
        let later = logs.filter(|path| base(path) >= self.durable.segment.0);
        later
            .map(|path| match base(&path) == self.durable.segment.0 {
                true => (path, self.durable.position as usize),
                false => (path, 0),
            })
            .collect()
    }

    fn tear(&self, number: usize, rng: &mut Rng) -> (Image, String) {
        let mut image = self.image.clone();
        let uncertain = self.uncertain();
        // Mostly the last segment; a tear of an earlier one is behind a roll.
        let last = uncertain.len() - 1;
        let at = if rng.u8(..4) == 0 {
            rng.usize(..=last)
        } else {
            last
        };
        let (path, certain) = uncertain[at].clone();
        // A segment that was begun after what is torn did not reach the disk, or did.
        for (later, _) in &uncertain[at + 1..] {
            match rng.u8(..3) {
                0 => {
                    image.remove(later);
                }
                1 => {
                    image.insert(later.clone(), Vec::new());
                }
                _ => {}
            }
        }
        let content = image.get_mut(&path).expect("it is there");
        let len = content.len();
        let place = |rng: &mut Rng| rng.usize(certain..=len);
        let kind = number / 8 % 10;
        match kind {
            0 | 1 => content.truncate(place(rng)),
            2 => {
                content.truncate(place(rng));
                content.resize(len + rng.usize(..5_000), 0);
            }
            3 => {
                let (from, to) = (place(rng), place(rng));
                content[from.min(to)..from.max(to)]
                    .iter_mut()
                    .for_each(|byte| *byte = rng.u8(..));
            }
            4 | 5 => {
                for _ in 0..=rng.usize(..3) {
                    let (from, to) = self.sector(certain, len, rng);
                    match kind {
                        4 => content[from..to].fill(0),
                        // What the file system had there before.
                        _ => {
                            let old = rng.usize(..=from);
                            let stale = content[old..(old + to - from).min(len)].to_vec();
                            content[from..from + stale.len()].copy_from_slice(&stale);
                        }
                    }
                }
            }
            6 => {
                let (one, other) = (
                    self.sector(certain, len, rng),
                    self.sector(certain, len, rng),
                );
                let bytes = content[one.0..one.1].to_vec();
                let end = (other.0 + bytes.len()).min(len);
                content[other.0..end].copy_from_slice(&bytes[..end - other.0]);
            }
            // A batch twice, or an old one again, at the end or where another began.
            7 => {
                let again: Vec<&Vec<u8>> = self.batches.values().collect();
                let again = again[rng.usize(..again.len())];
                let at = place(rng);
                content.splice(at..at, again.iter().copied());
            }
            8 => {
                let from = rng.usize(..self.foreign.len());
                content.truncate(place(rng));
                content.extend_from_slice(&self.foreign[from..]);
            }
            _ => {
                content.truncate(place(rng));
                let rubbish = rng.usize(..9_000);
                content.extend((0..rubbish).map(|_| rng.u8(..)));
            }
        }
        (
            image,
            format!("kind {kind} of {}, {len} bytes", path.display()),
        )
    }

    /// A sector, or some, as far as they are not certain.
    fn sector(&self, certain: usize, len: usize, rng: &mut Rng) -> (usize, usize) {
        let size = 512 << rng.usize(..4);
        let from = (rng.usize(certain..=len) / size * size).max(certain);
        (from, (from + size).min(len))
    }

    fn judge(&self, image: &Image) -> Result<Verdict, String> {
        let io = placed(image);
        let once = self.recovered(&io)?;
        let after_once = self::image(&io);
        let twice = self.recovered(&io)?;
        let after_twice = self::image(&io);
        let logs_of = |image: &Image| -> BTreeMap<PathBuf, Vec<u8>> {
            let paths = logs(image, 0).into_iter();
            paths
                .map(|path| (path.clone(), image[&path].clone()))
                .collect()
        };
        let mut verdict = Verdict {
            changed: u64::from(once != twice || logs_of(&after_once) != logs_of(&after_twice)),
            torn: u64::from(once.batches != self.batches),
            ..Verdict::default()
        };
        if once.end < self.durable.offset {
            return Err(format!("ends at {}, below {:?}", once.end, self.durable));
        }
        for (base, bytes) in &self.batches {
            let certain = *base < self.durable.offset.0;
            verdict.lost += u64::from(certain && once.batches.get(base) != Some(bytes));
        }
        let known = |bytes: &Vec<u8>| self.batches.values().any(|batch| batch == bytes);
        for bytes in once.batches.values().filter(|bytes| !known(bytes)) {
            let mut places = self.foreign.windows(bytes.len());
            match places.any(|place| place == bytes.as_slice()) {
                true => verdict.foreign += 1,
                false => verdict.invented += 1,
            }
        }
        Ok(verdict)
    }

    fn recovered(&self, io: &klamm::io::SharedIo) -> Result<Recovered, String> {
        let opened = open(io, 0)?;
        let partition = &opened.partitions[0];
        let end = partition
            .offsets()
            .map_err(|error| error.to_string())?
            .log_end;
        let (batches, refused) = batches(partition)?;
        Ok(Recovered {
            end,
            batches,
            refused,
        })
    }
}

#[derive(Debug, PartialEq)]
struct Recovered {
    end: Offset,
    batches: BTreeMap<i64, Vec<u8>>,
    refused: u64,
}
