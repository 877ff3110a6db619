//! What came of a row: a table for people, a value for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::figure::{Figure, Sample};
use crate::gate::{Bound, Outcome, Spread, Verdict};
use crate::generator::arguments;
use crate::measure::Measured;
use crate::row::{FLOOR, Fill, KAFKA, KLAMM, Lookup, Pace, Row, Side, System, Work};

/// From here on a floor has moved too much between rounds for its ratios to be trusted.
const MOVED: f64 = 1.5;

/// What marks a speed that is not the server's.
const CLIENT_BOUND: &str = "* ";

/// What stands beside the ratios of a side to another.
const COMPARED: [(&str, &str); 2] = [(KLAMM, FLOOR), (KLAMM, KAFKA)];

/// A row with its verdicts.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    row: Row,
    measured: Measured,
    quick: bool,
    verdicts: Vec<Verdict>,
    /// In how many rounds the speed of each side was that of the generator.
    client_bound: Vec<usize>,
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
        let client_bound = client_bound(&row, &measured);
        let notes = notes(&row, &measured, &client_bound);
        Self {
            row,
            measured,
            quick,
            verdicts,
            client_bound,
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
        line(&mut text, "", row.figures.iter().map(|one| one.name()));
        for (place, side) in row.sides.iter().enumerate() {
            if self.rounds(place) > 0 {
                let cells = row.figures.iter().map(|figure| self.cell(place, *figure));
                line(&mut text, side.name, cells);
            }
        }
        for (name, ratios) in self.ratios() {
            let cell =
                |spread: &Option<Spread>| spread.map_or_else(|| "-".to_owned(), self::spread);
            line(&mut text, &name, ratios.iter().map(cell));
        }
        for (gate, verdict) in row.gates.iter().zip(&self.verdicts) {
            let value = verdict.value;
            let value = value.map_or_else(String::new, |value| format!(" {}", spread(value)));
            let value = match gate.bound {
                Bound::MostTimes(..) | Bound::LeastTimes(..) => value.replacen(" (", "x (", 1),
                Bound::Most(_) | Bound::Least(_) | Bound::MostOver(..) => value,
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
        let mut cell = Spread::of(&values).map_or_else(|| "-".to_owned(), spread);
        let bound = self.client_bound.get(side).copied().unwrap_or(0);
        if figure.is_speed() && bound > 0 {
            cell.insert_str(0, CLIENT_BOUND);
        }
        cell
    }

    /// The ratios of two sides where both were measured, those of rounds: for each figure.
    fn ratios(&self) -> Vec<(String, Vec<Option<Spread>>)> {
        let measured = |name| {
            let side = self.row.side(name)?;
            (self.rounds(side) > 0).then_some(side)
        };
        let mut all = Vec::new();
        for (one, other) in COMPARED {
            let (Some(own), Some(others)) = (measured(one), measured(other)) else {
                continue;
            };
            let ratio = |figure: &Figure| {
                let own = self.measured.values(own, *figure);
                let others = self.measured.values(others, *figure);
                let both = own.iter().zip(&others);
                Spread::of(&both.map(|(a, b)| a / b).collect::<Vec<_>>())
            };
            let ratios = self.row.figures.iter().map(ratio).collect();
            all.push((format!("{one}/{other}"), ratios));
        }
        all
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
        let names = || row.figures.iter().map(|figure| figure.name().to_owned());
        let ratios = self.ratios().into_iter().map(|(name, ratios)| {
            let ratios = ratios.into_iter().map(|one| json!(one.map(spread_as_json)));
            (name, Value::Object(names().zip(ratios).collect()))
        });
        json!({
            "row": row.name,
            "line": row.line,
            "mode": row.mode.name(),
            // The figures as the table has them: values have no order.
            "order": names().collect::<Vec<_>>(),
            "sides": sides,
            "ratios": ratios.collect::<serde_json::Map<_, _>>(),
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
            let figures = self.row.figures.iter();
            let figures = figures.map(|one| (one.name().to_owned(), json!(one.of(sample))));
            json!({
                "figures": figures.collect::<serde_json::Map<_, _>>(),
                "cpu_seconds": sample.cpu,
                "client_cpu_seconds": sample.client_cpu,
                "machine_idle": sample.idle,
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
            "topic": side.topic_settings(self.row.mode).collect::<Vec<_>>(),
            "settings": side.settings,
            "idle_connections": side.idle,
            "filled_by": side.filled.as_ref().map(|fill| filled_by(&fill.scaled(self.quick))),
            "meanwhile": side.meanwhile.map(|what| format!("{what:?}")),
            "work": work(&side.work, rate, self.quick),
            "client_bound_rounds": self.client_bound.get(place),
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
        Work::Lookups(Lookup::RandomOffset, count) => {
            format!("{count} lookups by offset, at random")
        }
        Work::Compact => "compaction".to_owned(),
        Work::Copy => "floor copy".to_owned(),
        Work::Rest => "none".to_owned(),
    }
}

/// In how many rounds of each side a speed that was not set is that of the generator.
fn client_bound(row: &Row, measured: &Measured) -> Vec<usize> {
    let sides = row.sides.iter().zip(&measured.samples);
    let tells_speed = row.figures.iter().any(|figure| figure.is_speed());
    let count = |(side, samples): (&Side, &Vec<Sample>)| match &side.work {
        Work::Load(load) if load.pace == Pace::Full && tells_speed => {
            samples.iter().filter(|one| one.is_client_bound()).count()
        }
        _ => 0,
    };
    sides.map(count).collect()
}

fn notes(row: &Row, measured: &Measured, client_bound: &[usize]) -> Vec<String> {
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
        let bound = client_bound.get(place).copied().unwrap_or(0);
        if bound > 0 {
            let all = samples.len();
            notes.push(format!(
                "{CLIENT_BOUND}{name}: its speed is bound by the client in {bound} of {all} rounds"
            ));
        }
        let late = samples.iter().filter(|one| one.misses_its_rate()).count();
        if late > 0 {
            let idle: Vec<_> = samples.iter().map(|one| one.idle * 100.0).collect();
            let idle = Spread::of(&idle).map_or(0.0, |idle| idle.median);
            let all = samples.len();
            notes.push(format!(
                "{name}: the rate was not reached in {late} of {all} rounds; the machine was idle \
                 for {idle:.0} % of the time"
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

/// A line of the table, with a name and a cell for each figure.
fn line(text: &mut String, name: &str, cells: impl Iterator<Item = impl AsRef<str>>) {
    let _ = write!(text, "  {name:18}");
    for cell in cells {
        let _ = write!(text, "{:>28}", cell.as_ref());
    }
    text.push('\n');
}

/// Three digits of what is small, all of what is large.
pub(crate) fn short(number: f64) -> String {
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

    /// Two rounds of the first row without Kafka, in which Klamm took twice and three times what
    /// the floor did, and in the last of which the generator never rested.
    fn report() -> Report {
        let sample = |cpu: f64, bound: bool| Sample {
            cpu,
            said: json!({"produced": {
                "bytes": 1_000_000_000, "records_per_second": 1_000, "client_bound": bound,
            }}),
            ..Sample::default()
        };
        let floor = vec![sample(0.5, false), sample(0.25, false)];
        let klamm = vec![sample(1.0, false), sample(0.75, true)];
        let measured = Measured {
            samples: vec![floor, klamm, Vec::new()],
            rates: vec![None; 3],
        };
        Report::new(crate::rows::rows().swap_remove(0), measured, true)
    }

    #[test]
    fn a_table_names_its_mode_and_has_ratios_and_marks() {
        let text = report().text();
        assert!(text.starts_with("produce-1k [os] "), "{text}");
        let line = |name: &str| {
            let mut lines = text.lines().map(str::trim_start);
            lines.find(|line| line.starts_with(name)).unwrap_or("")
        };
        assert!(line("klamm ").contains("0.875 (0.750-1.00)"), "{text}");
        assert!(line("klamm ").contains("* 1000 (1000-1000)"), "{text}");
        assert!(line("klamm/floor").contains("2.50 (2.00-3.00)"), "{text}");
        assert_eq!(line("kafka "), "", "it was not measured");
        assert!(
            line("! * klamm").contains("bound by the client in 1 of 2"),
            "{text}"
        );
        assert!(line("> klamm, cpu s/GB").ends_with("MISSED"), "{text}");
    }

    #[test]
    fn the_value_has_every_round_with_its_figures() {
        let told = report().json();
        assert_eq!(told["mode"], "os");
        assert_eq!(told["sides"][1]["rounds"][1]["figures"]["cpu s/GB"], 0.75);
        assert_eq!(told["sides"][1]["client_bound_rounds"], 1);
        assert_eq!(told["ratios"]["klamm/floor"]["cpu s/GB"]["max"], 3.0);
        assert_eq!(told["ratios"].get("klamm/kafka"), None);
        assert_eq!(told["order"][0], "cpu s/GB");
    }

    #[test]
    fn numbers_have_as_many_digits_as_they_are_worth() {
        let all = [0.1234, 1.234, 12.34, 123.4, 123_456.7, 1_234_567.8];
        let told = ["0.123", "1.23", "12.3", "123", "123457", "1.23M"];
        assert_eq!(all.map(short), told);
    }
}
