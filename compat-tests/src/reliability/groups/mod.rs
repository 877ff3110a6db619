//! Figures about groups, by raw members of the classic protocol.

mod board;
mod crowd;
pub mod kills;
mod member;
pub mod speed;
