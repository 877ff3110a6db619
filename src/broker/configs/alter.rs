//! Changing settings: IncrementalAlterConfigs and AlterConfigs (`ConfigAdminManager`, then
//! `ConfigurationControlManager`).
//!
//! Each resource is changed whole or not at all, whatever becomes of the others. What is accepted
//! is one atomic batch of the metadata log, and in force when the answer leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Resource;
use super::rules::{self, Settings};
use crate::broker::Broker;
use crate::catalog::{Change, CommitError, ConfigResource, Image};
use crate::config::{Kind, Scope, table};
use crate::model::{InvalidTopicName, NodeId, TopicName, TopicPartition};

/// What is to become of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    /// Which.
    pub resource: Resource,
    /// The changes of its keys.
    pub changes: Vec<KeyChange>,
    /// Whether keys that are not named lose their override (AlterConfigs).
    pub replace: bool,
}

/// The change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// What to do.
    pub operation: Operation,
    /// With which value.
    pub value: Option<String>,
}

/// What to do with a key (`AlterConfigOp.OpType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set the value.
    Set,
    /// Back to the default.
    Delete,
    /// Add elements to a list.
    Append,
    /// Take elements from a list.
    Subtract,
    /// A number that nobody has given out.
    Unknown(i8),
}

impl Operation {
    /// The operation of that number.
    pub fn new(id: i8) -> Self {
        match id {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            _ => Self::Unknown(id),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
            Self::Unknown(_) => "UNKNOWN",
        }
    }
}

/// Why a resource was not changed; the texts are those of Kafka.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AlterError {
    /// The request makes no sense.
    #[error("{0}")]
    InvalidRequest(String),
    /// A key or value is refused.
    #[error("{0}")]
    InvalidConfig(String),
    /// The name is no topic's.
    #[error(transparent)]
    InvalidTopicName(#[from] InvalidTopicName),
    /// There is no such topic.
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    /// The operation has a number that nobody has given out.
    #[error("unknown operation")]
    UnknownOperation,
    /// The metadata log failed.
    #[error(transparent)]
    Commit(#[from] Arc<CommitError>),
}

/// What became of one resource.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub resource: Resource,
    /// Whether it was changed.
    pub result: Result<(), AlterError>,
}

impl Broker {
    /// Changes settings; answers in the order of the request when the changes are durable and in
    /// force. `validate_only` checks all the same and changes nothing.
    pub async fn alter_configs(
        &self,
        alterations: Vec<Alteration>,
        validate_only: bool,
    ) -> Vec<Outcome> {
        let mut decided = Vec::new();
        let committed = self.catalog.commit(|image| {
            let mut changes = Vec::new();
            for alteration in &alterations {
                let result = once(&alterations, alteration)
                    .and_then(|()| self.decide_configs(image, alteration))
                    .map(|accepted| changes.extend(accepted));
                decided.push(result);
            }
            if validate_only {
                changes.clear();
            }
            let changed = !changes.is_empty();
            Ok::<_, CommitError>((changes, changed))
        });
        let failed = match committed {
            Ok((image, true)) => {
                self.tell_logs(&image, &alterations);
                self.catalog.durable(image.next_offset()).await.err()
            }
            Ok((_, false)) => None,
            Err(error) => Some(error),
        };
        let failed = failed.map(Arc::new);
        let outcome = |(alteration, result): (Alteration, Result<(), AlterError>)| Outcome {
            resource: alteration.resource,
            result: match &failed {
                Some(error) => result.and(Err(AlterError::Commit(Arc::clone(error)))),
                None => result,
            },
        };
        // A commit that failed before it decided leaves nothing in `decided`.
        let decided = decided.into_iter().chain(std::iter::repeat_with(|| Ok(())));
        alterations.into_iter().zip(decided).map(outcome).collect()
    }

    /// The changes of the catalog that an alteration makes.
    fn decide_configs(
        &self,
        image: &Image,
        alteration: &Alteration,
    ) -> Result<Vec<Change>, AlterError> {
        check_shape(alteration)?;
        let (resource, scope) = match &alteration.resource {
            Resource::Topic(name) => {
                let target = TopicName::new(name).map(ConfigResource::Topic);
                return self.decide_topic(image, alteration, name, target);
            }
            Resource::Broker(id) => return self.decide_broker(image, alteration, id),
            Resource::BrokerLogger(id) => return self.decide_loggers(alteration, id),
            Resource::ClientMetrics(name) => (
                ConfigResource::ClientMetrics(name.clone()),
                Scope::ClientMetrics,
            ),
            Resource::Group(name) => (ConfigResource::Group(name.clone()), Scope::Group),
            Resource::Unknown(kind, _) => {
                return Err(AlterError::InvalidRequest(format!(
                    "Unknown resource type {kind}"
                )));
            }
        };
        let (_, name) = alteration.resource.parts();
        let current = image.configs(&resource);
        // The controller knows no types of these scopes: none of them is a list to it.
        let new = applied(alteration, &current, |_| None)?;
        match scope {
            Scope::Group if name.is_empty() => {
                return Err(AlterError::InvalidRequest(
                    "Default group resources are not allowed.".to_owned(),
                ));
            }
            Scope::Group => rules::check_group(&self.effective_config_at(image), &new)?,
            _ if name.is_empty() => {
                return Err(AlterError::InvalidRequest(
                    "Subscription name can't be empty".to_owned(),
                ));
            }
            _ => rules::check_client_metrics(&new)?,
        }
        Ok(difference(&resource, &current, &new))
    }

    fn decide_topic(
        &self,
        image: &Image,
        alteration: &Alteration,
        name: &str,
        target: Result<ConfigResource, InvalidTopicName>,
    ) -> Result<Vec<Change>, AlterError> {
        let current = match &target {
            Ok(resource) => image.configs(resource),
            Err(_) => Arc::default(),
        };
        let new = applied(alteration, &current, |key| list_default(Scope::Topic, key))?;
        if name.is_empty() {
            let why = "Default topic resources are not allowed.";
            return Err(AlterError::InvalidRequest(why.to_owned()));
        }
        let resource = target?;
        rules::check_topic(&self.effective_config_at(image), &new)?;
        if image.topic_by_name(name).is_none() {
            return Err(AlterError::UnknownTopic(name.to_owned()));
        }
        Ok(difference(&resource, &current, &new))
    }

    fn decide_broker(
        &self,
        image: &Image,
        alteration: &Alteration,
        id: &str,
    ) -> Result<Vec<Change>, AlterError> {
        let own = !id.is_empty();
        if own {
            let expected = self.node_id;
            self.check_node(id, |other| {
                format!("Unexpected broker id, expected {expected}, but received {other}")
            })?;
        }
        for change in &alteration.changes {
            if let Operation::Unknown(number) = change.operation {
                let why = format!("Unknown operations type {number}");
                return Err(AlterError::InvalidRequest(why));
            }
            let list = list_default(Scope::Broker, &change.key).is_some();
            let partial = matches!(change.operation, Operation::Append | Operation::Subtract);
            if partial && !list {
                let verb = change.operation.name().to_ascii_lowercase();
                return Err(AlterError::InvalidConfig(format!(
                    "Config value {verb} is not allowed for config key: {}",
                    change.key
                )));
            }
        }
        let resource = ConfigResource::Broker(own.then_some(self.node_id));
        let current = image.configs(&resource);
        let new = applied(alteration, &current, |key| list_default(Scope::Broker, key))?;
        rules::check_broker(&self.effective_config_at(image), own, &new)?;
        Ok(difference(&resource, &current, &new))
    }

    /// There are no loggers with levels of their own.
    fn decide_loggers(&self, alteration: &Alteration, id: &str) -> Result<Vec<Change>, AlterError> {
        if alteration.replace {
            return Err(AlterError::InvalidRequest(
                "Unknown resource type 8".to_owned(),
            ));
        }
        let expected = self.node_id;
        self.check_node(id, |other| {
            format!("Unexpected node id. Expected {expected}, but received {other}")
        })?;
        match alteration.changes.first() {
            None => Ok(Vec::new()),
            Some(change) => match change.operation {
                Operation::Append | Operation::Subtract => {
                    Err(AlterError::InvalidRequest(format!(
                        "{} operation is not allowed for the BROKER_LOGGER resource",
                        change.operation.name()
                    )))
                }
                Operation::Unknown(_) => Err(AlterError::UnknownOperation),
                Operation::Delete if change.key == "root" => Err(AlterError::InvalidRequest(
                    "Removing the log level of the root logger is not allowed".to_owned(),
                )),
                Operation::Set | Operation::Delete => Err(AlterError::InvalidConfig(format!(
                    "Logger {} does not exist!",
                    change.key
                ))),
            },
        }
    }

    fn check_node(&self, id: &str, wrong: impl Fn(i32) -> String) -> Result<(), AlterError> {
        let why = match id.parse::<i32>() {
            Ok(number) if NodeId(number) == self.node_id => return Ok(()),
            Ok(number) => wrong(number),
            Err(_) => format!("Node id must be an integer, but it is: {id}"),
        };
        Err(AlterError::InvalidRequest(why))
    }

    /// Has the logs of altered topics take their new settings; those of all topics after a change
    /// of the broker's, which their defaults are.
    fn tell_logs(&self, image: &Image, alterations: &[Alteration]) {
        let _turn = self.settings.telling.lock();
        let all = alterations
            .iter()
            .any(|one| matches!(one.resource, Resource::Broker(_)));
        if all {
            // One waiter; a change that it has not yet seen is remembered for it.
            self.settings.changed.notify_one();
        }
        let named = alterations
            .iter()
            .filter_map(|alteration| match &alteration.resource {
                Resource::Topic(name) if !all => image.topic_by_name(name),
                _ => None,
            });
        for topic in image.topics().filter(|_| all).chain(named) {
            let settings = self.topic_settings(&topic);
            for partition in (0..)
                .map(crate::model::PartitionId)
                .take(topic.partitions.len())
            {
                let id = TopicPartition {
                    topic: topic.id,
                    partition,
                };
                if let Some(partition) = self.store.partition(&id) {
                    partition.reconfigure(Arc::clone(&settings.log));
                }
            }
        }
    }

    /// The overrides of a new topic, or why they are refused.
    pub(in crate::broker) fn check_topic_configs(
        &self,
        configs: &[(String, Option<String>)],
    ) -> Result<Settings, String> {
        let unset: Vec<_> = configs
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(key, _)| &**key)
            .collect();
        if !unset.is_empty() {
            let names = unset.join(",");
            return Err(format!(
                "Null value not supported for topic configs: {names}"
            ));
        }
        let overrides: Settings = configs
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        rules::check_topic(&self.effective_config(), &overrides)
            .map_err(|error| error.to_string())?;
        Ok(overrides)
    }
}

/// A resource may be named once.
fn once(alterations: &[Alteration], alteration: &Alteration) -> Result<(), AlterError> {
    let same = alterations
        .iter()
        .filter(|other| other.resource == alteration.resource);
    if same.take(2).count() > 1 {
        let why = "Each resource must appear at most once.";
        return Err(AlterError::InvalidRequest(why.to_owned()));
    }
    Ok(())
}

/// What is wrong with a request whatever it is about.
fn check_shape(alteration: &Alteration) -> Result<(), AlterError> {
    let keys: BTreeSet<_> = alteration
        .changes
        .iter()
        .map(|change| &change.key)
        .collect();
    if keys.len() < alteration.changes.len() {
        return Err(AlterError::InvalidRequest(
            "Error due to duplicate config keys".to_owned(),
        ));
    }
    let nulls = alteration
        .changes
        .iter()
        .filter(|change| change.value.is_none() && !matches!(change.operation, Operation::Delete));
    let nulls: Vec<_> = nulls.map(|change| change.key.as_str()).collect();
    if !nulls.is_empty() {
        let names = nulls.join(", ");
        let why = format!("Null value not supported for : {names}");
        return Err(AlterError::InvalidRequest(why));
    }
    Ok(())
}

/// The default of a setting that is a list; `None` if it is none.
fn list_default(scope: Scope, key: &str) -> Option<&'static str> {
    let setting = table::find(scope, key)?;
    (setting.kind == Kind::List).then(|| setting.default.unwrap_or_default())
}

/// The overrides after the changes.
fn applied(
    alteration: &Alteration,
    current: &Settings,
    list_default: impl Fn(&str) -> Option<&'static str>,
) -> Result<Settings, AlterError> {
    let mut new = if alteration.replace {
        BTreeMap::new()
    } else {
        current.clone()
    };
    for KeyChange {
        key,
        operation,
        value,
    } in &alteration.changes
    {
        let value = value.as_deref().unwrap_or_default();
        match operation {
            Operation::Set => {
                new.insert(key.clone(), value.to_owned());
            }
            Operation::Delete => {
                new.remove(key);
            }
            Operation::Append | Operation::Subtract => {
                let Some(default) = list_default(key) else {
                    return Err(AlterError::InvalidConfig(format!(
                        "Can't {} to key {key} because its type is not LIST.",
                        operation.name()
                    )));
                };
                let old = new.get(key).map_or(default, String::as_str);
                let elements = |text: &str| -> Vec<String> {
                    let parts = text.split(',').map(str::trim);
                    parts
                        .filter(|part| !part.is_empty())
                        .map(str::to_owned)
                        .collect()
                };
                let mut list = elements(old);
                for element in elements(value) {
                    list.retain(|other| *operation == Operation::Append || *other != element);
                    if *operation == Operation::Append && !list.contains(&element) {
                        list.push(element);
                    }
                }
                new.insert(key.clone(), list.join(","));
            }
            Operation::Unknown(_) => return Err(AlterError::UnknownOperation),
        }
    }
    Ok(new)
}

/// What has to be written to get from the one to the other.
fn difference(resource: &ConfigResource, current: &Settings, new: &Settings) -> Vec<Change> {
    let change = |key: &String, value: Option<&String>| Change::SetConfig {
        resource: resource.clone(),
        key: key.clone(),
        value: value.cloned(),
    };
    let set = new
        .iter()
        .filter(|(key, value)| current.get(*key) != Some(value))
        .map(|(key, value)| change(key, Some(value)));
    let removed = current
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| change(key, None));
    set.chain(removed).collect()
}
