//! What came of a row: a table for people, a value for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::figure::Figure;
use crate::gate::{Outcome, Spread, Verdict};
use crate::generator::arguments;
use crate::measure::Measured;
use crate::row::{Fill, Lookup, Pace, Row, Side, System, Work};

/// From here on a floor has moved too much between rounds for its ratios to be trusted.
const MOVED: f64 = 1.5;

/// A row with its verdicts.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    row: Row,
    measured: Measured,
    quick: bool,
    verdicts: Vec<Verdict>,
    /// What a reader must know.
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(row: Row, measured: Measured, quick: bool) -> Self {
        let judge = |gate: &crate::gate::Gate| {
            gate.judge(|side| match row.side(side) {
                Some(side) => measured.values(side, gate.figure),
                None => Vec::new(),
            })
        };
        let verdicts = row.gates.iter().map(judge).collect();
        let notes = notes(&row, &measured);
        Self {
            row,
            measured,
            quick,
            verdicts,
            notes,
        }
    }

    /// Whether a gate is missed.
    pub(crate) fn misses(&self) -> bool {
        let missed = |verdict: &Verdict| verdict.outcome == Outcome::Missed;
        self.verdicts.iter().any(missed)
    }

    /// A table: a line for each side, then one for each gate.
    pub(crate) fn text(&self) -> String {
        let row = &self.row;
        let mut text = format!("{} [{}] {}\n", row.name, row.mode.name(), row.line);
        // Writing to a string does not fail, here and below.
        let _ = write!(text, "  {:18}", "");
        for figure in &row.figures {
            let _ = write!(text, "{:>30}", figure.name());
        }
        text.push('\n');
        for (place, side) in row.sides.iter().enumerate() {
            if self.rounds(place) == 0 {
                continue;
            }
            let _ = write!(text, "  {:18}", side.name);
            for figure in &row.figures {
                let _ = write!(text, "{:>30}", self.cell(place, *figure));
            }
            text.push('\n');
        }
        for (gate, verdict) in row.gates.iter().zip(&self.verdicts) {
            let value = match (verdict.value, gate.bound.other()) {
                (None, _) => String::new(),
                (Some(value), None) => format!(" {}", spread(value)),
                (Some(value), Some(_)) => format!(" {}", ratio(value)),
            };
            let outcome = match &verdict.outcome {
                Outcome::Holds => "holds".to_owned(),
                Outcome::Missed => "MISSED".to_owned(),
                Outcome::NotJudged(why) => format!("not judged: {why}"),
            };
            let (side, figure) = (gate.side, gate.figure.name());
            let words = gate.bound.words();
            let _ = writeln!(text, "  > {side}, {figure}:{value}, {words}: {outcome}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  ! {note}");
        }
        text
    }

    /// In how many rounds a side was measured.
    fn rounds(&self, side: usize) -> usize {
        self.measured.samples.get(side).map_or(0, Vec::len)
    }

    fn cell(&self, side: usize, figure: Figure) -> String {
        let values = self.measured.values(side, figure);
        Spread::of(&values).map_or_else(|| "-".to_owned(), spread)
    }

    /// Everything, each round included.
    pub(crate) fn json(&self) -> Value {
        let row = &self.row;
        let sides = row.sides.iter().enumerate();
        let sides: Vec<_> = sides.map(|(at, side)| self.side(at, side)).collect();
        let gates = row.gates.iter().zip(&self.verdicts);
        let gates: Vec<_> = gates
            .map(|(gate, verdict)| {
                let (outcome, why) = match &verdict.outcome {
                    Outcome::Holds => ("holds", None),
                    Outcome::Missed => ("missed", None),
                    Outcome::NotJudged(why) => ("not judged", Some(why)),
                };
                json!({
                    "side": gate.side,
                    "figure": gate.figure.name(),
                    "limit": gate.bound.words(),
                    "value": verdict.value.map(spread_as_json),
                    "outcome": outcome,
                    "why": why,
                })
            })
            .collect();
        json!({
            "row": row.name,
            "line": row.line,
            "mode": row.mode.name(),
            "sides": sides,
            "gates": gates,
            "notes": self.notes,
        })
    }

    fn side(&self, place: usize, side: &Side) -> Value {
        let figures = self.row.figures.iter().map(|figure| {
            let values = self.measured.values(place, *figure);
            let spread = Spread::of(&values).map(spread_as_json);
            (figure.name().to_owned(), json!(spread))
        });
        let rate = self.measured.rates.get(place).copied().flatten();
        let samples = self.measured.samples.get(place);
        let rounds = samples.into_iter().flatten().map(|sample| {
            json!({
                "cpu_seconds": sample.cpu,
                "client_cpu_seconds": sample.client_cpu,
                "resident_kib": sample.resident_end,
                "resident_kib_at_start": sample.resident_begin,
                "resident_kib_peak": sample.resident_peak,
                "said": sample.said,
            })
        });
        json!({
            "side": side.name,
            "system": match side.system {
                System::Floor(floor) => floor,
                System::Klamm => "klamm",
                System::Kafka => "kafka",
            },
            "partitions": side.partitions,
            "topic": side.topic,
            "settings": side.settings,
            "idle_connections": side.idle,
            "filled_by": side.filled.as_ref().map(|fill| filled_by(&fill.scaled(self.quick))),
            "meanwhile": side.meanwhile.map(|what| format!("{what:?}")),
            "work": work(&side.work, rate, self.quick),
            "figures": figures.collect::<serde_json::Map<_, _>>(),
            "rounds": rounds.collect::<Vec<_>>(),
        })
    }
}

fn filled_by(fill: &Fill) -> String {
    match fill {
        Fill::Load(load) => arguments(load, None).join(" "),
        Fill::Keyed(records) => format!("{records} records with half as many keys"),
    }
}

fn work(work: &Work, rate: Option<f64>, quick: bool) -> String {
    match work {
        Work::Load(load) => arguments(&load.scaled(quick), rate).join(" "),
        Work::Lookups(Lookup::Time, count) => format!("{count} lookups by time"),
        Work::Lookups(Lookup::Offset, count) => format!("{count} lookups by offset"),
        Work::Compact => "compaction".to_owned(),
        Work::Copy => "floor copy".to_owned(),
        Work::Rest => "none".to_owned(),
    }
}

fn notes(row: &Row, measured: &Measured) -> Vec<String> {
    let mut notes = Vec::new();
    for (place, side) in row.sides.iter().enumerate() {
        let name = side.name;
        if let (System::Floor(_), Some(figure)) = (side.system, row.figures.first()) {
            let moved = Spread::of(&measured.values(place, *figure)).map(Spread::moved);
            if let Some(moved) = moved.filter(|moved| *moved > MOVED) {
                let figure = figure.name();
                notes.push(format!(
                    "{name} itself moved {moved:.1}x between rounds ({figure})"
                ));
            }
        }
        let Work::Load(load) = &side.work else {
            continue;
        };
        let samples = measured.samples.get(place).map(Vec::as_slice);
        let samples = samples.unwrap_or_default();
        if samples.is_empty() {
            continue;
        }
        let bound = samples.iter().filter(|one| one.is_client_bound()).count();
        if load.pace == Pace::Full && bound > 0 {
            let all = samples.len();
            notes.push(format!(
                "{name}: bound by the client in {bound} of {all} rounds"
            ));
        }
        if let (Pace::Share(share), Some(Some(rate))) = (load.pace, measured.rates.get(place)) {
            let percent = share * 100.0;
            notes.push(format!(
                "{name}: {rate:.0} records/s, {percent:.0} % of saturation"
            ));
        }
    }
    notes
}

fn spread_as_json(spread: Spread) -> Value {
    json!({"median": spread.median, "min": spread.min, "max": spread.max})
}

fn spread(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{} ({}-{})", short(median), short(min), short(max))
}

fn ratio(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.2} ({min:.2}-{max:.2})")
}

/// Three digits of what is small, all of what is large.
fn short(number: f64) -> String {
    match number.abs() {
        size if size < 1.0 => format!("{number:.3}"),
        size if size < 10.0 => format!("{number:.2}"),
        size if size < 100.0 => format!("{number:.1}"),
        size if size < 1e6 => format!("{number:.0}"),
        _ => format!("{:.2}M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_they_are_worth() {
        let all = [0.1234, 1.234, 12.34, 123.4, 123_456.7, 1_234_567.8];
        let told = ["0.123", "1.23", "12.3", "123", "123457", "1.23M"];
        assert_eq!(all.map(short), told);
    }
}
