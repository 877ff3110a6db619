//! The effective static configuration.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::builder::{Builder, Warning, inherit, relations};
use super::key::{Key, Typed};
use super::keys;
use super::listener::Listener;
use super::origin::Origin;
use super::setting::{Scope, Setting};
use super::table::{self, TABLE};
use super::value::Value;

/// The value of one row and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The parsed value.
    pub(super) value: Option<Value>,
    /// The text that it was parsed from, if it was given.
    pub(super) text: Option<Arc<str>>,
    /// Its source.
    pub(super) origin: Origin,
}

/// The effective static configuration: every row of the table with its value.
///
/// Rows of topics and groups hold what a topic or group without settings of its own has: the value
/// of the broker setting that gives its default.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) entries: Vec<Entry>,
    pub(super) listeners: Vec<Listener>,
    pub(super) advertised: Vec<Listener>,
    pub(super) warnings: Vec<Warning>,
}

impl Default for Config {
    fn default() -> Self {
        match Self::builder().build() {
            Ok(config) => config,
            Err(error) => unreachable!("the defaults of the table are valid: {error}"),
        }
    }
}

impl Config {
    /// Collects sources.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The value of a setting.
    pub fn get<T: Typed>(&self, key: Key<T>) -> T::Out<'_> {
        T::read(
            self.entries
                .get(key.row())
                .and_then(|entry| entry.value.as_ref()),
        )
    }

    /// Where the value of a setting came from.
    pub fn origin<T>(&self, key: Key<T>) -> &Origin {
        self.entries
            .get(key.row())
            .map_or(&Origin::Default, |entry| &entry.origin)
    }

    /// The value of a setting by name; `None` if it is unset or unknown.
    pub fn value(&self, scope: Scope, name: &str) -> Option<&Value> {
        self.entries.get(table::row(scope, name)?)?.value.as_ref()
    }

    /// The text that was given for a setting and where; `None` if nobody gave one.
    pub fn given(&self, scope: Scope, name: &str) -> Option<(&str, &Origin)> {
        let entry = self.entries.get(table::row(scope, name)?)?;
        Some((entry.text.as_deref()?, &entry.origin))
    }

    /// Every setting with its value and origin, in the table's order.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Setting, Option<&Value>, &Origin)> {
        TABLE
            .iter()
            .zip(&self.entries)
            .map(|(setting, entry)| (setting, entry.value.as_ref(), &entry.origin))
    }

    /// What was noticed and is no reason to fail.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Where to listen, without the controller's listeners.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// What clients are told for each of [`Config::listeners`], in the same order. An empty host
    /// stands for the address that the client reached, port 0 for the port that was bound.
    pub fn advertised_listeners(&self) -> &[Listener] {
        &self.advertised
    }

    /// The data directories: `log.dirs`, else `log.dir`; at least one.
    pub fn data_dirs(&self) -> Vec<PathBuf> {
        let dirs = self
            .get(keys::LOG_DIRS)
            .unwrap_or_else(|| self.get(keys::LOG_DIR));
        super::value::list(dirs.trim())
            .into_iter()
            .map(PathBuf::from)
            .collect()
    }

    /// This configuration with values that were set while the broker runs; later layers win. What
    /// the table does not know or refuses is left out: it was checked when it was set, and a newer
    /// version may have written it.
    #[must_use]
    pub fn with_broker_overrides<'a>(
        &self,
        layers: impl IntoIterator<Item = (&'a BTreeMap<String, String>, Origin)>,
    ) -> Self {
        let mut config = self.clone();
        for (layer, origin) in layers {
            for (name, text) in layer {
                let Some(row) = table::row(Scope::Broker, name) else {
                    continue;
                };
                let (Some(setting), Some(entry)) = (TABLE.get(row), config.entries.get_mut(row))
                else {
                    continue;
                };
                if let Ok(value) = setting.parse(text) {
                    let text = Some(Arc::from(text.as_str()));
                    *entry = Entry {
                        value: Some(value),
                        text,
                        origin: origin.clone(),
                    };
                }
            }
        }
        inherit(&mut config.entries);
        config
    }

    /// What must hold between settings and does not (`KafkaConfig.validateValues`).
    pub fn violations(&self) -> Vec<String> {
        relations(self)
            .into_iter()
            .map(|problem| problem.message)
            .collect()
    }

    /// What a topic or group with overrides of its own has.
    pub fn overlay(&self, scope: Scope, overrides: &BTreeMap<String, String>) -> Overlay<'_> {
        let parsed = overrides.iter().filter_map(|(name, text)| {
            let row = table::row(scope, name)?;
            Some((row, TABLE.get(row)?.parse(text).ok()?))
        });
        Overlay {
            under: self,
            over: parsed.collect(),
        }
    }
}

/// A configuration under the overrides of one topic or group.
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    under: &'a Config,
    over: HashMap<usize, Value>,
}

impl Overlay<'_> {
    /// The configuration below.
    pub fn broker(&self) -> &Config {
        self.under
    }

    /// The value of a setting.
    pub fn get<T: Typed>(&self, key: Key<T>) -> T::Out<'_> {
        match self.over.get(&key.row()) {
            Some(value) => T::read(Some(value)),
            None => self.under.get(key),
        }
    }

    /// The value of a setting by its row; `None` if it is unset.
    pub fn value(&self, setting: &Setting) -> Option<&Value> {
        let row = table::row(setting.scope, setting.name)?;
        match self.over.get(&row) {
            Some(value) => Some(value),
            None => self.under.value(setting.scope, setting.name),
        }
    }
}
