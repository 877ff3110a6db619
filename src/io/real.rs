//! The file system of the machine.

use std::fs;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;
use smallvec::SmallVec;

#[cfg(target_os = "linux")]
use super::FileSystem;
use super::{DirEntry, File, Io, OpenMode, SharedIo};
use crate::model::Timestamp;

/// The file system of the machine. All calls block; those that may wait for the disk
/// (`sync_data`, `sync_dir`) belong on threads of their own.
#[derive(Debug, Default)]
pub struct RealIo;

impl RealIo {
    /// A shared handle.
    pub fn shared() -> SharedIo {
        Arc::new(Self)
    }
}

impl Io for RealIo {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(false);
            }
        }
        Ok(Arc::new(RealFile {
            file: options.open(path)?,
            _directory: None,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A directory may be big; its entries' kinds come with it, their sizes do not.
            let is_dir = entry.file_type()?.is_dir();
            let len = match is_dir {
                true => 0,
                false => match entry.metadata() {
                    Ok(metadata) => metadata.len(),
                    // Removed since the directory was read.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
            };
            entries.push(DirEntry {
                path: entry.path(),
                len,
                is_dir,
            });
        }
        Ok(entries)
    }

    fn paths(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link_or_copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => super::copy(self, from, to),
            linked => linked,
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    /// Holds an advisory lock on the directory, then a POSIX record lock over the whole of `path`.
    ///
    /// The record lock is the one that Kafka's `FileLock` takes through `FileChannel.tryLock`. It
    /// belongs to the process, though: a second broker in this process would be granted it too,
    /// and closing any descriptor of the file gives it up for everybody in the process. So the
    /// lock on the directory, which belongs to the open descriptor, comes first, and nobody who
    /// fails to get it touches the file.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let would_block = |errno: rustix::io::Errno| match errno {
            rustix::io::Errno::ACCESS | rustix::io::Errno::AGAIN => {
                io::Error::from(ErrorKind::WouldBlock)
            }
            other => other.into(),
        };
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::File::open(parent.unwrap_or(Path::new(".")))?;
        rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)
            .map_err(would_block)?;
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(would_block)?;
        Ok(Arc::new(RealFile {
            file,
            _directory: Some(directory),
        }))
    }

    fn modified(&self, path: &Path) -> Option<Timestamp> {
        let modified = fs::metadata(path).and_then(|file| file.modified()).ok()?;
        let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp(i64::try_from(since_epoch.as_millis()).ok()?))
    }

    #[cfg(target_os = "linux")]
    fn file_system(&self, dir: &Path) -> Option<Arc<dyn FileSystem>> {
        use std::os::unix::fs::MetadataExt;
        if !syncfs_tells_errors() {
            return None;
        }
        let root = fs::File::open(dir).ok()?;
        let device = root.metadata().ok()?.dev();
        let parent = fs::metadata(dir.join("..")).ok()?.dev();
        Some(Arc::new(RealFileSystem {
            root,
            is_own: device != parent,
        }))
    }

    fn space(&self, path: &Path) -> Option<(u64, u64)> {
        let stat = rustix::fs::statvfs(path).ok()?;
        Some((
            stat.f_blocks.saturating_mul(stat.f_frsize),
            stat.f_bavail.saturating_mul(stat.f_frsize),
        ))
    }
}

/// Linux tells from 5.8 on, at a sync of a file system, of writes that failed.
#[cfg(target_os = "linux")]
fn syncfs_tells_errors() -> bool {
    let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") else {
        return false;
    };
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|digits| digits.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(5), Some(8))
}

/// Open from before the writes that it syncs: errors are told that happened since the opening.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct RealFileSystem {
    root: fs::File,
    is_own: bool,
}

#[cfg(target_os = "linux")]
impl FileSystem for RealFileSystem {
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }

    fn is_own(&self) -> bool {
        self.is_own
    }
}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    /// For a lock file: the directory whose lock goes with it.
    _directory: Option<fs::File>,
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        let mut written: usize = 0;
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        while written < total {
            let mut skip = written;
            let rest: SmallVec<[IoSlice<'_>; 4]> = slices
                .iter()
                .filter_map(|slice| {
                    let tail = slice.get(skip.min(slice.len())..)?;
                    skip = skip.saturating_sub(slice.len());
                    (!tail.is_empty()).then(|| IoSlice::new(tail))
                })
                .collect();
            match rustix::io::pwritev(&self.file, &rest, position + written as u64) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    #[cfg(target_os = "linux")]
    fn reserve(&self, len: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_brokers_of_one_process_exclude_each_other_and_a_loser_does_not_free_the_lock() {
        let directory = crate::io::tests::ScratchDirectory::new();
        let path = directory.path().join(".lock");
        let io = RealIo;
        let held = io.lock(&path).unwrap();
        assert_eq!(io.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        // Another process would still find the record lock: the loser did not open the file.
        let probe = "import fcntl,sys\nf=open(sys.argv[1],'r+')\nfcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB)";
        let python = |path: &Path| {
            std::process::Command::new("python3")
                .args(["-c", probe])
                .arg(path)
                .output()
        };
        if let Ok(other) = python(&path) {
            assert!(!other.status.success(), "another process took the lock");
        }
        drop(held);
        drop(io.lock(&path).unwrap());
    }
}
