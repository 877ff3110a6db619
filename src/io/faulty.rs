//! A file system in memory, for tests, whose syncs fail on demand and whose disk can be full.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DirEntry, File, Io, MemoryIo, OpenMode, SharedIo};

/// What is to go wrong, and what has happened.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Syncs of paths that contain this fail in this way.
    broken: Mutex<Option<(String, io::ErrorKind)>>,
    /// Every sync that reached the system, in order.
    syncs: Mutex<Vec<PathBuf>>,
    /// Every write.
    writes: Mutex<Vec<PathBuf>>,
}

impl Faults {
    /// From now on, syncs of paths that contain `part` fail.
    pub(crate) fn break_syncs_of(&self, part: &str, kind: io::ErrorKind) {
        *self.broken.lock() = Some((part.to_owned(), kind));
    }

    /// From now on syncs succeed, as Linux has it after a failed one.
    pub(crate) fn mend(&self) {
        *self.broken.lock() = None;
    }

    /// What was synced so far.
    pub(crate) fn syncs(&self) -> Vec<PathBuf> {
        self.syncs.lock().clone()
    }

    /// How often a path that ends so was written to.
    pub(crate) fn writes_to(&self, ending: &str) -> usize {
        let writes = self.writes.lock();
        writes.iter().filter(|path| path.ends_with(ending)).count()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.syncs.lock().push(path.to_owned());
        match &*self.broken.lock() {
            Some((part, kind)) if path.to_string_lossy().contains(part.as_str()) => {
                Err((*kind).into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A disk of so many bytes, and what is to go wrong with it.
pub(crate) fn faulty(bytes: u64) -> (SharedIo, Arc<Faults>) {
    let faults = Arc::<Faults>::default();
    let io = FaultyIo {
        under: MemoryIo::bounded(bytes),
        faults: Arc::clone(&faults),
    };
    (Arc::new(io), faults)
}

#[derive(Debug)]
struct FaultyIo {
    under: SharedIo,
    faults: Arc<Faults>,
}

impl Io for FaultyIo {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(FaultyFile {
            under: self.under.open(path, mode)?,
            path: path.to_owned(),
            faults: Arc::clone(&self.faults),
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
        self.faults.sync(path)
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
}

#[derive(Debug)]
struct FaultyFile {
    under: Arc<dyn File>,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.under.read_at(buf, position)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.faults.writes.lock().push(self.path.clone());
        self.under.write_all_at(slices, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.under.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.under.len()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.sync(&self.path)
    }
}
