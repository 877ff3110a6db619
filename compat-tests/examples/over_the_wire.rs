//! The README's snippet for Rust over the wire, as it is printed there.

#![expect(clippy::expect_used, reason = "a snippet shows the shortest way")]

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::time::Duration;

fn main() {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", "127.0.0.1:9092")
        .set("enable.idempotence", "true")
        .create()
        .expect("producer");
    producer
        .send(
            BaseRecord::to("rust-demo")
                .key("key")
                .payload("hello from Rust"),
        )
        .expect("queued");
    producer.flush(Duration::from_secs(10)).expect("delivered");
}
