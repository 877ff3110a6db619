//! The command line.
//!
//! *Owns:* the commands, one file each. *May use:* `server`, `bench`, `kafka::client` and what they use.
//! Data goes to stdout, diagnostics to stderr; exit codes are 0 ok, 1 error, 2 usage.

mod bench;
mod connect;
mod consume;
mod group;
mod log;
mod log_dump;
mod log_repair;
mod log_verify;
mod output;
mod produce;
mod serve;
mod template;
mod topic;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::kafka::client::ClientError;

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
    /// Create, list, describe and delete topics.
    Topic(topic::Args),
    /// List, describe and delete groups, and set their offsets.
    Group(group::Args),
    /// Send lines as records.
    Produce(produce::Args),
    /// Print records.
    Consume(consume::Args),
    /// Put load on a broker, and check what comes back.
    Bench(bench::Args),
    /// Look into the files of a data directory, and check them; no broker is asked.
    Log(log::Args),
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

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        Self(error.to_string())
    }
}

/// An argument `KEY=VALUE`.
fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Parses the arguments, runs the command, and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Klamm::try_parse() {
        Ok(arguments) => arguments,
        // clap prints help on stdout with 0, mistakes on stderr with 2.
        Err(stop) => stop.exit(),
    };
    let ended = match arguments.command {
        // Works on files alone: no runtime is needed.
        Command::Log(args) => log::run(&args, arguments.format),
        Command::Serve(_)
        | Command::Topic(_)
        | Command::Group(_)
        | Command::Produce(_)
        | Command::Consume(_)
        | Command::Bench(_) => run(arguments).map(|()| ExitCode::SUCCESS),
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("klamm: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As many threads as work at the same time, and so many that one may wait for a page of a file.
fn cores() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    cores.max(2)
}

fn run(arguments: Klamm) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores())
        .thread_name("klamm")
        .enable_all()
        .build()
        .map_err(|error| CommandError(format!("cannot start the runtime: {error}")))?;
    let format = arguments.format;
    runtime.block_on(async move {
        match arguments.command {
            Command::Serve(args) => serve::run(args, format).await,
            Command::Topic(args) => topic::run(args, format).await,
            Command::Group(args) => group::run(args, format).await,
            Command::Produce(args) => produce::run(args, format).await,
            Command::Consume(args) => consume::run(args, format).await,
            Command::Bench(args) => bench::run(args, format).await,
            Command::Log(args) => log::run(&args, format).map(|_| ()),
        }
    })
}
