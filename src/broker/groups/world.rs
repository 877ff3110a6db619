//! What groups are lent: the settings and topics of now.

use std::sync::Arc;

use crate::broker::Broker;
use crate::catalog::{ConfigResource, Image};
use crate::config::{Config, keys};
use crate::coordinator::consumer::Assignor;
use crate::coordinator::{
    ConsumerSettings, ConsumerTimeouts, GroupOverrides, GroupSettings, GroupWorld, KnownTopic,
    Migration, Topics,
};
use crate::model::TopicId;

impl Topics for Image {
    fn topic(&self, name: &str) -> Option<KnownTopic> {
        let topic = self.topic_by_name(name)?;
        Some(KnownTopic {
            id: topic.id.0,
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        })
    }

    fn name(&self, id: uuid::Uuid) -> Option<String> {
        let topic = Image::topic(self, TopicId(id))?;
        Some(topic.name.as_str().to_owned())
    }

    fn for_each(&self, visit: &mut dyn FnMut(&str)) {
        for topic in self.topics() {
            visit(topic.name.as_str());
        }
    }

    /// Any change of metadata counts: few of them do not concern topics.
    fn version(&self) -> i64 {
        self.next_offset().0
    }
}

impl GroupOverrides for Image {
    fn consumer_timeouts(&self, group: &str, general: ConsumerTimeouts) -> ConsumerTimeouts {
        let overrides = self.configs(&ConfigResource::Group(group.to_owned()));
        // They were checked when they were set.
        let ms = |name: &str, general| {
            let set = overrides.get(name).and_then(|text| text.parse().ok());
            set.unwrap_or(general)
        };
        ConsumerTimeouts {
            session_ms: ms(
                keys::group::CONSUMER_SESSION_TIMEOUT_MS.name(),
                general.session_ms,
            ),
            heartbeat_ms: ms(
                keys::group::CONSUMER_HEARTBEAT_INTERVAL_MS.name(),
                general.heartbeat_ms,
            ),
        }
    }
}

/// Settings, with the configuration that they were made from.
#[derive(Debug)]
pub(super) struct Cached {
    config: Arc<Config>,
    settings: Arc<GroupSettings>,
}

impl Broker {
    pub(super) fn group_world(&self) -> GroupWorld {
        let image = self.catalog.image();
        GroupWorld {
            settings: self.group_settings(),
            topics: image.clone(),
            overrides: image,
        }
    }

    fn group_settings(&self) -> Arc<GroupSettings> {
        let config = self.effective_config();
        if let Some(cached) = &*self.groups.settings.load()
            && Arc::ptr_eq(&cached.config, &config)
        {
            return Arc::clone(&cached.settings);
        }
        let settings = Arc::new(settings(&config));
        let cached = Cached {
            config,
            settings: Arc::clone(&settings),
        };
        self.groups.settings.store(Some(Arc::new(cached)));
        settings
    }
}

fn settings(config: &Config) -> GroupSettings {
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    GroupSettings {
        session_timeout_min_ms: config.get(keys::GROUP_MIN_SESSION_TIMEOUT_MS),
        session_timeout_max_ms: config.get(keys::GROUP_MAX_SESSION_TIMEOUT_MS),
        initial_rebalance_delay_ms: config.get(keys::GROUP_INITIAL_REBALANCE_DELAY_MS),
        size_max: count(config.get(keys::GROUP_MAX_SIZE)),
        offset_metadata_max: count(config.get(keys::OFFSET_METADATA_MAX_BYTES)),
        offsets_retention_ms: i64::from(config.get(keys::OFFSETS_RETENTION_MINUTES)) * 60_000,
        offsets_check_interval_ms: config.get(keys::OFFSETS_RETENTION_CHECK_INTERVAL_MS),
        consumer: consumer_settings(config),
    }
}

fn consumer_settings(config: &Config) -> ConsumerSettings {
    let assignors = config.get(keys::GROUP_CONSUMER_ASSIGNORS);
    ConsumerSettings {
        assignors: assignors
            .iter()
            .filter_map(|name| Assignor::by_name(name))
            .collect(),
        size_max: usize::try_from(config.get(keys::GROUP_CONSUMER_MAX_SIZE)).unwrap_or(0),
        timeouts: ConsumerTimeouts {
            session_ms: config.get(keys::GROUP_CONSUMER_SESSION_TIMEOUT_MS),
            heartbeat_ms: config.get(keys::GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS),
        },
        migration: Migration::by_name(config.get(keys::GROUP_CONSUMER_MIGRATION_POLICY)),
    }
}
