//! `klamm bench`: puts load on a broker, checks what comes back, and says how it went.
//!
//! Any broker that speaks Kafka's protocol can be measured. Exit code 1 if something that was read
//! is not what was sent, a connection was lost, or no answer came; errors that the broker answers are
//! counted and told, and are its own affair.

mod args;
mod output;
mod target;

use serde_json::json;

pub(crate) use self::args::Args;
use self::args::Verb;
use super::output::print;
use super::{CommandError, Format};
use crate::bench::{BenchError, Limit, Report, Target, Work, run as run_bench};
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
        Format::Text => print(&output::as_text(work, &report))?,
        Format::Json => print(&format!("{}\n", output::as_json(settings, &report)))?,
    }
    verdict(&report)
}

/// Runs the load on threads of its own, telling its progress on stderr.
async fn measure(work: Work, target: Target) -> Result<Report, CommandError> {
    let clock = SystemClock::shared();
    let measured = tokio::task::spawn_blocking(move || {
        let mut last = Default::default();
        run_bench(work, target, clock, &mut |progress| {
            eprintln!("{}", output::progress(&last, &progress));
            last = progress;
        })
    });
    let report = measured
        .await
        .map_err(|error| CommandError(format!("the load failed: {error}")))?;
    Ok(report?)
}

/// Whether all is well.
fn verdict(report: &Report) -> Result<(), CommandError> {
    let sides = [&report.produced, &report.consumed];
    let sides = || sides.iter().copied().flatten();
    let lost: usize = sides().map(|side| side.lost.len()).sum();
    let produced = report.produced.as_ref();
    let nothing = produced.is_some_and(|side| side.requests == 0);
    let unanswered: u64 = sides().map(|side| side.unanswered).sum();
    match report.faults.total() {
        0 if lost > 0 => Err(CommandError(format!("{lost} connections were lost"))),
        0 if unanswered > 0 => Err(CommandError(format!(
            "{unanswered} batches were not answered"
        ))),
        0 if nothing => Err(CommandError("no batch was acknowledged".to_owned())),
        0 => Ok(()),
        faults => Err(CommandError(format!(
            "{faults} faults in what was read: {}",
            json!(report.faults.counts)
        ))),
    }
}
