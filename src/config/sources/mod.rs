//! Sources of settings: files of three formats, and the environment. Each gives keys and texts;
//! what they mean is the table's business.

mod environment;
mod json;
mod properties;
mod toml;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::builder::Problem;
use super::origin::Origin;

pub(super) use environment::environment;

/// A key, its text, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The dotted name.
    pub(super) key: String,
    /// The text of the value.
    pub(super) text: String,
    /// Where it stood.
    pub(super) origin: Origin,
}

impl Given {
    /// A key with its text.
    pub(super) fn new(key: &str, text: &str, origin: Origin) -> Self {
        Self {
            key: key.to_owned(),
            text: text.to_owned(),
            origin,
        }
    }
}

/// A key with its text and, where the format tells it, its line.
struct Pair {
    key: String,
    text: String,
    line: Option<usize>,
}

/// Why a file could not be read.
struct Malformed {
    message: String,
    line: Option<usize>,
}

/// Reads a file's bytes: `.toml` and `.json` by name, everything else as properties.
pub(super) fn file(path: &Path, bytes: &[u8]) -> Result<Vec<Given>, Problem> {
    let name: Arc<str> = Arc::from(path.display().to_string());
    let extension = path.extension().and_then(|extension| extension.to_str());
    let read = match extension {
        Some("toml") => toml::read(bytes),
        Some("json") => json::read(bytes),
        _ => properties::read(bytes),
    };
    let origin = |line| Origin::File {
        path: Arc::clone(&name),
        line,
    };
    match read {
        Ok(pairs) => Ok(pairs
            .into_iter()
            .map(|pair| Given {
                key: pair.key,
                text: pair.text,
                origin: origin(pair.line),
            })
            .collect()),
        Err(Malformed { message, line }) => Err(Problem {
            message,
            origin: origin(line),
        }),
    }
}
