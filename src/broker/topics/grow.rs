//! Adding partitions to topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::NotDurable;
use super::assignment::{AssignmentError, check_replicas};
use super::create::TopicOutcome;
use crate::broker::Broker;
use crate::catalog::{Change, CommitError, ConfigResource, Image, PartitionState, Topic};
use crate::model::NodeId;
use crate::model::limits::METADATA_RECORDS_PER_REQUEST_MAX;

/// A topic that is to have more partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowTopic {
    /// Name.
    pub name: String,
    /// Number of partitions afterwards.
    pub count: i32,
    /// Replicas of the new partitions; `None` lets the broker choose.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// Why no partitions were added; the texts are those that Kafka gives its clients.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GrowTopicError {
    /// The name stands in the request twice.
    #[error("Duplicate topic name.")]
    NamedTwice,
    /// No such topic.
    #[error("unknown topic")]
    Unknown,
    /// It has that many.
    #[error("Topic already has {0} partition(s).")]
    Unchanged(i32),
    /// It has more.
    #[error(
        "The topic {name} currently has {current} partition(s); {wanted} would not be an increase."
    )]
    NoIncrease {
        /// Topic.
        name: String,
        /// It has.
        current: usize,
        /// Asked for.
        wanted: i32,
    },
    /// Assignments that make no sense.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The request would cause too many metadata records. Kafka does not foresee this here and
    /// answers with its unexpected error.
    #[error("too many partitions in one request")]
    TooManyRecords,
    /// The time that the client gave is over.
    #[error("the partitions were not durable in time")]
    TimedOut,
    /// The metadata log failed.
    #[error("{0}")]
    Commit(Arc<CommitError>),
}

impl From<CommitError> for GrowTopicError {
    fn from(error: CommitError) -> Self {
        Self::Commit(Arc::new(error))
    }
}

impl From<NotDurable> for GrowTopicError {
    fn from(reason: NotDurable) -> Self {
        match reason {
            NotDurable::TimedOut => Self::TimedOut,
            NotDurable::Failed(error) => error.into(),
        }
    }
}

/// One answer per topic, in the order of the request.
type Outcomes = Vec<TopicOutcome<(), GrowTopicError>>;

/// A topic with its new partitions at the end, and where they begin.
struct Grown {
    topic: Topic,
    first_new: usize,
    configs: Arc<BTreeMap<String, String>>,
}

impl Broker {
    /// Adds partitions in one atomic batch and waits until they are durable. Topics that are
    /// refused do not keep the others from growing.
    pub async fn grow_topics(
        &self,
        topics: Vec<GrowTopic>,
        validate_only: bool,
        timeout: Duration,
    ) -> Outcomes {
        let (image, mut outcomes) = match self.commit_growth(&topics, validate_only, timeout) {
            Ok(committed) => committed,
            Err(error) => {
                return topics
                    .into_iter()
                    .map(|topic| TopicOutcome {
                        name: topic.name,
                        result: Err(error.clone()),
                    })
                    .collect();
            }
        };
        if outcomes.iter().any(|outcome| outcome.result.is_ok())
            && let Err(reason) = self.durable_within(image.next_offset(), timeout).await
        {
            let error = GrowTopicError::from(reason);
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.result.is_ok()) {
                outcome.result = Err(error.clone());
            }
        }
        outcomes
    }

    fn commit_growth(
        &self,
        topics: &[GrowTopic],
        validate_only: bool,
        timeout: Duration,
    ) -> Result<(Arc<Image>, Outcomes), GrowTopicError> {
        let _turn = self.topics.lock();
        let mut attached = Vec::new();
        let committed = self.catalog.commit::<_, GrowTopicError>(|image| {
            let (outcomes, grown) = self.decide_growth(topics, image, timeout);
            let mut changes = Vec::new();
            if !validate_only {
                for Grown {
                    topic,
                    first_new,
                    configs,
                } in grown
                {
                    self.attach(&topic, first_new, &configs);
                    changes.push(Change::AddPartitions {
                        topic: topic.id,
                        partitions: topic.partitions.iter().skip(first_new).cloned().collect(),
                    });
                    attached.push((topic, first_new));
                }
            }
            Ok((changes, outcomes))
        });
        if committed.is_err() {
            for (topic, first_new) in attached {
                self.detach(&topic, first_new);
            }
        }
        committed
    }

    fn decide_growth(
        &self,
        topics: &[GrowTopic],
        image: &Image,
        timeout: Duration,
    ) -> (Outcomes, Vec<Grown>) {
        let mut times: HashMap<&str, usize> = HashMap::new();
        for topic in topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let (mut outcomes, mut grown) = (Vec::new(), Vec::new());
        let mut records = METADATA_RECORDS_PER_REQUEST_MAX;
        for topic in topics {
            let result = match times.remove(topic.name.as_str()) {
                None => continue,
                Some(1) if timeout.is_zero() => Err(GrowTopicError::TimedOut),
                Some(1) => self
                    .grow(topic, image, &mut records)
                    .map(|new| grown.push(new)),
                Some(_) => Err(GrowTopicError::NamedTwice),
            };
            outcomes.push(TopicOutcome {
                name: topic.name.clone(),
                result,
            });
        }
        (outcomes, grown)
    }

    /// Checks one topic, in Kafka's order; takes what it needs from `records`.
    fn grow(
        &self,
        wanted: &GrowTopic,
        image: &Image,
        records: &mut usize,
    ) -> Result<Grown, GrowTopicError> {
        let found = image
            .topic_by_name(&wanted.name)
            .ok_or(GrowTopicError::Unknown)?;
        let current = found.partitions.len();
        let target = usize::try_from(wanted.count).unwrap_or(0);
        if target == current {
            return Err(GrowTopicError::Unchanged(wanted.count));
        }
        let Some(additional) = target.checked_sub(current) else {
            return Err(GrowTopicError::NoIncrease {
                name: wanted.name.clone(),
                current,
                wanted: wanted.count,
            });
        };
        if let Some(assignments) = &wanted.assignments {
            if assignments.len() != additional {
                let given = assignments.len();
                return Err(AssignmentError::Count {
                    wanted: additional,
                    given,
                }
                .into());
            }
            for replicas in assignments {
                check_replicas(replicas, self.node_id)?;
            }
        }
        *records = records
            .checked_sub(additional)
            .ok_or(GrowTopicError::TooManyRecords)?;
        let mut topic = Topic::clone(&found);
        topic
            .partitions
            .extend((0..additional).map(|_| PartitionState::on(self.node_id)));
        let configs = image.configs(&ConfigResource::Topic(topic.name.clone()));
        Ok(Grown {
            topic,
            first_new: current,
            configs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;
    use crate::broker::topics::NewTopic;
    use crate::model::{PartitionId, TopicPartition};

    const SECOND: Duration = Duration::from_secs(1);

    fn to(name: &str, count: i32) -> GrowTopic {
        GrowTopic {
            name: name.to_owned(),
            count,
            assignments: None,
        }
    }

    fn by_hand(name: &str, count: i32, partitions: &[&[i32]]) -> GrowTopic {
        let replicas = |nodes: &&[i32]| nodes.iter().copied().map(NodeId).collect();
        let assignments = Some(partitions.iter().map(replicas).collect());
        GrowTopic {
            assignments,
            ..to(name, count)
        }
    }

    async fn with_topics(names: &[&str]) -> Arc<Broker> {
        let broker = broker(&[]);
        let topic = |name: &&str| NewTopic {
            name: (*name).to_owned(),
            partitions: Some(2),
            ..NewTopic::default()
        };
        broker
            .create_topics(names.iter().map(topic).collect(), false, SECOND)
            .await;
        broker
    }

    fn shown(outcomes: &Outcomes) -> Vec<String> {
        let show = |outcome: &TopicOutcome<(), GrowTopicError>| match &outcome.result {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        outcomes.iter().map(show).collect()
    }

    #[tokio::test]
    async fn new_partitions_follow_the_old_ones() {
        let broker = with_topics(&["a"]).await;
        let outcomes = broker.grow_topics(vec![to("a", 5)], false, SECOND).await;
        assert_eq!(shown(&outcomes), ["ok"]);
        let topic = broker.catalog.image().topic_by_name("a").unwrap();
        assert_eq!(topic.partitions.len(), 5);
        for partition in 0..5 {
            let id = TopicPartition {
                topic: topic.id,
                partition: PartitionId(partition),
            };
            assert!(broker.store.partition(&id).is_some());
        }
    }

    /// Each row was asked of Apache Kafka 4.1.2.
    #[tokio::test]
    async fn growth_is_refused_in_kafkas_words() {
        let broker = with_topics(&["a", "b"]).await;
        let cases = [
            (vec![to("a", 2)], vec!["Topic already has 2 partition(s)."]),
            (
                vec![to("a", -1), to("b", 1)],
                vec![
                    "The topic a currently has 2 partition(s); -1 would not be an increase.",
                    "The topic b currently has 2 partition(s); 1 would not be an increase.",
                ],
            ),
            (
                vec![to("a", 3), to("b", 3), to("a", 4)],
                vec!["Duplicate topic name.", "ok"],
            ),
            (vec![to("nope", 3)], vec!["unknown topic"]),
            (
                vec![by_hand("a", 4, &[&[1]])],
                vec![
                    "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
                ],
            ),
            (
                vec![by_hand("a", 3, &[&[1, 1]])],
                vec!["The manual partition assignment includes the broker 1 more than once."],
            ),
            (vec![by_hand("a", 3, &[&[1]])], vec!["ok"]),
            (vec![to("a", 10_002)], vec!["ok"]),
            (
                vec![to("a", 10_003)],
                vec!["too many partitions in one request"],
            ),
            (
                vec![to("a", 7_000), to("b", i32::MAX)],
                vec!["ok", "too many partitions in one request"],
            ),
        ];
        for (topics, answers) in cases {
            assert_eq!(
                shown(&broker.grow_topics(topics, true, SECOND).await),
                answers
            );
        }
    }

    #[tokio::test]
    async fn without_time_only_names_that_stand_twice_are_told() {
        let broker = with_topics(&["a", "b"]).await;
        let topics = vec![to("a", 4), to("a", 4), to("b", 4)];
        let outcomes = broker.grow_topics(topics, false, Duration::ZERO).await;
        assert!(matches!(
            outcomes[0].result,
            Err(GrowTopicError::NamedTwice)
        ));
        assert!(matches!(outcomes[1].result, Err(GrowTopicError::TimedOut)));
    }
}
