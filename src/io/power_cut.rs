//! A disk in memory that forgets, when the power goes, what was not synced: for tests, and for the
//! long checks of what a store promises.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{DirEntry, File, FileSystem, Io, OpenMode};

/// What a disk writes whole.
const SECTOR: usize = 512;

/// A file system in memory that knows what of it is on disk.
///
/// After a cut, bytes that were not synced are there, or not, or in part; and of the names that
/// changed since their directory was synced any may be the old or the new ones.
#[derive(Debug)]
pub struct PowerCutIo(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    files: Vec<Bytes>,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Changes of names that no sync made durable, in order.
    pending: Vec<Change>,
    /// System calls so far that change anything.
    calls: usize,
    /// How often all of it was synced.
    file_system_syncs: usize,
    /// After so many of them the power goes.
    cut_at: Option<usize>,
    locked: Arc<AtomicBool>,
}

/// What is in a file, and what of it is on disk.
#[derive(Clone, Debug, Default)]
struct Bytes {
    now: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Add(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Rename(from, to) => {
                let moved: Vec<(PathBuf, Node)> = names
                    .iter()
                    .filter(|(path, _)| path.starts_with(from))
                    .map(|(path, node)| (path.clone(), *node))
                    .collect();
                for (path, node) in moved {
                    names.remove(&path);
                    let target = match path.strip_prefix(from) {
                        Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest),
                        _ => to.clone(),
                    };
                    names.insert(target, node);
                }
            }
            Self::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
        }
    }

    /// Whether a sync of `directory` makes it durable.
    fn is_in(&self, directory: &Path) -> bool {
        let in_it = |path: &Path| path.parent() == Some(directory);
        match self {
            Self::Add(path, _) | Self::Remove(path) => in_it(path),
            Self::Rename(from, to) => in_it(from) || in_it(to),
        }
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

impl Disk {
    /// One more system call, if there is power for it.
    fn call(&mut self) -> io::Result<()> {
        if self.cut_at.is_some_and(|at| self.calls >= at) {
            return Err(off());
        }
        self.calls += 1;
        Ok(())
    }

    fn len(&self, file: usize) -> u64 {
        self.files.get(file).map_or(0, |bytes| bytes.now.len()) as u64
    }

    /// The content of an open file, to be changed by one more system call.
    fn content(&mut self, file: usize) -> io::Result<&mut Bytes> {
        self.call()?;
        self.files.get_mut(file).ok_or(ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }
}

impl PowerCutIo {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Arc::default()))
    }

    /// How often the file system was synced as a whole.
    pub fn file_system_syncs(&self) -> usize {
        self.0.lock().file_system_syncs
    }

    /// Cuts the power after so many more calls that change something.
    pub fn cut_after(&self, calls: usize) {
        let mut disk = self.0.lock();
        disk.cut_at = Some(disk.calls + calls);
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        let disk = self.0.lock();
        disk.cut_at.is_some_and(|at| disk.calls >= at)
    }

    /// What a cut in this moment leaves: names in the order of a journal up to some moment, or in
    /// no order at all.
    pub fn after_cut(&self, random: &mut fastrand::Rng) -> Arc<Self> {
        let disk = self.0.lock();
        let mut names = disk.durable_names.clone();
        let kept = random.usize(..=disk.pending.len());
        let in_order = random.bool();
        for (number, change) in disk.pending.iter().enumerate() {
            if (in_order && number < kept) || (!in_order && random.bool()) {
                change.apply(&mut names);
            }
        }
        // What is in a directory that is not there is lost with it.
        let there: std::collections::BTreeSet<PathBuf> = names.keys().cloned().collect();
        names.retain(|path, _| {
            let mut above = path.ancestors().skip(1);
            above.all(|directory| directory.parent().is_none() || there.contains(directory))
        });
        let files = disk
            .files
            .iter()
            .map(|file| {
                let bytes = file.after_cut(random);
                Bytes {
                    now: bytes.clone(),
                    durable: bytes,
                }
            })
            .collect();
        Arc::new(Self(Arc::new(Mutex::new(Disk {
            files,
            durable_names: names.clone(),
            names,
            ..Disk::default()
        }))))
    }
}

impl Bytes {
    fn after_cut(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        match random.u8(..4) {
            0 => self.durable.clone(),
            1 => self.now.clone(),
            // The length grew before the bytes were there.
            2 if self.now.starts_with(&self.durable) => {
                let mut bytes = self.durable.clone();
                bytes.resize(random.usize(self.durable.len()..=self.now.len()), 0);
                bytes
            }
            _ if self.now.starts_with(&self.durable) => {
                let len = random.usize(self.durable.len()..=self.now.len());
                self.now.get(..len).unwrap_or_default().to_vec()
            }
            // Written over in place: each sector is the old or the new one.
            _ => {
                let mut bytes = self.now.clone();
                for (sector, old) in bytes.chunks_mut(SECTOR).zip(self.durable.chunks(SECTOR)) {
                    if sector.len() == old.len() && random.bool() {
                        sector.copy_from_slice(old);
                    }
                }
                bytes
            }
        }
    }
}

impl Io for PowerCutIo {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut disk = self.0.lock();
        let file = match disk.names.get(path) {
            Some(Node::File(file)) => *file,
            Some(Node::Directory) => return Err(ErrorKind::IsADirectory.into()),
            None if mode != OpenMode::Create => return Err(ErrorKind::NotFound.into()),
            None => {
                disk.call()?;
                disk.files.push(Bytes::default());
                let file = disk.files.len() - 1;
                disk.change(Change::Add(path.to_owned(), Node::File(file)));
                file
            }
        };
        let disk = self.0.clone();
        Ok(Arc::new(PowerCutFile { disk, file }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        let ancestors: Vec<&Path> = path.ancestors().collect();
        for ancestor in ancestors.into_iter().rev() {
            if !ancestor.as_os_str().is_empty() && !disk.names.contains_key(ancestor) {
                disk.call()?;
                disk.change(Change::Add(ancestor.to_owned(), Node::Directory));
            }
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let disk = self.0.lock();
        if disk.names.get(path) != Some(&Node::Directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let entry = |(path, node): (&PathBuf, &Node)| DirEntry {
            path: path.clone(),
            len: match node {
                Node::File(file) => disk.len(*file),
                Node::Directory => 0,
            },
            is_dir: *node == Node::Directory,
        };
        let inside = |(name, _): &(&PathBuf, &Node)| name.parent() == Some(path);
        Ok(disk.names.iter().filter(inside).map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        if !disk.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        disk.call()?;
        disk.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        if !disk.names.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        disk.call()?;
        disk.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.call()?;
        let pending = std::mem::take(&mut disk.pending);
        for change in pending {
            match change.is_in(path) {
                true => change.apply(&mut disk.durable_names),
                false => disk.pending.push(change),
            }
        }
        Ok(())
    }

    fn file_system(&self, _dir: &Path) -> Option<Arc<dyn FileSystem>> {
        Some(Arc::new(Self(self.0.clone())))
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.lock().names.contains_key(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.open(path, OpenMode::Create)?;
        let locked = self.0.lock().locked.clone();
        match locked.swap(true, Ordering::SeqCst) {
            true => Err(ErrorKind::WouldBlock.into()),
            false => Ok(Arc::new(HeldLock(locked, file))),
        }
    }
}

impl FileSystem for PowerCutIo {
    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.call()?;
        disk.file_system_syncs += 1;
        disk.pending.clear();
        disk.durable_names = disk.names.clone();
        for file in &mut disk.files {
            file.durable = file.now.clone();
        }
        Ok(())
    }

    /// So that few logs are synced one by one.
    fn is_own(&self) -> bool {
        false
    }
}

/// Gives the lock back when it is dropped.
#[derive(Debug)]
struct HeldLock(Arc<AtomicBool>, Arc<dyn File>);

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl File for HeldLock {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.1.read_at(buf, position)
    }
    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        self.1.write_all_at(slices, position)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.1.len()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.sync_data()
    }
}

#[derive(Debug)]
struct PowerCutFile {
    disk: Arc<Mutex<Disk>>,
    file: usize,
}

impl File for PowerCutFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let disk = self.disk.lock();
        let bytes = disk.files.get(self.file).map_or(&[][..], |file| &file.now);
        let from = usize::try_from(position).unwrap_or(usize::MAX);
        let rest = bytes.get(from..).unwrap_or_default();
        let count = buf.len().min(rest.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let bytes = &mut disk.content(self.file)?.now;
        let (from, written) = (
            usize::try_from(position).map_err(io::Error::other)?,
            slices.concat(),
        );
        let end = from.saturating_add(written.len());
        bytes.resize(bytes.len().max(end), 0);
        if let Some(place) = bytes.get_mut(from..end) {
            place.copy_from_slice(&written);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.disk.lock().content(self.file)?.now.resize(len, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().len(self.file))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let file = disk.content(self.file)?;
        file.durable = file.now.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_what_was_synced_and_may_forget_the_rest() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let io = PowerCutIo::new();
            io.create_dir_all(Path::new("/d")).unwrap();
            io.sync_dir(Path::new("/")).unwrap();
            let file = io.open(Path::new("/d/a"), OpenMode::Create).unwrap();
            file.write_all_at(&[b"kept"], 0).unwrap();
            file.sync_data().unwrap();
            io.sync_dir(Path::new("/d")).unwrap();
            file.write_all_at(&[b"maybe"], 4).unwrap();
            io.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
            io.cut_after(0);
            assert!(file.sync_data().is_err() && io.is_off());
            let left = io.after_cut(&mut fastrand::Rng::with_seed(seed));
            let renamed = left.exists(Path::new("/d/b"));
            assert_ne!(renamed, left.exists(Path::new("/d/a")));
            let name = if renamed { "/d/b" } else { "/d/a" };
            let content = left.read(Path::new(name)).unwrap();
            assert!(content.starts_with(b"kept"));
            outcomes.insert((renamed, content.len()));
        }
        assert!(outcomes.len() > 6, "{outcomes:?}");
    }
}
