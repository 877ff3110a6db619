//! The servers that take turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::kafka::Kafka;
use crate::process::Process;
use crate::row::{Mode, Side, System};

/// Programs, and where things are.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) klamm: PathBuf,
    pub(crate) floor: PathBuf,
    /// Everything that is written lies here.
    pub(crate) scratch: PathBuf,
}

impl Tools {
    /// Where floors and Klamm have their data, which the end of a row removes.
    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.join("data")
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
        let data = tools.data().join(directory_name(side.name));
        clear(&data)?;
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
                command.arg("--data-dir").arg(&data);
                for setting in &side.settings {
                    command.args(["--set", setting]);
                }
                command
            }
            System::Kafka => return Err("Kafka is started once".to_owned()),
        };
        let log = tools.scratch.join("servers.log");
        let mut process = Process::start(command.stdout(Stdio::piped()), &log)?;
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
                "{} did not become ready; see {}",
                side.name,
                log.display()
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
