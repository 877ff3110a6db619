//! What a topic looks like that comes into being because somebody asked for it
//! (`DefaultAutoTopicCreationManager.creatableTopic`).

use super::NewTopic;
use crate::broker::Broker;
use crate::config::keys;
use crate::model::TopicName;

/// The topic of the metadata log: clients neither create it nor see it.
pub(super) const CLUSTER_METADATA: &str = "__cluster_metadata";

/// The topic to create for `name`. Replication factors of internal topics are taken for one:
/// with a single node, a larger one is never a reason to do without them.
pub(super) fn auto_created(broker: &Broker, name: &TopicName) -> NewTopic {
    let config = &broker.config;
    let (partitions, configs) = match name.as_str() {
        "__consumer_offsets" => (
            config.get(keys::OFFSETS_TOPIC_NUM_PARTITIONS),
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "producer".to_owned()),
                (
                    "segment.bytes",
                    config.get(keys::OFFSETS_TOPIC_SEGMENT_BYTES).to_string(),
                ),
            ],
        ),
        "__transaction_state" => (
            config.get(keys::TRANSACTION_STATE_LOG_NUM_PARTITIONS),
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "uncompressed".to_owned()),
                (
                    "min.insync.replicas",
                    config.get(keys::TRANSACTION_STATE_LOG_MIN_ISR).to_string(),
                ),
                (
                    "segment.bytes",
                    config
                        .get(keys::TRANSACTION_STATE_LOG_SEGMENT_BYTES)
                        .to_string(),
                ),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        ),
        "__share_group_state" => (
            config.get(keys::SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS),
            vec![
                ("cleanup.policy", "delete".to_owned()),
                ("compression.type", "producer".to_owned()),
                (
                    "min.insync.replicas",
                    config
                        .get(keys::SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR)
                        .to_string(),
                ),
                ("retention.ms", "-1".to_owned()),
                (
                    "segment.bytes",
                    config
                        .get(keys::SHARE_COORDINATOR_STATE_TOPIC_SEGMENT_BYTES)
                        .to_string(),
                ),
            ],
        ),
        _ => {
            return NewTopic {
                name: name.as_str().to_owned(),
                ..NewTopic::default()
            };
        }
    };
    NewTopic {
        name: name.as_str().to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        assignments: Vec::new(),
        configs: configs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Some(value)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;

    #[test]
    fn internal_topics_get_their_own_settings() {
        let broker = broker(&[
            ("num.partitions", "3"),
            ("offsets.topic.num.partitions", "7"),
            ("transaction.state.log.segment.bytes", "2097152"),
        ]);
        let created = |name: &str| auto_created(&broker, &TopicName::new(name).unwrap());
        let config = |topic: &NewTopic, key: &str| {
            let found = topic.configs.iter().find(|(name, _)| name == key);
            found
                .and_then(|(_, value)| value.clone())
                .unwrap_or_default()
        };
        let offsets = created("__consumer_offsets");
        assert_eq!(offsets.partitions, Some(7));
        assert_eq!(config(&offsets, "cleanup.policy"), "compact");
        let transactions = created("__transaction_state");
        assert_eq!(transactions.partitions, Some(50));
        assert_eq!(config(&transactions, "segment.bytes"), "2097152");
        let shares = created("__share_group_state");
        assert_eq!(config(&shares, "retention.ms"), "-1");
        assert_eq!(created("other").partitions, None);
    }
}
