//! The files of the data directory itself, and what they say of its partitions.

use std::path::Path;

use crate::io::Io;
use crate::model::{Offset, PartitionId, TopicId, TopicName, TopicPartition};
use crate::storage::durability::journal::DurablePoints;
use crate::storage::format::{
    Malformed, journal, meta_properties, names, offset_checkpoint, partition_metadata,
};
use crate::storage::log::epochs::Epochs;
use crate::storage::recovery::gaps;

use super::partition::{Known, PartitionCheck};
use super::{Finding, Meaning, Out, Scope};

/// A data directory, as its own files describe it.
pub(super) struct DataDirectory<'a> {
    io: &'a dyn Io,
    scope: Scope,
    /// Whether the last stop was clean.
    clean: bool,
    recovery_points: offset_checkpoint::Offsets,
    log_starts: offset_checkpoint::Offsets,
    high_watermarks: offset_checkpoint::Offsets,
    /// Where gaps are legal; `None` if nobody knows.
    compacted: Option<offset_checkpoint::Offsets>,
    durable: DurablePoints,
}

impl<'a> DataDirectory<'a> {
    /// Reads the files of the directory, and judges them.
    pub(super) fn read(io: &'a dyn Io, dir: &Path, scope: Scope, out: &mut Out<'_>) -> Self {
        let read = |name: &str, meaning: Meaning, out: &mut Out<'_>| {
            checkpoint(io, &dir.join(name)).unwrap_or_else(|reason| {
                out.say(Finding::about(name, meaning, reason));
                offset_checkpoint::Offsets::new()
            })
        };
        let directory = Self {
            io,
            scope,
            clean: io.exists(&dir.join(names::CLEAN_SHUTDOWN)),
            recovery_points: read(names::RECOVERY_POINTS, Meaning::Rebuildable, out),
            // Records that were deleted would be there again.
            log_starts: read(names::LOG_STARTS, Meaning::Primary, out),
            high_watermarks: read(names::HIGH_WATERMARKS, Meaning::Rebuildable, out),
            compacted: compacted(io, &dir.join(names::COMPACTED), out),
            durable: durable_points(io, &dir.join(names::DURABLE_OFFSETS), out),
        };
        // The cleaner begins anew without it.
        read(names::CLEANER_POINTS, Meaning::Rebuildable, out);
        identity(io, dir, out);
        leftovers(io, dir, out);
        directory
    }

    /// Verifies the partition in the directory `path`.
    pub(super) fn partition(&self, path: &Path, out: &mut Out<'_>) {
        if let Some(check) = self.check(path) {
            check.run(out);
        }
    }

    /// The leader epochs of the partition in the directory `path`, if they can be believed.
    pub(super) fn epochs(&self, path: &Path, out: &mut Out<'_>) -> Option<Epochs> {
        self.check(path)?.believed_epochs(out)
    }

    fn check<'p>(&self, path: &'p Path) -> Option<PartitionCheck<'p>>
    where
        'a: 'p,
    {
        let name = path.file_name()?.to_str()?;
        let of = |offsets: &offset_checkpoint::Offsets| offsets.get(name).copied();
        let durable = topic_partition(self.io, path, name)
            .and_then(|id| self.durable.get(&id))
            .map(|point| point.offset);
        let gaps_below = match &self.compacted {
            Some(bounds) => of(bounds).unwrap_or(Offset(0)),
            None => gaps::EVERYWHERE,
        };
        let known = Known {
            clean: self.clean,
            log_start: of(&self.log_starts),
            on_disk: durable
                .max(of(&self.recovery_points))
                .max(of(&self.high_watermarks)),
            gaps_below,
        };
        Some(PartitionCheck {
            io: self.io,
            path,
            name,
            scope: self.scope,
            known,
        })
    }
}

/// Where gaps are legal; without the file everywhere, as for a broker.
fn compacted(io: &dyn Io, path: &Path, out: &mut Out<'_>) -> Option<offset_checkpoint::Offsets> {
    match checkpoint(io, path) {
        Ok(bounds) => io
            .read(path)
            .is_ok_and(|content| !content.is_empty())
            .then_some(bounds),
        Err(reason) => {
            out.say(Finding::about(
                names::COMPACTED,
                Meaning::Rebuildable,
                reason,
            ));
            None
        }
    }
}

/// What the journal of durable offsets says.
fn durable_points(io: &dyn Io, path: &Path, out: &mut Out<'_>) -> DurablePoints {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return DurablePoints::new();
    };
    let content = match io.read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return DurablePoints::new(),
        Err(error) => {
            out.say(Finding::about(name, Meaning::Unreadable, error.to_string()));
            return DurablePoints::new();
        }
    };
    let Some(contents) = journal::decode(&content) else {
        if content.iter().any(|byte| *byte != 0) {
            let reason = "nothing in it can be believed";
            out.say(Finding::about(name, Meaning::Rebuildable, reason));
        }
        return DurablePoints::new();
    };
    // A record that was written after the last one that counts: the one between is damaged.
    let newer = content
        .chunks(journal::BLOCK_BYTES)
        .enumerate()
        .find_map(|(block, _)| {
            let bytes = content.get(block * journal::BLOCK_BYTES..)?;
            let record = journal::Record::decode(bytes)?;
            (record.sequence > contents.sequence).then_some(block * journal::BLOCK_BYTES)
        });
    if let Some(position) = newer {
        let reason = format!(
            "the record at position {position} is newer than the last one of its chain: one \
             between is damaged"
        );
        out.say(Finding::about(name, Meaning::Rebuildable, reason));
    }
    contents.points
}

/// Which partition a directory is of, as its `partition.metadata` says.
fn topic_partition(io: &dyn Io, path: &Path, name: &str) -> Option<TopicPartition> {
    let (topic_name, partition) = names::parse_partition_directory(name)?;
    let partition = PartitionId(partition);
    if topic_name == TopicName::cluster_metadata() {
        let topic = TopicId::METADATA;
        return Some(TopicPartition { topic, partition });
    }
    let content = io.read(&path.join(names::PARTITION_METADATA)).ok()?;
    let topic = partition_metadata::decode(std::str::from_utf8(&content).ok()?).ok()?;
    let topic = TopicId::from_base64(topic)?;
    Some(TopicPartition { topic, partition })
}

/// Offsets of a checkpoint, none if there is no such file; what is wrong with it.
fn checkpoint(io: &dyn Io, path: &Path) -> Result<offset_checkpoint::Offsets, String> {
    if !io.exists(path) {
        return Ok(offset_checkpoint::Offsets::new());
    }
    let content = io.read(path).map_err(|error| error.to_string())?;
    let text = std::str::from_utf8(&content).map_err(|error| error.to_string())?;
    offset_checkpoint::decode(text).map_err(|error: Malformed| error.to_string())
}

/// `meta.properties`: whose directory it is.
fn identity(io: &dyn Io, dir: &Path, out: &mut Out<'_>) {
    let name = names::META_PROPERTIES;
    let content = match io.read(&dir.join(name)) {
        Ok(content) => content,
        Err(error) => {
            return out.say(Finding::about(name, Meaning::Primary, error.to_string()));
        }
    };
    let decoded = std::str::from_utf8(&content)
        .map_err(|error| error.to_string())
        .and_then(|text| meta_properties::decode(text).map_err(|error| error.to_string()));
    if let Err(reason) = decoded {
        out.say(Finding::about(name, Meaning::Primary, reason));
    }
}

/// Directories on their way out, and files that were never finished.
fn leftovers(io: &dyn Io, dir: &Path, out: &mut Out<'_>) {
    let entries = io.read_dir(dir).unwrap_or_default();
    let mut names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry.path.file_name()?.to_str())
        .collect();
    names.sort_unstable();
    for name in names {
        let reason = match name {
            _ if name.ends_with(names::DELETE_SUFFIX) => "a deleted partition, to be removed",
            _ if name.ends_with(names::STRAY_SUFFIX) => {
                "set aside by an earlier start: it belonged to no partition that was known"
            }
            _ if name.ends_with(".tmp") => "a file that was never put in its place",
            _ => continue,
        };
        out.say(Finding::about(name, Meaning::Leftover, reason));
    }
}
