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
//! Nobody has to remember that: all files of a store are reached through [`guard`], which sees
//! every sync and, after a failure, refuses everything that would change the directory.
//!
//! | whose sync | what an error there would break | what its caller does |
//! | --- | --- | --- |
//! | `.log` files, in a round | acknowledged records, offsets that consumers saw | nothing of the log is committed; waiting produces get KAFKA_STORAGE_ERROR |
//! | indexes and producer snapshots, in a round | the recovery point, which promises that nobody needs to read what is below | the recovery point stays |
//! | a new partition's directory, the data directory, in a round | the file that holds acknowledged records may have no name | as for `.log` files |
//! | what formatting wrote, in the first round | the identity of the directory | nothing is acknowledged in that round |
//! | the journal of durable offsets, in a round | damage below the durable offset would be cut as a torn tail | the round counts as failed |
//! | log starts, for DeleteRecords | records deleted and gone come back, or an offset is given twice | the log start stays, the client gets KAFKA_STORAGE_ERROR, no file goes |
//! | log starts, when a partition goes or a store opens | a partition of the same name begins at a wrong offset | the deletion fails and is logged; the store does not open |
//! | the metadata log, in a round | a topic or a setting that was promised | the change fails with KAFKA_STORAGE_ERROR |
//! | a snapshot of the metadata log | the log below it would go | the log stays whole |
//! | a log that recovery kept, its indexes | consumers would be shown what a second crash takes away | the log is not opened; its partition answers KAFKA_STORAGE_ERROR |
//! | checkpoints and the marker, at the stop | the next start would believe what is not there | the stop fails, there is no marker |
//!
//! What is *not* the failure of a sync: a write, a rename, or the opening of a file that fails,
//! for want of room or of descriptors. None of them is an acknowledgement; they are tried again.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::io::{DirEntry, File, Io, OpenMode, SharedIo};

/// Pause before a directory is opened again that could not be for want of descriptors.
const DESCRIPTORS_PAUSE: Duration = Duration::from_millis(20);

/// How often that is tried: descriptors come free as requests end.
const DESCRIPTORS_TRIES: usize = 100;

/// Whether the data directory can still be trusted with writes.
#[derive(Debug)]
pub(super) struct Health {
    dir: PathBuf,
    /// The first failed sync.
    failure: OnceLock<String>,
    /// Told once, when the directory goes offline.
    pub(super) went_offline: Notify,
}

impl Health {
    pub(super) fn of(dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.to_owned(),
            failure: OnceLock::new(),
            went_offline: Notify::new(),
        })
    }

    /// Why the directory is offline, if it is.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Takes the directory offline, unless it is: the first failure is the one that is told.
    pub(super) fn fail(&self, path: &Path, error: &io::Error) {
        let failure = format!("a sync of {} failed: {error}", path.display());
        if self.failure.set(failure).is_ok() {
            tracing::error!(
                dir = %self.dir.display(),
                path = %path.display(),
                %error,
                "a sync failed: the data directory is offline, nothing is written any more; \
                 what was durable can be read until the broker is stopped"
            );
            self.went_offline.notify_waiters();
        }
    }

    /// Whether the directory may be changed.
    fn check(&self) -> io::Result<()> {
        match self.failure() {
            None => Ok(()),
            Some(failure) => Err(io::Error::new(
                io::ErrorKind::ReadOnlyFilesystem,
                format!("the data directory is offline: {failure}"),
            )),
        }
    }

    /// Runs a sync of `path`; an error is final.
    fn sync(&self, path: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.check()?;
        sync().map_err(|error| {
            self.fail(path, &error);
            // Of another kind than a full disk, which is a reason to try again.
            io::Error::other(format!("a sync failed: {error}"))
        })
    }
}

/// The file system as the store sees it.
pub(super) fn guard(under: SharedIo, health: Arc<Health>) -> SharedIo {
    Arc::new(Guard { under, health })
}

#[derive(Debug)]
struct Guard {
    under: SharedIo,
    health: Arc<Health>,
}

impl Io for Guard {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mode = match (mode, self.health.failure()) {
            // Readers of an active segment open it as its writer does. Nothing is created.
            (OpenMode::Create | OpenMode::Write, Some(_)) => OpenMode::Read,
            (mode, _) => mode,
        };
        Ok(Arc::new(GuardedFile {
            under: self.under.open(path, mode)?,
            path: path.to_owned(),
            health: Arc::clone(&self.health),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        self.under.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.under.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.health.check()?;
        self.under.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        self.under.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        self.under.remove_dir_all(path)
    }

    /// A directory that cannot be opened was not synced, nor did its sync fail.
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut tries = 0;
        loop {
            self.health.check()?;
            match self.under.sync_dir(path) {
                Err(error) if wants_descriptors(&error) && tries < DESCRIPTORS_TRIES => {
                    tries += 1;
                    std::thread::sleep(DESCRIPTORS_PAUSE);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
                synced => return self.health.sync(path, || synced),
            }
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.under.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.under.lock(path)
    }

    fn space(&self, path: &Path) -> Option<(u64, u64)> {
        self.under.space(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.under.read(path)
    }
}

/// Whether an open failed because the process, or the system, has no descriptor left. A sync never
/// says so.
fn wants_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

#[derive(Debug)]
struct GuardedFile {
    under: Arc<dyn File>,
    path: PathBuf,
    health: Arc<Health>,
}

impl File for GuardedFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.under.read_at(buf, position)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.health.check()?;
        self.under.write_all_at(slices, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.check()?;
        self.under.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.health.check()?;
        self.under.reserve(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.under.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.health.sync(&self.path, || self.under.sync_data())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.under.descriptor()
    }

    fn shared(&self, position: u64, len: usize) -> Option<bytes::Bytes> {
        self.under.shared(position, len)
    }
}
