//! `pairs`: Klamm beside the floor and beside Apache Kafka, in turns.
//!
//! Each row (`rows/`) is work that all its sides do, a few figures, and gates. Every server is a
//! process on loopback, driven by `klamm bench`; what it cost is read from `/proc`. Sides take turns
//! in rounds, a ratio is that of a round, and what counts is the median: other work on the machine
//! then moves all sides alike. Exit code 1 if a gate is missed or a row could not be measured.

mod client;
mod compaction;
mod figure;
mod gate;
mod generator;
mod guard;
mod instruments;
mod kafka;
mod machine;
mod measure;
mod process;
mod report;
mod row;
mod rows;
mod server;
mod table;
mod turn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use serde_json::{Value, json};

use crate::guard::Guard;
use crate::instruments::{INSTRUMENTS, Instrument};
use crate::kafka::Kafka;
use crate::measure::Bench;
use crate::report::Report;
use crate::row::{Row, System};
use crate::server::Tools;

/// Klamm beside the floor and beside Apache Kafka, in turns.
///
/// Each row is work that all its sides do, in rounds, one side after the other, each server as a
/// process of its own on loopback; "os" and "fsync" say when it acknowledges. A cell is the median
/// of all rounds, with the least and the most of them; "klamm/floor" is the median of the ratios of
/// rounds. "cpu" is processor time of the server, not of who asks; "* " marks a speed that is bound by
/// the generator. Lines with ">" are limits: exit code 1 if one is missed.
#[derive(Debug, Parser)]
struct Args {
    /// Rows to measure; all, if none is named.
    rows: Vec<String>,
    /// Say which rows there are.
    #[arg(long)]
    list: bool,
    /// A fifth of the work, and three rounds.
    #[arg(long)]
    quick: bool,
    /// Rounds [default: 7; with --quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pairs: Option<u16>,
    /// A directory with the jars of Apache Kafka; needs Java [env: KAFKA_LIBS]
    #[arg(long, value_name = "DIR")]
    kafka: Option<PathBuf>,
    /// Leave Kafka out, whatever --kafka says.
    #[arg(long)]
    without_kafka: bool,
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure nothing: print what such a file has as tables of Markdown.
    #[arg(long, value_name = "FILE", exclusive = true)]
    table: Option<PathBuf>,
    /// The release build of Klamm [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    klamm: Option<PathBuf>,
    /// Where servers have their data, which is removed [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Be the process that cleans up once the other one has ended.
    #[arg(long, hide = true, value_name = "DIR")]
    guard: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(scratch) = &args.guard {
        guard::watch(scratch);
        return ExitCode::SUCCESS;
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn run(args: &Args) -> Result<bool, String> {
    if let Some(path) = &args.table {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let told = std::fs::read(path).map_err(|error| said(&error))?;
        let told = serde_json::from_slice(&told).map_err(|error| said(&error))?;
        print!("{}", table::markdown(&told));
        return Ok(true);
    }
    let work = chosen(&args.rows)?;
    if args.list {
        for one in work {
            println!("{:16} {}", one.name(), one.line());
        }
        return Ok(true);
    }
    // A directory of our own in that one: what else is there stays.
    let parent = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let guard = Guard::start(parent.join(format!("klamm-pairs-{}", std::process::id())))?;
    let bench = bench(args, &work, guard)?;
    let mut told = json!({"about": machine::describe(&bench), "rows": []});
    let mut failed = Vec::new();
    for one in work {
        let name = one.name();
        let before = machine::load();
        let (mut row, well) = one.measure(&bench).unwrap_or_else(|error| {
            println!("{name} could not be measured: {error}\n");
            (json!({"row": name, "error": error}), false)
        });
        if !well {
            failed.push(name);
        }
        if let Some(row) = row.as_object_mut() {
            row.insert("load".to_owned(), json!([before, machine::load()]));
        }
        if let Some(rows) = told.get_mut("rows").and_then(Value::as_array_mut) {
            rows.push(row);
        }
        // After each row: a run of all of them takes long.
        if let Some(path) = &args.json {
            write(path, &told)?;
        }
    }
    if !failed.is_empty() {
        println!("missed: {}", failed.join(" "));
    }
    Ok(failed.is_empty())
}

/// What can be asked for.
#[derive(Clone, Debug)]
enum Asked {
    Row(Box<Row>),
    Instrument(Instrument),
}

impl Asked {
    fn name(&self) -> &'static str {
        match self {
            Self::Row(row) => row.name,
            Self::Instrument(instrument) => instrument.name,
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Row(row) => format!("[{}] {}", row.mode.name(), row.line),
            Self::Instrument(one) => format!("[{}] {}", one.mode, one.line),
        }
    }

    /// Measures and tells it; whether all is well.
    fn measure(self, bench: &Bench) -> Result<(Value, bool), String> {
        Ok(match self {
            Self::Row(row) => {
                let measured = bench.measure(&row)?;
                let report = Report::new(*row, measured, bench.quick);
                println!("{}", report.text());
                (report.json(), !report.misses())
            }
            Self::Instrument(instrument) => {
                let told = instrument.run(bench)?;
                println!("{}", told.text());
                (told.json(), !told.misses())
            }
        })
    }

    fn wants_kafka(&self) -> bool {
        match self {
            Self::Row(row) => row.sides.iter().any(|side| side.system == System::Kafka),
            Self::Instrument(_) => false,
        }
    }
}

fn chosen(names: &[String]) -> Result<Vec<Asked>, String> {
    let rows = rows::rows().into_iter().map(Box::new).map(Asked::Row);
    let instruments = INSTRUMENTS.into_iter().map(Asked::Instrument);
    let all: Vec<_> = rows.chain(instruments).collect();
    let known = |name: &String| all.iter().any(|one| one.name() == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        return Err(format!("there is no row {name}; see --list"));
    }
    let wanted = |one: &Asked| names.is_empty() || names.iter().any(|name| name == one.name());
    Ok(all.into_iter().filter(wanted).collect())
}

fn bench(args: &Args, work: &[Asked], guard: Arc<Guard>) -> Result<Bench, String> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let tools = Tools {
        klamm: args
            .klamm
            .clone()
            .unwrap_or_else(|| here.with_file_name("klamm")),
        floor: here.with_file_name("floor"),
        guard,
    };
    for program in [&tools.klamm, &tools.floor] {
        if !program.exists() {
            return Err(format!("{}: build it first", program.display()));
        }
    }
    let wants_kafka = work.iter().any(Asked::wants_kafka);
    let jars = args.kafka.clone();
    let jars = jars.or_else(|| std::env::var_os("KAFKA_LIBS").map(PathBuf::from));
    let kafka = match jars {
        Some(jars) if wants_kafka && !args.without_kafka => {
            measure::progress("Kafka starts, and is warmed");
            Some(Kafka::start(&jars, &tools, args.quick)?)
        }
        _ => None,
    };
    let rounds = args.pairs.unwrap_or(if args.quick { 3 } else { 7 });
    Ok(Bench {
        tools,
        kafka,
        rounds: usize::from(rounds),
        quick: args.quick,
    })
}

fn write(path: &Path, told: &Value) -> Result<(), String> {
    std::fs::write(path, format!("{told:#}\n"))
        .map_err(|error| format!("{}: {error}", path.display()))
}
