//! The first readable offsets of all partitions, and their checkpoint.
//!
//! What was deleted stays deleted: a log start is on disk before anybody is told of it, and before
//! a file goes that held what lies below it. Whoever waits for that shares the write with everybody
//! who raised an offset before it began, so a thousand partitions cost one.

use std::io;
use std::path::Path;

use parking_lot::Mutex;

use crate::io::{Io, Persist, replace_file};
use crate::model::Offset;

use crate::storage::core::Context;
use crate::storage::format::{names, offset_checkpoint};

/// The first readable offsets, by directory.
#[derive(Debug)]
pub(in crate::storage) struct LogStarts {
    known: Mutex<Known>,
    /// Up to which change the checkpoint holds them. Held while it is written.
    on_disk: Mutex<u64>,
}

#[derive(Debug)]
struct Known {
    offsets: offset_checkpoint::Offsets,
    /// Rises with every change.
    changes: u64,
}

impl LogStarts {
    /// What the checkpoint said at the start.
    pub(in crate::storage) fn new(offsets: offset_checkpoint::Offsets) -> Self {
        Self {
            known: Mutex::new(Known {
                offsets,
                changes: 0,
            }),
            on_disk: Mutex::new(0),
        }
    }

    /// The log start of a partition, if it is not its first segment's base.
    pub(in crate::storage) fn get(&self, directory: &str) -> Option<Offset> {
        self.known.lock().offsets.get(directory).copied()
    }

    /// Notes a log start; an earlier one than is known changes nothing. False if the partition is
    /// being deleted.
    pub(in crate::storage) fn raise(&self, context: &Context, to: Offset) -> bool {
        let mut known = self.known.lock();
        // Under the lock: the deletion takes the entry out after it said that it deletes, and a
        // topic of the same name must not begin at this offset.
        if context.is_deleted() {
            return false;
        }
        match known.offsets.get_mut(&context.directory) {
            Some(start) if *start >= to => return true,
            Some(start) => *start = to,
            None => {
                known.offsets.insert(context.directory.clone(), to);
            }
        }
        known.changes += 1;
        true
    }

    /// Forgets a partition's; whether there was one.
    pub(in crate::storage) fn remove(&self, directory: &str) -> bool {
        let mut known = self.known.lock();
        let removed = known.offsets.remove(directory).is_some();
        known.changes += u64::from(removed);
        removed
    }

    /// Has the checkpoint hold everything that is known now. Waits for the disk.
    pub(in crate::storage) fn write(
        &self,
        io: &dyn Io,
        dir: &Path,
        persist: Persist,
    ) -> io::Result<()> {
        let wanted = self.known.lock().changes;
        // Those who come while it is written wait here; the first of them writes for all.
        let mut on_disk = self.on_disk.lock();
        if wanted > 0 && *on_disk >= wanted {
            return Ok(());
        }
        let (content, changes) = {
            let known = self.known.lock();
            (offset_checkpoint::encode(&known.offsets), known.changes)
        };
        replace_file(
            io,
            &dir.join(names::LOG_STARTS),
            content.as_bytes(),
            persist,
        )?;
        if persist == Persist::Durable {
            *on_disk = changes;
        }
        Ok(())
    }
}
