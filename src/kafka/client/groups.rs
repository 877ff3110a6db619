//! Groups and what they have committed.
//!
//! For brokers of Kafka 3.0 and newer: groups are asked for by OffsetFetch 8 and FindCoordinator 4.

use std::time::Duration;

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    self, ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use super::super::codec::text;
use super::Client;
use super::error::{BrokerCode, ClientError, refused};
use crate::model::Offset;
use crate::wire::consumer_protocol::Assignment;

/// `CoordinatorType.GROUP`.
const GROUP: i8 = 0;

/// How often a coordinator that is still loading is asked, and how long between.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// A group as its coordinator lists it.
#[derive(Clone, Debug)]
pub(crate) struct GroupListing {
    /// Its id.
    pub(crate) name: String,
    /// `classic`, `consumer` ….
    pub(crate) kind: String,
    /// What its members do in it; empty for one that only has offsets.
    pub(crate) protocol_type: String,
    /// `Stable`, `Empty` …
    pub(crate) state: String,
}

/// A group and who is in it.
#[derive(Clone, Debug)]
pub(crate) struct GroupInfo {
    /// Its id.
    pub(crate) name: String,
    /// `classic` or `consumer`.
    pub(crate) kind: &'static str,
    /// `Stable`, `Empty` …
    pub(crate) state: String,
    /// The assignor that shares its partitions out; empty when there is none.
    pub(crate) assignor: String,
    /// The broker that coordinates it.
    pub(crate) coordinator: i32,
    /// Who is in it.
    pub(crate) members: Vec<MemberInfo>,
}

/// One member.
#[derive(Clone, Debug)]
pub(crate) struct MemberInfo {
    /// Its id.
    pub(crate) id: String,
    /// Its own name, if it is a static one.
    pub(crate) instance: Option<String>,
    /// What its client calls itself.
    pub(crate) client: String,
    /// Where it is.
    pub(crate) host: String,
    /// Topics and partitions that it has.
    pub(crate) assigned: Vec<(String, Vec<i32>)>,
}

/// A partition's committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Topic.
    pub(crate) topic: String,
    /// Partition.
    pub(crate) partition: i32,
    /// Next offset to read.
    pub(crate) offset: Offset,
}

impl Client {
    /// All groups of the cluster, by name.
    pub(crate) async fn groups(&mut self) -> Result<Vec<GroupListing>, ClientError> {
        self.cluster(Some(&[]), false).await?;
        let nodes: Vec<_> = self.addresses.keys().copied().collect();
        let mut groups = Vec::new();
        for node in nodes {
            let answer = self
                .ask_node(node, |_| ListGroupsRequest::default())
                .await?;
            BrokerCode::check(answer.error_code)
                .map_err(|code| refused(format!("broker {node}"), code, None::<&str>))?;
            groups.extend(answer.groups.into_iter().map(|group| GroupListing {
                name: group.group_id.0.as_str().to_owned(),
                kind: group.group_type.as_str().to_owned(),
                protocol_type: group.protocol_type.as_str().to_owned(),
                state: group.group_state.as_str().to_owned(),
            }));
        }
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// The broker that coordinates a group.
    async fn coordinator(&mut self, group: &str) -> Result<i32, ClientError> {
        let mut last = ClientError::Unanswered(group.to_owned());
        for _ in 0..ATTEMPTS {
            let answer = self
                .ask(|_| {
                    FindCoordinatorRequest::default()
                        .with_key_type(GROUP)
                        .with_coordinator_keys(vec![text(group)])
                })
                .await?;
            let Some(found) = answer.coordinators.into_iter().next() else {
                break;
            };
            match BrokerCode::check(found.error_code) {
                Ok(()) => {
                    let address = format!("{}:{}", found.host.as_str(), found.port);
                    self.addresses.insert(found.node_id.0, address);
                    return Ok(found.node_id.0);
                }
                Err(code) => {
                    last = refused(group, code, found.error_message.as_deref());
                    if !code.is_retriable() {
                        break;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last)
    }

    /// A group of either protocol. Brokers of today refuse one that they do not know.
    pub(crate) async fn group(&mut self, name: &str) -> Result<GroupInfo, ClientError> {
        let coordinator = self.coordinator(name).await?;
        for _ in 0..ATTEMPTS {
            let described = match self.consumer_group(coordinator, name).await {
                // It may be a classic one, and brokers before KIP-848 have no others.
                Err(ClientError::Version { .. }) => self.classic_group(coordinator, name).await,
                Err(error) if error.is_unknown_group() => {
                    self.classic_group(coordinator, name).await
                }
                described => described,
            };
            match described {
                Err(ClientError::Refused { code, .. }) if code.is_retriable() => {
                    tokio::time::sleep(PAUSE).await;
                }
                described => return described,
            }
        }
        Err(ClientError::Unanswered(name.to_owned()))
    }

    async fn consumer_group(&mut self, node: i32, name: &str) -> Result<GroupInfo, ClientError> {
        let request = ConsumerGroupDescribeRequest::default()
            .with_group_ids(vec![messages::GroupId(text(name))]);
        let answer = self.ask_node(node, |_| request).await?;
        let Some(group) = answer.groups.into_iter().next() else {
            return Err(ClientError::Unanswered(name.to_owned()));
        };
        BrokerCode::check(group.error_code)
            .map_err(|code| refused(name, code, group.error_message.as_deref()))?;
        let members = group.members.into_iter().map(|member| MemberInfo {
            id: member.member_id.as_str().to_owned(),
            instance: member.instance_id.map(|name| name.as_str().to_owned()),
            client: member.client_id.as_str().to_owned(),
            host: member.client_host.as_str().to_owned(),
            assigned: member
                .assignment
                .topic_partitions
                .into_iter()
                .map(|topic| (topic.topic_name.0.as_str().to_owned(), topic.partitions))
                .collect(),
        });
        Ok(GroupInfo {
            name: name.to_owned(),
            kind: "consumer",
            state: group.group_state.as_str().to_owned(),
            assignor: group.assignor_name.as_str().to_owned(),
            coordinator: node,
            members: members.collect(),
        })
    }

    async fn classic_group(&mut self, node: i32, name: &str) -> Result<GroupInfo, ClientError> {
        let request =
            DescribeGroupsRequest::default().with_groups(vec![messages::GroupId(text(name))]);
        let answer = self.ask_node(node, |_| request).await?;
        let Some(group) = answer.groups.into_iter().next() else {
            return Err(ClientError::Unanswered(name.to_owned()));
        };
        BrokerCode::check(group.error_code)
            .map_err(|code| refused(name, code, group.error_message.as_deref()))?;
        let members = group.members.into_iter().map(|member| MemberInfo {
            // What others than consumers are assigned is theirs to understand.
            assigned: Assignment::from_bytes(&member.member_assignment)
                .map(|assignment| assignment.assigned_partitions)
                .unwrap_or_default()
                .into_iter()
                .map(|topic| (topic.topic, topic.partitions))
                .collect(),
            id: member.member_id.as_str().to_owned(),
            instance: member
                .group_instance_id
                .map(|name| name.as_str().to_owned()),
            client: member.client_id.as_str().to_owned(),
            host: member.client_host.as_str().to_owned(),
        });
        Ok(GroupInfo {
            name: name.to_owned(),
            kind: "classic",
            state: group.group_state.as_str().to_owned(),
            assignor: group.protocol_data.as_str().to_owned(),
            coordinator: node,
            members: members.collect(),
        })
    }

    /// All that a group has committed, by topic and partition.
    pub(crate) async fn committed(&mut self, group: &str) -> Result<Vec<Committed>, ClientError> {
        let node = self.coordinator(group).await?;
        let request = OffsetFetchRequest::default().with_groups(vec![
            OffsetFetchRequestGroup::default()
                .with_group_id(messages::GroupId(text(group)))
                .with_topics(None),
        ]);
        let answer = self.ask_node(node, |_| request).await?;
        let Some(found) = answer.groups.into_iter().next() else {
            return Err(ClientError::Unanswered(group.to_owned()));
        };
        BrokerCode::check(found.error_code).map_err(|code| refused(group, code, None::<&str>))?;
        let mut all = Vec::new();
        for topic in found.topics {
            let name = topic.name.0.as_str();
            for partition in topic.partitions {
                let number = partition.partition_index;
                BrokerCode::check(partition.error_code)
                    .map_err(|code| refused(format!("{name}-{number}"), code, None::<&str>))?;
                if partition.committed_offset >= 0 {
                    all.push(Committed {
                        topic: name.to_owned(),
                        partition: number,
                        offset: Offset(partition.committed_offset),
                    });
                }
            }
        }
        all.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(all)
    }

    /// Commits offsets for a group that nobody is in.
    pub(crate) async fn commit(
        &mut self,
        group: &str,
        offsets: &[Committed],
    ) -> Result<(), ClientError> {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for committed in offsets {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(committed.partition)
                .with_committed_offset(committed.offset.0)
                .with_committed_metadata(Some(text("")));
            match topics.last_mut() {
                Some(topic) if topic.name.0.as_str() == committed.topic => {
                    topic.partitions.push(partition);
                }
                _ => topics.push(
                    OffsetCommitRequestTopic::default()
                        .with_name(messages::TopicName(text(committed.topic.clone())))
                        .with_partitions(vec![partition]),
                ),
            }
        }
        let node = self.coordinator(group).await?;
        let request = OffsetCommitRequest::default()
            .with_group_id(messages::GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics);
        let answer = self.ask_node(node, |_| request).await?;
        for topic in answer.topics {
            for partition in topic.partitions {
                let subject = || format!("{}-{}", topic.name.0.as_str(), partition.partition_index);
                BrokerCode::check(partition.error_code)
                    .map_err(|code| refused(subject(), code, None::<&str>))?;
            }
        }
        Ok(())
    }

    /// Deletes a group, with all that it has committed.
    pub(crate) async fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        let node = self.coordinator(group).await?;
        let request =
            DeleteGroupsRequest::default().with_groups_names(vec![messages::GroupId(text(group))]);
        let answer = self.ask_node(node, |_| request).await?;
        let Some(result) = answer.results.into_iter().next() else {
            return Err(ClientError::Unanswered(group.to_owned()));
        };
        BrokerCode::check(result.error_code).map_err(|code| refused(group, code, None::<&str>))
    }
}
