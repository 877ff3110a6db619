//! Figures about what was acknowledged: each prints one line of JSON, and fails when it must.
//!
//! *Owns*: the table of figures, and what they share: a broker's process ([`node`]), file systems
//! whose power can be cut ([`disk`]), a client that keeps its promises to the byte ([`client`]), the
//! ledger of what was sent and answered ([`ledger`]) and its checker ([`check`]).
//!
//! *May use*: the rest of this package, and Klamm as a library where a figure measures one.
//!
//! *Must not know*: how a broker keeps its promises. A figure sees its answers and its files.
//!
//! *Invariants*: stdout carries one line for each figure and nothing else; a figure that could not
//! be measured says `"skipped"` and never `"pass": true`; whatever is random comes from the seed
//! that is printed; a figure that fails leaves the directory, and says where it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

pub mod audit;
pub mod beacon;
pub mod bit_flips;
pub mod check;
pub mod client;
pub mod compaction_memory;
pub mod compaction_model;
pub mod disk;
pub mod disk_full;
pub mod durable_throughput;
pub mod figure;
pub mod group_model;
pub mod groups;
pub mod images;
pub mod kills;
pub mod ledger;
pub mod load;
pub mod many_partitions;
mod model_cases;
pub mod node;
pub mod power_cuts;
pub mod reading;
pub mod retention_model;
pub mod sync_errors;
pub mod unclean_restart;
mod workload;

pub use figure::Figure;

/// A figure that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name on the command line and in the JSON line.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// Measures it.
    pub run: fn(&Options) -> Figure,
}

/// All figures, in the order of `all`.
pub const ALL: &[Entry] = &[
    power_cuts::ENTRY,
    bit_flips::ENTRY,
    kills::ENTRY,
    sync_errors::ENTRY,
    disk_full::ENTRY,
    many_partitions::ENTRY,
    durable_throughput::ENTRY,
    compaction_model::ENTRY,
    compaction_memory::ENTRY,
    retention_model::ENTRY,
    group_model::ENTRY,
    images::torn_tails::ENTRY,
    images::derived_files::ENTRY,
    unclean_restart::ENTRY,
    groups::speed::ENTRY,
    groups::kills::ENTRY,
];

/// What the figures are told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The short version, at most a minute.
    pub quick: bool,
    /// Where everything random starts.
    pub seed: u64,
    /// The broker's binary.
    pub klamm: PathBuf,
    /// An empty directory of this figure; it is removed when the figure passes.
    pub scratch: PathBuf,
}

const USAGE: &str = "\
reliability FIGURE... [--quick] [--seed N] [--klamm PATH] [--scratch DIR]
reliability all [--quick] ...
reliability --list

  --quick        the short version, at most a minute for each figure
  --seed N       where everything random starts (else from the clock); it is printed
  --klamm PATH   the broker's binary (else KLAMM_BIN, else target/release/klamm)
  --scratch DIR  where images and data lie while a figure runs, and stay when it fails";

/// The command line: measures what is asked for; fails if any figure does.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    let asked = match Asked::parse(arguments) {
        Ok(asked) => asked,
        Err(reason) => {
            eprintln!("{reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if asked.list {
        for entry in ALL {
            println!("{:<24} {}", entry.name, entry.about);
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for entry in asked.figures {
        let scratch = asked.scratch.join(entry.name);
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir_all(&scratch).expect("a directory for the figure");
        let options = Options {
            quick: asked.quick,
            seed: asked.seed,
            klamm: asked.klamm.clone(),
            scratch: scratch.clone(),
        };
        eprintln!("== {} (seed {})", entry.name, options.seed);
        let begin = Instant::now();
        let figure = measure(entry, &options);
        println!("{}", figure.line(entry.name, options.seed, begin.elapsed()));
        for reason in figure.failures() {
            eprintln!("{}: {reason}", entry.name);
        }
        if figure.failed() {
            failed = true;
            eprintln!("{}: see {}", entry.name, scratch.display());
        } else {
            let _ = std::fs::remove_dir_all(&scratch);
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Runs a figure; a panic is how it says that something went wrong.
fn measure(entry: &Entry, options: &Options) -> Figure {
    std::panic::catch_unwind(|| (entry.run)(options)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let mut figure = Figure::new();
        figure.fail(reason.unwrap_or_else(|| "it panicked".to_owned()));
        figure
    })
}

/// The command line, taken apart.
#[derive(Debug)]
struct Asked {
    figures: Vec<&'static Entry>,
    list: bool,
    quick: bool,
    seed: u64,
    klamm: PathBuf,
    scratch: PathBuf,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut asked = Self {
            figures: Vec::new(),
            list: false,
            quick: false,
            seed: fastrand::u64(..1 << 32),
            klamm: binary(),
            scratch: crate::server::scratch().join("reliability"),
        };
        let mut named = false;
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word {
                "--list" => asked.list = true,
                "--quick" => asked.quick = true,
                "--seed" => {
                    asked.seed = value()?
                        .parse()
                        .map_err(|_| "--seed needs a number".to_owned())?;
                }
                "--klamm" => asked.klamm = value()?.into(),
                "--scratch" => asked.scratch = value()?.into(),
                "all" => (named, asked.figures) = (true, ALL.iter().collect()),
                name => {
                    named = true;
                    let known = ALL.iter().find(|entry| entry.name == name);
                    asked
                        .figures
                        .push(known.ok_or(format!("no figure {name}"))?);
                }
            }
        }
        if !named && !asked.list {
            return Err("which figure?".to_owned());
        }
        Ok(asked)
    }
}

/// `KLAMM_BIN`, or the release build of this workspace.
fn binary() -> PathBuf {
    std::env::var_os("KLAMM_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/klamm"),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Asked::parse(&words)
    }

    #[test]
    fn options_may_stand_before_and_behind_figures() {
        let asked = parse("--seed 7 all --quick --klamm /k").expect("a good line");
        assert_eq!(asked.figures.len(), ALL.len());
        assert_eq!(
            (asked.seed, asked.quick, asked.klamm),
            (7, true, "/k".into())
        );
    }

    #[test]
    fn an_unknown_figure_and_none_at_all_are_refused() {
        assert!(parse("no-such-figure").is_err());
        assert!(parse("--quick").is_err());
        assert!(parse("--seed").is_err());
    }

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        let mut names: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn a_panic_fails_the_figure_and_not_the_run() {
        let options = Options {
            quick: true,
            seed: 1,
            klamm: PathBuf::new(),
            scratch: PathBuf::new(),
        };
        let entry = Entry {
            name: "none",
            about: "",
            run: |_| panic!("on purpose"),
        };
        let figure = measure(&entry, &options);
        assert_eq!(figure.failures(), ["on purpose"]);
    }
}
