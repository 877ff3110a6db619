//! Finds the topic, its leaders and its ends, and creates it if that is asked for.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use super::super::CommandError;
use super::args::Args;
use crate::bench::{FETCH_VERSION, PRODUCE_VERSION_MAX, PRODUCE_VERSION_MIN, Partition, Target};
use crate::kafka::client::{Client, ClientError, NewTopic, OffsetSpec, TopicInfo};
use crate::model::Offset;

/// API keys of Produce and Fetch.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

/// How often, and how long between, a topic that comes into being is looked at.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// What the load is put on.
pub(super) async fn find(args: &Args) -> Result<Target, CommandError> {
    let mut client = args.connect.client().await?;
    let produce_version = version(&client, PRODUCE, PRODUCE_VERSION_MIN..=PRODUCE_VERSION_MAX)?;
    version(&client, FETCH, FETCH_VERSION..=FETCH_VERSION)?;
    let wanted = args.topic();
    let topic = topic(&mut client, args).await?;
    let count = match wanted.partitions {
        Some(count) => usize::try_from(count).unwrap_or(0),
        None => topic.partitions.len(),
    };
    if topic.partitions.len() < count {
        let (name, has) = (&topic.name, topic.partitions.len());
        return Err(CommandError(format!(
            "{name} is there with fewer partitions: {has}, and not {count}"
        )));
    }
    let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for partition in topic.partitions.iter().take(count) {
        let leader = partition.leader.unwrap_or(-1);
        led.entry(leader).or_default().push(partition.number);
    }
    let mut partitions = Vec::with_capacity(count);
    for (leader, numbers) in led {
        let address = address(&client, leader).await?;
        let ends = offsets(
            &mut client,
            leader,
            &topic.name,
            &numbers,
            OffsetSpec::Latest,
        )
        .await?;
        let from = match args.reads_latest() {
            true => ends.clone(),
            false => {
                offsets(
                    &mut client,
                    leader,
                    &topic.name,
                    &numbers,
                    OffsetSpec::Earliest,
                )
                .await?
            }
        };
        let at = |offsets: &HashMap<i32, Offset>, number| {
            offsets.get(number).map_or(0, |offset| offset.0)
        };
        partitions.extend(numbers.iter().map(|number| Partition {
            number: *number,
            leader: address,
            from: at(&from, number),
            end: at(&ends, number),
        }));
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(Target {
        topic: topic.name,
        partitions,
        produce_version,
        client_id: format!("{}-bench", env!("CARGO_PKG_NAME")),
    })
}

async fn topic(client: &mut Client, args: &Args) -> Result<TopicInfo, CommandError> {
    let wanted = args.topic();
    match client.topic(&wanted.topic, false).await {
        Err(error) if error.is_unknown_topic() => {
            if !wanted.create {
                return Err(CommandError(format!("{error}; --create makes it")));
            }
        }
        found => return Ok(found?),
    }
    let new = NewTopic {
        name: wanted.topic.clone(),
        partitions: Some(wanted.partitions.unwrap_or(1)),
        replication_factor: None,
        configs: wanted.configs.clone(),
    };
    client.create_topic(&new).await?;
    let mut attempts = 1;
    loop {
        // Where brokers learn of a topic one after the other, it is not there at once.
        match client.topic(&wanted.topic, false).await {
            Err(error) if error.is_unknown_topic() && attempts < ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
            found => return Ok(found?),
        }
    }
}

/// Ends or beginnings, once the leader knows that it leads: metadata may be ahead of it.
async fn offsets(
    client: &mut Client,
    leader: i32,
    topic: &str,
    partitions: &[i32],
    spec: OffsetSpec,
) -> Result<HashMap<i32, Offset>, CommandError> {
    let mut attempts = 1;
    loop {
        match client.offsets(leader, topic, partitions, spec).await {
            Err(error) if error.is_retriable() && attempts < ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
            found => return Ok(found?),
        }
    }
}

/// The newest version that both sides speak.
fn version(
    client: &Client,
    api: i16,
    ours: std::ops::RangeInclusive<i16>,
) -> Result<i16, CommandError> {
    let (oldest, newest) = client.versions(api).unwrap_or((i16::MAX, i16::MIN));
    let version = newest.min(*ours.end());
    match version >= oldest && ours.contains(&version) {
        true => Ok(version),
        false => Err(CommandError(format!(
            "the broker does not speak versions {} to {} of API {api}",
            ours.start(),
            ours.end()
        ))),
    }
}

/// Where a broker can be reached: names may stand for several addresses, of which one answers.
async fn address(client: &Client, node: i32) -> Result<SocketAddr, CommandError> {
    let address = client.address(node).ok_or(ClientError::UnknownNode(node))?;
    tokio::net::TcpStream::connect(address)
        .await
        .and_then(|stream| stream.peer_addr())
        .map_err(|error| CommandError(format!("{address}: {error}")))
}
