//! From sources to an effective configuration.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::effective::{Config, Entry};
use super::listener;
use super::origin::Origin;
use super::setting::{Inert, Scope, Setting};
use super::sources::{Given, environment, file};
use super::table::{self, TABLE};
use super::value::Value;

/// Why there is no configuration: everything that is wrong, not only the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The problems, in the order of their sources.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What; a refused value names key and value.
    pub message: String,
    /// Where.
    pub origin: Origin,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.origin)
    }
}

/// What was noticed and is no reason to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A key that the table does not have.
    Unknown {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
    },
    /// Keys that were given and have no effect, each with the reason.
    Inert(Vec<(&'static str, Inert)>),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, origin } => write!(f, "unknown setting {key} ({origin})"),
            Self::Inert(keys) => {
                let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
                write!(f, "settings without effect here: {}", names.join(", "))
            }
        }
    }
}

/// Collects the sources of a configuration.
///
/// The order of the calls does not matter between sources: a file is overridden by the environment,
/// the environment by flags, and flags by [`Builder::set`]. Within a source the last one wins.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    files: Vec<Given>,
    environment: Vec<Given>,
    flags: Vec<Given>,
    sets: Vec<Given>,
    problems: Vec<Problem>,
}

impl Builder {
    /// A file's bytes: TOML or JSON if its name ends so, else properties as Java reads them.
    #[must_use]
    pub fn file(mut self, path: &Path, bytes: &[u8]) -> Self {
        match file(path, bytes) {
            Ok(given) => self.files.extend(given),
            Err(problem) => self.problems.push(problem),
        }
        self
    }

    /// The environment: variables that begin with `KAFKA_` or `KLAMM_`.
    #[must_use]
    pub fn env(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(environment(variables));
        self
    }

    /// A flag that stands for a setting, such as `--listen`.
    #[must_use]
    pub fn flag(mut self, flag: &str, key: &str, value: &str) -> Self {
        self.flags
            .push(Given::new(key, value, Origin::Flag(Arc::from(flag))));
        self
    }

    /// A setting by name: `--set key=value`, or what a program says.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.sets.push(Given::new(key, value, Origin::Set));
        self
    }

    /// The effective configuration, or all that is wrong with it.
    pub fn build(self) -> Result<Config, ConfigError> {
        let mut problems = self.problems;
        let mut warnings = Vec::new();
        let mut chosen: Vec<Option<Given>> = vec![None; TABLE.len()];
        let sources = [self.files, self.environment, self.flags, self.sets];
        for given in sources.into_iter().flatten() {
            match table::row(Scope::Broker, &given.key).and_then(|row| chosen.get_mut(row)) {
                Some(slot) => *slot = Some(given),
                None if is_listener_setting(&given.key) => {}
                None => warnings.push(Warning::Unknown {
                    key: given.key,
                    origin: given.origin,
                }),
            }
        }
        node_id(&mut chosen);
        let inert: Vec<_> = TABLE
            .iter()
            .zip(&chosen)
            .filter(|(_, given)| given.is_some())
            .filter_map(|(setting, _)| Some((setting.name, setting.inert?)))
            .collect();
        if !inert.is_empty() {
            warnings.push(Warning::Inert(inert));
        }
        let mut entries: Vec<Entry> = TABLE
            .iter()
            .zip(chosen)
            .map(|(setting, given)| entry(setting, given, &mut problems))
            .collect();
        inherit(&mut entries);
        let mut config = Config {
            entries,
            listeners: Vec::new(),
            advertised: Vec::new(),
            warnings,
        };
        match listener::resolve(&config) {
            Ok((listeners, advertised)) => {
                config.listeners = listeners;
                config.advertised = advertised;
            }
            Err(problem) => problems.push(problem),
        }
        problems.extend(relations(&config));
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { problems })
        }
    }
}

/// Parses one row's value; a refused one is a problem and leaves the default.
fn entry(setting: &Setting, given: Option<Given>, problems: &mut Vec<Problem>) -> Entry {
    if let Some(given) = given {
        match setting.parse(&given.text) {
            Ok(value) => {
                let text = Some(Arc::from(given.text));
                return Entry {
                    value: Some(value),
                    text,
                    origin: given.origin,
                };
            }
            Err(refusal) => {
                let message = if setting.is_sensitive() {
                    format!("Invalid value [hidden] for configuration {}", setting.name)
                } else {
                    refusal.0
                };
                problems.push(Problem {
                    message,
                    origin: given.origin,
                });
            }
        }
    }
    let value = setting
        .default
        .and_then(|default| setting.parse(default).ok());
    Entry {
        value,
        text: None,
        origin: Origin::Default,
    }
}

/// `listener.name.<name>.<key>` sets a known key for one listener; it has no effect before there is
/// authentication and TLS.
fn is_listener_setting(key: &str) -> bool {
    let Some(rest) = key.strip_prefix("listener.name.") else {
        return false;
    };
    rest.match_indices('.').any(|(dot, _)| {
        rest.get(dot + 1..)
            .is_some_and(|name| table::find(Scope::Broker, name).is_some())
    })
}

/// `broker.id` and `node.id` are one setting: either gives the other if that is not given.
fn node_id(chosen: &mut [Option<Given>]) {
    let rows = [
        table::row(Scope::Broker, "node.id"),
        table::row(Scope::Broker, "broker.id"),
    ];
    let [Some(node), Some(broker)] = rows else {
        return;
    };
    let given = |row: usize| chosen.get(row).cloned().flatten();
    let (to, value) = match (given(node), given(broker)) {
        (None, Some(value)) => (node, value),
        (Some(value), None) => (broker, value),
        _ => return,
    };
    if let Some(slot) = chosen.get_mut(to) {
        *slot = Some(value);
    }
}

/// Gives topics and groups the defaults that the broker's settings make
/// (`KafkaConfig.extractLogConfigMap`): the first synonym that is set, in milliseconds.
pub(super) fn inherit(entries: &mut [Entry]) {
    for (row, setting) in TABLE.iter().enumerate() {
        let from = setting.synonyms.iter().find_map(|synonym| {
            let entry = entries.get(table::row(Scope::Broker, synonym)?)?;
            Some((
                in_unit_of(setting, synonym, entry.value.clone()?),
                entry.origin.clone(),
            ))
        });
        if let (Some((value, origin)), Some(entry)) = (from, entries.get_mut(row)) {
            entry.value = Some(value);
            entry.origin = origin;
        }
    }
}

/// A broker's value as its topics hold it.
fn in_unit_of(setting: &Setting, synonym: &str, value: Value) -> Value {
    let factor = match synonym.rsplit('.').next() {
        Some("hours") => 60 * 60 * 1000,
        Some("minutes") => 60 * 1000,
        _ => 1,
    };
    match value {
        Value::Int(value) if factor > 1 => bounded(setting, i64::from(value) * factor),
        Value::Long(value) => bounded(setting, value),
        other => other,
    }
}

/// Every negative retention is "no bound".
fn bounded(setting: &Setting, value: i64) -> Value {
    Value::Long(if setting.name == "retention.ms" {
        value.max(-1)
    } else {
        value
    })
}

/// What must hold between settings (`KafkaConfig.validateValues`).
pub(super) fn relations(config: &Config) -> Vec<Problem> {
    use super::keys;
    let mut problems = Vec::new();
    if config.get(keys::topic::RETENTION_MS) == 0 {
        problems.push(Problem {
            message: "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"
                .to_owned(),
            origin: config.origin(keys::topic::RETENTION_MS).clone(),
        });
    }
    if config
        .data_dirs()
        .iter()
        .all(|dir| dir.as_os_str().is_empty())
    {
        problems.push(Problem {
            message: "requirement failed: At least one log directory must be defined via log.dirs or log.dir."
                .to_owned(),
            origin: config.origin(keys::LOG_DIRS).clone(),
        });
    }
    problems
}
