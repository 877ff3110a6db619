//! Kafka's primitives, and the record schemas of the metadata log.
//!
//! *Owns:* [`Reader`] and [`Writer`] of Kafka's primitive types, their checksum ([`crc32c()`]), the
//! `schema!` table that describes a record once, the rows of the metadata log ([`metadata`]) and of control batches
//! ([`control`]). *May use:* `model`. *Must not know:* requests, sockets, files.
//!
//! *Invariants:* decoding any bytes ends in a value or an error, never in a panic; a count or
//! length is believed only as far as bytes are there, so that what a decode allocates is a small
//! multiple of its input; what was encoded decodes to the same value.
//!
//! A new record is a row: a `schema!` entry with its fields, versions and tags as Kafka's JSON
//! schema has them, and a line in the record set that gives it its key.

mod checksum;
mod error;
mod field;
mod fuzz;
mod reader;
mod schema;
mod writer;

pub mod consumer_protocol;
pub mod control;
pub mod groups;
pub mod metadata;

pub use checksum::crc32c;
pub use error::{DecodeError, EncodeError};
pub use field::Field;
pub use fuzz::decode_any;
pub use reader::Reader;
pub use schema::{Format, Schema};
pub use writer::Writer;

pub(crate) use schema::schema;
