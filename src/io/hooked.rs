//! A file system whose calls can be watched, held up and failed, for tests.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DirEntry, File, FileSystem, Io, OpenMode, SharedIo};

/// What becomes of calls; by default each is passed on.
pub(crate) trait Hooks: Send + Sync + std::fmt::Debug + 'static {
    /// Reads of a file.
    fn read(&self, file: &dyn File, buf: &mut [u8], position: u64) -> io::Result<usize> {
        file.read_at(buf, position)
    }

    /// Writes to the file at `path`.
    fn write(
        &self,
        _path: &Path,
        file: &dyn File,
        slices: &[&[u8]],
        position: u64,
    ) -> io::Result<()> {
        file.write_all_at(slices, position)
    }

    /// Cuts or extends a file.
    fn set_len(&self, file: &dyn File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Comes before a sync of this file, directory or whole file system; an error is that of the
    /// sync.
    fn sync(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Whether it can be synced as a whole, which is no more than [`sync`](Self::sync) then.
    fn syncs_as_a_whole(&self) -> bool {
        false
    }
}

/// The file system `under`, with hooks.
pub(crate) fn hooked<H: Hooks>(under: SharedIo, hooks: &Arc<H>) -> SharedIo {
    let hooks: Arc<dyn Hooks> = hooks.clone();
    Arc::new(HookedIo { under, hooks })
}

#[derive(Debug)]
struct HookedIo {
    under: SharedIo,
    hooks: Arc<dyn Hooks>,
}

#[derive(Debug)]
struct HookedFile {
    under: Arc<dyn File>,
    path: PathBuf,
    hooks: Arc<dyn Hooks>,
}

#[derive(Debug)]
struct HookedFileSystem {
    dir: PathBuf,
    hooks: Arc<dyn Hooks>,
}

impl Io for HookedIo {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(HookedFile {
            under: self.under.open(path, mode)?,
            path: path.to_owned(),
            hooks: Arc::clone(&self.hooks),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.under.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.under.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.under.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.under.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.under.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.hooks.sync(path)?;
        self.under.sync_dir(path)
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

    fn file_system(&self, dir: &Path) -> Option<Arc<dyn FileSystem>> {
        self.hooks.syncs_as_a_whole().then(|| {
            let (dir, hooks) = (dir.to_owned(), Arc::clone(&self.hooks));
            Arc::new(HookedFileSystem { dir, hooks }) as Arc<dyn FileSystem>
        })
    }
}

impl FileSystem for HookedFileSystem {
    fn sync(&self) -> io::Result<()> {
        self.hooks.sync(&self.dir)
    }

    fn is_own(&self) -> bool {
        true
    }
}

impl File for HookedFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.hooks.read(&*self.under, buf, position)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.hooks.write(&self.path, &*self.under, slices, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.hooks.set_len(&*self.under, len)
    }

    fn len(&self) -> io::Result<u64> {
        self.under.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.hooks.sync(&self.path)?;
        self.under.sync_data()
    }
}
