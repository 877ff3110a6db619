//! What clients are told of topics: Metadata and its pages for administrators.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::Broker;
use crate::catalog::{CommitError, Image, Topic};
use crate::config::keys;
use crate::model::{TopicId, TopicName};

/// Which topics are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicSelection {
    /// All of them.
    All,
    /// By name.
    Names(Vec<String>),
    /// By id.
    Ids(Vec<TopicId>),
}

/// One topic, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicLookup {
    /// The name; not known where an unknown id was asked for.
    pub name: Option<String>,
    /// The id; not known where an unknown name was asked for.
    pub id: Option<TopicId>,
    /// The topic.
    pub result: Result<Arc<Topic>, LookupError>,
}

/// Why there is no topic to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No topic can have that name.
    #[error("no topic can have that name")]
    InvalidName,
    /// No topic of that name.
    #[error("no topic of that name")]
    UnknownName,
    /// No topic of that id.
    #[error("no topic of that id")]
    UnknownId,
}

impl TopicLookup {
    fn found(topic: Arc<Topic>) -> Self {
        let name = Some(topic.name.as_str().to_owned());
        Self {
            name,
            id: Some(topic.id),
            result: Ok(topic),
        }
    }

    /// Whether clients may not produce to it, were it there.
    pub fn is_internal(&self) -> bool {
        match &self.result {
            Ok(topic) => topic.name.is_internal(),
            Err(_) => self
                .name
                .as_deref()
                .is_some_and(|name| TopicName::new(name).is_ok_and(|name| name.is_internal())),
        }
    }

    fn by_name(image: &Image, name: &str) -> Self {
        match image.topic_by_name(name) {
            Some(topic) => Self::found(topic),
            None => {
                let error = match TopicName::new(name) {
                    Ok(_) => LookupError::UnknownName,
                    Err(_) => LookupError::InvalidName,
                };
                Self {
                    name: Some(name.to_owned()),
                    id: None,
                    result: Err(error),
                }
            }
        }
    }

    fn by_id(image: &Image, id: TopicId) -> Self {
        match image.topic(id) {
            Some(topic) => Self::found(topic),
            None => Self {
                name: None,
                id: Some(id),
                result: Err(LookupError::UnknownId),
            },
        }
    }
}

/// Where a page of topics begins: at a partition of a topic, or after it where there is no such
/// topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCursor {
    /// Name of the topic.
    pub topic: String,
    /// First partition.
    pub partition: i32,
}

/// Some partitions of some topics, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPage {
    /// Topics, each with the range of its partitions that is on the page.
    pub topics: Vec<(TopicLookup, Range<usize>)>,
    /// Where the next page begins.
    pub next: Option<TopicCursor>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The cursor is not at one of the topics that are asked for.
    #[error("the topic of the cursor is not among those asked for: {0}")]
    ForeignCursor(String),
    /// The cursor's partition is negative.
    #[error("the partition of the cursor is negative: {0}")]
    NegativeCursor(i32),
    /// The metadata log failed.
    #[error(transparent)]
    Catalog(#[from] CommitError),
}

impl Broker {
    /// The image, once everything in it is durable: nobody is shown a topic that a crash could
    /// still take back.
    pub async fn durable_image(&self) -> Result<Arc<Image>, CommitError> {
        let image = self.catalog.image();
        self.catalog.durable(image.next_offset()).await?;
        Ok(image)
    }

    /// Looks topics up, each once; those that do not exist are created where `auto_create` and
    /// `auto.create.topics.enable` say so. Kafka answers UNKNOWN_TOPIC_OR_PARTITION at first and
    /// lets the client ask again; here the answer is the new topic at once.
    pub async fn topic_metadata(
        &self,
        selection: &TopicSelection,
        auto_create: bool,
    ) -> Result<Vec<TopicLookup>, CommitError> {
        if auto_create && self.config.get(keys::AUTO_CREATE_TOPICS_ENABLE) {
            let missing = missing_names(&self.catalog.image(), selection);
            if !missing.is_empty() {
                self.auto_create_topics(&missing);
            }
        }
        let image = self.durable_image().await?;
        Ok(look_up(&image, selection))
    }

    /// A page of topics in order of name, from `cursor` on and with at most `limit` partitions,
    /// bounded by `max.request.partition.size.limit` and at least one. No names: all topics.
    pub async fn topic_page(
        &self,
        names: &[String],
        cursor: Option<&TopicCursor>,
        limit: i32,
    ) -> Result<TopicPage, PageError> {
        let image = self.durable_image().await?;
        let limit = limit
            .min(self.config.get(keys::MAX_REQUEST_PARTITION_SIZE_LIMIT))
            .max(1);
        page(&image, names, cursor, usize::try_from(limit).unwrap_or(1))
    }
}

/// The legal names of the selection that no topic has.
fn missing_names(image: &Image, selection: &TopicSelection) -> Vec<TopicName> {
    let TopicSelection::Names(names) = selection else {
        return Vec::new();
    };
    let missing: BTreeSet<TopicName> = names
        .iter()
        .filter(|name| image.topic_by_name(name).is_none())
        .filter_map(|name| TopicName::new(name).ok())
        .collect();
    missing.into_iter().collect()
}

fn look_up(image: &Image, selection: &TopicSelection) -> Vec<TopicLookup> {
    match selection {
        TopicSelection::All => image.topics().map(TopicLookup::found).collect(),
        TopicSelection::Names(names) => {
            let mut seen = HashSet::new();
            let once = names.iter().filter(|name| seen.insert(name.as_str()));
            once.map(|name| TopicLookup::by_name(image, name)).collect()
        }
        TopicSelection::Ids(ids) => {
            let mut seen = HashSet::new();
            let once = ids.iter().filter(|id| seen.insert(**id));
            once.map(|id| TopicLookup::by_id(image, *id)).collect()
        }
    }
}

fn page(
    image: &Image,
    names: &[String],
    cursor: Option<&TopicCursor>,
    limit: usize,
) -> Result<TopicPage, PageError> {
    let from = cursor.map_or("", |cursor| &cursor.topic);
    let start = match cursor {
        None => 0,
        Some(cursor) => usize::try_from(cursor.partition)
            .map_err(|_| PageError::NegativeCursor(cursor.partition))?,
    };
    let selected: Box<dyn Iterator<Item = TopicLookup>> = if names.is_empty() {
        let later = image.topics().filter(|topic| topic.name.as_str() >= from);
        Box::new(later.map(TopicLookup::found))
    } else {
        let later: BTreeSet<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| *name >= from)
            .collect();
        if let Some(cursor) = cursor
            && !later.contains(cursor.topic.as_str())
        {
            return Err(PageError::ForeignCursor(cursor.topic.clone()));
        }
        Box::new(
            later
                .into_iter()
                .map(|name| TopicLookup::by_name(image, name)),
        )
    };
    Ok(fill(
        selected,
        cursor.map(|cursor| (cursor.topic.as_str(), start)),
        limit,
    ))
}

/// Takes topics until `limit` partitions are on the page.
fn fill(
    selected: impl Iterator<Item = TopicLookup>,
    start: Option<(&str, usize)>,
    limit: usize,
) -> TopicPage {
    let mut page = TopicPage::default();
    let mut room = limit;
    for lookup in selected {
        let name = lookup.name.clone().unwrap_or_default();
        if room == 0 {
            page.next = Some(TopicCursor {
                topic: name,
                partition: 0,
            });
            break;
        }
        let count = lookup
            .result
            .as_ref()
            .map_or(0, |topic| topic.partitions.len());
        let first = start
            .filter(|(topic, _)| *topic == name)
            .map_or(0, |(_, first)| first);
        let end = first.saturating_add(room).min(count);
        page.topics.push((lookup, first..end.max(first)));
        if end < count {
            let partition = i32::try_from(end).unwrap_or(i32::MAX);
            page.next = Some(TopicCursor {
                topic: name,
                partition,
            });
            break;
        }
        room -= end.saturating_sub(first);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::image;
    use uuid::Uuid;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn cursor(topic: &str, partition: i32) -> TopicCursor {
        TopicCursor {
            topic: topic.to_owned(),
            partition,
        }
    }

    /// A page as text: `a:0..2 b! >c:0`, with `!` for a topic that is not there.
    fn shown(
        topics: &[(&str, usize)],
        asked: &[&str],
        at: Option<TopicCursor>,
        limit: usize,
    ) -> String {
        let page = match page(&image(topics), &names(asked), at.as_ref(), limit) {
            Ok(page) => page,
            Err(error) => return error.to_string(),
        };
        let topics = page.topics.iter().map(|(lookup, range)| {
            let name = lookup.name.as_deref().unwrap_or("?");
            match &lookup.result {
                Ok(_) => format!("{name}:{range:?}"),
                Err(_) => format!("{name}!"),
            }
        });
        let next = page
            .next
            .iter()
            .map(|next| format!(">{}:{}", next.topic, next.partition));
        topics.chain(next).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_topic_is_looked_up_once_in_the_order_of_the_request() {
        let image = image(&[("a", 1), ("b", 1)]);
        let by_name = TopicSelection::Names(names(&["b", "x y", "zz", "a", "b"]));
        let found: Vec<_> = look_up(&image, &by_name)
            .into_iter()
            .map(|lookup| {
                (
                    lookup.name.unwrap(),
                    lookup.result.map(|topic| topic.id).ok(),
                )
            })
            .collect();
        let id = |id| Some(TopicId(Uuid::from_u128(id)));
        let expected = [("b", id(101)), ("x y", None), ("zz", None), ("a", id(100))];
        assert_eq!(found, expected.map(|(name, id)| (name.to_owned(), id)));

        let unknown = TopicId(Uuid::from_u128(9));
        let by_id = TopicSelection::Ids(vec![id(101).unwrap(), unknown, unknown]);
        let found = look_up(&image, &by_id);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name.as_deref(), Some("b"));
        assert_eq!(
            found[1],
            TopicLookup {
                name: None,
                id: Some(unknown),
                result: Err(LookupError::UnknownId)
            }
        );
        assert_eq!(look_up(&image, &TopicSelection::All).len(), 2);
    }

    #[test]
    fn illegal_names_are_told_from_unknown_ones_and_never_created() {
        let image = image(&[("a", 1)]);
        let selection = TopicSelection::Names(names(&["", ".", "ok", "a"]));
        let errors: Vec<_> = look_up(&image, &selection)
            .into_iter()
            .map(|lookup| lookup.result.err())
            .collect();
        use LookupError as E;
        assert_eq!(
            errors,
            [
                Some(E::InvalidName),
                Some(E::InvalidName),
                Some(E::UnknownName),
                None
            ]
        );
        assert_eq!(
            missing_names(&image, &selection),
            [TopicName::new("ok").unwrap()]
        );
        assert!(missing_names(&image, &TopicSelection::All).is_empty());
    }

    #[test]
    fn internal_topics_are_known_by_name_alone() {
        let image = image(&[]);
        let lookup = |name| TopicLookup::by_name(&image, name).is_internal();
        assert!(lookup("__consumer_offsets") && lookup("__share_group_state"));
        assert!(!lookup("__cluster_metadata") && !lookup("a b"));
    }

    /// Each row was asked of Apache Kafka 4.1.2, with topics of the same shape.
    #[test]
    fn pages_end_and_go_on_as_in_kafka() {
        let topics = [("c1", 4), ("c2", 2), ("c3", 2)];
        let page = |asked: &[&str], at, limit| shown(&topics, asked, at, limit);
        assert_eq!(
            page(&["c2", "c1", "x", "b d"], None, 9),
            "b d! c1:0..4 c2:0..2 x!"
        );
        assert_eq!(page(&["c2", "c1", "c1"], None, 5), "c1:0..4 c2:0..1 >c2:1");
        assert_eq!(page(&["c2", "c1"], None, 4), "c1:0..4 >c2:0");
        assert_eq!(page(&["c2", "c1"], None, 1), "c1:0..1 >c1:1");
        assert_eq!(
            page(&["c2", "c1"], Some(cursor("c1", 3)), 2),
            "c1:3..4 c2:0..1 >c2:1"
        );
        assert_eq!(
            page(&["c2", "c1", "c3"], Some(cursor("c2", 0)), 2),
            "c2:0..2 >c3:0"
        );
        assert_eq!(
            page(&["c2", "c1"], Some(cursor("c1", 9)), 2),
            "c1:9..9 c2:0..2"
        );
        assert_eq!(page(&["x"], Some(cursor("x", 7)), 4), "x!");
        assert_eq!(page(&[], Some(cursor("c1x", 7)), 2), "c2:0..2 >c3:0");
        assert_eq!(page(&[], Some(cursor("c1", 1)), 3), "c1:1..4 >c2:0");
        assert_eq!(page(&[], None, 100), "c1:0..4 c2:0..2 c3:0..2");
    }

    #[test]
    fn cursors_that_make_no_sense_are_refused() {
        let image = image(&[("a", 1), ("b", 1)]);
        let page = |asked: &[&str], at| page(&image, &names(asked), Some(&at), 5).unwrap_err();
        assert!(matches!(
            page(&["b", "a"], cursor("ab", 1)),
            PageError::ForeignCursor(_)
        ));
        assert!(matches!(
            page(&["b"], cursor("zz", 1)),
            PageError::ForeignCursor(_)
        ));
        assert!(matches!(
            page(&["b"], cursor("b", -1)),
            PageError::NegativeCursor(-1)
        ));
    }
}
