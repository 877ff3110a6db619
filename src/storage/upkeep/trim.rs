//! Taking the oldest segments out of a log, so that a crash at any moment costs nothing else.
//!
//! | step | why not later |
//! | --- | --- |
//! | 1. [`Log::secure`]: what only the segments that go could say is durable elsewhere: the producers at the first segment that stays, the leader epochs; and that segment has its file | a log whose last segment went must still know its end, its producers and its epochs |
//! | 2. the log start is durable: [`LogStarts`](crate::storage::upkeep::log_starts::LogStarts), one write for many logs | files do not vanish in the order in which they were renamed; what a power cut brings back, or leaves with a hole, lies below the log start |
//! | 3. [`Log::leave`]: the view without them is published | whoever finds a file missing finds a view that says why |
//! | 4. their files are renamed to `.deleted`, oldest first | a reader may still have the name of one in its hands, and answers with the newer view |
//! | 5. the files are removed, after `file.delete.delay.ms` | |
//!
//! Before step 2 is durable nothing has changed for anybody. After it the segments are deleted,
//! whatever files there are: a segment that lies wholly below the log start is never read, and
//! goes with the next pass. `.deleted` files go when the log is opened.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::io::{OpenMode, Persist, replace_file};
use crate::model::Offset;

use crate::storage::durability::commit::Urgency;
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::producer_snapshot;
use crate::storage::log::epochs::Epochs;
use crate::storage::log::partition_log::Log;
use crate::storage::log::segment::Segment;
use crate::storage::options::Durability;
use crate::storage::upkeep::removal::Doomed;
use crate::storage::upkeep::swap::SwapError;

/// How often it is looked whether a log's end is durable, and the pause between two looks.
const DURABLE_TRIES: usize = 1_000;
const DURABLE_PAUSE: Duration = Duration::from_millis(2);

/// When the room that files take is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// After `file.delete.delay.ms`.
    Usual,
    /// At once: there is hardly any left.
    AtOnce,
}

/// Where a log is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Cut {
    /// Base of the first segment that stays.
    pub(in crate::storage) start: Offset,
    /// What the producer snapshot there says, where that segment was just begun.
    pub(in crate::storage) snapshot: Option<Vec<u8>>,
}

/// What left a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Segments.
    pub segments: usize,
    /// Bytes of their batches.
    pub bytes: u64,
}

impl std::ops::AddAssign for Freed {
    fn add_assign(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes += other.bytes;
    }
}

impl Log {
    /// Removes the files of segments that lie wholly below the log start, which is durable. Waits
    /// for the disk. For the metadata log, whose snapshots say what may go.
    pub(in crate::storage) fn remove_segments_below_start(self: &Arc<Self>) -> io::Result<()> {
        let start = {
            let view = self.published().load();
            let below = |next: &&Arc<Segment>| next.base <= view.log_start;
            let next = view.segments.iter().skip(1).take_while(below).last();
            next.map(|next| next.base)
        };
        let Some(start) = start else { return Ok(()) };
        self.secure(&Cut {
            start,
            snapshot: None,
        })?;
        self.leave(start, Haste::Usual).map(drop)
    }

    /// Makes durable what is needed once the segments before the cut are gone (step 1).
    pub(in crate::storage) fn secure(self: &Arc<Self>, cut: &Cut) -> io::Result<()> {
        let (context, core) = (self.context(), &self.context().core);
        if core.durability == Durability::Memory {
            return Ok(());
        }
        let snapshot = self.missing_snapshot(cut)?;
        let snapshot_at = snapshot.as_ref().map_or(cut.start, |(offset, _)| *offset);
        let path_of = |kind: SegmentFile, offset| context.path.join(kind.name(offset));
        let epochs = context.path.join(names::LEADER_EPOCHS);
        let mut files = Vec::new();
        {
            // The usual case writes nothing: it syncs what the last round may have left to the
            // file system, and that without the lock.
            let _naming = self.stop_naming();
            if context.is_deleted() {
                return Ok(());
            }
            let view = self.published().load();
            if !self.epochs_on_disk(&view)? {
                let content = crate::storage::format::leader_epochs::encode(view.epochs.entries());
                replace_file(&*core.io, &epochs, content.as_bytes(), Persist::Durable)?;
            }
            files.push(core.io.open(&epochs, OpenMode::Write)?);
            let path = path_of(SegmentFile::Snapshot, snapshot_at);
            if let Some((_, content)) = &snapshot {
                replace_file(&*core.io, &path, content, Persist::Durable)?;
            }
            files.push(core.io.open(&path, OpenMode::Write)?);
            // A segment has its file with its first batch, which may never have come. Its name is
            // what tells the next start where the log ends.
            if view.end.segment == cut.start && view.end.position == 0 {
                let path = path_of(SegmentFile::Log, cut.start);
                drop(core.io.open(&path, OpenMode::Create)?);
            }
        }
        let synced = files
            .iter()
            .try_for_each(|file| file.sync_data())
            .and_then(|()| core.io.sync_dir(&context.path));
        match synced {
            // Its directory was moved away meanwhile.
            Err(_) if context.is_deleted() => Ok(()),
            synced => synced,
        }
    }

    /// A snapshot that says what the producers were at the cut, or are now, and the offset in its
    /// name; `None` where there is one at the cut.
    fn missing_snapshot(self: &Arc<Self>, cut: &Cut) -> io::Result<Option<(Offset, Vec<u8>)>> {
        let pending = cut.snapshot.clone().or(self.pending_snapshot(cut.start));
        if self.has_snapshot(cut.start) {
            return Ok(None);
        }
        if let Some(pending) = pending {
            return Ok(Some((cut.start, pending)));
        }
        // None was written before a crash, or one is lost: what the producers are now says as
        // much, once no power cut takes back the end that they stand at. A snapshot beyond the
        // log end is not used.
        let (end, content) = {
            let writer = self.stop_writer();
            let content = producer_snapshot::encode(&writer.producers.snapshot());
            (self.published().load().end.offset, content)
        };
        if self.published().load().durable < end {
            self.queue(Urgency::Now);
        }
        for _ in 0..DURABLE_TRIES {
            if self.published().load().durable >= end {
                return Ok(Some((end, content)));
            }
            std::thread::sleep(DURABLE_PAUSE);
        }
        Err(io::Error::other("waiting for the producers to be on disk"))
    }

    /// Takes the segments before `start`, a segment's base, out of the log (steps 3 and 4), and
    /// has their files removed. The log start is durable, and at least `start`.
    pub(in crate::storage) fn leave(&self, start: Offset, haste: Haste) -> io::Result<Freed> {
        let (context, core) = (self.context(), &self.context().core);
        let _nobody_replaces = match self.begin_upkeep() {
            Err(SwapError::Deleted) => return Ok(Freed::default()),
            begun => begun.map_err(io::Error::other)?,
        };
        let left = {
            let _naming = self.stop_naming();
            if context.is_deleted() {
                return Ok(Freed::default());
            }
            self.forget_before(start)
        };
        context.waiters.wake();
        let mut freed = Freed::default();
        for segment in &left {
            freed.segments += 1;
            freed.bytes += segment.sealed_len().unwrap_or(0);
            let doomed = self.put_away(segment)?;
            core.files.forget(segment.number);
            let delay = context.config.load().file_delete_delay_ms;
            let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
            for file in doomed {
                match haste {
                    Haste::AtOnce => file.remove(&core.io),
                    Haste::Usual => core.removal.schedule(&core.io, file, delay),
                }
            }
        }
        Ok(freed)
    }

    /// Publishes a view without the segments before `start`; those.
    fn forget_before(&self, start: Offset) -> Vec<Arc<Segment>> {
        let mut left = Vec::new();
        self.published().update(|view| {
            view.log_start = view.log_start.max(start);
            let old = view
                .segments
                .iter()
                .skip(1)
                .take_while(|next| next.base <= start)
                .count();
            left = view.segments.iter().take(old).cloned().collect();
            view.segments = view.segments.iter().skip(old).cloned().collect();
            let mut epochs = Epochs::clone(&view.epochs);
            if epochs.cut_front(view.log_start) {
                view.epochs = Arc::new(epochs);
            }
            // From here on no index of theirs is written any more.
            left.iter().for_each(|segment| segment.set_gone());
        });
        left
    }

    /// Renames the files of a segment that left; what is to be removed. Files in memory have no
    /// reader who would look for their name, and their room is worth more: they go at once.
    fn put_away(&self, segment: &Segment) -> io::Result<Vec<Doomed>> {
        let (context, core) = (self.context(), &self.context().core);
        let _naming = self.stop_naming();
        if context.is_deleted() {
            return Ok(Vec::new());
        }
        let mut doomed = Vec::with_capacity(SegmentFile::ALL.len());
        for kind in SegmentFile::ALL {
            let path = segment.path(&context.path, kind);
            let done = match core.durability {
                Durability::Memory => core.io.remove_file(&path),
                Durability::Fsync | Durability::Os => {
                    let mut name = path.clone().into_os_string();
                    name.push(names::DELETED_SUFFIX);
                    let target = PathBuf::from(name);
                    core.io
                        .rename(&path, &target)
                        .map(|()| doomed.push(Doomed::File(target)))
                }
            };
            match done {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(doomed)
    }
}
#[cfg(test)]
mod tests {
    use crate::io::tests::on_every_io;
    use crate::model::Offset;
    use crate::storage::Isolation;
    use crate::storage::tests::{Bed, batch, read_all, wait_committed};

    #[test]
    fn segments_below_the_log_start_go_and_the_rest_is_read_as_before() {
        on_every_io(|io, root| {
            let mut bed = Bed::new(io, root);
            bed.config.segment_bytes = 200;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for number in 0..10 {
                partition
                    .append(batch(&[&number.to_string()]), false)
                    .unwrap();
            }
            wait_committed(&partition, Offset(10)).unwrap();
            let before = partition.size();
            partition.remove_deleted_segments().unwrap();
            assert_eq!(partition.size(), before, "nothing is deleted yet");

            partition.delete_records(Offset(7)).unwrap();
            partition.remove_deleted_segments().unwrap();
            assert!(partition.size().bytes < before.bytes);
            let expected: Vec<_> = (7..10).map(|number| (number, number.to_string())).collect();
            assert_eq!(read_all(&partition, 7, 1_000, Isolation::LogEnd), expected);

            drop((partition, store));
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            assert_eq!(partition.offsets().unwrap().log_start, Offset(7));
            assert_eq!(read_all(&partition, 7, 1_000, Isolation::LogEnd), expected);
        });
    }
}
