//! Where a value came from.

use std::fmt;
use std::sync::Arc;

/// The source of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table's default.
    Default,
    /// A configuration file.
    File {
        /// Its path, as it was given.
        path: Arc<str>,
        /// Line of the value, from 1; JSON has none.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Environment(Arc<str>),
    /// A flag of the command line, such as `--listen`.
    Flag(Arc<str>),
    /// `--set`, or a call of a program that embeds the broker.
    Set,
    /// Set for all brokers while they run.
    DynamicDefault,
    /// Set for this broker while it runs.
    DynamicBroker,
}

impl Origin {
    /// Whether nobody gave the value.
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{path}:{line}"),
            Self::File { path, line: None } => f.write_str(path),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Set => f.write_str("--set"),
            Self::DynamicDefault => f.write_str("dynamic default of all brokers"),
            Self::DynamicBroker => f.write_str("dynamic setting of this broker"),
        }
    }
}
