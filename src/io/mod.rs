//! The file system at the level of system calls.
//!
//! *Owns:* the [`Io`] and [`File`] traits, the real file system, the in-memory one, atomic file
//! replacement and maps. *May use:* `model`. *Must not know:* segments, batches.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system that many owners share.
pub type SharedIo = Arc<dyn Io>;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; the file must exist.
    Read,
    /// Read and write; the file must exist.
    Write,
    /// Read and write; created if it is missing.
    Create,
}

/// A file system.
pub trait Io: Send + Sync + std::fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<Arc<dyn File>>;
    /// Creates a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> std::io::Result<()>;
    /// Names and sizes of a directory's entries, in no order.
    fn read_dir(&self, path: &Path) -> std::io::Result<Vec<DirEntry>>;
    /// Renames a file or directory, replacing a file of the new name.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> std::io::Result<()>;
    /// Removes a directory and everything in it.
    fn remove_dir_all(&self, path: &Path) -> std::io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> std::io::Result<()>;
    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;
    /// Takes the lock file as Kafka does, against other processes and other brokers of this one;
    /// `WouldBlock` if somebody holds it. Dropping the file releases it.
    fn lock(&self, path: &Path) -> std::io::Result<Arc<dyn File>>;
}

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct DirEntry {
    /// Its path.
    pub path: PathBuf,
    /// Its length in bytes; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// An open file, usable from several threads at once.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Reads up to `buf.len()` bytes at `position`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], position: u64) -> std::io::Result<usize>;
    /// Writes all slices at `position`, one after another.
    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> std::io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> std::io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> std::io::Result<u64>;
    /// Whether it holds nothing.
    fn is_empty(&self) -> std::io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Makes the bytes durable (fdatasync).
    fn sync_data(&self) -> std::io::Result<()>;
    /// The descriptor for sendfile, where there is one.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Bytes in memory, where the file system is memory: shared, not copied.
    fn shared(&self, _position: u64, _len: usize) -> Option<bytes::Bytes> {
        None
    }
}
