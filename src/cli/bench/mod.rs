//! `klamm bench`: puts load on a broker, checks what comes back, and says how it went.
//!
//! Any broker that speaks Kafka's protocol can be measured. Exit code 1 if something that was read
//! is not what was sent, a connection was lost, or no answer came; errors that the broker answers are
//! counted and told, and are its own affair. Ctrl-C and SIGTERM end a run before its time: what was
//! sent is waited for (a second one does without), the result is that of the time until then, and
//! the exit code is 1.

mod args;
mod output;
mod target;

use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::args::Args;
use self::args::Verb;
use super::output::print;
use super::{CommandError, Format};
use crate::bench::{BenchError, Interrupt, Limit, Report, Target, Work, run as run_bench};
use crate::clock::SystemClock;
use crate::server::raise_open_files_limit;

impl From<BenchError> for CommandError {
    fn from(error: BenchError) -> Self {
        Self(error.to_string())
    }
}

/// Runs the command.
pub(crate) async fn run(args: Args, format: Format) -> Result<(), CommandError> {
    raise_open_files_limit();
    let (name, work) = match &args.verb {
        Verb::Produce(produce) => (
            "produce",
            Work {
                produce: Some(produce.spec(args.limit()?)),
                fetch: None,
            },
        ),
        Verb::Consume(consume) => (
            "consume",
            Work {
                produce: None,
                fetch: Some(consume.fetch.spec(args.limit()?)),
            },
        ),
        Verb::EndToEnd(both) => (
            "end-to-end",
            Work {
                produce: Some(both.produce.spec(args.limit()?)),
                fetch: Some(both.fetch.spec(Limit::Ends)),
            },
        ),
    };
    args.check()?;
    let target = target::find(&args).await?;
    let settings = output::settings(name, &args, &target, work);
    let report = measure(work, target).await?;
    match format {
        Format::Text => print(&output::as_text(&settings, work, &report))?,
        Format::Json => print(&format!("{}\n", output::as_json(settings, &report)))?,
    }
    verdict(work, &report)
}

/// Runs the load on threads of its own, telling its progress on stderr.
async fn measure(work: Work, target: Target) -> Result<Report, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError(format!("the load failed: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let clock = SystemClock::shared();
    let stop = Arc::new(Interrupt::default());
    let stopped = Arc::clone(&stop);
    let mut measured = tokio::task::spawn_blocking(move || {
        let mut last = Default::default();
        run_bench(work, target, clock, stopped, &mut |progress| {
            eprintln!("{}", output::progress(&last, &progress));
            last = progress;
        })
    });
    loop {
        tokio::select! {
            report = &mut measured => return Ok(report.map_err(|error| failed(&error))??),
            _ = terminate.recv() => stop.interrupt(),
            _ = interrupt.recv() => stop.interrupt(),
        }
    }
}

/// Whether all is well.
fn verdict(work: Work, report: &Report) -> Result<(), CommandError> {
    let sides = [&report.produced, &report.consumed];
    let sides = || sides.iter().copied().flatten();
    let lost: usize = sides().map(|side| side.lost.len()).sum();
    let given_up: usize = sides().map(|side| side.given_up.len()).sum();
    let produced = report.produced.as_ref();
    let nothing = produced.is_some_and(|side| side.requests == 0);
    let ends = work
        .fetch
        .is_some_and(|fetch| matches!(fetch.limit, Limit::Ends));
    let read = report.consumed.as_ref();
    let unread = ends && read.is_some_and(|side| side.requests == 0 || side.count.records == 0);
    let unanswered: u64 = sides().map(|side| side.unanswered).sum();
    match report.faults.total() {
        0 if lost > 0 => Err(CommandError(format!("connections were lost: {lost}"))),
        0 if given_up > 0 => Err(CommandError(format!(
            "partitions could not be read to the end: {given_up}"
        ))),
        0 if unanswered > 0 => Err(CommandError(format!(
            "batches were not answered: {unanswered}"
        ))),
        0 if report.interrupted => Err(CommandError("interrupted".to_owned())),
        0 if nothing => Err(CommandError("no batch was acknowledged".to_owned())),
        0 if unread => Err(CommandError("there was nothing to read".to_owned())),
        0 => Ok(()),
        _ => Err(CommandError(format!(
            "what was read is not what was sent: {}",
            json!(report.faults.counts)
        ))),
    }
}
