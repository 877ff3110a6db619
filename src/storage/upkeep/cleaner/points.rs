//! `cleaner-offset-checkpoint`: the offset up to which each log is clean. What is lost costs work:
//! the log is taken for dirty from its start.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use parking_lot::Mutex;

use crate::io::{Io, Persist, replace_file};
use crate::model::Offset;

use crate::storage::format::{names, offset_checkpoint};

/// Offsets up to which logs are clean, by directory.
#[derive(Debug, Default)]
pub(in crate::storage) struct CleanPoints(Mutex<offset_checkpoint::Offsets>);

impl CleanPoints {
    /// Those of the file that belong to one of these directories.
    pub(in crate::storage) fn read(io: &dyn Io, dir: &Path, directories: &HashSet<String>) -> Self {
        let content = io.read(&dir.join(names::CLEANER_POINTS)).ok();
        let mut points = content
            .as_deref()
            .and_then(|content| std::str::from_utf8(content).ok())
            .and_then(|content| offset_checkpoint::decode(content).ok())
            .unwrap_or_default();
        points.retain(|name, _| directories.contains(name));
        Self(Mutex::new(points))
    }

    /// The offset up to which a log is clean, as far as that is known.
    pub(super) fn get(&self, directory: &str) -> Option<Offset> {
        self.0.lock().get(directory).copied()
    }

    /// Notes an offset, for the file too. A log that is deleted has none.
    pub(super) fn set(
        &self,
        io: &dyn Io,
        dir: &Path,
        directory: &str,
        offset: Offset,
        is_deleted: impl Fn() -> bool,
    ) -> io::Result<()> {
        // The lock is held for the write: two writers must not leave the older content behind.
        let mut points = self.0.lock();
        // Under the lock: the deletion takes the entry out after it said that it deletes.
        if is_deleted() {
            return Ok(());
        }
        points.insert(directory.to_owned(), offset);
        write(io, dir, &points)
    }

    /// Forgets a log whose directory goes: another of the same name is dirty from its start.
    pub(in crate::storage) fn forget(&self, io: &dyn Io, dir: &Path, directory: &str) {
        let mut points = self.0.lock();
        if points.remove(directory).is_some()
            && let Err(error) = write(io, dir, &points)
        {
            tracing::warn!(directory, %error, "cannot write the cleaner's checkpoint");
        }
    }
}

fn write(io: &dyn Io, dir: &Path, points: &offset_checkpoint::Offsets) -> io::Result<()> {
    let content = offset_checkpoint::encode(points);
    let path = dir.join(names::CLEANER_POINTS);
    replace_file(io, &path, content.as_bytes(), Persist::Lazy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;

    #[test]
    fn points_come_back_for_directories_that_are_there() {
        let (io, dir) = (MemoryIo::shared(), Path::new("/data"));
        io.create_dir_all(dir).unwrap();
        let points = CleanPoints::default();
        for (name, offset) in [("a-0", 5), ("a-1", 7), ("b-0", 9)] {
            points
                .set(&*io, dir, name, Offset(offset), || false)
                .unwrap();
        }
        points.set(&*io, dir, "c-0", Offset(1), || true).unwrap();
        points.forget(&*io, dir, "a-1");
        let found = ["a-0", "a-1", "c-0"].map(str::to_owned).into();
        let again = CleanPoints::read(&*io, dir, &found);
        let get = |name| again.get(name);
        assert_eq!(get("a-0"), Some(Offset(5)));
        assert_eq!((get("a-1"), get("b-0"), get("c-0")), (None, None, None));
    }
}
