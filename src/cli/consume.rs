//! `klamm consume`: prints records, and follows the topic.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::connect::Connect;
use super::output::{bytes_as_json, headers_as_json};
use super::template::Template;
use super::{CommandError, Format};
use crate::batch::{BatchHeader, HeaderError, RecordView, records};
use crate::kafka::client::{Client, ClientError, FetchPosition, Fetched, OffsetSpec, TopicInfo};
use crate::model::Offset;

/// How long brokers wait for records, all together, before they answer that there are none.
const WAIT: Duration = Duration::from_millis(500);

/// How long to wait before metadata is asked for again, when a leader is moving.
const PAUSE: Duration = Duration::from_millis(200);

/// What a record looks like if nobody says.
const DEFAULT_TEMPLATE: &str = r"%v\n";

/// Arguments of `klamm consume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The topic.
    topic: String,
    /// Read this partition only.
    #[arg(short, long, value_name = "N")]
    partition: Option<i32>,
    /// Where to begin: beginning, end, an offset, or -N for the last N of each partition.
    #[arg(
        short,
        long,
        value_name = "OFFSET",
        default_value = "beginning",
        allow_hyphen_values = true,
        value_parser = parse_start
    )]
    offset: Start,
    /// Stop after so many records.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Stop at the end instead of waiting for more.
    #[arg(short, long)]
    exit: bool,
    /// How a record is printed: %t topic, %p partition, %o offset, %T timestamp, %k key, %v or %s
    /// value, %h headers, %K and %S lengths of key and value, \n and other escapes.
    #[arg(short = 'f', long, value_name = "FORMAT")]
    template: Option<String>,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Beginning,
    End,
    At(i64),
    Last(i64),
}

fn parse_start(text: &str) -> Result<Start, String> {
    let start = match (text, text.strip_prefix('-')) {
        ("beginning", _) => Some(Start::Beginning),
        ("end", _) => Some(Start::End),
        (_, Some(last)) => last.parse().ok().map(Start::Last),
        (at, None) => at.parse().ok().map(Start::At),
    };
    match start {
        Some(Start::At(number) | Start::Last(number)) if number < 0 => None,
        start => start,
    }
    .ok_or_else(|| "expected beginning, end, an offset, or -N".to_owned())
}

/// Runs the command.
pub(crate) async fn run(args: Args, format: Format) -> Result<(), CommandError> {
    let layout = match format {
        Format::Json => Layout::Json,
        Format::Text => {
            let template = args.template.as_deref().unwrap_or(DEFAULT_TEMPLATE);
            Layout::Template(Template::parse(template)?)
        }
    };
    let mut client = args.connect.client().await?;
    let mut topic = client.topic(&args.topic, false).await?;
    let mut printer = Printer {
        layout,
        topic: args.topic.clone(),
        left: args.count,
    };
    let mut partitions = positions(&mut client, &topic, &args).await?;
    let stdout = io::stdout();
    let mut out = Vec::new();
    loop {
        for (leader, numbers) in by_leader(&topic, partitions.keys().copied()) {
            let wanted: Vec<_> = numbers
                .iter()
                .filter_map(|number| {
                    let offset = partitions.get(number)?.next;
                    Some(FetchPosition {
                        partition: *number,
                        offset,
                    })
                })
                .collect();
            let wait = WAIT / u32::try_from(partitions.len()).unwrap_or(1).max(1);
            let fetched = match client.fetch(leader, &args.topic, &wanted, wait).await {
                Ok(fetched) => fetched,
                Err(ClientError::Refused { code, .. }) if code.is_retriable() => {
                    tokio::time::sleep(PAUSE).await;
                    topic = client.topic(&args.topic, false).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for fetched in fetched {
                if let Some(position) = partitions.get_mut(&fetched.partition) {
                    position.take(&fetched, |record| {
                        printer.print(&mut out, fetched.partition, record)
                    })?;
                }
            }
            match stdout
                .lock()
                .write_all(&out)
                .and_then(|()| stdout.lock().flush())
            {
                Ok(()) => out.clear(),
                // Whoever read has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(CommandError(format!("cannot write to stdout: {error}"))),
            }
            if printer.left == Some(0) {
                return Ok(());
            }
        }
        if args.exit && partitions.values().all(Position::at_end) {
            return Ok(());
        }
    }
}

/// Where reading begins in each partition that is wanted.
async fn positions(
    client: &mut Client,
    topic: &TopicInfo,
    args: &Args,
) -> Result<BTreeMap<i32, Position>, CommandError> {
    let numbers: Vec<i32> = match args.partition {
        None => topic
            .partitions
            .iter()
            .map(|partition| partition.number)
            .collect(),
        Some(wanted) if topic.partitions.iter().any(|known| known.number == wanted) => {
            vec![wanted]
        }
        Some(wanted) => {
            return Err(CommandError(format!(
                "{} has no partition {wanted}",
                topic.name
            )));
        }
    };
    let mut positions = BTreeMap::new();
    for (leader, numbers) in by_leader(topic, numbers.into_iter()) {
        let first = client
            .offsets(leader, &topic.name, &numbers, OffsetSpec::Earliest)
            .await?;
        let end = client
            .offsets(leader, &topic.name, &numbers, OffsetSpec::Latest)
            .await?;
        for number in numbers {
            let first = first.get(&number).copied().unwrap_or_default();
            let end = end.get(&number).copied().unwrap_or_default();
            let next = match args.offset {
                Start::Beginning => first,
                Start::End => end,
                Start::At(offset) => Offset(offset),
                Start::Last(records) => first.max(end.plus(-records)),
            };
            positions.insert(number, Position { next, end: None });
        }
    }
    Ok(positions)
}

fn by_leader(topic: &TopicInfo, wanted: impl Iterator<Item = i32>) -> BTreeMap<i32, Vec<i32>> {
    let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for number in wanted {
        let partition = topic
            .partitions
            .iter()
            .find(|partition| partition.number == number);
        if let Some(leader) = partition.and_then(|partition| partition.leader) {
            leaders.entry(leader).or_default().push(number);
        }
    }
    leaders
}

/// Whether more records are wanted.
enum Wanted {
    More,
    Enough,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// Next offset that is wanted.
    next: Offset,
    /// End of the partition when it was last read.
    end: Option<Offset>,
}

impl Position {
    fn at_end(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Shows the records of an answer that are wanted, and moves on behind them.
    fn take(
        &mut self,
        fetched: &Fetched,
        mut show: impl FnMut(&RecordView<'_>) -> Wanted,
    ) -> Result<(), CommandError> {
        let at = self.next;
        let damaged = |what: String| {
            CommandError(format!(
                "partition {} from offset {at}: {what}",
                fetched.partition
            ))
        };
        self.end = Some(fetched.high_watermark);
        let mut rest = &fetched.records[..];
        loop {
            let header = match BatchHeader::parse(rest) {
                Ok(header) => header,
                // Brokers may cut the last batch.
                Err(HeaderError::Truncated(_)) => return Ok(()),
                Err(error @ (HeaderError::Length(_) | HeaderError::Magic(_))) => {
                    return Err(damaged(error.to_string()));
                }
            };
            let Some((batch, behind)) = rest.split_at_checked(header.total_len()) else {
                return Ok(());
            };
            rest = behind;
            if header.next_offset() <= self.next {
                continue;
            }
            if !header.crc_matches(batch) {
                return Err(damaged("the checksum of a batch does not match".to_owned()));
            }
            if !header.is_control() {
                let opened = records(batch).map_err(|error| damaged(error.to_string()))?;
                for record in &opened {
                    let record = record.map_err(|error| damaged(error.to_string()))?;
                    if record.offset < self.next {
                        continue;
                    }
                    if let Wanted::Enough = show(&record) {
                        self.next = record.offset.plus(1);
                        return Ok(());
                    }
                }
            }
            self.next = header.next_offset();
        }
    }
}

/// How a record is printed.
enum Layout {
    Template(Template),
    Json,
}

/// Prints records until there were enough.
struct Printer {
    layout: Layout,
    topic: String,
    left: Option<u64>,
}

impl Printer {
    fn print(&mut self, out: &mut Vec<u8>, partition: i32, record: &RecordView<'_>) -> Wanted {
        match self.left {
            Some(0) => return Wanted::Enough,
            Some(left) => self.left = Some(left - 1),
            None => {}
        }
        match &self.layout {
            Layout::Template(template) => template.render(out, &self.topic, partition, record),
            Layout::Json => {
                let record = as_json(&self.topic, partition, record);
                out.extend_from_slice(record.to_string().as_bytes());
                out.push(b'\n');
            }
        }
        match self.left {
            Some(0) => Wanted::Enough,
            Some(_) | None => Wanted::More,
        }
    }
}

fn as_json(topic: &str, partition: i32, record: &RecordView<'_>) -> Value {
    json!({
        "topic": topic,
        "partition": partition,
        "offset": record.offset.0,
        "timestamp": record.timestamp.0,
        "key": bytes_as_json(record.key),
        "value": bytes_as_json(record.value),
        "headers": headers_as_json(record),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch::{BatchBuilder, ControlType};
    use crate::model::Timestamp;

    #[test]
    fn starts_are_words_offsets_and_counts_from_the_end() {
        assert_eq!(parse_start("beginning"), Ok(Start::Beginning));
        assert_eq!(parse_start("end"), Ok(Start::End));
        assert_eq!(parse_start("12"), Ok(Start::At(12)));
        assert_eq!(parse_start("-3"), Ok(Start::Last(3)));
        for wrong in ["", "-", "--3", "+-1", "middle"] {
            assert!(parse_start(wrong).is_err(), "{wrong}");
        }
    }

    fn batch(base: i64, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(Offset(base));
        for value in values {
            builder.push(Timestamp(1), None, Some(value.as_bytes()));
        }
        builder.build().unwrap().bytes.to_vec()
    }

    fn marker(base: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(Offset(base)).control();
        builder.push(Timestamp(1), Some(&ControlType::Commit.key()), None);
        builder.build().unwrap().bytes.to_vec()
    }

    fn taken(position: &mut Position, records: Vec<u8>) -> Result<Vec<i64>, CommandError> {
        let high_watermark = Offset(100);
        let fetched = Fetched {
            partition: 0,
            high_watermark,
            records: Bytes::from(records),
        };
        let mut offsets = Vec::new();
        position.take(&fetched, |record| {
            offsets.push(record.offset.0);
            Wanted::More
        })?;
        Ok(offsets)
    }

    #[test]
    fn records_before_the_position_control_batches_and_a_cut_batch_are_passed_over() {
        let mut position = Position {
            next: Offset(11),
            end: None,
        };
        let cut = &batch(14, &["f"])[..60];
        let answer = [
            batch(5, &["old"]),
            batch(10, &["a", "b", "c"]),
            marker(13),
            cut.to_vec(),
        ]
        .concat();
        assert_eq!(taken(&mut position, answer).unwrap(), [11, 12]);
        assert_eq!(
            position,
            Position {
                next: Offset(14),
                end: Some(Offset(100))
            }
        );
        assert!(!position.at_end());
    }

    #[test]
    fn damaged_batches_are_an_error() {
        let mut answer = batch(0, &["value"]);
        let last = answer.len() - 1;
        answer[last] ^= 1;
        assert!(
            taken(
                &mut Position {
                    next: Offset(0),
                    end: None
                },
                answer
            )
            .is_err()
        );
    }
}
