//! `klamm log repair`: prints what [`repair`] does, or would do.
//!
//! Exit codes: 0, done, or nothing to do; 1, there is something to do and `--yes` was not given,
//! or it failed; 2, no place that holds logs.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::log::USAGE;
use super::output::print;
use super::{CommandError, Format};
use crate::clock::SystemClock;
use crate::io::RealIo;
use crate::storage::repair::{Mode, Remedy, RepairError, Repaired, repair};
use crate::storage::verify::VerifyError;

/// Arguments of `klamm log repair`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
The broker must be stopped. Without --yes nothing is written.

Where damage is in the part of a batch that its checksum does not cover, the batch is put right, and
nothing is lost. In the place of everything else that cannot be read comes an empty batch over the
same offsets: consumers step over it, and every other batch stays as it is, byte for byte. What is
behind the durable offset is no damage; the next start of the broker cuts it.

The damaged segment is kept beside the new one, as <segment>.log.damaged-<time>: remove it when
nobody needs it any more. Run `klamm log verify` before and after.

Exit codes: 0 repaired, or nothing to repair; 1 not repaired; 2 not a data directory.")]
pub(crate) struct Args {
    /// A data directory, or the directory of one partition.
    dir: PathBuf,
    /// Repair this partition alone.
    #[arg(long, value_name = "TOPIC-N")]
    partition: Option<String>,
    /// Repair; without it, only say what would be done.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only say what would be done, which is what happens without --yes.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, CommandError> {
    let mode = match args.yes {
        true => Mode::Write,
        false => Mode::DryRun,
    };
    let (mut stretches, mut records) = (0_u64, 0_u64);
    let mut printed = Ok(());
    let partition = args.partition.as_deref();
    let now = SystemClock::shared().wall();
    let ended = repair(&RealIo, &args.dir, partition, mode, now, &mut |repaired| {
        stretches += 1;
        records = records.saturating_add(repaired.records_lost());
        let line = match format {
            Format::Text => text(repaired, mode),
            Format::Json => as_json(repaired, mode),
        };
        if printed.is_ok() {
            printed = print(&line);
        }
    });
    match ended {
        Ok(()) => {}
        Err(RepairError::Verify(error @ VerifyError::NoData(_))) => {
            eprintln!("klamm: {error}");
            return Ok(ExitCode::from(USAGE));
        }
        Err(error) => return Err(CommandError(error.to_string())),
    }
    printed?;
    let summary = match format {
        Format::Json => {
            let written = mode == Mode::Write;
            let row = json!({
                "row": "summary", "written": written, "stretches": stretches,
                "records_lost": records,
            });
            format!("{row}\n")
        }
        Format::Text if stretches == 0 => "nothing to repair\n".to_owned(),
        Format::Text => match mode {
            Mode::Write => {
                format!("repaired {stretches} damaged ranges; at most {records} records are lost\n")
            }
            Mode::DryRun => format!(
                "would repair {stretches} damaged ranges, giving up at most {records} records: \
                 run it again with --yes\n"
            ),
        },
    };
    print(&summary)?;
    match mode {
        Mode::DryRun if stretches > 0 && !args.dry_run => Ok(ExitCode::FAILURE),
        Mode::DryRun | Mode::Write => Ok(ExitCode::SUCCESS),
    }
}

/// One line for people.
fn text(repaired: &Repaired, mode: Mode) -> String {
    let Repaired {
        partition,
        file,
        bytes,
        offsets,
        reason,
        remedy,
    } = repaired;
    let done = match (remedy, mode) {
        (Remedy::Mended, Mode::Write) => "put right, nothing lost".to_owned(),
        (Remedy::Mended, Mode::DryRun) => "can be put right, nothing is lost".to_owned(),
        (Remedy::SteppedOver, Mode::Write) => {
            format!(
                "stepped over, at most {} records lost",
                repaired.records_lost()
            )
        }
        (Remedy::SteppedOver, Mode::DryRun) => format!(
            "can be stepped over, which gives up at most {} records",
            repaired.records_lost()
        ),
    };
    let (position, count) = (bytes.start, bytes.end - bytes.start);
    let range = match offsets.is_empty() {
        true => "no offsets".to_owned(),
        false => format!("offsets {} to {}", offsets.start, offsets.end.0 - 1),
    };
    format!("{partition}/{file} at {position} ({count} bytes), {range}: {reason}; {done}\n")
}

fn as_json(repaired: &Repaired, mode: Mode) -> String {
    let row = json!({
        "row": "repair",
        "written": mode == Mode::Write,
        "partition": repaired.partition,
        "file": repaired.file,
        "position": repaired.bytes.start,
        "bytes": repaired.bytes.end - repaired.bytes.start,
        "from": repaired.offsets.start.0,
        // Exclusive.
        "to": repaired.offsets.end.0,
        "reason": repaired.reason,
        "remedy": match repaired.remedy {
            Remedy::Mended => "mended",
            Remedy::SteppedOver => "stepped-over",
        },
        "records_lost": repaired.records_lost(),
    });
    format!("{row}\n")
}
