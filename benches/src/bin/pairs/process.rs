//! A server as a process of its own, and what the system says of it (proc(5), its clock of processor
//! time).

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;

use crate::guard::{Guard, Guarded};

/// How long a server may take to stop when it is asked to, and how often it is looked.
const STOPS_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// How much of a log is told where something went wrong.
const LAST_LINES: usize = 8;

/// A process that ends with its owner, by SIGKILL: what it leaves behind nobody reads.
#[derive(Debug)]
pub(crate) struct Process {
    child: Guarded,
    /// Where it says on stderr what it does, and how much others have said there before.
    log: PathBuf,
    said_before: u64,
}

impl Process {
    /// Starts it; what it says on stderr is appended to `log`.
    pub(crate) fn start(
        guard: &Arc<Guard>,
        command: &mut Command,
        log: &Path,
    ) -> Result<Self, String> {
        let said = |error: io::Error| format!("{}: {error}", log.display());
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(said)?;
        let said_before = file.metadata().map_err(said)?.len();
        match guard.spawn(command.stderr(file)) {
            Ok(child) => Ok(Self {
                child,
                log: log.to_owned(),
                said_before,
            }),
            Err(error) => Err(format!("{}: {error}", command.get_program().display())),
        }
    }

    /// Has it stop as an operator would; what it has said on stderr.
    pub(crate) fn stop(mut self) -> Result<String, String> {
        self.child.terminate().map_err(|error| error.to_string())?;
        let begin = Instant::now();
        while !self.has_ended() {
            if begin.elapsed() > STOPS_WITHIN {
                return Err(format!("it did not stop:{}", self.last_words()));
            }
            std::thread::sleep(LOOK);
        }
        self.said().map_err(|error| error.to_string())
    }

    /// What it has said last on stderr: the log goes with the scratch directory.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said().unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(LAST_LINES).collect();
        let lines = lines.iter().rev().map(|line| format!("\n  {line}"));
        lines.collect()
    }

    fn said(&self) -> io::Result<String> {
        let mut said = String::new();
        let mut log = File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.said_before))?;
        log.read_to_string(&mut said)?;
        Ok(said)
    }

    /// The first line on stdout, which must be a pipe; the rest is thrown away.
    pub(crate) fn first_line(&mut self) -> Result<String, String> {
        let child = self.child.child().map_err(|error| error.to_string())?;
        let stdout: ChildStdout = child.stdout.take().ok_or("stdout is no pipe")?;
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = stdout.read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        Ok(line.trim().to_owned())
    }

    /// Whether it runs no longer.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.child.child();
        !matches!(child.and_then(|child| child.try_wait()), Ok(None))
    }

    /// Processor seconds so far, of all its threads, living or not.
    pub(crate) fn cpu(&self) -> Result<f64, String> {
        let said = |error| format!("processor time: {error}");
        let pid = i32::try_from(self.child.id()).map_err(|error| error.to_string())?;
        // To the nanosecond; proc(5) rounds to hundredths of a second, which is a lot of a second.
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).map_err(said)?;
        Ok(Duration::from(clock.now().map_err(said)?).as_secs_f64())
    }

    /// Resident KiB.
    pub(crate) fn resident(&self) -> Result<f64, String> {
        self.memory("VmRSS")
    }

    /// The most that were resident.
    pub(crate) fn resident_peak(&self) -> Result<f64, String> {
        self.memory("VmHWM")
    }

    fn memory(&self, name: &str) -> Result<f64, String> {
        let status = self.read("status")?;
        kib(&status, name).ok_or_else(|| format!("status has no {name}"))
    }

    fn read(&self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }
}

fn kib(status: &str, name: &str) -> Option<f64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| *key == name)?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_found_by_its_name() {
        let status = "Name:\tklamm\nVmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\n";
        assert_eq!(kib(status, "VmRSS"), Some(8192.0));
        assert_eq!(kib(status, "VmHWM"), Some(9000.0));
        assert_eq!(kib(status, "VmSwap"), None);
    }
}
