//! What producers send.

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

use super::field::{
    ALL, BOOL, INT16, INT32, INT64, Kind, Schema, UUID, array_of, field, since, until,
};

/// Produce (0).
pub(crate) static PRODUCE: Schema = Schema {
    flexible: 9,
    fields: &[
        field("transactional_id", ALL, Kind::String).nullable(ALL),
        field("acks", ALL, INT16),
        field("timeout_ms", ALL, INT32),
        field(
            "topic_data",
            ALL,
            array_of::<TopicProduceData>(&[
                field("name", until(12), Kind::String),
                field("topic_id", since(13), UUID),
                field(
                    "partition_data",
                    ALL,
                    array_of::<PartitionProduceData>(&[
                        field("index", ALL, INT32),
                        field("records", ALL, Kind::Bytes).nullable(ALL),
                    ]),
                ),
            ]),
        ),
    ],
};

/// InitProducerId (22).
pub(crate) static INIT_PRODUCER_ID: Schema = Schema {
    flexible: 2,
    fields: &[
        field("transactional_id", ALL, Kind::String).nullable(ALL),
        field("transaction_timeout_ms", ALL, INT32),
        field("producer_id", since(3), INT64),
        field("producer_epoch", since(3), INT16),
        field("enable_2pc", since(6), BOOL),
        field("keep_prepared_txn", since(6), BOOL),
    ],
};
