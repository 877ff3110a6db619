//! InitProducerId v0–v5
//!
//! *Behaviour:* without a transactional id, a producer id that was never given out, with epoch 0;
//! whatever id and epoch the producer had before is forgotten, but both or neither must be given.
//! With one, nobody coordinates it here: NOT_COORDINATOR, as from a Kafka broker that does not
//! hold the coordinator, once the id and its timeout make sense.
//!
//! *Versions:* v2 flexible; v3 id and epoch of before (KIP-360); v4 PRODUCER_FENCED (KIP-588),
//! v5 TRANSACTION_ABORTABLE (KIP-890), which do not happen without transactions. v6 (KIP-939) is
//! unstable in Kafka 4.1 and not served.
//!
//! *Not implemented:* transactions, throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::config::keys;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::error::KafkaCode;
use crate::kafka::reply::{Body, Close, Reply};
use crate::kafka::schema::{self, Schema};

/// The handler.
pub(crate) struct InitProducerId;

impl Handler for InitProducerId {
    type Request = InitProducerIdRequest;
    const KEY: i16 = 22;
    const NAME: &'static str = "InitProducerId";
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const SCHEMA: &'static Schema = &schema::INIT_PRODUCER_ID;

    fn start(context: Context, request: InitProducerIdRequest) -> Result<Reply, Close> {
        let longest = context
            .broker()
            .config
            .get(keys::TRANSACTION_MAX_TIMEOUT_MS);
        if let Some(error) = refusal(&request, longest) {
            return Reply::ready(&context, &refused(error));
        }
        Reply::begin(async move {
            let response = match context.broker().new_producer_id().await {
                Ok(id) => InitProducerIdResponse::default()
                    .with_producer_id(ProducerId(id.0))
                    .with_producer_epoch(0),
                Err(error) => refused(error.kafka()),
            };
            Body::encode(&context, &response)
        })
    }
}

/// What is wrong with a request (`KafkaApis.handleInitProducerIdRequest`, then
/// `TransactionCoordinator.handleInitProducerId`).
fn refusal(request: &InitProducerIdRequest, longest_timeout_ms: i32) -> Option<ResponseError> {
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return Some(ResponseError::InvalidRequest);
    }
    let transactional_id = request.transactional_id.as_ref()?;
    if transactional_id.is_empty() {
        return Some(ResponseError::InvalidRequest);
    }
    if !(1..=longest_timeout_ms).contains(&request.transaction_timeout_ms) {
        return Some(ResponseError::InvalidTransactionTimeout);
    }
    Some(ResponseError::NotCoordinator)
}

fn refused(error: ResponseError) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TransactionalId;
    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::broker::testing::broker;
    use crate::kafka::testing::Client;

    async fn init(version: i16, request: InitProducerIdRequest) -> (i16, i64, i16) {
        let client = Client::of(&broker(&[]));
        let response: InitProducerIdResponse = client
            .call::<InitProducerId, _>(version, &request)
            .await
            .answer();
        (
            response.error_code,
            response.producer_id.0,
            response.producer_epoch,
        )
    }

    fn request(id: Option<&'static str>, timeout_ms: i32) -> InitProducerIdRequest {
        InitProducerIdRequest::default()
            .with_transactional_id(id.map(|id| TransactionalId(StrBytes::from_static_str(id))))
            .with_transaction_timeout_ms(timeout_ms)
    }

    #[tokio::test]
    async fn every_version_gives_an_id_or_says_why_not() {
        for version in 0..=5 {
            assert_eq!(
                init(version, request(None, 0)).await,
                (0, 0, 0),
                "v{version}"
            );
            for (id, timeout, code) in [
                ("", 1000, 42),
                ("id", 0, 50),
                ("id", 900_001, 50),
                ("id", 900_000, 16),
            ] {
                let answer = init(version, request(Some(id), timeout)).await;
                assert_eq!(answer, (code, -1, -1), "v{version} {id:?} {timeout}");
            }
        }
    }

    #[tokio::test]
    async fn an_id_of_before_comes_with_its_epoch() {
        for version in 3..=5 {
            let before = |id, epoch| {
                request(None, 0)
                    .with_producer_id(ProducerId(id))
                    .with_producer_epoch(epoch)
            };
            assert_eq!(init(version, before(5, 3)).await, (0, 0, 0));
            assert_eq!(init(version, before(5, -1)).await, (42, -1, -1));
            assert_eq!(init(version, before(-1, 3)).await, (42, -1, -1));
        }
    }
}
