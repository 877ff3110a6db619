//! What groups are lent: the settings and topics of now.

use std::sync::Arc;

use crate::broker::Broker;
use crate::catalog::Image;
use crate::config::{Config, keys};
use crate::coordinator::{GroupSettings, GroupWorld, KnownTopic, Topics};

impl Topics for Image {
    fn topic(&self, name: &str) -> Option<KnownTopic> {
        let topic = self.topic_by_name(name)?;
        Some(KnownTopic {
            id: topic.id.0,
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        })
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
        GroupWorld {
            settings: self.group_settings(),
            topics: self.catalog.image(),
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
    }
}
