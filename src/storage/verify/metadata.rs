//! The metadata log: what its records say must make sense, and so must its snapshots.

use std::io;

use crate::batch::{BatchHeader, records};
use crate::io::OpenMode;
use crate::model::{Offset, TopicName};
use crate::storage::format::names;
use crate::storage::log::scan::{Depth, Scan, ScanError};
use crate::wire::control::ControlRecord;
use crate::wire::metadata::MetadataRecord;

use super::partition::PartitionCheck;
use super::{Finding, Meaning, Out};

/// Ending of a snapshot's name.
const SNAPSHOT_SUFFIX: &str = ".checkpoint";

/// The control records that a snapshot begins and ends with.
#[derive(Debug, Default)]
struct Frame {
    header: bool,
    footer: bool,
}

impl PartitionCheck<'_> {
    /// Whether this is the partition of the metadata log.
    pub(super) fn is_metadata(&self) -> bool {
        names::parse_partition_directory(self.name)
            .is_some_and(|(topic, _)| topic == TopicName::cluster_metadata())
    }

    /// Verifies the snapshots beside the log: `<end>-<epoch>.checkpoint`.
    pub(super) fn snapshots(&self, out: &mut Out<'_>) {
        let mut entries = self.io.read_dir(self.path).unwrap_or_default();
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        for entry in entries {
            let name = entry.path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| name.ends_with(SNAPSHOT_SUFFIX)) else {
                continue;
            };
            match self.snapshot(name, entry.len) {
                Ok(()) => {}
                Err(Flaw::At(position, reason)) => out.say(Finding {
                    partition: Some(self.name.to_owned()),
                    bytes: Some(position..entry.len),
                    ..Finding::about(name, Meaning::Primary, reason)
                }),
                // Replaced by a newer one meanwhile.
                Err(Flaw::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(Flaw::Io(error)) => {
                    self.say(out, name, Meaning::Unreadable, error.to_string());
                }
            }
        }
    }

    fn snapshot(&self, name: &str, len: u64) -> Result<(), Flaw> {
        let file = self.io.open(&self.path.join(name), OpenMode::Read)?;
        let mut scan = Scan::new(&*file, Depth::Checksums, Offset(0), 0, len).gaps_below(Offset(0));
        let mut frame = Frame::default();
        loop {
            let batch = match scan.next() {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(ScanError::Damaged { position, reason }) => {
                    return Err(Flaw::At(position, reason));
                }
                Err(ScanError::Io(error)) => return Err(Flaw::Io(error)),
            };
            let bytes = scan.bytes_of(&batch)?;
            let said =
                decode(&batch.header, bytes).map_err(|reason| Flaw::At(batch.position, reason))?;
            frame.header |= batch.position == 0 && said.header;
            frame.footer = said.footer;
        }
        match frame {
            Frame {
                header: true,
                footer: true,
            } => Ok(()),
            Frame { .. } => Err(Flaw::At(0, "its header or footer is missing".to_owned())),
        }
    }
}

/// What is wrong with a snapshot.
enum Flaw {
    /// From this position on.
    At(u64, String),
    /// It cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether the records of a whole batch of the metadata log can be decoded.
pub(super) fn check(header: &BatchHeader, batch: &[u8]) -> Result<(), String> {
    decode(header, batch).map(|_| ())
}

fn decode(header: &BatchHeader, batch: &[u8]) -> Result<Frame, String> {
    let opened = records(batch).map_err(|error| error.to_string())?;
    let mut frame = Frame::default();
    for record in &opened {
        let record = record.map_err(|error| error.to_string())?;
        let (key, value) = (
            record.key.unwrap_or_default(),
            record.value.unwrap_or_default(),
        );
        let undecodable =
            |error: crate::wire::DecodeError| format!("the record at {}: {error}", record.offset);
        if !header.is_control() {
            MetadataRecord::decode(value).map_err(undecodable)?;
            continue;
        }
        match ControlRecord::decode(key, value).map_err(undecodable)? {
            ControlRecord::SnapshotHeader(_) => frame.header = true,
            ControlRecord::SnapshotFooter(_) => frame.footer = true,
            ControlRecord::LeaderChange(_) | ControlRecord::KRaftVersion(_) => {}
        }
    }
    Ok(frame)
}
