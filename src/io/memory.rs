//! A file system in memory: what `--memory` runs on, and most tests.
//!
//! Files are lists of immutable pieces, because logs are appended to and read by many: a reader
//! that asks for bytes within one piece shares them instead of copying.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::{DirEntry, File, FileSystem, Io, MemoryUse, OpenMode, SharedIo};

/// Pieces at the end of a file are joined when together they reach so many bytes: small appends
/// then cost neither a list of thousands of pieces nor a copy at every read.
const JOIN_BYTES: usize = 256 * 1024;

/// A file system in memory, gone when its last owner drops it.
#[derive(Debug, Default)]
pub struct MemoryIo {
    nodes: Mutex<BTreeMap<PathBuf, Node>>,
    space: Arc<Space>,
}

/// The bytes of all files, open ones that were removed included, as on a disk.
#[derive(Debug)]
struct Space {
    used: AtomicU64,
    max: u64,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            used: AtomicU64::new(0),
            max: u64::MAX,
        }
    }
}

impl Space {
    /// Takes room for a file that grows; `StorageFull` if there is not enough.
    fn take(&self, bytes: u64) -> io::Result<()> {
        let fits = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.max);
        match self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(ErrorKind::StorageFull.into()),
        }
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Arc<MemoryFile>),
}

impl MemoryIo {
    /// A new, empty file system.
    pub fn shared() -> SharedIo {
        Arc::new(Self::default())
    }

    /// One whose files together hold at most `bytes_max`; beyond, it is a full disk.
    pub fn bounded(bytes_max: u64) -> SharedIo {
        let space = Space {
            used: AtomicU64::new(0),
            max: bytes_max,
        };
        Arc::new(Self {
            nodes: Mutex::default(),
            space: Arc::new(space),
        })
    }
}

/// `.` is dropped, so that `./a` and `a` are one path.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(
        ErrorKind::NotFound,
        format!("{} does not exist", path.display()),
    )
}

impl Io for MemoryIo {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let path = plain(path);
        let mut nodes = self.nodes.lock();
        match nodes.get(&path) {
            Some(Node::File(file)) => return Ok(Arc::new(Handle(file.clone()))),
            Some(Node::Directory) => return Err(ErrorKind::IsADirectory.into()),
            None if mode != OpenMode::Create => return Err(not_found(&path)),
            None => {}
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        let is_root = parent.as_os_str().is_empty() || parent == Path::new("/");
        if !is_root && !nodes.contains_key(parent) {
            return Err(not_found(parent));
        }
        let file = Arc::new(MemoryFile {
            content: RwLock::default(),
            lock_holder: Mutex::default(),
            space: Arc::clone(&self.space),
        });
        nodes.insert(path, Node::File(file.clone()));
        Ok(Arc::new(Handle(file)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut nodes = self.nodes.lock();
        for ancestor in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            match nodes.get(ancestor) {
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                Some(Node::Directory) => {}
                None => {
                    nodes.insert(ancestor.to_owned(), Node::Directory);
                }
            }
        }
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let path = plain(path);
        let nodes = self.nodes.lock();
        if !matches!(nodes.get(&path), Some(Node::Directory)) {
            return Err(not_found(&path));
        }
        Ok(nodes
            .range(path.clone()..)
            .skip(1)
            .take_while(|(candidate, _)| candidate.starts_with(&path))
            .filter(|(candidate, _)| candidate.parent() == Some(&path))
            .map(|(candidate, node)| match node {
                Node::Directory => DirEntry {
                    path: candidate.clone(),
                    len: 0,
                    is_dir: true,
                },
                Node::File(file) => {
                    let len = file.content.read().len;
                    DirEntry {
                        path: candidate.clone(),
                        len,
                        is_dir: false,
                    }
                }
            })
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (plain(from), plain(to));
        let mut nodes = self.nodes.lock();
        let moved: Vec<PathBuf> = nodes
            .keys()
            .filter(|path| path.starts_with(&from))
            .cloned()
            .collect();
        if moved.is_empty() {
            return Err(not_found(&from));
        }
        for path in moved {
            let Some(node) = nodes.remove(&path) else {
                continue;
            };
            let target = match path.strip_prefix(&from) {
                Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest),
                _ => to.clone(),
            };
            nodes.insert(target, node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut nodes = self.nodes.lock();
        match nodes.get(&path) {
            Some(Node::File(_)) => {
                nodes.remove(&path);
                Ok(())
            }
            Some(Node::Directory) => Err(ErrorKind::IsADirectory.into()),
            None => Err(not_found(&path)),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = plain(path);
        let mut nodes = self.nodes.lock();
        let before = nodes.len();
        nodes.retain(|candidate, _| !candidate.starts_with(&path));
        if nodes.len() == before {
            Err(not_found(&path))
        } else {
            Ok(())
        }
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn file_system(&self, _dir: &Path) -> Option<Arc<dyn FileSystem>> {
        Some(Arc::new(AllOfIt))
    }

    fn exists(&self, path: &Path) -> bool {
        self.nodes.lock().contains_key(&plain(path))
    }

    fn space(&self, _path: &Path) -> Option<(u64, u64)> {
        let Space { used, max } = &*self.space;
        let usable = max.saturating_sub(used.load(Ordering::Relaxed));
        (*max != u64::MAX).then_some((*max, usable))
    }

    fn memory(&self) -> Option<MemoryUse> {
        (self.space.max < u64::MAX).then(|| MemoryUse {
            used: self.space.used.load(Ordering::Relaxed),
            max: self.space.max,
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, OpenMode::Create)?;
        let Some(Node::File(file)) = self.nodes.lock().get(&plain(path)).cloned() else {
            return Err(not_found(path));
        };
        let mut holder = file.lock_holder.lock();
        if holder.upgrade().is_some() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let held = Arc::new(MemoryFile::default());
        *holder = Arc::downgrade(&held);
        Ok(Arc::new(Handle(held)))
    }
}

/// Memory has nothing to sync.
#[derive(Debug)]
struct AllOfIt;

impl FileSystem for AllOfIt {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_own(&self) -> bool {
        true
    }
}

/// One opening of a file: as with descriptors, each is an owner of its own.
#[derive(Debug)]
struct Handle(Arc<MemoryFile>);

#[derive(Debug, Default)]
struct MemoryFile {
    content: RwLock<Content>,
    lock_holder: Mutex<std::sync::Weak<MemoryFile>>,
    space: Arc<Space>,
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.space.give_back(self.content.get_mut().len);
    }
}

/// Pieces that follow each other without gap from position 0.
#[derive(Debug, Default)]
struct Content {
    pieces: Vec<Piece>,
    len: u64,
    /// How many pieces at the end are small, and their bytes.
    tail_pieces: usize,
    tail_bytes: usize,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Content {
    fn append(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let piece = Piece {
            start: self.len,
            bytes,
        };
        self.len = piece.end();
        self.pieces.push(piece);
        self.join_tail();
    }

    /// Joins the small pieces at the end once they are worth it.
    fn join_tail(&mut self) {
        let Some(len) = self.pieces.last().map(|piece| piece.bytes.len()) else {
            return;
        };
        if len >= JOIN_BYTES / 4 {
            (self.tail_pieces, self.tail_bytes) = (0, 0);
            return;
        }
        self.tail_pieces += 1;
        self.tail_bytes += len;
        if self.tail_bytes < JOIN_BYTES {
            return;
        }
        let tail = self
            .pieces
            .split_off(self.pieces.len().saturating_sub(self.tail_pieces));
        let mut joined = Vec::with_capacity(self.tail_bytes);
        (self.tail_pieces, self.tail_bytes) = (0, 0);
        let Some(start) = tail.first().map(|piece| piece.start) else {
            return;
        };
        for piece in tail {
            joined.extend_from_slice(&piece.bytes);
        }
        self.pieces.push(Piece {
            start,
            bytes: joined.into(),
        });
    }

    fn truncate(&mut self, len: u64) {
        while let Some(last) = self.pieces.last_mut() {
            if last.end() <= len {
                break;
            }
            if last.start >= len {
                self.pieces.pop();
            } else {
                let keep = usize::try_from(len - last.start).unwrap_or(usize::MAX);
                last.bytes.truncate(keep);
            }
        }
        self.len = self.pieces.last().map_or(0, Piece::end);
        (self.tail_pieces, self.tail_bytes) = (0, 0);
    }

    /// Index of the piece that holds `position`.
    fn piece_at(&self, position: u64) -> Option<usize> {
        let index = self.pieces.partition_point(|piece| piece.end() <= position);
        (index < self.pieces.len()).then_some(index)
    }
}

impl File for Handle {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let content = self.0.content.read();
        let Some(first) = content.piece_at(position) else {
            return Ok(0);
        };
        let mut filled = 0;
        for piece in content.pieces.iter().skip(first) {
            let Some(target) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let from = (position + filled as u64).saturating_sub(piece.start) as usize;
            let source = piece.bytes.get(from..).unwrap_or_default();
            let count = source.len().min(target.len());
            if let (Some(to), Some(bytes)) = (target.get_mut(..count), source.get(..count)) {
                to.copy_from_slice(bytes);
            }
            filled += count;
        }
        Ok(filled)
    }

    fn write_all_at(&self, slices: &[&[u8]], position: u64) -> io::Result<()> {
        let mut content = self.0.content.write();
        let written: usize = slices.iter().map(|slice| slice.len()).sum();
        let end = position.saturating_add(written as u64);
        self.0.space.take(end.saturating_sub(content.len))?;
        let mut bytes = Vec::with_capacity(written);
        for slice in slices {
            bytes.extend_from_slice(slice);
        }
        if position > content.len {
            let gap = usize::try_from(position - content.len).unwrap_or(usize::MAX);
            content.append(vec![0; gap].into());
        }
        if position < content.len {
            // Overwriting is rare (checkpoints): keep what lies behind the written bytes.
            let end = position + written as u64;
            let behind: Vec<u8> = content
                .pieces
                .iter()
                .filter(|piece| piece.end() > end)
                .flat_map(|piece| {
                    let from = end.saturating_sub(piece.start) as usize;
                    piece.bytes.get(from..).unwrap_or_default().iter().copied()
                })
                .collect();
            content.truncate(position);
            bytes.extend_from_slice(&behind);
        }
        content.append(bytes.into());
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.0.content.write();
        if len <= content.len {
            self.0.space.give_back(content.len - len);
            content.truncate(len);
        } else {
            self.0.space.take(len - content.len)?;
            let gap = usize::try_from(len - content.len).unwrap_or(usize::MAX);
            content.append(vec![0; gap].into());
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.content.read().len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn shared(&self, position: u64, len: usize) -> Option<Bytes> {
        let content = self.0.content.read();
        let piece = content.pieces.get(content.piece_at(position)?)?;
        let from = usize::try_from(position.checked_sub(piece.start)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= piece.bytes.len()).then(|| piece.bytes.slice(from..to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_within_one_piece_share_its_memory() {
        let io = MemoryIo::default();
        let file = io.open(Path::new("log"), OpenMode::Create).unwrap();
        file.write_all_at(&[b"abc", b"def"], 0).unwrap();
        file.write_all_at(&[b"ghi"], 6).unwrap();
        assert_eq!(file.shared(1, 4).unwrap(), "bcde");
        assert_eq!(
            file.shared(1, 4).unwrap().as_ptr(),
            file.shared(1, 1).unwrap().as_ptr()
        );
        assert!(file.shared(5, 2).is_none(), "two pieces");
        assert!(file.shared(9, 1).is_none(), "past the end");
    }

    #[test]
    fn a_bounded_one_is_full_until_files_go() {
        let io = MemoryIo::bounded(10);
        let file = io.open(Path::new("a"), OpenMode::Create).unwrap();
        file.write_all_at(&[b"12345678"], 0).unwrap();
        let full = file.write_all_at(&[b"abc"], 8).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(file.len().unwrap(), 8, "nothing of it is written");
        file.write_all_at(&[b"abc"], 0).unwrap();
        assert!(file.set_len(11).is_err());
        file.set_len(10).unwrap();
        file.set_len(2).unwrap();
        let other = io.open(Path::new("b"), OpenMode::Create).unwrap();
        assert!(
            other.write_all_at(&[b"x"], 8).is_err(),
            "a gap takes room too"
        );
        other.set_len(8).unwrap();
        io.remove_file(Path::new("b")).unwrap();
        assert!(file.set_len(3).is_err(), "the removed file is open");
        drop(other);
        file.set_len(10).unwrap();
    }

    #[test]
    fn many_small_appends_become_few_pieces() {
        let file = Handle(Arc::default());
        for index in 0..20_000_u64 {
            file.write_all_at(&[&[index as u8; 100]], index * 100)
                .unwrap();
        }
        assert!(file.0.content.read().pieces.len() < 4_000);
        let mut byte = [0];
        file.read_at(&mut byte, 1_234_567).unwrap();
        assert_eq!(byte[0], (1_234_567 / 100) as u8);
    }
}
