//! Every setting in one table, its sources and their order.
//!
//! *Owns:* the table of settings, parsing and validation, the effective configuration with the
//! origin of each value. *May use:* `model`. *Must not know:* who reads it.

/// The effective static configuration.
#[derive(Debug, Default)]
pub struct Config {}
