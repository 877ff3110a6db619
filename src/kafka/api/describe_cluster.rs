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
    let cluster = context.broker.cluster();
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
