//! What a change of settings must satisfy, in Kafka's order and words.

use std::collections::{BTreeMap, BTreeSet};

use super::AlterError;
use crate::config::{Config, Scope, Update, keys, table};

/// Settings by name.
pub(super) type Settings = BTreeMap<String, String>;

/// A topic's overrides over the configuration in force (`LogConfig.validate`).
pub(super) fn check_topic(config: &Config, overrides: &Settings) -> Result<(), AlterError> {
    check_known(Scope::Topic, "topic", overrides)?;
    let values = config.overlay(Scope::Topic, overrides);
    let min = values.get(keys::topic::MIN_COMPACTION_LAG_MS);
    let max = values.get(keys::topic::MAX_COMPACTION_LAG_MS);
    if min > max {
        return Err(AlterError::InvalidConfig(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    if values.get(keys::topic::REMOTE_STORAGE_ENABLE) {
        return Err(AlterError::InvalidConfig(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Names and values against the table.
fn check_known(scope: Scope, what: &str, overrides: &Settings) -> Result<(), AlterError> {
    if let Some(name) = overrides
        .keys()
        .find(|name| table::find(scope, name).is_none())
    {
        return Err(AlterError::InvalidConfig(format!(
            "Unknown {what} config name: {name}"
        )));
    }
    for setting in table::of_scope(scope) {
        if let Some(text) = overrides.get(setting.name) {
            setting
                .parse(text)
                .map_err(|refusal| AlterError::InvalidConfig(refusal.0))?;
        }
    }
    Ok(())
}

/// A group's overrides (`GroupConfig.validate`).
pub(super) fn check_group(config: &Config, overrides: &Settings) -> Result<(), AlterError> {
    check_known(Scope::Group, "group", overrides)?;
    let values = config.overlay(Scope::Group, overrides);
    for (key, min, max) in GROUP_BOUNDS {
        let value = values.get(*key);
        if let Some(min) = min
            && value < config.get(*min)
        {
            let (name, bound) = (key.name(), min.name());
            let why = format!("{name} must be greater than or equal to {bound}");
            return Err(AlterError::InvalidConfig(why));
        }
        if value > config.get(*max) {
            let (name, bound) = (key.name(), max.name());
            let why = format!("{name} must be less than or equal to {bound}");
            return Err(AlterError::InvalidConfig(why));
        }
    }
    use keys::group;
    for (session, heartbeat) in [
        (
            group::CONSUMER_SESSION_TIMEOUT_MS,
            group::CONSUMER_HEARTBEAT_INTERVAL_MS,
        ),
        (
            group::SHARE_SESSION_TIMEOUT_MS,
            group::SHARE_HEARTBEAT_INTERVAL_MS,
        ),
        (
            group::STREAMS_SESSION_TIMEOUT_MS,
            group::STREAMS_HEARTBEAT_INTERVAL_MS,
        ),
    ] {
        if values.get(session) <= values.get(heartbeat) {
            let (longer, shorter) = (session.name(), heartbeat.name());
            return Err(AlterError::InvalidConfig(format!(
                "{longer} must be greater than {shorter}"
            )));
        }
    }
    Ok(())
}

type IntKey = crate::config::Key<i32>;

/// Which broker settings bound which of a group, lowest and highest.
const GROUP_BOUNDS: &[(IntKey, Option<IntKey>, IntKey)] = &[
    (
        keys::group::CONSUMER_HEARTBEAT_INTERVAL_MS,
        Some(keys::GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS),
        keys::GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS,
    ),
    (
        keys::group::CONSUMER_SESSION_TIMEOUT_MS,
        Some(keys::GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS),
        keys::GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS,
    ),
    (
        keys::group::SHARE_HEARTBEAT_INTERVAL_MS,
        Some(keys::GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS),
        keys::GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS,
    ),
    (
        keys::group::SHARE_SESSION_TIMEOUT_MS,
        Some(keys::GROUP_SHARE_MIN_SESSION_TIMEOUT_MS),
        keys::GROUP_SHARE_MAX_SESSION_TIMEOUT_MS,
    ),
    (
        keys::group::SHARE_RECORD_LOCK_DURATION_MS,
        Some(keys::GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS),
        keys::GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS,
    ),
    (
        keys::group::STREAMS_HEARTBEAT_INTERVAL_MS,
        Some(keys::GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS),
        keys::GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS,
    ),
    (
        keys::group::STREAMS_SESSION_TIMEOUT_MS,
        Some(keys::GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS),
        keys::GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS,
    ),
    (
        keys::group::STREAMS_NUM_STANDBY_REPLICAS,
        None,
        keys::GROUP_STREAMS_MAX_STANDBY_REPLICAS,
    ),
];

/// Lowest and highest push interval of a client-metrics subscription
/// (`ClientMetricsConfigs.MIN_INTERVAL_MS`, `MAX_INTERVAL_MS`).
const PUSH_INTERVAL_MS: std::ops::RangeInclusive<i32> = 100..=3_600_000;

/// What a client may be matched by (`ClientMetricsConfigs.ALLOWED_MATCH_PARAMS`).
const MATCH_PARAMETERS: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// The settings of a client-metrics subscription (`ClientMetricsConfigs.validateProperties`). The
/// patterns themselves are not compiled before somebody matches with them.
pub(super) fn check_client_metrics(overrides: &Settings) -> Result<(), AlterError> {
    let known = |name: &String| table::find(Scope::ClientMetrics, name).is_some();
    if let Some(name) = overrides.keys().find(|name| !known(name)) {
        let why = format!("Unknown client metrics configuration: {name}");
        return Err(AlterError::InvalidRequest(why));
    }
    if let Some(text) = overrides.get("interval.ms") {
        let interval = text
            .parse::<i32>()
            .map_err(|_| AlterError::InvalidRequest(format!("For input string: \"{text}\"")))?;
        if !PUSH_INTERVAL_MS.contains(&interval) {
            return Err(AlterError::InvalidRequest(format!(
                "Invalid value {interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
            )));
        }
    }
    let patterns = overrides
        .get("match")
        .map(String::as_str)
        .unwrap_or_default();
    for pattern in patterns
        .split(',')
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
    {
        let legal = pattern
            .split_once('=')
            .is_some_and(|(name, _)| MATCH_PARAMETERS.contains(&name.trim()));
        if !legal {
            let why = format!("Illegal client matching pattern: {pattern}");
            return Err(AlterError::InvalidConfig(why));
        }
    }
    Ok(())
}

/// Secrets of TLS, which only a listener's prefix may name (`SslConfigs.RECONFIGURABLE_CONFIGS`).
const PER_LISTENER_ONLY: &[&str] = &[
    "ssl.keystore.type",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.truststore.certificates",
];

/// All overrides of a broker (`own`) or of all brokers together, as they would be after a change
/// (`DynamicBrokerConfig.validate`). Names that the table does not have pass: they may be those of
/// a listener or of a plugin.
pub(super) fn check_broker(config: &Config, own: bool, props: &Settings) -> Result<(), AlterError> {
    let known = |update: Update| {
        props
            .keys()
            .filter_map(|name| table::find(Scope::Broker, name))
            .filter(|setting| setting.update == update)
            .map(|setting| setting.name)
            .collect::<BTreeSet<_>>()
    };
    refuse(
        known(Update::ReadOnly),
        "Set",
        "Cannot update these configs dynamically",
    )?;
    let secrets = PER_LISTENER_ONLY.iter().copied();
    refuse(
        secrets.filter(|name| props.contains_key(*name)).collect(),
        "HashSet",
        "These security configs can be dynamically updated only per-listener using the listener prefix",
    )?;
    for (name, text) in props {
        if let Some(setting) = table::find(Scope::Broker, name) {
            setting
                .parse(text)
                .map_err(|refusal| AlterError::InvalidRequest(refusal.0))?;
        }
    }
    if !own {
        refuse(
            known(Update::PerBroker),
            "Set",
            "Cannot update these configs at default cluster level, broker id must be specified",
        )?;
    }
    let changed = config.with_broker_overrides([(props, crate::config::Origin::DynamicBroker)]);
    if let Some(why) = changed.violations().into_iter().next() {
        return Err(AlterError::InvalidRequest(why));
    }
    check_connection_overrides(changed.get(keys::MAX_CONNECTIONS_PER_IP_OVERRIDES))?;
    if changed.get(keys::MAX_CONNECTIONS) == 0 {
        return Err(AlterError::InvalidRequest(
            "Invalid value org.apache.kafka.common.config.ConfigException: Invalid max.connections 0 for configuration Invalid dynamic configuration"
                .to_owned(),
        ));
    }
    Ok(())
}

/// `address:count` entries; Kafka's message is that of Java's number parser.
fn check_connection_overrides(text: &str) -> Result<(), AlterError> {
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let count = entry
            .rsplit_once(':')
            .map_or(entry, |(_, count)| count)
            .trim();
        if count.parse::<i32>().is_err() {
            return Err(AlterError::InvalidRequest(format!(
                "For input string: \"{count}\""
            )));
        }
    }
    Ok(())
}

/// Refuses these names, printed as Kafka prints a set: it is another one from five elements on.
fn refuse(names: BTreeSet<&str>, set: &str, why: &str) -> Result<(), AlterError> {
    /// Most elements of Scala's small sets.
    const SMALL: usize = 4;
    if names.is_empty() {
        return Ok(());
    }
    let set = if names.len() > SMALL { "HashSet" } else { set };
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Err(AlterError::InvalidRequest(format!("{why}: {set}({names})")))
}
