//! Reading everything that a data directory holds, and saying what of it is damaged.
//!
//! *Owns:* the judgement of files at rest. Nothing is opened for writing, and no lock is taken.
//! *May use:* `scan`, `format`, `producers`, `epochs`; `batch`, `io`, `wire`, `model`.
//! *Must not know:* a running store.
//!
//! *Invariants:* a batch is damaged here if, and only if, a broker that starts on this directory
//! would refuse it; memory is bounded by the largest batch, the indexes of one segment and the
//! producers of one partition; every byte of a log is read once, or twice
//! where leader epochs are in question.
//!
//! | file | held against |
//! | --- | --- |
//! | `.log` | checksums; offsets that follow each other, across segments, too; leader epochs |
//! | | counts and the form of the records; how far the log was durable |
//! | `.index`, `.timeindex` | every entry against the batch that it names |
//! | `.snapshot` | its checksum; its producers against the batches before it |
//! | `leader-epoch-checkpoint` | the epochs of the batches |
//! | `partition.metadata`, `meta.properties`, checkpoints | their form |
//! | `__cluster_metadata-0` | as any partition; its records and those of its snapshots can be decoded |

mod directory;
mod epochs;
mod finding;
mod index;
mod metadata;
mod partition;
mod records;
mod segment;

use std::io;
use std::path::{Path, PathBuf};

use crate::io::Io;

pub use finding::{Finding, Meaning, Standing, Summary};

use super::format::names;
use crate::storage::log::epochs::Epochs;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Sealed segments alone: a broker is writing to the others.
    Sealed,
}

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not a place that holds logs.
    #[error("{0} is neither a data directory nor the directory of a partition")]
    NoData(PathBuf),
    /// It cannot be listed.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where findings go while they are made, and the counts.
struct Out<'a> {
    report: &'a mut dyn FnMut(&Finding),
    summary: Summary,
}

impl Out<'_> {
    fn say(&mut self, finding: Finding) {
        self.summary.count(&finding);
        (self.report)(&finding);
    }
}

/// Verifies a data directory, or that of one partition, telling `report` of every finding.
pub fn verify(
    io: &dyn Io,
    dir: &Path,
    scope: Scope,
    report: &mut dyn FnMut(&Finding),
) -> Result<Summary, VerifyError> {
    let mut out = Out {
        report,
        summary: Summary::default(),
    };
    match target(io, dir)? {
        Target::Data(partitions) => {
            let data = directory::DataDirectory::read(io, dir, scope, &mut out);
            for partition in partitions {
                data.partition(&dir.join(partition), &mut out);
            }
        }
        Target::Partition => {
            let parent = dir.parent().unwrap_or(Path::new(""));
            // What the data directory itself is worth is another question.
            let mut silent = Out {
                report: &mut |_| {},
                summary: Summary::default(),
            };
            let data = directory::DataDirectory::read(io, parent, scope, &mut silent);
            data.partition(dir, &mut out);
        }
    }
    Ok(out.summary)
}

/// The leader epochs of the partition in `dir`, as far as its file of them can be believed.
pub(super) fn believed_epochs(io: &dyn Io, dir: &Path) -> Option<Epochs> {
    let mut silent = Out {
        report: &mut |_| {},
        summary: Summary::default(),
    };
    let parent = dir.parent().unwrap_or(Path::new(""));
    directory::DataDirectory::read(io, parent, Scope::All, &mut silent).epochs(dir, &mut silent)
}

/// What a directory is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A data directory, and the names of the partitions in it.
    Data(Vec<String>),
    /// A partition's.
    Partition,
}

/// Finds out what a directory is from what is in it.
pub(super) fn target(io: &dyn Io, dir: &Path) -> Result<Target, VerifyError> {
    let entries = io.read_dir(dir).map_err(|source| VerifyError::Io {
        path: dir.to_owned(),
        source,
    })?;
    let (mut partitions, mut formatted, mut segments) = (Vec::new(), false, false);
    for entry in &entries {
        let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if entry.is_dir && names::parse_partition_directory(name).is_some() {
            partitions.push(name.to_owned());
        }
        formatted |= !entry.is_dir && name == names::META_PROPERTIES;
        segments |= !entry.is_dir && names::SegmentFile::parse(name).is_some();
    }
    partitions.sort();
    let named = dir
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| names::parse_partition_directory(name).is_some());
    match () {
        () if formatted || !partitions.is_empty() => Ok(Target::Data(partitions)),
        () if segments || named => Ok(Target::Partition),
        () => Err(VerifyError::NoData(dir.to_owned())),
    }
}
