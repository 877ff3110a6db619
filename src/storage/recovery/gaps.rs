//! Where offsets may be missing.
//!
//! A batch's base offset lies outside its checksum. Where nothing was cleaned, each batch begins
//! with the offset after the one before, so a base offset that does not follow, or a batch that is
//! not there, is damage. The cleaner leaves gaps: the file `klamm-compacted-offset-checkpoint`
//! (Kafka's checkpoint format) says below which offset a partition may have some.
//!
//! | the file | gaps are legal |
//! | --- | --- |
//! | names the partition | below that offset, up to the batch that begins at it |
//! | does not name it | nowhere |
//! | is missing, empty or makes no sense | in what the directories hold when that is noticed |
//!
//! So the file may be deleted: what follows is a weaker check, never another answer about sound
//! bytes. The bound rises durably before the first gap below it is made, and falls at leisure.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::Ordering;

use crate::io::{Persist, SharedIo, replace_file};
use crate::model::Offset;

use crate::storage::core::{Context, Core};
use crate::storage::format::{names, offset_checkpoint};

/// The bound of a log of which nobody knows whether it was cleaned.
pub(in crate::storage) const EVERYWHERE: Offset = Offset(i64::MAX);

/// What the file says of the partitions in these directories; whether it has to be written.
pub(in crate::storage) fn read(
    io: &SharedIo,
    dir: &std::path::Path,
    directories: &HashSet<String>,
) -> (offset_checkpoint::Offsets, bool) {
    let content = io.read(&dir.join(names::COMPACTED)).ok();
    let decoded = content
        .as_deref()
        .and_then(|content| std::str::from_utf8(content).ok())
        .filter(|content| !content.is_empty())
        .and_then(|content| offset_checkpoint::decode(content).ok());
    match decoded {
        Some(mut bounds) => {
            let found = bounds.len();
            bounds.retain(|name, _| directories.contains(name));
            let has_leftovers = bounds.len() < found;
            (bounds, has_leftovers)
        }
        None => {
            let everywhere = directories.iter().map(|name| (name.clone(), EVERYWHERE));
            (everywhere.collect(), true)
        }
    }
}

impl Core {
    /// Writes the checkpoint of where gaps are legal.
    pub(in crate::storage) fn write_compacted(&self, persist: Persist) -> io::Result<()> {
        // The lock is held for the write: two writers must not leave the older content behind.
        let compacted = self.compacted.lock();
        let content = offset_checkpoint::encode(&compacted);
        let path = self.dir.join(names::COMPACTED);
        replace_file(&*self.io, &path, content.as_bytes(), persist)?;
        if persist == Persist::Durable {
            self.compacted_is_durable.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Context {
    /// Below it offsets may be missing between batches: a batch that begins at or below it need
    /// not follow the one before.
    pub(in crate::storage) fn gaps_allowed_below(&self) -> Offset {
        Offset(self.gaps_below.load(Ordering::SeqCst))
    }

    /// Lets gaps be made below `offset`; durable when it returns, and the gaps may come only then.
    pub(in crate::storage) fn allow_gaps_below(&self, offset: Offset) -> io::Result<()> {
        // Raised below, once it is durable: an attempt that failed is made again. What a start found,
        // or made of a file that makes no sense, need not be on disk: a power cut might take it back.
        let is_durable = self.core.compacted_is_durable.load(Ordering::SeqCst);
        if is_durable && self.gaps_allowed_below() >= offset {
            return Ok(());
        }
        {
            let mut compacted = self.core.compacted.lock();
            // Under the lock: the deletion takes the entry out after it said that it deletes.
            if self.is_deleted() {
                return Err(io::ErrorKind::NotFound.into());
            }
            match compacted.get_mut(&self.directory) {
                Some(bound) => *bound = (*bound).max(offset),
                None => {
                    compacted.insert(self.directory.clone(), offset);
                }
            }
        }
        self.core.write_compacted(Persist::Durable)?;
        self.gaps_below.fetch_max(offset.0, Ordering::SeqCst);
        Ok(())
    }

    /// Ends the uncertainty about a log that was found without the file: what follows its end has
    /// no gaps. Reaches the file when it is written next.
    pub(in crate::storage) fn expect_no_gaps_from(&self, log_end: Offset) {
        let mut compacted = self.core.compacted.lock();
        if let Some(bound) = compacted.get_mut(&self.directory)
            && *bound == EVERYWHERE
        {
            *bound = log_end;
            self.gaps_below.store(log_end.0, Ordering::SeqCst);
        }
    }
}
