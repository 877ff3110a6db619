//! What compaction cannot do without: every byte read, checked and written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::echo::{LENGTH_AT, check_crc, field};

/// What is read and written at once, where batches are not larger.
const CHUNK_BYTES: usize = 1024 * 1024;

/// The bytes of a batch before those that its length counts, and the least that it counts.
const PREFIX_BYTES: usize = 12;
const LENGTH_MIN: usize = 49;

/// Copies the batches of each `*.log` in a directory to a `*.copy` beside it; how many bytes.
///
/// # Errors
/// If files cannot be read or written, or a checksum does not hold.
pub fn copy_logs(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let from = File::open(&path)?;
            let to = File::create(path.with_extension("copy"))?;
            bytes += copy(&from, &to)?;
        }
    }
    Ok(bytes)
}

fn copy(from: &File, to: &File) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut position = 0;
    loop {
        let count = read(from, &mut buffer, position)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        let whole = check_batches(bytes)?;
        if whole > 0 {
            to.write_all_at(bytes.get(..whole).unwrap_or_default(), position)?;
            position += whole as u64;
            continue;
        }
        // A batch that is larger, or the end: what is preallocated there is zeros.
        match total(bytes) {
            Some(length) if count == buffer.len() => buffer.resize(length, 0),
            Some(_) | None => return Ok(position),
        }
    }
}

/// Checks the whole batches at the start of some bytes; their length.
fn check_batches(bytes: &[u8]) -> io::Result<usize> {
    let mut rest = bytes;
    while let Some((batch, more)) = total(rest).and_then(|length| rest.split_at_checked(length)) {
        check_crc(batch)?;
        rest = more;
    }
    Ok(bytes.len() - rest.len())
}

/// The length of the batch that begins there, if one does.
fn total(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(field(bytes, LENGTH_AT)) as usize;
    (length >= LENGTH_MIN).then_some(length + PREFIX_BYTES)
}

/// Fills the buffer, or reads to the end.
fn read(from: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read_at(room, position + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
