//! The file system as the store sees it: no sync fails unnoticed, and what is not a client's record
//! finds room.
//!
//! *Invariants:* the first sync that fails is the last one that is tried, and the last change of
//! the directory ([`offline`](crate::storage::durability::offline)); room that is kept ([`space`](crate::storage::durability::space)) is
//! given to everything but records, whoever writes it: checkpoints, indexes, snapshots, names.
//! Records of the broker's own get it where they are appended, since only the log knows whose they
//! are; those that a cleaner copies get none.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::io::{DirEntry, File, FileSystem, Io, MemoryUse, OpenMode, SharedIo};
use crate::model::Timestamp;

use crate::storage::durability::offline::Health;
use crate::storage::durability::space::Space;

/// Pause before a directory is opened again that could not be for want of descriptors.
const DESCRIPTORS_PAUSE: Duration = Duration::from_millis(20);

/// How often that is tried: descriptors come free as requests end.
const DESCRIPTORS_TRIES: usize = 100;

/// The file system `under`, guarded.
pub(in crate::storage) fn guard(
    under: SharedIo,
    health: Arc<Health>,
    space: Arc<Space>,
) -> SharedIo {
    Arc::new(Guard {
        under,
        health,
        space,
    })
}

#[derive(Debug)]
struct Guard {
    under: SharedIo,
    health: Arc<Health>,
    space: Arc<Space>,
}

/// Whether the file holds records, rather than what is known of them.
fn has_records(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "log" || ending == "cleaned")
}

impl Io for Guard {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mode = match (mode, self.health.failure()) {
            // Readers of an active segment open it as its writer does. Nothing is created.
            (OpenMode::Create | OpenMode::Write, Some(_)) => OpenMode::Read,
            (mode, _) => mode,
        };
        let open = || self.under.open(path, mode);
        let reserve = (!has_records(path)).then(|| Arc::clone(&self.space));
        let under = match (&reserve, mode) {
            (Some(space), OpenMode::Create) => space.in_reserve(open)?,
            _ => open()?,
        };
        Ok(Arc::new(GuardedFile {
            under,
            path: path.to_owned(),
            health: Arc::clone(&self.health),
            reserve,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.health.check()?;
        self.space.in_reserve(|| self.under.create_dir_all(path))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.under.read_dir(path)
    }

    fn paths(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.under.paths(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.health.check()?;
        self.space.in_reserve(|| self.under.rename(from, to))
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
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                    ) =>
                {
                    return Err(error);
                }
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

    fn memory(&self) -> Option<MemoryUse> {
        self.under.memory()
    }

    fn modified(&self, path: &Path) -> Option<Timestamp> {
        self.under.modified(path)
    }

    fn space(&self, path: &Path) -> Option<(u64, u64)> {
        self.under.space(path)
    }

    fn file_system(&self, dir: &Path) -> Option<Arc<dyn FileSystem>> {
        Some(Arc::new(GuardedFileSystem {
            under: self.under.file_system(dir)?,
            dir: dir.to_owned(),
            health: Arc::clone(&self.health),
        }))
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
struct GuardedFileSystem {
    under: Arc<dyn FileSystem>,
    dir: PathBuf,
    health: Arc<Health>,
}

impl FileSystem for GuardedFileSystem {
    fn sync(&self) -> io::Result<()> {
        self.health.sync(&self.dir, || self.under.sync())
    }

    fn is_own(&self) -> bool {
        self.under.is_own()
    }
}

#[derive(Debug)]
struct GuardedFile {
    under: Arc<dyn File>,
    path: PathBuf,
    health: Arc<Health>,
    /// Where a write finds room that finds none on the disk, if it may.
    reserve: Option<Arc<Space>>,
}

impl GuardedFile {
    /// Does what changes the file.
    fn change(&self, mut change: impl FnMut(&dyn File) -> io::Result<()>) -> io::Result<()> {
        self.health.check()?;
        match &self.reserve {
            Some(space) => space.in_reserve(|| change(&*self.under)),
            None => change(&*self.under),
        }
    }
}

impl File for GuardedFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.under.read_at(buf, position)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.change(|file| file.write_all_at(slices, position))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|file| file.set_len(len))
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.change(|file| file.reserve(len))
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
