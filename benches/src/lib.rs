//! Floors: what the work of a broker costs when nobody has to be a broker.
//!
//! Each is a server that knows one topic, answers what `klamm bench` must know of it with bytes that
//! are fixed, and does for the requests that are measured what cannot be left out:
//!
//! | floor | for each Produce | for each Fetch |
//! | --- | --- | --- |
//! | [`PingPong`] | an answer | |
//! | [`Null`] | reads all fields, checks the header, the checksum, and the framing of every record | |
//! | [`Log`] | checksum, base offset put in, `pwrite` to the partition's file | `sendfile` of whole batches; waits for news |
//! | [`GroupCommit`] | `pwrite`, and an answer after an `fdatasync` that others share | |
//!
//! And [`copy_logs`] is what compaction cannot do without.
//!
//! So the same generator drives floors, Klamm and Apache Kafka, and the verifier takes what floors
//! serve. Of Klamm's code they use the reader and the writer of the wire, nothing else.
//! `floor MODE --data DIR` starts one as a process, whose processor time is its cost.
//!
//! What all of them leave out: more than one topic, topic ids, sessions, errors that a broker would
//! answer (the connection is closed instead), acks 0, limits, and everything about being restarted.

mod commit;
mod copy;
mod echo;
mod files;
mod log;
mod protocol;
mod serve;

pub use commit::{Files, GroupCommit};
pub use copy::copy_logs;
pub use echo::{Null, PingPong};
pub use log::Log;
pub use protocol::Topic;
pub use serve::{Floor, Peer, start};
