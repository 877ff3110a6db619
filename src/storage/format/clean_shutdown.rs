//! `.kafka_cleanshutdown`: all logs were on disk when the broker stopped (Kafka's
//! `CleanShutdownFileHandler`).
//!
//! ```text
//! {"version":0,"brokerEpoch":-1}
//! ```
//!
//! Its presence is what counts; the epoch of the stopped broker is for clusters.

/// The file's content.
pub const CONTENT: &str = "{\"version\":0,\"brokerEpoch\":-1}";
