//! Rows that other programs of this repository measure: they are run, and their lines are told.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::measure::Bench;

/// A program that prints a line of JSON for each figure, with `figure` and `pass`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instrument {
    pub(crate) name: &'static str,
    /// When brokers acknowledge meanwhile.
    pub(crate) mode: &'static str,
    pub(crate) line: &'static str,
    command: fn(&Bench) -> Command,
}

/// All of them.
pub(crate) const INSTRUMENTS: [Instrument; 2] = [
    Instrument {
        name: "start",
        mode: "fsync",
        line: "start to ready and to the first acknowledged record (in os mode where a figure says so); \
            idle memory; size of the binary",
        command: |bench| {
            let mut command = Command::new(repository().join("benches/start.py"));
            command.arg("--binary").arg(&bench.tools.klamm);
            command
        },
    },
    Instrument {
        name: "restart",
        mode: "os",
        line: "after SIGKILL, 1,000 partitions and 5 GB: the first fetch of every partition",
        command: |bench| {
            let mut command = Command::new(repository().join("compat-tests/reliability"));
            command.arg("unclean-restart");
            command.arg("--klamm").arg(&bench.tools.klamm);
            command.arg("--scratch").arg(bench.tools.guard.scratch());
            command
        },
    },
];

/// Where the sources are.
pub(crate) fn repository() -> PathBuf {
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    benches.parent().unwrap_or(benches).to_owned()
}

/// What an instrument said.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    lines: Vec<Value>,
    instrument: Instrument,
}

impl Instrument {
    /// Runs it.
    pub(crate) fn run(self, bench: &Bench) -> Result<Told, String> {
        let mut command = (self.command)(bench);
        if bench.quick {
            command.arg("--quick");
        }
        let program = command.get_program().display().to_string();
        let output = bench.tools.output(&mut command)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let lines = said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let told = Told {
            lines: lines.collect(),
            instrument: self,
        };
        match told.lines.is_empty() {
            true => Err(format!(
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr)
            )),
            false => Ok(told),
        }
    }
}

impl Told {
    /// Whether a figure fails; one that was skipped does not.
    pub(crate) fn misses(&self) -> bool {
        let fails = |line: &Value| line.get("pass") == Some(&Value::Bool(false));
        self.lines.iter().any(fails)
    }

    pub(crate) fn text(&self) -> String {
        let Instrument {
            name, mode, line, ..
        } = self.instrument;
        let lines = self.lines.iter().map(|line| format!("  {line}\n"));
        format!("{name} [{mode}] {line}\n{}", lines.collect::<String>())
    }

    pub(crate) fn json(&self) -> Value {
        let Instrument {
            name, mode, line, ..
        } = self.instrument;
        json!({"row": name, "mode": mode, "line": line, "figures": self.lines})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_fails_is_a_miss_and_one_that_was_skipped_is_not() {
        let told = |lines| Told {
            lines,
            instrument: INSTRUMENTS[0],
        };
        assert!(!told(vec![json!({"pass": true}), json!({"skipped": "why"})]).misses());
        assert!(told(vec![json!({"pass": true}), json!({"pass": false})]).misses());
    }
}
