//! Lists of nodes, as the wire and as the broker know them.

use kafka_protocol::messages::BrokerId;

use crate::model::NodeId;

/// For the wire.
pub(super) fn broker_ids(nodes: &[NodeId]) -> Vec<BrokerId> {
    nodes.iter().map(|node| BrokerId(node.get())).collect()
}

/// From the wire.
pub(super) fn node_ids(brokers: &[BrokerId]) -> Vec<NodeId> {
    brokers.iter().map(|broker| NodeId(broker.0)).collect()
}
