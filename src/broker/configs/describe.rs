//! What DescribeConfigs tells (`ConfigHelper`): each setting with its value and all the places
//! that give it one.

use std::collections::BTreeMap;

use super::Resource;
use crate::broker::Broker;
use crate::catalog::{ConfigResource, Image};
use crate::config::{Config, Kind, Scope, Setting, table};
use crate::model::{InvalidTopicName, NodeId, TopicName};

/// Where a value comes from (`ConfigEntry.ConfigSource`), with Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An override of the topic.
    Topic = 1,
    /// Set for this broker while it runs.
    DynamicBroker = 2,
    /// Set for all brokers while they run.
    DynamicDefault = 3,
    /// The static configuration.
    StaticBroker = 4,
    /// The default.
    Default = 5,
    /// An override of the client-metrics subscription.
    ClientMetrics = 7,
    /// An override of the group.
    Group = 8,
}

/// One place that gives a setting a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Name of the setting there.
    pub name: String,
    /// Its value; `None` where it is not shown.
    pub value: Option<String>,
    /// The place.
    pub source: Source,
}

/// A setting as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// The value in force; `None` if it is unset or not shown.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: Source,
    /// Its type; `None` for what the table does not have.
    pub kind: Option<Kind>,
    /// Whether a running broker refuses a new value.
    pub read_only: bool,
    /// Whether its value is not shown.
    pub sensitive: bool,
    /// All places that give it a value, the one in force first.
    pub synonyms: Vec<Synonym>,
    /// What it does.
    pub doc: Option<&'static str>,
}

/// Why a resource is not described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// A type without settings.
    #[error("Unexpected resource type {0}")]
    UnknownType(i8),
    /// The name is no topic's.
    #[error(transparent)]
    InvalidTopicName(#[from] InvalidTopicName),
    /// There is no such topic.
    #[error("")]
    UnknownTopic,
    /// The name does not fit the type.
    #[error("{0}")]
    InvalidName(String),
}

impl Broker {
    /// The settings of a resource: those that are named, or all.
    pub fn describe_configs(
        &self,
        resource: &Resource,
        names: Option<&[&str]>,
    ) -> Result<Vec<Described>, DescribeError> {
        let mut described = match resource {
            Resource::Topic(name) => self.describe_topic(name)?,
            Resource::Broker(id) => self.describe_broker(id)?,
            Resource::BrokerLogger(id) => self.describe_loggers(id)?,
            Resource::ClientMetrics(name) if name.is_empty() => {
                let why = "Client metrics subscription name must not be empty";
                return Err(DescribeError::InvalidName(why.to_owned()));
            }
            Resource::ClientMetrics(name) => {
                let overrides = self.overrides(&ConfigResource::ClientMetrics(name.clone()));
                self.describe_plain(Scope::ClientMetrics, Source::ClientMetrics, &overrides)
            }
            Resource::Group(name) if name.is_empty() => {
                let why = "Group name must not be empty";
                return Err(DescribeError::InvalidName(why.to_owned()));
            }
            Resource::Group(name) => {
                let overrides = self.overrides(&ConfigResource::Group(name.clone()));
                self.describe_plain(Scope::Group, Source::Group, &overrides)
            }
            Resource::Unknown(kind, _) => return Err(DescribeError::UnknownType(*kind)),
        };
        if let Some(names) = names {
            described.retain(|entry| names.contains(&entry.name.as_str()));
        }
        Ok(described)
    }

    /// Everything that can be described, in the order of Kafka's answer to ListConfigResources:
    /// groups and client-metrics subscriptions with settings, this broker twice, the topics.
    pub fn config_resources(&self) -> Vec<Resource> {
        let image = self.catalog.image();
        let mut groups = Vec::new();
        let mut subscriptions = Vec::new();
        for resource in image.config_resources() {
            match resource {
                ConfigResource::Group(name) => groups.push(Resource::Group(name)),
                ConfigResource::ClientMetrics(name) => {
                    subscriptions.push(Resource::ClientMetrics(name));
                }
                ConfigResource::Topic(_) | ConfigResource::Broker(_) => {}
            }
        }
        let node = self.node_id.to_string();
        let brokers = [Resource::BrokerLogger(node.clone()), Resource::Broker(node)];
        let topics = image
            .topics()
            .map(|topic| Resource::Topic(topic.name.as_str().to_owned()));
        groups
            .into_iter()
            .chain(subscriptions)
            .chain(brokers)
            .chain(topics)
            .collect()
    }

    /// The settings of a topic with these overrides, which need not exist yet.
    pub fn describe_overrides(&self, overrides: &BTreeMap<String, String>) -> Vec<Described> {
        let image = self.catalog.image();
        let config = self.effective_config_at(&image);
        let layers = Layers::of(self, &image);
        let values = config.overlay(Scope::Topic, overrides);
        let mut settings: Vec<_> = table::of_scope(Scope::Topic).collect();
        settings.sort_by_key(|setting| setting.name);
        settings
            .into_iter()
            .map(|setting| {
                let value = values.value(setting).map(ToString::to_string);
                let mut synonyms = match setting.synonyms.first() {
                    Some(synonym) => layers.synonyms(synonym),
                    None => Vec::new(),
                };
                if overrides.contains_key(setting.name) {
                    let name = setting.name.to_owned();
                    let own = Synonym {
                        name,
                        value: value.clone(),
                        source: Source::Topic,
                    };
                    synonyms.insert(0, own);
                }
                entry(setting, value, synonyms)
            })
            .collect()
    }

    fn describe_topic(&self, name: &str) -> Result<Vec<Described>, DescribeError> {
        let name = TopicName::new(name)?;
        let image = self.catalog.image();
        if image.topic_by_name(name.as_str()).is_none() {
            return Err(DescribeError::UnknownTopic);
        }
        Ok(self.describe_overrides(&image.configs(&ConfigResource::Topic(name))))
    }

    fn describe_broker(&self, id: &str) -> Result<Vec<Described>, DescribeError> {
        let image = self.catalog.image();
        let layers = Layers::of(self, &image);
        if id.is_empty() {
            return Ok(layers
                .common
                .iter()
                .map(|(name, value)| common(name, value))
                .collect());
        }
        let expected = format!("{} or empty string,", self.node_id);
        self.check_id(id, &expected)?;
        let config = self.effective_config_at(&image);
        let mut settings: Vec<_> = table::of_scope(Scope::Broker).collect();
        settings.sort_by_key(|setting| setting.name);
        let known = settings.into_iter().map(|setting| {
            let value = config.value(Scope::Broker, setting.name);
            let shown = value
                .filter(|_| !setting.is_sensitive())
                .map(ToString::to_string);
            entry(setting, shown, layers.synonyms(setting.name))
        });
        let strangers = layers.own.keys().chain(layers.common.keys());
        let strangers: std::collections::BTreeSet<_> = strangers
            .filter(|name| table::find(Scope::Broker, name).is_none())
            .collect();
        let strangers = strangers
            .into_iter()
            .map(|name| stranger(name, layers.synonyms(name)));
        Ok(known.chain(strangers).collect())
    }

    /// There are no loggers with levels of their own.
    fn describe_loggers(&self, id: &str) -> Result<Vec<Described>, DescribeError> {
        if id.is_empty() {
            return Err(DescribeError::InvalidName(
                "Broker id must not be empty".to_owned(),
            ));
        }
        self.check_id(id, &self.node_id.to_string())?;
        Ok(Vec::new())
    }

    fn check_id(&self, id: &str, expected: &str) -> Result<(), DescribeError> {
        let why = match id.parse::<i32>() {
            Ok(number) if NodeId(number) == self.node_id => return Ok(()),
            Ok(number) => {
                format!("Unexpected broker id, expected {expected} but received {number}")
            }
            Err(_) => format!("Broker id must be an integer, but it is: {id}"),
        };
        Err(DescribeError::InvalidName(why))
    }

    /// Settings that the broker's do not reach: an override or the default.
    fn describe_plain(
        &self,
        scope: Scope,
        source: Source,
        overrides: &BTreeMap<String, String>,
    ) -> Vec<Described> {
        let config = self.effective_config();
        let values = config.overlay(scope, overrides);
        table::of_scope(scope)
            .map(|setting| {
                let value = values.value(setting).map(ToString::to_string);
                let overridden = overrides.contains_key(setting.name);
                let source = if overridden { source } else { Source::Default };
                let told = overridden || scope == Scope::Group;
                let name = setting.name.to_owned();
                let place = told.then(|| Synonym {
                    name,
                    value: value.clone(),
                    source,
                });
                entry(setting, value, place.into_iter().collect())
            })
            .collect()
    }

    fn overrides(&self, resource: &ConfigResource) -> std::sync::Arc<BTreeMap<String, String>> {
        self.catalog.image().configs(resource)
    }
}

fn entry(setting: &'static Setting, value: Option<String>, synonyms: Vec<Synonym>) -> Described {
    Described {
        name: setting.name.to_owned(),
        value,
        source: synonyms
            .first()
            .map_or(Source::Default, |first| first.source),
        kind: Some(setting.kind),
        read_only: setting.is_read_only(),
        sensitive: setting.is_sensitive(),
        synonyms,
        doc: Some(setting.doc),
    }
}

/// A setting for all brokers: only what was set is told.
fn common(name: &str, value: &str) -> Described {
    let place = |value| Synonym {
        name: name.to_owned(),
        value,
        source: Source::DynamicDefault,
    };
    match table::find(Scope::Broker, name) {
        Some(setting) => {
            let shown = (!setting.is_sensitive()).then(|| value.to_owned());
            entry(setting, shown.clone(), vec![place(shown)])
        }
        None => stranger(name, vec![place(None)]),
    }
}

/// A setting that the table does not have: it may be a secret.
fn stranger(name: &str, synonyms: Vec<Synonym>) -> Described {
    Described {
        name: name.to_owned(),
        value: None,
        source: synonyms
            .first()
            .map_or(Source::Default, |first| first.source),
        kind: None,
        read_only: true,
        sensitive: true,
        synonyms,
        doc: None,
    }
}

/// The places that give broker settings their values.
struct Layers<'a> {
    config: &'a Config,
    common: std::sync::Arc<BTreeMap<String, String>>,
    own: std::sync::Arc<BTreeMap<String, String>>,
}

impl<'a> Layers<'a> {
    fn of(broker: &'a Broker, image: &Image) -> Self {
        Self {
            config: &broker.config,
            common: image.configs(&ConfigResource::Broker(None)),
            own: image.configs(&ConfigResource::Broker(Some(broker.node_id))),
        }
    }

    /// Where a broker setting has a value, the one in force first. What only gives a default to
    /// the setting (hours to milliseconds) is told after a value of its own, never before it.
    fn synonyms(&self, name: &str) -> Vec<Synonym> {
        let names = family(name);
        let names = if names.is_empty() { &[name][..] } else { names };
        let mut places = Vec::new();
        let mut add = |name: &str, value: Option<&str>, source| {
            if let Some(value) = value {
                let sensitive =
                    table::find(Scope::Broker, name).is_none_or(|setting| setting.is_sensitive());
                let value = (!sensitive).then(|| value.to_owned());
                places.push(Synonym {
                    name: name.to_owned(),
                    value,
                    source,
                });
            }
        };
        for name in names {
            add(
                name,
                self.own.get(*name).map(String::as_str),
                Source::DynamicBroker,
            );
        }
        for name in names {
            add(
                name,
                self.common.get(*name).map(String::as_str),
                Source::DynamicDefault,
            );
        }
        for name in names {
            let given = self.config.given(Scope::Broker, name).map(|(text, _)| text);
            add(name, given, Source::StaticBroker);
        }
        for name in names {
            let default = table::find(Scope::Broker, name).and_then(|setting| setting.default);
            add(name, default, Source::Default);
        }
        let skipped = places.iter().take_while(|place| place.name != name).count();
        places.split_off(skipped)
    }
}

/// Settings of one quantity in several units, finest first
/// (`DynamicBrokerConfig.brokerConfigSynonyms`); none for a setting that stands alone.
fn family(name: &str) -> &'static [&'static str] {
    match name {
        "log.roll.ms" | "log.roll.hours" => &["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => {
            &["log.roll.jitter.ms", "log.roll.jitter.hours"]
        }
        "log.flush.interval.ms" => &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
        _ => &[],
    }
}
