//! ListPartitionReassignments v0
//!
//! *Behaviour:* an empty list, whatever is asked for: with one node nothing moves. Unknown topics
//! are left out without an error, as in Kafka.
//!
//! *Version notes:*
//! - v0: KIP-455
//!
//! *Not implemented:* throttling.

use kafka_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct ListPartitionReassignments;

impl Handler for ListPartitionReassignments {
    type Request = ListPartitionReassignmentsRequest;
    const KEY: i16 = 46;
    const NAME: &'static str = "ListPartitionReassignments";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const SCHEMA: &'static Schema = &schema::LIST_PARTITION_REASSIGNMENTS;

    fn start(context: Context, _: ListPartitionReassignmentsRequest) -> Result<Reply, Close> {
        Reply::ready(&context, &ListPartitionReassignmentsResponse::default())
    }
}
