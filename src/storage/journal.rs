//! The journal of durable offsets: what is known to be on disk when nothing else is.

use std::collections::HashMap;
use std::path::Path;

use crate::io::{Io, OpenMode, read_full_at};
use crate::model::TopicPartition;

use super::format::journal::{self, Contents, DurablePoint};

/// Where each log is known to be on disk, as the journal says.
pub(super) type DurablePoints = HashMap<TopicPartition, DurablePoint>;

/// What the journal at `path` says; `None` if it is missing, or nothing in it can be believed.
/// Then no offset is known to be durable but what the recovery points say.
pub(super) fn read(io: &dyn Io, path: &Path) -> Option<Contents> {
    let read = || {
        let file = io.open(path, OpenMode::Read)?;
        let len = file.len()?.min(journal::FILE_BYTES_MAX);
        let mut content = vec![0; usize::try_from(len).unwrap_or(0)];
        let filled = read_full_at(&*file, &mut content, 0)?;
        content.truncate(filled);
        std::io::Result::Ok(content)
    };
    let content = match read() {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "cannot read the durable offsets");
            return None;
        }
    };
    let contents = journal::decode(&content);
    if contents.is_none() {
        tracing::error!(path = %path.display(), "ignoring the durable offsets: damaged");
    }
    contents
}
