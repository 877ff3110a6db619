//! A reader that several tests share: rdkafka, by assignment.

use std::time::Duration;

use compat_tests::lines::Tally;
use compat_tests::server::Server;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

pub(crate) const PARTITIONS: i32 = 4;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn client(server: &Server, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", server.address())
        .set("broker.address.family", "v4");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

pub(crate) fn consumer(server: &Server) -> BaseConsumer {
    // With auto-commit, closing it waits for a coordinator to commit to.
    let settings = [
        ("group.id", "none"),
        ("enable.partition.eof", "true"),
        ("enable.auto.commit", "false"),
    ];
    client(server, &settings).create().expect("a consumer")
}

/// Reads a topic to its end and checks that the lines are those that were written.
pub(crate) fn consume(server: &Server, topic: &str, count: usize, what: &str) {
    let consumer = consumer(server);
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    let mut tally = Tally::new(count, PARTITIONS as usize);
    let mut ended = 0;
    while ended < PARTITIONS {
        match consumer.poll(PATIENCE).expect("something within a minute") {
            Ok(message) => {
                tally.note(
                    message.partition() as usize,
                    message.payload().expect("a payload"),
                );
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{what}: {error}"),
        }
    }
    tally.check(what);
}
