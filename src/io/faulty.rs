//! A file system in memory, for tests, whose syncs fail on demand and whose disk can be full.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::hooked::{Hooks, hooked};
use super::{File, MemoryIo, SharedIo};

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
}

impl Hooks for Faults {
    fn write(
        &self,
        path: &Path,
        file: &dyn File,
        slices: &[&[u8]],
        position: u64,
    ) -> io::Result<()> {
        self.writes.lock().push(path.to_owned());
        file.write_all_at(slices, position)
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
    (hooked(MemoryIo::bounded(bytes), &faults), faults)
}
