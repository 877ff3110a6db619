//! The rows: what Klamm must keep to, and what it is measured by.
//!
//! Sizes are those of a full run; a quick one does a fifth.

mod growth;
mod speed;
mod upkeep;

use crate::row::Row;

/// All of them, the most important first.
pub(crate) fn rows() -> Vec<Row> {
    [
        speed::producing(),
        speed::fetching(),
        speed::latencies(),
        growth::growth(),
        upkeep::upkeep(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn gates_speak_of_sides_that_are_there_and_of_figures_that_are_told() {
        for row in rows() {
            for gate in &row.gates {
                let sides = [
                    Some(gate.side),
                    gate.bound.other(),
                    gate.given.map(|given| given.side),
                ];
                for side in sides.into_iter().flatten() {
                    assert!(row.side(side).is_some(), "{}: {side}", row.name);
                }
                assert!(row.figures.contains(&gate.figure), "{}", row.name);
            }
        }
    }

    #[test]
    fn rows_and_the_sides_of_each_have_names_of_their_own() {
        let rows = rows();
        let names: HashSet<_> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len());
        for row in rows {
            let sides: HashSet<_> = row.sides.iter().map(|side| side.name).collect();
            assert_eq!(sides.len(), row.sides.len(), "{}", row.name);
        }
    }
}
