//! What a failed sync means: the end of writing to the data directory.
//!
//! After a sync has failed nobody knows what is on disk. Linux reports the error once, to one
//! caller, and marks the pages clean; a second sync of the same file then succeeds without having
//! written anything. So the first failure is final, whatever was being synced and whatever the
//! error was (`EIO`, and as well `ENOSPC` or `EDQUOT`, where a file system finds room only then):
//! no sync is tried again, nothing is acknowledged that was not durable before, and nothing is
//! changed any more. Kafka takes the log directory offline (`LogDirFailureChannel`) and halts if
//! it was the last one; here reads of what is durable go on until somebody stops the broker, and
//! that stop fails and leaves no clean-shutdown marker.
//!
//! Nobody has to remember that: all files of a store are reached through [`guard`](crate::storage::durability::guard),
//! which sees every sync and, after a failure, refuses everything that would change the directory.
//!
//! | whose sync | what an error there would break | what its caller does |
//! | --- | --- | --- |
//! | `.log` files, in a round | acknowledged records, offsets that consumers saw | nothing of the log is committed; waiting produces get KAFKA_STORAGE_ERROR |
//! | the whole file system, in a round with many files | as for `.log` files; the failed write may be another's | as for `.log` files |
//! | indexes and producer snapshots, in a round | the recovery point, which promises that nobody needs to read what is below | the recovery point stays |
//! | a new partition's directory, the data directory, in a round | the file that holds acknowledged records may have no name | as for `.log` files |
//! | what formatting wrote, in the first round | the identity of the directory | nothing is acknowledged in that round |
//! | the journal of durable offsets, in a round | damage below the durable offset would be cut as a torn tail | the round counts as failed |
//! | log starts, for DeleteRecords | records deleted and gone come back, or an offset is given twice | the log start stays, the client gets KAFKA_STORAGE_ERROR, no file goes |
//! | log starts, when a partition goes or a store opens | a partition of the same name begins at a wrong offset | the deletion fails and is logged; the store does not open |
//! | the metadata log, in a round | a topic or a setting that was promised | the change fails with KAFKA_STORAGE_ERROR |
//! | a snapshot of the metadata log | the log below it would go | the log stays whole |
//! | a log that recovery kept, its indexes | consumers would be shown what a second crash takes away | the log is not opened; its partition answers KAFKA_STORAGE_ERROR |
//! | a segment that is to replace others, and the names of both | the others would go for bytes that are not there | the others stay, in memory at least; the next start keeps them or the new one |
//! | checkpoints and the marker, at the stop | the next start would believe what is not there | the stop fails, there is no marker |
//!
//! The next process on this machine is no wiser than this one: it reads from memory what never got
//! to the disk, and its own syncs do not write pages that count as written. So a file tells it that
//! a sync failed, and its recovery writes again what it keeps before it syncs that. That file need
//! not be durable: after a power cut memory holds nothing that the disk does not.
//!
//! What is *not* the failure of a sync: a write, a rename, or the opening of a file that fails,
//! for want of room or of descriptors. None of them is an acknowledgement; they are tried again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::io::{OpenMode, SharedIo};

use crate::storage::format::names;

/// Whether the data directory can still be trusted with writes.
#[derive(Debug)]
pub(in crate::storage) struct Health {
    /// Unguarded.
    io: SharedIo,
    dir: PathBuf,
    /// The first failed sync.
    failure: OnceLock<String>,
    /// Told once, when the directory goes offline.
    pub(in crate::storage) went_offline: Notify,
}

impl Health {
    pub(in crate::storage) fn of(io: &SharedIo, dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            io: Arc::clone(io),
            dir: dir.to_owned(),
            failure: OnceLock::new(),
            went_offline: Notify::new(),
        })
    }

    /// Why the directory is offline, if it is.
    pub(in crate::storage) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Takes the directory offline, unless it is: the first failure is the one that is told.
    pub(in crate::storage) fn fail(&self, path: &Path, error: &io::Error) {
        let failure = format!("a sync of {} failed: {error}", path.display());
        if self.failure.set(failure).is_ok() {
            tracing::error!(
                dir = %self.dir.display(),
                path = %path.display(),
                %error,
                "a sync failed: the data directory is offline, nothing is written any more; \
                 what was durable can be read until the broker is stopped"
            );
            // Not synced, of course, and need not be: it tells the next process of what this
            // machine has in memory.
            let note = self.dir.join(names::SYNC_FAILED);
            if let Err(error) = self.io.open(&note, OpenMode::Create) {
                tracing::warn!(path = %note.display(), %error, "cannot note that a sync failed");
            }
            self.went_offline.notify_waiters();
        }
    }

    /// Whether the directory may be changed.
    pub(in crate::storage) fn check(&self) -> io::Result<()> {
        match self.failure() {
            None => Ok(()),
            Some(failure) => Err(io::Error::new(
                io::ErrorKind::ReadOnlyFilesystem,
                format!("the data directory is offline: {failure}"),
            )),
        }
    }

    /// Runs a sync of `path`; an error is final.
    pub(in crate::storage) fn sync(
        &self,
        path: &Path,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.check()?;
        sync().map_err(|error| {
            self.fail(path, &error);
            // Of another kind than a full disk, which is a reason to try again.
            io::Error::other(format!("a sync failed: {error}"))
        })
    }
}
