//! The settings that are in force: static configuration, changed while running by the overrides
//! that the catalog holds for brokers and topics.
//!
//! *Invariant:* what is cached here names the overrides that it was made from and is made anew
//! when the catalog's image holds others; nobody has to tell the cache of a change.

mod alter;
mod describe;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use alter::{AlterError, Alteration, KeyChange, Operation, Outcome};
pub use describe::{DescribeError, Described, Source, Synonym};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use tokio::sync::Notify;

use crate::broker::Broker;
use crate::catalog::{ConfigResource, Image, Topic};
use crate::config::{Config, Key, Origin, Overlay, Scope, Typed, keys};
use crate::model::{Offset, TopicId};
use crate::storage::{CleanerOptions, Durability, LogConfig, Upkeep};

/// What the use cases need to know of a topic's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSettings {
    /// What its logs need.
    pub log: Arc<LogConfig>,
    /// `message.timestamp.type=LogAppendTime`.
    pub timestamp_type_log_append: bool,
    /// `message.timestamp.before.max.ms`; `i64::MAX` is no bound.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX` is no bound.
    pub timestamp_after_max_ms: i64,
    /// `compression.type` with its level.
    pub compression: Compression,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
}

/// How batches are stored (`compression.type`), with the level for codecs that have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip, level 1 to 9; -1 is the codec's own default.
    Gzip(i32),
    /// snappy.
    Snappy,
    /// lz4, level 1 to 17.
    Lz4(i32),
    /// zstd, level -131072 to 22.
    Zstd(i32),
}

impl TopicSettings {
    fn of(values: &Overlay<'_>) -> Self {
        use keys::topic;
        // Without a disk there is nothing that a topic could choose.
        let durability_name = match values.broker().get(keys::KLAMM_DURABILITY) {
            "memory" => "memory",
            _ => values.get(topic::KLAMM_DURABILITY),
        };
        let bytes = |key: Key<i32>| u64::try_from(values.get(key)).unwrap_or_default();
        let cleanup = values.get(topic::CLEANUP_POLICY);
        let log = LogConfig {
            segment_bytes: bytes(topic::SEGMENT_BYTES),
            segment_ms: values.get(topic::SEGMENT_MS),
            segment_jitter_ms: values.get(topic::SEGMENT_JITTER_MS),
            segment_index_bytes: bytes(topic::SEGMENT_INDEX_BYTES),
            index_interval_bytes: bytes(topic::INDEX_INTERVAL_BYTES),
            preallocate: values.get(topic::PREALLOCATE),
            flush_messages: values.get(topic::FLUSH_MESSAGES),
            flush_ms: values.get(topic::FLUSH_MS),
            file_delete_delay_ms: values.get(topic::FILE_DELETE_DELAY_MS),
            durability: durability(durability_name),
            delete: cleanup.contains(&"delete".to_owned()),
            compact: cleanup.contains(&"compact".to_owned()),
            retention_ms: values.get(topic::RETENTION_MS),
            retention_bytes: values.get(topic::RETENTION_BYTES),
            min_compaction_lag_ms: values.get(topic::MIN_COMPACTION_LAG_MS),
            max_compaction_lag_ms: values.get(topic::MAX_COMPACTION_LAG_MS),
            min_cleanable_dirty_ratio: values.get(topic::MIN_CLEANABLE_DIRTY_RATIO),
            delete_retention_ms: values.get(topic::DELETE_RETENTION_MS),
            max_message_bytes: usize::try_from(values.get(topic::MAX_MESSAGE_BYTES))
                .unwrap_or_default(),
        };
        Self {
            log: Arc::new(log),
            timestamp_type_log_append: values.get(topic::MESSAGE_TIMESTAMP_TYPE) == "LogAppendTime",
            timestamp_before_max_ms: values.get(topic::MESSAGE_TIMESTAMP_BEFORE_MAX_MS),
            timestamp_after_max_ms: values.get(topic::MESSAGE_TIMESTAMP_AFTER_MAX_MS),
            compression: match values.get(topic::COMPRESSION_TYPE) {
                "uncompressed" => Compression::Uncompressed,
                "gzip" => Compression::Gzip(values.get(topic::COMPRESSION_GZIP_LEVEL)),
                "snappy" => Compression::Snappy,
                "lz4" => Compression::Lz4(values.get(topic::COMPRESSION_LZ4_LEVEL)),
                "zstd" => Compression::Zstd(values.get(topic::COMPRESSION_ZSTD_LEVEL)),
                _ => Compression::Producer,
            },
            min_insync_replicas: values.get(topic::MIN_INSYNC_REPLICAS),
        }
    }
}

/// How long upkeep waits after a start (`log.initial.task.delay.ms`, which Kafka keeps internal);
/// whoever wants to look more often wants the first look earlier, too.
const INITIAL_TASK_DELAY_MS_MAX: i64 = 30_000;

/// What the configuration says about upkeep in the background.
pub fn upkeep(config: &Config) -> Upkeep {
    let interval = config.get(keys::LOG_RETENTION_CHECK_INTERVAL_MS);
    Upkeep {
        retention_check_interval_ms: interval,
        initial_task_delay_ms: interval.min(INITIAL_TASK_DELAY_MS_MAX),
        cleaner: cleaner(config),
    }
}

/// What the configuration says about the cleaner.
pub fn cleaner(config: &Config) -> CleanerOptions {
    let count = |value: i32| usize::try_from(value).unwrap_or_default();
    CleanerOptions {
        enable: config.get(keys::LOG_CLEANER_ENABLE),
        threads: count(config.get(keys::LOG_CLEANER_THREADS)),
        dedupe_buffer_bytes: u64::try_from(config.get(keys::LOG_CLEANER_DEDUPE_BUFFER_SIZE))
            .unwrap_or_default(),
        io_buffer_bytes: u64::try_from(config.get(keys::LOG_CLEANER_IO_BUFFER_SIZE))
            .unwrap_or_default(),
        load_factor: config.get(keys::LOG_CLEANER_IO_BUFFER_LOAD_FACTOR),
        io_max_bytes_per_second: config.get(keys::LOG_CLEANER_IO_MAX_BYTES_PER_SECOND),
        backoff_ms: config.get(keys::LOG_CLEANER_BACKOFF_MS),
        max_message_bytes: count(config.get(keys::MESSAGE_MAX_BYTES)),
    }
}

/// The durability that a legal value of `klamm.durability` names.
pub fn durability(name: &str) -> Durability {
    match name {
        "memory" => Durability::Memory,
        "os" => Durability::Os,
        _ => Durability::Fsync,
    }
}

/// What was resolved, with what it was resolved from.
#[derive(Debug, Default)]
pub struct SettingsCache {
    broker: ArcSwapOption<BrokerEntry>,
    topics: DashMap<TopicId, TopicEntry, FxBuildHasher>,
    /// Held while logs are told of new settings, so that the newest are told last.
    telling: Mutex<()>,
    /// Told of every change of the broker's own settings.
    changed: Notify,
}

/// What settings belong to, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A broker by its id; all brokers if empty.
    Broker(String),
    /// The log levels of a broker by its id.
    BrokerLogger(String),
    /// A client-metrics subscription.
    ClientMetrics(String),
    /// A group.
    Group(String),
    /// A type that nobody has given out.
    Unknown(i8, String),
}

impl Resource {
    /// The resource of that type (`ConfigResource.Type`) and name.
    pub fn new(kind: i8, name: String) -> Self {
        match kind {
            2 => Self::Topic(name),
            4 => Self::Broker(name),
            8 => Self::BrokerLogger(name),
            16 => Self::ClientMetrics(name),
            32 => Self::Group(name),
            _ => Self::Unknown(kind, name),
        }
    }

    /// Its type and name.
    pub fn parts(&self) -> (i8, &str) {
        match self {
            Self::Topic(name) => (2, name),
            Self::Broker(name) => (4, name),
            Self::BrokerLogger(name) => (8, name),
            Self::ClientMetrics(name) => (16, name),
            Self::Group(name) => (32, name),
            Self::Unknown(kind, name) => (*kind, name),
        }
    }
}

/// The broker's effective configuration.
#[derive(Debug)]
struct BrokerEntry {
    /// Of the image that was last compared.
    image: Offset,
    /// Overrides of all brokers.
    common: Arc<BTreeMap<String, String>>,
    /// Overrides of this one.
    own: Arc<BTreeMap<String, String>>,
    config: Arc<Config>,
}

/// The settings of a topic.
#[derive(Debug)]
struct TopicEntry {
    /// Of the image that was last compared.
    image: Offset,
    overrides: Arc<BTreeMap<String, String>>,
    /// What the overrides lie over.
    config: Arc<Config>,
    settings: Arc<TopicSettings>,
}

impl SettingsCache {
    /// Waits for the next change of the broker's settings, in this process.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Drops what is held for a topic that was deleted.
    pub fn forget(&self, topic: TopicId) {
        self.topics.remove(&topic);
    }
}

impl Broker {
    /// The configuration in force: the static one under the overrides for all brokers and for
    /// this one. Its rows of topics are what a topic without overrides has.
    pub fn effective_config(&self) -> Arc<Config> {
        self.effective_config_at(&self.catalog.image())
    }

    /// The value in force of a setting that may change while the broker runs.
    pub fn dynamic<T>(&self, key: Key<T>) -> T
    where
        T: for<'a> Typed<Out<'a> = T>,
    {
        self.effective_config().get(key)
    }

    fn effective_config_at(&self, image: &Image) -> Arc<Config> {
        let cached = self.settings.broker.load();
        if let Some(entry) = cached.as_ref()
            && entry.image == image.next_offset()
        {
            return Arc::clone(&entry.config);
        }
        let common = image.configs(&ConfigResource::Broker(None));
        let own = image.configs(&ConfigResource::Broker(Some(self.node_id)));
        let config = match cached.as_ref() {
            Some(entry) if entry.common == common && entry.own == own => Arc::clone(&entry.config),
            _ if common.is_empty() && own.is_empty() => Arc::clone(&self.config),
            _ => {
                let layers = [
                    (&*common, Origin::DynamicDefault),
                    (&*own, Origin::DynamicBroker),
                ];
                Arc::new(self.config.with_broker_overrides(layers))
            }
        };
        let entry = BrokerEntry {
            image: image.next_offset(),
            common,
            own,
            config: Arc::clone(&config),
        };
        self.settings.broker.store(Some(Arc::new(entry)));
        config
    }

    /// The settings of a topic.
    pub fn topic_settings(&self, topic: &Topic) -> Arc<TopicSettings> {
        let image = self.catalog.image();
        if let Some(entry) = self.settings.topics.get(&topic.id)
            && entry.image == image.next_offset()
        {
            return Arc::clone(&entry.settings);
        }
        let config = self.effective_config_at(&image);
        let overrides = image.configs(&ConfigResource::Topic(topic.name.clone()));
        let unchanged = self.settings.topics.get(&topic.id).and_then(|entry| {
            (Arc::ptr_eq(&entry.config, &config) && entry.overrides == overrides)
                .then(|| Arc::clone(&entry.settings))
        });
        let settings = unchanged.unwrap_or_else(|| {
            Arc::new(TopicSettings::of(&config.overlay(Scope::Topic, &overrides)))
        });
        let entry = TopicEntry {
            image: image.next_offset(),
            overrides,
            config,
            settings: Arc::clone(&settings),
        };
        self.settings.topics.insert(topic.id, entry);
        settings
    }

    /// The settings of the logs of a topic that is not in the image yet.
    pub fn log_config(&self, overrides: &BTreeMap<String, String>) -> Arc<LogConfig> {
        let config = self.effective_config();
        TopicSettings::of(&config.overlay(Scope::Topic, overrides)).log
    }
}
