//! Old data leaves by Kafka's rules and nothing else does: random operations on a store in memory,
//! under a clock that stands still, against a model of the rules.

use klamm::storage::checks::retention::check_retention;

use super::{Entry, Figure, Options, model_cases};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "retention-model",
    about: "delete policies against a model, by random operations",
    run: measure,
};

/// Operations of a case.
const OPERATIONS: usize = 80;

fn measure(options: &Options) -> Figure {
    let check = |seed| check_retention(seed, OPERATIONS);
    model_cases::measure(options, check, |all, figure| {
        figure.set("operations", all.operations);
        figure.set("passes", all.passes);
        figure.set("segments_deleted", all.segments);
        figure.set("restarts", all.restarts);
    })
}
