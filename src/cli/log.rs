//! `klamm log`: what can be done with the files of a data directory without a broker.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::{CommandError, Format, log_dump, log_repair, log_verify};
use crate::storage::format::names;

/// Exit code for arguments that make no sense.
pub(crate) const USAGE: u8 = 2;

/// Arguments of `klamm log`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print what files of a data directory say, offline and read-only.
    Dump(log_dump::Args),
    /// Check every byte of a data directory, read-only, and say what is damaged.
    Verify(log_verify::Args),
    /// Let readers step over damaged records, and say which ones are lost.
    Repair(log_repair::Args),
}

/// Runs the command.
pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, CommandError> {
    match &args.verb {
        Verb::Dump(args) => log_dump::run(args, format).map(|()| ExitCode::SUCCESS),
        Verb::Verify(args) => log_verify::run(args, format),
        Verb::Repair(args) => log_repair::run(args, format),
    }
}

/// The process that holds the lock of a data directory. Asks without taking it.
pub(crate) fn holder(dir: &Path) -> Option<u32> {
    let lock = File::open(dir.join(names::LOCK)).ok()?;
    let found = fcntl_getlk(&lock, &Flock::from(FlockType::WriteLock)).ok()??;
    let holder = found.pid.map_or(0, |pid| pid.as_raw_nonzero().get());
    Some(u32::try_from(holder).unwrap_or(0))
}
