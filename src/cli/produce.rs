//! `klamm produce`: sends lines as records.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use serde_json::json;
use tokio::sync::mpsc;

use super::connect::Connect;
use super::output::print;
use super::template::unescape;
use super::{CommandError, Format};
use crate::batch::{BatchBuilder, Codec, Header, Level};
use crate::clock::{SharedClock, SystemClock};
use crate::kafka::client::partitioner::{Partitioner, Strategy};
use crate::kafka::client::{Client, Delivery, Outgoing, TopicInfo};
use crate::model::Acks;

/// A batch is closed when its records have so many bytes. Brokers take 1 MiB by default, and
/// compression may add a little.
const BATCH_BYTES: usize = 512 * 1024;

/// Lines are handed over in pieces of this size, or smaller when no more is there to read.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces that are read ahead of the network.
const PIECES_AHEAD: usize = 64;

/// How often a batch is sent again when its leader is moving, and how long between.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// Arguments of `klamm produce`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The topic; the broker creates it if it is so configured.
    topic: String,
    /// Read lines from this file instead of stdin.
    file: Option<PathBuf>,
    /// A line is a key, this delimiter, and a value. Knows \t and other escapes.
    #[arg(short = 'K', long, value_name = "DELIM")]
    key_delimiter: Option<String>,
    /// Send everything to this partition.
    #[arg(short, long, value_name = "N", conflicts_with = "partitioner")]
    partition: Option<i32>,
    /// Compress batches.
    #[arg(short = 'z', long, value_enum, default_value_t = CodecName::None)]
    codec: CodecName,
    /// How records are spread over partitions.
    #[arg(long, value_enum, default_value_t = StrategyName::Murmur2)]
    partitioner: StrategyName,
    /// A header of every record. May be given several times, also with the same key.
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = super::key_value)]
    headers: Vec<(String, String)>,
    /// Which copies must have a record before it counts as sent.
    #[arg(long, value_enum, default_value_t = AcksName::All)]
    acks: AcksName,
    /// Send an empty value as null, which deletes its key from a compacted topic.
    #[arg(short = 'Z', long)]
    null: bool,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Self {
        match name {
            CodecName::None => Self::None,
            CodecName::Gzip => Self::Gzip,
            CodecName::Snappy => Self::Snappy,
            CodecName::Lz4 => Self::Lz4,
            CodecName::Zstd => Self::Zstd,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StrategyName {
    /// As Java: by the key, else one partition per batch.
    Murmur2,
    /// As librdkafka: by the key, else at random.
    Crc32,
    /// In turn.
    RoundRobin,
    /// One partition per batch.
    Sticky,
    /// At random.
    Random,
}

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Self {
        match name {
            StrategyName::Murmur2 => Self::Murmur2,
            StrategyName::Crc32 => Self::Crc32,
            StrategyName::RoundRobin => Self::RoundRobin,
            StrategyName::Sticky => Self::Sticky,
            StrategyName::Random => Self::Random,
        }
    }
}

/// Which copies must have a record.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum AcksName {
    /// None: nothing says whether it arrived.
    #[value(name = "0")]
    None,
    /// The leader's.
    #[value(name = "1")]
    Leader,
    /// All in-sync ones, as durable as the topic is.
    #[value(name = "all", alias = "-1")]
    All,
}

impl From<AcksName> for Acks {
    fn from(name: AcksName) -> Self {
        match name {
            AcksName::None => Self::None,
            AcksName::Leader => Self::Leader,
            AcksName::All => Self::All,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(args: Args, format: Format) -> Result<(), CommandError> {
    let input: Box<dyn Read + Send> = match &args.file {
        Some(path) => Box::new(
            std::fs::File::open(path)
                .map_err(|error| CommandError(format!("{}: {error}", path.display())))?,
        ),
        None => Box::new(std::io::stdin()),
    };
    let client = args.connect.client().await?;
    let mut producer = Producer::new(client, &args).await?;
    let (pieces, mut read) = mpsc::channel(PIECES_AHEAD);
    // A thread of its own: a read of stdin cannot be interrupted, and must not keep the process.
    std::thread::Builder::new()
        .name("klamm-input".to_owned())
        .spawn(move || read_pieces(input, &pieces))
        .map_err(|error| CommandError(format!("cannot start a thread: {error}")))?;
    while let Some(piece) = read.recv().await {
        let piece = piece.map_err(|error| CommandError(format!("cannot read: {error}")))?;
        for line in piece.split(|&byte| byte == b'\n') {
            producer.push(line).await?;
        }
        if read.is_empty() {
            // Nobody knows when the next line comes.
            producer.flush().await?;
        }
    }
    producer.flush().await?;
    match format {
        Format::Text => Ok(()),
        Format::Json => print(&format!("{}\n", json!({"records": producer.sent}))),
    }
}

/// Hands over whole lines, the line break behind the last one removed, until the input ends.
fn read_pieces(input: impl Read, pieces: &mpsc::Sender<std::io::Result<Bytes>>) {
    let mut input = BufReader::with_capacity(PIECE_BYTES, input);
    let mut piece = Vec::new();
    loop {
        let outcome = input.read_until(b'\n', &mut piece);
        let ended = matches!(outcome, Ok(0) | Err(_));
        let idle = !input.buffer().contains(&b'\n');
        if (ended || idle || piece.len() >= PIECE_BYTES) && !piece.is_empty() {
            if piece.last() == Some(&b'\n') {
                piece.pop();
            }
            let piece = Bytes::from(std::mem::take(&mut piece));
            if pieces.blocking_send(Ok(piece)).is_err() {
                return;
            }
        }
        if let Err(error) = outcome {
            // Whoever is gone does not want to know.
            let _ = pieces.blocking_send(Err(error));
            return;
        }
        if ended {
            return;
        }
    }
}

/// Collects records into one open batch per partition.
struct Producer<'a> {
    client: Client,
    args: &'a Args,
    topic: TopicInfo,
    delimiter: Option<Vec<u8>>,
    partitioner: Partitioner,
    /// One per partition, in their order.
    open: Vec<BatchBuilder>,
    clock: SharedClock,
    sent: usize,
}

impl<'a> Producer<'a> {
    async fn new(mut client: Client, args: &'a Args) -> Result<Self, CommandError> {
        let topic = client.topic(&args.topic, true).await?;
        let count = topic.partitions.len();
        if let Some(partition) = args.partition
            && !usize::try_from(partition).is_ok_and(|partition| partition < count)
        {
            let name = &args.topic;
            return Err(CommandError(format!(
                "{name} has partitions 0 to {}",
                count - 1
            )));
        }
        let seed = fastrand::u64(..);
        let partitions = u32::try_from(count).unwrap_or(1);
        Ok(Self {
            client,
            args,
            topic,
            delimiter: args.key_delimiter.as_deref().map(unescape).transpose()?,
            partitioner: Partitioner::new(args.partitioner.into(), partitions, seed),
            open: vec![BatchBuilder::new(); count],
            clock: SystemClock::shared(),
            sent: 0,
        })
    }

    /// Adds a line to the batch of its partition, sending what is open if that is full.
    async fn push(&mut self, line: &[u8]) -> Result<(), CommandError> {
        let (key, value) = match &self.delimiter {
            Some(delimiter) => split(line, delimiter),
            None => (None, line),
        };
        let value = (!value.is_empty() || !self.args.null).then_some(value);
        let partition = match self.args.partition {
            Some(partition) => partition,
            None => self.partitioner.choose(key).0,
        };
        let at = usize::try_from(partition).unwrap_or(0);
        let full =
            |batch: &BatchBuilder| !batch.is_empty() && batch.size() + line.len() > BATCH_BYTES;
        if self.open.get(at).is_some_and(full) {
            self.flush().await?;
        }
        let headers: Vec<_> = self
            .args
            .headers
            .iter()
            .map(|(key, value)| Header {
                key: key.as_bytes(),
                value: Some(value.as_bytes()),
            })
            .collect();
        if let Some(batch) = self.open.get_mut(at) {
            batch.push_with_headers(self.clock.wall(), key, value, &headers);
        }
        Ok(())
    }

    /// Sends all open batches, and waits until they are stored.
    async fn flush(&mut self) -> Result<(), CommandError> {
        let mut outgoing = Vec::new();
        let mut records = 0;
        for (open, partition) in self.open.iter_mut().zip(&self.topic.partitions) {
            if open.is_empty() {
                continue;
            }
            records += open.len();
            let batch = std::mem::take(open)
                .compression(self.args.codec.into(), Level::Default)
                .build()
                .map_err(|error| CommandError(error.to_string()))?;
            outgoing.push(Outgoing {
                partition: partition.number,
                leader: partition.leader.unwrap_or(-1),
                batch: batch.bytes,
            });
        }
        let mut attempts = 0;
        while !outgoing.is_empty() {
            let deliveries = self
                .client
                .produce(&self.args.topic, self.args.acks.into(), &outgoing)
                .await?;
            let mut again = Vec::new();
            let mut last = None;
            for (batch, delivery) in outgoing.into_iter().zip(deliveries) {
                if let Delivery::Retriable(error) = delivery {
                    again.push(batch);
                    last = Some(error);
                }
            }
            outgoing = again;
            attempts += 1;
            if let Some(error) = last {
                if attempts == ATTEMPTS {
                    return Err(error.into());
                }
                tokio::time::sleep(PAUSE).await;
                self.follow_leaders(&mut outgoing).await?;
            }
        }
        self.partitioner.batch_closed();
        self.sent += records;
        Ok(())
    }

    async fn follow_leaders(&mut self, batches: &mut [Outgoing]) -> Result<(), CommandError> {
        self.topic = self.client.topic(&self.args.topic, false).await?;
        for batch in batches {
            let leader = self
                .topic
                .partitions
                .iter()
                .find(|partition| partition.number == batch.partition)
                .and_then(|partition| partition.leader);
            batch.leader = leader.unwrap_or(batch.leader);
        }
        Ok(())
    }
}

/// Key and value; a line without the delimiter is a value.
fn split<'l>(line: &'l [u8], delimiter: &[u8]) -> (Option<&'l [u8]>, &'l [u8]) {
    let at = line
        .windows(delimiter.len().max(1))
        .position(|window| window == delimiter);
    match at.and_then(|at| Some((line.get(..at)?, line.get(at + delimiter.len()..)?))) {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_the_first_delimiter() {
        assert_eq!(split(b"k:v:w", b":"), (Some(&b"k"[..]), &b"v:w"[..]));
        assert_eq!(split(b":v", b":"), (Some(&b""[..]), &b"v"[..]));
        assert_eq!(split(b"k=>", b"=>"), (Some(&b"k"[..]), &b""[..]));
        assert_eq!(split(b"v", b":"), (None, &b"v"[..]));
    }

    fn pieces(input: &'static [u8]) -> Vec<Vec<u8>> {
        let (send, mut receive) = mpsc::channel(1000);
        read_pieces(input, &send);
        drop(send);
        let mut lines = Vec::new();
        while let Ok(piece) = receive.try_recv() {
            lines.extend(
                piece
                    .unwrap()
                    .split(|&byte| byte == b'\n')
                    .map(<[u8]>::to_vec),
            );
        }
        lines
    }

    #[test]
    fn every_line_is_read_once_whether_or_not_the_last_one_ends() {
        assert_eq!(pieces(b"a\nb\n"), [b"a", b"b"]);
        assert_eq!(pieces(b"a\nb"), [b"a", b"b"]);
        assert_eq!(pieces(b"a\n\nb\n"), [&b"a"[..], b"", b"b"]);
        assert_eq!(pieces(b""), Vec::<Vec<u8>>::new());
    }
}
