//! Whatever is started ends with this program, however that ends, and nothing of it is left.
//!
//! A runner that is killed can end nobody itself. So a second process of the same program reads a
//! pipe that only the runner writes to, of which process groups there are. Once the pipe has come to
//! its end, so has the runner: the groups that are left are killed, and the scratch directory goes.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How often, and how long between, a directory is removed to which those who were killed may still
/// have written.
const REMOVALS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// The runner's end. The directory goes with it.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
    pipe: Mutex<Option<ChildStdin>>,
    scratch: PathBuf,
}

impl Guard {
    /// Makes the directory, from now on guarded.
    pub(crate) fn start(scratch: PathBuf) -> Result<Arc<Self>, String> {
        let said = |error: io::Error| format!("{}: {error}", scratch.display());
        let here = std::env::current_exe().map_err(|error| error.to_string())?;
        std::fs::create_dir_all(&scratch).map_err(said)?;
        let mut command = Command::new(&here);
        command.arg("--guard").arg(&scratch);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // In a group of its own: Ctrl-C is for the runner.
        command.stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(said)?;
        Ok(Arc::new(Self {
            pipe: Mutex::new(child.stdin.take()),
            child,
            scratch,
        }))
    }

    /// Where everything that is written may lie.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Starts a process, with a group of its own.
    pub(crate) fn spawn(self: &Arc<Self>, command: &mut Command) -> io::Result<Guarded> {
        // Written to while it starts, so that nobody is started who is not known.
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let told = tell(&mut pipe, '+', &child);
        drop(pipe);
        // From here on it is ended if anything goes wrong.
        let guarded = Guarded {
            child: Some(child),
            guard: Arc::clone(self),
        };
        told.map(|()| guarded)
    }

    /// Runs a command to its end.
    pub(crate) fn output(self: &Arc<Self>, command: &mut Command) -> io::Result<Output> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn(command)?.output()
    }

    /// It has ended, and nobody is to be killed by its number, which others may get.
    fn forget(&self, child: &Child) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // Without the other process there is nobody to tell.
        let _ = tell(&mut pipe, '-', child);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let pipe = self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(pipe.take());
        // Then the directory is gone.
        let _ = self.child.wait();
    }
}

fn tell(pipe: &mut Option<ChildStdin>, what: char, child: &Child) -> io::Result<()> {
    let pipe = pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
    writeln!(pipe, "{what}{}", child.id())
}

/// A process that ends with its owner, by SIGKILL unless it has ended.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// There, but for when it has been waited for.
    child: Option<Child>,
    guard: Arc<Guard>,
}

impl Guarded {
    /// The process, as long as nobody has waited for it.
    pub(crate) fn child(&mut self) -> io::Result<&mut Child> {
        self.child.as_mut().ok_or(io::ErrorKind::NotFound.into())
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        let child = self.child.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(Pid::from_child(child), Signal::TERM)?)
    }

    /// Waits for its end; what it has said.
    fn output(mut self) -> io::Result<Output> {
        let mut child = self.child.take().ok_or(io::ErrorKind::NotFound)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // A thread for each pipe: nobody is to wait for room in one of them.
        let read = |pipe: Option<Box<dyn io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut said = Vec::new();
                let read = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut said));
                read.map(|_| said)
            })
        };
        let stdout = read(stdout.map(|pipe| Box::new(pipe) as Box<_>));
        let stderr = read(stderr.map(|pipe| Box::new(pipe) as Box<_>));
        let failed = |_| io::Error::other("a reader failed");
        let (stdout, stderr) = (stdout.join(), stderr.join());
        let status = child.wait();
        self.guard.forget(&child);
        Ok(Output {
            status: status?,
            stdout: stdout.map_err(failed)??,
            stderr: stderr.map_err(failed)??,
        })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // Of one that was waited for, the number may be another's.
        if matches!(child.try_wait(), Ok(None)) {
            // One that has ended in between is what is wanted.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
        }
        self.guard.forget(&child);
    }
}

/// The other process: until its input ends, and then cleans up.
pub(crate) fn watch(scratch: &Path) {
    for group in left(io::stdin().lock()) {
        // One that has ended is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
    }
    for _ in 0..REMOVALS {
        match std::fs::remove_dir_all(scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => std::thread::sleep(PAUSE),
            _ => return,
        }
    }
}

/// The groups that have come and not gone.
fn left(from: impl io::BufRead) -> Vec<Pid> {
    let mut there = BTreeSet::new();
    for line in from.lines().map_while(Result::ok) {
        let (what, number) = line.split_at(line.len().min(1));
        match (what, number.parse::<i32>()) {
            ("+", Ok(number)) => there.insert(number),
            ("-", Ok(number)) => there.remove(&number),
            _ => false,
        };
    }
    there.into_iter().filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_killed_who_have_come_and_not_gone() {
        let pipe: &[u8] = b"+10\n+11\n-10\n+12\nnonsense\n+";
        let numbers: Vec<_> = left(pipe).iter().map(|pid| pid.as_raw_pid()).collect();
        assert_eq!(numbers, [11, 12]);
    }
}
