//! `klamm log dump`: prints what files of a data directory say, offline and without touching
//! them.
//!
//! | file | rows | decoded by |
//! | --- | --- | --- |
//! | `*.log`, `*.checkpoint` | batches, with `--records` their records | `batch`, `wire` |
//! | `*.index`, `*.timeindex`, `*.txnindex` | entries | `storage::format` |
//! | `*.snapshot` | producers | `storage::format` |
//! | `leader-epoch-checkpoint`, `*-offset-checkpoint` | epochs, partitions | `storage::format` |
//! | `partition.metadata`, `meta.properties`, `quorum-state` | lines | |
//!
//! A file that is damaged is printed up to there, the damage is said on stderr, and the exit code
//! is 1.

mod batches;
mod tables;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{CommandError, Format};
use crate::storage::format::names;

/// Arguments of `klamm log dump`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, or directories with everything in them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print the records of batches, too.
    #[arg(short, long)]
    records: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, format: Format) -> Result<(), CommandError> {
    let Args { paths, records } = args;
    let mut dump = Dump {
        out: BufWriter::new(io::stdout().lock()),
        format,
        records: *records,
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
}

/// Prints rows in one format or the other.
struct Dump<W> {
    out: W,
    format: Format,
    records: bool,
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
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy());
        match (&*name, extension.as_deref()) {
            (_, Some("log" | "checkpoint")) => {
                self.heading(path)?;
                self.batches(path)
            }
            (_, Some("index")) => self.table(path, Self::offset_index),
            (_, Some("timeindex")) => self.table(path, Self::time_index),
            (_, Some("txnindex")) => self.table(path, Self::transaction_index),
            (_, Some("snapshot")) => self.table(path, Self::producers),
            (names::LEADER_EPOCHS, _) => self.table(path, Self::leader_epochs),
            (names::RECOVERY_POINTS | names::LOG_STARTS | names::HIGH_WATERMARKS, _) => {
                self.table(path, Self::offsets)
            }
            (names::PARTITION_METADATA | names::META_PROPERTIES | "quorum-state", _) => {
                self.table(path, Self::lines)
            }
            _ if named => Err(DumpError::Unreadable(
                "this is no file of a data directory, by its name".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn table(
        &mut self,
        path: &Path,
        print: impl FnOnce(&mut Self, &Path, &[u8]) -> Result<(), DumpError>,
    ) -> Result<(), DumpError> {
        let bytes =
            std::fs::read(path).map_err(|error| DumpError::Unreadable(error.to_string()))?;
        self.heading(path)?;
        print(self, path, &bytes)
    }

    fn heading(&mut self, path: &Path) -> Result<(), DumpError> {
        self.row(Row::new("file").with("path", path.to_string_lossy()))
    }

    fn row(&mut self, row: Row<'_>) -> Result<(), DumpError> {
        let line = match self.format {
            Format::Text => {
                let fields = row
                    .fields
                    .iter()
                    .map(|(name, value)| format!(" {name}={value}"));
                format!("{}{}\n", row.kind, fields.collect::<String>())
            }
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
