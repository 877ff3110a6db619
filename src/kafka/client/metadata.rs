//! Who leads what.

use std::time::Duration;

use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::{self, MetadataResponse};

use super::super::codec::text;
use super::Client;
use super::error::{BrokerCode, ClientError, refused};
use crate::model::TopicId;

/// How often metadata is asked for while a topic comes into being, and how long between.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Brokers and topics, as one broker sees them.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// By name.
    pub(crate) topics: Vec<TopicInfo>,
}

/// One topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicInfo {
    /// Its name.
    pub(crate) name: String,
    /// Its id, where the broker tells.
    pub(crate) id: Option<TopicId>,
    /// Whether it belongs to the brokers.
    pub(crate) internal: bool,
    /// By number.
    pub(crate) partitions: Vec<PartitionInfo>,
    /// What is wrong with it.
    pub(crate) error: Option<BrokerCode>,
}

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionInfo {
    /// Its number.
    pub(crate) number: i32,
    /// The broker that takes its records.
    pub(crate) leader: Option<i32>,
    /// Brokers that store it.
    pub(crate) replicas: Vec<i32>,
    /// Those of them that have all of it.
    pub(crate) in_sync: Vec<i32>,
}

impl Client {
    /// The topics of those names, or all.
    pub(crate) async fn cluster(
        &mut self,
        topics: Option<&[String]>,
        create: bool,
    ) -> Result<Cluster, ClientError> {
        let answer = self
            .ask(|_| {
                let topics = topics.map(|names| {
                    names
                        .iter()
                        .map(|name| {
                            MetadataRequestTopic::default()
                                .with_name(Some(messages::TopicName(text(name.clone()))))
                        })
                        .collect()
                });
                MetadataRequest::default()
                    .with_topics(topics)
                    .with_allow_auto_topic_creation(create)
            })
            .await?;
        self.addresses = answer
            .brokers
            .iter()
            .map(|broker| {
                (
                    broker.node_id.0,
                    format!("{}:{}", broker.host.as_str(), broker.port),
                )
            })
            .collect();
        Ok(Cluster::from(answer))
    }

    /// One topic, once all of its partitions have leaders; with `create`, the broker makes it if
    /// it is so configured.
    pub(crate) async fn topic(
        &mut self,
        name: &str,
        create: bool,
    ) -> Result<TopicInfo, ClientError> {
        let names = [name.to_owned()];
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let cluster = self.cluster(Some(&names), create).await?;
            let Some(topic) = cluster.topics.into_iter().next() else {
                break;
            };
            match topic.error {
                None if topic
                    .partitions
                    .iter()
                    .all(|partition| partition.leader.is_some()) =>
                {
                    return Ok(topic);
                }
                Some(code) if !code.is_retriable() || (code.is_unknown_topic() && !create) => {
                    return Err(refused(name, code, None::<&str>));
                }
                error => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        match last {
            Some(code) => Err(refused(name, code, None::<&str>)),
            None => Err(ClientError::NoLeader(name.to_owned())),
        }
    }
}

impl From<MetadataResponse> for Cluster {
    fn from(answer: MetadataResponse) -> Self {
        let mut topics: Vec<_> = answer
            .topics
            .into_iter()
            .map(|topic| {
                let mut partitions: Vec<_> = topic
                    .partitions
                    .into_iter()
                    .map(|partition| PartitionInfo {
                        number: partition.partition_index,
                        leader: (partition.leader_id.0 >= 0).then_some(partition.leader_id.0),
                        replicas: partition.replica_nodes.iter().map(|node| node.0).collect(),
                        in_sync: partition.isr_nodes.iter().map(|node| node.0).collect(),
                    })
                    .collect();
                partitions.sort_by_key(|partition| partition.number);
                TopicInfo {
                    name: topic
                        .name
                        .map(|name| name.0.as_str().to_owned())
                        .unwrap_or_default(),
                    id: (!topic.topic_id.is_nil()).then_some(TopicId(topic.topic_id)),
                    internal: topic.is_internal,
                    partitions,
                    error: BrokerCode::check(topic.error_code).err(),
                }
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Self { topics }
    }
}
