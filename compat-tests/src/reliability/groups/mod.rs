//! Figures about groups, by raw members of both protocols.

mod account;
mod board;
mod consumer;
mod crowd;
mod either;
mod group;
pub mod kills;
mod member;
mod owners;
pub(in crate::reliability) mod restless;
pub(in crate::reliability) mod returns;
pub mod speed;

pub(in crate::reliability) use account::Found;
