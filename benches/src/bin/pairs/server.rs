//! The servers that take turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::guard::Guard;
use crate::kafka::Kafka;
use crate::process::Process;
use crate::row::{Mode, Side, System};

/// Programs, and where things are.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) klamm: PathBuf,
    pub(crate) floor: PathBuf,
    /// Ends whoever is started, and has the directory where everything lies that is written.
    pub(crate) guard: Arc<Guard>,
}

impl Tools {
    /// Where floors and Klamm have their data, which the end of a row removes.
    pub(crate) fn data(&self) -> PathBuf {
        self.guard.scratch().join("data")
    }

    /// Runs a command to its end; what it has said, or why there is nothing.
    pub(crate) fn output(&self, command: &mut Command) -> Result<Output, String> {
        let output = self.guard.output(command);
        output.map_err(|error| format!("{}: {error}", command.get_program().display()))
    }
}

/// A process that listens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: String,
    /// Where its partitions have their directories.
    pub(crate) data: PathBuf,
}

impl Server {
    /// A floor or Klamm, empty, with the data of the last one gone.
    pub(crate) fn start(
        tools: &Tools,
        side: &Side,
        mode: Mode,
        topic: &str,
    ) -> Result<Self, String> {
        clear(&tools.data().join(directory_name(side.name)))?;
        Self::launch(tools, side, mode, topic)
    }

    /// The same with the data that it has, after a clean stop.
    pub(crate) fn again(
        self,
        tools: &Tools,
        side: &Side,
        mode: Mode,
        topic: &str,
    ) -> Result<Self, String> {
        self.process.stop()?;
        Self::launch(tools, side, mode, topic)
    }

    fn launch(tools: &Tools, side: &Side, mode: Mode, topic: &str) -> Result<Self, String> {
        let directory = directory_name(side.name);
        let data = tools.data().join(&directory);
        let mut command = match side.system {
            System::Floor(floor) => {
                let mut command = Command::new(&tools.floor);
                let partitions = side.partitions.to_string();
                command.args([floor, "--topic", topic, "--partitions", &partitions]);
                command.arg("--data").arg(&data);
                command
            }
            System::Klamm => {
                let mut command = Command::new(&tools.klamm);
                command.args(["serve", "--listen", "127.0.0.1:0"]);
                command.args(["--durability", mode.name()]);
                // What it says at its end is read.
                command.env("RUST_LOG", "info");
                command.arg("--data-dir").arg(&data);
                for setting in &side.settings {
                    command.args(["--set", setting]);
                }
                command
            }
            System::Kafka => return Err("Kafka is started once".to_owned()),
        };
        let log = tools.guard.scratch().join(format!("{directory}.log"));
        command.stdout(Stdio::piped());
        let mut process = Process::start(&tools.guard, &mut command, &log)?;
        let line = process.first_line()?;
        let words = line.split_ascii_whitespace();
        let address = match side.system {
            // The whole line.
            System::Floor(_) => words.last(),
            _ => words.filter_map(|word| word.strip_prefix("kafka=")).next(),
        };
        match address {
            Some(address) => Ok(Self {
                process,
                address: address.to_owned(),
                data,
            }),
            None => Err(format!(
                "{} did not become ready:{}",
                side.name,
                process.last_words()
            )),
        }
    }
}

/// A directory that is there, and empty.
pub(crate) fn clear(directory: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", directory.display());
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(said(error)),
        _ => {}
    }
    std::fs::create_dir_all(directory).map_err(said)
}

fn directory_name(side: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    side.chars().map(plain).collect()
}

/// Whom a side's turn is with: a process of its own, or the one that serves all rows.
#[derive(Debug)]
pub(crate) enum Host<'a> {
    Own(Server),
    Shared(&'a Kafka),
}

impl Host<'_> {
    pub(crate) fn server(&self) -> &Server {
        match self {
            Self::Own(server) => server,
            Self::Shared(kafka) => kafka.server(),
        }
    }
}
