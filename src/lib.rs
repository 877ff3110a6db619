//! Klamm: a broker that speaks the Kafka 4 wire protocol, as a library and as one binary.
//!
//! The layers, leftmost first; a module may name only what stands to its right (checked by
//! `src/tidy.rs`):
//!
//! ```text
//! main → cli → {server → kafka → net → broker → catalog → storage → {batch, io}, bench}
//!      → {wire, model, config, clock, wake}
//! ```
//!
//! Start with `docs/ARCHITECTURE.md`, which names the file for every API and every byte on disk.

pub mod batch;
mod bench;
pub mod broker;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod coordinator;
pub mod io;
pub mod kafka;
pub mod model;
pub mod net;
pub mod server;
pub mod storage;
pub mod wake;
pub mod wire;

pub use model::{Offset, Timestamp, TopicId};
pub use server::{Broker, Builder, Consumer, NewRecord, Record};

#[cfg(test)]
mod tidy;
