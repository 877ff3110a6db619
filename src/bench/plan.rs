//! What is to be done, in the words of the caller.

use std::net::SocketAddr;
use std::time::Duration;

use crate::batch::Codec;
use crate::model::Acks;

/// Where records go to and come from.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The topic.
    pub(crate) topic: String,
    /// Its partitions, at least one.
    pub(crate) partitions: Vec<Partition>,
    /// The version of Produce, from 9 to 12.
    pub(crate) produce_version: i16,
    /// Who is asking, in the header of every request.
    pub(crate) client_id: String,
}

/// One partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    /// Its number.
    pub(crate) number: i32,
    /// Its leader.
    pub(crate) leader: SocketAddr,
    /// Where reading begins.
    pub(crate) from: i64,
    /// What is behind the last record, as far as is known.
    pub(crate) end: i64,
}

/// A batch that is sent again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSpec {
    /// How it is compressed.
    pub(crate) codec: Codec,
    /// Bytes of a record's value.
    pub(crate) record_bytes: usize,
    /// Bytes of the batch before compression; one record if that is less.
    pub(crate) batch_bytes: usize,
}

/// How records are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProduceSpec {
    /// Connections, each with a producer.
    pub(crate) producers: usize,
    /// Threads that drive them.
    pub(crate) threads: usize,
    /// What they send.
    pub(crate) batch: BatchSpec,
    /// Records per second of all producers together; `None` for as fast as they can.
    pub(crate) rate: Option<f64>,
    /// When they stop.
    pub(crate) limit: Limit,
    /// Whose answer they wait for.
    pub(crate) acks: Acks,
    /// Requests of a connection that may be unanswered.
    pub(crate) in_flight: usize,
    /// The first of the numbers that tell producers apart; those of another run would be taken for
    /// this one's.
    pub(crate) first_producer: u16,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After this time.
    Duration(Duration),
    /// After so many records, rounded up to whole batches.
    Records(u64),
    /// When the ends of the partitions that are known are reached.
    Ends,
}

/// How records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchSpec {
    /// Connections, each with a consumer.
    pub(crate) consumers: usize,
    /// Threads that drive them.
    pub(crate) threads: usize,
    /// When they stop, where that is not when the producers have.
    pub(crate) limit: Limit,
    /// How long the broker may wait for `min_bytes`.
    pub(crate) wait: Duration,
    /// See Kafka's `fetch.min.bytes`.
    pub(crate) min_bytes: i32,
    /// Most bytes of an answer.
    pub(crate) max_bytes: i32,
    /// Most bytes of a partition in an answer.
    pub(crate) partition_bytes: i32,
}

/// The partitions of one of `clients` clients: each partition has one client, or, with more
/// clients than partitions, each client one partition.
pub(super) fn share(partitions: &[Partition], client: usize, clients: usize) -> Vec<Partition> {
    let count = partitions.len().max(1);
    if clients >= count {
        return partitions
            .iter()
            .skip(client % count)
            .take(1)
            .copied()
            .collect();
    }
    partitions
        .iter()
        .skip(client)
        .step_by(clients.max(1))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(partitions: i32, clients: usize) -> Vec<Vec<i32>> {
        let all: Vec<_> = (0..partitions)
            .map(|number| Partition {
                number,
                leader: SocketAddr::from(([127, 0, 0, 1], 1)),
                from: 0,
                end: 0,
            })
            .collect();
        (0..clients)
            .map(|client| {
                share(&all, client, clients)
                    .iter()
                    .map(|p| p.number)
                    .collect()
            })
            .collect()
    }

    #[test]
    fn every_partition_has_a_client_and_every_client_a_partition() {
        assert_eq!(shares(5, 2), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(shares(2, 3), [[0], [1], [0]]);
        assert_eq!(shares(3, 3), [[0], [1], [2]]);
    }
}
