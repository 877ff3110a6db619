//! The small Kafka client that the command line uses.
//!
//! *Owns:* connections to brokers, version negotiation, the requests that `topic`, `group`,
//! `produce` and `consume` need, and the partitioners of other clients. *May use:* the codec,
//! `batch`, `wire`, `model`.
//!
//! *Invariants:* one request at a time per connection; records are decoded by `batch`, never by
//! the generated codec; callers see native types only. A broker is trusted as far as the codec
//! trusts counts: this talks to brokers that the user named.
//!
//! Reads are uncommitted: records of open and aborted transactions are seen.

mod admin;
mod connection;
mod error;
mod fetch;
mod groups;
mod metadata;
mod offsets;
pub(crate) mod partitioner;
mod produce;

use std::collections::HashMap;

use kafka_protocol::protocol::Request;

use self::connection::Connection;

pub(crate) use admin::{ConfigEntry, NewTopic};
pub(crate) use error::{ClientError, error_name};
pub(crate) use fetch::{FetchPosition, Fetched};
pub(crate) use groups::{Committed, GroupInfo, GroupListing, MemberInfo};
pub(crate) use metadata::TopicInfo;
pub(crate) use offsets::OffsetSpec;
pub(crate) use produce::{Delivery, Outgoing};

/// Connections to the brokers of a cluster.
#[derive(Debug)]
pub(crate) struct Client {
    /// Connected first, and used for what any broker can answer.
    bootstrap: Connection,
    /// Where the brokers are, by node id; from the last metadata.
    addresses: HashMap<i32, String>,
    /// Connections to single brokers, by node id.
    nodes: HashMap<i32, Connection>,
}

impl Client {
    /// Connects to the first broker of a comma-separated list that answers.
    pub(crate) async fn connect(bootstrap: &str) -> Result<Self, ClientError> {
        let mut last = None;
        for address in bootstrap
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
        {
            match Connection::open(&with_port(address)).await {
                Ok(bootstrap) => {
                    return Ok(Self {
                        bootstrap,
                        addresses: HashMap::new(),
                        nodes: HashMap::new(),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::NoBroker(bootstrap.to_owned())))
    }

    /// The lowest and highest version of an API that the first broker speaks.
    pub(crate) fn versions(&self, api: i16) -> Option<(i16, i16)> {
        self.bootstrap.versions(api)
    }

    /// Where a broker is, by the last metadata.
    pub(crate) fn address(&self, node: i32) -> Option<&str> {
        self.addresses.get(&node).map(String::as_str)
    }

    /// Asks any broker.
    async fn ask<R: Request>(
        &mut self,
        request: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        self.bootstrap.call(request).await
    }

    /// Asks one broker, connecting to it if need be.
    async fn ask_node<R: Request>(
        &mut self,
        node: i32,
        request: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let result = self.node(node).await?.call(request).await;
        if matches!(
            result,
            Err(ClientError::Io { .. } | ClientError::Malformed { .. })
        ) {
            // What else would come on that connection cannot be told apart any more.
            self.nodes.remove(&node);
        }
        result
    }

    async fn node(&mut self, node: i32) -> Result<&mut Connection, ClientError> {
        use std::collections::hash_map::Entry;
        match self.nodes.entry(node) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(vacant) => {
                let address = self
                    .addresses
                    .get(&node)
                    .ok_or(ClientError::UnknownNode(node))?;
                Ok(vacant.insert(Connection::open(address).await?))
            }
        }
    }
}

/// Kafka's tools want a port; this one knows the usual.
fn with_port(address: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:9092")
    }
}
