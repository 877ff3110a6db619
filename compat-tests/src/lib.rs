//! Tests with foreign clients, and the differ: the same bytes to Apache Kafka and to Klamm.
//!
//! Kafka's answers lie in `oracle/`, so that comparing needs no JVM; `compat record` renews them.
//! [`reliability`] measures what becomes of acknowledged records when power, process or disk fail.

mod brokers;
pub mod codec;
pub mod compare;
pub mod hex;
pub mod lines;
pub mod normal;
pub mod proxy;
pub mod recording;
pub mod records;
pub mod reliability;
pub mod scenarios;
pub mod schema;
pub mod server;
pub mod session;

pub use brokers::{InProcess, klamm_like_kafka};
