//! Consumer groups: the coordinator assigns (KIP-848; Kafka's `ConsumerGroup`).

pub mod assignor;
mod partitions;
pub mod pattern;

pub use partitions::Partitions;
