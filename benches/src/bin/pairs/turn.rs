//! The turn of a side: its server, with its topic, does the work and is looked at.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::Client;
use crate::compaction;
use crate::figure::Sample;
use crate::gate::Spread;
use crate::generator::Aim;
use crate::machine::Processors;
use crate::measure::Bench;
use crate::row::{Amount, Fill, Load, Lookup, Meanwhile, Mode, Row, Side, System, Work, load};
use crate::server::{Host, Server};

/// How long is waited where nothing is done.
const REST: Duration = Duration::from_millis(500);

/// How records come into a topic beside the one that is measured, and are read.
const FILL: &str = "produce --producers 4 --batch-size 64KiB";
const READ: &str = "consume --consumers 4";

/// A server with the topic of a side, and what it was filled with.
pub(crate) struct Turn<'a> {
    bench: &'a Bench,
    mode: Mode,
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

impl<'a> Turn<'a> {
    /// A server that is ready for the work of a side.
    pub(crate) fn begin(
        bench: &'a Bench,
        row: &Row,
        side: &'a Side,
        round: usize,
    ) -> Result<Self, String> {
        let topic = format!("{}-{round}", row.name);
        let host = match (side.system, &bench.kafka) {
            (System::Kafka, Some(kafka)) => Host::Shared(kafka),
            _ => Host::Own(Server::start(&bench.tools, side, row.mode, &topic)?),
        };
        let aim = Aim {
            address: host.server().address.clone(),
            topic,
        };
        let resident_begin = host.server().process.resident()?;
        if !matches!(side.system, System::Floor(_)) {
            let settings = side.topic_settings(row.mode);
            aim.create(&bench.tools, side.partitions, settings)?;
        }
        let mut turn = Self {
            bench,
            mode: row.mode,
            side,
            host,
            aim,
            resident_begin,
            filled: None,
        };
        if let Some(fill) = &side.filled {
            turn.filled = Some(turn.fill(&turn.aim, fill)?);
        }
        match side.counts_files {
            true => turn.start_anew(),
            false => Ok(turn),
        }
    }

    /// What the server has counted so far does not count.
    fn start_anew(self) -> Result<Self, String> {
        let Host::Own(server) = self.host else {
            return Err("a server that serves all rows is not started anew".to_owned());
        };
        let (tools, topic) = (&self.bench.tools, &self.aim.topic);
        let server = server.again(tools, self.side, self.mode, topic)?;
        Ok(Self {
            resident_begin: server.process.resident()?,
            aim: Aim {
                address: server.address.clone(),
                ..self.aim
            },
            host: Host::Own(server),
            ..self
        })
    }

    fn fill(&self, aim: &Aim, fill: &Fill) -> Result<Filled, String> {
        let from = now();
        let records = match fill.scaled(self.bench.quick) {
            Fill::Load(load) => {
                let said = aim.load(&self.bench.tools, &load, None)?;
                let records = said.pointer("/produced/records");
                records.and_then(Value::as_i64).unwrap_or(0)
            }
            Fill::Keyed(records) => {
                compaction::fill(aim, self.host.server(), records)?;
                i64::try_from(records).unwrap_or(0)
            }
        };
        Ok(Filled {
            records,
            from,
            to: now(),
        })
    }

    /// Does the work, and looks at the server before and after.
    pub(crate) fn work(&self, rate: Option<f64>) -> Result<Sample, String> {
        let process = &self.host.server().process;
        let idle = self.idle().map_err(|error| error.to_string())?;
        let beside = self.prepare_meanwhile()?;
        let processors = Processors::now();
        let before = process.cpu()?;
        let said = match &beside {
            Some((what, aim)) => self.amid(*what, aim, || self.ask(rate))?,
            None => self.ask(rate)?,
        };
        let cpu = match said.get("floor_cpu_seconds").and_then(Value::as_f64) {
            Some(cpu) => cpu,
            None => process.cpu()? - before,
        };
        let sample = Sample {
            cpu,
            idle: Processors::now().idle_since(processors),
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

    /// What is said of the work, in the words of `klamm bench`.
    fn ask(&self, rate: Option<f64>) -> Result<Value, String> {
        match &self.side.work {
            Work::Load(load) => self.load(load, rate),
            Work::Lookups(lookup, count) => self
                .lookups(*lookup, *count)
                .map_err(|error| error.to_string()),
            Work::Compact => {
                let bytes = compaction::run(&self.aim, self.host.server())?;
                Ok(json!({"produced": {"bytes": bytes}}))
            }
            Work::Copy => {
                let partition = format!("{}-0", self.aim.topic);
                compaction::copy(&self.bench.tools, &self.host.server().data.join(partition))
            }
            Work::Rest => {
                std::thread::sleep(REST);
                Ok(Value::Null)
            }
        }
    }

    pub(crate) fn load(&self, load: &Load, rate: Option<f64>) -> Result<Value, String> {
        let load = load.scaled(self.bench.quick);
        self.aim.load(&self.bench.tools, &load, rate)
    }

    /// Connections that have said what every client says first, and then nothing.
    fn idle(&self) -> io::Result<Vec<Client>> {
        let connect = |_| {
            let mut client = Client::connect(&self.aim.address)?;
            client.greet()?;
            Ok(client)
        };
        (0..self.side.idle).map(connect).collect()
    }

    /// The topic to which something else is to happen.
    fn prepare_meanwhile(&self) -> Result<Option<(Meanwhile, Aim)>, String> {
        let Some(what) = self.side.meanwhile else {
            return Ok(None);
        };
        let aim = Aim {
            topic: format!("{}-beside", self.aim.topic),
            ..self.aim.clone()
        };
        let settings = ["segment.bytes=16777216", "retention.ms=-1"].into_iter();
        aim.create(&self.bench.tools, 1, settings)?;
        let fill = match what {
            Meanwhile::CatchUp(records) => load(FILL, Amount::Records(records)).into(),
            Meanwhile::Compaction(records) => Fill::Keyed(records),
        };
        self.fill(&aim, &fill)?;
        Ok(Some((what, aim)))
    }

    /// Does the work while that happens to the other topic.
    fn amid(
        &self,
        what: Meanwhile,
        other: &Aim,
        work: impl FnOnce() -> Result<Value, String>,
    ) -> Result<Value, String> {
        match what {
            Meanwhile::Compaction(_) => {
                compaction::begin(other).map_err(|error| error.to_string())?;
                work()
            }
            Meanwhile::CatchUp(_) => {
                let over = AtomicBool::new(false);
                let read = || {
                    let all = load(READ, Amount::All);
                    while !over.load(Ordering::Relaxed) {
                        other.load(&self.bench.tools, &all, None)?;
                    }
                    Ok(())
                };
                std::thread::scope(|scope| {
                    let reader = scope.spawn(read);
                    let said = work();
                    over.store(true, Ordering::Relaxed);
                    let read: Result<(), String> =
                        reader.join().map_err(|_| "the reader failed".to_owned())?;
                    read.and(said)
                })
            }
        }
    }

    /// Asks for places all over the log.
    fn lookups(&self, lookup: Lookup, count: u32) -> io::Result<Value> {
        let filled = self.filled.ok_or(io::ErrorKind::NotFound)?;
        let topic = &self.aim.topic;
        let mut client = Client::connect(&self.aim.address)?;
        let mut took = Vec::new();
        let begin = Instant::now();
        for number in 0..count {
            let within =
                |from: i64, to: i64, place: f64| from + ((to - from) as f64 * place) as i64;
            let sent = Instant::now();
            match lookup {
                Lookup::Time => client
                    .offset_at(topic, within(filled.from, filled.to, spread(number)))
                    .map(|_| ())?,
                Lookup::Offset => client
                    .batch_at(topic, within(0, filled.records, spread(number)))
                    .map(|_| ())?,
                Lookup::RandomOffset => client
                    .batch_at(topic, within(0, filled.records, random(number)))
                    .map(|_| ())?,
            }
            took.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        let latency = Spread::of(&took).map_or(0.0, |spread| spread.median);
        Ok(json!({"consumed": {
            "requests": count,
            "seconds": begin.elapsed().as_secs_f64(),
            "latency_us": {"p50": latency},
        }}))
    }

    /// Frees what the side took; what its server has counted, if it was to.
    pub(crate) fn end(self) -> Result<Option<Value>, String> {
        match self.host {
            Host::Own(server) if self.side.counts_files => {
                let said = server.process.stop()?;
                let counts = open_files(&said);
                let missing = || "the server did not say what it has counted".to_owned();
                counts.ok_or_else(missing).map(Some)
            }
            Host::Own(server) => {
                drop(server);
                Ok(None)
            }
            Host::Shared(_) => self.aim.delete(&self.bench.tools).map(|()| None),
        }
    }
}

/// The numbers of the line about open files in a log: `... open files hits=1 misses=2 ...`.
fn open_files(log: &str) -> Option<Value> {
    let line = log
        .lines()
        .rfind(|line| line.contains("open files hits="))?;
    let numbers = line.split_ascii_whitespace().filter_map(|word| {
        let (name, number) = word.split_once('=')?;
        Some((name.to_owned(), json!(number.parse::<u64>().ok()?)))
    });
    Some(Value::Object(numbers.collect()))
}

/// Numbers from 0 to 1, spread evenly however many of them there are: multiples of the golden ratio.
pub(crate) fn spread(number: u32) -> f64 {
    (f64::from(number) * 0.618_033_988_749_895).fract()
}

/// Numbers from 0 to 1 in no order (SplitMix64), the same in every run.
fn random(number: u32) -> f64 {
    let mut bits = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
        bits = (bits ^ (bits >> shift)).wrapping_mul(factor);
    }
    (bits ^ (bits >> 31)) as f64 / u64::MAX as f64
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
    fn the_counts_of_open_files_are_found_in_a_log() {
        let log = "t INFO klamm: x=1\n\
            t INFO klamm::server: open files hits=30 misses=10 evicted=8 open=2 capacity=16\n\
            t INFO klamm: stopped\n";
        let counts = open_files(log).expect("counts");
        assert_eq!(counts["hits"], 30);
        assert_eq!(counts["capacity"], 16);
        assert_eq!(open_files("nothing"), None);
    }

    #[test]
    fn places_are_spread_all_over_the_log() {
        let mut tenths = [0; 10];
        for number in 0..1_000 {
            tenths[(spread(number) * 10.0) as usize] += 1;
        }
        let even = tenths.iter().all(|count| (95..=105).contains(count));
        assert!(even, "{tenths:?}");
    }

    #[test]
    fn random_places_come_again_sooner_or_later() {
        let mut tenths = [0; 10];
        let mut again = 0;
        let tenth = |number| (random(number) * 10.0) as usize;
        for number in 0..10_000 {
            tenths[tenth(number)] += 1;
            again += u32::from(tenth(number) == tenth(number + 1));
        }
        let even = tenths.iter().all(|count| (900..=1_100).contains(count));
        assert!(even, "{tenths:?}");
        assert!((900..=1_100).contains(&again), "{again}");
    }
}
