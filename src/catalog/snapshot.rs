//! Snapshots of the image, in the files and format of Kafka's (`Snapshots`, KIP-630).
//!
//! ```text
//! <offset, 20 digits>-<epoch, 10 digits>.checkpoint    stands for all records below the offset
//!
//! control batch   SnapshotHeader
//! batches         records that make the image, without keys or history
//! control batch   SnapshotFooter
//! ```
//!
//! Offsets within the file count from 0; every batch carries the epoch of the file's name. A file
//! comes into being whole (written beside its place, synced, renamed, its directory synced), so
//! one without a footer or with a wrong checksum is damaged and is passed over for an older one.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::batches::{Place, control, split};
use super::change::{Writer, partition_record};
use super::load::{Batch, LoadError, Loader};
use super::{CommitError, Image, METADATA_VERSION_FEATURE};
use crate::io::{Io, Persist, replace_file};
use crate::model::{LeaderEpoch, NodeId, Offset, Timestamp};
use crate::wire::control::{ControlRecord, SnapshotFooterRecord, SnapshotHeaderRecord};
use crate::wire::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord, TopicRecord,
};

const SUFFIX: &str = ".checkpoint";

/// Which records a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SnapshotId {
    /// All below this offset.
    pub(super) end: Offset,
    /// Epoch of the last of them.
    pub(super) epoch: LeaderEpoch,
}

impl SnapshotId {
    /// Name of its file.
    pub(super) fn file_name(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end.0, self.epoch.0)
    }

    /// The snapshot that a file of this name holds.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (end, epoch) = file_name.strip_suffix(SUFFIX)?.split_once('-')?;
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        (digits(end, 20) && digits(epoch, 10)).then_some(())?;
        Some(Self {
            end: Offset(end.parse().ok()?),
            epoch: LeaderEpoch(epoch.parse().ok()?),
        })
    }
}

/// The snapshots of a directory, newest first.
pub(super) fn list(io: &dyn Io, directory: &Path) -> Result<Vec<(SnapshotId, PathBuf)>, LoadError> {
    if !io.exists(directory) {
        return Ok(Vec::new());
    }
    let entries = io.read_dir(directory).map_err(|source| LoadError::Io {
        path: directory.to_owned(),
        source,
    })?;
    let mut snapshots: Vec<_> = entries
        .into_iter()
        .filter_map(|entry| {
            Some((
                SnapshotId::parse(entry.path.file_name()?.to_str()?)?,
                entry.path,
            ))
        })
        .collect();
    snapshots.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(snapshots)
}

/// The image of the newest snapshot that is whole; an empty one if there is none.
pub(super) fn load_newest(io: &dyn Io, directory: &Path) -> Result<Image, LoadError> {
    for (id, path) in list(io, directory)? {
        let loaded = io
            .read(&path)
            .map_err(|source| LoadError::Io {
                path: path.clone(),
                source,
            })
            .and_then(|bytes| decode(&bytes, id));
        match loaded {
            Ok(image) => return Ok(image),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "passed over a damaged snapshot");
            }
        }
    }
    Ok(Image::default())
}

/// Writes a snapshot of `image`; it is durable when this returns.
pub(super) fn write(
    io: &dyn Io,
    directory: &Path,
    image: &Image,
    data_directory: Uuid,
    now: Timestamp,
) -> Result<SnapshotId, CommitError> {
    let id = SnapshotId {
        end: image.next_offset,
        epoch: image.epoch,
    };
    let bytes = encode(image, data_directory, now)?;
    let path = directory.join(id.file_name());
    io.create_dir_all(directory)
        .and_then(|()| replace_file(io, &path, &bytes, Persist::Durable))
        .map_err(|error| CommitError::Storage(format!("{}: {error}", path.display())))?;
    Ok(id)
}

/// Removes the snapshots before `newest`, and what attempts to write one left behind. What cannot
/// be removed now is removed another time.
pub(super) fn remove_older(io: &dyn Io, directory: &Path, newest: SnapshotId) {
    let entries = io.read_dir(directory).unwrap_or_default();
    for path in entries.into_iter().map(|entry| entry.path) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let stale = SnapshotId::parse(name).is_some_and(|id| id < newest)
            || name
                .strip_suffix(".tmp")
                .is_some_and(|name| SnapshotId::parse(name).is_some());
        if stale && let Err(error) = io.remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove an old snapshot");
        }
    }
}

/// The bytes of a snapshot of `image`.
pub(super) fn encode(
    image: &Image,
    data_directory: Uuid,
    now: Timestamp,
) -> Result<Vec<u8>, CommitError> {
    let mut place = Place {
        next: Offset(0),
        epoch: image.epoch,
    };
    let header = SnapshotHeaderRecord {
        last_contained_log_timestamp: image.timestamp.0,
        ..SnapshotHeaderRecord::default()
    };
    let mut bytes = Vec::new();
    let mut add = |batch: crate::batch::ValidBatch, place: &mut Place| {
        place.next = batch.header.next_offset();
        bytes.extend_from_slice(&batch.bytes);
    };
    add(control(&header.into(), place, now)?, &mut place);
    for batch in split(&records(image, data_directory), place, now)? {
        add(batch, &mut place);
    }
    add(
        control(&SnapshotFooterRecord::default().into(), place, now)?,
        &mut place,
    );
    Ok(bytes)
}

/// The records that make `image` from nothing, in the order of Kafka's `MetadataImage.write`:
/// first the metadata version, which says how to read the rest.
fn records(image: &Image, data_directory: Uuid) -> Vec<MetadataRecord> {
    let mut records: Vec<MetadataRecord> = Vec::new();
    let (version, others): (Vec<_>, Vec<_>) = image
        .features
        .iter()
        .partition(|(name, _)| *name == METADATA_VERSION_FEATURE);
    for (name, &feature_level) in version.into_iter().chain(others) {
        records.push(
            FeatureLevelRecord {
                name: name.clone(),
                feature_level,
            }
            .into(),
        );
    }
    for broker in image.brokers.values() {
        records.push(broker.as_ref().clone().into());
    }
    let writer = Writer {
        node: NodeId(-1),
        directory: data_directory,
    };
    for topic in image.topics() {
        let name = topic.name.as_str().to_owned();
        records.push(
            TopicRecord {
                name,
                topic_id: topic.id.0,
            }
            .into(),
        );
        for (number, partition) in (0..).zip(&topic.partitions) {
            records.push(partition_record(topic.id, number, partition, writer));
        }
    }
    for (resource, configs) in &image.configs {
        let (resource_type, resource_name) = resource.to_record();
        for (name, value) in configs.iter() {
            let (name, value) = (name.clone(), Some(value.clone()));
            let resource_name = resource_name.clone();
            records.push(
                ConfigRecord {
                    resource_type,
                    resource_name,
                    name,
                    value,
                }
                .into(),
            );
        }
    }
    if image.next_producer_id.0 > 0 {
        records.push(
            ProducerIdsRecord {
                broker_id: writer.node.0,
                next_producer_id: image.next_producer_id.0,
                ..ProducerIdsRecord::default()
            }
            .into(),
        );
    }
    records
}

/// The image that a snapshot's bytes hold.
pub(super) fn decode(mut bytes: &[u8], id: SnapshotId) -> Result<Image, LoadError> {
    let mut loader = Loader::new(Image::default());
    let mut header = None;
    let mut footer = false;
    while !bytes.is_empty() {
        let (batch, batch_header, rest) = loader.split_batch(bytes)?;
        let controls = match loader.batch(batch, &batch_header)? {
            Batch::Replayed => Vec::new(),
            Batch::Control(controls) => controls,
        };
        for control in controls {
            match control {
                ControlRecord::SnapshotHeader(record) => header = Some(record),
                ControlRecord::SnapshotFooter(_) => footer = rest.is_empty(),
                ControlRecord::LeaderChange(_) | ControlRecord::KRaftVersion(_) => {}
            }
        }
        if header.is_none() {
            break;
        }
        bytes = rest;
    }
    let Some(header) = header.filter(|_| footer) else {
        return Err(LoadError::Unfinished);
    };
    let (mut image, _) = loader.finish();
    image.next_offset = id.end;
    image.epoch = id.epoch;
    image.timestamp = Timestamp(header.last_contained_log_timestamp);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;

    #[test]
    fn files_are_named_as_kafka_names_them() {
        let id = SnapshotId {
            end: Offset(52),
            epoch: LeaderEpoch(2),
        };
        assert_eq!(id.file_name(), "00000000000000000052-0000000002.checkpoint");
        assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
        for other in [
            "00000000000000000052-0000000002.checkpoint.tmp",
            "00000000000000000052.checkpoint",
            "0000000000000000005+-0000000002.checkpoint",
            "leader-epoch-checkpoint",
            "00000000000000000052-0000000002.log",
        ] {
            assert_eq!(SnapshotId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_whole_snapshot_is_loaded_and_older_ones_go() {
        let io = MemoryIo::shared();
        let directory = Path::new("/data/__cluster_metadata-0");
        assert_eq!(
            load_newest(&*io, directory).unwrap(),
            Image::default(),
            "no directory yet"
        );

        let write_at = |end: i64| {
            let image = Image {
                next_offset: Offset(end),
                ..Image::default()
            };
            write(&*io, directory, &image, Uuid::nil(), Timestamp(1)).unwrap()
        };
        write_at(9);
        let newest = write_at(10);
        let cut = directory.join(
            SnapshotId {
                end: Offset(11),
                ..newest
            }
            .file_name(),
        );
        let whole = io.read(&directory.join(newest.file_name())).unwrap();
        io.open(&cut, crate::io::OpenMode::Create)
            .unwrap()
            .write_all_at(&[&whole[..whole.len() - 1]], 0)
            .unwrap();
        assert_eq!(
            load_newest(&*io, directory).unwrap().next_offset(),
            Offset(10)
        );

        io.remove_file(&cut).unwrap();
        let leftover = directory.join("00000000000000000012-0000000000.checkpoint.tmp");
        io.open(&leftover, crate::io::OpenMode::Create).unwrap();
        remove_older(&*io, directory, newest);
        let left: Vec<_> = io
            .read_dir(directory)
            .unwrap()
            .into_iter()
            .map(|e| e.path)
            .collect();
        assert_eq!(left, [directory.join(newest.file_name())]);
    }
}
