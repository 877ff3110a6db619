//! Sockets: listen, accept, limits, frames in, pieces of memory and of files out.
//!
//! *Owns:* listeners, the count of connections, the byte budget of requests, deadlines, and the
//! two halves of a socket. A frame is four bytes of length and so many bytes; what is in them,
//! a [`Protocol`] knows. *May use:* `io` and what it uses, and the bytes that `storage` hands out.
//! *Must not know:* Kafka, HTTP.
//!
//! *Invariants:* memory follows what has arrived, never what was announced; every wait for a peer
//! has a deadline; a fault of one connection ends that connection alone.

mod accept;
mod budget;
mod frames;
mod gate;
mod limits;
mod listener;
mod piece;
mod socket;
mod stop;
mod workers;
mod write;

pub use accept::{Protocol, serve};
pub use frames::{Frame, ReadError};
pub use gate::Gate;
pub use limits::Limits;
pub use listener::{Endpoint, Listener};
pub use piece::{Piece, Short};
pub use socket::Socket;
pub use workers::Workers;
