//! Compaction leaves what Kafka's rules leave and nothing else goes: random operations on a store
//! in memory whose power may be cut, under a clock that stands still, against a list of what was
//! appended.

use klamm::storage::checks::compaction::check_compaction;

use super::{Entry, Figure, Options, model_cases};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "compaction-model",
    about: "compaction against a model, by random operations and power cuts",
    run: measure,
};

/// Operations of a case.
const OPERATIONS: usize = 50;

fn measure(options: &Options) -> Figure {
    let check = |seed| check_compaction(seed, OPERATIONS);
    model_cases::measure(options, check, |all, figure| {
        figure.set("operations", all.operations);
        figure.set("cleanings", all.cleanings);
        figure.set("records_cleaned_away", all.records_gone);
        figure.set("power_cuts_while_cleaning", all.cuts);
        figure.set("restarts", all.restarts);
        figure.set("retries", all.retries);
    })
}
