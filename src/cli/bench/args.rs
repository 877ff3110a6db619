//! The arguments of `klamm bench`, and what they mean.

use std::time::Duration;

use super::super::connect::Connect;
use super::super::produce::{AcksName, CodecName};
use super::super::{CommandError, key_value};
use crate::bench::{BatchSpec, FetchSpec, Limit, PRODUCERS_MAX, ProduceSpec};

/// How long records are sent if nobody says.
const DURATION: Duration = Duration::from_secs(10);

/// What `klamm bench --help` says at its end.
const EXAMPLES: &str = "\
Examples:
  klamm bench produce --create --partitions 4 --batch-size 64KiB --duration 5
  klamm bench consume --consumers 2
  klamm bench end-to-end --topic paced --create --rate 20000 --record-size 100

Latencies are those of batches. With a rate they begin when a batch is due, sent or not.
Ctrl-C ends a run before its time, with the figures until then.

Exit codes:
  0  all is well; what the broker refused is counted by its name
  1  something read is not what was sent, a connection was lost, an answer did not come, nothing
     was acknowledged or read, or the run was interrupted
  2  arguments that make no sense";

/// Arguments of `klamm bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) connect: Connect,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Send records, and measure when they are acknowledged.
    Produce(Produce),
    /// Read a topic, and check what comes.
    Consume(Consume),
    /// Send and read at once, measure when records arrive, and check that each comes once.
    EndToEnd(EndToEnd),
}

#[derive(Debug, clap::Args)]
pub(super) struct Produce {
    #[command(flatten)]
    pub(super) topic: Topic,
    #[command(flatten)]
    pub(super) sending: Sending,
    #[command(flatten)]
    pub(super) until: Until,
}

#[derive(Debug, clap::Args)]
pub(super) struct Consume {
    #[command(flatten)]
    pub(super) topic: Topic,
    #[command(flatten)]
    pub(super) fetch: Fetching,
    #[command(flatten)]
    pub(super) until: Until,
    /// Begin with the records that come from now on, not with the first.
    #[arg(long)]
    pub(super) latest: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct EndToEnd {
    #[command(flatten)]
    pub(super) topic: Topic,
    #[command(flatten)]
    pub(super) produce: Sending,
    #[command(flatten)]
    pub(super) fetch: Fetching,
    #[command(flatten)]
    pub(super) until: Until,
}

#[derive(Debug, clap::Args)]
pub(super) struct Topic {
    /// The topic. Nothing else should write to it meanwhile.
    #[arg(long, default_value = "klamm-bench")]
    pub(super) topic: String,
    /// How many of its partitions take part [default: all; with --create: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) partitions: Option<i32>,
    /// Create the topic if it is not there.
    #[arg(long)]
    pub(super) create: bool,
    /// A setting of the topic that is created. May be given several times.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = key_value, requires = "create")]
    pub(super) configs: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Sending {
    /// Producers, each with a connection.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=PRODUCERS_MAX))]
    pub(super) producers: u16,
    /// Bytes of a record's value; SI and binary units are known.
    #[arg(long, value_name = "BYTES", default_value = "1KiB", value_parser = bytes)]
    pub(super) record_size: usize,
    /// Bytes of a batch before compression; one record if that is less.
    #[arg(long, value_name = "BYTES", default_value = "16KiB", value_parser = bytes)]
    pub(super) batch_size: usize,
    /// Compress batches.
    #[arg(short = 'z', long, value_enum, default_value_t = CodecName::None)]
    pub(super) codec: CodecName,
    /// Records per second of all producers together; a batch leaves when it is due, and its latency
    /// begins then. 0 is as fast as possible.
    #[arg(long, value_name = "N", default_value_t = 0.0, value_parser = rate, allow_negative_numbers = true)]
    pub(super) rate: f64,
    /// Which copies must have a batch before it counts.
    #[arg(long, value_enum, default_value_t = AcksName::All)]
    pub(super) acks: AcksName,
    /// Requests of a connection that may be unanswered.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) in_flight: u16,
    /// Threads that drive the producers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) producer_threads: u16,
}

#[derive(Debug, clap::Args)]
pub(super) struct Fetching {
    /// Consumers, each with a connection. They share the partitions; where there are more consumers
    /// than partitions, several read the same one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) consumers: u16,
    /// How long the broker may wait for records, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(super) max_wait: u16,
    /// For how many bytes it waits.
    #[arg(long, value_name = "BYTES", default_value = "1", value_parser = bytes)]
    pub(super) min_bytes: usize,
    /// Most bytes of an answer.
    #[arg(long, value_name = "BYTES", default_value = "50MiB", value_parser = bytes)]
    pub(super) max_bytes: usize,
    /// Most bytes of one partition in an answer.
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = bytes)]
    pub(super) partition_bytes: usize,
    /// Threads that drive the consumers.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) consumer_threads: u16,
}

#[derive(Debug, clap::Args)]
pub(super) struct Until {
    /// Stop after so many seconds [default: 10; consume: at what is the end now]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "records", allow_negative_numbers = true)]
    pub(super) duration: Option<Duration>,
    /// Stop after so many records.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) records: Option<u64>,
}

impl Args {
    pub(super) fn topic(&self) -> &Topic {
        match &self.verb {
            Verb::Produce(produce) => &produce.topic,
            Verb::Consume(consume) => &consume.topic,
            Verb::EndToEnd(both) => &both.topic,
        }
    }

    /// Whether reading begins with what comes from now on.
    pub(super) fn reads_latest(&self) -> bool {
        match &self.verb {
            Verb::Produce(_) | Verb::EndToEnd(_) => true,
            Verb::Consume(consume) => consume.latest,
        }
    }

    pub(super) fn limit(&self) -> Result<Limit, CommandError> {
        let (until, otherwise) = match &self.verb {
            Verb::Produce(produce) => (&produce.until, Limit::Duration(DURATION)),
            Verb::EndToEnd(both) => (&both.until, Limit::Duration(DURATION)),
            Verb::Consume(consume) if consume.latest => (&consume.until, Limit::Duration(DURATION)),
            Verb::Consume(consume) => (&consume.until, Limit::Ends),
        };
        Ok(match (until.duration, until.records) {
            (Some(duration), _) => Limit::Duration(duration),
            (None, Some(records)) => Limit::Records(records),
            (None, None) => otherwise,
        })
    }

    /// Combinations that mean nothing.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        match &self.verb {
            Verb::EndToEnd(both) if matches!(both.produce.acks, AcksName::None) => {
                Err(CommandError(
                    "end-to-end needs acknowledgements: without them nobody knows what must arrive"
                        .to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Produce {
    pub(super) fn spec(&self, limit: Limit) -> ProduceSpec {
        self.sending.spec(limit)
    }
}

impl Sending {
    pub(super) fn spec(&self, limit: Limit) -> ProduceSpec {
        ProduceSpec {
            producers: usize::from(self.producers),
            threads: usize::from(self.producer_threads),
            batch: BatchSpec {
                codec: self.codec.into(),
                record_bytes: self.record_size,
                batch_bytes: self.batch_size,
            },
            rate: (self.rate > 0.0).then_some(self.rate),
            limit,
            acks: self.acks.into(),
            in_flight: usize::from(self.in_flight),
            first_producer: fastrand::u16(..),
        }
    }
}

impl Fetching {
    pub(super) fn spec(&self, limit: Limit) -> FetchSpec {
        let wire = |bytes| i32::try_from(bytes).unwrap_or(i32::MAX);
        FetchSpec {
            consumers: usize::from(self.consumers),
            threads: usize::from(self.consumer_threads),
            limit,
            wait: Duration::from_millis(u64::from(self.max_wait)),
            min_bytes: wire(self.min_bytes),
            max_bytes: wire(self.max_bytes),
            partition_bytes: wire(self.partition_bytes),
        }
    }
}

/// Bytes with a unit: `100`, `16KiB`, `1MB`.
fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1024,
        "MB" => 1_000_000,
        "MiB" => 1024 * 1024,
        "GB" => 1_000_000_000,
        "GiB" => 1024 * 1024 * 1024,
        _ => return Err("expected bytes, as 100, 16KiB or 1MB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "expected a number")?;
    number
        .checked_mul(factor)
        .filter(|bytes| i32::try_from(*bytes).is_ok())
        .ok_or_else(|| "more than a request can hold".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| {
        let duration = Duration::try_from_secs_f64(seconds).ok()?;
        (!duration.is_zero()).then_some(duration)
    });
    seconds.ok_or_else(|| "expected seconds, more than 0".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number")?;
    match rate.is_finite() && rate >= 0.0 {
        true => Ok(rate),
        false => Err("expected records per second, or 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_numbers_that_mean_something() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "1e30", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(rate("0"), Ok(0.0));
        for text in ["-1", "nan", "inf", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("100"), Ok(100));
        assert_eq!(bytes("16KiB"), Ok(16_384));
        assert_eq!(bytes("2 MB"), Ok(2_000_000));
        assert!(bytes("KiB").is_err());
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert!(bytes("2GiB").is_err());
        assert!(bytes("1 mile").is_err());
        assert!(bytes("4096MiB").is_err());
    }
}
