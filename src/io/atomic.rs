//! Replacing a small file so that a reader, and a power cut, see either the old or the new one.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use super::{Io, OpenMode};

/// Whether a replacement is on disk when the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// File and directory entry are durable.
    Durable,
    /// After a power cut there is the old content or the new one, whole.
    Whole,
    /// It may vanish, or come back empty, after a power cut: for files that can be rebuilt.
    Lazy,
}

/// Writes `<path>.tmp`, then renames it over `path`: the way Kafka's `CheckpointFile` does it.
pub fn replace_file(
    io: &dyn Io,
    path: &Path,
    content: &[u8],
    persist: Persist,
) -> std::io::Result<()> {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = Path::new(&name);
    // What a crash left is no file to write into: where nothing is synced before the rename, a
    // power cut could bring its content back under the name of this one.
    match io.remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = io.open(temporary, OpenMode::Create)?;
    file.write_all_at(&[content], 0)?;
    match persist {
        Persist::Durable | Persist::Whole => file.sync_data()?,
        Persist::Lazy => {}
    }
    drop(file);
    io.rename(temporary, path)?;
    match (persist, path.parent()) {
        (Persist::Durable, Some(directory)) => io.sync_dir(directory),
        (Persist::Durable | Persist::Whole | Persist::Lazy, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MemoryIo;

    #[test]
    fn a_replacement_leaves_the_new_content_and_no_temporary_file() {
        let io = MemoryIo::shared();
        io.create_dir_all(Path::new("/d")).unwrap();
        let path = Path::new("/d/checkpoint");
        for content in [&b"a longer first content"[..], b"second"] {
            replace_file(&*io, path, content, Persist::Durable).unwrap();
            assert_eq!(io.read(path).unwrap(), content);
        }
        assert_eq!(io.read_dir(Path::new("/d")).unwrap().len(), 1);
    }

    #[test]
    fn what_a_crash_left_is_not_written_into() {
        let io = MemoryIo::shared();
        io.create_dir_all(Path::new("/d")).unwrap();
        let temporary = Path::new("/d/checkpoint.tmp");
        let left = io.open(temporary, OpenMode::Create).unwrap();
        left.write_all_at(&[b"left"], 0).unwrap();
        let path = Path::new("/d/checkpoint");
        replace_file(&*io, path, b"new", Persist::Lazy).unwrap();
        assert_eq!(io.read(path).unwrap(), b"new");
        let mut bytes = [0; 4];
        assert_eq!(left.read_at(&mut bytes, 0).unwrap(), 4);
        assert_eq!(bytes, *b"left");
    }
}
