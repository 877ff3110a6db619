//! The node, where it listens, and how it is reached.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// Number of this node.
    NODE_ID: i32 = with("node.id", "1")
        .check(Check::AtLeast(0))
        .differs("required", "A single node needs no number from its operator.");
    /// Older name of `node.id`.
    BROKER_ID: i32 = with("broker.id", "-1");
    /// The rack that clients are told.
    BROKER_RACK: Option<String> = unset("broker.rack");
    /// The roles of the node.
    PROCESS_ROLES: Vec<String> = with("process.roles", "broker,controller")
        .check(Check::EachOf(&["broker", "controller"]))
        .differs("required", "One node is broker and controller at once.")
        .inert(inert::ROLES);
    /// Where to listen: `NAME://HOST:PORT`, separated by commas; no host is every interface.
    LISTENERS: String = with("listeners", "PLAINTEXT://127.0.0.1:9092")
        .differs("PLAINTEXT://:9092", "Without authentication only this machine may connect; other addresses take `klamm.insecure`.");
    /// Where clients reach the listeners; the listeners themselves if unset.
    ADVERTISED_LISTENERS: Option<String> = unset("advertised.listeners");
    /// Which protocol each listener name speaks: `NAME:PROTOCOL`, separated by commas.
    LISTENER_SECURITY_PROTOCOL_MAP: String = with("listener.security.protocol.map", "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT");
    /// Listeners that open before the authorizer is ready.
    EARLY_START_LISTENERS: Option<String> = unset("early.start.listeners").inert(inert::AUTH);
    /// The listener that brokers use among themselves.
    INTER_BROKER_LISTENER_NAME: Option<String> = unset("inter.broker.listener.name")
        .inert(inert::ONE_NODE);
    /// The protocol that brokers use among themselves.
    SECURITY_INTER_BROKER_PROTOCOL: String = with("security.inter.broker.protocol", "PLAINTEXT")
        .check(Check::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]))
        .inert(inert::ONE_NODE);
}
