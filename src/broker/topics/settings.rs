//! Settings of topics on their way to the catalog.

use std::collections::BTreeMap;

use crate::broker::Broker;

impl Broker {
    /// The overrides of a new topic, or why they are refused.
    pub(super) fn check_topic_configs(
        &self,
        configs: &[(String, Option<String>)],
    ) -> Result<BTreeMap<String, String>, String> {
        let mut overrides = BTreeMap::new();
        for (key, value) in configs {
            let value = value
                .clone()
                .ok_or_else(|| format!("Null value not supported for topic configs: {key}"))?;
            overrides.insert(key.clone(), value);
        }
        Ok(overrides)
    }
}
