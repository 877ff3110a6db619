//! What clients are told of the cluster: one node, which is broker and controller.

use super::Broker;
use crate::config::keys;
use crate::model::NodeId;

/// The cluster, without endpoints: those depend on the listener that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster<'a> {
    /// Its id.
    pub id: &'a str,
    /// The node that answers for the controller.
    pub controller: NodeId,
    /// The only node.
    pub node: NodeId,
    /// `broker.rack` of the node.
    pub rack: Option<&'a str>,
}

impl Broker {
    /// The cluster as clients see it.
    pub fn cluster(&self) -> Cluster<'_> {
        Cluster {
            id: &self.cluster_id,
            controller: self.node_id,
            node: self.node_id,
            rack: self.config.get(keys::BROKER_RACK),
        }
    }
}
