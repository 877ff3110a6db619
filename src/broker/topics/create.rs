//! Creating topics: on request, and by being asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::assignment::{self, AssignmentError};
use super::{NotDurable, internal, new_topic_id};
use crate::broker::Broker;
use crate::catalog::{Change, CommitError, ConfigResource, Image, PartitionState, Topic};
use crate::config::keys;
use crate::model::limits::{METADATA_RECORDS_PER_REQUEST_MAX, NEW_PARTITIONS_PER_REQUEST_MAX};
use crate::model::{InvalidTopicName, NodeId, PartitionId, TopicName};

/// A topic to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Name, not checked yet.
    pub name: String,
    /// Number of partitions; `None` is `num.partitions`.
    pub partitions: Option<i32>,
    /// Replicas of each partition; `None` is `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// Replicas by hand; empty lets the broker choose. Excludes both numbers above.
    pub assignments: Vec<(PartitionId, Vec<NodeId>)>,
    /// Overrides; of a key given twice the last value counts.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was created, or that would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// As the image holds it.
    pub topic: Arc<Topic>,
    /// Its overrides.
    pub configs: BTreeMap<String, String>,
}

/// What became of one topic of a request.
#[derive(Debug)]
pub struct TopicOutcome<T, E> {
    /// The name that was asked for.
    pub name: String,
    /// The answer.
    pub result: Result<T, E>,
}

/// Why a topic was not created; the texts are those that Kafka gives its clients.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CreateTopicError {
    /// The name stands in the request twice.
    #[error("Duplicate topic name.")]
    NamedTwice,
    /// `__cluster_metadata`.
    #[error("Creation of internal topic __cluster_metadata is prohibited.")]
    ClusterMetadata,
    /// An illegal name.
    #[error(transparent)]
    Name(#[from] InvalidTopicName),
    /// `.` and `_` are one in the names of metrics.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision {
        /// Asked for.
        name: TopicName,
        /// There already.
        existing: TopicName,
    },
    /// There is such a topic.
    #[error("Topic '{0}' already exists.")]
    Exists(TopicName),
    /// A key or value that the table refuses.
    #[error("{0}")]
    Config(String),
    /// Both a number of partitions and assignments.
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitions,
    /// Both a replication factor and assignments.
    #[error(
        "A manual partition assignment was specified, but replication factor was not set to -1."
    )]
    AssignmentAndReplicationFactor,
    /// Assignments that make no sense.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// Not a number of partitions.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    Partitions,
    /// Not a replication factor.
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    /// More replicas than nodes.
    #[error(
        "Unable to replicate the partition {0} time(s): The target replication factor of {0} cannot be reached because only 1 broker(s) are registered."
    )]
    TooFewBrokers(i32),
    /// The request asks for too many partitions, over all of its topics.
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    /// The request would cause too many metadata records.
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
    /// The time that the client gave is over.
    #[error("the topic was not durable in time")]
    TimedOut,
    /// The metadata log failed.
    #[error("{0}")]
    Commit(Arc<CommitError>),
}

impl From<CommitError> for CreateTopicError {
    fn from(error: CommitError) -> Self {
        Self::Commit(Arc::new(error))
    }
}

impl From<NotDurable> for CreateTopicError {
    fn from(reason: NotDurable) -> Self {
        match reason {
            NotDurable::TimedOut => Self::TimedOut,
            NotDurable::Failed(error) => error.into(),
        }
    }
}

/// One answer per topic, in the order of the request.
type Outcomes = Vec<TopicOutcome<CreatedTopic, CreateTopicError>>;

impl Broker {
    /// Creates topics in one atomic batch and waits until they are durable. Topics that are
    /// refused do not keep the others from being created; limits on the request as a whole do.
    ///
    /// `validate_only` answers as if, and creates nothing. A `timeout` of zero creates nothing
    /// either, as in Kafka, where the request is over before the controller gets to it.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        timeout: Duration,
    ) -> Outcomes {
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let all_refused = |error: CreateTopicError| {
            names
                .iter()
                .map(|name| TopicOutcome {
                    name: name.clone(),
                    result: Err(error.clone()),
                })
                .collect()
        };
        if timeout.is_zero() {
            return all_refused(CreateTopicError::TimedOut);
        }
        let (image, mut outcomes) = match self.commit_new_topics(&topics, validate_only) {
            Ok(committed) => committed,
            Err(error) => return all_refused(error),
        };
        if outcomes.iter().any(|outcome| outcome.result.is_ok())
            && let Err(reason) = self.durable_within(image.next_offset(), timeout).await
        {
            let error = CreateTopicError::from(reason);
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.result.is_ok()) {
                outcome.result = Err(error.clone());
            }
        }
        outcomes
    }

    /// Creates topics that a client asked for by name, with the defaults of the broker and, for
    /// internal topics, with their own. What cannot be created is left out without an answer.
    /// Does not wait: whoever shows the new topics waits until their image is durable.
    pub(in crate::broker) fn auto_create_topics(&self, names: &[TopicName]) {
        let topics: Vec<_> = names
            .iter()
            .map(|name| internal::auto_created(self, name))
            .collect();
        let outcomes = match self.commit_new_topics(&topics, false) {
            Ok((_image, outcomes)) => outcomes,
            Err(error) => {
                tracing::warn!(topics = names.len(), %error, "topics were not auto-created");
                return;
            }
        };
        for outcome in outcomes {
            match outcome.result {
                Ok(created) => tracing::info!(topic = %created.topic.name, "topic auto-created"),
                Err(CreateTopicError::Exists(_)) => {}
                Err(error) => {
                    tracing::warn!(topic = outcome.name, %error, "topic was not auto-created");
                }
            }
        }
    }

    /// The synchronous part of a creation: decides, attaches, commits.
    fn commit_new_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<(Arc<Image>, Outcomes), CreateTopicError> {
        self.check_request_size(topics)?;
        let mut random = self.topics.lock();
        let mut attached = Vec::new();
        let committed = self.catalog.commit(|image| {
            let outcomes = self.decide_all(topics, image, &mut random);
            let created = || {
                outcomes
                    .iter()
                    .filter_map(|outcome| outcome.result.as_ref().ok())
            };
            let records: usize = created()
                .map(|new| 1 + new.topic.partitions.len() + new.configs.len())
                .sum();
            if records > METADATA_RECORDS_PER_REQUEST_MAX {
                return Err(CreateTopicError::TooManyRecords);
            }
            let mut changes = Vec::new();
            if !validate_only {
                for new in created() {
                    changes.push(Change::CreateTopic(Topic::clone(&new.topic)));
                    changes.extend(new.configs.iter().map(|(key, value)| Change::SetConfig {
                        resource: ConfigResource::Topic(new.topic.name.clone()),
                        key: key.clone(),
                        value: Some(value.clone()),
                    }));
                    self.attach(&new.topic, 0, &new.configs);
                    attached.push(Arc::clone(&new.topic));
                }
            }
            Ok((changes, outcomes))
        });
        if committed.is_err() {
            for topic in attached {
                self.detach(&topic, 0);
            }
        }
        committed
    }

    /// Limits that hold for the request as a whole.
    fn check_request_size(&self, topics: &[NewTopic]) -> Result<(), CreateTopicError> {
        let default = self.config.get(keys::NUM_PARTITIONS);
        let wanted = topics.iter().fold(0_usize, |sum, topic| {
            let partitions = if topic.assignments.is_empty() {
                usize::try_from(topic.partitions.unwrap_or(default)).unwrap_or(0)
            } else {
                topic.assignments.len()
            };
            sum.saturating_add(partitions)
        });
        if wanted > NEW_PARTITIONS_PER_REQUEST_MAX {
            return Err(CreateTopicError::TooManyPartitions);
        }
        Ok(())
    }

    /// One outcome per name of the request.
    fn decide_all(
        &self,
        topics: &[NewTopic],
        image: &Image,
        random: &mut fastrand::Rng,
    ) -> Outcomes {
        let mut times: HashMap<&str, usize> = HashMap::new();
        for topic in topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let mut outcomes = Vec::new();
        for topic in topics {
            let result = match times.remove(topic.name.as_str()) {
                None => continue,
                Some(1) => self.decide(topic, image, random),
                Some(_) => Err(CreateTopicError::NamedTwice),
            };
            outcomes.push(TopicOutcome {
                name: topic.name.clone(),
                result,
            });
        }
        outcomes
    }

    /// Checks one topic, in Kafka's order.
    fn decide(
        &self,
        new: &NewTopic,
        image: &Image,
        random: &mut fastrand::Rng,
    ) -> Result<CreatedTopic, CreateTopicError> {
        if new.name == internal::CLUSTER_METADATA {
            return Err(CreateTopicError::ClusterMetadata);
        }
        let name = TopicName::new(&new.name)?;
        if image.topic_by_name(name.as_str()).is_some() {
            return Err(CreateTopicError::Exists(name));
        }
        if let Some(existing) = image.collision(&name) {
            return Err(CreateTopicError::Collision { name, existing });
        }
        let configs = self
            .check_topic_configs(&new.configs)
            .map_err(CreateTopicError::Config)?;
        let partitions = self.partitions_of(new)?;
        let topic = Topic {
            name,
            id: new_topic_id(random, image),
            partitions: (0..partitions)
                .map(|_| PartitionState::on(self.node_id))
                .collect(),
        };
        Ok(CreatedTopic {
            topic: Arc::new(topic),
            configs,
        })
    }

    /// Number of partitions, after all checks of numbers and assignments.
    fn partitions_of(&self, new: &NewTopic) -> Result<usize, CreateTopicError> {
        if !new.assignments.is_empty() {
            if new.replication_factor.is_some() {
                return Err(CreateTopicError::AssignmentAndReplicationFactor);
            }
            if new.partitions.is_some() {
                return Err(CreateTopicError::AssignmentAndPartitions);
            }
            return Ok(assignment::check_topic(&new.assignments, self.node_id)?);
        }
        let factor = match new.replication_factor {
            Some(..=0) => return Err(CreateTopicError::ReplicationFactor),
            Some(factor) => i32::from(factor),
            None => self.config.get(keys::DEFAULT_REPLICATION_FACTOR),
        };
        let partitions = new
            .partitions
            .unwrap_or_else(|| self.config.get(keys::NUM_PARTITIONS));
        let partitions = match usize::try_from(partitions) {
            Ok(partitions @ 1..) => partitions,
            Ok(0) | Err(_) => return Err(CreateTopicError::Partitions),
        };
        if factor > 1 {
            return Err(CreateTopicError::TooFewBrokers(factor));
        }
        Ok(partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;

    const SECOND: Duration = Duration::from_secs(1);

    fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions).filter(|count| *count != -1),
            replication_factor: Some(replication_factor).filter(|factor| *factor != -1),
            ..NewTopic::default()
        }
    }

    fn assigned(name: &str, partitions: &[(i32, &[i32])]) -> NewTopic {
        let replicas = |nodes: &[i32]| nodes.iter().copied().map(NodeId).collect();
        let assignments = partitions
            .iter()
            .map(|(partition, nodes)| (PartitionId(*partition), replicas(nodes)));
        NewTopic {
            name: name.to_owned(),
            assignments: assignments.collect(),
            ..NewTopic::default()
        }
    }

    /// Each outcome as text: the number of partitions, or the refusal.
    fn shown(outcomes: &Outcomes) -> Vec<String> {
        let show = |outcome: &TopicOutcome<CreatedTopic, CreateTopicError>| match &outcome.result {
            Ok(created) => created.topic.partitions.len().to_string(),
            Err(error) => error.to_string(),
        };
        outcomes.iter().map(show).collect()
    }

    /// Each row was asked of Apache Kafka 4.1.2.
    #[tokio::test]
    async fn topics_are_refused_in_kafkas_order_and_words() {
        let broker = broker(&[("num.partitions", "4")]);
        let there = vec![topic("there", 1, 1), topic("a.b_c", 1, 1)];
        assert_eq!(
            shown(&broker.create_topics(there, false, SECOND).await),
            ["1", "1"]
        );
        let unknown_broker =
            "The manual partition assignment includes broker 2, but no such broker is registered.";
        let cases = [
            (topic("x", -1, -1), "4"),
            (topic("x", 2, 1), "2"),
            (topic("there", 0, 0), "Topic 'there' already exists."),
            (
                topic("", 1, 1),
                "Topic name is invalid: the empty string is not allowed",
            ),
            (
                topic("a_b.c", 1, 1),
                "Topic 'a_b.c' collides with existing topic: a.b_c",
            ),
            (
                topic("__cluster_metadata", 1, 1),
                "Creation of internal topic __cluster_metadata is prohibited.",
            ),
            (
                topic("x", 2, 3),
                "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
            ),
            (
                topic("x", 0, 0),
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ),
            (
                topic("x", 1, -2),
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ),
            (
                topic("x", 0, 1),
                "Number of partitions was set to an invalid non-positive value.",
            ),
            (
                topic("x", -2, 3),
                "Number of partitions was set to an invalid non-positive value.",
            ),
            (assigned("x", &[(1, &[1]), (0, &[1])]), "2"),
            (assigned("x", &[(0, &[2])]), unknown_broker),
            (
                NewTopic {
                    partitions: Some(5),
                    ..assigned("x", &[(0, &[1])])
                },
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ),
            (
                NewTopic {
                    partitions: Some(5),
                    replication_factor: Some(3),
                    ..assigned("x", &[(0, &[1])])
                },
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ),
        ];
        for (new, answer) in cases {
            let outcomes = broker.create_topics(vec![new.clone()], true, SECOND).await;
            assert_eq!(shown(&outcomes), [answer], "{new:?}");
        }
        assert_eq!(broker.catalog.image().topic_count(), 2);
    }

    #[tokio::test]
    async fn a_name_twice_is_answered_once_and_keeps_none_from_being_created() {
        let broker = broker(&[]);
        let topics = vec![topic("d", 1, 1), topic("e", 1, 1), topic("d", 2, 1)];
        let outcomes = broker.create_topics(topics, false, SECOND).await;
        assert_eq!(shown(&outcomes), ["Duplicate topic name.", "1"]);
        let image = broker.catalog.image();
        assert!(image.topic_by_name("d").is_none() && image.topic_by_name("e").is_some());
    }

    #[tokio::test]
    async fn names_of_one_request_may_collide_as_in_kafka() {
        let broker = broker(&[]);
        let topics = vec![topic("c.d", 1, 1), topic("c_d", 1, 1)];
        assert_eq!(
            shown(&broker.create_topics(topics, false, SECOND).await),
            ["1", "1"]
        );
    }

    #[tokio::test]
    async fn requests_that_are_too_large_are_refused_as_a_whole() {
        let broker = broker(&[]);
        let too_many = "Excessively large number of partitions per request.";
        let too_large = "Unable to perform excessively large batch operation.";
        let with_config = NewTopic {
            configs: vec![("retention.ms".to_owned(), Some("5".to_owned()))],
            ..topic("x", 9_999, 1)
        };
        let cases = [
            (vec![topic("x", 9_999, 1)], vec!["9999"]),
            (vec![topic("x", 10_000, 1)], vec![too_large]),
            (vec![with_config], vec![too_large]),
            (
                vec![topic("x", i32::MAX, 1), topic("y", i32::MAX, 1)],
                vec![too_many; 2],
            ),
            (
                vec![topic("x", 10_001, 1), topic("d", 1, 1), topic("d", 1, 1)],
                vec![too_many; 3],
            ),
        ];
        for (topics, answers) in cases {
            assert_eq!(
                shown(&broker.create_topics(topics, true, SECOND).await),
                answers
            );
        }
    }

    #[tokio::test]
    async fn without_time_nothing_is_created() {
        let broker = broker(&[]);
        let outcomes = broker
            .create_topics(vec![topic("x", 1, 1)], false, Duration::ZERO)
            .await;
        assert!(matches!(
            outcomes[0].result,
            Err(CreateTopicError::TimedOut)
        ));
        assert_eq!(broker.catalog.image().topic_count(), 0);
    }

    #[tokio::test]
    async fn every_partition_of_a_new_topic_is_attached_and_leaves_with_it() {
        use crate::broker::topics::TopicReference;
        use crate::model::TopicPartition;
        let broker = broker(&[]);
        broker
            .create_topics(vec![topic("x", 3, 1)], false, SECOND)
            .await;
        let topic = broker.catalog.image().topic_by_name("x").unwrap();
        let attached = |partition| {
            let id = TopicPartition {
                topic: topic.id,
                partition: PartitionId(partition),
            };
            broker.store.partition(&id).is_some()
        };
        assert_eq!([0, 1, 2, 3].map(attached), [true, true, true, false]);
        let deleted = broker
            .delete_topics(vec![TopicReference::Id(topic.id)], SECOND)
            .await;
        assert!(deleted[0].result.is_ok());
        assert_eq!([0, 1, 2].map(attached), [false; 3]);
        assert!(broker.catalog.image().topic_by_name("x").is_none());
    }

    #[tokio::test]
    async fn a_topic_that_is_created_again_has_another_id() {
        use crate::broker::topics::TopicReference;
        let broker = broker(&[]);
        let mut ids = std::collections::HashSet::new();
        for _ in 0..3 {
            broker
                .create_topics(vec![topic("x", 1, 1)], false, SECOND)
                .await;
            assert!(ids.insert(broker.catalog.image().topic_by_name("x").unwrap().id));
            let name = TopicReference::Name("x".to_owned());
            broker.delete_topics(vec![name], SECOND).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn whoever_finds_a_partition_in_an_image_finds_its_log() {
        use crate::model::TopicPartition;
        let broker = broker(&[]);
        let makers = (0..2).map(|maker| {
            let broker = Arc::clone(&broker);
            tokio::spawn(async move {
                for number in 0..100 {
                    let name = format!("t{maker}-{number}");
                    let outcomes = broker.create_topics(vec![topic(&name, 3, 1)], false, SECOND);
                    assert!(outcomes.await[0].result.is_ok());
                }
            })
        });
        let makers: Vec<_> = makers.collect();
        while broker.catalog.image().topic_count() < 200 {
            for topic in broker.catalog.image().topics() {
                for partition in (0..3).map(PartitionId) {
                    let id = TopicPartition {
                        topic: topic.id,
                        partition,
                    };
                    assert!(
                        broker.store.partition(&id).is_some(),
                        "{} {partition}",
                        topic.name
                    );
                }
            }
            tokio::task::yield_now().await;
        }
        for maker in makers {
            maker.await.unwrap();
        }
    }
}
