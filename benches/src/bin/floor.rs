//! A floor as a process: `floor MODE --listen HOST:PORT --data DIR --partitions N`.
//!
//! The first line on stdout is the address. It serves until SIGTERM or SIGINT, and then says as a
//! line of JSON what processor time it took, its start included.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use klamm_benches::{Files, Floor, GroupCommit, Log, Null, PingPong, Topic, start};
use serde_json::json;
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
    let cpu = cpu().as_secs_f64();
    println!("{}", json!({"floor": args.mode.name(), "cpu_seconds": cpu}));
    Ok(())
}

fn floor(args: &Args, topic: &Topic) -> io::Result<Box<dyn Floor>> {
    let directory = || {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "--data is missing");
        args.data.as_deref().ok_or_else(missing)
    };
    let log = |directory: &Path, readers| Log::create(directory, topic, readers);
    let commit = |directory: &Path, files| GroupCommit::create(directory, topic, files);
    Ok(match args.mode {
        Mode::PingPong => Box::new(PingPong),
        Mode::Null => Box::new(Null),
        Mode::Receive => Box::new(log(directory()?, false)?),
        Mode::Sendfile => Box::new(log(directory()?, true)?),
        Mode::Commit => Box::new(commit(directory()?, Files::Each)?),
        Mode::CommitOne => Box::new(commit(directory()?, Files::One)?),
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
