//! Old data leaves by Kafka's rules and nothing else does: random operations on a store in memory,
//! under a clock that stands still, against a model of the rules.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use klamm::storage::checks::retention::{Checked, check_retention};

use super::{Entry, Figure, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "retention-model",
    about: "delete policies against a model, by random operations",
    run: measure,
};

/// Cases, in full and quickly.
const CASES: usize = 10_000;
const CASES_QUICK: usize = 1_000;

/// Operations of a case.
const OPERATIONS: usize = 80;

/// Cases that run at the same time.
const THREADS: usize = 2;

fn measure(options: &Options) -> Figure {
    let cases = match options.quick {
        true => CASES_QUICK,
        false => CASES,
    };
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Checked::default()));
    let differences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= cases {
                        return;
                    }
                    match check_retention(options.seed.wrapping_add(case as u64), OPERATIONS) {
                        Ok(checked) => add(&mut all.lock().expect("counts"), checked),
                        Err(what) => differences.lock().expect("differences").push(what),
                    }
                }
            });
        }
    });
    let all = all.into_inner().expect("counts");
    let differences = differences.into_inner().expect("differences");
    let mut figure = Figure::new();
    figure.at_least("cases", cases as f64, cases as f64);
    figure.set("operations", all.operations);
    figure.set("passes", all.passes);
    figure.set("segments_deleted", all.segments);
    figure.set("restarts", all.restarts);
    figure.none("differences", differences.len() as u64);
    for difference in differences.iter().take(10) {
        // With `--seed` set to the seed that it names, it is the first case.
        figure.fail(difference);
    }
    figure
}

fn add(all: &mut Checked, one: Checked) {
    all.operations += one.operations;
    all.passes += one.passes;
    all.segments += one.segments;
    all.restarts += one.restarts;
}
