//! ListGroups v0–v5
//!
//! *Behaviour:* all groups of the broker, in order of name. Filters compare without regard to
//! case; one that names nothing that exists matches nothing.
//!
//! *Versions:* v1 throttle time; v2 throttling after the response (KIP-219); v3 flexible;
//! v4 states and a filter for them (KIP-518); v5 types and a filter for them (KIP-848).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::coordinator::GroupListing;
use crate::kafka::codec::text;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// First version with states.
const STATES: i16 = 4;
/// First version with types.
const TYPES: i16 = 5;

/// The handler.
pub(crate) struct ListGroups;

impl Handler for ListGroups {
    type Request = ListGroupsRequest;
    const KEY: i16 = 16;
    const NAME: &'static str = "ListGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const SCHEMA: &'static Schema = &schema::LIST_GROUPS;

    fn start(context: Context, request: ListGroupsRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let response = match context.broker().list_groups().await {
                Ok(groups) => {
                    let wanted = groups.into_iter().filter(|group| {
                        passes(&request.states_filter, group.state)
                            && passes(&request.types_filter, group.kind.name())
                    });
                    let listed = wanted.map(|group| listed(context.version, group));
                    ListGroupsResponse::default().with_groups(listed.collect())
                }
                Err(error) => ListGroupsResponse::default().with_error_code(error.kafka().code()),
            };
            Body::encode(&context, &response)
        })
    }
}

/// Whether a filter lets it through; no filter does.
fn passes(filter: &[StrBytes], name: &str) -> bool {
    filter.is_empty()
        || filter
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(name))
}

fn listed(version: i16, group: GroupListing) -> ListedGroup {
    let since = |first: i16, name: &'static str| match version >= first {
        true => StrBytes::from_static_str(name),
        false => StrBytes::default(),
    };
    ListedGroup::default()
        .with_group_id(text(group.group).into())
        .with_protocol_type(text(group.protocol_type))
        .with_group_state(since(STATES, group.state))
        .with_group_type(since(TYPES, group.kind.name()))
}
