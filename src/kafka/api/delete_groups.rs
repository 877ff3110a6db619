//! DeleteGroups v0–v2
//!
//! *Behaviour:* a group that nobody is in goes, with all that it has committed; one with members
//! is NON_EMPTY_GROUP. A group that is named twice has one answer.
//!
//! *Versions:* v1 throttling after the response (KIP-219); v2 flexible.
//!
//! *Not implemented:* throttling.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct DeleteGroups;

impl Handler for DeleteGroups {
    type Request = DeleteGroupsRequest;
    const KEY: i16 = 42;
    const NAME: &'static str = "DeleteGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const SCHEMA: &'static Schema = &schema::DELETE_GROUPS;

    fn start(context: Context, request: DeleteGroupsRequest) -> Result<Reply, Close> {
        Reply::begin(async move {
            let mut named = HashSet::with_capacity(request.groups_names.len());
            let mut results = Vec::with_capacity(request.groups_names.len());
            for id in request.groups_names {
                if !named.insert(id.clone()) {
                    continue;
                }
                let code = match delete(&context, &id).await {
                    Ok(()) => 0,
                    Err(error) => error.code(),
                };
                let result = DeletableGroupResult::default();
                results.push(result.with_group_id(id).with_error_code(code));
            }
            let response = DeleteGroupsResponse::default().with_results(results);
            Body::encode(&context, &response)
        })
    }
}

async fn delete(context: &Context, group: &str) -> Result<(), ResponseError> {
    let deleted = context.broker().delete_group(group).await;
    let deleted = deleted.map_err(|error| error.kafka())?;
    deleted.map_err(|failure| failure.kafka())
}
