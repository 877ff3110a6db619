//! The file system at the level of system calls.
//!
//! *Owns:* the [`Io`] and [`File`] traits, the real file system ([`RealIo`]), the one in memory
//! ([`MemoryIo`]), atomic file replacement, and how much memory there is. *May use:* `model`. *Must not know:* segments,
//! batches.
//!
//! *Invariants:* nothing is ever mapped: a mapped file that shrinks, or whose disk fills or fails,
//! is a signal that kills the process, while `pread` answers with an error that can be told to one
//! reader. A write either has all its bytes handed to the system or is an error.

mod atomic;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) mod hooked;
mod memory;
mod memory_limit;
mod power_cut;
mod real;

pub use atomic::{Persist, replace_file};
pub use memory::MemoryIo;
pub use memory_limit::memory_limit;
pub use power_cut::PowerCutIo;
pub use real::RealIo;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::Timestamp;

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
    /// Paths of a directory's entries, in no order: no entry is looked at.
    fn paths(&self, dir: &Path) -> std::io::Result<Vec<PathBuf>> {
        let entries = self.read_dir(dir)?.into_iter();
        Ok(entries.map(|entry| entry.path).collect())
    }
    /// Renames a file or directory, replacing a file of the new name.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()>;
    /// Gives a file a second name, or, where the file system cannot, copies it. The new name is
    /// durable once its directory is synced.
    fn link_or_copy(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        copy(self, from, to)
    }
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
    /// Bytes of the file system that holds `path`, all and usable, where it knows them.
    fn space(&self, _path: &Path) -> Option<(u64, u64)> {
        None
    }
    /// How much its files hold, where they are in memory and bounded.
    fn memory(&self) -> Option<MemoryUse> {
        None
    }
    /// When the content of a file last changed, where that is known.
    fn modified(&self, _path: &Path) -> Option<Timestamp> {
        None
    }
    /// Holds on to the file system of `dir`, to sync all of it at once; `None` where that cannot
    /// be done, or would not tell of every failed write.
    fn file_system(&self, _dir: &Path) -> Option<Arc<dyn FileSystem>> {
        None
    }
    /// The whole content of a file.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        let mut content = vec![0; len];
        let filled = read_full_at(&*file, &mut content, 0)?;
        content.truncate(filled);
        Ok(content)
    }
}

/// Copies a file, in pieces.
fn copy<I: Io + ?Sized>(io: &I, from: &Path, to: &Path) -> std::io::Result<()> {
    let (from, to) = (
        io.open(from, OpenMode::Read)?,
        io.open(to, OpenMode::Create)?,
    );
    to.set_len(0)?;
    let mut piece = vec![0; COPY_BYTES];
    let mut position = 0;
    loop {
        let filled = read_full_at(&*from, &mut piece, position)?;
        let read = piece.get(..filled).unwrap_or_default();
        if read.is_empty() {
            return to.sync_data();
        }
        to.write_all_at(&[read], position)?;
        position += filled as u64;
    }
}

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1024 * 1024;

/// Reads until `buf` is full or the file ends; the number of bytes read.
pub fn read_full_at(file: &dyn File, buf: &mut [u8], position: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, position + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// How much memory files take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes of all files, open ones that were removed included.
    pub used: u64,
    /// Most bytes that they may have.
    pub max: u64,
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

/// A file system as a whole.
pub trait FileSystem: Send + Sync + std::fmt::Debug {
    /// Makes durable all that anybody wrote to it: bytes, lengths and names (syncfs).
    ///
    /// An error may be that of another's write. Every one is told that happened since the file
    /// system was first held, even in files that are not open any more.
    fn sync(&self) -> std::io::Result<()>;
    /// Whether the directory is its root, so that nobody else is expected to write to it.
    fn is_own(&self) -> bool;
}

/// An open file, usable from several threads at once.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Reads up to `buf.len()` bytes at `position`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], position: u64) -> std::io::Result<usize>;
    /// Writes all slices at `position`, one after another.
    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> std::io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> std::io::Result<()>;
    /// Has the file system set aside room up to `len` bytes, without changing the length; nothing
    /// where it cannot. `set_len` gives back what is not used.
    fn reserve(&self, _len: u64) -> std::io::Result<()> {
        Ok(())
    }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A directory of the machine that vanishes with its owner.
    #[derive(Debug)]
    pub(crate) struct ScratchDirectory(PathBuf);

    impl ScratchDirectory {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("klamm-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for ScratchDirectory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Runs `check` with an empty directory on each file system.
    pub(crate) fn on_every_io(check: impl Fn(SharedIo, &Path)) {
        let scratch = ScratchDirectory::new();
        check(RealIo::shared(), scratch.path());
        let memory = MemoryIo::shared();
        memory.create_dir_all(Path::new("/data")).unwrap();
        check(memory, Path::new("/data"));
    }

    #[test]
    fn files_keep_what_is_written_wherever_it_is_written() {
        on_every_io(|io, root| {
            let file = io.open(&root.join("f"), OpenMode::Create).unwrap();
            file.write_all_at(&[b"hello", b"", b" world"], 0).unwrap();
            file.write_all_at(&[b"HE"], 0).unwrap();
            file.write_all_at(&[b"!"], 13).unwrap();
            assert_eq!(io.read(&root.join("f")).unwrap(), b"HEllo world\0\0!");
            file.set_len(3).unwrap();
            file.write_all_at(&[b"p"], 3).unwrap();
            file.set_len(6).unwrap();
            assert_eq!(io.read(&root.join("f")).unwrap(), b"HElp\0\0");
            assert_eq!(file.len().unwrap(), 6);
            file.sync_data().unwrap();
            io.sync_dir(root).unwrap();
        });
    }

    #[test]
    fn directories_list_rename_and_remove_their_entries() {
        on_every_io(|io, root| {
            let inner = root.join("a").join("b");
            io.create_dir_all(&inner).unwrap();
            io.create_dir_all(&inner).unwrap();
            let file = io.open(&inner.join("f"), OpenMode::Create).unwrap();
            file.write_all_at(&[b"12345"], 0).unwrap();
            io.rename(&root.join("a"), &root.join("c")).unwrap();
            assert!(!io.exists(&inner) && io.exists(&root.join("c").join("b")));
            let entries = io.read_dir(&root.join("c").join("b")).unwrap();
            assert_eq!(entries.len(), 1);
            assert_eq!((entries[0].len, entries[0].is_dir), (5, false));
            assert!(entries[0].path.ends_with("c/b/f"));
            let paths = io.paths(&root.join("c").join("b")).unwrap();
            assert_eq!(paths, [entries[0].path.clone()]);
            file.write_all_at(&[b"6"], 5).unwrap();
            io.remove_dir_all(&root.join("c")).unwrap();
            assert_eq!(file.len().unwrap(), 6, "an open file outlives its name");
            let error = io.open(&inner.join("f"), OpenMode::Read).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            let error = io.open(&inner.join("f"), OpenMode::Create).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        });
    }

    #[test]
    fn a_second_name_keeps_the_bytes_when_the_first_goes() {
        on_every_io(|io, root| {
            let (first, second) = (root.join("f"), root.join("g"));
            let file = io.open(&first, OpenMode::Create).unwrap();
            let content = vec![7; COPY_BYTES + 9];
            file.write_all_at(&[&content], 0).unwrap();
            io.link_or_copy(&first, &second).unwrap();
            io.remove_file(&first).unwrap();
            assert_eq!(io.read(&second).unwrap(), content);
        });
    }

    #[test]
    fn a_lock_is_held_once_and_freed_by_dropping_it() {
        on_every_io(|io, root| {
            let path = root.join(".lock");
            let held = io.lock(&path).unwrap();
            assert_eq!(io.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
            drop(held);
            assert!(io.lock(&path).is_ok());
        });
    }
}
