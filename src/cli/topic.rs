//! `klamm topic`: creates, lists, describes and deletes topics.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::connect::Connect;
use super::output::print;
use super::{CommandError, Format};
use crate::kafka::client::{Client, ConfigEntry, NewTopic, TopicInfo};

/// Arguments of `klamm topic`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Create a topic.
    Create {
        /// Its name.
        name: String,
        /// How many partitions; by default as many as the broker's `num.partitions` says.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// How many replicas; by default as many as the broker is configured for.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A setting of the topic. May be given several times.
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = super::key_value)]
        configs: Vec<(String, String)>,
    },
    /// List the names of all topics.
    List,
    /// Show partitions and settings of topics.
    Describe {
        /// One topic; all, if none is given.
        name: Option<String>,
    },
    /// Delete topics, with everything in them.
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Runs the command.
pub(crate) async fn run(args: Args, format: Format) -> Result<(), CommandError> {
    let mut client = args.connect.client().await?;
    match args.verb {
        Verb::Create {
            name,
            partitions,
            replication_factor,
            configs,
        } => {
            let topic = NewTopic {
                name,
                partitions,
                replication_factor,
                configs,
            };
            create(&mut client, &topic, format).await
        }
        Verb::List => list(&mut client, format).await,
        Verb::Describe { name } => describe(&mut client, name, format).await,
        Verb::Delete { names } => delete(&mut client, &names, format).await,
    }
}

async fn create(client: &mut Client, topic: &NewTopic, format: Format) -> Result<(), CommandError> {
    let partitions = client.create_topic(topic).await?;
    let name = &topic.name;
    match format {
        Format::Text => print(&format!("created {name} with {partitions} partitions\n")),
        Format::Json => print(&format!(
            "{}\n",
            json!({"name": name, "partitions": partitions})
        )),
    }
}

async fn list(client: &mut Client, format: Format) -> Result<(), CommandError> {
    let cluster = client.cluster(None, false).await?;
    let names = cluster.topics.iter().map(|topic| topic.name.as_str());
    match format {
        Format::Text => print(&names.map(|name| format!("{name}\n")).collect::<String>()),
        Format::Json => print(&format!("{}\n", Value::from_iter(names))),
    }
}

async fn describe(
    client: &mut Client,
    name: Option<String>,
    format: Format,
) -> Result<(), CommandError> {
    let topics = match name {
        Some(name) => vec![client.topic(&name, false).await?],
        None => client.cluster(None, false).await?.topics,
    };
    let mut described = Vec::new();
    for topic in topics {
        let configs = client.topic_configs(&topic.name).await?;
        described.push((topic, configs));
    }
    match format {
        Format::Text => print(&described.iter().map(as_text).collect::<String>()),
        Format::Json => print(&format!(
            "{}\n",
            described.iter().map(as_json).collect::<Value>()
        )),
    }
}

async fn delete(client: &mut Client, names: &[String], format: Format) -> Result<(), CommandError> {
    let mut deleted = Vec::new();
    let mut failures = Vec::new();
    for (name, outcome) in client.delete_topics(names).await? {
        match outcome {
            Ok(()) => deleted.push(name),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match format {
        Format::Text => {
            print(
                &deleted
                    .iter()
                    .map(|name| format!("deleted {name}\n"))
                    .collect::<String>(),
            )?;
        }
        Format::Json => print(&format!("{}\n", json!({"deleted": deleted})))?,
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(CommandError(failures.join("\nklamm: "))),
    }
}

/// The form of `kafka-topics.sh --describe`.
fn as_text((topic, configs): &(TopicInfo, Vec<ConfigEntry>)) -> String {
    let name = &topic.name;
    let configs: Vec<_> = configs
        .iter()
        .map(|config| {
            format!(
                "{}={}",
                config.name,
                config.value.as_deref().unwrap_or_default()
            )
        })
        .collect();
    let mut text = format!(
        "Topic: {name}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}\n",
        topic.id.map(|id| id.to_base64()).unwrap_or_default(),
        topic.partitions.len(),
        replication_factor(topic),
        configs.join(",")
    );
    for partition in &topic.partitions {
        let leader = partition
            .leader
            .map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "\tTopic: {name}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            partition.number,
            joined(&partition.replicas),
            joined(&partition.in_sync)
        );
    }
    text
}

fn as_json((topic, configs): &(TopicInfo, Vec<ConfigEntry>)) -> Value {
    let partitions = topic.partitions.iter().map(|partition| {
        json!({
            "partition": partition.number,
            "leader": partition.leader,
            "replicas": partition.replicas,
            "isr": partition.in_sync,
        })
    });
    let configs = configs
        .iter()
        .map(|config| (config.name.clone(), json!(config.value)));
    json!({
        "name": topic.name,
        "id": topic.id.map(|id| id.to_base64()),
        "internal": topic.internal,
        "replication_factor": replication_factor(topic),
        "configs": configs.collect::<Value>(),
        "partitions": partitions.collect::<Value>(),
    })
}

fn replication_factor(topic: &TopicInfo) -> usize {
    topic
        .partitions
        .first()
        .map_or(0, |partition| partition.replicas.len())
}

fn joined(nodes: &[i32]) -> String {
    nodes
        .iter()
        .map(i32::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
