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
        // The codec's default is an empty message, Kafka's is none.
        let response = ListPartitionReassignmentsResponse::default().with_error_message(None);
        Reply::ready(&context, &response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::broker;
    use crate::kafka::testing::ask;
    use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

    #[tokio::test]
    async fn nothing_moves_whatever_is_asked() {
        let broker = broker(&[]);
        let unknown = ListPartitionReassignmentsTopics::default().with_partition_indexes(vec![3]);
        for topics in [None, Some(vec![]), Some(vec![unknown])] {
            let request = ListPartitionReassignmentsRequest::default().with_topics(topics);
            let answer: ListPartitionReassignmentsResponse =
                ask::<ListPartitionReassignments, _, _>(&broker, 0, &request).await;
            assert_eq!(
                (answer.error_code, answer.error_message, answer.topics.len()),
                (0, None, 0)
            );
        }
    }
}
