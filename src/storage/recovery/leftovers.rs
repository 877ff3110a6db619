//! Directories that deletions left: removed, or given back.
//!
//! A partition's directory is renamed as soon as its deletion is appended to the metadata log, so
//! that its name is free. The file system may make the new name durable before the record: a power
//! cut then, or a failed sync, leaves a partition whose deletion nobody was told of, and its
//! records under the name of something to be removed. So nothing of that kind is removed at a start
//! before the catalog has said which partitions there are, and after an unclean stop theirs come
//! back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::storage::core::Core;
use crate::storage::format::{names, partition_metadata};
use crate::storage::partition::Partition;
use crate::storage::upkeep::removal::Doomed;
use crate::storage::upkeep::worker::{self, Partitions};

/// Gives directories back to attached partitions that have none. No log may have been used yet.
pub(in crate::storage) fn give_back(
    core: &Core,
    leftovers: &mut Vec<PathBuf>,
    partitions: &Partitions,
) {
    if leftovers.is_empty() {
        return;
    }
    let partitions = worker::all(partitions);
    leftovers.retain(|path| {
        let owner = partitions.iter().find(|each| is_of(core, path, each));
        !owner.is_some_and(|owner| give_back_to(core, path, owner))
    });
}

/// Has them removed.
pub(in crate::storage) fn remove(core: &Core, leftovers: Vec<PathBuf>) {
    for path in leftovers {
        core.removal
            .schedule(&core.io, Doomed::Directory(path), Duration::ZERO);
    }
}

/// The id of the topic that a directory says that it is of.
fn topic_of(core: &Core, path: &Path) -> Option<String> {
    let content = core.io.read(&path.join(names::PARTITION_METADATA)).ok()?;
    let content = std::str::from_utf8(&content).ok()?;
    partition_metadata::decode(content).ok().map(str::to_owned)
}

/// Whether a directory that waits for its removal holds the log of a partition. Its name says
/// which number; the id of the topic, where a power cut took it, is taken for the one of that name.
fn is_of(core: &Core, path: &Path, partition: &Partition) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let directory = name
        .and_then(|name| name.strip_suffix(names::DELETE_SUFFIX))
        .and_then(|name| Some(name.rsplit_once('.')?.0));
    let number = directory.and_then(|directory| directory.rsplit_once('-')?.1.parse().ok());
    if number != Some(partition.number().0) {
        return false;
    }
    match topic_of(core, path) {
        Some(topic) => topic == partition.topic().to_base64(),
        None => directory == Some(&*partition.context().directory),
    }
}

fn give_back_to(core: &Core, path: &Path, partition: &Partition) -> bool {
    let context = partition.context();
    if core.directories.lock().contains(&context.directory) {
        let there = topic_of(core, &context.path);
        if there.is_none_or(|topic| topic == partition.topic().to_base64()) {
            return false;
        }
        // That of a topic of the same name, whose creation was lost with the deletion.
        match core.retire_directory(&context.directory, names::DELETE_SUFFIX) {
            Ok(retired) => remove(core, vec![retired]),
            Err(_) => return false,
        }
    }
    let partition = &context.directory;
    match core.io.rename(path, &context.path) {
        Ok(()) => {
            core.directories.lock().insert(partition.clone());
            tracing::warn!(partition, "undid a deletion that was not durable");
            true
        }
        Err(error) => {
            tracing::error!(partition, %error, "cannot undo a deletion that was not durable");
            // It stays where it is, for the next start.
            true
        }
    }
}
