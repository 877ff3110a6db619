//! Compaction leaves what Kafka's rules leave and nothing else goes: random operations on a store
//! in memory whose power may be cut, under a clock that stands still, against a list of what was
//! appended.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use klamm::storage::checks::compaction::{Checked, check_compaction};

use super::{Entry, Figure, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "compaction-model",
    about: "compaction against a model, by random operations and power cuts",
    run: measure,
};

/// Cases, in full and quickly.
const CASES: usize = 10_000;
const CASES_QUICK: usize = 1_000;

/// Operations of a case.
const OPERATIONS: usize = 50;

/// Cases that run at the same time.
const THREADS: usize = 2;

/// Differences that are told in full.
const TOLD_MAX: usize = 10;

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
                    match check_compaction(options.seed.wrapping_add(case as u64), OPERATIONS) {
                        Ok(checked) => *all.lock().expect("counts") += checked,
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
    figure.set("cleanings", all.cleanings);
    figure.set("records_cleaned_away", all.records_gone);
    figure.set("power_cuts_while_cleaning", all.cuts);
    figure.set("restarts", all.restarts);
    figure.set("retries", all.retries);
    figure.none("differences", differences.len() as u64);
    for difference in differences.iter().take(TOLD_MAX) {
        figure.fail(difference.clone());
    }
    figure
}
