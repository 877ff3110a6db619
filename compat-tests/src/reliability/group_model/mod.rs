//! Groups keep their promises under everything that can happen to them: random requests of good
//! and bad clients, time, restarts and power cuts, against a model of its own.
//!
//! *Owns*: the driver of a shard ([`bed`]), the clients, and what must be true of their groups:
//! [`classic`], [`consumer`], [`offsets`]. *May use*: the public events of the coordinator, and
//! the format of its records. *Must not know*: how the coordinator does what is checked.
//!
//! *Invariants*: a sequence follows from its seed alone. The model judges by the requests, the
//! answers and the records: what was decided counts at once, what a client knows is what reached
//! it, which is what was durable.

mod bed;
mod cast;
mod classic;
mod clients;
mod consumer;
mod offsets;
mod parts;
pub mod planted;
mod quiet;
mod requests;
mod run;
mod steps;

use std::ops::AddAssign;

use super::{Entry, Figure, Options, model_cases};
use planted::Planted;
use run::Run;

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "group-model",
    about: "groups against a model, by random clients, restarts, power cuts and planted bugs",
    run: measure,
};

/// Steps of a sequence, before all is quiet.
const STEPS: usize = 200;
/// In how many sequences a planted bug must be noticed.
const SEQUENCES_MAX: u64 = 200;
/// Lines of a story that are told.
const TOLD_MAX: usize = 60;

/// What sequences did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Steps by chance.
    pub steps: usize,
    /// Requests.
    pub requests: usize,
    /// Records that were appended.
    pub records: usize,
    /// Offsets that were committed.
    pub commits: usize,
    /// Groups that became groups of the other kind, with their members.
    pub migrations: usize,
    /// Restarts, power cuts among them.
    pub restarts: usize,
    /// Power cuts that lost something.
    pub power_cuts: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.requests += other.requests;
        self.records += other.records;
        self.commits += other.commits;
        self.migrations += other.migrations;
        self.restarts += other.restarts;
        self.power_cuts += other.power_cuts;
    }
}

/// Runs the sequence of a seed, with a bug if one is planted.
pub fn check(seed: u64, planted: Option<Planted>) -> Result<Counts, String> {
    sequence(seed, planted, false).map_err(|(what, _)| {
        let story = match sequence(seed, planted, true) {
            Err((_, story)) => story,
            Ok(_) => Vec::new(),
        };
        let from = story.len().saturating_sub(TOLD_MAX);
        let story = story.get(from..).unwrap_or_default().join("\n  ");
        format!("seed {seed}: {what}\n  {story}")
    })
}

fn sequence(
    seed: u64,
    planted: Option<Planted>,
    tells: bool,
) -> Result<Counts, (String, Vec<String>)> {
    let mut run = Run::new(seed, planted, tells);
    let end = (0..STEPS)
        .try_for_each(|_| run.step())
        .and_then(|()| run.settle())
        .and_then(|()| run.grow_old());
    match end {
        Ok(()) => Ok(run.counts),
        Err(what) => Err((what, run.story.unwrap_or_default())),
    }
}

/// The first seed, from `seed` on, by which a bug is noticed, and how many sequences that took.
pub fn find(planted: Planted, seed: u64) -> Option<u64> {
    (0..SEQUENCES_MAX)
        .find(|each| sequence(seed.wrapping_add(*each), Some(planted), false).is_err())
}

fn measure(options: &Options) -> Figure {
    let check = |seed| check(seed, None);
    let mut figure = model_cases::measure(options, check, |all, figure| {
        figure.set("steps", all.steps);
        figure.set("requests", all.requests);
        figure.set("records", all.records);
        figure.set("commits", all.commits);
        figure.set("migrations", all.migrations);
        figure.set("restarts", all.restarts);
        figure.set("power_cuts", all.power_cuts);
    });
    let mut caught = 0;
    for planted in Planted::ALL {
        match find(planted, options.seed) {
            Some(_) => caught += 1,
            None => figure.fail(format!(
                "{planted:?} is not noticed in {SEQUENCES_MAX} sequences"
            )),
        }
    }
    figure.set("planted_bugs", Planted::ALL.len());
    figure.set("planted_bugs_caught", caught);
    figure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_their_promises() {
        for seed in 0..300 {
            if let Err(what) = check(seed, None) {
                panic!("{what}");
            }
        }
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        for planted in Planted::ALL {
            assert!(find(planted, 1).is_some(), "{planted:?} is not noticed");
        }
    }
}
