//! Rounds: each side of a row in turn, again and again, so that what else the machine does happens
//! to all of them.

use std::io::IsTerminal as _;

use serde_json::Value;

use crate::figure::{Figure, Sample};
use crate::kafka::Kafka;
use crate::row::{Amount, Load, Pace, Row, Side, System, Work};
use crate::server::{Tools, clear};
use crate::turn::Turn;

/// How long a saturation is measured, before a quick run makes it less.
const SATURATION: Amount = Amount::Seconds(3.0);

/// What all rows share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) tools: Tools,
    pub(crate) kafka: Option<Kafka>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
}

/// What a row came to: for each side what was seen in each round.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) samples: Vec<Vec<Sample>>,
    /// Records per second of each side that has a pace.
    pub(crate) rates: Vec<Option<f64>>,
}

impl Measured {
    /// A figure of a side in every round.
    pub(crate) fn values(&self, side: usize, figure: Figure) -> Vec<f64> {
        let samples = self.samples.get(side).map(Vec::as_slice);
        let samples = samples.unwrap_or_default();
        samples.iter().filter_map(|one| figure.of(one)).collect()
    }
}

impl Bench {
    pub(crate) fn measure(&self, row: &Row) -> Result<Measured, String> {
        let rates = self.rates(row)?;
        let mut samples = vec![Vec::new(); row.sides.len()];
        let mut kept: Vec<Option<Turn<'_>>> = row.sides.iter().map(|_| None).collect();
        for round in 0..self.rounds {
            let turns = row.sides.iter().zip(&rates).zip(&mut samples);
            for (((side, rate), samples), kept) in turns.zip(&mut kept) {
                if side.system == System::Kafka && self.kafka.is_none() {
                    continue;
                }
                let (number, all) = (round + 1, self.rounds);
                progress(&format!("{} {number}/{all} {}", row.name, side.name));
                let said = |reason| format!("{}: {reason}", side.name);
                let turn = match kept.take() {
                    Some(turn) => turn,
                    None => Turn::begin(self, row, side, round).map_err(said)?,
                };
                samples.push(turn.work(*rate).map_err(said)?);
                match side.filled.is_some() && side.work.reads() {
                    true => *kept = Some(turn),
                    false => note(samples, turn.end().map_err(said)?),
                }
            }
        }
        progress("");
        for (turn, samples) in kept.into_iter().zip(&mut samples) {
            if let Some(turn) = turn {
                note(samples, turn.end()?);
            }
        }
        clear(&self.tools.data())?;
        Ok(Measured { samples, rates })
    }

    /// How fast each side is to be asked.
    fn rates(&self, row: &Row) -> Result<Vec<Option<f64>>, String> {
        let mut klamm = None;
        let mut rates = Vec::new();
        // Klamm's comes first: floors are asked the same.
        let first = |side: &&Side| side.system == System::Klamm;
        if let Some(side) = row.sides.iter().find(first) {
            klamm = self.rate(row, side)?;
        }
        for side in &row.sides {
            rates.push(match side.system {
                System::Kafka if self.kafka.is_some() => self.rate(row, side)?,
                _ => klamm,
            });
        }
        Ok(rates)
    }

    fn rate(&self, row: &Row, side: &Side) -> Result<Option<f64>, String> {
        let Work::Load(load) = &side.work else {
            return Ok(None);
        };
        let share = match load.pace {
            Pace::Full => return Ok(None),
            Pace::Rate(rate) => return Ok(Some(rate)),
            Pace::Share(share) => share,
        };
        progress(&format!("{} saturation of {}", row.name, side.name));
        let full = Load {
            pace: Pace::Full,
            amount: SATURATION,
            ..load.clone()
        };
        let turn = Turn::begin(self, row, side, usize::MAX)?;
        let said = turn.load(&full, None)?;
        turn.end()?;
        let most = said.pointer("/produced/records_per_second");
        let most = most.and_then(Value::as_f64).ok_or("nothing was produced")?;
        Ok(Some(most * share))
    }
}

/// Adds what a server has counted in all rounds to the last of them.
fn note(samples: &mut [Sample], open_files: Option<Value>) {
    if let (Some(last), Some(counts)) = (samples.last_mut(), open_files)
        && let Some(said) = last.said.as_object_mut()
    {
        said.insert("open_files".to_owned(), counts);
    }
}

/// What is done now, to whoever watches.
pub(crate) fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}
