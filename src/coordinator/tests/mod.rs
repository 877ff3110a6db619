//! Whole rebalances under a clock that is a number.

mod commits;
mod expiry;
mod joining;
mod leaving;
mod restart;
mod statics;
mod syncing;
