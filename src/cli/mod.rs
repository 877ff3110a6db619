//! The command line.
//!
//! *Owns:* the commands, one file each. *May use:* `server`, `kafka::client` and what they use.
//! Data goes to stdout, diagnostics to stderr; exit codes are 0 ok, 1 error, 2 usage.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// A broker that speaks the Kafka 4 wire protocol, and the commands to try it.
#[derive(Debug, Parser)]
#[command(name = "klamm", version, arg_required_else_help = true)]
struct Klamm {
    #[command(subcommand)]
    command: Command,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker.
    Serve(serve::Args),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON value.
    Json,
}

/// What went wrong in a command, for stderr.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CommandError(pub(crate) String);

/// Parses the arguments, runs the command, and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Klamm::try_parse() {
        Ok(arguments) => arguments,
        // clap prints help on stdout with 0, mistakes on stderr with 2.
        Err(stop) => stop.exit(),
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("klamm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Klamm) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).max(2))
        .thread_name("klamm")
        .enable_all()
        .build()
        .map_err(|error| CommandError(format!("cannot start the runtime: {error}")))?;
    let format = arguments.format;
    runtime.block_on(async move {
        match arguments.command {
            Command::Serve(args) => serve::run(args, format).await,
        }
    })
}
