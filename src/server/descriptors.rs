//! How the descriptors that a process may have are shared out.
//!
//! Nothing that storage opens may fail because clients hold connections, and no connection because
//! there are many partitions: so each has a share, and both stop at it. Files beyond theirs are
//! closed and opened again; connections beyond theirs wait in the queue of the system, as with
//! `max.connections`.
//!
//! | share | of 256 | of 4,096 | of 20,000 |
//! | --- | --- | --- | --- |
//! | open files of the store: a quarter, at most `klamm.open.files.max` | 64 | 1,024 | 1,024 |
//! | files in use beyond that: written to and not yet synced, on their way to clients | 64 | 1,024 | 1,024 |
//! | the process: runtime, listeners, directories, checkpoints: a sixteenth, at least 32 | 32 | 256 | 1,250 |
//! | connections: the rest | 96 | 1,792 | 16,702 |

use rustix::process::{Resource, getrlimit, setrlimit};

/// The least that a process needs for itself.
const OWN_MIN: usize = 32;

/// The shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors {
    /// Files that the store keeps open.
    pub(super) files: usize,
    /// Connections.
    pub(super) connections: usize,
}

impl Descriptors {
    /// The shares of this process; `files_max` is `klamm.open.files.max`.
    pub(super) fn of_process(files_max: usize) -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        Self::of(limit, files_max)
    }

    fn of(limit: usize, files_max: usize) -> Self {
        let files = files_max.min(limit / 4);
        let own = (limit / 16).max(OWN_MIN);
        Self {
            files,
            connections: limit.saturating_sub(own + 2 * files).max(1),
        }
    }
}

/// Raises the limit of open files to the most that the system allows this process: the usual one,
/// 1,024, is meant for programs that use `select`.
pub fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(?before, now = ?limit.maximum, "raised the limit of open files"),
        // Some systems do not allow what they say that they allow.
        Err(error) => tracing::debug!(?before, %error, "the limit of open files stays"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_connections_have_their_shares_whatever_the_limit() {
        let shares = |limit, files_max| {
            let Descriptors { files, connections } = Descriptors::of(limit, files_max);
            (files, connections)
        };
        assert_eq!(shares(256, 1024), (64, 96));
        assert_eq!(shares(4096, 1024), (1024, 1792));
        assert_eq!(shares(20_000, 1024), (1024, 16_702));
        assert_eq!(shares(1024, 16), (16, 928));
        assert_eq!(shares(8, 1024), (2, 1));
        assert!(shares(usize::MAX, 1024).1 > 1 << 30);
    }
}
