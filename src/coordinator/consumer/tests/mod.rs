//! Consumer groups under a clock of the test's own: no broker, no waiting.

mod bench;
mod classics;
mod expressions;
mod members;
mod migration;
mod rebalance;
mod replay;
mod statics;
