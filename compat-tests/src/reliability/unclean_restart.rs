//! From the start of a broker that was killed to the first fetch of every partition: it costs what
//! was not flushed, and not what there is.
//!
//! Two data directories, one with a tenth of the other's bytes. Each is written, flushed, and then
//! several times written to some more and killed before that is flushed. The broker answers from
//! the page cache meanwhile (`os`): in `fsync` mode next to nothing is ever unflushed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::client::{Client, ToPartition};
use super::figure::Figure;
use super::ledger::Value;
use super::node::Launch;
use super::reading;
use super::{Entry, Options};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "unclean-restart",
    about: "1,000 partitions and 5 GB after SIGKILL: every partition is fetched from within 2 s",
    run,
};

/// Time of the first records.
const FIRST_TIME: i64 = 1_767_225_600_000;

const TOPIC: &str = "restart";

/// Records of a batch: about 32 KB.
const RECORDS: u32 = 640;

/// Batches in one request, each for another partition, and requests in flight.
const BATCHES: usize = 25;
const IN_FLIGHT: usize = 4;

/// Seconds from the start of the process to the last first fetch.
const LIMIT_SECONDS: f64 = 2.0;

/// How many times as long the bigger directory may take, and so many seconds more.
const GROWTH_MAX: f64 = 1.5;
const GROWTH_SECONDS: f64 = 0.3;

/// How long the broker takes at most to flush what it answered.
const FLUSHED_AFTER: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Scale {
    partitions: i32,
    small: u64,
    large: u64,
    unflushed: u64,
    repetitions: usize,
}

fn run(options: &Options) -> Figure {
    let scale = match options.quick {
        false => Scale {
            partitions: 1_000,
            small: 500_000_000,
            large: 5_000_000_000,
            unflushed: 200_000_000,
            repetitions: 5,
        },
        true => Scale {
            partitions: 100,
            small: 50_000_000,
            large: 500_000_000,
            unflushed: 20_000_000,
            repetitions: 5,
        },
    };
    let mut figure = Figure::new();
    figure.set("partitions", scale.partitions);
    figure.set("gigabytes", scale.large as f64 / 1e9);
    figure.set("unflushed_megabytes", scale.unflushed / 1_000_000);
    let mut medians = Vec::new();
    for (name, bytes) in [("small", scale.small), ("large", scale.large)] {
        match restarts(options, &scale, name, bytes) {
            Ok(mut restarts) => {
                restarts.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
                let median = restarts[restarts.len() / 2];
                let worst = restarts[restarts.len() - 1];
                eprintln!("{name}: {restarts:?}");
                figure.set(&format!("{name}_ready_seconds"), rounded(median.ready));
                figure.set(&format!("{name}_seconds"), rounded(median.seconds));
                medians.push((median.seconds, worst.seconds));
            }
            Err(reason) => {
                figure.fail(reason);
                return figure;
            }
        }
    }
    if let [(small, _), (large, worst)] = medians[..] {
        figure.set("growth", rounded(large / small));
        if large > small * GROWTH_MAX + GROWTH_SECONDS {
            figure.fail(format!("{large} s with ten times the data of {small} s"));
        }
        figure.at_most("worst_seconds", worst, LIMIT_SECONDS);
    }
    figure
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// One start after a kill.
#[derive(Clone, Copy, Debug)]
struct Restart {
    /// Seconds to the ready line.
    ready: f64,
    /// Seconds to the answer to the last of the first fetches.
    seconds: f64,
}

fn restarts(
    options: &Options,
    scale: &Scale,
    name: &str,
    bytes: u64,
) -> Result<Vec<Restart>, String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{name}: {what}: {error}");
    let data = options.scratch.join(name);
    let launch = launch(options, &data);
    let mut node = launch.start()?;
    node.session().topic(TOPIC, scale.partitions, &[]);
    let mut written = Writer::new(scale.partitions);
    written
        .write(node.address(), bytes)
        .map_err(|error| said("writing", &error))?;
    let mut restarts = Vec::new();
    for _ in 0..scale.repetitions {
        std::thread::sleep(FLUSHED_AFTER);
        written
            .write(node.address(), scale.unflushed)
            .map_err(|error| said("writing", &error))?;
        node.kill();
        let begin = Instant::now();
        node = launch.start()?;
        let ready = begin.elapsed().as_secs_f64();
        let mut client = node.client().map_err(|error| said("connecting", &error))?;
        for (partition, batches) in (0..).zip(&written.batches) {
            // The last offset that was acknowledged: nothing is lost by a kill.
            let last = i64::from(*batches) * i64::from(RECORDS) - 1;
            let fetched = client
                .fetch(TOPIC, partition, last, 1_000)
                .map_err(|error| said("fetching", &error))?;
            if fetched.code != 0 || fetched.records.is_empty() {
                let (code, end) = (fetched.code, fetched.high_watermark);
                return Err(format!(
                    "{name}: partition {partition}: {code}, ends at {end}"
                ));
            }
        }
        restarts.push(Restart {
            ready,
            seconds: begin.elapsed().as_secs_f64(),
        });
    }
    node.kill();
    let _ = std::fs::remove_dir_all(&data);
    Ok(restarts)
}

fn launch(options: &Options, data: &Path) -> Launch {
    let stderr = options.scratch.join("stderr.txt");
    Launch::new(&options.klamm, data, &stderr).arguments(&["--durability", "os"])
}

/// Writes batches round about the partitions.
struct Writer {
    /// Batches, each a millisecond later than the one before.
    rounds: Vec<Vec<u8>>,
    /// How many each partition has.
    batches: Vec<u32>,
    next: usize,
}

impl Writer {
    fn new(partitions: i32) -> Self {
        let batch = |time| reading::batch(Value::new(1, 0), RECORDS, (-1, -1, -1), time);
        Self {
            rounds: (0..1_000).map(|round| batch(FIRST_TIME + round)).collect(),
            batches: vec![0; usize::try_from(partitions).expect("a count")],
            next: 0,
        }
    }

    fn write(&mut self, address: &str, bytes: u64) -> std::io::Result<()> {
        let mut client = Client::connect(address)?;
        let mut left = bytes;
        while left > 0 || client.in_flight() > 0 {
            if left > 0 && client.in_flight() < IN_FLIGHT {
                let request: Vec<ToPartition> = (0..BATCHES).map(|_| self.batch()).collect();
                client.send_produce(-1, &request)?;
                left = left.saturating_sub((BATCHES * self.rounds[0].len()) as u64);
                continue;
            }
            for answer in client.receive_produce()? {
                if answer.code != 0 {
                    return Err(std::io::Error::other(format!("code {}", answer.code)));
                }
            }
        }
        Ok(())
    }

    fn batch(&mut self) -> ToPartition {
        let partition = self.next;
        self.next = (self.next + 1) % self.batches.len();
        let round = self.batches[partition] as usize % self.rounds.len();
        self.batches[partition] += 1;
        ToPartition {
            topic: TOPIC.to_owned(),
            partition: i32::try_from(partition).expect("a count"),
            batch: self.rounds[round].clone(),
        }
    }
}
