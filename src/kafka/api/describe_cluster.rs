//! DescribeCluster v0–v2
//!
//! *Behaviour:* the cluster id, the controller and the only broker under the address of the
//! listener that was asked. Controllers as endpoints are MISMATCHED_ENDPOINT_TYPE, other types
//! UNSUPPORTED_ENDPOINT_TYPE. Without an authorizer every operation is authorized.
//!
//! *Version notes:*
//! - v0: KIP-700
//! - v1: type of endpoints (KIP-919)
//! - v2: fenced brokers (KIP-1073); the only broker never is
//!
//! *Not implemented:* throttling.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::authorized::CLUSTER_OPERATIONS;
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};

/// Endpoints of brokers (`EndpointType.BROKER`).
const BROKERS: i8 = 1;
/// Endpoints of controllers (`EndpointType.CONTROLLER`).
const CONTROLLERS: i8 = 2;

/// The handler.
pub(crate) struct DescribeCluster;

impl Handler for DescribeCluster {
    type Request = DescribeClusterRequest;
    const KEY: i16 = 60;
    const NAME: &'static str = "DescribeCluster";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;
    const SCHEMA: &'static Schema = &schema::DESCRIBE_CLUSTER;

    fn start(context: Context, request: DescribeClusterRequest) -> Result<Reply, Close> {
        let response = match request.endpoint_type {
            BROKERS => brokers(&context, request.include_cluster_authorized_operations),
            CONTROLLERS => refused(
                ResponseError::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_owned(),
            ),
            other => refused(
                ResponseError::UnsupportedEndpointType,
                format!("Unsupported endpoint type {other}"),
            ),
        };
        Reply::ready(&context, &response)
    }
}

fn brokers(context: &Context, operations: bool) -> DescribeClusterResponse {
    let cluster = context.broker().cluster();
    let (host, port) = &context.connection.advertised;
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(cluster.node.get()))
        .with_host(text(host.as_str()))
        .with_port(i32::from(*port))
        .with_rack(cluster.rack.map(text));
    DescribeClusterResponse::default()
        .with_cluster_id(text(cluster.id))
        .with_controller_id(BrokerId(cluster.controller.get()))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(if operations {
            CLUSTER_OPERATIONS
        } else {
            i32::MIN
        })
}

fn refused(error: ResponseError, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(text(message)))
        .with_controller_id(BrokerId(-1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;
    use crate::kafka::testing::ask;

    async fn answer(version: i16, request: &DescribeClusterRequest) -> DescribeClusterResponse {
        let broker = broker(&[("broker.rack", "r1")]);
        let answer: DescribeClusterResponse =
            ask::<DescribeCluster, _, _>(&broker, version, request).await;
        let told = if answer.error_code == 0 {
            broker.cluster_id.as_str()
        } else {
            ""
        };
        assert_eq!(&*answer.cluster_id, told);
        answer
    }

    #[tokio::test]
    async fn the_only_broker_stands_under_the_listeners_address() {
        for version in DescribeCluster::VERSIONS {
            let request =
                DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
            let answer = answer(version, &request).await;
            let expected = DescribeClusterBroker::default()
                .with_broker_id(BrokerId(1))
                .with_host("broker".into())
                .with_port(9092)
                .with_rack(Some("r1".into()));
            assert_eq!(answer.brokers, [expected]);
            assert_eq!((answer.error_code, answer.controller_id), (0, BrokerId(1)));
            assert_eq!(answer.cluster_authorized_operations, 8096);
        }
        let silent = answer(2, &DescribeClusterRequest::default()).await;
        assert_eq!(silent.cluster_authorized_operations, i32::MIN);
    }

    #[tokio::test]
    async fn other_endpoints_are_refused() {
        for version in 1..=2 {
            for (endpoints, code) in [(2, 114), (7, 115)] {
                let request = DescribeClusterRequest::default().with_endpoint_type(endpoints);
                let answer = answer(version, &request).await;
                assert_eq!(answer.error_code, code);
                assert_eq!(
                    (answer.controller_id, answer.brokers.len()),
                    (BrokerId(-1), 0)
                );
            }
        }
    }
}
