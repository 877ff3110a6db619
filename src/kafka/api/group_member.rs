//! What a request says of the member that sends it.

use kafka_protocol::protocol::StrBytes;

use crate::coordinator::Identity;
use crate::kafka::dispatch::Context;

/// The name that the client gave itself.
pub(super) fn client_id(context: &Context) -> String {
    context
        .client_id
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The client's address, in the form that Java gives it (`InetAddress.toString`).
pub(super) fn client_host(context: &Context) -> String {
    format!("/{}", context.connection.peer.ip().to_canonical())
}

/// Who a request says that it comes from.
pub(super) fn identity(
    member_id: &StrBytes,
    instance_id: Option<&StrBytes>,
    generation: i32,
) -> Identity {
    Identity {
        member_id: member_id.to_string(),
        instance_id: instance_id.map(ToString::to_string),
        generation,
    }
}
