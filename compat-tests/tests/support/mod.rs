//! A reader that several tests share: rdkafka, by assignment.

mod client;

use compat_tests::lines::Tally;
use compat_tests::server::Server;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

pub(crate) use client::{PATIENCE, client};

pub(crate) const PARTITIONS: i32 = 4;

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
