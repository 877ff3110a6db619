//! Where the figures were taken.

use std::ffi::OsStr;
use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::instruments::repository;
use crate::kafka::JAVA_OPTIONS;
use crate::measure::Bench;

/// Versions, machine and settings.
pub(crate) fn describe(bench: &Bench) -> Value {
    let kafka = bench.kafka.as_ref().map(|kafka| {
        json!({
            "version": kafka.version,
            "java": kafka.java,
            "options": JAVA_OPTIONS,
            "properties": kafka.properties,
            "warm_up_seconds": kafka.warm_up,
        })
    });
    let here = repository();
    let changed = [
        &["status", "--porcelain", "-uno", "--"][..],
        &["src", "benches", "Cargo.toml", "Cargo.lock"],
    ]
    .concat();
    json!({
        "klamm": klamm_version(bench),
        "klamm_bytes": std::fs::metadata(&bench.tools.klamm).map_or(0, |file| file.len()),
        // Of the sources that this program was built of.
        "commit": told(&here, "git", &["rev-parse", "HEAD"]),
        "changed_since": !told(&here, "git", &changed).is_empty(),
        "unix_time": std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        "kafka": kafka,
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "processor": processor(&read("/proc/cpuinfo")),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_kib": number_of("MemTotal:", &read("/proc/meminfo")),
        "load": load(),
        "rounds": bench.rounds,
        "quick": bench.quick,
    })
}

/// Processes that want to run, of the last minute: what else the machine has to do.
pub(crate) fn load() -> f64 {
    let line = first_line("/proc/loadavg");
    let first = line.split_ascii_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// What the processors of the machine have done since it started (proc(5)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    idle: u64,
    all: u64,
}

impl Processors {
    pub(crate) fn now() -> Self {
        Self::of(&first_line("/proc/stat"))
    }

    /// `cpu`, then user, nice, system, idle, iowait, irq, softirq and steal time.
    fn of(line: &str) -> Self {
        let words = line.split_ascii_whitespace().skip(1).take(8);
        let times: Vec<u64> = words.map(|time| time.parse().unwrap_or(0)).collect();
        Self {
            // Who waits for a disk could do something else.
            idle: times.iter().skip(3).take(2).sum(),
            all: times.iter().sum(),
        }
    }

    /// What part of the time since then they had nothing to do.
    pub(crate) fn idle_since(self, before: Self) -> f64 {
        // The kernel says that some of its times may go back.
        match self.all.saturating_sub(before.all) {
            0 => 0.0,
            all => self.idle.saturating_sub(before.idle) as f64 / all as f64,
        }
    }
}

fn klamm_version(bench: &Bench) -> String {
    told(Path::new("."), &bench.tools.klamm, &["--version"])
}

/// What a command says; nothing if there is no such command.
fn told(directory: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(directory).output();
    let said = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn processor(info: &str) -> String {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let model = lines.find(|(key, _)| key.trim() == "model name");
    model.map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

fn number_of(key: &str, info: &str) -> u64 {
    let mut words = info
        .split_ascii_whitespace()
        .skip_while(|word| *word != key);
    words
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn first_line(path: &str) -> String {
    read(path).lines().next().unwrap_or_default().to_owned()
}

/// What cannot be read is not told.
fn read(path: &str) -> String {
    read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_a_part_of_all_time() {
        let before = Processors::of("cpu  10 0 10 100 0 0 0 0 0 0");
        let after = Processors::of("cpu  40 0 20 150 10 0 0 0 7 0");
        assert_eq!(after.idle_since(before), 0.6);
        assert_eq!(before.idle_since(before), 0.0);
    }

    #[test]
    fn the_processor_and_the_memory_are_found_by_their_names() {
        let info = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n";
        assert_eq!(processor(info), "Some CPU @ 3 GHz");
        assert_eq!(number_of("MemTotal:", "MemTotal:  17 kB\n"), 17);
    }
}
