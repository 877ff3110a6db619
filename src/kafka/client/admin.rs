//! Topics and their settings.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    self, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
};

use super::super::codec::text;
use super::Client;
use super::error::{BrokerCode, ClientError, refused};

/// How long the broker may take for a change.
const TIMEOUT_MS: i32 = 30_000;

/// `DYNAMIC_TOPIC_CONFIG`: a setting of the topic itself.
const SOURCE_TOPIC: i8 = 1;

/// `ConfigResource.Type.TOPIC`.
const RESOURCE_TOPIC: i8 = 2;

/// A topic to be created.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    /// Its name.
    pub(crate) name: String,
    /// How many partitions; as the broker is configured, if `None`.
    pub(crate) partitions: Option<i32>,
    /// How many replicas; as the broker is configured, if `None`.
    pub(crate) replication_factor: Option<i16>,
    /// Settings.
    pub(crate) configs: Vec<(String, String)>,
}

/// A setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigEntry {
    /// Its key.
    pub(crate) name: String,
    /// Its value, unless it is secret.
    pub(crate) value: Option<String>,
}

impl Client {
    /// Creates one topic; the number of its partitions.
    pub(crate) async fn create_topic(&mut self, topic: &NewTopic) -> Result<i32, ClientError> {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| {
                CreatableTopicConfig::default()
                    .with_name(text(name.clone()))
                    .with_value(Some(text(value.clone())))
            })
            .collect();
        let answer = self
            .ask(|_| {
                CreateTopicsRequest::default()
                    .with_topics(vec![
                        CreatableTopic::default()
                            .with_name(messages::TopicName(text(topic.name.clone())))
                            .with_num_partitions(topic.partitions.unwrap_or(-1))
                            .with_replication_factor(topic.replication_factor.unwrap_or(-1))
                            .with_configs(configs),
                    ])
                    .with_timeout_ms(TIMEOUT_MS)
            })
            .await?;
        let Some(result) = answer.topics.into_iter().next() else {
            return Err(ClientError::Unanswered(topic.name.clone()));
        };
        BrokerCode::check(result.error_code)
            .map_err(|code| refused(&topic.name, code, result.error_message.as_deref()))?;
        Ok(result.num_partitions)
    }

    /// Deletes topics by name; what came of each.
    pub(crate) async fn delete_topics(
        &mut self,
        names: &[String],
    ) -> Result<Vec<(String, Result<(), ClientError>)>, ClientError> {
        let answer = self
            .ask(|_| {
                DeleteTopicsRequest::default()
                    .with_topic_names(
                        names
                            .iter()
                            .map(|name| messages::TopicName(text(name.clone())))
                            .collect(),
                    )
                    .with_timeout_ms(TIMEOUT_MS)
            })
            .await?;
        let results = answer.responses.into_iter().map(|result| {
            let name = result
                .name
                .map(|name| name.0.as_str().to_owned())
                .unwrap_or_default();
            let outcome = BrokerCode::check(result.error_code)
                .map_err(|code| refused(&name, code, result.error_message.as_deref()));
            (name, outcome)
        });
        Ok(results.collect())
    }

    /// The settings that a topic has of its own.
    pub(crate) async fn topic_configs(
        &mut self,
        name: &str,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let answer = self
            .ask(|_| {
                DescribeConfigsRequest::default().with_resources(vec![
                    DescribeConfigsResource::default()
                        .with_resource_type(RESOURCE_TOPIC)
                        .with_resource_name(text(name))
                        .with_configuration_keys(None),
                ])
            })
            .await?;
        let Some(result) = answer.results.into_iter().next() else {
            return Err(ClientError::Unanswered(name.to_owned()));
        };
        BrokerCode::check(result.error_code)
            .map_err(|code| refused(name, code, result.error_message.as_deref()))?;
        let entries = result
            .configs
            .into_iter()
            .filter(|config| config.config_source == SOURCE_TOPIC)
            .map(|config| ConfigEntry {
                name: config.name.as_str().to_owned(),
                value: config.value.map(|value| value.as_str().to_owned()),
            });
        Ok(entries.collect())
    }
}
