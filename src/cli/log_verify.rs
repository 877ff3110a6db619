//! `klamm log verify`: prints what [`verify`] finds.
//!
//! Exit codes: 0, whole; 1, damage, or the directory cannot be read; 2, no place that holds logs.

use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::log::{USAGE, holder};
use super::{CommandError, Format};
use crate::io::RealIo;
use crate::storage::verify::{Finding, Meaning, Scope, Standing, Summary, VerifyError, verify};

/// Arguments of `klamm log verify`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Nothing is written, and no lock is taken. While a broker runs on the directory, sealed segments
are checked and the ones that it writes are passed over; stop it to check everything.

Each finding says where it is (file, bytes, offsets), whether the offsets are below the durable
offset (then they were on disk, and acks=all was answered for them), and what follows from it:

  records-lost       readers of the offsets get CORRUPT_MESSAGE; `klamm log repair` steps over them
  malformed-records  a batch is as it was written, but its records make no sense
  rebuildable        the next start, or the next use, builds the file again
  primary            the file cannot be made from others
  unreadable         the disk did not give the bytes
  torn-tail          note: what a crash left behind the last batch; the next start cuts it
  leftover           note: of something that was interrupted; the next start removes it
  unjudged           note: records that could not be looked at

Exit codes: 0 whole (there may be notes), 1 damage, 2 not a data directory.")]
pub(crate) struct Args {
    /// A data directory, or the directory of one partition.
    dir: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, CommandError> {
    let scope = scope(&args.dir);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let summary = verify(&RealIo, &args.dir, scope, &mut |finding| {
        let line = match format {
            Format::Text => text(finding),
            Format::Json => finding_as_json(finding).to_string(),
        };
        // Findings are rare, and whoever waits for a large directory wants to see them.
        written = std::mem::replace(&mut written, Ok(()))
            .and_then(|()| writeln!(out, "{line}"))
            .and_then(|()| out.flush());
    });
    let summary = match summary {
        Ok(summary) => summary,
        Err(error @ VerifyError::NoData(_)) => {
            eprintln!("klamm: {error}");
            return Ok(ExitCode::from(USAGE));
        }
        Err(error @ VerifyError::Io { .. }) => return Err(CommandError(error.to_string())),
    };
    let line = match format {
        Format::Text => summary_as_text(&summary),
        Format::Json => summary_as_json(&summary).to_string(),
    };
    let written = written
        .and_then(|()| writeln!(out, "{line}"))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError(format!("cannot write to stdout: {error}")))
        }
        Ok(()) | Err(_) if summary.is_whole() => Ok(ExitCode::SUCCESS),
        Ok(()) | Err(_) => Ok(ExitCode::FAILURE),
    }
}

/// What can be checked: not what a running broker writes.
fn scope(dir: &Path) -> Scope {
    let parent = dir.parent().unwrap_or(Path::new("."));
    match holder(dir).or_else(|| holder(parent)) {
        None => Scope::All,
        Some(process) => {
            eprintln!(
                "klamm: process {process} runs a broker on this directory: only sealed segments \
                 are checked"
            );
            Scope::Sealed
        }
    }
}

/// One line for people.
fn text(finding: &Finding) -> String {
    let kind = match finding.meaning.is_damage() {
        true => "damage",
        false => "note",
    };
    let mut line = format!("{kind}: ");
    if let Some(partition) = &finding.partition {
        line.push_str(&format!("{partition}/"));
    }
    line.push_str(&finding.file);
    if let Some(Range { start, end }) = &finding.bytes {
        line.push_str(&format!(" at {start} ({} bytes)", end - start));
    }
    if let Some(Range { start, end }) = &finding.offsets {
        line.push_str(&format!(", offsets {start} to {}", end.0 - 1));
        match finding.standing {
            Standing::Below => line.push_str(", below the durable offset"),
            Standing::Above => line.push_str(", above the durable offset"),
            Standing::Unknown => {}
        }
    }
    format!("{line}: {}; {}", finding.reason, consequence(finding))
}

/// What follows from a finding, in words.
fn consequence(finding: &Finding) -> &'static str {
    match finding.meaning {
        Meaning::RecordsLost => match finding.standing {
            Standing::Below => "records that were acknowledged cannot be read",
            Standing::Above | Standing::Unknown => "records cannot be read",
        },
        Meaning::Malformed => "readers are served it as it is",
        Meaning::Rebuildable => "it will be built again",
        Meaning::Primary => "it cannot be made from other files",
        Meaning::Unreadable => "what is there is not known",
        Meaning::TornTail => "the next start cuts it",
        Meaning::Leftover => "the next start sees to it",
        Meaning::Unjudged => "it is served as it was sent",
    }
}

fn finding_as_json(finding: &Finding) -> Value {
    let bytes = finding.bytes.as_ref();
    let offsets = finding.offsets.as_ref();
    json!({
        "row": "finding",
        "damage": finding.meaning.is_damage(),
        "meaning": finding.meaning.name(),
        "partition": finding.partition,
        "file": finding.file,
        "position": bytes.map(|bytes| bytes.start),
        "bytes": bytes.map(|bytes| bytes.end - bytes.start),
        "from": offsets.map(|offsets| offsets.start.0),
        // Exclusive.
        "to": offsets.map(|offsets| offsets.end.0),
        "durable": finding.standing.name(),
        "reason": finding.reason,
    })
}

fn summary_as_text(summary: &Summary) -> String {
    let verdict = match summary.is_whole() {
        true => "whole",
        false => "damaged",
    };
    format!(
        "{verdict}: {} partitions, {} segments, {} bytes, {} batches, {} records; \
         {} damaged ranges with at most {} records, {} other damages, {} notes",
        summary.partitions,
        summary.segments,
        summary.bytes,
        summary.batches,
        summary.records,
        summary.damaged_ranges,
        summary.records_lost,
        summary.other_damage,
        summary.notes,
    )
}

fn summary_as_json(summary: &Summary) -> Value {
    json!({
        "row": "summary",
        "whole": summary.is_whole(),
        "partitions": summary.partitions,
        "segments": summary.segments,
        "bytes": summary.bytes,
        "batches": summary.batches,
        "records": summary.records,
        "damaged_ranges": summary.damaged_ranges,
        "records_lost": summary.records_lost,
        "other_damage": summary.other_damage,
        "notes": summary.notes,
    })
}
