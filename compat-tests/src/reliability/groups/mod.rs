//! Figures about groups, by raw members of both protocols.

mod account;
mod board;
mod consumer;
mod crowd;
pub mod kills;
mod member;
pub(in crate::reliability) mod restless;
pub mod speed;

pub(in crate::reliability) use account::Found;
