//! Variables of the environment, by the rule of the `apache/kafka` image.

use std::sync::Arc;

use super::Given;
use crate::config::origin::Origin;

/// Variables with our prefixes that are no settings: those that the image leaves out
/// (`KafkaDockerWrapper`), and those of our own command line.
const NOT_SETTINGS: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_PORT",
    "KAFKA_HOME",
    "KLAMM_BROKERS",
    "KLAMM_LOG",
];

/// Settings among the variables: `KAFKA_NUM_PARTITIONS` is `num.partitions`, `KLAMM_DURABILITY` is
/// `klamm.durability`. An empty variable is a value too.
pub(in crate::config) fn environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<Given> {
    let mut given: Vec<Given> = variables
        .into_iter()
        .filter_map(|(variable, value)| {
            let key = key(&variable)?;
            Some(Given {
                key,
                text: value,
                origin: Origin::Environment(Arc::from(variable)),
            })
        })
        .collect();
    // The environment has no order of its own.
    given.sort_by(|a, b| a.key.cmp(&b.key));
    given
}

/// The key that a variable names, if it names one.
fn key(variable: &str) -> Option<String> {
    if NOT_SETTINGS.contains(&variable) {
        return None;
    }
    let kafka = variable.strip_prefix("KAFKA_").map(|rest| ("", rest));
    let klamm = variable.strip_prefix("KLAMM_").map(|rest| ("klamm.", rest));
    let (prefix, mut rest) = kafka.or(klamm)?;
    let mut key = prefix.to_owned();
    while let Some(next) = rest.chars().next() {
        let (written, taken) = match rest {
            _ if rest.starts_with("___") => ('-', 3),
            _ if rest.starts_with("__") => ('_', 2),
            _ if rest.starts_with('_') => ('.', 1),
            _ => (next.to_ascii_lowercase(), next.len_utf8()),
        };
        key.push(written);
        rest = rest.get(taken..).unwrap_or_default();
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_become_dots_underscores_and_dashes() {
        assert_eq!(
            key("KAFKA_NUM_PARTITIONS").as_deref(),
            Some("num.partitions")
        );
        assert_eq!(key("KAFKA_A__B___C_D").as_deref(), Some("a_b-c.d"));
        assert_eq!(
            key("KLAMM_OPEN_FILES_MAX").as_deref(),
            Some("klamm.open.files.max")
        );
        assert_eq!(key("PATH"), None);
        assert_eq!(key("KAFKA_HEAP_OPTS"), None);
        assert_eq!(key("KLAMM_BROKERS"), None);
    }
}
