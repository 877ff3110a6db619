//! Deleting topics.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::NotDurable;
use crate::broker::Broker;
use crate::catalog::{Change, CommitError, Image, Topic};
use crate::config::keys;
use crate::model::TopicId;
use crate::storage::Remains;

/// A topic as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicReference {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
    /// By both, which is refused.
    Both(String, TopicId),
    /// By none, which is refused.
    Neither,
}

/// What became of one topic.
#[derive(Debug)]
pub struct DeletedTopic {
    /// Its name, as far as known.
    pub name: Option<String>,
    /// Its id, as far as known.
    pub id: Option<TopicId>,
    /// The answer.
    pub result: Result<(), DeleteTopicError>,
}

/// Why a topic was not deleted; the texts are those that Kafka gives its clients.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteTopicError {
    /// `delete.topic.enable` is false.
    #[error("Topic deletion is disabled.")]
    Disabled,
    /// Name and id in one entry.
    #[error("You may not specify both topic name and topic id.")]
    BothNameAndId,
    /// Neither name nor id.
    #[error("Neither topic name nor id were specified.")]
    NeitherNameNorId,
    /// A name twice.
    #[error("Duplicate topic name.")]
    NamedTwice,
    /// An id twice.
    #[error("Duplicate topic id.")]
    IdTwice,
    /// One topic by name and by id.
    #[error("The provided topic name maps to an ID that was already supplied.")]
    NameOfGivenId,
    /// No topic of that name.
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    /// No topic of that id.
    #[error("This server does not host this topic ID.")]
    UnknownId,
    /// The time that the client gave is over.
    #[error("the deletion was not durable in time")]
    TimedOut,
    /// The metadata log failed.
    #[error("{0}")]
    Commit(Arc<CommitError>),
}

impl From<CommitError> for DeleteTopicError {
    fn from(error: CommitError) -> Self {
        Self::Commit(Arc::new(error))
    }
}

impl From<NotDurable> for DeleteTopicError {
    fn from(reason: NotDurable) -> Self {
        match reason {
            NotDurable::TimedOut => Self::TimedOut,
            NotDurable::Failed(error) => error.into(),
        }
    }
}

impl TopicReference {
    fn answer(&self, result: Result<(), DeleteTopicError>) -> DeletedTopic {
        let (name, id) = match self.clone() {
            Self::Name(name) => (Some(name), None),
            Self::Id(id) => (None, Some(id)),
            Self::Both(name, id) => (Some(name), Some(id)),
            Self::Neither => (None, None),
        };
        DeletedTopic { name, id, result }
    }
}

/// A deletion that is committed, and may not be durable yet.
struct Deletion {
    image: Arc<Image>,
    answers: Vec<DeletedTopic>,
    /// What is gone.
    gone: Vec<Arc<Topic>>,
    /// Its files.
    remains: Vec<Remains>,
}

impl Broker {
    /// Deletes topics in one atomic batch and waits until that is durable; their files go in the
    /// background. Internal topics may be deleted like others.
    ///
    /// A `timeout` of zero deletes nothing, as in Kafka.
    pub async fn delete_topics(
        &self,
        topics: Vec<TopicReference>,
        timeout: Duration,
    ) -> Vec<DeletedTopic> {
        let all_refused = |error: DeleteTopicError| {
            topics
                .iter()
                .map(|topic| topic.answer(Err(error.clone())))
                .collect()
        };
        if !self.config.get(keys::DELETE_TOPIC_ENABLE) {
            return all_refused(DeleteTopicError::Disabled);
        }
        if timeout.is_zero() {
            return all_refused(DeleteTopicError::TimedOut);
        }
        let Deletion {
            image,
            mut answers,
            gone,
            remains,
        } = match self.commit_deletion(&topics) {
            Ok(committed) => committed,
            Err(error) => return all_refused(error),
        };
        if answers.iter().any(|answer| answer.result.is_ok())
            && let Err(reason) = self.durable_within(image.next_offset(), timeout).await
        {
            let error = DeleteTopicError::from(reason);
            for answer in answers.iter_mut().filter(|answer| answer.result.is_ok()) {
                answer.result = Err(error.clone());
            }
            return answers;
        }
        // Not before: a deletion that a power cut takes back must find the files.
        self.store.free(&remains);
        self.delete_offsets_of(&gone).await;
        answers
    }

    fn commit_deletion(&self, topics: &[TopicReference]) -> Result<Deletion, DeleteTopicError> {
        let _turn = self.topics.lock();
        let (image, (answers, gone)) = self.catalog.commit::<_, DeleteTopicError>(|image| {
            let (answers, gone) = decide(topics, image);
            let changes = gone
                .iter()
                .map(|topic| Change::RemoveTopic(topic.id))
                .collect();
            Ok((changes, (answers, gone)))
        })?;
        let mut remains = Vec::new();
        for topic in &gone {
            remains.extend(self.detach(topic, 0));
            self.settings.forget(topic.id);
        }
        Ok(Deletion {
            image,
            answers,
            gone,
            remains,
        })
    }
}

/// One answer per topic of the request, and the topics that go.
fn decide(references: &[TopicReference], image: &Image) -> (Vec<DeletedTopic>, Vec<Arc<Topic>>) {
    let mut times: HashMap<&TopicReference, usize> = HashMap::new();
    for reference in references {
        *times.entry(reference).or_default() += 1;
    }
    // A topic by name and by id has one answer, that of the name, and stays.
    let mut ids = HashSet::new();
    let mut named = HashSet::new();
    for reference in references {
        match reference {
            TopicReference::Id(id) => {
                ids.insert(*id);
            }
            TopicReference::Name(name) => {
                named.extend(image.topic_by_name(name).map(|topic| topic.id));
            }
            TopicReference::Both(..) | TopicReference::Neither => {}
        }
    }
    let mut answers = Vec::new();
    let mut gone = Vec::new();
    for reference in references {
        let Some(times) = times
            .get_mut(reference)
            .map(std::mem::take)
            .filter(|&times| times > 0)
        else {
            continue;
        };
        let found = match reference {
            TopicReference::Both(..) => Err(DeleteTopicError::BothNameAndId),
            TopicReference::Neither => Err(DeleteTopicError::NeitherNameNorId),
            TopicReference::Name(_) if times > 1 => Err(DeleteTopicError::NamedTwice),
            TopicReference::Id(_) if times > 1 => Err(DeleteTopicError::IdTwice),
            TopicReference::Id(id) if named.contains(id) => continue,
            TopicReference::Name(name) => image
                .topic_by_name(name)
                .ok_or(DeleteTopicError::UnknownName),
            TopicReference::Id(id) => image.topic(*id).ok_or(DeleteTopicError::UnknownId),
        };
        let answer = match found {
            Err(error) => reference.answer(Err(error)),
            Ok(topic) => {
                let name = Some(topic.name.as_str().to_owned());
                let id = Some(topic.id);
                let by_name = matches!(reference, TopicReference::Name(_));
                let result = if by_name && ids.contains(&topic.id) {
                    Err(DeleteTopicError::NameOfGivenId)
                } else {
                    gone.push(topic);
                    Ok(())
                };
                DeletedTopic { name, id, result }
            }
        };
        answers.push(answer);
    }
    (answers, gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::image;
    use uuid::Uuid;

    fn name(name: &str) -> TopicReference {
        TopicReference::Name(name.to_owned())
    }

    fn id(id: u128) -> TopicReference {
        TopicReference::Id(TopicId(Uuid::from_u128(id)))
    }

    fn decided(references: &[TopicReference]) -> (Vec<String>, Vec<String>) {
        let (answers, gone) = decide(references, &image(&[("a", 1), ("b", 1)]));
        let answers = answers.into_iter().map(|answer| match answer.result {
            Ok(()) => "gone".to_owned(),
            Err(error) => error.to_string(),
        });
        (
            answers.collect(),
            gone.iter().map(|topic| topic.name.to_string()).collect(),
        )
    }

    #[test]
    fn topics_go_by_name_and_by_id() {
        assert_eq!(
            decided(&[name("b"), id(100)]),
            (
                vec!["gone".into(), "gone".into()],
                vec!["b".into(), "a".into()]
            )
        );
    }

    #[test]
    fn references_are_refused_as_kafka_refuses_them() {
        let both = TopicReference::Both("a".to_owned(), TopicId(Uuid::from_u128(100)));
        let (answers, gone) = decided(&[
            name("a"),
            name("a"),
            id(9),
            id(9),
            id(8),
            both,
            TopicReference::Neither,
            name("nope"),
        ]);
        assert_eq!(
            answers,
            [
                "Duplicate topic name.",
                "Duplicate topic id.",
                "This server does not host this topic ID.",
                "You may not specify both topic name and topic id.",
                "Neither topic name nor id were specified.",
                "This server does not host this topic-partition.",
            ]
        );
        assert!(gone.is_empty());
    }

    #[test]
    fn a_topic_by_name_and_by_id_stays() {
        let (answers, gone) = decided(&[name("a"), id(100)]);
        assert_eq!(
            answers,
            ["The provided topic name maps to an ID that was already supplied."]
        );
        assert!(gone.is_empty());
    }
}
