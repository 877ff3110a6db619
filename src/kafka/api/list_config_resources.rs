//! ListConfigResources v0–v1
//!
//! *Behaviour:* what DescribeConfigs can be asked about, by type: groups and client-metrics
//! subscriptions that have settings of their own, the broker, its log levels, every topic. In
//! that order and each once, however the types are asked for; no types are all of them. One type
//! that is not known makes the whole UNSUPPORTED_VERSION.
//!
//! *Versions:* v0 client-metrics subscriptions alone, under the name
//! ListClientMetricsResources (KIP-1000); v1 types (KIP-1142).
//!
//! *Differences:* Kafka lists a group whose last setting was taken away until it restarts.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource as Listed;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use crate::broker::configs::Resource;
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version that asks for types and tells them.
const TYPES: i16 = 1;

/// The handler.
pub(crate) struct ListConfigResources;

impl Handler for ListConfigResources {
    type Request = ListConfigResourcesRequest;
    const KEY: i16 = 74;
    const NAME: &'static str = "ListConfigResources";
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const SCHEMA: &'static Schema = &schema::LIST_CONFIG_RESOURCES;

    fn start(context: Context, request: ListConfigResourcesRequest) -> Result<Reply, Close> {
        let types = request.resource_types;
        let unknown =
            |kind: &i8| matches!(Resource::new(*kind, String::new()), Resource::Unknown(..));
        if types.iter().any(unknown) {
            let refused = ListConfigResourcesResponse::default()
                .with_error_code(ResponseError::UnsupportedVersion.code());
            return Reply::ready(&context, &refused);
        }
        let wanted = |resource: &Resource| match context.version {
            TYPES.. => types.is_empty() || types.contains(&resource.parts().0),
            _ => matches!(resource, Resource::ClientMetrics(_)),
        };
        let resources = context.broker().config_resources();
        let listed = resources.iter().filter(|resource| wanted(resource));
        let listed = listed.map(|resource| {
            let (kind, name) = resource.parts();
            let listed = Listed::default().with_resource_name(text(name.to_owned()));
            match context.version {
                TYPES.. => listed.with_resource_type(kind),
                _ => listed,
            }
        });
        let response =
            ListConfigResourcesResponse::default().with_config_resources(listed.collect());
        Reply::ready(&context, &response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Broker;
    use crate::broker::configs::{Alteration, KeyChange, Operation};
    use crate::broker::testing::{broker, topic};
    use crate::kafka::testing::ask;
    use std::sync::Arc;

    async fn broker_with_settings() -> Arc<Broker> {
        let broker = broker(&[]);
        topic(&broker, "t", 1, &[]).await;
        let set = |resource: Resource, key: &str, value: &str| Alteration {
            resource,
            changes: vec![KeyChange {
                key: key.to_owned(),
                operation: Operation::Set,
                value: Some(value.to_owned()),
            }],
            replace: false,
        };
        let changes = vec![
            set(
                Resource::Group("g".to_owned()),
                "consumer.session.timeout.ms",
                "50000",
            ),
            set(
                Resource::ClientMetrics("m".to_owned()),
                "interval.ms",
                "60000",
            ),
            set(
                Resource::Broker(String::new()),
                "log.retention.ms",
                "7000000",
            ),
        ];
        for outcome in broker.alter_configs(changes, false).await {
            outcome.result.unwrap();
        }
        broker
    }

    async fn listed(
        broker: &Arc<Broker>,
        version: i16,
        types: &[i8],
    ) -> Result<Vec<(i8, String)>, i16> {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let answer: ListConfigResourcesResponse =
            ask::<ListConfigResources, _, _>(broker, version, &request).await;
        let resources = answer.config_resources.into_iter();
        match answer.error_code {
            0 => Ok(resources
                .map(|each| (each.resource_type, each.resource_name.to_string()))
                .collect()),
            code => Err(code),
        }
    }

    fn named(expected: &[(i8, &str)]) -> Result<Vec<(i8, String)>, i16> {
        let owned = expected.iter().map(|(kind, name)| (*kind, (*name).into()));
        Ok(owned.collect())
    }

    #[tokio::test]
    async fn the_first_version_lists_client_metrics_subscriptions_alone() {
        let broker = broker_with_settings().await;
        assert_eq!(listed(&broker, 0, &[]).await, named(&[(16, "m")]));
    }

    #[tokio::test]
    async fn no_types_ask_for_everything_and_types_for_what_they_name_once() {
        let broker = broker_with_settings().await;
        let all = [(32, "g"), (16, "m"), (8, "1"), (4, "1"), (2, "t")];
        assert_eq!(listed(&broker, 1, &[]).await, named(&all));
        let each = [2, 4, 8, 16, 32, 2];
        assert_eq!(listed(&broker, 1, &each).await, named(&all));
        assert_eq!(listed(&broker, 1, &[32]).await, named(&[(32, "g")]));
    }

    #[tokio::test]
    async fn one_type_that_is_not_known_refuses_the_whole() {
        let broker = broker_with_settings().await;
        for types in [&[0][..], &[3], &[32, 64], &[-1]] {
            assert_eq!(listed(&broker, 1, types).await, Err(35), "{types:?}");
        }
    }
}
