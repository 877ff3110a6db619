//! Rounds: each side of a row in turn, again and again, so that what else the machine does happens
//! to all of them.

use std::io::IsTerminal as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::Client;
use crate::figure::{Figure, Sample};
use crate::gate::Spread;
use crate::generator::Aim;
use crate::kafka::Kafka;
use crate::row::{Amount, Load, Lookup, Mode, Pace, Row, Side, System, Work};
use crate::server::{Host, Server, Tools, clear};

/// How long a saturation is measured, before a quick run makes it less.
const SATURATION: Amount = Amount::Seconds(3.0);

/// How long is waited where nothing is done.
const REST: std::time::Duration = std::time::Duration::from_millis(500);

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

/// A server with the topic of a side, and what it was filled with.
struct Turn<'a> {
    bench: &'a Bench,
    side: &'a Side,
    host: Host<'a>,
    aim: Aim,
    resident_begin: f64,
    filled: Option<Filled>,
}

/// Where a lookup finds something.
#[derive(Clone, Copy, Debug)]
struct Filled {
    records: i64,
    /// Milliseconds since the epoch of Unix.
    from: i64,
    to: i64,
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
                    None => self.turn(row, side, round).map_err(said)?,
                };
                samples.push(turn.work(*rate).map_err(said)?);
                match side.filled {
                    // Reading leaves all as it was.
                    Some(_) => *kept = Some(turn),
                    None => turn.end().map_err(said)?,
                }
            }
        }
        progress("");
        for turn in kept.into_iter().flatten() {
            turn.end()?;
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
        let turn = self.turn(row, side, usize::MAX)?;
        let said = turn.load(&full, None)?;
        turn.end()?;
        let most = said.pointer("/produced/records_per_second");
        let most = most.and_then(Value::as_f64).ok_or("nothing was produced")?;
        Ok(Some(most * share))
    }

    /// A server that is ready for the work of a side.
    fn turn<'a>(&'a self, row: &Row, side: &'a Side, round: usize) -> Result<Turn<'a>, String> {
        let topic = format!("{}-{round}", row.name);
        let host = match (side.system, &self.kafka) {
            (System::Kafka, Some(kafka)) => Host::Shared(kafka),
            _ => Host::Own(Server::start(&self.tools, side, row.mode, &topic)?),
        };
        let aim = Aim {
            address: host.server().address.clone(),
            topic,
        };
        let resident_begin = host.server().process.resident()?;
        let flush = match (side.system, row.mode) {
            (System::Kafka, Mode::Fsync) => Some("flush.messages=1"),
            _ => None,
        };
        if !matches!(side.system, System::Floor(_)) {
            let settings = side.topic.iter().copied().chain(flush);
            aim.create(&self.tools, side.partitions, settings)?;
        }
        let mut turn = Turn {
            bench: self,
            side,
            host,
            aim,
            resident_begin,
            filled: None,
        };
        if let Some(fill) = &side.filled {
            let from = now();
            let said = turn.load(fill, None)?;
            let records = said.pointer("/produced/records").and_then(Value::as_i64);
            turn.filled = Some(Filled {
                records: records.unwrap_or(0),
                from,
                to: now(),
            });
        }
        Ok(turn)
    }
}

impl Turn<'_> {
    /// Does the work, and looks at the server before and after.
    fn work(&self, rate: Option<f64>) -> Result<Sample, String> {
        let process = &self.host.server().process;
        let idle = self.idle().map_err(|error| error.to_string())?;
        let before = process.cpu()?;
        let said = match &self.side.work {
            Work::Load(load) => self.load(load, rate)?,
            Work::Lookups(lookup, count) => self
                .lookups(*lookup, *count)
                .map_err(|error| error.to_string())?,
            Work::Rest => {
                std::thread::sleep(REST);
                Value::Null
            }
        };
        let cpu = process.cpu()? - before;
        let sample = Sample {
            cpu,
            client_cpu: ["produced", "consumed"]
                .iter()
                .filter_map(|side| said.get(side)?.get("client_cpu_seconds")?.as_f64())
                .sum(),
            resident_begin: self.resident_begin,
            resident_end: process.resident()?,
            resident_peak: process.resident_peak()?,
            units: f64::from(self.side.units),
            said,
        };
        drop(idle);
        Ok(sample)
    }

    fn load(&self, load: &Load, rate: Option<f64>) -> Result<Value, String> {
        let load = Load {
            amount: load.amount.scaled(self.bench.quick),
            ..load.clone()
        };
        self.aim.load(&self.bench.tools, &load, rate)
    }

    /// Connections that have said what every client says first, and then nothing.
    fn idle(&self) -> std::io::Result<Vec<Client>> {
        let connect = |_| {
            let mut client = Client::connect(&self.aim.address)?;
            client.greet()?;
            Ok(client)
        };
        (0..self.side.idle).map(connect).collect()
    }

    /// Asks for places all over the log; tells it in the words of `klamm bench`.
    fn lookups(&self, lookup: Lookup, count: u32) -> std::io::Result<Value> {
        let filled = self.filled.ok_or(std::io::ErrorKind::NotFound)?;
        let mut client = Client::connect(&self.aim.address)?;
        let mut took = Vec::new();
        let begin = Instant::now();
        for number in 0..count {
            let place = spread(number);
            let within = |from: i64, to: i64| from + ((to - from) as f64 * place) as i64;
            let sent = Instant::now();
            match lookup {
                Lookup::Time => {
                    client.offset_at(&self.aim.topic, within(filled.from, filled.to))?
                }
                Lookup::Offset => {
                    let bytes = client.batch_at(&self.aim.topic, within(0, filled.records))?;
                    i64::try_from(bytes).unwrap_or(0)
                }
            };
            took.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        let latency = Spread::of(&took).map_or(0.0, |spread| spread.median);
        Ok(json!({"consumed": {
            "requests": count,
            "seconds": begin.elapsed().as_secs_f64(),
            "latency_us": {"p50": latency},
        }}))
    }

    /// Frees what the side took.
    fn end(self) -> Result<(), String> {
        match self.host {
            Host::Own(server) => {
                drop(server);
                Ok(())
            }
            Host::Shared(_) => self.aim.delete(&self.bench.tools),
        }
    }
}

/// Numbers from 0 to 1, spread evenly however many of them there are: multiples of the golden ratio.
fn spread(number: u32) -> f64 {
    (f64::from(number) * 0.618_033_988_749_895).fract()
}

/// What is done now, to whoever watches.
pub(crate) fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// The wall clock, by which records are stamped.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_spread_all_over_the_log() {
        let mut tenths = [0; 10];
        for number in 0..1_000 {
            tenths[(spread(number) * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (95..=105).contains(count)),
            "{tenths:?}"
        );
    }
}
