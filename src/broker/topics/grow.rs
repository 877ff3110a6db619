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
