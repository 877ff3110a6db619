//! Many cases of a check against a model, each from a seed of its own, and what they did together.

use std::ops::AddAssign;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Figure, Options};

/// Cases, in full and quickly.
const CASES: usize = 10_000;
const CASES_QUICK: usize = 1_000;

/// Cases that run at the same time.
const THREADS: usize = 2;

/// Differences that are told in full.
const TOLD_MAX: usize = 10;

/// Checks all cases. Their sum is told by `tell`; the figure fails on every difference, each of
/// which names its seed: with that as `--seed` it is the first case.
pub(super) fn measure<C: Default + AddAssign + Send>(
    options: &Options,
    check: impl Fn(u64) -> Result<C, String> + Sync,
    tell: impl FnOnce(&C, &mut Figure),
) -> Figure {
    let cases = match options.quick {
        true => CASES_QUICK,
        false => CASES,
    };
    let (next, all) = (AtomicUsize::new(0), Mutex::new(C::default()));
    let differences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= cases {
                        return;
                    }
                    match check(options.seed.wrapping_add(case as u64)) {
                        Ok(checked) => *all.lock().expect("counts") += checked,
                        Err(what) => differences.lock().expect("differences").push(what),
                    }
                }
            });
        }
    });
    let differences = differences.into_inner().expect("differences");
    let mut figure = Figure::new();
    figure.at_least("cases", cases as f64, cases as f64);
    tell(&all.into_inner().expect("counts"), &mut figure);
    figure.none("differences", differences.len() as u64);
    for difference in differences.into_iter().take(TOLD_MAX) {
        figure.fail(difference);
    }
    figure
}
