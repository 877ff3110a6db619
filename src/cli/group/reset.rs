//! `klamm group reset-offsets`: sets what a group has committed, as `kafka-consumer-groups.sh
//! --reset-offsets` does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::output::print;
use super::super::{CommandError, Format};
use super::ends::{self, Place};
use super::{datetime, table};
use crate::kafka::client::{Client, Committed, OffsetSpec};
use crate::model::{Offset, Timestamp};

/// States in which a group has no members; one that does not exist may be given offsets.
const WITHOUT_MEMBERS: [&str; 2] = ["Empty", "Dead"];

/// Arguments of `klamm group reset-offsets`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The group.
    group: String,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    target: Target,
    /// Only show what would be set. This is so without --execute, too.
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
    /// Set it.
    #[arg(long)]
    execute: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// A topic, or some of its partitions. May be given several times.
    #[arg(long = "topic", value_name = "TOPIC[:N,N...]", value_parser = topic)]
    topics: Vec<Topic>,
    /// All that the group has committed.
    #[arg(long)]
    all_topics: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// To the first record.
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record.
    #[arg(long)]
    to_latest: bool,
    /// To an offset, or the nearest that there is.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// By so many records, backwards if negative.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the first record since a moment, such as 2026-01-31T12:00:00 (UTC).
    #[arg(long, value_name = "DATETIME", value_parser = datetime::parse)]
    to_datetime: Option<Timestamp>,
}

/// A topic, and the partitions of it that are meant; all, if none are named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    name: String,
    partitions: Vec<i32>,
}

fn topic(text: &str) -> Result<Topic, String> {
    let Some((name, numbers)) = text.split_once(':') else {
        return Ok(Topic {
            name: text.to_owned(),
            partitions: Vec::new(),
        });
    };
    let numbers = numbers.split(',').map(|number| match number.parse() {
        Ok(number @ 0..) => Ok(number),
        Ok(_) | Err(_) => Err("expected TOPIC or TOPIC:N,N...".to_owned()),
    });
    Ok(Topic {
        name: name.to_owned(),
        partitions: numbers.collect::<Result<_, _>>()?,
    })
}

pub(super) async fn run(
    client: &mut Client,
    args: &Args,
    format: Format,
) -> Result<(), CommandError> {
    idle(client, &args.group).await?;
    let committed: BTreeMap<Place, Offset> = client
        .committed(&args.group)
        .await?
        .into_iter()
        .map(|committed| ((committed.topic, committed.partition), committed.offset))
        .collect();
    let places = places(client, &args.scope, &committed).await?;
    let offsets = new_offsets(client, &args.target, &places, &committed).await?;
    let offsets: Vec<_> = offsets
        .into_iter()
        .map(|((topic, partition), offset)| Committed {
            topic,
            partition,
            offset,
        })
        .collect();
    if args.execute {
        client.commit(&args.group, &offsets).await?;
    } else if !args.dry_run {
        eprintln!("klamm: nothing is set without --execute");
    }
    match format {
        Format::Text => print(&as_text(&args.group, &offsets)),
        Format::Json => print(&format!(
            "{}\n",
            offsets.iter().map(as_json).collect::<Value>()
        )),
    }
}

/// Makes sure that nobody is in the group: its members would go on from where they are.
async fn idle(client: &mut Client, name: &str) -> Result<(), CommandError> {
    let group = match client.group(name).await {
        Ok(group) => group,
        Err(error) if error.is_unknown_group() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match WITHOUT_MEMBERS.contains(&group.state.as_str()) {
        true => Ok(()),
        false => Err(CommandError(format!(
            "offsets can only be set while group {name} has no members, but it is {}",
            group.state
        ))),
    }
}

/// The partitions that are meant, all of which exist.
async fn places(
    client: &mut Client,
    scope: &Scope,
    committed: &BTreeMap<Place, Offset>,
) -> Result<BTreeSet<Place>, CommandError> {
    if scope.all_topics {
        return Ok(committed.keys().cloned().collect());
    }
    let mut places = BTreeSet::new();
    for wanted in &scope.topics {
        let topic = client.topic(&wanted.name, false).await?;
        let there: BTreeSet<_> = topic.partitions.iter().map(|it| it.number).collect();
        let missing = wanted.partitions.iter().find(|it| !there.contains(it));
        if let Some(missing) = missing {
            let name = &wanted.name;
            return Err(CommandError(format!("{name} has no partition {missing}")));
        }
        let numbers = match wanted.partitions.is_empty() {
            true => there,
            false => wanted.partitions.iter().copied().collect(),
        };
        places.extend(numbers.into_iter().map(|it| (wanted.name.clone(), it)));
    }
    Ok(places)
}

/// What the partitions are set to: always an offset that is, or comes next, in the partition.
async fn new_offsets(
    client: &mut Client,
    target: &Target,
    places: &BTreeSet<Place>,
    committed: &BTreeMap<Place, Offset>,
) -> Result<BTreeMap<Place, Offset>, CommandError> {
    let first = ends::offsets(client, places, OffsetSpec::Earliest).await?;
    let end = ends::offsets(client, places, OffsetSpec::Latest).await?;
    let found = match target.to_datetime {
        Some(moment) => ends::offsets(client, places, OffsetSpec::At(moment)).await?,
        None => BTreeMap::new(),
    };
    let mut offsets = BTreeMap::new();
    for place in places {
        let (topic, number) = place;
        let (Some(first), Some(end)) = (first.get(place), end.get(place)) else {
            return Err(CommandError(format!("{topic}-{number} has no leader")));
        };
        let wanted = match *target {
            Target {
                to_earliest: true, ..
            } => *first,
            Target {
                to_offset: Some(offset),
                ..
            } => Offset(offset),
            Target {
                shift_by: Some(by), ..
            } => match committed.get(place) {
                Some(offset) => Offset(offset.0.saturating_add(by)),
                None => {
                    let reason = "nothing is committed that could be shifted";
                    return Err(CommandError(format!("{topic}-{number}: {reason}")));
                }
            },
            // Behind the last record if none is as late, as Kafka's tool has it.
            Target {
                to_datetime: Some(_),
                ..
            } => {
                let found = found.get(place).filter(|offset| offset.0 >= 0);
                *found.unwrap_or(end)
            }
            // One target is always given.
            Target {
                to_latest: true | false,
                ..
            } => *end,
        };
        let possible = wanted.clamp(*first, *end);
        if possible != wanted {
            eprintln!(
                "klamm: {topic}-{number} has no offset {}: it is set to {}",
                wanted.0, possible.0
            );
        }
        offsets.insert(place.clone(), possible);
    }
    Ok(offsets)
}

fn as_text(group: &str, offsets: &[Committed]) -> String {
    let mut rows = vec![["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"].map(str::to_owned)];
    rows.extend(offsets.iter().map(|committed| {
        [
            group.to_owned(),
            committed.topic.clone(),
            committed.partition.to_string(),
            committed.offset.0.to_string(),
        ]
    }));
    table(&rows)
}

fn as_json(committed: &Committed) -> Value {
    json!({
        "topic": committed.topic,
        "partition": committed.partition,
        "offset": committed.offset.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_be_narrowed_to_partitions() {
        let topic = |text: &str| topic(text).map(|topic| (topic.name, topic.partitions));
        assert_eq!(topic("t"), Ok(("t".to_owned(), vec![])));
        assert_eq!(topic("t:0,2"), Ok(("t".to_owned(), vec![0, 2])));
        for text in ["t:", "t:a", "t:1,", "t:-1"] {
            assert!(topic(text).is_err(), "{text}");
        }
    }
}
