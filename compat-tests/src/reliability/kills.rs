//! SIGKILL under load, at random and at the Nth call that makes something durable or changes a
//! directory: what was acknowledged is there, once, in its order, at the offset that was answered;
//! and so are the offsets that members of groups committed.
//!
//! A process that is killed leaves the page cache behind. So in a share of the kills the power of
//! the disk is cut at the same moment: what the call was for has not happened then, and everything
//! that was only written is lost with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::audit::Auditor;
use super::disk::{Cut, Disk, Fuse, on_disk};
use super::figure::Figure;
use super::groups::returns::Returns;
use super::load::{Load, Plan};
use super::node::{Launch, Node, was_killed};
use super::{Entry, Options, workload};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "kills",
    about: "records lost, duplicated or reordered, commits lost by SIGKILL at any sync or rename: none",
    run,
};

/// How much is done.
struct Size {
    /// Kills at a random time.
    at_random: u32,
    /// Kills at the Nth call.
    at_calls: u32,
    /// How long to wait for the Nth call, then it is killed anyway and does not count.
    patience: Duration,
    records_max: u32,
}

const FULL: Size = Size {
    at_random: 100,
    at_calls: 200,
    patience: Duration::from_secs(4),
    records_max: 30,
};

const QUICK: Size = Size {
    at_random: 4,
    at_calls: 10,
    patience: Duration::from_secs(1),
    records_max: 20,
};

/// Calls at which it is killed, and how far their number goes. They are counted for each thread;
/// small numbers are those of the start and of recovery.
const CALLS: [(&str, u32); 8] = [
    ("fdatasync", 300),
    ("fsync", 100),
    ("rename,renameat,renameat2", 100),
    ("ftruncate", 100),
    ("fdatasync,syncfs", 1_000),
    ("unlink,unlinkat,rmdir", 50),
    ("mkdir,mkdirat", 20),
    ("pwritev,pwrite64", 2_000),
];

/// What strace is told to show, so that it is known where a kill struck.
const SHOWN: &str = "trace=fdatasync,fsync,syncfs,rename,renameat,renameat2,ftruncate,unlink,\
unlinkat,rmdir,mkdir,mkdirat,pwritev,pwrite64";

/// Members of each of the two groups.
const MEMBERS: usize = 3;

/// When a process is killed.
enum When {
    After(Duration),
    AtCall(&'static str, u32),
}

fn run(options: &Options) -> Figure {
    if let Err(reason) = can_trace() {
        return Figure::skipped(reason);
    }
    let size = if options.quick { QUICK } else { FULL };
    on_disk(options, 1024, |disk, figure| {
        kill_often(options, &size, disk, figure)
    })
}

/// Whether strace is there and may trace.
fn can_trace() -> Result<(), String> {
    let output = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output()
        .map_err(|error| format!("strace: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "strace: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// The call that is to be struck next.
struct Target {
    /// Its place in [`CALLS`].
    kind: usize,
    number: u32,
}

impl Target {
    fn first(random: &mut fastrand::Rng) -> Self {
        Self {
            kind: 0,
            number: number(0, random),
        }
    }

    fn calls(&self) -> &'static str {
        CALLS[self.kind].0
    }

    /// To the next kind of call; a number that was not reached is halved until it is.
    fn go_on(&mut self, struck: Struck, random: &mut fastrand::Rng) {
        if struck == Struck::Elsewhen {
            self.number = (self.number / 2).max(1);
        } else {
            self.kind = (self.kind + 1) % CALLS.len();
            self.number = number(self.kind, random);
        }
    }
}

/// The number of a call of that kind: of 1 to 2 as many as of 20 to 40, so that both start and load
/// are struck.
fn number(kind: usize, random: &mut fastrand::Rng) -> u32 {
    f64::from(CALLS[kind].1).powf(random.f64()).round() as u32
}

/// What the kills hit.
#[derive(Debug, Default)]
struct Hits {
    /// Kills by call, with what the call was about.
    calls: BTreeMap<String, u64>,
    at_calls: u32,
    at_random: u32,
    /// Before the broker was ready: in recovery, most of them.
    before_ready: u32,
    /// With the power of the disk.
    with_power: u32,
    /// Where a segment had just been finished: at its indexes or the snapshot behind it.
    after_roll: u32,
}

fn kill_often(
    options: &Options,
    size: &Size,
    disk: &mut Disk,
    figure: &mut Figure,
) -> Result<(), String> {
    let launch = workload::launch(options, disk, "broker.log");
    let trace = options.scratch.join("strace.log");
    let mut random = fastrand::Rng::with_seed(options.seed);
    let plan = Plan {
        topics: workload::topics(),
        promised: 4,
        unpromised: 1,
        records_max: size.records_max,
        housekeeping: true,
        members: MEMBERS,
        seed: options.seed,
    };
    let mut load = first_start(&launch, &plan)?;
    let mut auditor = Auditor::default();
    let (mut hits, mut returns) = (Hits::default(), Returns::default());
    let (mut turn, mut target) = (0, Target::first(&mut random));
    while hits.at_random < size.at_random || hits.at_calls < size.at_calls {
        turn += 1;
        let when = match turn % 3 {
            0 if hits.at_random < size.at_random => {
                When::After(Duration::from_millis(random.u64(1..1_000)))
            }
            _ if hits.at_calls < size.at_calls => When::AtCall(target.calls(), target.number),
            _ => When::After(Duration::from_millis(random.u64(1..1_000))),
        };
        let fuse = match random.u8(..3) {
            0 => None,
            1 => Some(disk.fuse(Cut::Now)?),
            _ => Some(disk.fuse(Cut::AfterJournal)?),
        };
        let _ = std::fs::remove_file(&trace);
        let struck = strike(&when, size, &launch, &trace, &mut auditor, &load)?;
        // Under strace members are not late by the broker's fault.
        if let (When::After(_), Struck::Running) = (&when, struck) {
            returns.note(load.groups());
        }
        load.broker_gone();
        let with_power = fuse.is_some();
        fuse.map_or(Ok(()), Fuse::blow)?;
        if with_power {
            disk.unmount()?;
            disk.mount()?;
        }
        hits.note(&when, struck, with_power, &trace);
        if let When::AtCall(..) = when {
            target.go_on(struck, &mut random);
        }
        if !auditor.is_clean() {
            break;
        }
        if turn % 20 == 0 {
            eprintln!(
                "{} kills at random, {} at calls, {} records acknowledged",
                hits.at_random,
                hits.at_calls,
                load.acknowledged()
            );
        }
    }
    load.stop();
    auditor.finish(&launch, &load)?;
    hits.tell(figure, options.quick);
    auditor.tell(figure, &load);
    returns.tell(figure);
    if figure.failed() {
        workload::keep_account(options, &load);
    }
    Ok(())
}

/// Creates the topics, without anything going wrong yet.
fn first_start(launch: &Launch, plan: &Plan) -> Result<Load, String> {
    let node = launch.start()?;
    let mut client = node.client().map_err(|error| error.to_string())?;
    workload::create_all(plan, &mut client)?;
    node.kill();
    Ok(Load::start(plan))
}

/// How a kill struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Struck {
    /// Before the ready line.
    Starting,
    /// Under load.
    Running,
    /// The call did not come: it was killed at some other time.
    Elsewhen,
}

/// Runs a broker until it is killed.
fn strike(
    when: &When,
    size: &Size,
    launch: &Launch,
    trace: &Path,
    auditor: &mut Auditor,
    load: &Load,
) -> Result<Struck, String> {
    let launch = match when {
        When::After(_) => launch.clone(),
        When::AtCall(calls, number) => {
            // Not with --seccomp-bpf, under which strace 6.1 injects no signals.
            let trace = trace.to_string_lossy();
            let inject = format!("inject={calls}:signal=SIGKILL:when={number}");
            launch.clone().under(&[
                "strace",
                "-D",
                "-f",
                "-y",
                "-qq",
                "-e",
                "signal=none",
                "-o",
                &trace,
                "-e",
                SHOWN,
                "-e",
                &inject,
            ])
        }
    };
    let begin = Instant::now();
    let mut node = match launch.try_start() {
        Ok(node) => node,
        Err(not_ready) if not_ready.status.is_some_and(was_killed) => return Ok(Struck::Starting),
        Err(not_ready) => return Err(not_ready.reason),
    };
    let looked = node
        .client()
        .map_err(|error| error.to_string())
        .and_then(|mut client| auditor.look(&mut client, load));
    if let Err(reason) = looked {
        return match node.wait(Duration::from_millis(500)) {
            Some(status) if was_killed(status) => Ok(Struck::Starting),
            ended => Err(format!("{reason} ({ended:?})")),
        };
    }
    if !auditor.is_clean() {
        return Ok(Struck::Elsewhen);
    }
    load.broker_at(node.address());
    let patience = match when {
        When::After(delay) => delay
            .saturating_sub(begin.elapsed())
            .max(Duration::from_millis(5)),
        When::AtCall(..) => size.patience,
    };
    let ended = node.wait(patience);
    finish(node, when, ended)
}

fn finish(
    node: Node,
    when: &When,
    ended: Option<std::process::ExitStatus>,
) -> Result<Struck, String> {
    match (when, ended) {
        (When::AtCall(..), Some(status)) if was_killed(status) => Ok(Struck::Running),
        (_, Some(status)) => Err(format!("the broker ended by itself: {status}")),
        (When::After(_), None) => {
            node.kill();
            Ok(Struck::Running)
        }
        (When::AtCall(..), None) => {
            node.kill();
            Ok(Struck::Elsewhen)
        }
    }
}

impl Hits {
    fn note(&mut self, when: &When, struck: Struck, with_power: bool, trace: &Path) {
        self.with_power += u32::from(with_power && struck != Struck::Elsewhen);
        match (when, struck) {
            (_, Struck::Elsewhen) => {}
            (When::After(_), _) => self.at_random += 1,
            (When::AtCall(..), _) => {
                self.at_calls += 1;
                self.before_ready += u32::from(struck == Struck::Starting);
                let text = std::fs::read_to_string(trace).unwrap_or_default();
                let (name, after_roll) = call(&text);
                self.after_roll += u32::from(after_roll);
                *self.calls.entry(name).or_default() += 1;
            }
        }
    }

    fn tell(&self, figure: &mut Figure, quick: bool) {
        figure.set("kills", self.at_random + self.at_calls);
        figure.set("at_calls", self.at_calls);
        figure.set("calls", json!(self.calls));
        figure.set("before_ready", self.before_ready);
        figure.set("after_roll", self.after_roll);
        figure.set("with_power_cut", self.with_power);
        // A few kills cannot strike everything.
        if quick {
            return;
        }
        if !self.calls.keys().any(|name| name.starts_with("rename")) {
            figure.fail("no kill struck a rename");
        }
        if !self.calls.contains_key("fsync directory") {
            figure.fail("no kill struck the sync of a directory");
        }
    }
}

/// The call that was never finished, and whether it was about what follows a roll. The line reads
/// `PID call(FD</path>…) = ?`; where other threads' calls came between, it begins as
/// `PID call(FD</path> <unfinished ...>`.
fn call(trace: &str) -> (String, bool) {
    let lines: Vec<(&str, &str)> = trace
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(pid, text)| (pid, text.trim()))
        .collect();
    let begun = |pid| {
        let of_thread = lines.iter().rev().filter(move |line| line.0 == pid);
        of_thread
            .filter(|line| line.1.ends_with("<unfinished ...>"))
            .map(|line| line.1)
            .next()
    };
    let ended = |line: &&(&str, &str)| line.1.ends_with("= ?");
    let resumed = |line: &&(&str, &str)| line.1.starts_with("<...");
    // Calls that other threads were in for longer end with the process, too.
    let struck = lines.iter().rev().filter(ended);
    let text = match struck.clone().find(|line| !resumed(line)) {
        Some((_, text)) => Some(*text),
        None => struck
            .clone()
            .next()
            .or(lines.last())
            .and_then(|(pid, _)| begun(*pid)),
    };
    let text = text.unwrap_or_default();
    let after_roll = [".index", ".timeindex", ".snapshot"]
        .iter()
        .any(|ending| text.contains(ending));
    let name = match text.split('(').next().unwrap_or_default() {
        "" => "unknown",
        // Directories are synced with fsync, files with fdatasync.
        "fsync" => "fsync directory",
        name => name,
    };
    (name.to_owned(), after_roll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_that_was_struck_is_read_from_the_trace() {
        let trace = "7 fsync(3</d>)  = 0\n8 rename(\"/d/a.tmp\", \"/d/a\") = ?\n";
        assert_eq!(call(trace), ("rename".to_owned(), false));
        let trace =
            "8 fsync(4</d> <unfinished ...>\n7 mkdir(\"/a\") = 0\n8 <... fsync resumed>) = ?\n";
        assert_eq!(call(trace), ("fsync directory".to_owned(), false));
        let trace =
            "7 fsync(4</d> <unfinished ...>\n8 mkdir(\"/a\") = ?\n7 <... fsync resumed>) = ?\n";
        assert_eq!(call(trace), ("mkdir".to_owned(), false));
        let trace = "8 fdatasync(4</d/0.timeindex>) = ?\n";
        assert_eq!(call(trace), ("fdatasync".to_owned(), true));
        assert_eq!(call("").0, "unknown");
    }
}
