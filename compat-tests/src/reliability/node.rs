//! A `klamm serve` in a process of its own, that can be killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::client::Client;
use crate::session::Session;

/// How to start a broker. Can be used again for each start of the same broker.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    wrapper: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stderr: PathBuf,
    patience: Duration,
}

impl Launch {
    /// `binary serve` on any free port of loopback, with its data in `data`; what it says on stderr
    /// is appended to `stderr`.
    #[must_use]
    pub fn new(binary: &Path, data: &Path, stderr: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            wrapper: Vec::new(),
            arguments: [
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                &data.to_string_lossy(),
            ]
            .map(str::to_owned)
            .to_vec(),
            environment: Vec::new(),
            stderr: stderr.to_owned(),
            patience: Duration::from_secs(60),
        }
    }

    /// With further arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&one| one.to_owned()));
        self
    }

    /// With a setting.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        self.arguments(&["--set", &format!("{key}={value}")])
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Under another program, such as `prlimit --nofile=4096` or `strace -D`. The process that is
    /// started has to become the broker: it is the one that is killed.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&one| one.to_owned()).collect();
        self
    }

    /// Waits so long for the ready line, a minute if not told.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it and waits for its ready line.
    ///
    /// # Errors
    /// Says why it did not become ready; it runs no longer then.
    pub fn start(&self) -> Result<Node, String> {
        self.try_start().map_err(|not_ready| not_ready.reason)
    }

    /// As [`Launch::start`], where it may be meant to end before it is ready.
    ///
    /// # Errors
    /// Says why it did not become ready, and how it ended.
    pub fn try_start(&self) -> Result<Node, NotReady> {
        let mut words = self.wrapper.iter().map(PathBuf::from);
        let mut command = match words.next() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(words).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&self.stderr)
            .map_err(|error| NotReady::never_ran(&self.stderr, &error))?;
        let begin = Instant::now();
        let mut process = command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| NotReady::never_ran(&self.binary, &error))?;
        let out = process.stdout.take().expect("a pipe");
        let mut node = Node {
            process,
            address: String::new(),
            ready_in: Duration::ZERO,
        };
        let line = first_line(out, self.patience);
        node.ready_in = begin.elapsed();
        let address = line
            .as_deref()
            .unwrap_or_default()
            .split_whitespace()
            .find_map(|word| word.strip_prefix("kafka="));
        match address {
            Some(address) => {
                node.address = address.to_owned();
                Ok(node)
            }
            None => {
                let said = tail(&self.stderr);
                let status = node.wait(Duration::from_millis(500));
                let after = node.ready_in;
                Err(NotReady {
                    reason: format!(
                        "no ready line after {after:?} (ended: {status:?}); it said: {said}"
                    ),
                    status,
                })
            }
        }
    }
}

/// A broker that did not become ready.
#[derive(Clone, Debug)]
pub struct NotReady {
    /// In words.
    pub reason: String,
    /// How it ended, if it did by itself.
    pub status: Option<ExitStatus>,
}

impl NotReady {
    fn never_ran(path: &Path, error: &std::io::Error) -> Self {
        Self {
            reason: format!("{}: {error}", path.display()),
            status: None,
        }
    }
}

/// The first line, if it comes in time; the stream is read on, so that nobody writes in vain.
fn first_line(out: std::process::ChildStdout, patience: Duration) -> Option<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(out).lines();
        if let Some(Ok(line)) = lines.next() {
            let _ = sender.send(line);
        }
        drop(sender);
        lines.for_each(drop);
    });
    receiver.recv_timeout(patience).ok()
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// A running broker. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    process: Child,
    address: String,
    ready_in: Duration,
}

impl Node {
    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// From its start to its ready line.
    #[must_use]
    pub fn ready_in(&self) -> Duration {
        self.ready_in
    }

    /// A fast client of it.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub fn client(&self) -> std::io::Result<Client> {
        Client::connect(&self.address)
    }

    /// A client that speaks every API, in JSON.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(&self.address, Duration::ZERO)
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn kill(mut self) -> ExitStatus {
        let _ = self.process.kill();
        self.process.wait().expect("it ends")
    }

    /// SIGTERM, and waits; `None`, and it is killed, if it takes longer than `patience`.
    ///
    /// # Panics
    /// If there is no `kill`.
    pub fn terminate(mut self, patience: Duration) -> Option<ExitStatus> {
        let sent = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .expect("a kill command");
        assert!(sent.success() || self.ended().is_some(), "SIGTERM is sent");
        self.wait(patience)
    }

    /// Waits for it to end by itself; `None` if it does not.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Kilobytes of memory that it holds, if it runs.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Processor time that its threads have taken.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid()));
        let spent = threads
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|thread| {
                let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
                times.split_whitespace().next()?.parse::<u64>().ok()
            });
        Duration::from_nanos(spent.sum())
    }
}

/// Whether it ended by SIGKILL.
#[must_use]
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
