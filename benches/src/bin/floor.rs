//! A floor as a process: `floor MODE --listen HOST:PORT --data DIR --partitions N`.
//!
//! The first line on stdout is the address. It serves until SIGTERM or SIGINT, and then says as a
//! line of JSON what processor time it took, its start included. `floor copy --data DIR` does not
//! listen: it copies the logs in DIR, such as those that `receive` has left there, and says so.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use klamm_benches::{Files, Floor, GroupCommit, Log, Null, PingPong, Topic, copy_logs, start};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// The bare cost of a broker's work, for `klamm bench`.
#[derive(Debug, Parser)]
struct Args {
    /// What is done.
    mode: Mode,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where files are; what is there already is overwritten.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// Its name.
    #[arg(long, default_value = "klamm-bench")]
    topic: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// A frame in, a small frame out.
    PingPong,
    /// Decode and check, store nothing.
    Null,
    /// Checksum, base offset, pwrite.
    Receive,
    /// The same, and sendfile to readers, who may wait.
    Sendfile,
    /// pwrite, and fdatasync of each partition's file in rounds.
    Commit,
    /// The same with one file for all partitions.
    CommitOne,
    /// No server: read, check and write all batches of the logs in a directory.
    Copy,
}

impl Args {
    fn directory(&self) -> io::Result<&Path> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "--data is missing");
        self.data.as_deref().ok_or_else(missing)
    }
}

impl Mode {
    fn name(self) -> String {
        let name = self.to_possible_value();
        name.map_or_else(String::new, |name| name.get_name().to_owned())
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    if args.mode == Mode::Copy {
        let bytes = copy_logs(args.directory()?)?;
        return tell(args, json!(bytes));
    }
    let topic = Topic {
        name: args.topic.clone(),
        partitions: args.partitions,
    };
    // Stops are heard from before the address is told.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminated, mut interrupted) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let address = start(floor(args, &topic)?, &topic, args.listen)?;
    println!("{address}");
    io::stdout().flush()?;
    runtime.block_on(async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    });
    tell(args, Value::Null)
}

/// The last line; `bytes` of the modes that know how many they had.
fn tell(args: &Args, bytes: Value) -> io::Result<()> {
    let (floor, cpu) = (args.mode.name(), cpu().as_secs_f64());
    let last = json!({"floor": floor, "cpu_seconds": cpu, "bytes": bytes});
    writeln!(io::stdout(), "{last}")
}

fn floor(args: &Args, topic: &Topic) -> io::Result<Box<dyn Floor>> {
    let log = |readers| Log::create(args.directory()?, topic, readers);
    let commit = |files| GroupCommit::create(args.directory()?, topic, files);
    Ok(match args.mode {
        Mode::PingPong => Box::new(PingPong),
        Mode::Null => Box::new(Null),
        Mode::Receive => Box::new(log(false)?),
        Mode::Sendfile => Box::new(log(true)?),
        Mode::Commit => Box::new(commit(Files::Each)?),
        Mode::CommitOne => Box::new(commit(Files::One)?),
        Mode::Copy => return Err(io::ErrorKind::Unsupported.into()),
    })
}

/// Processor time of this process.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or(0),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
}
