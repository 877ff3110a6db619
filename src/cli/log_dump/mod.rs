//! `klamm log dump`: prints what files of a data directory say, offline and without touching
//! them.
//!
//! | file | rows | decoded by |
//! | --- | --- | --- |
//! | `*.log`, `*.checkpoint` | batches, with `--records` their records | `batch`, `wire` |
//! | `*.index`, `*.timeindex`, `*.txnindex` | entries | `storage::format` |
//! | `*.snapshot` | producers | `storage::format` |
//! | `leader-epoch-checkpoint`, `*-offset-checkpoint` | epochs, partitions | `storage::format` |
//! | `klamm-durable-offsets` | records of the journal, and the logs in them | `storage::format` |
//! | `klamm-transaction-indexes` | segments | `storage::format` |
//! | `partition.metadata`, `meta.properties`, `quorum-state`, `.kafka_cleanshutdown` | lines | |
//! | any of a segment with `.deleted`, `.cleaned` or `.swap` behind it | as without | |
//!
//! Fields have the names that Kafka's `DumpLogSegments` gives them, where it has them; as text they
//! stand as it prints them, but for options that are empty, which are left out.
//!
//! A file that is damaged is printed up to there, the damage is said on stderr with its place, and
//! the exit code is 1.

mod batches;
mod groups;
mod tables;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{CommandError, Format};
use crate::model::Offset;
use crate::storage::format::names::{self, SegmentFile};

/// Arguments of `klamm log dump`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, or directories with everything in them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print the records of batches, too.
    #[arg(short, long, visible_alias = "print-data-log")]
    records: bool,
    /// Take all records for those of the metadata log, and print them; where the directory has
    /// its name, they are known.
    #[arg(long)]
    cluster_metadata_decoder: bool,
    /// Take all records for those of groups and their offsets, and print them; where the
    /// directory has the topic's name, they are known.
    #[arg(long, conflicts_with = "cluster_metadata_decoder")]
    offsets_decoder: bool,
}

/// What records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoder {
    /// Anything: bytes.
    Bytes,
    /// Of the metadata log.
    Metadata,
    /// Of `__consumer_offsets`.
    Groups,
}

/// Runs the command.
pub(crate) fn run(args: &Args, format: Format) -> Result<(), CommandError> {
    let Args {
        paths,
        records,
        cluster_metadata_decoder,
        offsets_decoder,
    } = args;
    let decoder = match (cluster_metadata_decoder, offsets_decoder) {
        (true, _) => Some(Decoder::Metadata),
        (false, true) => Some(Decoder::Groups),
        (false, false) => None,
    };
    let mut dump = Dump {
        out: BufWriter::new(io::stdout().lock()),
        format,
        records: *records || decoder.is_some(),
        decoder,
    };
    match dump.paths(paths) {
        Ok(0) => Ok(()),
        Ok(damaged) => Err(CommandError(format!("{damaged} files are damaged"))),
        // Whoever read has seen enough.
        Err(DumpError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(DumpError::Output(error)) => {
            Err(CommandError(format!("cannot write to stdout: {error}")))
        }
        Err(error @ (DumpError::Damaged(_) | DumpError::Unreadable(_))) => {
            Err(CommandError(error.to_string()))
        }
    }
}

/// Why a file was not printed to its end.
#[derive(Debug, thiserror::Error)]
enum DumpError {
    /// stdout is gone.
    #[error("{0}")]
    Output(io::Error),
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The file says nonsense from some place on.
    #[error("{0}")]
    Damaged(String),
}

/// One line of output: what it is about, and its fields in order.
struct Row<'a> {
    kind: &'a str,
    fields: Vec<(&'a str, Value)>,
}

impl<'a> Row<'a> {
    fn new(kind: &'a str) -> Self {
        Self {
            kind,
            fields: Vec::new(),
        }
    }

    /// With one more field.
    fn with(mut self, name: &'a str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// With one more field, where there is something to say.
    fn with_some(self, name: &'a str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn text(&self) -> String {
        let plain = |value: &Value| match value {
            Value::String(text) if !text.contains(char::is_control) => text.clone(),
            other => other.to_string(),
        };
        let fields = self.fields.iter();
        let pairs: Vec<String> = fields
            .map(|(name, value)| format!("{name}: {}", plain(value)))
            .collect();
        match (self.kind, self.fields.as_slice()) {
            ("file", [(_, path)]) => format!("Dumping {}", plain(path)),
            ("start", [(_, offset)]) => format!("Log starting offset: {offset}"),
            ("line", [(_, text)]) => plain(text),
            ("record", _) => format!("| {}", pairs.join(" ")),
            _ => pairs.join(" "),
        }
    }
}

/// Prints rows in one format or the other.
struct Dump<W> {
    out: W,
    format: Format,
    records: bool,
    /// What all records are, whatever the names of their files say.
    decoder: Option<Decoder>,
}

impl<W: Write> Dump<W> {
    /// Prints files and everything in directories; the number of damaged files.
    fn paths(&mut self, paths: &[PathBuf]) -> Result<usize, DumpError> {
        let mut damaged = 0;
        for path in paths {
            let named = !path.is_dir();
            for file in files(path)? {
                match self.file(&file, named) {
                    Ok(()) => {}
                    Err(error @ DumpError::Output(_)) => return Err(error),
                    Err(error @ (DumpError::Damaged(_) | DumpError::Unreadable(_))) => {
                        damaged += 1;
                        // What is good of the file stands before the complaint.
                        self.out.flush().map_err(DumpError::Output)?;
                        eprintln!("klamm: {}: {error}", file.display());
                    }
                }
            }
        }
        self.out.flush().map_err(DumpError::Output)?;
        Ok(damaged)
    }

    /// Prints one file; one that was not `named` is passed over if its name says nothing.
    fn file(&mut self, path: &Path, named: bool) -> Result<(), DumpError> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        let name = underlying(&name);
        match (&*name, name.rsplit_once('.').map(|(_, ending)| ending)) {
            (_, Some("log" | "checkpoint")) => {
                self.heading(path)?;
                self.batches(path, base_offset(&name))
            }
            (_, Some("index")) => self.table(path, Self::offset_index),
            (_, Some("timeindex")) => self.table(path, Self::time_index),
            (_, Some("txnindex")) => self.table(path, Self::transaction_index),
            (_, Some("snapshot")) => self.table(path, Self::producers),
            (names::LEADER_EPOCHS, _) => self.table(path, Self::leader_epochs),
            (names::TXN_INDEXES, _) => self.table(path, Self::transaction_indexes),
            (names::DURABLE_OFFSETS, _) => self.table(path, Self::durable_offsets),
            (
                names::RECOVERY_POINTS
                | names::LOG_STARTS
                | names::HIGH_WATERMARKS
                | names::COMPACTED
                | CLEANER_OFFSETS,
                _,
            ) => self.table(path, Self::offsets),
            (
                names::PARTITION_METADATA
                | names::META_PROPERTIES
                | names::CLEAN_SHUTDOWN
                | "quorum-state",
                _,
            ) => self.table(path, Self::lines),
            _ if named => Err(DumpError::Unreadable(
                "this is no file of a data directory, by its name".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn table(
        &mut self,
        path: &Path,
        print: impl FnOnce(&mut Self, Option<Offset>, &[u8]) -> Result<(), DumpError>,
    ) -> Result<(), DumpError> {
        let bytes =
            std::fs::read(path).map_err(|error| DumpError::Unreadable(error.to_string()))?;
        self.heading(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy());
        print(
            self,
            base_offset(&underlying(&name.unwrap_or_default())),
            &bytes,
        )
    }

    fn heading(&mut self, path: &Path) -> Result<(), DumpError> {
        self.row(Row::new("file").with("path", path.to_string_lossy()))
    }

    fn row(&mut self, row: Row<'_>) -> Result<(), DumpError> {
        let line = match self.format {
            Format::Text => format!("{}\n", row.text()),
            Format::Json => {
                let mut object = Map::new();
                object.insert("row".to_owned(), row.kind.into());
                object.extend(
                    row.fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value)),
                );
                format!("{}\n", Value::Object(object))
            }
        };
        self.out
            .write_all(line.as_bytes())
            .map_err(DumpError::Output)
    }
}

/// How far Kafka's cleaner came.
const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";

/// The name of a file before it was put out of use, or has once it is in use.
fn underlying(name: &str) -> Cow<'_, str> {
    if let Some((base, _)) = names::parse_swap(name) {
        return SegmentFile::Log.name(base).into();
    }
    let endings = [
        names::DELETED_SUFFIX,
        names::CLEANED_SUFFIX,
        names::SWAP_SUFFIX,
    ];
    let stripped = endings.iter().find_map(|ending| name.strip_suffix(ending));
    stripped.unwrap_or(name).into()
}

/// What offsets in the indexes of a segment are relative to: its name.
fn base_offset(name: &str) -> Option<Offset> {
    SegmentFile::parse(name).map(|(_, base)| base)
}

/// A file, or all files below a directory in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, DumpError> {
    let unreadable =
        |error: io::Error| DumpError::Unreadable(format!("{}: {error}", path.display()));
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
